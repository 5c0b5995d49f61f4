"""Where each wanted grid voxel lies in a file, on its lattice or between its voxels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.neighbours import (
    in_view,
    linear_neighbours,
    nearest_voxels,
    voxel_positions,
)

# Voxels whose centres differ by less than this share of a voxel are the same voxel.
LATTICE_TOLERANCE = 1e-3


class Sampling(Protocol):
    """Takes the values at wanted voxels out of frames."""

    @property
    def covered(self) -> NDArray[np.bool_]:
        """(voxels,), whether the voxel is in the file's field of view."""

    def apply(
        self,
        block: NDArray[np.generic],
        slope: float,
        inter: float,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Take (frames, voxels) float32 out of (frames, file voxels), first file axis fastest."""


class GridMismatchError(RunError):
    """A file's voxels do not lie on the model grid's lattice."""


@dataclass(frozen=True, eq=False)
class LatticeSampling:
    """An exact lookup from a file's voxels to a list of grid voxels: no interpolation."""

    source: NDArray[np.intp]  # (voxels,), position in a frame as stored; 0 where not covered
    covered: NDArray[np.bool_]  # (voxels,), whether the voxel is in the file's field of view

    @classmethod
    def between(
        cls,
        file_shape: tuple[int, ...],
        file_affine: NDArray[np.float64],
        grid: Grid,
        voxels: NDArray[np.intp],
        *,
        name: str = "the file",
    ) -> LatticeSampling:
        """Find grid voxels in a file of any crop, flip or order of axes of the same lattice.

        Parameters
        ----------
        file_shape, file_affine
            First three sizes and the affine (voxel indices to RAS+ mm) of the file.
        grid
            The grid whose voxels are wanted.
        voxels
            (voxels,) flat positions in the grid, C order of (i, j, k), in the order wanted;
            `np.flatnonzero(mask)` for a mask.
        name
            How error messages call the file.

        Raises
        ------
        GridMismatchError
            The file is on another lattice.
        """
        shape = file_shape[:3]
        to_file = np.linalg.inv(np.asarray(file_affine, np.float64)) @ grid.affine
        steps = np.rint(to_file[:3, :3])
        start = np.rint(to_file[:3, 3])
        far = np.asarray(grid.shape) - 1
        # An error of direction or size grows along the grid: look at its far corner.
        error = np.abs(to_file[:3, :3] - steps) @ far + np.abs(to_file[:3, 3] - start)
        is_permutation = (np.abs(steps).sum(0) == 1).all() and (np.abs(steps).sum(1) == 1).all()
        if not is_permutation or error.max() > LATTICE_TOLERANCE:
            raise GridMismatchError(
                f"{name} has voxels of {_lattice(file_affine)}",
                expected=f"the lattice of {grid.space}, voxels of {_lattice(grid.affine)}, "
                "or a crop or flip of it",
                remedy="run fMRIPrep with the output space "
                f"{grid.space}{':res-' + grid.resolution if grid.resolution else ''}",
            )
        return cls(*_positions(shape, steps.astype(np.intp), start.astype(np.intp), grid, voxels))

    def apply(
        self,
        block: NDArray[np.generic],
        slope: float,
        inter: float,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Gather voxels of frames and scale them.

        Parameters
        ----------
        block
            (frames, file voxels), values as stored, first file axis fastest.
        slope, inter
            value = stored * slope + inter.
        out
            (frames, voxels) to fill; made where not given.

        Returns
        -------
        (frames, voxels) float32; 0 where not covered.
        """
        out = require_shape(out, len(block), len(self.source))
        missing = np.flatnonzero(~self.covered)
        gathered = np.empty(len(self.source), block.dtype)
        for frame, values in zip(block, out, strict=True):
            # One frame at a time stays in the cache; "clip" lets take write to `gathered`.
            np.take(frame, self.source, out=gathered, mode="clip")
            values[:] = gathered
            scale(values, slope, inter)
            values[missing] = 0.0
        return out


def scale(values: NDArray[np.float32], slope: float, inter: float) -> None:
    """Turn stored values into real ones, in place: value = stored * slope + inter.

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


def require_shape(out: NDArray[np.float32] | None, frames: int, voxels: int) -> NDArray[np.float32]:
    """Make memory for values, or check what was given."""
    if out is None:
        return np.empty((frames, voxels), np.float32)
    if out.shape != (frames, voxels):
        raise ValueError(f"out is {(frames, voxels)}, not {out.shape}")
    return out


def _positions(
    shape: tuple[int, ...],
    steps: NDArray[np.intp],
    start: NDArray[np.intp],
    grid: Grid,
    voxels: NDArray[np.intp],
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    # (voxels, 3) file indices = grid indices @ steps.T + start
    indices = np.stack(np.unravel_index(voxels, grid.shape), axis=1) @ steps.T + start
    covered: NDArray[np.bool_] = np.all((indices >= 0) & (indices < np.asarray(shape)), axis=1)
    indices[~covered] = 0
    # As stored, the first axis is the fastest.
    source: NDArray[np.intp] = indices @ np.array([1, shape[0], shape[0] * shape[1]], dtype=np.intp)
    return source, covered


def _lattice(affine: NDArray[np.float64]) -> str:
    sizes = np.sqrt((np.asarray(affine)[:3, :3] ** 2).sum(axis=0))
    millimetres = " x ".join(f"{size:.4g}" for size in sizes)
    origin = ", ".join(f"{value:.5g}" for value in np.asarray(affine)[:3, 3])
    return f"{millimetres} mm with origin ({origin})"


class LinearSampling:
    """Trilinear interpolation at a list of points.

    Each value is a sum of at most eight voxels of the file. A sum with a voxel that is not
    finite is not finite.
    """

    def __init__(
        self, shape: tuple[int, ...], affine: NDArray[np.float64], points: NDArray[np.float64]
    ) -> None:
        """Find the neighbours of points.

        Parameters
        ----------
        shape, affine
            First three sizes and the affine (voxel indices to RAS+ mm) of the file.
        points
            (voxels, 3) RAS+ mm.
        """
        from scipy.sparse import csr_array

        found = linear_neighbours(voxel_positions(points, affine), shape[:3])
        self.covered = found.inside  # (voxels,), whether it is in the file's field of view
        taking = found.weights > 0
        starts = np.concatenate([[0], np.cumsum(np.count_nonzero(taking, axis=1))])
        positions, weights = found.positions[taking], found.weights[taking]
        # Of a frame only what has a weight somewhere is turned to floats: it stays in the cache.
        needed = np.zeros(int(np.prod(shape[:3])), bool)
        needed[positions] = True
        self._needed = np.flatnonzero(needed)
        rank = (np.cumsum(needed) - 1).astype(np.int32)
        self._matrix: Any = csr_array(
            (weights, rank[positions], starts.astype(np.int32)),
            shape=(len(points), len(self._needed)),
        )

    def apply(
        self,
        block: NDArray[np.generic],
        slope: float,
        inter: float,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Interpolate frames and scale them; as `LatticeSampling.apply`."""
        out = require_shape(out, len(block), len(self.covered))
        missing = np.flatnonzero(~self.covered)
        gathered = np.empty(len(self._needed), block.dtype)
        for frame, values in zip(block, out, strict=True):
            # "clip" lets take write to `gathered`.
            np.take(frame, self._needed, out=gathered, mode="clip")
            values[:] = self._matrix @ gathered.astype(np.float32)
            scale(values, slope, inter)
            values[missing] = 0.0
        return out


def nearest_sampling(
    shape: tuple[int, ...], affine: NDArray[np.float64], points: NDArray[np.float64]
) -> LatticeSampling:
    """Look up the voxel that each point (voxels, 3), RAS+ mm, lies in."""
    positions = voxel_positions(points, affine)
    covered = in_view(positions, shape[:3])
    positions[~covered] = 0.0
    return LatticeSampling(nearest_voxels(positions, shape[:3]), covered)
