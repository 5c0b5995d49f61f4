"""Curves: response times and traces of the mean trial, by the twin, the person and the group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.report.axes import Chart, line_chart
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.panels.panel import Canvas, Figure, Lines
from bids_dtg.twin.curves import per_second
from bids_dtg.twin.panels.behaviour import behaviour_of
from bids_dtg.twin.panels.traces import FILE, Curve, Of, read_traces

Values = NDArray[np.floating[Any]]
_TITLES: dict[Of, str] = {
    "twin": "twin",
    "person": "person",
    "group": "group\N{RIGHT SINGLE QUOTATION MARK}s network",
}
_SECONDS = "seconds from the onset"
_Points = tuple[Values, Values]


def draw_times(made: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the distribution of response times of each condition."""
    return _draw(made, _densities, _TIMES)


def draw_traces(made: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw by when the mean trial of each condition is answered, with which button."""
    return _draw(made, _traces, _TRACES)


_TIMES = (
    "How the response times of a trial are spread, mean over the trials of each condition: the "
    "share of trials that are answered in each second around a time. Misses are left out, so that "
    "the area under a line is the share that is answered."
)
_TRACES = (
    "By when the mean trial is answered: above 0 with the correct button, below 0 with another. "
    "What both lines lack of 1 at the end is missed."
)


def _draw(
    made: RunFiles, chart_of: Callable[[Sequence[Curve]], Chart | None], text: str
) -> Figure | None:
    path = made.files.get(FILE)
    curves = read_traces(path) if path else ()
    # In the order of the table above them.
    groups: dict[tuple[str, str], list[Curve]] = {
        (row.task, row.condition): [] for row in behaviour_of(made)
    }
    for curve in curves:
        groups.setdefault((curve.task, curve.condition), []).append(curve)
    pieces = tuple(
        Lines(f"{task}: {condition} ({_trials(found)})", chart)
        for (task, condition), found in groups.items()
        if found and (chart := chart_of(found)) is not None
    )
    return Figure(pieces, f"{text} {_whose(curves)}") if pieces else None


def _trials(curves: Sequence[Curve]) -> str:
    return f"{max(curve.trials for curve in curves)} trials"


def _whose(curves: Sequence[Curve]) -> str:
    of = {curve.of for curve in curves}
    text = "Lines of networks are predictions, not measurements." if of - {"person"} else ""
    return text if "person" in of else f"{text} The person has no responses."


def _densities(curves: Sequence[Curve]) -> Chart | None:
    series = _each(curves, _density)
    return line_chart(
        series, x_label=_SECONDS, y_label="share of trials per second", x_reach=(0.0,)
    )


def _density(curve: Curve) -> _Points:
    return per_second(curve.seconds, curve.answered)


def _traces(curves: Sequence[Curve]) -> Chart | None:
    series = _each(curves, _buttons)
    return line_chart(
        series, x_label=_SECONDS, y_label="share of trials", x_reach=(0.0,), y_reach=(0.0, 1.0)
    )


def _buttons(curve: Curve) -> _Points:
    """Return two lines of one style: below 0 of another button, and above of the correct one."""
    gap = np.full(1, np.nan)
    seconds = np.concatenate([curve.seconds, gap, curve.seconds])
    return seconds, np.concatenate([curve.correct - curve.answered, gap, curve.correct])


def _each(curves: Sequence[Curve], points: Callable[[Curve], _Points]) -> dict[str, _Points]:
    """Return the line of each of all three, so that each has its own style on every chart."""
    found = {curve.of: points(curve) for curve in curves}
    nothing = np.full(1, np.nan), np.full(1, np.nan)
    return {title: found.get(of, nothing) for of, title in _TITLES.items()}
