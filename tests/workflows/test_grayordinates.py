"""Grayordinates through the program: from CIFTI rest and maps to a model, its maps and report."""

from __future__ import annotations

import json
import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest
from bids_check import require_every_file_seen
from cifti_people import (
    CONTRASTS,
    LABELS,
    CiftiCohort,
    CiftiJob,
    add_cifti_run,
    brain_models,
    save_series,
    tiny_maps,
    tiny_series,
)
from fmriprep_dataset import add_run
from tiny_job import TinyJob, read_table, tree

from bids_dtg.cli.run import main as program
from bids_dtg.connectome.joined import JoinedRuns
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.participant.measure import Reader, measure
from bids_dtg.contrasts.participant.predict import predict_maps
from bids_dtg.inputs.runs import find_runs
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.settings import CleaningOptions

STEM = "sub-01_task-rest_space-fsLR_den-32k"
MAPS = f"{STEM}_stat-z_desc-synthetic_statmap"
TRAIN = ("--architecture", "linear", "--rois", 4, "--held-out", 0.0, 0.25)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A person's maps by a model that the test made."""
    job = CiftiJob(tmp_path_factory.mktemp("grayordinates"))
    assert job.run("--write-connectome", "--half-maps") == 0
    return job


def test_maps_are_a_file_for_each_kind_of_value_by_the_names_of_contrasts(made):
    func = made.out / "sub-01/func"
    found = sorted(path.name for path in func.glob("*.dscalar.nii"))
    assert found == [
        f"{STEM}_stat-pearsoncorrelation_desc-connectome_statmap.dscalar.nii",
        f"{STEM}_stat-z_desc-evenHalf_statmap.dscalar.nii",
        f"{STEM}_stat-z_desc-oddHalf_statmap.dscalar.nii",
        f"{MAPS}.dscalar.nii",
    ]
    image = nib.load(func / f"{MAPS}.dscalar.nii")
    scalars, models = (image.header.get_axis(axis) for axis in (0, 1))
    assert list(scalars.name) == [contrast.label for contrast in made.bundle.contrasts]
    assert models == brain_models()
    (run,) = find_runs(made.bids, "01", rule=SpaceRule(model="fsLR"))
    expected = predict_maps(measure(run, made.bundle), made.bundle, device="cpu", threads=1)
    np.testing.assert_allclose(image.get_fdata(), expected.values, rtol=0, atol=1e-6)
    connectome = nib.load(func / found[0])
    assert list(connectome.header.get_axis(0).name) == ["roi01", "roi02", "roi03", "roi04"]
    np.testing.assert_allclose(connectome.get_fdata(), measure(run, made.bundle).r, atol=1e-6)


def test_sidecars_and_quality_say_what_was_made(made):
    sidecar = json.loads((made.out / f"sub-01/func/{MAPS}.json").read_text())
    labels = [contrast.label for contrast in made.bundle.contrasts]
    assert sidecar["Contrasts"] == list(sidecar["ContrastDetails"]) == labels
    assert sidecar["ContrastDetails"]["languageMath"]["Task"] == "LANGUAGE"
    assert sidecar["Units"] == "z"
    assert sidecar["Density"].startswith("120 vertices of fsLR's mesh")
    assert sidecar["SpatialReference"]["VolumeReference"].endswith(
        "MNI152NLin6Asym_res-02_T1w.nii.gz"
    )
    common = json.loads((made.out / "sub-01/sub-01_task-rest_statmap.json").read_text())
    (facts,) = common["Runs"]
    assert (facts["Space"], facts["Interpolation"], facts["Transforms"]) == ("fsLR", "none", [])
    (row,) = read_table(made.out / "sub-01/func/sub-01_task-rest_qc.tsv")
    assert (row["coverage"], row["mask_overlap"], row["frames_kept"]) == ("1.0", "n/a", "60")
    (methods,) = (made.out / "logs/methods").glob("*.md")
    assert "grayordinates" in methods.read_text()


def test_a_second_call_does_nothing_and_the_group_page_has_the_run(made, capsys):
    before = tree(made.out, but=("logs",))
    assert made.run("--write-connectome", "--half-maps") == 0
    assert "1 complete before" in capsys.readouterr().err
    assert tree(made.out, but=("logs",)) == before
    assert program([str(made.bids), str(made.out), "group"]) == 0
    assert "no means of 1 average of maps at grayordinates" in capsys.readouterr().err
    assert program([*map(str, (made.bids, made.out)), "group", "--analysis", "stats"]) == 1
    assert "has maps at grayordinates. Expected: maps of voxels" in capsys.readouterr().err


@pytest.mark.slow
def test_the_report_shows_both_hemispheres_of_each_map(made):
    made.reports = True
    assert made.run("--reports-only") == 0
    page = (made.out / "sub-01.html").read_text()
    assert page.count('id="map-language') == 2
    assert "data-map" not in page
    assert "Left hemisphere from outside and inside" in page
    assert "no pictures of its registration and coverage" in page
    assert "140 grayordinates of the run before cleaning" in page
    pictures = sorted((made.out / "sub-01/figures").glob("*_contrast-*.webp"))
    assert len(pictures) == 2
    from PIL import Image

    with Image.open(pictures[0]) as picture:
        pixels = np.asarray(picture.convert("RGBA"))
    inside = pixels[..., 3] > 0
    assert 0.3 < inside.mean() < 0.8
    coloured = np.ptp(pixels[..., :3].astype(int), axis=2) > 60
    assert 20 < (coloured & inside).sum() < 2000  # a few vertices and voxels alone have values


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--surfaces", "fsLR"], "--surfaces was given, and tinycifti is a model of grayordinates"),
        (["--output-spaces", "T1w"], "--output-spaces was given"),
        (["--atlases", "HCP"], "--atlases was given"),
        (["--smoothing-fwhm", "4"], "--smoothing-fwhm was given.*wb_command smooths"),
        (["--write", "regions"], "--write regions was given, and tinycifti is a model of gray"),
    ],
)
def test_what_needs_volumes_is_refused_at_once(made, words, message, capsys):
    import re

    assert made.run(*words) == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.slow
def test_a_chosen_contrast_is_written_alone_and_a_later_call_adds_the_others(tmp_path):
    job = CiftiJob(tmp_path)
    first, *others = (contrast.label for contrast in job.bundle.contrasts)
    assert job.run("--contrast", first, "--write", "maps") == 0
    path = job.out / f"sub-01/func/{MAPS}.dscalar.nii"
    assert list(nib.load(path).header.get_axis(0).name) == [first]
    assert job.run() == 0
    assert list(nib.load(path).header.get_axis(0).name) == [first, *others]


@pytest.mark.slow
def test_series_of_hcp_are_read_as_they_are(tmp_path):
    job = CiftiJob(tmp_path, ())
    job.bids = tmp_path / "hcp"
    run = "rfMRI_REST1_LR"
    path = job.bids / f"100307/MNINonLinear/Results/{run}/{run}_Atlas_MSMAll_hp2000_clean"
    save_series(path.with_name(f"{path.name}.dtseries.nii"), tiny_series(160), job.axis)
    assert job.run() == 0
    (made,) = job.out.rglob("*synthetic_statmap.dscalar.nii")
    other = CiftiJob(tmp_path / "other", ())
    add_cifti_run(other.bids, "100307", seed=0, entities="_dir-LR")
    assert other.run("--denoise-strategy", "none") == 0
    same = nib.load(other.out / f"sub-100307/func/{made.name}").get_fdata()
    assert nib.load(made).get_fdata().tobytes() == same.tobytes()
    sidecar = json.loads(next(job.out.rglob("*task-rest_dir-LR_statmap.json")).read_text())
    assert sidecar["Runs"][0]["CleanedAs"] == "hp2000_clean"


def test_volumes_alone_are_refused(tmp_path, capsys):
    job = CiftiJob(tmp_path, ())
    add_run(job.bids)
    assert job.run() == 1
    said = capsys.readouterr().err
    assert "no series at grayordinates, but sub-01_task-rest_space-MNI" in said
    assert "fmriprep --cifti-output 91k" in said


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """People with CIFTI rest and maps, and the model that was trained on them."""
    people = CiftiCohort(tmp_path_factory.mktemp("cohort"))
    assert people.analyse("train", "--space", "fsLR", *TRAIN) == 0
    return people


def test_a_model_is_trained_on_cifti_rest_and_maps(cohort):
    made = cohort.out / "group/model-own"
    bundle = load_bundle(made / "bundle")
    assert bundle.places.axis == cohort.axis
    assert [contrast.label for contrast in bundle.contrasts] == list(CONTRASTS)
    assert (bundle.card.part.cifti, bundle.card.part.grid) == (True, None)
    assert bundle.card.description.endswith(
        "4 ROI maps made by group ICA of 6 training participants (seed 0)."
    )
    measured = np.load(cohort.out / "group/cache/sub-03/target_maps.npy")
    np.testing.assert_allclose(measured, tiny_maps()["03"], rtol=0, atol=1e-6)
    rows = {row["model"]: row for row in read_table(made / "desc-models_scores.tsv")}
    assert float(rows["model"]["r"]) > float(rows["another person's prediction"]["r"])


@pytest.mark.slow
def test_its_maps_are_made_at_the_participant_level(cohort, tmp_path):
    new = CiftiJob(tmp_path, ())
    add_cifti_run(new.bids, "09", seed=20)
    new.model = cohort.out / "group/model-own/bundle"
    assert new.run() == 0
    (path,) = new.out.rglob("*desc-synthetic_statmap.dscalar.nii")
    predicted = nib.load(path).get_fdata()
    common = np.random.default_rng(99).normal(size=(4, 160))
    own = common + 0.5 * np.random.default_rng(20).normal(size=(4, 160))
    expected = 1.0 + np.random.default_rng(7).normal(size=(2, 4)) @ own
    for predicted_map, true in zip(predicted, expected, strict=True):
        assert np.corrcoef(predicted_map, true)[0, 1] > 0.8


@pytest.mark.slow
def test_a_model_of_joined_runs_is_trained_and_applied(tmp_path):
    people = CiftiCohort(tmp_path)
    for number, label in enumerate(LABELS):
        add_cifti_run(people.bids, label, seed=number + 50, entities="_run-2", frames=90)
    words = ("--space", "fsLR", "--sample", "session", *TRAIN)
    assert people.analyse("train", *words) == 0
    bundle = load_bundle(people.out / "group/model-own/bundle")
    part = bundle.card.part
    assert (part.sample, part.segment_seconds) == ("session", 1500.0)
    (stored,) = (people.out / "group/cache/sub-01").glob("*connectomes_of_sessions.npy")
    reader = Reader.of(bundle, CleaningOptions("simple"), threads=1)
    rule = SpaceRule(model="fsLR")
    runs = [reader.measure(run).connectomes for run in find_runs(people.bids, "01", rule=rule)]
    joined = JoinedRuns()
    for run in runs:
        joined.add(run.whole)
    expected = joined.connectome().r
    (found,) = np.load(stored)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert max(np.abs(found - run.whole.r).max() for run in runs) > 0.05
    people.model = bundle.path
    assert people.run("--participant-label", "01") == 0
    (path,) = people.out.glob("sub-01/func/*desc-synthetic_statmap.dscalar.nii")
    wanted = predict_maps(joined.connectome(), bundle, device="cpu", threads=1)
    np.testing.assert_allclose(nib.load(path).get_fdata(), wanted.values, atol=1e-5)


def test_maps_of_voxels_are_no_targets_of_grayordinates(cohort, tmp_path, capsys):
    volumes = tmp_path / "volumes"
    volumes.mkdir()
    name = "sub-01_contrast-emotionFaces_stat-z_statmap.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), np.float32), np.eye(4)), volumes / name)
    words = [cohort.bids, tmp_path / "out", "group", "-d", f"statmaps={volumes}", "--space", "fsLR"]
    assert program([str(w) for w in [*words, "--analysis", "train", *TRAIN]]) == 2
    assert (
        "the measured maps are in no space. Expected: fsLR, the model's" in capsys.readouterr().err
    )


def test_a_model_of_voxels_is_not_trained_on_grayordinates_by_accident(tmp_path, capsys):
    job = TinyJob(tmp_path)
    words = [job.bids, job.out, "group", "-d", f"statmaps={tmp_path}", "--space", "fsLR"]
    assert program([str(w) for w in [*words, "--analysis", "train", *TRAIN]]) == 2
    assert "has a series in fsLR" in capsys.readouterr().err


@pytest.mark.slow
def test_the_validator_and_workbench_read_the_files(made, tmp_path):
    require_every_file_seen(made.out, tmp_path)
    workbench = shutil.which("wb_command")
    if workbench is None:
        pytest.skip("wb_command is not installed (apt-get install connectome-workbench)")
    for path in (made.out / "sub-01/func").glob("*.dscalar.nii"):
        said = subprocess.run(
            [workbench, "-file-information", path, "-only-map-names"],
            capture_output=True,
            text=True,
            check=True,
        )
        names = list(nib.load(path).header.get_axis(0).name)
        assert said.stdout.splitlines() == names
