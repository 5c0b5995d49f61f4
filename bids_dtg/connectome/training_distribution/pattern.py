"""What a connectome looks like: figures that a wrong grid, side or space changes.

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


@dataclass(frozen=True, eq=False)
class PatternPlaces:
    """A model's places: their ROI maps and mirror images."""

    maps: Array  # (rois, places), or more, where `columns` say which
    mirror: Indices  # (places,), the place on the other side, -1 for none
    columns: Indices | None = None  # (places,), of `maps`; None: they are in the places' order

    def __post_init__(self) -> None:
        number = self.maps.shape[-1] if self.columns is None else len(self.columns)
        if self.maps.ndim != 2 or number != len(self.mirror):
            raise ValueError(f"maps are (rois, {len(self.mirror)}), found {self.maps.shape}")

    def maps_at(self, places: Indices | slice) -> Array:
        """Return the maps at some places, (rois, places)."""
        return self.maps[:, places if self.columns is None else self.columns[places]]


def map_identity_and_symmetry(
    r: Array, covered: NDArray[np.bool_], places: PatternPlaces
) -> tuple[float, float]:
    """Return how a connectome fits the ROI maps, and how alike its two sides are.

    Parameters
    ----------
    r
        (rois, places) Pearson correlations.
    covered
        (places,), where there is signal.
    places
        Maps and mirror images of the same places.

    Returns
    -------
    map_identity
        Share of ROIs whose row resembles their own map most of all maps; NaN: not defined.
    symmetry
        Mean over ROIs of the correlation of a row with its mirror image; NaN: not defined.

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
        return float("nan"), float("nan")
    # What belongs to a place lies together; about one of them, so that a constant row is 0.
    by_place = np.empty(r.T.shape, np.float32)
    np.subtract(r.T, r[:, np.argmax(covered)], out=by_place)
    by_place[~covered] = 0
    matches = _matches(by_place, covered, places)
    defined = np.isfinite(np.diagonal(matches))
    if not defined.any():
        return float("nan"), float("nan")
    best = np.where(np.isfinite(matches), matches, -np.inf).argmax(axis=1)
    identity = float((best == np.arange(len(r)))[defined].mean())
    return identity, _symmetry(by_place, covered, places)


def _matches(by_place: Array, covered: NDArray[np.bool_], places: PatternPlaces) -> Float:
    """Correlate rows with maps over covered places, (rois, rois)."""
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
    norms = np.sqrt(np.outer(*np.maximum(squares / count - sums**2, 0.0)))
    above = products / count - np.outer(*sums)
    matches: Float = np.divide(above, norms, out=np.full_like(above, np.nan), where=norms > 0)
    return matches


def _symmetry(by_place: Array, covered: NDArray[np.bool_], places: PatternPlaces) -> float:
    """Return the mean over ROIs of the correlation of a row with its mirror image."""
    here = np.flatnonzero(places.mirror != _NONE)
    here = here[covered[here] & covered[places.mirror[here]]]
    rois = by_place.shape[1]
    sums, squares, shared = np.zeros((2, rois)), np.zeros((2, rois)), np.zeros(rois)
    for low in range(0, len(here), _AT_A_TIME):
        some = here[low : low + _AT_A_TIME]
        there, mirrored = by_place[some], by_place[places.mirror[some]]
        for n, part in enumerate((there, mirrored)):
            sums[n] += part.sum(axis=0)
            squares[n] += np.einsum("pr,pr->r", part, part)
        shared += np.einsum("pr,pr->r", there, mirrored)
    return _mean_correlation(sums, squares, shared, len(here))


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
