"""Values of maps at points between voxels, of the voxels that have a value alone.

Trilinear interpolation takes what lies outside a mask for zeros, which pulls vertices at the rim
of grey matter to zero. Here the weights of voxels without a value are left out, and those of the
others add up to one: trilinear(map * mask) / trilinear(mask).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.sampling import linear_neighbours, voxel_positions

# Weights are float32: sums of eight reach one no closer.
_WHOLE = 1 - 1e-4


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

    @classmethod
    def between(cls, places: VoxelPlaces, points: NDArray[np.float64]) -> PointSampling:
        """Find the voxels around points, and their weights.

        Parameters
        ----------
        places
            The voxels that maps have values at.
        points
            (points, 3), RAS+ mm in the space of the grid.
        """
        from scipy.sparse import csr_array

        # A rim of voxels without a value all around, so that a grid may end with its mask.
        shape = tuple(size + 2 for size in places.grid.shape)
        numbers = np.full(shape, -1, np.int32)
        numbers[tuple((places.index + 1).T)] = np.arange(places.number)
        found = linear_neighbours(voxel_positions(points, places.grid.affine) + 1, shape)
        near = numbers.ravel(order="F")[found.positions]
        taking = (found.weights > 0) & (near >= 0)
        starts = np.concatenate([[0], np.cumsum(np.count_nonzero(taking, axis=1))])
        matrix = csr_array(
            (found.weights[taking], near[taking], starts.astype(np.int32)),
            shape=(len(points), places.number),
        )
        return cls(matrix, np.asarray(matrix.sum(axis=1), np.float32))

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
        (maps, points) float32; NaN where no voxel around a point has a value.
        """
        known = np.isfinite(maps)
        if known.all():
            weights = self.support
            sums = self._sums(maps)
        else:
            weights = self._sums(known)
            sums = self._sums(np.where(known, maps, 0))
        with np.errstate(invalid="ignore", divide="ignore"):
            values: NDArray[np.float32] = np.where(weights > 0, sums / weights, np.float32(np.nan))
        return values

    def _sums(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Return the weighted sums of rows (n, places): (n, points)."""
        by_place = np.ascontiguousarray(rows.T, np.float32)
        sums: NDArray[np.float32] = np.ascontiguousarray((self.matrix @ by_place).T)
        return sums
