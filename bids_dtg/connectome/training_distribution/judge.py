"""Judge whether a run lies inside a model's training distribution, is unusual or outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.connectome.training_distribution.distribution import FIGURES, TrainingDistribution
from bids_dtg.connectome.training_distribution.figure_statistics import Parts
from bids_dtg.connectome.training_distribution.limits import LIMITS, Limit
from bids_dtg.connectome.training_distribution.pattern import (
    PatternFigures,
    PatternPlaces,
    pattern_figures,
)
from bids_dtg.connectome.training_distribution.sides import compare_sides
from bids_dtg.connectome.training_distribution.summary import ConnectomeSummary, LatticeBlocks

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
    "the model was trained on simulated people, and real runs are always outside its range, "
    "however good they are"
)
# Named are figures that differ by more than so many standard deviations, at most so many.
_NAMED_SD, _MOST_NAMED = 3.0, 3
# Figure: what a low and a high value mean; numbers are shown as r, logarithms and roots undone.
_WORDS: Mapping[str, tuple[str, str]] = {
    "similarity": (
        "the connectome resembles the mean of the training little",
        "the connectome resembles the mean of the training more than people's do",
    ),
    "component_distance": (
        "the connectome differs less from the training's mean than people do",
        "the connectome lies far out along the main differences between people",
    ),
    "remainder": (
        "less of the connectome is noise or individual than in the training",
        "more of the connectome than usual is unlike any training connectome",
    ),
    "map_match": (
        "ROIs correlate little where their maps lie: check space and alignment",
        "ROIs correlate more than usual where their maps lie",
    ),
    "side_match": (
        "left and right differ less as the ROI maps do than usual",
        "left and right differ as the ROI maps more than usual",
    ),
    "symmetry": (
        "left and right have less alike correlations than usual",
        "left and right have more alike correlations than usual",
    ),
    "strength": (
        "correlations are weaker than usual",
        "correlations are stronger than usual: check the cleaning",
    ),
    "smoothness": (
        "neighbouring voxels differ more than usual: check the grid",
        "neighbouring voxels are more alike than usual: check smoothing and cleaning",
    ),
    "memory": (
        "ROI series remember themselves for less time than usual",
        "ROI series remember themselves for more seconds than usual: check the cleaning",
    ),
    "level": (
        "ROIs share less with the whole brain than usual: check whether the global signal was "
        "removed here and not in the training",
        "ROIs share more with the whole brain than usual: check the cleaning, and whether the "
        "global signal was removed in the training alone",
    ),
}
_LOGARITHMS = ("remainder", "strength", "memory", "level")
_CUBE_ROOTS = ("component_distance",)


@dataclass(frozen=True)
class RunCheck:
    """How a run compares with the training distribution."""

    verdict: Verdict  # the worst of the checks and the distance
    distance: float | None  # from the training, about 1 is usual; None without statistics
    figures: Mapping[str, float]  # what was looked at; NaN where not defined
    reasons: tuple[str, ...]  # what is unusual, in words; the worst first


@dataclass(frozen=True, eq=False)
class DistributionCheck:
    """The out-of-distribution check of a model: what its runs are compared with."""

    places: PatternPlaces  # of the model
    training: TrainingDistribution | None = None  # None where the model has no statistics
    blocks: LatticeBlocks | None = None  # of its lattice; with `training` only
    simulated: bool = False  # whether its training people were

    def judge(self, run: RunConnectomes, mask_overlap: float | None) -> RunCheck:
        """Judge a run by its segments.

        Parameters
        ----------
        run
            Connectomes over the model's places.
        mask_overlap
            Dice of the run's brain mask and the model's; None where it is not known.
        """
        connectomes = [segment.marginal for segment in run.segments]
        patterns = [pattern_figures(r, run.covered, self.places) for r in connectomes]
        sides = compare_sides(connectomes, run.roi_r, run.covered, self.places)
        figures = _mean_figures(patterns) | {
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
        distance = None
        if self.training is not None:
            parts = self._parts(run, patterns, self.training)
            distance = self.training.distance(parts)
            verdict = _of_distance(distance, self.training)
            words = list(_named(parts, self.training)) if verdict != "inside" else []
            if verdict != "inside" and not words:
                words = ["no figure alone is unusual, but they are together"]
            found += [(verdict, word) for word in words]
        found.sort(key=lambda finding: -_ORDER.index(finding[0]))
        if self.simulated and found[0][0] != "inside":
            found.insert(0, (found[0][0], OF_SIMULATED_PEOPLE))
        reasons = tuple(text for verdict, text in found if verdict != "inside")
        return RunCheck(found[0][0], distance, figures, reasons)

    def _parts(
        self, run: RunConnectomes, patterns: list[PatternFigures], training: TrainingDistribution
    ) -> Parts:
        """Return the segments' figures that the training is known by."""
        assert self.blocks is not None
        blocks = self.blocks
        return training.parts(
            [
                ConnectomeSummary.of(segment, run, pattern, blocks)
                for segment, pattern in zip(run.segments, patterns, strict=True)
            ]
        )


def verdict_of(figure: str, value: float) -> Verdict:
    """Judge the value of a figure of `CHECKS`; one that is not defined is inside."""
    return _ORDER[LIMITS[figure].steps(value)]


def _mean_figures(patterns: list[PatternFigures]) -> dict[str, float]:
    def mean(name: str) -> float:
        return float(np.mean([getattr(figures, name) for figures in patterns]))

    return {
        "roi_map_match": mean("map_match"),
        "roi_map_identity": mean("map_identity"),
        "roi_side_match": mean("side_match"),
        "hemispheric_similarity": mean("symmetry"),
        "connectome_strength": mean("strength"),
        "connectome_smoothness": mean("smoothness"),
    }


def _sd_ratio(series: NDArray[np.float64]) -> float:
    """Return the largest over the smallest standard deviation of ROI series that vary."""
    sd = series.std(axis=0)
    sd = sd[sd > 0]
    return float(sd.max() / sd.min()) if len(sd) else float("nan")


def _of_distance(distance: float, training: TrainingDistribution) -> Verdict:
    return _ORDER[Limit(training.unusual, training.outside).steps(distance)]


def _named(parts: Parts, training: TrainingDistribution) -> Iterator[str]:
    """Say in words which figures are far from usual on as much rest."""
    statistics, figures = training.statistics, parts.figures.mean(axis=0)
    z = statistics.deviation(parts) / np.sqrt(np.diag(statistics.covariance(len(parts.figures))))
    low, high = statistics.interval(parts)
    far = [n for n in np.argsort(-np.abs(z)) if abs(z[n]) > _NAMED_SD]
    for n in far[:_MOST_NAMED]:
        numbers = [figures[n], low[n], high[n]]
        if FIGURES[n] in _LOGARITHMS:
            numbers = [float(np.exp(number)) for number in numbers]
        if FIGURES[n] in _CUBE_ROOTS:
            numbers = [max(float(number), 0.0) ** 3 for number in numbers]
        here, least, most = (f"{number:.3g}" for number in numbers)
        yield f"{_WORDS[FIGURES[n]][int(z[n] > 0)]} ({here}; usually {least} to {most})"
