"""The picture of a simulation study: parameters recovered against true ones, FC and spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.report.demo import draw_two_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase, SubFigure

Values = NDArray[np.floating[Any]]

_HEIGHT_INCHES = 7.2
# Okabe and Ito's colours, distinguishable with any colour vision.
_FIRST, _SECOND, _LINE = "#0072B2", "#D55E00", "#555555"
_CONNECTIVITY = "RdBu_r"
_MARGIN = 10.0  # factor by which the axis of power extends above and below observed values


@dataclass(frozen=True, eq=False)
class RecoveredPanel:
    """One parameter of regions: recovered values, and the truth."""

    name: str  # with its unit, for the axes
    truth: Values  # (regions,), of all people
    mean: Values  # as truth
    low: Values  # as truth: lower end of the 90 % interval
    high: Values  # as truth
    marked: NDArray[np.bool_]  # as truth: regions in the first colour; the others in the second
    marks: tuple[str, str]  # words for the marked regions and for the others; "" for none
    words: str  # subtitle


@dataclass(frozen=True, eq=False)
class ConnectivityPanels:
    """Functional connectivity of one person: observed, and simulated by the fitted model."""

    observed: Values  # (regions, regions), Pearson r
    simulated: Values  # as observed
    words: str  # name of the person


@dataclass(frozen=True, eq=False)
class SpectrumPanel:
    """The power spectrum of one region: observed, and of simulations by the fitted model."""

    name: str  # of the region, with its true parameter
    frequencies: Values  # (bins,), Hz
    observed: Values  # (bins,), squared units of the series per Hz
    simulated: Values  # (simulations, bins); empty if all diverged


def draw_recovery(
    parameters: Sequence[RecoveredPanel],
    connectivity: ConnectivityPanels,
    spectra: Sequence[SpectrumPanel],
    *,
    title: str,
) -> bytes | None:
    """Draw two parameters, two matrices and three spectra in one picture.

    Returns
    -------
    bytes or None
        A PNG file; None if matplotlib is not installed.
    """

    def draw(top: SubFigure, bottom: SubFigure) -> None:
        axes = top.subplots(1, 4)
        for panel, place in zip(parameters, axes[:2], strict=True):
            _draw_parameter(place, panel)
        _draw_connectivity(top, list(axes[2:]), connectivity)
        places = list(bottom.subplots(1, len(spectra), sharey=True))
        for spectrum, place in zip(spectra, places, strict=True):
            _draw_spectrum(place, spectrum)
        # A diverging simulation must not compress the axis.
        powers = np.concatenate([spectrum.observed[1:] for spectrum in spectra])
        places[0].set_ylim(powers.min() / _MARGIN, powers.max() * _MARGIN)
        places[0].set_ylabel("power (squared units of the series / Hz)")
        places[0].legend(fontsize=8)

    return draw_two_rows(draw, title=title, height_inches=_HEIGHT_INCHES, heights=(1.15, 1.0))


def _draw_parameter(axes: Axes, panel: RecoveredPanel) -> None:
    for rows, colour, marker, label in (
        (~panel.marked, _SECOND, "^", panel.marks[1]),
        (panel.marked, _FIRST, "o", panel.marks[0]),
    ):
        errors = np.stack([(panel.mean - panel.low)[rows], (panel.high - panel.mean)[rows]])
        axes.errorbar(
            panel.truth[rows],
            panel.mean[rows],
            yerr=np.maximum(errors, 0.0),
            fmt=marker,
            color=colour,
            markersize=3,
            elinewidth=0.5,
            alpha=0.55,
            linestyle="none",
            label=label or None,
        )
    ends = (float(panel.truth.min()), float(panel.truth.max()))
    axes.plot(ends, ends, color=_LINE, linewidth=1, linestyle="--")
    axes.set_xlabel(f"true {panel.name}")
    axes.set_ylabel(f"recovered {panel.name}")
    axes.set_title(panel.words, fontsize=9, loc="left")
    if any(panel.marks):
        axes.legend(fontsize=8, loc="upper left", framealpha=0.9)


def _draw_connectivity(
    figure: FigureBase, axes: Sequence[Axes], panels: ConnectivityPanels
) -> None:
    drawn = None
    for place, matrix, words in zip(
        axes, (panels.observed, panels.simulated), ("observed", "by the fitted model"), strict=True
    ):
        drawn = place.imshow(matrix, cmap=_CONNECTIVITY, vmin=-1.0, vmax=1.0)
        words = f"{words}: {panels.words}"
        place.set_title(f"functional connectivity,\n{words}", fontsize=9, loc="left")
        place.set_xlabel("region")
        place.set_ylabel("region")
    if drawn is not None:
        figure.colorbar(drawn, ax=list(axes), label="Pearson r", shrink=0.8)


def _draw_spectrum(axes: Axes, panel: SpectrumPanel) -> None:
    inner = slice(1, None)  # without frequency 0: series have mean 0
    at = panel.frequencies[inner]
    if len(panel.simulated):
        low, middle, high = np.quantile(panel.simulated[:, inner], (0.05, 0.5, 0.95), axis=0)
        axes.fill_between(at, low, high, color=_SECOND, alpha=0.25, linewidth=0)
        axes.plot(at, middle, color=_SECOND, linestyle="--", label="by the fitted model, 90 %")
    axes.plot(at, panel.observed[inner], color=_FIRST, label="observed")
    axes.set_yscale("log")
    axes.set_xlabel("frequency (Hz)")
    axes.set_title(panel.name, fontsize=9, loc="left")
