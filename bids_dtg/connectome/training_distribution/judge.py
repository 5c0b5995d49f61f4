"""Judge by checks without training whether a model is for a run: inside their limits, or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.connectome.training_distribution.limits import LIMITS
from bids_dtg.connectome.training_distribution.pattern import (
    PatternPlaces,
    map_identity_and_symmetry,
)
from bids_dtg.connectome.training_distribution.sides import compare_sides

Verdict = Literal["inside", "unusual", "outside"]
_ORDER: tuple[Verdict, ...] = ("inside", "unusual", "outside")

# Figures with limits that need no statistics of other people, and what it means to be beyond them;
# {value} stands for the figure.
CHECKS: Mapping[str, str] = {
    "coverage": "{value:.0%} of the model's grey matter has signal",
    "roi_coverage_min": "an ROI has {value:.0%} of its map on signal",
    "mask_overlap": "the run's brain mask and the model's overlap by {value:.2f} (Dice): check the "
    "space",
    "roi_map_identity": "{value:.0%} of the ROIs correlate most where their maps lie: check space "
    "and alignment",
    "mirrored_gain": "mirrored, the run fits the ROI maps better, by {value:.0%}: check whether "
    "sides are swapped",
    "hemispheric_similarity": "left and right have unlike correlations (r {value:.2f})",
    "roi_sd_ratio": "one ROI series varies {value:.0f} times as much as another",
}
# The first reason of such a model: what a person should check is not wrong with a real run.
OF_SIMULATED_PEOPLE = (
    "the model was trained on simulated people: real runs may be outside the limits, however good "
    "they are"
)


@dataclass(frozen=True)
class RunCheck:
    """What the checks of a run found."""

    verdict: Verdict  # the worst of the checks
    figures: Mapping[str, float]  # what was looked at; NaN where not defined
    reasons: tuple[str, ...]  # what is unusual, in words; the worst first


def judge_run(
    run: RunConnectomes,
    mask_overlap: float | None,
    places: PatternPlaces,
    *,
    simulated: bool = False,
) -> RunCheck:
    """Judge a run by its segments.

    Parameters
    ----------
    run
        Connectomes over the model's places.
    mask_overlap
        Dice of the run's brain mask and the model's; None where it is not known.
    places
        Of the model.
    simulated
        Whether the model's training people were.
    """
    connectomes = [segment.marginal for segment in run.segments]
    patterns = [map_identity_and_symmetry(r, run.covered, places) for r in connectomes]
    identity, symmetry = np.mean(patterns, axis=0)
    sides = compare_sides(connectomes, run.roi_r, run.covered, places)
    figures = {
        "roi_map_identity": float(identity),
        "hemispheric_similarity": float(symmetry),
        "coverage": run.coverage,
        "roi_coverage_min": float(run.roi_coverage.min()),
        "mask_overlap": float("nan") if mask_overlap is None else mask_overlap,
        "roi_sd_ratio": _sd_ratio(run.series),
        "mirrored_gain": sides.gain,
    }
    found = [
        (verdict_of(figure, figures[figure]), text.format(value=figures[figure]))
        for figure, text in CHECKS.items()
    ]
    found.sort(key=lambda finding: -_ORDER.index(finding[0]))
    if simulated and found[0][0] != "inside":
        found.insert(0, (found[0][0], OF_SIMULATED_PEOPLE))
    reasons = tuple(text for verdict, text in found if verdict != "inside")
    return RunCheck(found[0][0], figures, reasons)


def verdict_of(figure: str, value: float) -> Verdict:
    """Judge the value of a figure of `CHECKS`; one that is not defined is inside."""
    return _ORDER[LIMITS[figure].steps(value)]


def _sd_ratio(series: NDArray[np.float64]) -> float:
    """Return the largest over the smallest standard deviation of ROI series that vary."""
    sd = series.std(axis=0)
    sd = sd[sd > 0]
    return float(sd.max() / sd.min()) if len(sd) else float("nan")
