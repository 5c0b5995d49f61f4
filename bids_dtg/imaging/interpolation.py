"""Values of a file between its voxels: a sampling that is computed once and applied to frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.neighbours import (
    in_view,
    linear_neighbours,
    nearest_voxels,
    voxel_positions,
)
from bids_dtg.imaging.sampling import LatticeSampling, require_shape, scale


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
