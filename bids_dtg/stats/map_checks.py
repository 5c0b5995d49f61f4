"""Check measured maps, each on its own and against the maps of other people.

A map that covers too few voxels or has too few distinct values cannot be used. A map that looks
mirrored, has another scale, or differs from the mean of the other people's maps is only reported,
and the user decides. Voxels may also be parcels here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bids_dtg.array_types import Float64, Floats, Indices
from bids_dtg.stats.correlation import correlation

LEAST_COVERAGE = 0.5  # a map that covers a smaller share of the voxels is not used
USUAL_COVERAGE = 0.75  # a map that covers a smaller share is reported
# A map with one value at more than this share of its voxels is a mask, labels, or thresholded.
MOST_EQUAL = 0.5
# No statistic or effect is this large; a thousand squares of it still fit into 32-bit floats.
LARGEST_VALUE = 1e9
# With fewer people, maps are not compared with each other.
LEAST_PEOPLE = 5
# A standard deviation above the group's median times this, or below it over this, is reported.
SCALE_FACTOR = 4.0
# Left-right differences must correlate this much among people to tell the sides apart.
LEAST_SIDE_R = 0.15
_SIDE_HINT = 0.1  # in several contrasts of a person together
# This many contrasts of a person together can show a swap that a single one cannot.
LEAST_TOGETHER = 3
# An outlier's r with the others' mean is below the median by this, and by 3.5 robust deviations.
LEAST_DROP = 0.2
_OUTLIER_Z = 3.5
_MAD_TO_SD = 1.4826
# Evenly spread voxels that are compared; a sample is enough because maps are smooth.
_SAMPLE = 20_000


@dataclass(frozen=True)
class MapFigures:
    """Metrics of a map alone."""

    coverage: float  # share of the voxels with a value
    equal: float  # share of finite values equal to the most frequent one; NaN where there is none
    sd: float  # standard deviation of the values; NaN where there is none
    largest: float = 0.0  # largest absolute value; may be infinite

    @property
    def unusable(self) -> str:
        """Why the map cannot be used, in words; empty where it can."""
        if not self.coverage:
            return "it is empty"
        if self.largest > LARGEST_VALUE:
            return f"its values reach {self.largest:.3g}, too large for a statistic or an effect"
        if self.equal > MOST_EQUAL:
            return (
                f"{self.equal:.0%} of its values are the same: it looks like a mask, labels, or "
                "a thresholded map"
            )
        if self.coverage < LEAST_COVERAGE:
            return (
                f"it covers {self.coverage:.1%} of the model's mask, "
                f"less than {LEAST_COVERAGE:.0%}"
            )
        return ""


@dataclass(frozen=True)
class Checked:
    """A map's metrics and what is wrong with it; NaN where there are too few people to compare."""

    figures: MapFigures
    findings: Mapping[str, str]  # kind -> words
    scale: float = np.nan  # standard deviation over the group's median
    r: float = np.nan  # correlation with the mean of the other people's maps
    side_r: float = np.nan  # the same for the left-right differences
    usual_side_r: float = np.nan  # the group's median of `side_r`


def map_figures(values: Floats) -> MapFigures:
    """Compute the metrics of a map (voxels,), NaN where it has no value.

    Examples
    --------
    >>> import numpy as np
    >>> map_figures(np.array([1.0, 1.0, 1.0, np.nan])).unusable[:31]
    '100% of its values are the same'
    """
    # Infinite values count; NaN means no value.
    has_value = ~np.isnan(values)
    largest = float(np.abs(values).max(initial=0.0, where=has_value))
    finite = values[np.isfinite(values)]
    if not finite.size:
        coverage = 1.0 if largest else 0.0  # infinite values, or none
        return MapFigures(coverage, np.nan, np.nan, largest)
    _, counts = np.unique(finite[_sample(finite.size)], return_counts=True)
    return MapFigures(
        coverage=finite.size / values.size,
        equal=float(counts.max() / counts.sum()),
        sd=float(finite.std(dtype=np.float64)),
        largest=largest,
    )


def check_maps(maps: Sequence[Floats], mirror: Indices) -> list[Checked]:
    """Compare each person's map of one contrast with the mean of the others' maps.

    Maps are scaled to a standard deviation of 1 before averaging, so that none outweighs the
    others. Large maps are compared at a sample of their voxels.

    Parameters
    ----------
    maps
        (voxels,) each, NaN where there is no value; read twice, so they may be mapped from files.
    mirror
        (voxels,), index of the voxel at the mirrored position; -1: none.

    Returns
    -------
    In the order of the maps; with fewer than `LEAST_PEOPLE` maps, they are not compared.
    """
    figures = [map_figures(values) for values in maps]
    if len(maps) < LEAST_PEOPLE:
        return [Checked(figure, _coverage_findings(figure)) for figure in figures]
    sds = np.array([np.nanstd(values, dtype=np.float64) for values in maps])
    # A sample of the voxels, then mirrored pairs, each pair once.
    sample = _sample(len(mirror))
    paired = sample[mirror[sample] > sample]
    places = np.concatenate([sample, paired, mirror[paired]])
    total = np.zeros(len(places))  # of maps scaled to a standard deviation of 1
    count = np.zeros(len(places))  # of maps with a value
    for map_values, sd in zip(maps, sds, strict=True):
        values = np.asarray(map_values[places], np.float64)
        finite = np.isfinite(values)
        total += np.where(finite, values, 0.0) / (sd or 1.0)
        count += finite
    correlations = []  # r and side_r of each map
    for map_values, sd in zip(maps, sds, strict=True):
        values = np.asarray(map_values[places], np.float64)
        finite = np.isfinite(values)
        rest_total = total - np.where(finite, values, 0.0) / (sd or 1.0)
        rest_count = count - finite
        rest_mean = rest_total / np.maximum(rest_count, 1)
        rest_mean = np.where(rest_count > 0, rest_mean, np.nan)
        correlations.append(_compare(values, rest_mean, len(sample)))
    return _judge(figures, sds, np.array(correlations))


def judge_person(maps: Sequence[Checked]) -> dict[str, str]:
    """Detect swapped sides from all contrasts of a person, where each alone is inconclusive.

    Returns
    -------
    Kind of finding -> words; empty with fewer than `LEAST_TOGETHER` contrasts that can be judged.
    """
    sides = [checked.side_r for checked in maps if checked.usual_side_r >= _SIDE_HINT]
    if len(sides) < LEAST_TOGETHER or np.median(sides) >= -_SIDE_HINT:
        return {}
    return {
        "mirrored": f"left and right look swapped: over {len(sides)} contrasts, the left-right "
        f"difference correlates {np.median(sides):.2f} with other people's"
    }


def _compare(values: Floats, mean: Floats, size: int) -> tuple[Floats, Floats]:
    """Return r with the others' mean, of a map's first `size` values and of mirrored pairs."""

    def difference_of_sides(row: Floats) -> Floats:
        first, mirrored = np.split(row[size:], 2)
        return first - mirrored

    sides = difference_of_sides(values), difference_of_sides(mean)
    return correlation(values[:size], mean[:size]), correlation(*sides)


def _judge(
    map_figures: Sequence[MapFigures], sds: Float64, correlations: Float64
) -> list[Checked]:
    """Return what is wrong with maps; `correlations` are their r and side_r, (maps, 2)."""
    scales = sds / _median(sds[sds > 0])
    usual_r, usual_side = _median(correlations[:, 0]), _median(correlations[:, 1])
    spread = _MAD_TO_SD * _median(np.abs(correlations[:, 0] - usual_r))
    checked = []
    rows = zip(map_figures, scales.tolist(), correlations.tolist(), strict=True)
    for figures, scale, (r, side_r) in rows:
        findings = _coverage_findings(figures)
        if scale > SCALE_FACTOR or scale < 1 / SCALE_FACTOR:
            findings["scale"] = f"its scale is {scale:.3g} times the group's median"
        most_swapped = -max(LEAST_SIDE_R, usual_side / 2)
        if usual_side >= LEAST_SIDE_R and side_r < most_swapped:
            findings["mirrored"] = (
                f"left and right look swapped: the left-right difference correlates "
                f"{side_r:.2f} with other people's (median {usual_side:.2f})"
            )
        if not findings and usual_r - r > max(LEAST_DROP, _OUTLIER_Z * spread):
            findings["outlier"] = (
                f"it correlates {r:.2f} with other people's mean (median {usual_r:.2f})"
            )
        checked.append(Checked(figures, findings, scale, r, side_r, usual_side))
    return checked


def _median(values: Floats) -> float:
    """Return the median, without NaN; NaN if no value is finite."""
    return float(np.nanmedian(values)) if np.isfinite(values).any() else np.nan


def _coverage_findings(figures: MapFigures) -> dict[str, str]:
    if figures.coverage < USUAL_COVERAGE:
        return {"coverage": f"it covers {figures.coverage:.0%} of the model's mask"}
    return {}


def _sample(size: int) -> Indices:
    return np.linspace(0, size - 1, min(size, _SAMPLE), dtype=np.intp)
