"""Group maps of predicted beside those of measured maps, contrast by contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import Column
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.statistics.group_maps.map_tests import Tested
from bids_dtg.statistics.group_maps.question import (
    MAPS,
    MEASURED,
)
from bids_dtg.stats.cohort.group_maps import (
    Likeness,
    Overlap,
    Signs,
    dice,
    likeness,
    overlap,
    stepped_up,
)
from bids_dtg.stats.correlation import correlation

_OTHERS = 5  # contrasts whose Dice AUC is taken for the floor: each takes a second
COMPARISON = (
    Column("contrast", "Contrast of the maps"),
    Column("r", "Pearson r over voxels of the predicted and the measured group map (effects)"),
    Column(
        "r_other_group",
        "r to expect of another measured group of as many people: of halves of the "
        "people, stepped up (Spearman-Brown)",
    ),
    Column(
        "r_half", "r of the measured group maps of two halves of the people, mean over 20 divisions"
    ),
    Column("r_other_contrast", "r of the measured map with other contrasts' predicted maps, mean"),
    Column("r_t", "Pearson r of the maps of t"),
    Column("dice_auc", "Area under Dice overlap of the strongest 5 to 50 % of voxels, 0 to 0.45"),
    Column("dice_auc_half", "The same of measured maps of two halves of the people"),
    Column(
        "dice_auc_other_contrast", "The same with other contrasts' predicted maps, mean of up to 5"
    ),
    Column("dice", "Dice overlap of significant voxels with their sign"),
    Column("dice_other_contrast", "The same with other contrasts' predicted maps, mean"),
    Column("clusters_predicted", "Clusters of significant voxels of predicted maps"),
    Column("clusters_measured", "Clusters of significant voxels of measured maps"),
    Column("found", "Share of the measured clusters of which half or more is in a predicted one"),
    Column(
        "confirmed", "Share of the predicted clusters of which half or more is in a measured one"
    ),
    Column(
        "sd_ratio",
        "Standard deviation between people, of predicted maps as a share of measured ones",
    ),
    Column("t_ratio", "Mean absolute t of predicted maps, times that of measured ones"),
)


@dataclass(frozen=True, eq=False)
class _Pair:
    """The predicted and the measured group map of one contrast, at voxels that all maps have."""

    predicted: Tested
    measured: Tested
    positions: NDArray[np.intp]  # of the voxels

    def of(self, values: NDArray[Any], tested: Tested) -> NDArray[Any]:
        """Return the values of a map at the shared voxels."""
        return values[np.searchsorted(tested.places.positions, self.positions)]

    @property
    def effects(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Of both, (voxels,)."""
        one, other = self.predicted, self.measured
        return self.of(one.effect, one), self.of(other.effect, other)

    @property
    def signs(self) -> tuple[Signs, Signs]:
        """Of both, (voxels,)."""
        one, other = self.predicted, self.measured
        return self.of(one.signs, one), self.of(other.signs, other)


@dataclass(frozen=True)
class Compared:
    """One contrast, predicted beside measured."""

    contrast: str
    like: Likeness
    r_t: float
    over: Overlap
    halves: Likeness
    other: tuple[float, float, float]  # r, Dice AUC and Dice of other contrasts' predicted maps
    sd_ratio: float
    t_ratio: float

    @property
    def figures(self) -> dict[str, float]:
        """The row of the table, without the contrast."""
        return {
            "r": self.like.r,
            "r_other_group": stepped_up(self.halves.r),
            "r_half": self.halves.r,
            "r_other_contrast": self.other[0],
            "r_t": self.r_t,
            "dice_auc": self.like.dice_auc,
            "dice_auc_half": self.halves.dice_auc,
            "dice_auc_other_contrast": self.other[1],
            "dice": self.over.dice,
            "dice_other_contrast": self.other[2],
            "clusters_predicted": self.over.clusters[0],
            "clusters_measured": self.over.clusters[1],
            "found": self.over.found,
            "confirmed": self.over.confirmed,
            "sd_ratio": self.sd_ratio,
            "t_ratio": self.t_ratio,
        }


def compare(found: Sequence[Tested]) -> list[Compared]:
    """Compare predicted with measured maps of the same contrasts.

    Parameters
    ----------
    found
        Of all kinds and contrasts; those of both kinds are compared, at the voxels of all.
    """
    by_kind = {
        kind: {each.contrast: each for each in found if each.kind == kind}
        for kind in (MAPS, MEASURED)
    }
    both = [contrast for contrast in by_kind[MAPS] if contrast in by_kind[MEASURED]]
    if not both:
        return []
    used = [by_kind[kind][contrast] for kind in by_kind for contrast in both]
    positions = used[0].places.positions
    for each in used[1:]:
        positions = np.intersect1d(positions, each.places.positions)
    if not len(positions):
        return []
    neighbours = VoxelPlaces(used[0].places.grid, positions).neighbours()
    pairs = [_Pair(by_kind[MAPS][c], by_kind[MEASURED][c], positions) for c in both]
    return [_compare_pair(pairs, number, neighbours) for number in range(len(pairs))]


def _compare_pair(pairs: Sequence[_Pair], number: int, neighbours: NDArray[np.intp]) -> Compared:
    pair = pairs[number]
    predicted, measured = pair.predicted, pair.measured
    t, t_measured = (pair.of(each.t, each).astype(float) for each in (predicted, measured))
    assert measured.halves is not None
    spread = measured.spread.between_people
    size = float(np.abs(t_measured).mean())
    return Compared(
        predicted.contrast,
        likeness(*pair.effects),
        float(correlation(t, t_measured)),
        overlap(*pair.signs, neighbours),
        measured.halves,
        _other_contrasts(pairs, number),
        predicted.spread.between_people / spread if spread else float("nan"),
        float(np.abs(t).mean()) / size if size else float("nan"),
    )


def _other_contrasts(pairs: Sequence[_Pair], number: int) -> tuple[float, float, float]:
    """Compare the measured map with other contrasts' predicted maps: r, Dice AUC and Dice."""
    others = [pair for n, pair in enumerate(pairs) if n != number]
    if not others:
        return (float("nan"),) * 3
    effect, signs = pairs[number].effects[1].astype(float), pairs[number].signs[1]
    r = [float(correlation(other.effects[0].astype(float), effect)) for other in others]
    some = others[:: max(1, len(others) // _OTHERS)][:_OTHERS]
    auc = [likeness(other.effects[0], effect).dice_auc for other in some]
    overlaps = [dice(other.signs[0], signs) for other in others]
    return mean_of_known(r), mean_of_known(auc), mean_of_known(overlaps)


def mean_of_known(values: Sequence[float]) -> float:
    """Return the mean of what is known; NaN where nothing is.

    Examples
    --------
    >>> mean_of_known([1.0, float("nan"), 3.0])
    2.0
    """
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
