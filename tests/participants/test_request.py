"""Which runs are averaged, names of their maps, and what happens to older outputs."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from fmriprep_dataset import add_run
from hypothesis import given
from hypothesis import strategies as st
from maps_bundle import TINY_AFFINE, TINY_SHAPE
from maps_job import TinyJob

import bids_dtg
from bids_dtg.errors import RunError
from bids_dtg.files.names import parse_name
from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.request import plan_averages, run_entities
from bids_dtg.version import __version__


def _run(name: str) -> RestRun:
    parsed = parse_name(name)
    return RestRun(
        bold=Path("/data") / name,
        entities=parsed.entities,
        participant=parsed.get("sub") or "",
        space="MNI152NLin6Asym",
        tr_seconds=2.0,
        root=Path("/data"),
    )


RUNS = [
    _run(
        f"sub-01_ses-{ses}_task-{task}_dir-{dir_}_run-{run}_space-X_res-2_desc-preproc_bold.nii.gz"
    )
    for ses, task, dir_, run in [
        ("a", "rest", "AP", "1"),
        ("a", "rest", "PA", "2"),
        ("b", "rest", "AP", "1"),
        ("b", "restEyes", "AP", "1"),
    ]
]


@pytest.mark.parametrize(
    ("combine", "titles"),
    [
        (
            "run",
            [
                "sub-01_ses-a_task-rest_dir-AP_run-1",
                "sub-01_ses-a_task-rest_dir-PA_run-2",
                "sub-01_ses-b_task-restEyes_dir-AP_run-1",
                "sub-01_ses-b_task-rest_dir-AP_run-1",
            ],
        ),
        (
            "session",
            [
                "sub-01_ses-a_task-rest",
                "sub-01_ses-b_task-rest_dir-AP",
                "sub-01_ses-b_task-restEyes_dir-AP",
            ],
        ),
        ("participant", ["sub-01_task-rest", "sub-01_task-restEyes_dir-AP"]),
    ],
)
def test_titles(combine, titles):
    assert sorted(average.title for average in plan_averages(RUNS, combine)) == sorted(
        titles
    )


@given(
    order=st.permutations(range(len(RUNS))),
    combine=st.sampled_from(["run", "session", "participant"]),
)
def test_every_run_is_in_one_set_whatever_the_order(order, combine):
    averages = plan_averages([RUNS[index] for index in order], combine)
    assert averages == plan_averages(RUNS, combine)
    assert sorted(run.bold for average in averages for run in average.runs) == sorted(
        r.bold for r in RUNS
    )
    assert len({average.title for average in averages}) == len(averages)
    assert all(len({run.task for run in average.runs}) == 1 for average in averages)


def test_a_second_run_does_not_rename_the_first():
    (alone,) = plan_averages(
        [_run("sub-01_task-rest_run-1_space-X_bold.nii.gz")], "session"
    )
    assert alone.title == "sub-01_task-rest"


def test_names_of_a_run_keep_all_but_storage():
    assert run_entities(RUNS[0]) == {
        "sub": "01",
        "ses": "a",
        "task": "rest",
        "dir": "AP",
        "run": "1",
    }
    configured = (
        "sub-01_ses-V02_hash-0f306a2f_task-rest_dir-PA_run-1_space-X_bold.nii.gz"
    )
    (alone,) = plan_averages([_run(configured)], "session")
    assert alone.title == "sub-01_ses-V02_hash-0f306a2f_task-rest_dir-PA"


def _frames(number: int) -> np.ndarray:
    return np.ones((*TINY_SHAPE, number), np.int16)


@pytest.mark.parametrize(
    ("frames", "joined"),
    [
        ({"": 60, "run-1": 30, "run-2": 30}, True),
        ({"": 56, "run-1": 30, "run-2": 30}, True),  # without the first frames of each
        ({"": 30, "run-2": 30, "run-3": 30}, False),  # a first run without a number
        ({"": 30, "run-2": 30}, False),
    ],
)
def test_a_run_that_joins_others_of_fmriprep_is_left_out_by_its_frames(
    tmp_path, frames, joined
):
    job = TinyJob(tmp_path, ())
    for entities, number in frames.items():
        add_run(job.bids, entities=entities, bold=_frames(number), affine=TINY_AFFINE)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        runs = bids_dtg.find_runs(job.settings())
    assert len(runs) == len(frames) - joined
    assert [
        " is left out: it joins sub-01_task-rest_run-1" in str(warning.message)
        for warning in warned
    ] == ([True] * joined)


def test_a_file_in_the_folder_of_another_session_is_refused(tmp_path):
    job = TinyJob(tmp_path, ())
    add_run(job.bids, session="1")
    (job.bids / "sub-01/ses-1").rename(job.bids / "sub-01/ses-2")
    (run,) = bids_dtg.find_runs(job.settings())
    with pytest.raises(
        RunError, match=r"sub-01_ses-1_task\S+ .*its folder is that of ses-2\."
    ):
        plan_averages([run], "session")


@pytest.mark.slow
def test_averages_of_an_earlier_version_are_made_anew(tmp_path, capsys):
    job = TinyJob(tmp_path)
    assert job.run() == 0
    (path,) = (job.out / "logs/complete").glob("*.json")
    record = json.loads(path.read_text())
    name = "sub-01/func/sub-01_task-rest_left.txt"
    earlier = job.out / name
    earlier.write_text("x")
    record["Options"]["version"] = "0.0.1"
    record["Outputs"][name] = next(iter(record["Outputs"].values()))
    path.write_text(json.dumps(record))
    assert job.run("--dry-run") == 0
    assert (
        f"(option version changed (0.0.1 to {__version__}))" in capsys.readouterr().out
    )
    assert job.run() == 0
    assert "1 set of maps written, 0 already complete" in capsys.readouterr().err
    assert not earlier.exists()
