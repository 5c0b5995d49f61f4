"""The participants of a training: which trials each has, and who was left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.report.pages.analysis import Table
from bids_dtg.twin.participant.people import TwinPeople

PARTICIPANTS = "desc-participants_trials"
Row = dict[str, Any]
_PARTICIPANTS = (
    Column("participant_id", "Participant"),
    Column("used", "Whether the model was fitted to the participant"),
    Column(
        "set",
        "Set of --split-file: training, validation, calibration or test; all train without it",
    ),
    Column("reason", "Why the participant was not used"),
)
_OF_TASK = (
    Column("trials_{}", "Scored trials of the task {}, in all runs"),
    Column(
        "unscored_{}",
        "Trials of the task {} that are not scored: answers that are implausibly fast, or have a "
        "time or a button alone, and trials never seen",
    ),
    Column(
        "share_correct_{}",
        "Share of the scored trials of the task {} with the correct button; misses count as errors",
    ),
    Column(
        "below_chance_{}",
        "Whether that share is below one over the number of buttons of the task {}",
    ),
)
_UNREADABLE = Column("unreadable_runs", "Event files that could not be read")


def participants_table(people: TwinPeople) -> ResultTable:
    """Return the table of requested participants: trials, whether used, and why not."""
    trials = [column for task in people.tasks.tasks for column in _trial_columns(task.name)]
    return ResultTable(
        (*_PARTICIPANTS, *trials, _UNREADABLE),
        _participant_rows(people),
        "Requested participants: a row each",
    )


def trials_on_page(people: TwinPeople, labels: Sequence[str]) -> Table:
    """Return the page's table of the trials that a model was fitted to."""
    rows = []
    for task in people.tasks.tasks:
        own = [people.behaviour[label] for label in labels if people.behaviour[label].of(task)]
        row = (
            task.name,
            len(own),
            sum(person.scored(task) for person in own),
            sum(person.left_out(task) for person in own),
            float(np.nanmean([person.share_correct(task) for person in own])) if own else np.nan,
        )
        rows.append(row)
    columns = ("task", "participants", "scored trials", "trials not scored", "share correct")
    return Table("Trials that the model was fitted to", columns, rows)


def _trial_columns(task: str) -> tuple[Column, ...]:
    return tuple(column.of(task) for column in _OF_TASK)


def _participant_rows(people: TwinPeople) -> list[Row]:
    """Return the requested participants, a row each: trials, whether used, and why not."""
    set_of = {
        label: name for name, labels in dataclasses.asdict(people.split).items() for label in labels
    }
    return [
        {
            "participant_id": f"sub-{label}",
            "used": set_of.get(label) == "training",
            "set": set_of.get(label),
            "reason": people.left_out.get(label)
            or (None if label in set_of else "in no set of --split-file"),
            **_trials(people, label),
        }
        for label in (*people.labels, *people.left_out)
    ]


def _trials(people: TwinPeople, label: str) -> Row:
    own = people.behaviour.get(label)
    row: Row = {}
    for task in people.tasks.tasks:
        performed = own is not None and bool(own.of(task))
        assert own is not None or not performed
        row |= {
            f"trials_{task.name}": own.scored(task) if own else 0,
            f"unscored_{task.name}": own.left_out(task) if own else 0,
            f"share_correct_{task.name}": own.share_correct(task) if own and performed else None,
            f"below_chance_{task.name}": own.below_chance(task) if own and performed else None,
        }
    return row | {"unreadable_runs": len(own.troubles) if own else 0}
