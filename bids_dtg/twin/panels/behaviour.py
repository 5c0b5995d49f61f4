"""Behaviour of the twin, the person and the group in each task and condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from bids_dtg.array_types import Floats
from bids_dtg.files.names import FileKind
from bids_dtg.files.text import encoded, read_rows, tsv_text
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.figures import Figure, Picture, line_chart
from bids_dtg.report.presentation import Canvas
from bids_dtg.report.quality import number
from bids_dtg.report.tables import NOT_KNOWN, Cell, Table
from bids_dtg.twin.judging.scores import per_second

FILE = FileKind("behaviour", "twin", ".tsv")
EFFECT = "effect"  # the condition of the rows with differences between conditions
PREDICTED = "predicted_rt_seconds"
_OBSERVED = "observed_rt_seconds"


# A task and condition, or the second condition of a task minus the first: cells as text.
BehaviourRow = Mapping[str, str]
# Titles of the table's columns, in the order of the page; columns that are not times are shares.
_TITLES_OF: Mapping[str, str] = {
    PREDICTED: "Response time, twin (s)",
    _OBSERVED: "Person, mean (s)",
    "observed_median_rt_seconds": "Person, median (s)",
    "group_rt_seconds": "Group\N{RIGHT SINGLE QUOTATION MARK}s network (s)",
    "predicted_correct": "Correct, twin (%)",
    "observed_correct": "Correct, person (%)",
    "predicted_miss": "Missed, twin (%)",
    "observed_miss": "Missed, person (%)",
}


def behaviour_of(average: RunFiles) -> list[BehaviourRow]:
    """Read the table of an average; no rows where it is absent or damaged."""
    path = average.files.get(FILE)
    rows = read_rows(path) if path else []
    return [row for row in rows if row.get("task_name") and row.get("condition")]


def has(rows: Iterable[BehaviourRow], column: str) -> bool:
    """Return whether any row has a value of a column."""
    return any(number(row.get(column)) is not None for row in rows)


def draw(average: RunFiles, canvas: Canvas) -> Figure | None:
    """Lay out the table of an average without empty columns."""
    rows = behaviour_of(average)
    columns = [name for name in _TITLES_OF if has(rows, name)]
    if not columns:
        return None
    cells = []
    for row in rows:
        values = [_cell(row, name) for name in columns]
        cells.append((_name(row, rows), row.get("trials") or NOT_KNOWN, *values))
    headings = ("Task and condition", "Trials", *(_TITLES_OF[name] for name in columns))
    return Figure(caption=_caption(rows), parts=[Table("", headings, tuple(cells))])


def _name(row: BehaviourRow, rows: Sequence[BehaviourRow]) -> str:
    task, condition = row["task_name"], row["condition"]
    if condition != EFFECT:
        return f"{task}: {condition}"
    conditions_in_rows = [
        line["condition"] for line in rows if line["task_name"] == task
    ]
    conditions = list(
        dict.fromkeys(name for name in conditions_in_rows if name != EFFECT)
    )
    if len(conditions) < 2:
        return f"{task}: effect"
    return f"{task}: {conditions[1]} minus {conditions[0]}"


def _cell(row: BehaviourRow, name: str) -> Cell:
    value = number(row.get(name))
    return value if value is None or name.endswith("seconds") else 100 * value


def _caption(rows: Sequence[BehaviourRow]) -> str:
    borrowed = dict[str, None]()
    for row in rows:
        if row.get("own_sequence", "").lower() not in ("true", "1"):
            borrowed[row["task_name"]] = None
    text = ""
    if has(rows, PREDICTED):
        text = (
            "Behaviour of the network made from this connectome. Its response time is each "
            "trial\N{RIGHT SINGLE QUOTATION MARK}s mean, averaged over trials. "
        )
    if not has(rows, _OBSERVED):
        text += "The person has no responses to compare with. "
    elif has(rows, PREDICTED):
        text += "The person\N{RIGHT SINGLE QUOTATION MARK}s values are from the same trials. "
    if any(row["condition"] == EFFECT for row in rows):
        text += "Differences of shares are in percentage points. "
    if borrowed:
        text += (
            f"Trials of {' and '.join(borrowed)} are those of another participant, as the person "
            "has no readable event file."
        )
    return text.strip()


# Source of a curve: the network made from the person's connectome, the person, or the group's.
Of = Literal["twin", "person", "group"]

SERIES = FileKind("behaviour", "traces", ".tsv")
_SERIES_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    # Not "task": pybids takes a sidecar's key of that name for the entity, and refuses.
    "task_name": {"Description": "Task, by its name in the model or in the task file"},
    "condition": {"Description": "Condition of the trials that are averaged"},
    "of": {
        "Description": "Source of the curve",
        "Levels": {
            "twin": "network made from the person's connectome: predicted, not measured",
            "person": "the person: share of the scored trials",
            "group": "network of the group, without a connectome: predicted",
        },
    },
    "trials": {"Description": "Number of trials that are averaged"},
    "seconds": {"Description": "Time since the onset of a trial", "Units": "s"},
    "answered": {"Description": "Share of trials answered by this time, 0 to 1"},
    "correct": {
        "Description": "Share of trials answered with the correct button by this time; n/a where "
        "no trial has a correct button"
    },
}


@dataclass(frozen=True, eq=False)
class Curve:
    """Share of a condition's trials that is answered by each time."""

    task: str  # name
    condition: str  # name
    of: Of
    trials: int  # number of averaged trials
    seconds: Floats  # (times,), from the onset
    answered: Floats  # (times,), 0 to 1
    # (times,), likewise with the correct button; NaN where it is not known
    correct: Floats


def encode_trial_series(
    curves: Iterable[Curve], facts: Mapping[str, Any] | None = None
) -> tuple[bytes, dict[str, Any]]:
    r"""Return the table of an average's curves, and its sidecar.

    Parameters
    ----------
    curves
        Curves in the order of the page: by task and condition.
    facts
        Further content of the sidecar, as its sources.

    Examples
    --------
    >>> curve = Curve("go", "all", "twin", 9, np.array([0, 0.08]), np.array([0, 0.5]),
    ...     np.array([0, np.nan]))
    >>> encode_trial_series([curve])[0].decode().splitlines()[2].split("\t")
    ['go', 'all', 'twin', '9', '0.08', '0.5', 'n/a']
    """
    table = encoded(tsv_text(list(_SERIES_COLUMNS), _rows(curves)))
    return table, {
        "Description": "Share of the trials of each condition that is answered by each time, "
        "predicted by networks, and observed where the person has responses. Predictions are "
        "estimates, not measurements",
        **(facts or {}),
        **_SERIES_COLUMNS,
    }


def read_trial_series(path: Path) -> tuple[Curve, ...]:
    """Read a table of curves without damaged rows; no curves where it is absent or damaged."""
    points: dict[tuple[str, str, Of, int], list[Floats]] = {}
    for row in read_rows(path):
        key = _key(row)
        # None becomes NaN.
        values = np.array([number(row.get(name)) for name in _NUMBERS], float)
        if key is not None and np.isfinite(values[:2]).all():
            points.setdefault(key, []).append(values)
    return tuple(Curve(*key, *np.array(values).T) for key, values in points.items())


_NUMBERS = ("seconds", "answered", "correct")


def _rows(curves: Iterable[Curve]) -> Iterator[tuple[object, ...]]:
    for curve in curves:
        for values in zip(curve.seconds, curve.answered, curve.correct, strict=True):
            cells = (f"{value:.4g}" if np.isfinite(value) else None for value in values)
            yield (curve.task, curve.condition, curve.of, curve.trials, *cells)


def _key(row: Mapping[str, str]) -> tuple[str, str, Of, int] | None:
    """Return the key of a row's curve; None where the row is damaged."""
    task, condition = row.get("task_name"), row.get("condition")
    trials = number(row.get("trials"))
    of: Of | None = next((of for of in get_args(Of) if of == row.get("of")), None)
    if not task or not condition or of is None:
        return None
    if trials is None or not trials.is_integer():
        return None
    return task, condition, of, int(trials)


_TITLES: dict[Of, str] = {
    "twin": "twin",
    "person": "person",
    "group": "group\N{RIGHT SINGLE QUOTATION MARK}s network",
}
_Points = tuple[Floats, Floats]


def draw_times(average: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the distribution of response times of each condition."""
    axis = {"y_label": "share of trials per second", "reach": ((0.0,), ())}
    return _draw(average, _density, _TIMES, **axis)


def draw_trial_series(average: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the time series of each condition: share of trials answered by each time."""
    axis = {"y_label": "share of trials", "reach": ((0.0,), (0.0, 1.0))}
    return _draw(average, _buttons, _SERIES_WORDS, **axis)


_TIMES = (
    "Distribution of response times, averaged over the trials of each condition: share of trials "
    "answered per second. Misses are left out, so the area under a line is the share of answered "
    "trials."
)
_SERIES_WORDS = (
    "Share of trials answered by each time: above 0 with the correct button, below 0 with another "
    "button. The share that remains at the end is missed."
)


def _draw(
    average: RunFiles, points: Callable[[Curve], _Points], text: str, **axis: Any
) -> Figure | None:
    path = average.files.get(SERIES)
    curves = read_trial_series(path) if path else ()
    # In the order of the table above them.
    groups: dict[tuple[str, str], list[Curve]] = {
        (row["task_name"], row["condition"]): [] for row in behaviour_of(average)
    }
    for curve in curves:
        groups.setdefault((curve.task, curve.condition), []).append(curve)
    charts = []
    for (task, condition), condition_curves in groups.items():
        if condition_curves:
            title = f"{task}: {condition}"
            charts.append(_chart(condition_curves, points, title, **axis))
    parts = [chart for chart in charts if chart is not None]
    return Figure(caption=f"{text} {_sources(curves)}", parts=parts) if parts else None


def _sources(curves: Sequence[Curve]) -> str:
    sources = {curve.of for curve in curves}
    text = ""
    if sources - {"person"}:
        text = "Lines of models are predictions, not measurements."
    return text if "person" in sources else f"{text} The person has no responses."


def _density(curve: Curve) -> _Points:
    return per_second(curve.seconds, curve.answered)


def _buttons(curve: Curve) -> _Points:
    """Return two lines of one style: other buttons below 0, the correct button above 0."""
    gap = np.full(1, np.nan)
    seconds = np.concatenate([curve.seconds, gap, curve.seconds])
    return seconds, np.concatenate([curve.correct - curve.answered, gap, curve.correct])


def _chart(
    curves: Sequence[Curve], points: Callable[[Curve], _Points], where: str, **axis: Any
) -> Picture | None:
    """Draw one line for each source, empty if absent, so that styles agree between charts."""
    lines = {curve.of: points(curve) for curve in curves}
    empty = np.full(1, np.nan), np.full(1, np.nan)
    series = {title: lines.get(of, empty) for of, title in _TITLES.items()}
    title = f"{where} ({max(curve.trials for curve in curves)} trials)"
    seconds = "seconds from the onset"
    return line_chart(series, x_label=seconds, title=title, **axis)
