"""Behaviour of the twin, the person and the group in each task and condition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bids_dtg.files.names import FileKind
from bids_dtg.files.text import read_rows
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.numbers import NOT_KNOWN, figure
from bids_dtg.report.panels.panel import Canvas, Figure, Listing
from bids_dtg.report.quality import number

FILE = FileKind("behaviour", "twin", ".tsv")
EFFECT = "effect"  # the condition of the rows with differences between conditions
PREDICTED = "predicted_rt_seconds"
_OBSERVED = "observed_rt_seconds"


@dataclass(frozen=True)
class BehaviourRow:
    """One task and condition; or the second condition of a task less the first."""

    task: str  # name
    condition: str  # name, or `EFFECT`
    trials: str  # number of trials, as text
    own_sequence: bool  # whether the trials are the person's own
    values: Mapping[str, float | None] = field(default_factory=dict)  # by column; None: not known


@dataclass(frozen=True)
class _Column:
    """A column of the page, in the order of the page."""

    name: str  # in the table
    title: str
    decimals: int = 3
    share: bool = False  # whether it is shown in percent


_COLUMNS = (
    _Column(PREDICTED, "Response time, twin (s)"),
    _Column(_OBSERVED, "Person, mean (s)"),
    _Column("observed_median_rt_seconds", "Person, median (s)"),
    _Column("group_rt_seconds", "Group\N{RIGHT SINGLE QUOTATION MARK}s network (s)"),
    _Column("predicted_correct", "Correct, twin", 1, True),
    _Column("observed_correct", "Correct, person", 1, True),
    _Column("predicted_miss", "Missed, twin", 1, True),
    _Column("observed_miss", "Missed, person", 1, True),
)


_NAMES = tuple(column.name for column in _COLUMNS)


def read_behaviour(path: Path) -> tuple[BehaviourRow, ...]:
    """Read the table of an average; no rows where it is absent or damaged."""
    return tuple(
        BehaviourRow(
            task=row["task_name"],
            condition=row["condition"],
            trials=row.get("trials") or NOT_KNOWN,
            own_sequence=row.get("own_sequence", "").lower() in ("true", "1"),
            values={name: number(row.get(name)) for name in _NAMES},
        )
        for row in read_rows(path)
        if row.get("task_name") and row.get("condition")
    )


def behaviour_of(made: RunFiles) -> tuple[BehaviourRow, ...]:
    """Read the table of an average; no rows where there is none."""
    path = made.files.get(FILE)
    return read_behaviour(path) if path else ()


def has(rows: Iterable[BehaviourRow], column: str) -> bool:
    """Return whether any row has a value of a column."""
    return any(row.values.get(column) is not None for row in rows)


def draw(made: RunFiles, canvas: Canvas) -> Figure | None:
    """Lay out the table of an average without empty columns."""
    rows = behaviour_of(made)
    columns = [column for column in _COLUMNS if has(rows, column.name)]
    if not columns:
        return None
    shown = tuple(
        (_name(row, rows), row.trials, *(_cell(row, column) for column in columns)) for row in rows
    )
    headings = ("Task and condition", "Trials", *(column.title for column in columns))
    return Figure((Listing(headings, shown),), _caption(rows))


def _name(row: BehaviourRow, rows: Sequence[BehaviourRow]) -> str:
    if row.condition != EFFECT:
        return f"{row.task}: {row.condition}"
    first, second = _compared(row.task, rows)
    return f"{row.task}: {second} less {first}" if second else f"{row.task}: effect"


def _compared(task: str, rows: Sequence[BehaviourRow]) -> tuple[str, str]:
    """Return the two conditions of a task that its effect is of; empty where there are none."""
    names = (row.condition for row in rows if row.task == task and row.condition != EFFECT)
    found = list(dict.fromkeys(names))
    return (found[0], found[1]) if len(found) > 1 else ("", "")


def _cell(row: BehaviourRow, column: _Column) -> str:
    value = row.values.get(column.name)
    if value is None:
        return NOT_KNOWN
    if column.share:
        return f"{figure(100 * value, column.decimals)} %"
    return figure(value, column.decimals)


def _caption(rows: Sequence[BehaviourRow]) -> str:
    borrowed = list(dict.fromkeys(row.task for row in rows if not row.own_sequence))
    text = ""
    if has(rows, PREDICTED):
        text = (
            "Behaviour of the network made from this connectome: its response time is the mean "
            "over trials of each trial\N{RIGHT SINGLE QUOTATION MARK}s mean. "
        )
    if not has(rows, _OBSERVED):
        text += "The person has no responses to compare with. "
    elif has(rows, PREDICTED):
        text += "The person\N{RIGHT SINGLE QUOTATION MARK}s values are of the same trials. "
    if any(row.condition == EFFECT for row in rows):
        text += "Differences of shares are in percentage points. "
    if borrowed:
        text += (
            f"Trials of {' and '.join(borrowed)} are those of another participant, as the person "
            "has no readable event file."
        )
    return text.strip()
