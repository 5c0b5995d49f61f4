"""Behaviour of the twin, the person and the group in each task and condition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bids_dtg.files.names import FileKind
from bids_dtg.files.text import read_rows
from bids_dtg.notices import counted
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.numbers import NOT_KNOWN, figure
from bids_dtg.report.panels.panel import Canvas, Figure, Listing
from bids_dtg.report.quality import number
from bids_dtg.twin.panels.own_trials import EVIDENCE, WORDS, OwnTrialsOfTask, read_own_trials

FILE = FileKind("behaviour", "twin", ".tsv")
OBSERVED_FILE = FileKind("behaviour", "observed", ".tsv")  # without a model: the person alone
EFFECT = "effect"  # the condition of the rows with differences between conditions
PREDICTED = "predicted_rt_seconds"
_OBSERVED = "observed_rt_seconds"
_SD = "predicted_rt_sd_seconds"


@dataclass(frozen=True)
class BehaviourRow:
    """One task and condition; or the second condition of a task less the first."""

    task: str  # name
    condition: str  # name, or `EFFECT`
    trials: str  # number of trials, as text
    own_sequence: bool  # whether the trials are the person's own
    source: str  # what the prediction is made from; empty: own trials were not asked for
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
            source=row.get("predicted_from") or "",
            values={name: number(row.get(name)) for name in (*_NAMES, _SD)},
        )
        for row in read_rows(path)
        if row.get("task_name") and row.get("condition")
    )


def behaviour_of(made: RunFiles) -> tuple[BehaviourRow, ...]:
    """Read the table of an average, with a model or without; no rows where there is none."""
    path = made.files.get(FILE) or made.files.get(OBSERVED_FILE)
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
    known = read_own_trials(made.facts)
    shown = tuple(
        (_name(row, rows), *_source(row, known), row.trials, *_cells(row, first, columns))
        for row, first in zip(rows, _first_of_condition(rows), strict=True)
    )
    sources = ("Predicted from",) if known else ()
    titles = (column.title for column in columns)
    if known:  # not all of them are of twins
        titles = (title.replace("twin", "predicted") for title in titles)
    headings = ("Task and condition", *sources, "Trials", *titles)
    return Figure(
        (Listing(headings, shown),), f"{_caption(rows, known)} {_own_trials(known)}".strip()
    )


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


def _source(row: BehaviourRow, known: Sequence[OwnTrialsOfTask]) -> tuple[str, ...]:
    return (WORDS.get(row.source, row.source),) if known else ()


def _first_of_condition(rows: Sequence[BehaviourRow]) -> list[bool]:
    """Return which rows are the first of their task and condition."""
    keys = [(row.task, row.condition) for row in rows]
    return [key not in keys[:place] for place, key in enumerate(keys)]


def _cells(row: BehaviourRow, first: bool, columns: Sequence[_Column]) -> Iterator[str]:
    """Yield the cells of a row; what is the same in all rows of a condition stands in the first."""
    for column in columns:
        yield _cell(row, column) if first or column.name.startswith("predicted_") else ""


def _cell(row: BehaviourRow, column: _Column) -> str:
    value = row.values.get(column.name)
    if value is None:
        return NOT_KNOWN
    if column.share:
        return f"{figure(100 * value, column.decimals)} %"
    spread = row.values.get(_SD) if column.name == PREDICTED else None
    more = "" if spread is None else f" \N{PLUS-MINUS SIGN} {figure(spread, column.decimals)}"
    return f"{figure(value, column.decimals)}{more}"


def _caption(rows: Sequence[BehaviourRow], known: Sequence[OwnTrialsOfTask]) -> str:
    borrowed = list(dict.fromkeys(row.task for row in rows if not row.own_sequence))
    text = ""
    if has(rows, PREDICTED):
        text = (
            "Behaviour of the network made from this connectome: its response time is the mean "
            "over trials of each trial\N{RIGHT SINGLE QUOTATION MARK}s mean. "
        )
    if known and all(own.sources == ("closed_form",) for own in known):
        text = (
            "Behaviour as predicted from own trials, without a network. A response time is the "
            "mean over trials of each trial\N{RIGHT SINGLE QUOTATION MARK}s mean. "
        )
    elif known:
        text = (
            "Behaviour of the network whose code is made from this connectome, from the "
            "person\N{RIGHT SINGLE QUOTATION MARK}s own trials, or from both; and as predicted "
            "from own trials without a network. A response time is the mean over trials of each "
            "trial\N{RIGHT SINGLE QUOTATION MARK}s mean. "
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


def _own_trials(known: Sequence[OwnTrialsOfTask]) -> str:
    """Explain what is known of the person, and what needs no network."""
    if not known:
        return ""
    first = "; ".join(
        f"{counted(own.known, 'first trial')} of {own.task}, which leave {own.predicted}"
        for own in known
    )
    later = f"Known are {first}. Rows of these tasks are of the trials after the known ones"
    if all(own.sources == ("closed_form",) for own in known):
        return f"{later}."
    return (
        f"{later}, and \N{PLUS-MINUS SIGN} is a standard deviation by the posterior of the "
        "person's pace, practice, conditions and code. Own trials without a network do as well on "
        f"real people: {EVIDENCE}."
    )
