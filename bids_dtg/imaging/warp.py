"""Values on a model's grid, brought to the voxels of another grid by linear interpolation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.sampling import linear_neighbours, voxel_positions
from bids_dtg.imaging.transforms.chain import Transform, map_points

# A voxel of the other grid has a value if at least this share of the weights is of places that
# have one: then it lies inside the mask rather than outside.
LEAST_WEIGHT = 0.5
_NONE = -1
_VOXELS = 2**17  # handled at a time


@dataclass(frozen=True, eq=False)
class Warp:
    """Weights from places of a model to the voxels of another grid: made once, for all maps.

    A value is the weighed mean of those of the eight voxels around the point that are places of
    the model. Files of maps hold 0 outside the model's mask, so that plain interpolation of such
    a file, as by antsApplyTransforms, pulls values at the rim of the mask towards 0; here they
    are divided by the interpolated mask. Where the mask is whole, both are the same.
    """

    voxels: VoxelPlaces  # of the other grid: those that get a value
    # (voxels, places) scipy.sparse.csr_array, float32; rows add up to `inside`
    weights: Any
    inside: NDArray[np.float32]  # (voxels,), the interpolated mask of the model, from 0.5 to 1

    @classmethod
    def between(cls, places: VoxelPlaces, grid: Grid, transforms: Sequence[Transform]) -> Warp:
        """Find the weights.

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
        >>> Warp.between(model, other, ()).apply(np.array([[1.0, 3.0]], np.float32))
        array([[2.]], dtype=float32)
        """
        from scipy.sparse import csr_array

        numbers = np.full(places.grid.shape, _NONE, np.int32)
        numbers.reshape(-1)[places.positions] = np.arange(places.number, dtype=np.int32)
        stored = numbers.ravel(order="F")  # as `linear_neighbours` counts voxels
        parts = [
            _weigh(VoxelPlaces(grid, positions), places, stored, transforms)
            for positions in _pieces(int(np.prod(grid.shape)))
        ]
        kept, counts, columns, shares = (
            np.concatenate(arrays) for arrays in zip(*parts, strict=True)
        )
        if not len(kept):
            raise ValueError(f"no voxel of the grid in {grid.space} lies in the model's mask")
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        weights = csr_array((shares, columns, starts), shape=(len(kept), places.number))
        inside = weights @ np.ones(places.number, np.float32)
        return cls(VoxelPlaces(grid, kept), weights, inside)

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring maps to the voxels.

        Parameters
        ----------
        values
            (n, places); NaN where there is no value.

        Returns
        -------
        (n, voxels) float32; NaN where less than half of the weight is of places with a value.
        """
        known = ~np.isnan(values)
        found = np.empty((len(values), self.voxels.number), np.float32)
        for row, has, out in zip(values, known, found, strict=True):
            if has.all():
                out[:] = (self.weights @ row) / self.inside
                continue
            weight = self.weights @ has.astype(np.float32)
            total = self.weights @ np.where(has, row, np.float32(0))
            out[:] = np.nan
            np.divide(total, weight, out=out, where=weight >= LEAST_WEIGHT)
        return found


def _pieces(number: int) -> Iterator[NDArray[np.intp]]:
    """Divide numbers of voxels, so that what lies between input and result stays small."""
    for first in range(0, number, _VOXELS):
        yield np.arange(first, min(first + _VOXELS, number))


def _weigh(
    voxels: VoxelPlaces,
    places: VoxelPlaces,
    numbers: NDArray[np.int32],
    transforms: Sequence[Transform],
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Find the weights of some voxels.

    Parameters
    ----------
    voxels
        Voxels of the other grid, which get values.
    places
        Voxels of the model's grid.
    numbers
        The place at each voxel of the model's grid, first axis fastest; -1 for none.
    transforms
        Transforms between the two spaces, as for `Warp.between`.

    Returns
    -------
    kept
        (n,) positions in the other grid of the voxels that get a value.
    counts
        (n,) how many places each is made from.
    columns, shares
        (sum of the counts,) these places, and their weights.
    """
    points = map_points(voxels.points, transforms)
    found = linear_neighbours(voxel_positions(points, places.grid.affine), places.grid.shape)
    columns = numbers[found.positions]
    taken = (columns != _NONE) & (found.weights > 0)
    inside = np.where(taken, found.weights, 0.0).sum(axis=1)
    enough = np.flatnonzero(inside >= LEAST_WEIGHT)
    taken, columns = taken[enough], columns[enough]
    counts = np.count_nonzero(taken, axis=1)
    return voxels.positions[enough], counts, columns[taken], found.weights[enough][taken]
