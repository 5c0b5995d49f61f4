from __future__ import annotations

import pytest
from fmriprep_dataset import SPACE, add_run, describe_dataset

from bids_dtg.errors import RunError
from bids_dtg.inputs.dataset import find_dataset
from bids_dtg.inputs.selection import Selection
from bids_dtg.inputs.task.runs import find_task_runs

TASK = Selection(tasks=("nback",))


@pytest.fixture
def dataset(tmp_path):
    raw = describe_dataset(tmp_path / "raw", kind="raw")
    derivatives = describe_dataset(raw / "derivatives" / "fmriprep")
    for run in (1, 2):
        add_run(derivatives, session="a", task="nback", entities=f"run-{run}")
    add_run(derivatives, session="a", task="rest")
    return raw, derivatives


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("onset\tduration\ttrial_type\n")
    return path


def found(raw, space=SPACE):
    return find_task_runs(find_dataset(raw), "01", TASK, space)


def test_runs_of_the_task_have_their_event_files(dataset):
    raw, _ = dataset
    name = "sub-01_ses-a_task-nback_run-{}_events.tsv"
    paths = [touch(raw / "sub-01/ses-a/func" / name.format(run)) for run in ("01", "02")]
    runs = found(raw)
    assert [task.run.title for task in runs] == [
        f"sub-01_ses-a_task-nback_run-{run}" for run in (1, 2)
    ]
    assert [task.events for task in runs] == paths
    assert all(task.run.mask and task.run.confounds for task in runs)


def test_a_file_of_one_run_wins_over_one_of_all_runs(dataset):
    raw, _ = dataset
    shared = touch(raw / "task-nback_events.tsv")
    person = touch(raw / "sub-01/sub-01_task-nback_events.tsv")
    own = touch(raw / "sub-01/ses-a/func/sub-01_ses-a_task-nback_run-2_events.tsv")
    touch(raw / "sub-01/ses-a/func/sub-01_ses-a_task-other_run-1_events.tsv")
    assert [task.events for task in found(raw)] == [person, own]
    person.unlink()
    assert [task.events for task in found(raw)] == [shared, own]


def test_events_may_lie_beside_the_series_or_be_missing(dataset):
    raw, derivatives = dataset
    path = touch(derivatives / "sub-01/ses-a/func/sub-01_ses-a_task-nback_run-1_events.tsv")
    assert [task.events for task in found(raw)] == [path, None]


def test_the_raw_dataset_is_found_from_the_derivatives(dataset):
    raw, derivatives = dataset
    path = touch(raw / "task-nback_events.tsv")
    assert [task.events for task in found(derivatives)] == [path, path]


def test_another_space_is_refused_with_those_there_are(dataset):
    with pytest.raises(RunError, match="MNI152NLin6Asym:res-2"):
        found(dataset[0], "MNI152NLin2009cAsym")
