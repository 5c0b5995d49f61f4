"""Task BOLD: its table, and what is read back from the output and from arrays."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import twin_people
from array_people import write
from fmriprep_dataset import add_run, describe_dataset
from twin_bundle import tiny_fitted_twin, write_tiny_twin
from twin_people import (
    LABELS,
    PARCELS,
    REGIONS,
    arguments,
    edges,
    events_of,
    write_sets,
    write_twins,
)

from bids_dtg.cli.run import main
from bids_dtg.errors import DatasetError, RunError
from bids_dtg.inputs import events
from bids_dtg.inputs.runs import find_runs
from bids_dtg.inputs.selection import Selection
from bids_dtg.twin.bold_runs import BoldRun
from bids_dtg.twin.participant.task_bold import (
    encode_task_bold,
    read_task_bold,
    with_event_files,
)
from bids_dtg.twin.participant.twin_participants import TwinParticipants

TASKS = ("hammerAP", "stroopAP")
NAMES = ("amygdala", "motor")
FRAMES = 9


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_twins(tmp_path)


def people_of(folder: Path, **options: Any) -> TwinParticipants:
    """Return people of the output, or of given files of arrays."""
    return twin_people.people_of(folder, **{"input_arrays": (), **options})


def a_run(seed: int, regions: int = len(NAMES)) -> BoldRun:
    values = (
        np.random.default_rng(seed).normal(size=(FRAMES, regions)).astype(np.float32)
    )
    values[2] = np.nan
    return BoldRun(values, 0.8, 0.4)


def write_run(
    folder: Path, label: str, task: str, bold: BoldRun, names: tuple[str, ...] = NAMES
) -> Path:
    """Write a run as the participant level does."""
    name = (
        f"sub-{label}_task-{task}_run-01_space-MNI6_atlas-Tiny_desc-task_timeseries.tsv"
    )
    path = folder / "out" / f"sub-{label}" / "func" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    events = PurePosixPath(events_of(folder, label, task).relative_to(folder / "bids"))
    atlas = {"SHA256": "abc"}
    table, facts = encode_task_bold(names, bold, events, Atlas=atlas)
    path.write_bytes(table)
    path.with_suffix(".json").write_text(json.dumps(facts))
    return path


def same(found: BoldRun | None, expected: BoldRun) -> bool:
    return found is not None and (
        np.array_equal(found.values, expected.values, equal_nan=True)
        and (found.tr_seconds, found.start_seconds)
        == (expected.tr_seconds, expected.start_seconds)
    )


def test_a_run_comes_back_as_it_was_written(folder):
    names, found = read_task_bold(write_run(folder, LABELS[0], "stroopAP", a_run(0)))
    assert names == NAMES
    assert found.values.dtype == np.float32
    assert same(found, a_run(0))


def test_runs_of_trials_have_the_series_of_their_event_files(folder):
    write_sets(folder / "out")
    assert people_of(folder).task_bold is None
    for seed, label in enumerate(LABELS[:2]):
        write_run(folder, label, "stroopAP", a_run(seed))
    write_run(folder, LABELS[1], "hammerAP", a_run(5))
    people = people_of(folder)
    (second, first, third) = people.bold([LABELS[1], LABELS[0], LABELS[2]])
    assert [trials.task.name for trials in people.runs([LABELS[1]])[0]] == [
        "faces",
        "stroop",
    ]
    assert same(second[0], a_run(5))
    assert same(second[1], a_run(1))
    assert first[0] is None
    assert same(first[1], a_run(0))
    assert third == (None, None)
    assert people.task_bold.regions == NAMES
    assert people.notes == ("BOLD in 3 of 12 runs of trials, of 2 of 6 participants",)
    alone = people_of(folder, task_file=("stroop",), participant_label=LABELS[:1])
    assert same(alone.bold(LABELS[:1])[0][0], a_run(0))


def test_series_of_other_parcels_are_refused_by_name(folder):
    write_sets(folder / "out")
    write_run(folder, LABELS[0], "stroopAP", a_run(0))
    other = write_run(folder, LABELS[1], "stroopAP", a_run(1, 3), ("a", "b", "c"))
    people = people_of(folder)
    with pytest.raises(
        DatasetError, match=f"{other.name} has 3 parcels, and they are not those"
    ):
        people.bold(LABELS[:2])
    other.with_suffix(".json").write_text('{"StartTime": 0}')
    with pytest.raises(
        DatasetError, match=f"the sidecar of .*{other.name} lacks times"
    ):
        people.bold(LABELS[:2])


@pytest.mark.slow
def test_bold_of_two_atlases_stops_only_who_uses_it(folder):
    write_sets(folder / "out")
    path = write_run(folder, LABELS[0], "stroopAP", a_run(0))
    for each in (path, path.with_suffix(".json")):
        other = each.with_name(each.name.replace("atlas-Tiny", "atlas-Other"))
        other.write_bytes(each.read_bytes())
    with pytest.raises(DatasetError, match="Other"):
        people_of(folder)
    model = write_tiny_twin(
        folder / "model", tiny_fitted_twin(edges=28), regions=PARCELS
    )
    more = ("--model", str(model.path), "--dry-run")
    assert main(arguments(folder, folder / "out", "evaluate", *more, arrays=None)) == 0


def with_arrays(folder: Path, **changed: Any) -> TwinParticipants:
    values = (
        np.random.default_rng(0).normal(size=(3, 2, REGIONS, FRAMES)).astype(np.float32)
    )
    values[0, 1, :, 7:] = np.nan  # a shorter run
    values[1, 0] = np.nan  # a run that was not done
    arrays = {
        "people": np.array(LABELS[:3]),
        "task_bold": values,
        "task_bold_runs": np.array(TASKS[::-1]),
        "task_bold_tr_seconds": np.array(0.8),
        **changed,
    }
    paths = [folder / "connectomes.npz", write(folder / "tasks.npz", **arrays)]
    return people_of(folder, input_arrays=tuple(map(str, paths)))


def test_runs_of_arrays_belong_to_the_event_files_of_their_task(folder):
    people = with_arrays(folder)
    values = people.source.arrays.task_bold.of(LABELS[0])
    (faces, stroop), (_, absent), nobody = people.bold(
        [LABELS[0], LABELS[1], LABELS[5]]
    )
    assert np.array_equal(faces.values, values[1].T[:7])
    assert np.array_equal(stroop.values, values[0].T)
    assert (stroop.tr_seconds, stroop.start_seconds) == (0.8, 0.0)
    assert absent is None
    assert nobody == (None, None)
    assert people.task_bold.regions == tuple(edges()["places"])


def test_a_second_event_file_of_a_task_leaves_open_which_is_meant(folder):
    path = events_of(folder, LABELS[0])
    other = path.read_text().replace("\n2.0\t", "\n2.1\t", 1)
    path.with_name(path.name.replace("run-01", "run-02")).write_text(other)
    people = with_arrays(folder)
    ((faces, first, second),) = people.bold(LABELS[:1])
    assert faces is not None
    assert (first, second) == (None, None)
    assert (
        f"1 participant with several event files of a task ({LABELS[0]})"
        in people.notes[-1]
    )


def test_two_event_files_of_a_run_are_refused_with_both_names(tmp_path):
    add_run(describe_dataset(tmp_path), task="stroopAP")
    runs = find_runs(tmp_path, "01", Selection(tasks=["stroopAP"]))
    name = "sub-01_task-stroopAP_events.tsv"
    paths = [tmp_path / "sub-01" / place / name for place in ("beh", "func")]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text("onset\n1\n")
    told = rf"two files may be the events of .*: {paths[0]} and {paths[1]}"
    with pytest.raises(RunError, match=told):
        list(with_event_files(runs, events.events_of(tmp_path / "sub-01", "01")))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.full((3, 2, REGIONS, FRAMES), np.inf),
            f"has infinite values for sub-{LABELS[0]}",
        ),
        (
            np.zeros((3, 2, REGIONS - 1, FRAMES)),
            "task_bold has 7 places, and .*places has 8",
        ),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(folder, values, message):
    with pytest.raises(DatasetError, match=message):
        with_arrays(folder, task_bold=values).bold(LABELS)
