"""Cubic B-spline interpolation of frames at points."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from bids_dtg.array_types import Float32, Float64
from bids_dtg.engine.machine import in_threads
from bids_dtg.imaging.grid import Affine, Points, Shape, Stored
from bids_dtg.imaging.sampling import (
    LinearSampling,
    Sampling,
    in_view,
    outer_weights,
    voxel_positions,
)

# Number of points handled at a time, so that intermediate results stay in the cache.
_POINTS = 32768
# Most points whose weights are kept; they take 256 MiB.
_MOST_KEPT = 2**19
_TAPS = 4  # number of coefficients around a point along each axis
# Number of frames that are interpolated together; more are hardly faster.
FRAMES_TOGETHER = 16


class CubicSampling(Sampling):
    """Interpolation by cubic B-splines at a list of points, as fMRIPrep resamples runs.

    The spline passes through the values of all voxels of a frame, so it blurs less than
    `LinearSampling`, in which a value is a mean of up to eight voxels. Beyond the centres of the
    outermost voxels, the image is continued by reflection, as in `scipy.ndimage.spline_filter` and
    ITK. A value is a weighted sum of 64 coefficients. Coefficients of several frames are stored
    next to each other, so that each weight is read from memory once for all of them. Weights take
    512 bytes per point; for many points, they are computed again each time. Where linear
    interpolation would use a voxel that is not finite, the value is NaN.
    """

    frames_at_once: ClassVar[int] = FRAMES_TOGETHER

    def __init__(
        self,
        shape: Shape,
        affine: Affine,
        points: Points,
    ) -> None:
        """Compute the matrices from values to coefficients along each axis, first axis fastest.

        Parameters are the same as for `LinearSampling`.
        """
        shape = shape[:3]
        positions = voxel_positions(points, affine)
        self.covered = in_view(positions, shape)  # (voxels,), in the field of view
        # Points outside get no value; move them to a covered point, to keep the box small.
        inside = positions[self.covered.argmax()] if self.covered.any() else 0.0
        positions[~self.covered] = inside
        self._shape = shape
        self._positions = positions
        # The box of the coefficients that the points need, first axis fastest: along each axis, the
        # first coefficient, their number, and the matrix from values to them.
        self._first: list[int] = []
        self._sizes: list[int] = []
        self._matrices: list[Float32] = []
        for along, size in zip(positions.T, shape, strict=True):
            ends = np.zeros(2)
            if len(along):
                ends = np.clip([along.min(), along.max()], 0, size - 1)
            low, high = _floor(ends, size).astype(int).tolist()
            count = high - low + _TAPS
            self._first.append(low)
            self._sizes.append(count)
            self._matrices.append(_coefficients(size)[low : low + count])
        starts = range(0, len(positions), _POINTS)
        self._parts = [slice(start, start + _POINTS) for start in starts]
        self._weights: dict[int, Any] = {}  # of parts of the points
        self._lock = threading.Lock()
        # Memory for coefficients (frames, coefficients) and their transpose; reused, as allocating
        # it would take as long as filling it.
        most = FRAMES_TOGETHER * math.prod(self._sizes)
        self._memory = np.empty((2, most), np.float32)

    @cached_property
    def _around(self) -> LinearSampling:
        """The eight voxels around each point, all of which must be finite."""
        return LinearSampling(self._shape, np.eye(4), self._positions)

    def _filled(self, block: Stored, out: Float32) -> Iterator[Float32]:
        """Fill `out` with as many threads as the process may use; a second caller waits."""
        with self._lock:
            for first in range(0, len(block), FRAMES_TOGETHER):
                part = slice(first, first + FRAMES_TOGETHER)
                self._fill(block[part], out[part])
        yield from out

    def _fill(self, frames: Stored, out: Float32) -> None:
        used = self._memory[:, : len(frames) * math.prod(self._sizes)]
        coefficients = used[0].reshape(len(frames), -1)
        transposed = used[1].reshape(-1, len(frames))
        lacking: list[int] = []  # frames with voxels that are not finite

        def find_coefficients(part: slice) -> None:
            for number in range(len(frames))[part]:
                image = frames[number].astype(np.float32)
                finite = np.isfinite(image)
                if not finite.all():
                    image[~finite] = 0.0
                    lacking.append(number)
                self._find_coefficients(image, coefficients[number])

        def transpose(part: slice) -> None:
            transposed[part] = coefficients[:, part].T

        def add_up(parts: slice) -> None:
            for number in range(len(self._parts))[parts]:
                values = self._weights_of(number) @ transposed
                out[:, self._parts[number]] = values.T

        def mark(part: slice) -> None:
            for number in lacking[part]:
                near = frames[number, self._around.needed].astype(np.float32)
                out[number, self._around.beside(~np.isfinite(near))] = np.nan

        in_threads(find_coefficients, len(frames))
        in_threads(transpose, len(transposed))
        in_threads(add_up, len(self._parts))
        in_threads(mark, len(lacking))

    def _find_coefficients(self, image: Float32, out: Float32) -> None:
        """Write the coefficients of an image (file voxels,) in the box to `out` (coefficients,)."""
        to_i, to_j, to_k = self._matrices
        i, j, k = self._shape
        along_i = image.reshape(k * j, i) @ to_i.T
        along_ik = to_k @ along_i.reshape(k, -1)
        planes = along_ik.reshape(len(to_k), j, len(to_i))
        np.matmul(to_j, planes, out=out.reshape(self._sizes[::-1]))

    def _weights_of(self, number: int) -> Any:
        """Return sparse weights of one part of the points; keep them if there are not too many."""
        weights = self._weights.get(number)
        if weights is None:
            weights = self._find_weights(self._positions[self._parts[number]])
            if len(self._positions) <= _MOST_KEPT:
                self._weights[number] = weights
        return weights

    def _find_weights(self, positions: Points) -> Any:
        """Return sparse weights (points, coefficients of the box) at positions (points, 3).

        Along each axis, a point has four coefficients, so 64 in the box.
        """
        from scipy.sparse import csr_array

        lowest = np.zeros(len(positions), np.intp)  # column of the first of the 64
        stride = 1
        steps = []  # along each axis: columns from the first of the four to each
        axis_weights = []  # along each axis: (points, 4)
        axes = zip(positions.T, self._shape, self._first, self._sizes, strict=True)
        for along, size, first, count in axes:
            position = np.clip(along, 0, size - 1)
            low = _floor(position, size)
            fraction = (position - low).astype(np.float32)
            lowest += (low.astype(np.intp) - first) * stride
            steps.append(stride * np.arange(_TAPS, dtype=np.int32))
            axis_weights.append(np.stack(_weights(fraction), axis=1))
            stride *= count
        i, j, k = axis_weights
        weights = outer_weights(k, j, i)  # (points, 4, 4, 4), i fastest as in the box
        steps_i, steps_j, steps_k = steps
        from_lowest = steps_k[:, None, None] + steps_j[:, None] + steps_i
        columns = lowest.astype(np.int32)[:, None] + from_lowest.reshape(-1)
        ends = np.arange(0, columns.size + 1, _TAPS**3, dtype=np.int32)
        shape = (len(positions), math.prod(self._sizes))
        return csr_array((weights.reshape(-1), columns.reshape(-1), ends), shape=shape)


def _floor(along: Float64, size: int) -> Float64:
    """Return the voxel before each position along an axis; at the last voxel, the one before."""
    return np.minimum(np.floor(along), max(size - 2, 0))


def _coefficients(size: int) -> Float32:
    """Return the matrix from values along an axis to coefficients, (size + 2, size).

    The first and last rows are the reflections beyond the ends. For a single voxel it is (4, 1);
    its last row is only padding, with weight 0.
    """
    if size == 1:
        return np.ones((_TAPS, 1), np.float32)
    diagonals = np.eye(size, k=-1) + 4 * np.eye(size) + np.eye(size, k=1)
    to_values = diagonals / 6
    to_values[0, 1] = to_values[-1, -2] = 2 / 6
    rows = np.linalg.inv(to_values)
    reflected = np.concatenate([rows[1:2], rows, rows[-2:-1]])
    return reflected.astype(np.float32)


def _weights(share: Float32) -> tuple[Float32, ...]:
    """Return the weights of the four coefficients around points, from their fractional positions.

    Examples
    --------
    >>> [round(float(6 * weight[0])) for weight in _weights(np.zeros(1, np.float32))]
    [1, 4, 1, 0]
    """
    sixth = np.float32(1 / 6)
    complement = 1 - share
    squared = share * share
    first = complement * complement * complement * sixth
    second = (share * np.float32(0.5) - 1) * squared + np.float32(2 / 3)
    last = share * squared * sixth
    third = 1 - first - second - last
    return first, second, third, last
