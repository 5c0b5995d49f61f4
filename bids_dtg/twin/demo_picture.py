"""The picture of a twin's predictions: people's response times, and some trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.report.demo import draw_two_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

Values = NDArray[np.floating[Any]]

_HEIGHT_INCHES = 8.2
# Okabe and Ito's colours, which people with any colour vision can distinguish.
_FIRST, _SECOND, _LINE = "#0072B2", "#D55E00", "#555555"


@dataclass(frozen=True, eq=False)
class PredictedPanel:
    """One figure of people: predicted against observed."""

    name: str  # with its unit, for the axes
    observed: Values  # (people,)
    predicted: Values  # (people,)
    group_mean: float  # of the people that the prediction was fitted to
    words: str  # the title


@dataclass(frozen=True)
class PredictionRow:
    """Correlation of one prediction with the observed figure."""

    name: str
    r: float  # over people; NaN: it is the same for everybody
    low: float  # of the 95 % interval
    high: float
    words: str  # written next to it
    marked: bool = False  # in the second colour: the subject of the picture


@dataclass(frozen=True)
class ShownTrial:
    """A trial as a person saw it, with the person's response."""

    onset_seconds: float
    word: str
    ink: str  # a colour's name
    press_seconds: float  # after the onset; NaN: none
    pressed: str  # a colour's name; "": none, or not known


@dataclass(frozen=True, eq=False)
class SeriesPanel:
    """Some trials of one person, with the outputs of the person's twin."""

    words: str  # the title
    seconds: Values  # (steps,), of the run
    buttons: tuple[str, ...]  # colours' names
    outputs: Values  # (steps, buttons), from 0 to 1
    trials: tuple[ShownTrial, ...]


def draw_twin(
    people: PredictedPanel,
    rows: Sequence[PredictionRow],
    trial_series: Sequence[SeriesPanel],
    *,
    title: str,
    ceiling: float,
) -> bytes | None:
    """Draw predicted against observed figures, all predictions, and trials.

    The picture is a PNG file; None if matplotlib is not installed. `ceiling` is the noise ceiling
    of r.
    """

    def draw(top: SubFigure, bottom: SubFigure) -> None:
        axes = top.subplots(1, 2)
        _draw_people(axes[0], people)
        _draw_rows(axes[1], rows, ceiling)
        places = bottom.subplots(len(trial_series), 1, sharex=True, squeeze=False)[:, 0]
        for place, panel in zip(places, trial_series, strict=True):
            _draw_series(place, panel)
        places[-1].set_xlabel("time in the run (s)")

    return draw_two_rows(draw, title=title, height_inches=_HEIGHT_INCHES, heights=(1.0, 0.95))


def _draw_people(axes: Axes, panel: PredictedPanel) -> None:
    axes.scatter(panel.observed, panel.predicted, s=16, color=_SECOND, alpha=0.7, linewidths=0)
    ends = (float(np.nanmin(panel.observed)), float(np.nanmax(panel.observed)))
    axes.plot(ends, ends, color=_LINE, linewidth=1, linestyle="--", label="exact")
    axes.axhline(panel.group_mean, color=_FIRST, linewidth=1, label="group mean")
    axes.set_xlabel(f"observed {panel.name}")
    axes.set_ylabel(f"predicted {panel.name}")
    axes.set_title(panel.words, fontsize=9, loc="left")
    axes.legend(fontsize=8, loc="upper left", framealpha=0.9)


def _draw_rows(axes: Axes, rows: Sequence[PredictionRow], ceiling: float) -> None:
    for place, row in enumerate(rows):
        colour = _SECOND if row.marked else _FIRST
        if np.isfinite(row.r):
            axes.plot([row.low, row.high], [place, place], color=colour, linewidth=1.5)
            axes.plot([row.r], [place], "o", color=colour, markersize=6)
        axes.annotate(
            row.words, (0.02, place - 0.24), xycoords=("axes fraction", "data"), fontsize=7.5
        )
    axes.axvline(0.0, color=_LINE, linewidth=0.8)
    if np.isfinite(ceiling):
        axes.axvline(ceiling, color=_LINE, linewidth=0.8, linestyle="--")
    axes.set_xlim(-1.0, 1.05)
    axes.set_xticks([-1.0, -0.5, 0.0, 0.5, 1.0])
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=8)
    axes.set_xlabel("Pearson r with the observed one")
    axes.set_title("r, 95 % over people; dashed: noise ceiling", fontsize=9, loc="left")


def _draw_series(axes: Axes, panel: SeriesPanel) -> None:
    axes.set_title(panel.words, fontsize=9, loc="left")
    for column, name in enumerate(panel.buttons):
        axes.plot(panel.seconds, panel.outputs[:, column], color=_colour(name), linewidth=1.6)
    for trial in panel.trials:
        axes.axvline(trial.onset_seconds, color=_LINE, linewidth=0.6, linestyle=":")
        axes.text(
            trial.onset_seconds + 0.06,
            1.32,
            trial.word.upper(),
            color=_colour(trial.ink),
            fontsize=11,
            fontweight="bold",
            va="center",
        )
        _draw_press(axes, trial)
    axes.set_ylim(-0.05, 1.55)
    axes.set_xlim(float(panel.seconds[0]), float(panel.seconds[-1]))
    axes.set_yticks([0.0, 0.5, 1.0])
    axes.set_ylabel("button is down")


def _draw_press(axes: Axes, trial: ShownTrial) -> None:
    """Mark the time of the person's press in the button's colour."""
    at = trial.onset_seconds + trial.press_seconds
    if np.isfinite(at):
        colour = _colour(trial.pressed) if trial.pressed else _LINE
        axes.plot([at], [1.12], marker="v", color=colour, markersize=9, markeredgecolor="black")


# Colours of a task's inks by name; other names get the colour of lines.
_INKS = {"red": "#CC3311", "green": "#117733", "blue": "#0077BB"}


def _colour(name: str) -> str:
    return _INKS.get(name, _LINE)
