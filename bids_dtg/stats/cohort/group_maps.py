"""Two maps of one group side by side, as of predicted and of measured maps: r, Dice, clusters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.cohort.second_level import GroupDesign
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.metrics import dice_auc

Values = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]
Signs = NDArray[np.int8]  # (voxels,): 1 or -1 where a map is significant and above or below 0

# A cluster counts as found where the other map has this share of its voxels, with its sign.
COVERED = 0.5
_SPLITS = 20  # of people in halves
_VOXELS = 20_000  # at once
_TRIES = 10  # for each split that is wanted: a half may lack a group


@dataclass(frozen=True)
class Overlap:
    """How far the significant voxels of two maps are the same; NaN where a map has none."""

    dice: float  # of voxels with their sign, 0 to 1
    found: float  # share of the second map's clusters that the first covers
    confirmed: float  # share of the first map's clusters that the second covers
    clusters: tuple[int, int]  # of the first and of the second


@dataclass(frozen=True)
class MapSimilarity:
    """How alike two group maps are."""

    r: float  # Pearson, of effects over voxels
    dice_auc: float  # of absolute effects at the strongest 5 to 50 %: 0 to 0.45


@dataclass(frozen=True)
class Spread:
    """How much people differ, in the maps' units: root mean square over voxels."""

    between_people: float  # standard deviation, covariates and groups taken out
    of_mean: float  # of the mean map


def map_similarity(one: Values, other: Values) -> MapSimilarity:
    """Compare the effects of two group maps.

    Parameters
    ----------
    one, other
        (voxels,) maps with finite values, in any unit.

    Raises
    ------
    ValueError
        The maps are of other voxels, or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> maps = np.random.default_rng(0).standard_normal(1000)
    >>> found = map_similarity(maps, 2 * maps)
    >>> round(found.r, 6), round(found.dice_auc, 2)
    (1.0, 0.45)
    """
    auc = dice_auc(np.asarray(one)[None], np.asarray(other)[None])
    return MapSimilarity(
        float(correlation(np.asarray(one, np.float64), np.asarray(other, np.float64))),
        float(auc[0]),
    )


def signs_of(effect: Values, significant: Flags) -> Signs:
    """Return the sign of what is significant, 0 elsewhere.

    Parameters
    ----------
    effect, significant
        (voxels,): effects in any unit, and whether each is significant.

    Examples
    --------
    >>> import numpy as np
    >>> signs_of(np.array([2.0, -1.0, 3.0]), np.array([True, True, False]))
    array([ 1, -1,  0], dtype=int8)
    """
    return (np.sign(effect) * significant).astype(np.int8)


def dice(one: Signs, other: Signs) -> float:
    """Return the Dice overlap of significant voxels; a voxel of the other sign is none.

    Parameters
    ----------
    one, other
        (voxels,): signs -1, 0 and 1, as `signs_of` returns them.

    Returns
    -------
    0 to 1; NaN where both maps are empty.

    Raises
    ------
    ValueError
        The maps are of other voxels.

    Notes
    -----
    Dice 1945, Ecology 26: 297.

    Examples
    --------
    >>> import numpy as np
    >>> dice(np.array([1, 1, 0, -1]), np.array([1, 0, 0, 1]))
    0.4
    """
    _require_same(one, other)
    total = int(np.count_nonzero(one) + np.count_nonzero(other))
    both = int(np.count_nonzero((one == other) & (one != 0)))
    return 2 * both / total if total else float("nan")


def find_clusters(signs: Signs, neighbours: NDArray[np.intp]) -> NDArray[np.intp]:
    """Number the clusters of significant voxels: of one sign, and touching by a face.

    Parameters
    ----------
    signs
        (voxels,): signs -1, 0 and 1, as `signs_of` returns them.
    neighbours
        (pairs, 2), which voxels share a face: `VoxelPlaces.neighbours`.

    Returns
    -------
    (voxels,), from 0; -1 outside all clusters.

    Examples
    --------
    >>> import numpy as np
    >>> line = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    >>> find_clusters(np.array([1, 1, -1, 0, 1]), line)
    array([ 0,  0,  1, -1,  2])
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = signs[neighbours]
    joined = neighbours[(ends[:, 0] == ends[:, 1]) & (ends[:, 0] != 0)]
    graph = coo_array((np.ones(len(joined), bool), joined.T), shape=(len(signs), len(signs)))
    numbers = connected_components(graph, directed=False)[1]
    inside = signs != 0
    clusters = np.full(len(signs), -1, np.intp)
    clusters[inside] = np.unique(numbers[inside], return_inverse=True)[1]
    return clusters


def covered(wanted: Signs, by: Signs, neighbours: NDArray[np.intp]) -> tuple[float, int]:
    """Return the share of a map's clusters of which another map has half or more, and their number.

    Parameters
    ----------
    wanted
        (voxels,), the map whose clusters are counted, as `signs_of`.
    by
        (voxels,): signs of the other map, as `signs_of` returns them.
    neighbours
        (pairs, 2), which voxels share a face.

    Returns
    -------
    tuple
        0 to 1, NaN where there is no cluster; and how many clusters there are.

    Raises
    ------
    ValueError
        The maps are of other voxels.

    Examples
    --------
    >>> import numpy as np
    >>> line = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    >>> covered(np.array([1, 1, 0, -1, -1]), np.array([1, 0, 0, 1, 1]), line)
    (0.5, 2)
    """
    _require_same(wanted, by)
    clusters = find_clusters(wanted, neighbours)
    inside = clusters >= 0
    if not inside.any():
        return float("nan"), 0
    hit = np.bincount(clusters[inside], wanted[inside] == by[inside])
    sizes = np.bincount(clusters[inside])
    return float((hit >= COVERED * sizes).mean()), len(sizes)


def overlap(one: Signs, other: Signs, neighbours: NDArray[np.intp]) -> Overlap:
    """Compare the significant voxels of two maps.

    Parameters
    ----------
    one
        (voxels,), as of the predicted maps.
    other
        (voxels,), as of the measured ones.
    neighbours
        (pairs, 2), which voxels share a face.

    Raises
    ------
    ValueError
        The maps are of other voxels.

    Examples
    --------
    >>> import numpy as np
    >>> line = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    >>> overlap(np.array([1, 1, 0, -1, -1]), np.array([1, 0, 0, 0, 0]), line)
    Overlap(dice=0.4, found=1.0, confirmed=0.5, clusters=(2, 1))
    """
    confirmed, ones = covered(one, other, neighbours)
    found, others = covered(other, one, neighbours)
    # An empty map finds none of the other map's clusters: 0, not NaN.
    return Overlap(dice(one, other), found, confirmed, (ones, others))


def half_similarity(
    values: Values,
    design: GroupDesign,
    families: NDArray[np.integer[Any]],
    *,
    seed: int = 0,
) -> MapSimilarity:
    """Compare the group maps of two halves of the people: what another group's map gives.

    Parameters
    ----------
    values
        A map a person, (people, voxels).
    design
        Design of the group, with a row for each of the same people.
    families
        (people,); a family is in one half.
    seed
        Of the divisions: the mean over 20 is returned.

    Returns
    -------
    MapSimilarity
        NaN where no division leaves both halves enough for the design. Each half has half the
        people: `stepped_up` expects what a whole group gives.

    Raises
    ------
    ValueError
        The design is of other people.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> maps = rng.standard_normal(200) + 0.1 * rng.standard_normal((10, 200))
    >>> half_similarity(maps, GroupDesign.of_mean(10), np.arange(10)).r > 0.99
    True
    """
    if len(values) != len(design.tested) or len(families) != len(values):
        raise ValueError(f"maps of {len(values)} people, a design of {len(design.tested)}")
    found = [
        map_similarity(_effect(values, design, half), _effect(values, design, ~half))
        for half in _halves(design, families, np.random.default_rng(seed))
    ]
    if not found:
        return MapSimilarity(float("nan"), float("nan"))
    return MapSimilarity(
        float(np.mean([each.r for each in found])),
        float(np.mean([each.dice_auc for each in found])),
    )


def stepped_up(r: float) -> float:
    """Return the r to expect between whole groups from that between their halves.

    Parameters
    ----------
    r
        Between the maps of two halves.

    Returns
    -------
    NaN for an r of 0 or less, which says nothing of whole groups.

    Notes
    -----
    Spearman 1910, Br. J. Psychol. 3: 271; Brown 1910, ibid. 296.

    Examples
    --------
    >>> stepped_up(0.5)
    0.6666666666666666
    """
    return 2 * r / (1 + r) if r > 0 else float("nan")


def spread(values: Values, design: GroupDesign) -> Spread:
    """Measure how much people's maps differ beside how strong their mean is.

    Parameters
    ----------
    values
        A map a person, (people, voxels).
    design
        Of the same people: what it explains is no difference between people.

    Raises
    ------
    ValueError
        The design is of other people.

    Examples
    --------
    >>> import numpy as np
    >>> spread(np.array([[3.0, -3.0], [5.0, -5.0]]), GroupDesign.of_mean(2)).of_mean
    4.0
    """
    if len(values) != len(design.tested):
        raise ValueError(f"maps of {len(values)} people, a design of {len(design.tested)}")
    basis = np.linalg.qr(design.columns)[0]
    noise = of_mean = 0.0
    for start in range(0, values.shape[1], _VOXELS):
        block = np.asarray(values[:, start : start + _VOXELS], np.float64)
        noise += float(np.sum((block - basis @ (basis.T @ block)) ** 2))
        of_mean += float(np.sum(block.mean(axis=0) ** 2))
    noise /= values.shape[1] * max(design.degrees_of_freedom, 1)
    return Spread(float(np.sqrt(noise)), float(np.sqrt(of_mean / values.shape[1])))


def _halves(
    design: GroupDesign, families: NDArray[np.integer[Any]], rng: np.random.Generator
) -> Iterator[Flags]:
    """Yield the people of the first half: families whole, both halves fit for the design."""
    number = np.unique(families, return_inverse=True)[1]
    drawn = 0
    for _ in range(_SPLITS * _TRIES):
        order = rng.permutation(number.max() + 1)
        half = np.isin(number, order[: len(order) // 2])
        try:
            design.of(half).require()
            design.of(~half).require()
        except ValueError:
            continue
        yield half
        drawn += 1
        if drawn == _SPLITS:
            return


def _effect(values: Values, design: GroupDesign, people: Flags) -> NDArray[np.float64]:
    """Return the effect of the tested column in some people, (voxels,)."""
    weights = np.linalg.pinv(design.of(people).columns)[0]
    effect: NDArray[np.float64] = weights @ np.asarray(values[people], np.float64)
    return effect


def _require_same(one: Signs, other: Signs) -> None:
    if one.shape != other.shape:
        raise ValueError(f"maps of {one.shape} and of {other.shape} voxels")
