"""Values of maps at points between voxels, of the voxels that have a value alone.

Trilinear interpolation takes what lies outside a mask for zeros, which pulls values at the rim of
grey matter to zero. Here the weights of voxels without a value are left out, and those of the
others add up to one: trilinear(map * mask) / trilinear(mask).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.sampling import linear_neighbours, voxel_positions
from bids_dtg.imaging.transforms import Transform, map_points

# Weights are float32: sums of eight reach one no closer.
_WHOLE = 1 - 1e-4
# A voxel of another grid has a value if at least this share of the weights is of places that
# have one: then it lies inside the mask rather than outside.
LEAST_WEIGHT = 0.5
_NONE = -1
_VOXELS = 2**17  # of another grid, handled at a time


@dataclass(frozen=True, eq=False)
class PointSampling:
    """The way from a list of voxels to a list of points, found once for any number of maps.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.imaging.grid import Grid
    >>> grid = Grid((3, 1, 1), np.diag([2.0, 2.0, 2.0, 1.0]))
    >>> places = VoxelPlaces.within(grid, np.array([True, True, False]).reshape(3, 1, 1))
    >>> points = np.array([[1.0, 0.0, 0.0], [3.0, 0.0, 0.0], [90.0, 0.0, 0.0]])
    >>> sampling = PointSampling.between(places, points)
    >>> sampling.apply(np.array([[1.0, 2.0]], dtype=np.float32))
    array([[1.5, 2. , nan]], dtype=float32)
    >>> sampling.support
    array([1. , 0.5, 0. ], dtype=float32)
    """

    matrix: Any  # sparse (points, places) float32: trilinear weights, not normalised
    support: NDArray[np.float32]  # (points,), sum of the weights of a point: 1 amid the places
    least_weight: float = 0.0  # of places with a value, where a point gets one

    @classmethod
    def between(cls, places: VoxelPlaces, points: NDArray[np.float64]) -> PointSampling:
        """Find the voxels around points (points, 3), RAS+ mm, and their weights."""
        # A rim of voxels without a value all around, so that a grid may end with its mask.
        matrix = _weights(places, points, rim=1)
        return cls(matrix, _sums(matrix))

    @property
    def whole(self) -> NDArray[np.bool_]:
        """(points,), whether all eight voxels around a point have a value."""
        return self.support >= _WHOLE

    @property
    def partial(self) -> NDArray[np.bool_]:
        """(points,), whether some of the voxels around a point have a value, and not all."""
        return (self.support > 0) & ~self.whole

    def apply(self, maps: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Interpolate maps.

        Parameters
        ----------
        maps
            (maps, places); NaN at places without a value.

        Returns
        -------
        (maps, points) float32; NaN where too little weight is of voxels with a value.
        """
        found = np.full((len(maps), len(self.support)), np.nan, np.float32)
        for row, out in zip(maps.astype(np.float32, copy=False), found, strict=True):
            known = np.isfinite(row)
            if known.all():
                weights, total = self.support, self.matrix @ row
            else:
                weights = self.matrix @ known.astype(np.float32)
                total = self.matrix @ np.where(known, row, np.float32(0))
            enough = (weights > 0) & (weights >= self.least_weight)
            np.divide(total, weights, out=out, where=enough)
        return found


def sample_grid(
    places: VoxelPlaces, grid: Grid, transforms: Sequence[Transform]
) -> tuple[VoxelPlaces, PointSampling]:
    """Find the way to those voxels of another grid that lie in a model's mask.

    Files of maps hold 0 outside the model's mask, so that plain interpolation of such a file, as
    by antsApplyTransforms, pulls values at the rim of the mask towards 0; here they are divided by
    the interpolated mask. Where the mask is whole, both are the same.

    Parameters
    ----------
    places
        Of the model's grid, where values are.
    grid
        To whose voxels they are brought.
    transforms
        From points of that grid's space to points of the model's, in order of application.

    Raises
    ------
    ValueError
        No voxel of the grid lies in the model's mask.

    Examples
    --------
    >>> model = VoxelPlaces(Grid((2, 1, 1), np.eye(4)), np.array([0, 1]))
    >>> halfway = np.eye(4)
    >>> halfway[0, 3] = 0.5
    >>> other = Grid((1, 1, 1), halfway, space="T1w", resolution=None)
    >>> sample_grid(model, other, ())[1].apply(np.array([[1.0, 3.0]], np.float32))
    array([[2.]], dtype=float32)
    """
    from scipy.sparse import vstack

    kept, parts, number = [], [], int(np.prod(grid.shape))
    for first in range(0, number, _VOXELS):
        positions = np.arange(first, min(first + _VOXELS, number))
        points = map_points(VoxelPlaces(grid, positions).points, transforms)
        weights = _weights(places, points, rim=0)
        enough = np.flatnonzero(_sums(weights) >= LEAST_WEIGHT)
        kept.append(positions[enough])
        parts.append(weights[enough])
    voxels = VoxelPlaces(grid, np.concatenate(kept))
    if not voxels.number:
        raise ValueError(f"no voxel of the grid in {grid.space} lies in the model's mask")
    matrix = vstack(parts, format="csr")
    return voxels, PointSampling(matrix, _sums(matrix), LEAST_WEIGHT)


def _weights(places: VoxelPlaces, points: NDArray[np.float64], rim: int) -> Any:
    """Return trilinear weights (points, places), sparse, of a grid with `rim` voxels around it."""
    from scipy.sparse import csr_array

    shape = tuple(size + 2 * rim for size in places.grid.shape)
    numbers = np.full(shape, _NONE, np.int32)
    numbers[tuple((places.index + rim).T)] = np.arange(places.number)
    positions, weights, _ = linear_neighbours(
        voxel_positions(points, places.grid.affine) + rim, shape
    )
    near = numbers.ravel(order="F")[positions]
    taking = (weights > 0) & (near != _NONE)
    starts = np.concatenate([[0], np.cumsum(np.count_nonzero(taking, axis=1))])
    return csr_array(
        (weights[taking], near[taking], starts.astype(np.int32)),
        shape=(len(points), places.number),
    )


def _sums(weights: Any) -> NDArray[np.float32]:
    """Return the sum of each point's weights, (points,)."""
    sums: NDArray[np.float32] = weights @ np.ones(weights.shape[1], np.float32)
    return sums
