"""Degrees of freedom through the whole program: counted, shown, limited, used as weights."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fmriprep_dataset import confound_columns, write_confounds
from maps_bundle import TINY_AFFINE
from maps_job import TR, TinyJob, add_rest, read_table, tiny_bold, tree
from study_folders import add_hcp_run, add_xcpd_run

from bids_dtg.files.sidecars import read_inherited

pytestmark = pytest.mark.slow

COLUMNS = 29  # 24 of motion, two tissues, two cosines, the intercept


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path)


def quality(out: Path) -> dict[str, str]:
    (path,) = (out / "sub-01").rglob("*rest_qc.tsv")
    (row,) = read_table(path)
    return row


def sidecar(out: Path) -> dict:
    return read_inherited(min(out.rglob("*desc-synthetic_statmap.nii.gz")))


# --- counted and shown


def test_table_says_how_much_is_left_and_what_each_column_means(job):
    """C2, D15: 28 columns on 60 frames stood nowhere."""
    assert job.run() == 0
    row = quality(job.out)
    assert float(row["residual_dof"]) == 60 - COLUMNS
    (path,) = job.out.rglob("*rest_qc.json")
    meanings = json.loads(path.read_text())
    assert set(meanings) == set(row)
    assert "degrees of freedom" in meanings["residual_dof"]["Description"]
    (run,) = sidecar(job.out)["Runs"]
    assert run["ResidualDegreesOfFreedom"] == 60 - COLUMNS


# --- required


@pytest.mark.parametrize(("frames", "code"), [(48, 1), (49, 0)])
def test_a_run_needs_twenty(job, frames, code, capsys):
    """C2: 8 minutes with 19 degrees of freedom passed."""
    add_rest(job.bids, frames=frames)
    assert job.run() == code
    if code:
        line = capsys.readouterr().err
        assert (
            "has 19 degrees of freedom left (48 frames kept, minus 29 columns)" in line
        )
        assert (
            "Expected: at least 20, as with fewer correlations are mostly chance. To"
            in line
        )


# --- cleaned elsewhere


def hcp(tmp_path: Path) -> TinyJob:
    job = TinyJob(tmp_path)
    job.bids = tmp_path / "hcp"
    add_hcp_run(job.bids, bold=tiny_bold(), affine=TINY_AFFINE, tr=TR)
    return job


def test_what_was_cleaned_elsewhere_is_not_guessed(tmp_path, capsys):
    job = hcp(tmp_path)
    assert job.run() == 0
    err = capsys.readouterr().err
    assert "sidecars do not give ResidualDegreesOfFreedom" in err
    (row,) = read_table(next(job.out.rglob("*_qc.tsv")))
    assert row["residual_dof"] == "n/a"
    written = sidecar(job.out)
    assert written["ResidualDegreesOfFreedom"] is None
    assert written["SegmentsWeightedBy"] == "SecondsOfRest"
    assert written["Runs"][0]["ResidualDegreesOfFreedom"] is None
    text = (job.out / "logs/CITATION.md").read_text()
    assert "degrees of freedom left" not in text


def test_what_its_sidecar_states_is_used(tmp_path, capsys):
    job = TinyJob(tmp_path)
    job.bids = tmp_path / "xcpd"
    bold = add_xcpd_run(job.bids, bold=tiny_bold(), affine=TINY_AFFINE, tr=TR)
    path = bold.with_name(bold.name.replace(".nii.gz", ".json"))
    path.write_text(json.dumps({"RepetitionTime": TR, "ResidualDegreesOfFreedom": 33}))
    assert job.run() == 0
    assert "do not give" not in capsys.readouterr().err
    assert float(quality(job.out)["residual_dof"]) == 33
    assert sidecar(job.out)["SegmentsWeightedBy"] == "ResidualDegreesOfFreedom"
    path.write_text(json.dumps({"RepetitionTime": TR, "ResidualDegreesOfFreedom": 19}))
    assert job.run() == 1
    assert "has 19 degrees of freedom left" in capsys.readouterr().err
    path.write_text(
        json.dumps({"RepetitionTime": TR, "ResidualDegreesOfFreedom": "many"})
    )
    assert job.run() == 1
    assert "ResidualDegreesOfFreedom is 'many'" in capsys.readouterr().err


# --- a plan finds what the run will find


def damage_few_minutes(job):
    add_rest(job.bids, "02", frames=20)


def damage_columns(job):
    path = job.bids / "sub-02/func/sub-02_task-rest_desc-confounds_timeseries.tsv"
    table = confound_columns(60)
    write_confounds(
        path, {name: rows for name, rows in table.items() if "trans" not in name}
    )


def damage_no_confounds(job):
    (job.bids / "sub-02/func/sub-02_task-rest_desc-confounds_timeseries.tsv").unlink()


DAMAGES = {
    "few minutes": damage_few_minutes,
    "columns missing": damage_columns,
    "no confounds": damage_no_confounds,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_plan_names_who_would_fail_and_why(tmp_path, capsys, damage):
    """D7: it said that nobody would, where everybody did."""
    job = TinyJob(tmp_path, ("01", "02"))
    damage(job)
    before = tree(job.folder, but=())
    assert job.run("--dry-run", "-v") == 1
    assert tree(job.folder, but=()) == before
    planned = capsys.readouterr().out
    assert "2 participants, 1 would fail; no output was written" in planned
    assert "    with 10.0 minutes, 31 degrees of freedom left after cleaning" in planned
    reason = re.search(r"sub-02_task-rest: would fail: (.*)", planned)[1]
    assert job.run() == 1
    assert f"sub-02: failed: {reason}" in capsys.readouterr().err


def test_a_plan_names_runs_that_would_be_left_out(job, capsys):
    add_rest(job.bids, entities="run-1", seed=1)
    add_rest(job.bids, entities="run-2", seed=2, frames=44)
    assert job.run("--dry-run") == 0
    planned = capsys.readouterr().out
    assert re.search(
        r"leaves out sub-01_task-rest_run-2: .* has 15 degrees of freedom", planned
    )
