"""What a connectome looks like: figures that a wrong grid, side, space or cleaning changes.

They need the model's ROI maps and nothing of other people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Float = NDArray[np.float64]
Indices = NDArray[np.intp]
_NONE = -1
# Places or pairs of them handled at a time, so that what is made of them stays in the cache.
_AT_A_TIME = 2048


@dataclass(frozen=True)
class PatternFigures:
    """Figures of one connectome, over covered places; NaN where they are not defined."""

    map_match: float  # mean over ROIs of the spatial correlation of an ROI's row with its map
    map_identity: float  # share of ROIs whose row resembles their own map most of all maps
    side_match: float  # the same correlation of what differs between left and right, all ROIs
    symmetry: float  # mean over ROIs of the correlation of a row with its mirror image
    strength: float  # root mean square of the rows' deviations from their means
    smoothness: float  # correlation of neighbouring places


@dataclass(frozen=True, eq=False)
class PatternPlaces:
    """A model's places: their ROI maps, mirror images and neighbours."""

    maps: Array  # (rois, places), or more, where `columns` say which
    mirror: Indices  # (places,), the place on the other side, -1 for none
    neighbours: Indices  # (pairs, 2), places beside each other, each pair once
    columns: Indices | None = None  # (places,), of `maps`; None: they are in the places' order

    def __post_init__(self) -> None:
        number = self.maps.shape[-1] if self.columns is None else len(self.columns)
        if self.maps.ndim != 2 or number != len(self.mirror):
            raise ValueError(f"maps are (rois, {len(self.mirror)}), found {self.maps.shape}")

    def maps_at(self, places: Indices | slice) -> Array:
        """Return the maps at some places, (rois, places)."""
        return self.maps[:, places if self.columns is None else self.columns[places]]


def pattern_figures(r: Array, covered: NDArray[np.bool_], places: PatternPlaces) -> PatternFigures:
    """Describe a connectome.

    Parameters
    ----------
    r
        (rois, places) Pearson correlations.
    covered
        (places,), where there is signal.
    places
        Neighbours and mirror of the same places.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    shape = len(places.maps), len(places.mirror)
    if r.shape != shape or covered.shape != r.shape[1:]:
        raise ValueError(
            f"the connectome is {shape}, found {r.shape} with coverage {covered.shape}"
        )
    if not covered.any():
        return PatternFigures(*[float("nan")] * 6)
    # What belongs to a place lies together; about one of them, so that a constant row is 0.
    by_place = np.empty(r.T.shape, np.float32)
    np.subtract(r.T, r[:, np.argmax(covered)], out=by_place)
    by_place[~covered] = 0
    matches, variance = _compare(by_place, covered, places)
    own, defined = np.diagonal(matches), np.isfinite(np.diagonal(matches))
    if not defined.any():
        return PatternFigures(*[float("nan")] * 6)
    sides = _sides(by_place, covered, places)
    best = np.where(np.isfinite(matches), matches, -np.inf).argmax(axis=1)
    return PatternFigures(
        map_match=float(own[defined].mean()),
        map_identity=float((best == np.arange(len(r)))[defined].mean()),
        side_match=_ratio(sides.products, float(np.sqrt(sides.own * sides.of_maps))),
        symmetry=sides.symmetry,
        strength=float(np.sqrt(variance)),
        smoothness=1.0 - _ratio(_jump(by_place, covered, places), 2 * variance),
    )


def _compare(
    by_place: Array, covered: NDArray[np.bool_], places: PatternPlaces
) -> tuple[Float, float]:
    """Correlate rows with maps over covered places, (rois, rois); and the rows' mean variance."""
    rois, about = by_place.shape[1], places.maps_at(np.flatnonzero(covered)[:1]).T
    products, sums, squares = np.zeros((rois, rois)), np.zeros((2, rois)), np.zeros((2, rois))
    for low in range(0, len(covered), _AT_A_TIME):
        here = slice(low, low + _AT_A_TIME)
        rows = by_place[here]
        of_maps = (places.maps_at(here).T - about) * covered[here, None]
        products += rows.T @ of_maps
        for n, part in enumerate((rows, of_maps)):
            sums[n] += part.sum(axis=0)
            squares[n] += np.einsum("pr,pr->r", part, part)
    count = np.count_nonzero(covered)
    sums /= count
    variances = np.maximum(squares / count - sums**2, 0.0)
    norms = np.sqrt(np.outer(*variances))
    above = products / count - np.outer(*sums)
    matches = np.divide(above, norms, out=np.full_like(above, np.nan), where=norms > 0)
    return matches, float(variances[0].mean())


@dataclass(frozen=True)
class _Sides:
    """What differs between left and right, and what is alike."""

    products: float  # Σ ab over ROIs and pairs of left less right, of rows and maps
    own: float  # Σ a²
    of_maps: float  # Σ b²
    symmetry: float  # mean over ROIs of the correlation of a row with its mirror image


def _sides(by_place: Array, covered: NDArray[np.bool_], places: PatternPlaces) -> _Sides:
    here = np.flatnonzero(places.mirror != _NONE)
    left, right = _covered(np.stack([here, places.mirror[here]], axis=1), covered)
    rois = by_place.shape[1]
    products = own = of_maps = 0.0
    sums, squares, shared = np.zeros((2, rois)), np.zeros((2, rois)), np.zeros(rois)
    for low in range(0, len(left), _AT_A_TIME):
        one, other = left[low : low + _AT_A_TIME], right[low : low + _AT_A_TIME]
        there, mirrored = by_place[one], by_place[other]
        for n, part in enumerate((there, mirrored)):
            sums[n] += part.sum(axis=0)
            squares[n] += np.einsum("pr,pr->r", part, part)
        shared += np.einsum("pr,pr->r", there, mirrored)
        there -= mirrored
        maps = (places.maps_at(one) - places.maps_at(other)).T
        products += float(np.vdot(there, maps))
        own += float(np.vdot(there, there))
        of_maps += float(np.vdot(maps, maps))
    return _Sides(products, own, of_maps, _mean_correlation(sums, squares, shared, len(left)))


def _mean_correlation(sums: Float, squares: Float, shared: Float, count: int) -> float:
    """Return the mean over ROIs of a correlation, from its sums; NaN: of none is it defined."""
    if count < 2:
        return float("nan")
    variances = squares - sums**2 / count
    defined = (variances > 0).all(axis=0)
    if not defined.any():
        return float("nan")
    above = (shared - np.prod(sums, axis=0) / count)[defined]
    return float(np.mean(above / np.sqrt(np.prod(variances[:, defined], axis=0))))


def _jump(by_place: Array, covered: NDArray[np.bool_], places: PatternPlaces) -> float:
    """Return the mean squared difference between neighbours; NaN: there are none."""
    near, other = _covered(places.neighbours, covered)
    total = 0.0
    for low in range(0, len(near), _AT_A_TIME):
        steps = by_place[near[low : low + _AT_A_TIME]]
        steps -= by_place[other[low : low + _AT_A_TIME]]
        total += float(np.vdot(steps, steps))
    return total / (len(near) * by_place.shape[1]) if len(near) else float("nan")


def _covered(pairs: Indices, covered: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Return the two ends of the pairs of places that are both covered."""
    one, other = pairs.T
    both = covered[one] & covered[other]
    return one[both], other[both]


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else float("nan")
