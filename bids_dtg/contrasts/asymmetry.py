"""Left minus right: maps' differences between homologous parcels, and an index over some of them.

The group's mean explains most of a whole map, but little of its asymmetry. So the asymmetry is the
part of a map in which people differ most from the group.

The lateralisation index is one number for each contrast: the mean asymmetry of the 20 pairs that
are most lateralised in the training people's mean map, each with the sign that it has there. It is
positive where a person's asymmetry has the direction of the group's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bids_dtg.array_types import Floats, Indices
from bids_dtg.imaging.places import Places
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces

# Keys of the sidecar of a person's table, by contrast: what was predicted in held-out people.
MAP_PREDICTED, INDEX_PREDICTED = "AsymmetryPredicted", "IndexPredicted"
INDEX = "index"  # name of the last column of `Homologues.values`
INDEX_PAIRS = 20
_LEAST_SHARE = 0.5  # of these pairs, for an index
_LEFT, _RIGHT = "L_", "R_"  # how names of homologous parcels begin


@dataclass(frozen=True, eq=False)
class Homologues:
    """Pairs of parcels at the same place of the left and the right hemisphere.

    Examples
    --------
    >>> pairs = Homologues(("V1", "MST"), np.array([0, 1]), np.array([2, 3]))
    >>> pairs.difference(np.array([3.0, np.nan, 1.0, 2.0])).tolist()
    [2.0, nan]
    """

    names: tuple[str, ...]  # of the parcels, without their side
    left: Indices  # numbers of the parcels
    right: Indices

    @classmethod
    def of(cls, places: Places) -> Homologues | None:
        """Pair parcels by their names; None where fewer than `INDEX_PAIRS` have a homologue.

        Names differ in their beginning only, as Glasser's `L_V1_ROI` and `R_V1_ROI`. Schaefer's
        parcels have no homologues.
        """
        if not isinstance(places, ParcelPlaces):
            return None
        numbers = {name: number for number, name in enumerate(places.names)}
        pairs = {
            name.removeprefix(_LEFT): (number, numbers[right])
            for name, number in numbers.items()
            if name.startswith(_LEFT)
            and (right := _RIGHT + name.removeprefix(_LEFT)) in numbers
        }
        if len(pairs) < INDEX_PAIRS:
            return None
        left, right_numbers = np.array([*pairs.values()], np.intp).T
        return cls(tuple(pairs), left, right_numbers)

    def difference(self, maps: Floats) -> Floats:
        """Return left minus right, (..., pairs), of maps (..., parcels); NaN: a side is missing."""
        return maps[..., self.left] - maps[..., self.right]

    def values(self, maps: Floats, mean: Floats) -> Floats:
        """Return asymmetries and, as the last column, the index: (..., contrasts, pairs + 1).

        Parameters
        ----------
        maps
            Maps, or deviations of maps, (..., contrasts, parcels).
        mean
            Mean maps of the training people, (contrasts, parcels), which decide on the index.
        """
        asymmetry = self.difference(np.asarray(maps, np.float64))
        weights = index_weights(self.difference(np.asarray(mean, np.float64)))
        index = lateralisation(asymmetry, weights)
        return np.concatenate([asymmetry, index[..., None]], axis=-1)


def index_weights(group: Floats) -> Floats:
    """Return weights of pairs in the index: 1 or -1 for the most lateralised ones, else 0.

    Parameters
    ----------
    group
        The training people's mean asymmetry, (contrasts, pairs).

    Examples
    --------
    >>> weights = index_weights(np.arange(-15.0, 15.0)[None])
    >>> int(weights.sum()), int(np.abs(weights).sum())
    (-2, 20)
    """
    # Stable, so that equal values give the same pairs everywhere.
    order = np.argsort(-np.abs(group), axis=-1, kind="stable")[..., :INDEX_PAIRS]
    weights = np.zeros_like(group)
    signs = np.sign(np.take_along_axis(group, order, axis=-1))
    np.put_along_axis(weights, order, signs, axis=-1)
    return weights


def lateralisation(asymmetry: Floats, weights: Floats) -> Floats:
    """Return the index (..., contrasts): the mean over its pairs, each with the group's sign.

    Parameters
    ----------
    asymmetry, weights
        (..., contrasts, pairs). Pairs that are NaN are left out; the index is NaN where fewer than
        half of its pairs are left.

    Examples
    --------
    >>> weights = np.array([[1.0, -1.0, 1.0, 0.0]])
    >>> lateralisation(np.array([[2.0, -4.0, np.nan, 9.0]]), weights).tolist()
    [3.0]
    """
    counts = np.abs(weights) * np.isfinite(asymmetry)
    total = (np.nan_to_num(asymmetry) * weights).sum(axis=-1)
    number, wanted = counts.sum(axis=-1), np.abs(weights).sum(axis=-1)
    enough = number >= np.maximum(_LEAST_SHARE * wanted, 1)
    return np.where(enough, total / np.maximum(number, 1), np.nan)
