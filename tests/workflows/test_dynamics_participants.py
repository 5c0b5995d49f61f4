"""`participant --workflow dynamics` as users type it: from NIfTI to series, and by a core."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from maps_job import read_table, tree
from network_bundle import write_tiny_network
from network_job import (
    FRAMES,
    REGIONS,
    NetworkJob,
    network_bold,
    slabs,
    weights,
    write_core,
)

from bids_dtg.cli.run import main
from bids_dtg.dynamics.bundle.linear import LinearBundle
from bids_dtg.dynamics.components import edges_of
from bids_dtg.dynamics.linear import LagCovariances
from bids_dtg.dynamics.participant.sources import find_output_people
from bids_dtg.files.regions import read_relmat
from bids_dtg.settings import Settings

pytestmark = pytest.mark.slow

STEM = "space-MNI152NLin6Asym_atlas-Slabs"
GROUP = {"analysis_level": "group", "workflow": "dynamics", "analysis": "train"}


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> NetworkJob:
    return NetworkJob(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def model(job) -> Path:
    return write_core(job.folder / "tiny")


def series_of(out: Path, label: str = "01") -> np.ndarray:
    (path,) = out.glob(f"sub-{label}/func/*{STEM}_stat-mean_timeseries.tsv")
    lines = path.read_text().splitlines()
    assert lines[0].split("\t") == list(REGIONS)
    return np.array([[float(cell) for cell in line.split("\t")] for line in lines[1:]])


def test_series_and_connectivity_without_a_model(job, capsys):
    out = job.folder / "series"
    assert job.run(out=out) == 0
    told = capsys.readouterr().err
    assert "no --model was given" in told
    assert "2 sets of results written" in told
    series = series_of(out)
    assert series.shape == (FRAMES, len(REGIONS))
    # The courses that were put into the parcels, but for what the cleaning takes.
    bold = network_bold(0)
    means = np.stack(
        [bold[slabs() == label].mean(axis=0) for label in range(1, 7)], axis=1
    )
    assert min(np.corrcoef(series.T, means.T)[range(6), range(6, 12)]) > 0.8
    (matrix,) = out.glob("sub-01/func/*_stat-pearsoncorrelation_relmat.tsv")
    rows = [line.split("\t")[1:] for line in matrix.read_text().splitlines()[1:]]
    np.testing.assert_allclose(np.array(rows, float), np.corrcoef(series.T), atol=1e-5)
    before = tree(out)
    assert job.run(out=out) == 0
    assert "0 sets of results written, 2 already complete" in capsys.readouterr().err
    assert tree(out) == before
    assert job.run("--verify", out=out) == 0
    assert "sub-01: complete (1 set of results)" in capsys.readouterr().out


def test_people_whom_the_model_has_never_seen(job, model):
    out = job.folder / "modelled"
    words = ("--model", model, "--structural-connectivity", job.structural)
    assert job.run(*words, out=out) == 0
    func = out / "sub-02/func"
    (table,) = func.glob(f"*{STEM}_desc-components_parameters.tsv")
    assert json.loads(table.with_suffix(".json").read_text())["ModelName"] == "core"
    (structural,) = func.glob(f"*{STEM}_desc-structural_relmat.tsv")
    cells = [line.split("\t")[1:] for line in structural.read_text().splitlines()[1:]]
    expected = weights(1) / weights(1).max()
    # The group level knows by these files which parcels a model that it trains is of.
    source = find_output_people(Settings.of(bids_dir=job.bids, output_dir=out, **GROUP))
    assert (source.atlas, source.labels) == ("Slabs", ("01", "02"))
    assert re.fullmatch("[0-9a-f]{64}", source.atlas_digest)
    np.testing.assert_allclose(np.array(cells, float), expected, rtol=1e-6)


def test_a_linear_core_reads_series_alone(job, capsys):
    out = job.folder / "linear"
    words = ("--model", write_core(job.folder / "core"))
    job.reports = True
    assert job.run(*words, out=out) == 0
    job.reports = False
    assert "and their process from" in capsys.readouterr().err
    func = out / "sub-01/func"
    for lag in (1, 2):
        (table,) = func.glob(f"*{STEM}_desc-lag{lag}_relmat.tsv")
        assert read_relmat(table).names == REGIONS
        sidecar = json.loads(table.with_suffix(".json").read_text())
        assert (sidecar["Directed"], sidecar["ModelName"]) == (True, "core")
        assert "a single entry supports no claim" in sidecar["Description"]
    # Rows are targets: what the process says of the next frame of the series that were written.
    series = LagCovariances.of(series_of(out).T)
    process = LinearBundle.load(job.folder / "core").model().infer(series)
    (table,) = func.glob("*_desc-lag1_relmat.tsv")
    np.testing.assert_allclose(
        read_relmat(table).values, process.transitions[0], atol=1e-4
    )
    core = LinearBundle.load(job.folder / "core")
    # Features are of what was measured: no strength of shrinking touches them.
    (table,) = func.glob("*_desc-components_parameters.tsv")
    scores = core.components().scores(edges_of(series))
    rows = read_table(table)
    np.testing.assert_allclose([float(row["score"]) for row in rows], scores, rtol=1e-3)
    assert [row["icc"] for row in rows] == ["n/a"] * len(scores)
    assert "Effective connectivity</h3>" in (out / "sub-01.html").read_text()
    methods = " ".join((out / "logs" / "CITATION.md").read_text().split())
    assert "Yule-Walker equations" in methods
    assert "Sip" not in methods


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--atlases", "HCP", "Schaefer400"), "one atlas with --workflow dynamics"),
        (("--sample-on", "own"), "--sample-on was given for .*, an atlas of voxels"),
        (
            ("--atlases", "Glasser", "--smoothing-fwhm", "6"),
            "--smoothing-fwhm was given for Glasser, .*Expected: no smoothing",
        ),
        (("--model", "{tables}"), "knows only the people.*--architecture linear, or"),
        (("--model", "{model}", "--atlases", "HCP"), "19 reg"),
        (
            ("--model", "{other}"),
            "parcels of Slabs have the same names .* but other voxels",
        ),
        (
            ("--structural-connectivity", "{people}"),
            r"--structural-connectivity: \S+people.tsv cannot be read as numbers: .*'F'\. "
            "Expected: one row and one column of numbers per region",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_before_the_start(
    job, model, capsys, words, message
):
    tables = write_tiny_network(job.folder / "tables").path
    other_core = write_core(job.folder / "other", atlas="Slabs", atlas_digest="0" * 64)
    people = job.folder / "people.tsv"
    people.write_text("age\tsex\n31\tF\n")
    places = {"model": model, "tables": tables, "other": other_core, "people": people}
    filled = (word.format(**places) for word in words)
    assert job.run(*filled, out=job.folder / "never") == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (job.folder / "never").exists()


def test_who_cannot_be_modelled_fails_alone(tmp_path, capsys):
    job = NetworkJob(tmp_path, ("01", "02", "03", "04"))
    for path in job.structural.glob("sub-02/dwi/*"):
        path.unlink()
    job.add_structural("03", -weights())
    lopsided = weights()
    lopsided[0, 1] += 50
    job.add_structural("04", lopsided)
    model = write_core(tmp_path / "tiny")
    words = ("--model", model, "--structural-connectivity", job.structural)
    assert job.run(*words) == 1
    told = capsys.readouterr().err
    assert "has no structural connectome of sub-02" in told
    assert "weights below 0" in told
    assert "asymmetric weights" in told
    assert "3 participants failed" in told
    assert list(job.out.glob("sub-01/func/*_parameters.tsv"))
    assert job.run(*words, "--dry-run", out=tmp_path / "new") == 1
    told = capsys.readouterr().out
    assert "would write series of 6 parcels and a process by core to " in told
    assert "3 would fail" in told


@pytest.mark.parametrize("workflow", ["dynamics", "twin"])
def test_training_before_the_participant_level_says_what_comes_first(
    job, tmp_path, capsys, workflow
):
    line = [
        job.bids,
        tmp_path / "absent",
        "group",
        "--workflow",
        workflow,
        "--analysis",
        "train",
    ]
    assert main([str(word) for word in line]) == 2
    error = capsys.readouterr().err
    assert f"what the participant level of --workflow {workflow} writes" in error
    assert not (tmp_path / "absent").exists()
