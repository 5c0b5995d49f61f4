"""Check measured maps, each on its own and against the maps of other people.

A map that covers too few voxels or has too few distinct values cannot be used. A map that looks
mirrored, has another scale, or differs from the mean of the other people's maps is only reported,
and the user decides. Voxels may also be parcels here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Indices = NDArray[np.intp]

# A map that covers less than the first share of voxels is not used; less than the second, reported.
LEAST_COVERAGE, USUAL_COVERAGE = 0.5, 0.75
# A map with one value at more than this share of its voxels is a mask, labels, or thresholded.
MOST_EQUAL = 0.5
# No statistic or effect is this large; a thousand squares of it still fit into 32-bit floats.
LARGEST_VALUE = 1e9
# With fewer people, maps are not compared with each other.
LEAST_PEOPLE = 5
# A standard deviation above the group's median times this, or below it over this, is reported.
SCALE_FACTOR = 4.0
# Left-right differences must correlate this much among people to tell the sides apart.
LEAST_SIDE_R, _SIDE_HINT = 0.15, 0.1
# This many contrasts of a person together can show a swap that a single one cannot.
LEAST_TOGETHER = 3
# An outlier's r with the others' mean is below the median by this, and by 3.5 robust deviations.
LEAST_DROP, _OUTLIER_Z, _MAD_TO_SD = 0.2, 3.5, 1.4826
# Evenly spread voxels that are compared; a sample is enough because maps are smooth.
_SAMPLE = 20_000


@dataclass(frozen=True)
class OwnFigures:
    """Metrics of a map on its own."""

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
class GroupFigures:
    """How a map compares with the mean of the other people's maps; NaN where not known."""

    r: float  # correlation with the mean of the others
    side_r: float  # the same for the left-right differences


@dataclass(frozen=True)
class Checked:
    """A map's metrics and what is wrong with it."""

    own: OwnFigures
    group: GroupFigures | None  # None: too few people to compare with
    scale: (
        float  # standard deviation over the group's median; NaN where it is not known
    )
    findings: Mapping[str, str] = field(default_factory=dict)  # kind -> words
    usual_side_r: float = np.nan  # the group's median of `GroupFigures.side_r`


def own_figures(values: Array) -> OwnFigures:
    """Compute the metrics of a map (voxels,), NaN where it has no value.

    Examples
    --------
    >>> import numpy as np
    >>> own_figures(np.array([1.0, 1.0, 1.0, np.nan])).unusable[:31]
    '100% of its values are the same'
    """
    # Infinite values count; NaN means no value.
    largest = float(np.abs(values).max(initial=0.0, where=~np.isnan(values)))
    known = values[np.isfinite(values)]
    if not known.size:
        return OwnFigures(0.0 if not largest else 1.0, np.nan, np.nan, largest)
    _, counts = np.unique(known[_sample(known.size)], return_counts=True)
    return OwnFigures(
        coverage=known.size / values.size,
        equal=float(counts.max() / counts.sum()),
        sd=float(known.std(dtype=np.float64)),
        largest=largest,
    )


def check_maps(
    maps: Iterable[Array], sds: Sequence[float], mirror: Indices
) -> list[Checked]:
    """Compare each person's map of one contrast with the mean of the others' maps.

    Maps are scaled to a standard deviation of 1 before averaging, so that none outweighs the
    others. Large maps are compared at a sample of their voxels.

    Parameters
    ----------
    maps
        (voxels,) each, NaN where there is no value; read twice, so they may be mapped from files.
    sds
        Standard deviation of each map.
    mirror
        (voxels,), index of the voxel at the mirrored position; -1: none.

    Returns
    -------
    In the order of the maps; with fewer than `LEAST_PEOPLE` maps, they are not compared.
    """
    maps = list(maps)
    own = [own_figures(values) for values in maps]
    if len(maps) < LEAST_PEOPLE:
        return [
            Checked(figures, None, np.nan, _own_findings(figures)) for figures in own
        ]
    # A sample of the voxels, then mirrored pairs, each pair once.
    sample = _sample(len(mirror))
    ones = sample[mirror[sample] > sample]
    places = np.concatenate([sample, ones, mirror[ones]])
    total, count = np.zeros(len(places)), np.zeros(len(places))
    for whole, sd in zip(maps, sds, strict=True):
        values = np.asarray(whole[places], np.float64)
        known = np.isfinite(values)
        total += np.where(known, values, 0.0) / (sd or 1.0)
        count += known
    beside = []
    for whole, sd in zip(maps, sds, strict=True):
        values = np.asarray(whole[places], np.float64)
        known = np.isfinite(values)
        others = count - known
        rest = total - np.where(known, values, 0.0) / (sd or 1.0)
        mean = np.where(others > 0, rest / np.maximum(others, 1), np.nan)
        beside.append(_compare(values, mean, len(sample)))
    return _judge(own, beside, np.asarray(sds, float))


def judge_person(maps: Sequence[Checked]) -> dict[str, str]:
    """Detect swapped sides from all contrasts of a person, where each alone is inconclusive.

    Returns
    -------
    Kind of finding -> words; empty with fewer than `LEAST_TOGETHER` contrasts that can be judged.
    """
    sides = [
        checked.group.side_r
        for checked in maps
        if checked.group is not None and checked.usual_side_r >= _SIDE_HINT
    ]
    if len(sides) < LEAST_TOGETHER or np.median(sides) >= -_SIDE_HINT:
        return {}
    return {
        "mirrored": f"left and right look swapped: over {len(sides)} contrasts, the left-right "
        f"difference correlates {np.median(sides):.2f} with other people's"
    }


def _compare(values: Array, mean: Array, size: int) -> GroupFigures:
    """Compare a map with the others' mean, by its first `size` values and by mirrored pairs."""

    def sides(row: Array) -> Array:
        ones, others = np.split(row[size:], 2)
        return ones - others

    return GroupFigures(_r(values[:size], mean[:size]), _r(sides(values), sides(mean)))


def _judge(
    own: Sequence[OwnFigures],
    beside: Sequence[GroupFigures],
    sds: NDArray[np.float64],
) -> list[Checked]:
    usual_sd = float(np.median(sds[sds > 0])) if (sds > 0).any() else np.nan
    r = np.array([figures.r for figures in beside])
    usual_r = float(np.nanmedian(r)) if np.isfinite(r).any() else np.nan
    spread = _MAD_TO_SD * float(np.nanmedian(np.abs(r - usual_r))) if r.size else np.nan
    sides = np.array([figures.side_r for figures in beside])
    usual_side = float(np.nanmedian(sides)) if np.isfinite(sides).any() else np.nan
    checked = []
    for figures, group, sd in zip(own, beside, sds, strict=True):
        findings = _own_findings(figures)
        scale = sd / usual_sd
        if scale > SCALE_FACTOR or scale < 1 / SCALE_FACTOR:
            findings["scale"] = f"its scale is {scale:.3g} times the group's median"
        if usual_side >= LEAST_SIDE_R and group.side_r < -max(
            LEAST_SIDE_R, usual_side / 2
        ):
            findings["mirrored"] = (
                f"left and right look swapped: the left-right difference correlates "
                f"{group.side_r:.2f} with other people's (median {usual_side:.2f})"
            )
        if not findings and usual_r - group.r > max(LEAST_DROP, _OUTLIER_Z * spread):
            findings["outlier"] = (
                f"it correlates {group.r:.2f} with other people's mean (median {usual_r:.2f})"
            )
        checked.append(Checked(figures, group, float(scale), findings, usual_side))
    return checked


def _own_findings(figures: OwnFigures) -> dict[str, str]:
    if figures.coverage < USUAL_COVERAGE:
        return {"coverage": f"it covers {figures.coverage:.0%} of the model's mask"}
    return {}


def _sample(size: int) -> Indices:
    return np.linspace(0, size - 1, min(size, _SAMPLE), dtype=np.intp)


def _r(one: Array, other: Array) -> float:
    """Return the correlation over shared values; NaN if fewer than 3, or if one is constant."""
    known = np.isfinite(one) & np.isfinite(other)
    if known.sum() < 3:
        return float("nan")
    a, b = one[known] - one[known].mean(), other[known] - other[known].mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else float("nan")
