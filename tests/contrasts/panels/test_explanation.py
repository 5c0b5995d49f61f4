"""What a call writes and shows of the ROIs that contribute to differences."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest
from tiny_job import TinyJob, read_table
from tiny_kinds import (
    CONTRASTS,
    PLACES,
    ROIS,
    WEIGHTS,
    blend_tensors,
    linear_tensors,
    network_state,
    ridge_tensors,
    write_tiny_kind,
)

import bids_dtg
from bids_dtg.contrasts import blend
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.kinds import ATTENTION_UNET, BLEND, LINEAR
from bids_dtg.contrasts.explanation import PREFIX, Areas, Support
from bids_dtg.contrasts.kind import Processor
from bids_dtg.contrasts.participant.measure import Reader
from bids_dtg.errors import BundleError, SettingsError

NAME = "sub-01_space-MNI152NLin6Asym_stat-z_desc-explanation_statmap.tsv"


def support_tensors(passing: int = 1, mean: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return what a bundle has of permuted people; columns pass in the first contrasts alone."""
    rng = np.random.default_rng(0)
    shape = CONTRASTS, ROIS, ROIS
    p = np.ones(shape, np.float32)
    p[:passing] = 0.01
    support = Support(
        areas=Areas.of(rng.normal(size=(ROIS, PLACES.number))),
        peaks=np.arange(ROIS, dtype=np.int32),
        overlap=np.eye(ROIS, dtype=np.float32),
        centre=0.1 * rng.normal(size=shape) if mean is None else np.zeros(shape),
        pattern=rng.normal(size=shape).astype(np.float32),
        p=p,
        mean=mean,
    )
    return {PREFIX + name: tensor for name, tensor in support.tensors().items()}


def job_with(folder, tensors, kind=LINEAR) -> TinyJob:
    job = TinyJob(folder)
    job.reports = True
    shutil.rmtree(job.model)
    write_tiny_kind(job.model, kind.name, tensors)
    return job


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    job = job_with(tmp_path_factory.mktemp("job"), {**linear_tensors(), **support_tensors()})
    job.said = job.run("--write", "maps", "explanation")
    return job


def page(job):
    return (job.out / "sub-01.html").read_text()


@pytest.mark.slow
def test_rows_of_an_area_add_up_to_the_deviation_of_the_written_map(job):
    assert job.said == 0
    (path,) = (job.out / "sub-01").rglob("*_desc-explanation_statmap.tsv")
    assert path.with_suffix(".json").exists()
    rows, bundle = read_table(path), load_bundle(str(job.model))
    label = bundle.contrasts[0].label
    assert {row["contrast"] for row in rows} == {label}
    (image,) = path.parent.glob(f"*_contrast-{label}_*desc-synthetic_statmap.nii.gz")
    values = nib.load(image).get_fdata().ravel()[PLACES.positions]
    intercept = linear_tensors()["linear.coefficients"][0, 0, 0]
    centre = bundle.support.centre[0].sum(axis=0)
    for number in range(ROIS):
        own = [row for row in rows if row["area"] == f"roi{number + 1:02d}"]
        if not own:
            continue
        *parts, total = (float(row["contribution"]) for row in own)
        assert [row["roi"] for row in own[-2:]] == ["others", "all"]
        assert sum(parts) == pytest.approx(total, abs=1e-4)
        mean = values[bundle.support.areas.labels == number].mean()
        assert total == pytest.approx(mean - intercept - centre[number], abs=1e-4)
        for row in own[:-2]:
            halves = {np.sign(float(row[name])) for name in ("odd_half", "even_half")}
            assert halves == {np.sign(float(row["contribution"]))}


@pytest.mark.slow
def test_the_map_of_a_contrast_holds_the_sums_that_the_table_shows(job):
    (path,) = (job.out / "sub-01").rglob("*_desc-explanation_statmap.tsv")
    rows, bundle = read_table(path), load_bundle(str(job.model))
    labels = bundle.support.areas.labels
    for contrast in bundle.contrasts:
        (image,) = path.parent.glob(f"*_contrast-{contrast.label}_*desc-contributions_*.nii.gz")
        values = nib.load(image).get_fdata().ravel()[PLACES.positions]
        for area in range(ROIS):
            shown = sum(
                float(row["contribution"])
                for row in rows
                if (row["contrast"], row["area"]) == (contrast.label, f"roi{area + 1:02d}")
                and row["roi"].startswith("roi")
            )
            np.testing.assert_allclose(values[labels == area], shown, atol=1e-4)
        (sidecar,) = path.parent.glob(f"*_contrast-{contrast.label}_*desc-contributions_*.json")
        assert (
            "contributions to the predicted deviation"
            in json.loads(sidecar.read_text())["Description"]
        )


@pytest.mark.slow
def test_the_dictionary_says_where_areas_are(job):
    (path,) = (job.out / "sub-01").rglob("*_desc-explanation_statmap.json")
    facts = json.loads(path.read_text())
    assert set(facts["Areas"]) == {f"roi{n:02d}" for n in range(1, ROIS + 1)}
    assert facts["Areas"]["roi02"]["PeakMm"] == PLACES.points[1].tolist()
    assert {"contrast", "area", "roi", "pattern", "p"} <= facts.keys()


@pytest.mark.slow
def test_the_page_shows_what_contributes(job):
    assert "What makes this different here" in page(job)
    assert re.search(r"\d+ contributions? in 1 contrast", page(job))
    assert "drives" not in page(job)


@pytest.mark.slow
def test_without_a_request_nothing_is_explained_and_a_later_call_adds_it(tmp_path):
    job = job_with(tmp_path, {**linear_tensors(), **support_tensors(0)})
    assert job.run("--write", "maps") == 0
    assert not list(job.out.rglob("*explanation*"))
    assert "What makes this different" not in page(job)
    assert job.run("--write", "explanation") == 0
    (path,) = (job.out / "sub-01").rglob("*_desc-explanation_statmap.tsv")
    assert read_table(path) == []
    assert list(job.out.rglob("*desc-synthetic_statmap.nii.gz"))
    assert "No contribution passes both tests" in page(job)
    written = path.stat().st_mtime_ns
    assert job.run("--write", "maps", "explanation") == 0
    assert path.stat().st_mtime_ns == written


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "tensors"), [(ATTENTION_UNET, network_state), (BLEND, blend_tensors)]
)
def test_a_network_is_explained_from_the_mean_connectome_on(tmp_path, capsys, kind, tensors):
    mean = np.random.default_rng(1).uniform(-0.3, 0.3, (ROIS, PLACES.number)).astype(np.float16)
    support = support_tensors(CONTRASTS, mean.astype(np.float32))
    job = job_with(tmp_path, {**tensors(), **support}, kind)
    assert job.run("--write", "maps", "explanation") == 0
    assert "so each segment and half takes hundreds of passes" in "".join(capsys.readouterr())
    assert "integrated gradients (Sundararajan" in page(job)
    (path,) = (job.out / "sub-01").rglob("*_desc-explanation_statmap.tsv")
    bundle = load_bundle(str(job.model))
    model, areas = bundle.prepare(Processor()), bundle.support.areas
    of_mean = areas.means(model.predict(mean.astype(np.float32)))
    totals = [row for row in read_table(path) if row["roi"] == "all"]
    assert totals
    for contrast in bundle.contrasts:
        (image,) = path.parent.glob(f"*_contrast-{contrast.label}_*desc-synthetic_statmap.nii.gz")
        values = nib.load(image).get_fdata().ravel()[PLACES.positions]
        deviation = areas.means(values[None])[0] - of_mean[contrast.index]
        for row in totals:
            if row["contrast"] == contrast.label:
                area = int(row["area"][3:]) - 1
                allowed = 0.01 * np.abs(deviation).max()
                assert float(row["contribution"]) == pytest.approx(deviation[area], abs=allowed)


@pytest.fixture
def no_torch(monkeypatch):
    known = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *m: None if name == "torch" else known(name, *m)
    )


def test_a_network_is_explained_only_where_torch_is(tmp_path, capsys, no_torch):
    mean = np.zeros((ROIS, PLACES.number), np.float32)
    job = job_with(tmp_path, {**network_state(), **support_tensors(1, mean)}, ATTENTION_UNET)
    assert job.run("--write", "explanation") == 2
    assert "the explanation of a network needs the package torch" in capsys.readouterr().err


def test_a_blend_without_a_network_needs_no_torch(tmp_path, capsys, no_torch):
    mean = np.zeros((ROIS, PLACES.number), np.float32)
    both = blend.tensors_of({"local_ridge": ridge_tensors(), "linear": linear_tensors()}, WEIGHTS)
    job = job_with(tmp_path, {**both, **support_tensors(1, mean)}, BLEND)
    job.reports = False
    assert job.run("--write", "explanation") == 0
    assert "hundreds of passes" not in "".join(capsys.readouterr())
    (path,) = (job.out / "sub-01").rglob("*_desc-explanation_statmap.tsv")
    assert read_table(path)


@pytest.mark.slow
def test_a_model_that_carries_nothing_says_so_in_a_line(tmp_path, capsys):
    job = job_with(tmp_path, linear_tensors())
    assert job.run("--write", "maps", "explanation") == 0
    assert "explanation: n/a, tiny carries nothing" in "".join(capsys.readouterr())
    assert not list(job.out.rglob("*explanation*"))


def test_python_explains_what_the_command_line_does(job):
    bundle = bids_dtg.load_bundle(str(job.model))
    run = bids_dtg.find_runs(job.settings())[0]
    cleaning = job.settings(denoise_strategy="simple").cleaning
    measured = Reader.of(bundle, cleaning).measure(run).connectomes
    found = bids_dtg.explain(measured, bundle)
    (path,) = (job.out / "sub-01").rglob("*_desc-explanation_statmap.tsv")
    for row in read_table(path):
        if row["roi"].startswith("roi"):
            roi, area = int(row["roi"][3:]) - 1, int(row["area"][3:]) - 1
            value = found.contributions[0, roi, area]
            assert float(row["contribution"]) == pytest.approx(value, abs=1e-4)
            assert found.shown[0, roi, area]
    with pytest.raises(SettingsError, match="carries nothing to explain"):
        bids_dtg.explain(measured, write_tiny_kind(job.folder / "b", LINEAR.name, linear_tensors()))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("p", None, "has no tensor explanation.p"),
        ("peaks", np.zeros(2, np.int32), "does not explain this model"),
        ("whole", None, "explains"),
        ("mean", np.zeros((ROIS, PLACES.number), np.float16), "kind linear with a mean connectome"),
    ],
)
def test_a_damaged_explanation_is_refused(name, value, says, tmp_path):
    tensors = support_tensors()
    if name == "whole":
        for own in ("centre", "pattern", "p"):
            tensors[PREFIX + own] = tensors[PREFIX + own][:2]
    elif value is None:
        del tensors[PREFIX + name]
    else:
        tensors[PREFIX + name] = value
    bundle = write_tiny_kind(tmp_path / "own", LINEAR.name, {**linear_tensors(), **tensors})
    with pytest.raises(BundleError, match=says):
        bundle.support  # noqa: B018
