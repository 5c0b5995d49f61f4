"""What a connectome looks like: figures that a wrong grid, side, space or cleaning changes.

They need the model's ROI maps and nothing of other people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Indices = NDArray[np.intp]
_NONE = -1


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

    maps: Array  # (rois, places)
    mirror: Indices  # (places,), the place on the other side, -1 for none
    neighbours: Indices  # (pairs, 2), places beside each other, each pair once

    def __post_init__(self) -> None:
        if self.maps.ndim != 2 or self.maps.shape[1] != len(self.mirror):
            raise ValueError(f"maps are (rois, {len(self.mirror)}), found {self.maps.shape}")


def pattern_figures(r: Array, covered: NDArray[np.bool_], places: PatternPlaces) -> PatternFigures:
    """Describe a connectome.

    Parameters
    ----------
    r
        (rois, places).
    covered
        (places,), where there is signal.
    places
        The same ones.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if r.shape != places.maps.shape or covered.shape != r.shape[1:]:
        raise ValueError(
            f"the connectome is {places.maps.shape}, found {r.shape} with coverage {covered.shape}"
        )
    sums = _Sums(covered, places)
    if not len(sums.covered):
        return PatternFigures(*[float("nan")] * 6)
    rows = [sums.add(row, own_map) for row, own_map in zip(r, places.maps, strict=True)]
    centred = _standardised(r[:, sums.covered])
    matches = (centred @ _standardised(places.maps[:, sums.covered]).T).astype(np.float64)
    own, symmetry = np.diagonal(matches), np.array([row.symmetry for row in rows])
    variance = np.mean([row.variance for row in rows])
    jump = float(np.mean([row.jump for row in rows]))
    products = np.sum([row.sides for row in rows], axis=0)
    defined = np.isfinite(own)
    if not defined.any():
        return PatternFigures(*[float("nan")] * 6)
    best = np.where(np.isfinite(matches), matches, -np.inf).argmax(axis=1)
    return PatternFigures(
        map_match=float(own[defined].mean()),
        map_identity=float((best == np.arange(len(r)))[defined].mean()),
        side_match=_ratio(float(products[0]), float(np.sqrt(products[1] * products[2]))),
        symmetry=float(np.nanmean(symmetry)) if np.isfinite(symmetry).any() else float("nan"),
        strength=float(np.sqrt(variance)),
        smoothness=1.0 - _ratio(jump, 2 * float(variance)),
    )


@dataclass(frozen=True)
class _Row:
    """What one ROI's row adds to the figures."""

    variance: float  # over places
    jump: float  # mean squared difference between neighbours
    symmetry: float  # correlation with the mirror image
    sides: tuple[float, float, float]  # Σ ab, Σ a², Σ b² of left less right of row and map


class _Sums:
    """The covered places, pairs of sides and pairs of neighbours."""

    def __init__(self, covered: NDArray[np.bool_], places: PatternPlaces) -> None:
        self.covered = np.flatnonzero(covered)
        here = np.flatnonzero(places.mirror != _NONE)
        self.left, self.right = _covered(np.stack([here, places.mirror[here]], axis=1), covered)
        self.near, self.next = _covered(places.neighbours, covered)

    def add(self, row: Array, own_map: Array) -> _Row:
        there, mirrored = row[self.left], row[self.right]
        sides = there - mirrored
        of_map = own_map[self.left] - own_map[self.right]
        steps = row[self.near] - row[self.next]
        return _Row(
            variance=float(row[self.covered].var()),
            jump=float(steps @ steps) / len(steps) if len(steps) else float("nan"),
            symmetry=_correlation(there, mirrored),
            sides=(float(sides @ of_map), float(sides @ sides), float(of_map @ of_map)),
        )


def _covered(pairs: Indices, covered: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Return the two ends of the pairs of places that are both covered."""
    one, other = pairs.T
    both = covered[one] & covered[other]
    return one[both], other[both]


def _standardised(rows: Array) -> Array:
    """Centre rows and scale them to length 1; NaN where one is constant."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    standard: Array = np.divide(centred, np.where(length > 0, length, np.nan), dtype=np.float32)
    return standard


def _correlation(one: Array, two: Array) -> float:
    if len(one) < 2:
        return float("nan")
    a, b = one - one.mean(), two - two.mean()
    return _ratio(float(a @ b), float(np.sqrt((a @ a) * (b @ b))))


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else float("nan")
