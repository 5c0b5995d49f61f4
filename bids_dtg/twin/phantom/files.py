"""Simulated people as files: connectomes, event files in BIDS, and the truth as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from bids_dtg.files.text import write_json, write_tsv
from bids_dtg.phantom.regions import write_arrays, write_participants
from bids_dtg.twin.bold_runs import BoldRun
from bids_dtg.twin.phantom.bold import REGIONS, TR_SECONDS
from bids_dtg.twin.phantom.people import TwinPeople
from bids_dtg.twin.phantom.world import PARAMETERS, TASKS, TrialSequence
from bids_dtg.twin.trials import Trials

_BUTTON = "response"  # a column that the real files lack: which button was pressed


def write_twin_people(
    folder: Path,
    people: TwinPeople,
    sequences: Sequence[TrialSequence],
    runs: Sequence[Sequence[Trials]],
    bold: Sequence[Sequence[BoldRun]] | None = None,
) -> None:
    """Write simulated people in the form of real data, and the truth.

    Parameters
    ----------
    folder
        Folder that gets ``connectomes.npz`` with ``people`` (labels), ``places`` (names of
        regions) and ``edges`` (people, edges), the upper triangle row by row, Fisher z; ``bids``, a
        raw dataset with an event file for each run, with the columns of the real ones and the
        button as ``response``;
        ``truth.tsv``, one row per person: true parameters, mean response times and shares of
        correct responses.
    people
        Simulated people, with their connectomes.
    sequences
        Trial sequences that they performed.
    runs
        Trials of each person that `TwinPeople.runs` returned for these sequences.
    bold
        BOLD of these runs, for ``task_bold.npz``; None: none.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bids_dtg.twin.phantom.people import simulate_twin_people
    >>> from bids_dtg.twin.phantom.world import trial_sequence
    >>> people, stroop = simulate_twin_people(2, "easy", regions=10, seed=1), [
    ...     trial_sequence("stroopAP")
    ... ]
    >>> with TemporaryDirectory() as name:
    ...     write_twin_people(Path(name), people, stroop, people.runs(stroop, seed=1))
    ...     sorted(path.name for path in Path(name).iterdir())
    ['bids', 'connectomes.npz', 'truth.tsv']
    """
    regions = people.world.regions
    names = (*REGIONS, *(f"r{region:03d}" for region in range(len(REGIONS), regions)))
    if bold is not None:
        write_task_bold(folder / "task_bold.npz", people, names, sequences, bold)
    write_arrays(
        folder / "connectomes.npz", people.labels, names, edges=people.connectomes
    )
    write_truth(folder / "truth.tsv", people)
    bids = folder / "bids"
    content = {
        "Name": "Simulated twins",
        "BIDSVersion": "1.8.0",
        "DatasetType": "raw",
        "Simulated": True,
    }
    write_json(bids / "dataset_description.json", content)
    write_events(bids, people, sequences, runs)


def write_events(
    root: Path,
    people: TwinPeople,
    sequences: Sequence[TrialSequence],
    runs: Sequence[Sequence[Trials]],
) -> None:
    """Write ``participants.tsv`` and event files into a raw dataset."""
    write_participants(root / "participants.tsv", people.labels, {})
    for label, person_runs in zip(people.labels, runs, strict=True):
        name = f"sub-{label}"
        for sequence, trials in zip(sequences, person_runs, strict=True):
            path = (
                root / name / "func" / f"{name}_task-{sequence.name}_run-01_events.tsv"
            )
            write_tsv(path, [*sequence.rows[0], _BUTTON], _event_rows(sequence, trials))


def write_task_bold(
    path: Path,
    people: TwinPeople,
    regions: Sequence[str],
    sequences: Sequence[TrialSequence],
    bold: Sequence[Sequence[BoldRun]],
) -> None:
    """Write task BOLD (`simulate_bold`) for ``--input-arrays``; only `REGIONS` have it.

    Parameters
    ----------
    path, people, regions, sequences
        As in `write_arrays` and `write_events`.
    bold
        BOLD of each person's runs.
    """
    frames = max(len(run.values) for runs in bold for run in runs)
    values = np.full(
        (len(bold), len(sequences), len(regions), frames), np.nan, np.float32
    )
    places = [list(regions).index(name) for name in REGIONS]
    for person_values, runs in zip(values, bold, strict=True):
        for run_values, run in zip(person_values, runs, strict=True):
            run_values[places, : len(run.values)] = run.values.T
    names = np.array([sequence.name for sequence in sequences])
    arrays = {
        "task_bold": values,
        "task_bold_runs": names,
        "task_bold_tr_seconds": TR_SECONDS,
    }
    write_arrays(path, people.labels, regions, **arrays)


def write_truth(path: Path, people: TwinPeople) -> None:
    """Write a table of true parameters, mean response times and shares of correct responses."""
    names = [name.replace(" ", "_").replace("-", "_") for name in PARAMETERS]
    columns = dict(zip(names, people.parameters.T, strict=True))
    for measure, find in (
        ("mean_rt_seconds", people.mean_rt_seconds),
        ("share_correct", people.share_correct),
    ):
        for task, conditions in TASKS.items():
            for condition, values in zip(conditions, find(task).T, strict=True):
                columns[f"{measure}_{condition}"] = values
    write_participants(path, people.labels, columns)


def _event_rows(sequence: TrialSequence, trials: Trials) -> Iterable[list[object]]:
    """Yield the sequence's rows with a person's responses, in the columns of real files."""
    for row, rt, correct, button in zip(
        sequence.rows, trials.rt_seconds, trials.correct, trials.button, strict=True
    ):
        answered = {
            **row,
            "response_time": "n/a" if math.isnan(rt) else repr(float(rt)),
            "accuracy_binarized": str(float(correct)),
            _BUTTON: trials.task.buttons[button] if button >= 0 else "n/a",
        }
        yield list(answered.values())
