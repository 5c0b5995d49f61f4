"""Group maps of predicted compared with those of measured maps, by contrast."""

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
    MapSimilarity,
    Overlap,
    Signs,
    dice,
    map_similarity,
    overlap,
    stepped_up,
)
from bids_dtg.stats.correlation import correlation

_OTHERS = 5  # contrasts whose Dice AUC gives the floor: each takes a second
COMPARISON = (
    Column("contrast", "Contrast of the maps"),
    Column("r", "Pearson r over voxels of the predicted and the measured group map (effects)"),
    Column(
        "r_other_group",
        "Expected r of another measured group of as many people: from halves of the "
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
    Column("cluster_recall", "Share of measured clusters that are half or more in a predicted one"),
    Column(
        "cluster_precision", "Share of predicted clusters that are half or more in a measured one"
    ),
    Column(
        "sd_ratio",
        "Standard deviation between people, of predicted maps as a share of measured ones",
    ),
    Column("t_ratio", "Mean absolute t of predicted maps, divided by that of measured ones"),
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
        """Effects of both maps, (voxels,)."""
        one, other = self.predicted, self.measured
        return self.of(one.effect, one), self.of(other.effect, other)

    @property
    def signs(self) -> tuple[Signs, Signs]:
        """Signs of significant voxels of both maps, (voxels,)."""
        one, other = self.predicted, self.measured
        return self.of(one.signs, one), self.of(other.signs, other)


@dataclass(frozen=True)
class Compared:
    """One contrast: the predicted and the measured group map compared."""

    contrast: str
    like: MapSimilarity
    r_t: float
    over: Overlap
    halves: MapSimilarity
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
            "cluster_recall": self.over.found,
            "cluster_precision": self.over.confirmed,
            "sd_ratio": self.sd_ratio,
            "t_ratio": self.t_ratio,
        }


def compare(found: Sequence[Tested]) -> list[Compared]:
    """Compare predicted with measured maps of the same contrasts.

    Parameters
    ----------
    found
        Tests of all kinds and contrasts; contrasts with both kinds are compared, at common voxels.
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
        map_similarity(*pair.effects),
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
    auc = [map_similarity(other.effects[0], effect).dice_auc for other in some]
    overlaps = [dice(other.signs[0], signs) for other in others]
    return mean_of_known(r), mean_of_known(auc), mean_of_known(overlaps)


def mean_of_known(values: Sequence[float]) -> float:
    """Return the mean of finite values; NaN if there are none.

    Examples
    --------
    >>> mean_of_known([1.0, float("nan"), 3.0])
    2.0
    """
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
