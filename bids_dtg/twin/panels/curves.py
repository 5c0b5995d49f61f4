"""Curves: response times and time series of the mean trial, of twin, person and group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.report.axes import Chart, line_chart
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.panels.panel import Canvas, Figure, Lines
from bids_dtg.twin.judging.scores import per_second
from bids_dtg.twin.panels.behaviour import behaviour_of
from bids_dtg.twin.panels.trial_series import FILE, Curve, Of, read_trial_series

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


def draw_trial_series(made: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the time series of the mean trial of each condition: share answered by each time."""
    return _draw(made, _time_series, _SERIES)


_TIMES = (
    "Distribution of response times, mean over the trials of each condition: share of trials "
    "answered per second. Misses are left out, so the area under a line is the share of answered "
    "trials."
)
_SERIES = (
    "Share of the mean trial that is answered by each time: above 0 with the correct button, below "
    "0 with another button. The remaining share at the end is missed."
)


def _draw(
    made: RunFiles, chart_of: Callable[[Sequence[Curve]], Chart | None], text: str
) -> Figure | None:
    path = made.files.get(FILE)
    curves = read_trial_series(path) if path else ()
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
    return Figure(pieces, f"{text} {_sources(curves)}") if pieces else None


def _trials(curves: Sequence[Curve]) -> str:
    return f"{max(curve.trials for curve in curves)} trials"


def _sources(curves: Sequence[Curve]) -> str:
    of = {curve.of for curve in curves}
    text = "Lines of models are predictions, not measurements." if of - {"person"} else ""
    return text if "person" in of else f"{text} The person has no responses."


def _densities(curves: Sequence[Curve]) -> Chart | None:
    series = _each(curves, _density)
    return line_chart(
        series, x_label=_SECONDS, y_label="share of trials per second", x_reach=(0.0,)
    )


def _density(curve: Curve) -> _Points:
    return per_second(curve.seconds, curve.answered)


def _time_series(curves: Sequence[Curve]) -> Chart | None:
    series = _each(curves, _buttons)
    return line_chart(
        series, x_label=_SECONDS, y_label="share of trials", x_reach=(0.0,), y_reach=(0.0, 1.0)
    )


def _buttons(curve: Curve) -> _Points:
    """Return two lines of one style: other buttons below 0, the correct button above 0."""
    gap = np.full(1, np.nan)
    seconds = np.concatenate([curve.seconds, gap, curve.seconds])
    return seconds, np.concatenate([curve.correct - curve.answered, gap, curve.correct])


def _each(curves: Sequence[Curve], points: Callable[[Curve], _Points]) -> dict[str, _Points]:
    """Return one line for each source, empty if absent, so that styles agree between charts."""
    found = {curve.of: points(curve) for curve in curves}
    nothing = np.full(1, np.nan), np.full(1, np.nan)
    return {title: found.get(of, nothing) for of, title in _TITLES.items()}
