"""What a connectome looks like: figures that a wrong grid, side, space or cleaning changes.

They need the model's ROI maps and nothing of other people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Places = NDArray[np.intp]
_NONE = -1


@dataclass(frozen=True)
class PatternFigures:
    """Figures of one connectome, over covered voxels; NaN where they are not defined."""

    map_match: float  # mean over ROIs of the spatial correlation of an ROI's row with its map
    map_identity: float  # share of ROIs whose row resembles their own map most of all maps
    side_match: float  # the same correlation of what differs between left and right, all ROIs
    symmetry: float  # mean over ROIs of the correlation of a row with its mirror image
    strength: float  # root mean square of the rows' deviations from their means
    smoothness: float  # correlation of neighbouring voxels


@dataclass(frozen=True, eq=False)
class PatternPlaces:
    """The voxels of a model: their ROI maps, mirror images and neighbours."""

    maps: Array  # (rois, voxels)
    mirror: Places  # (voxels,), the voxel on the other side, -1 for none
    neighbours: Places  # (3, voxels), the next voxel along each axis, -1 for none

    @classmethod
    def of(
        cls, maps: Array, mask: NDArray[np.bool_], affine: NDArray[np.floating]
    ) -> PatternPlaces:
        """Find mirror images and neighbours.

        Parameters
        ----------
        maps
            ROI maps over the mask, (rois, voxels).
        mask
            (i, j, k); voxel vectors are in C order.
        affine
            Of the grid, to mm; x is 0 in the middle between the sides.
        """
        index = np.argwhere(mask)
        if maps.ndim != 2 or maps.shape[1] != len(index):
            raise ValueError(f"maps are (rois, {len(index)}), found {maps.shape}")
        number = np.full(mask.shape, _NONE, np.intp)
        number[mask] = np.arange(len(index))
        points = index @ affine[:3, :3].T + affine[:3, 3]
        points[:, 0] *= -1
        mirrored = np.rint((points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T)
        steps = np.eye(3, dtype=np.intp)
        return cls(
            maps,
            _numbers(number, mirrored.astype(np.intp)),
            np.stack([_numbers(number, index + step) for step in steps]),
        )


def _numbers(number: Places, index: Places) -> Places:
    """Look up voxels (voxels, 3) of the grid; -1 outside it."""
    found = np.full(len(index), _NONE, np.intp)
    inside = ((index >= 0) & (index < number.shape)).all(axis=1)
    found[inside] = number[tuple(index[inside].T)]
    return found


def pattern_figures(r: Array, covered: NDArray[np.bool_], places: PatternPlaces) -> PatternFigures:
    """Describe a connectome.

    Parameters
    ----------
    r
        (rois, voxels).
    covered
        (voxels,), where there is signal.
    places
        Of the same voxels.

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
    if not len(sums.voxels):
        return PatternFigures(*[float("nan")] * 6)
    rows = [sums.add(row, own_map) for row, own_map in zip(r, places.maps, strict=True)]
    centred = _standardised(r[:, sums.voxels])
    matches = (centred @ _standardised(places.maps[:, sums.voxels]).T).astype(np.float64)
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

    variance: float  # over voxels
    jump: float  # mean squared difference between neighbours
    symmetry: float  # correlation with the mirror image
    sides: tuple[float, float, float]  # Σ ab, Σ a², Σ b² of left less right of row and map


class _Sums:
    """The covered voxels, pairs of sides and pairs of neighbours."""

    def __init__(self, covered: NDArray[np.bool_], places: PatternPlaces) -> None:
        self.voxels = np.flatnonzero(covered)
        self.left, self.right = _pairs(places.mirror, covered)
        pairs = [_pairs(one, covered) for one in places.neighbours]
        self.near, self.next = (np.concatenate(part) for part in zip(*pairs, strict=True))

    def add(self, row: Array, own_map: Array) -> _Row:
        there, mirrored = row[self.left], row[self.right]
        sides = there - mirrored
        of_map = own_map[self.left] - own_map[self.right]
        steps = row[self.near] - row[self.next]
        return _Row(
            variance=float(row[self.voxels].var()),
            jump=float(steps @ steps) / len(steps) if len(steps) else float("nan"),
            symmetry=_correlation(there, mirrored),
            sides=(float(sides @ of_map), float(sides @ sides), float(of_map @ of_map)),
        )


def _pairs(partner: Places, covered: NDArray[np.bool_]) -> tuple[Places, Places]:
    """Return the covered voxels whose partner is covered too, and their partners."""
    one = np.flatnonzero((partner != _NONE) & covered)
    two = partner[one]
    both = covered[two]
    return one[both], two[both]


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
