"""Sampling a file's frames at points, by look-up of voxels or by interpolation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float32, Indices, Mask, Values
from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import (
    Affine,
    Grid,
    Points,
    Shape,
    Stored,
    apply_affine,
    voxel_sizes_mm,
)

# Voxels whose centres differ by less than this fraction of a voxel coincide.
_TOLERANCE = 1e-3
# Weights below this are rounding errors and set to 0, so that a point on a voxel needs only this.
_LEAST_WEIGHT = 1e-5
# Number of points handled at a time, so that intermediate results stay in the cache.
_POINTS = 65536


class Sampling(ABC):
    """Takes the values at wanted voxels from frames."""

    # (voxels,), whether the voxel is in the file's field of view
    covered: Mask
    # Fastest number of frames to pass; any gives the same result.
    frames_at_once: ClassVar[int] = 1

    def apply(
        self,
        block: Stored,
        slope: float,
        inter: float,
        out: Float32 | None = None,
    ) -> Float32:
        """Take wanted voxels from frames, and scale them.

        Parameters
        ----------
        block
            (frames, file voxels), values as stored, first file axis fastest.
        slope, inter
            value = stored * slope + inter.
        out
            (frames, voxels), to be filled; created if not given.

        Returns
        -------
        (frames, voxels) float32; 0 where not covered.
        """
        if out is None:
            out = np.empty((len(block), len(self.covered)), np.float32)
        missing = np.flatnonzero(~self.covered)
        for values in self._filled(block, out):
            scale(values, slope, inter)
            values[missing] = 0.0
        return out

    def sample(self, volume: Stored) -> Float32:
        """Take wanted voxels (voxels,) from a volume (i, j, k) of real values."""
        sampled = self.apply(volume.reshape(1, -1, order="F"), 1.0, 0.0)
        return sampled.reshape(-1)

    @abstractmethod
    def _filled(self, block: Stored, out: Float32) -> Iterator[Float32]:
        """Fill and yield the rows of `out`, one at a time so that it stays in the cache."""


@dataclass(frozen=True, eq=False)
class LatticeSampling(Sampling):
    """An exact look-up of grid voxels in a file, without interpolation."""

    # (voxels,), position in a frame as stored; 0 where not covered
    source: Indices
    # (voxels,), whether the voxel is in the file's field of view
    covered: Mask

    @classmethod
    def between(
        cls,
        file_shape: Shape,
        file_affine: Affine,
        grid: Grid,
        voxels: Indices,
        *,
        name: str = "the file",
    ) -> LatticeSampling:
        """Find grid voxels in a file whose voxels coincide with them, for any crop, flip or axes.

        Parameters
        ----------
        file_shape, file_affine
            First three sizes and the affine (voxel indices to RAS+ mm) of the file.
        grid
            The grid whose voxels are wanted.
        voxels
            (voxels,), flat positions in the grid, C order of (i, j, k), in the wanted order;
            `np.flatnonzero(mask)` for a mask.
        name
            Name of the file in error messages.

        Raises
        ------
        RunError
            The file's voxels do not coincide with the grid's.
        """
        to_file = np.linalg.inv(np.asarray(file_affine, np.float64)) @ grid.affine
        steps = np.rint(to_file[:3, :3])
        start = np.rint(to_file[:3, 3])
        # An error of direction or size grows along the grid, so check its far corner.
        error = np.abs(to_file[:3, :3] - steps) @ (np.asarray(grid.shape) - 1)
        error += np.abs(to_file[:3, 3] - start)
        steps_of_rows = np.abs(steps).sum(axis=1)
        steps_of_columns = np.abs(steps).sum(axis=0)
        is_permutation = (steps_of_rows == 1).all() and (steps_of_columns == 1).all()
        if not is_permutation or error.max() > _TOLERANCE:
            resolution = f":res-{grid.resolution}" if grid.resolution else ""
            raise RunError(
                f"{name} has voxels of {_lattice(file_affine)}",
                expected=f"the lattice of {grid.space}, voxels of {_lattice(grid.affine)}, "
                "or a crop or flip of it",
                remedy=f"run fMRIPrep with the output space {grid.space}{resolution}",
            )
        grid_index = np.unravel_index(voxels, grid.shape)
        # Each axis of the file is one of the grid's.
        grid_axes = np.abs(steps).argmax(axis=1)
        file_index = [
            grid_index[axis] * int(step[axis]) + int(first)
            for axis, step, first in zip(grid_axes, steps, start, strict=True)
        ]
        return cls._at(file_index, file_shape)

    @classmethod
    def nearest(
        cls,
        shape: Shape,
        affine: Affine,
        points: Points,
    ) -> LatticeSampling:
        """Look up the voxel in which each point lies; parameters as for `LinearSampling`."""
        index = np.floor(voxel_positions(points, affine) + 0.5).astype(np.intp)
        return cls._at(list(index.T), shape)

    @classmethod
    def _at(cls, index: list[Indices], shape: Shape) -> LatticeSampling:
        """Look up voxels by their indices along the three axes of the file."""
        voxels = len(index[0])
        source = np.zeros(voxels, np.intp)
        covered = np.ones(voxels, bool)
        stride = 1
        for along, size in zip(index, shape, strict=False):
            covered &= (along >= 0) & (along < size)
            source += along * stride
            stride *= size
        source[~covered] = 0
        return cls(source, covered)

    def _filled(self, block: Stored, out: Float32) -> Iterator[Float32]:
        for voxels, values in zip(_gathered(block, self.source), out, strict=True):
            values[:] = voxels
            yield values


class LinearSampling(Sampling):
    """Trilinear interpolation at a list of points.

    Each value is a weighted sum of at most eight voxels of the file. It is not finite if one of
    these is not.
    """

    def __init__(
        self,
        shape: Shape,
        affine: Affine,
        points: Points,
    ) -> None:
        """Find the neighbouring voxels of points.

        Parameters
        ----------
        shape, affine
            First three sizes and the affine (voxel indices to RAS+ mm) of the file.
        points
            (voxels, 3), RAS+ coordinates in mm.
        """
        # (voxels,), whether each is in the file's field of view
        neighbours, weights, self.covered = linear_neighbours(
            voxel_positions(points, affine), shape[:3]
        )
        # Only voxels with a weight are converted to floats, so that they stay in the cache.
        needed = np.zeros(int(np.prod(shape[:3])), bool)
        needed[neighbours[weights > 0]] = True
        # (needed voxels,), positions in a frame as stored
        self.needed = np.flatnonzero(needed)
        rank = np.cumsum(needed, dtype=np.int32) - 1  # of a voxel among these
        self._matrix = sparse_weights(
            weights, rank[neighbours], weights > 0, len(self.needed)
        )

    def beside(self, neighbours: Mask) -> Mask:
        """Return the points (voxels,) whose values depend on some of the needed voxels."""
        return np.asarray(self.share_in(neighbours) > 0)

    def share_in(self, neighbours: Mask) -> Float32:
        """Return the share (voxels,) of each point's weights in some of the needed voxels."""
        return self._matrix @ neighbours.astype(np.float32)

    def averaged(self, weights: Any) -> LinearSampling:
        """Return a sampling of weighted means of the points, by sparse weights (means, points)."""
        means = copy(self)
        means._matrix = weights @ self._matrix
        means.covered = np.diff(means._matrix.indptr) > 0
        return means

    def needed_alone(self) -> LinearSampling:
        """Return the same sampling of frames that hold nothing but the needed voxels."""
        alone = copy(self)
        alone.needed = np.arange(len(self.needed))
        return alone

    def _filled(self, block: Stored, out: Float32) -> Iterator[Float32]:
        for voxels, values in zip(_gathered(block, self.needed), out, strict=True):
            values[:] = self._matrix @ voxels.astype(np.float32)
            yield values


def _gathered(block: Stored, positions: Indices) -> Iterator[Stored]:
    """Yield the values of each frame at some positions, in memory that is used again."""
    gathered = np.empty(len(positions), block.dtype)
    for frame in block:
        # "clip" lets take write to `gathered`.
        np.take(frame, positions, out=gathered, mode="clip")
        yield gathered


def voxel_positions(points: Points, affine: Affine) -> Points:
    """Convert points (n, 3) in RAS+ mm to voxel indices (n, 3) of an image with this affine.

    Examples
    --------
    >>> import numpy as np
    >>> affine = np.diag([2.0, 2.0, 2.0, 1.0])
    >>> voxel_positions(np.array([[4.0, 0.0, 2.0]]), affine)
    array([[2., 0., 1.]])
    """
    to_voxels = np.linalg.inv(affine).astype(np.float64, copy=False)
    return apply_affine(to_voxels, points)


def in_view(positions: Points, shape: Shape) -> Mask:
    """Return whether positions (n, 3) lie in the grid, up to half a voxel beyond voxel centres.

    Examples
    --------
    >>> import numpy as np
    >>> in_view(np.array([[0.0, 1.0, 2.0], [9.0, 0.0, 0.0]]), (4, 4, 4))
    array([ True, False])
    """
    inside = (positions >= -0.5) & (positions < np.asarray(shape) - 0.5)
    return np.asarray(inside.all(axis=1))


def linear_neighbours(
    positions: Points, shape: Shape
) -> tuple[NDArray[np.int32], Float32, Mask]:
    """Find the voxels and weights of trilinear interpolation.

    As in ITK, the field of view ends at the outer faces of the outermost voxels. Between these
    faces and the voxels' centres, values are those at the centres.

    Parameters
    ----------
    positions
        (points, 3) voxel indices, in general not integers.
    shape
        Sizes of the image, first axis fastest as stored.

    Returns
    -------
    positions
        (points, 8), positions of the voxels in the stored image, first axis fastest.
    weights
        (points, 8), adding up to one for a point inside; 0 for points outside.
    inside
        (points,), whether the point is in the field of view.
    """
    inside = in_view(positions, shape)
    neighbours = np.zeros((len(positions), 8), np.int32)
    weights = np.zeros((len(positions), 8), np.float32)
    for first in range(0, len(positions), _POINTS):
        part = slice(first, first + _POINTS)
        in_image = np.where(inside[part, None], positions[part], 0.0)
        lowest = np.zeros(len(in_image), np.int32)  # neighbour with the lowest indices
        stride = 1
        steps = []  # to the higher neighbour along each axis
        shares = []  # of the lower and the higher neighbour along each axis
        for along, size in zip(in_image.T, shape, strict=True):
            position = np.clip(along, 0, size - 1)
            # At the last voxel, take the one before as the lower neighbour, with weight 0.
            low = np.minimum(np.floor(position), max(size - 2, 0))
            high_share = position - low
            high_share[high_share < _LEAST_WEIGHT] = 0.0
            high_share[high_share > 1 - _LEAST_WEIGHT] = 1.0
            lowest += low.astype(np.int32) * np.int32(stride)
            steps.append(stride if size > 1 else 0)
            shares.append((1 - high_share, high_share))
            stride *= size
        step_i, step_j, step_k = steps
        shares_i, shares_j, shares_k = shares
        for corner, (k, j, i) in enumerate(np.ndindex(2, 2, 2)):
            to_corner = i * step_i + j * step_j + k * step_k
            neighbours[part, corner] = lowest + to_corner
            weights[part, corner] = shares_i[i] * shares_j[j] * shares_k[k]
    weights[~inside] = 0.0
    return neighbours, weights, inside


def sparse_weights(
    weights: Float32,
    columns: NDArray[np.int32],
    used: Mask,
    number: int,
) -> Any:
    """Return the used ones of weights (points, 8) as a sparse matrix (points, `number`)."""
    from scipy.sparse import csr_array

    used_of_point = np.count_nonzero(used, axis=1)
    ends = np.concatenate([[0], np.cumsum(used_of_point)]).astype(np.int32)
    shape = (len(weights), number)
    return csr_array((weights[used], columns[used], ends), shape=shape)


def outer_weights(first: Values, second: Values, third: Values) -> Values:
    """Multiply weights of points along three axes, each (points, n), to (points, n, n, n)."""
    plane = first[:, :, None, None] * second[:, None, :, None]
    return plane * third[:, None, None, :]


def scale(values: Float32, slope: float, inter: float) -> None:
    """Convert stored values to real values in place: value = stored * slope + inter.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.array([1.0, 2.0], dtype=np.float32)
    >>> scale(values, 2.0, 1.0)
    >>> values
    array([3., 5.], dtype=float32)
    """
    if slope != 1.0:
        values *= np.float32(slope)
    if inter != 0.0:
        values += np.float32(inter)


def _lattice(affine: Affine) -> str:
    sizes = voxel_sizes_mm(affine)
    millimetres = " x ".join(f"{size:.4g}" for size in sizes)
    origin = ", ".join(f"{value:.5g}" for value in np.asarray(affine)[:3, 3])
    return f"{millimetres} mm with origin ({origin})"
