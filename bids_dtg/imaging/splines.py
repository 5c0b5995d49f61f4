"""Cubic B-splines through the voxels of frames, and their values at points between voxels."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError

Float32 = NDArray[np.float32]

# Points handled at a time, so that what lies between input and result stays in the cache.
_POINTS = 32768
# Frames whose splines are held at a time: weights are the same for all of them.
_FRAMES = 4
_LONGEST_AXIS = 2048
# Weights of linear interpolation up to this are rounding.
_LEAST_WEIGHT = 1e-5


class CubicSplines:
    """What turns frames of one shape into the coefficients of their splines.

    The image goes on as its mirror image beyond the centres of the outermost voxels, as in
    `scipy.ndimage.spline_filter` and ITK.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Invert the matrices from coefficients to values along each axis, first axis fastest.

        Raises
        ------
        RunError
            An axis is longer than those of any image of a brain; the matrices would be huge.
        """
        if max(shape) > _LONGEST_AXIS:
            raise RunError(
                f"an image has sizes {' x '.join(map(str, shape))}",
                expected=f"at most {_LONGEST_AXIS} along each axis, for cubic splines",
                remedy="check the file, or give --interpolation linear",
            )
        self.shape = shape
        self._along = [_coefficients(size) for size in shape[::-1]]
        self._own = threading.local()  # memory of each thread that evaluates

    def values(
        self, frames: NDArray[np.generic], positions: NDArray[np.float64], out: Float32
    ) -> None:
        """Evaluate the splines through frames at points.

        Beyond the centres of the outermost voxels the image goes on as it is at them. Where linear
        interpolation would take a voxel that is not finite, the value is NaN.

        Parameters
        ----------
        frames
            (frames, file voxels), values as stored, first file axis fastest.
        positions
            (points, 3) voxel indices, not whole numbers in general.
        out
            (frames, points), to fill.
        """
        for first in range(0, len(frames), _FRAMES):
            part = slice(first, first + _FRAMES)
            self._fill(frames[part], positions, out[part])

    def _fill(
        self, frames: NDArray[np.generic], positions: NDArray[np.float64], out: Float32
    ) -> None:
        images = [frame.astype(np.float32) for frame in frames]
        lost = [_lost(image) if frames.dtype.kind == "f" else None for image in images]
        for image, gone in zip(images, lost, strict=True):
            if gone is not None:
                image[gone] = 0.0
        windows = [self._windows(image) for image in images]
        taps = self._taps()
        for first in range(0, len(positions), _POINTS):
            part = slice(first, first + _POINTS)
            taps.around(positions[part])
            for window, values in zip(windows, out, strict=True):
                taps.sum(window, values[part])
        for gone, values in zip(lost, out, strict=True):
            if gone is not None:
                values[_touching(gone.reshape(self.shape[::-1]), positions)] = np.nan

    def _taps(self) -> _Taps:
        taps = getattr(self._own, "taps", None)
        if taps is None:
            taps = self._own.taps = _Taps(self.shape)
        return taps

    def _windows(self, image: Float32) -> NDArray[np.complex128]:
        """Return for each coefficient this one and the next three of its row, as one number.

        (k + 2) * (j + 2) * (i + 2) of them: mirrored by one beyond each face.
        """
        along_k, along_j, along_i = self._along
        k, j, i = self.shape[::-1]
        image = image.reshape(k * j, i) @ along_i.T
        image = along_k @ image.reshape(k, -1)
        flat = np.matmul(along_j, image.reshape(k + 2, j, i + 2)).reshape(-1)
        four = np.zeros((len(flat), 4), np.float32)
        for step in range(4):
            four[: len(flat) - step, step] = flat[step:]
        return four.view(np.complex128)[:, 0]


class _Taps:
    """The 4 x 4 x 4 coefficients around some points, and their weights along each axis.

    The memory is filled anew for each lot of points: to ask the system for as much each time takes
    longer than all else.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Make room for `_POINTS` points in frames of a shape."""
        self._shape = shape
        row, plane = shape[0] + 2, (shape[0] + 2) * (shape[1] + 2)
        # From the first coefficient to the first one of each row, (k, j).
        self._steps: NDArray[np.intp] = np.add.outer(plane * np.arange(4), row * np.arange(4))
        self._strides = (1, row, plane)
        self._lowest = np.empty(_POINTS, np.intp)  # place of the first coefficient
        self._along_i = np.empty((_POINTS, 4), np.float32)
        # Of rows and planes, each four times: it is the same for the coefficients of a row.
        self._along_j, self._along_k = np.empty((2, 4, _POINTS, 4), np.float32)
        self._taken = np.empty(_POINTS, np.complex128)
        self._plane, self._total = np.empty((2, _POINTS * 4), np.float32)

    def around(self, positions: NDArray[np.float64]) -> None:
        """Find those around points (points, 3), voxel indices; at most `_POINTS`."""
        number = len(positions)
        lowest, shares = self._lowest[:number], []
        lowest[:] = 0
        for along, size, stride in zip(positions.T, self._shape, self._strides, strict=True):
            share = np.clip(along, 0, size - 1)
            low = np.minimum(np.floor(share), max(size - 2, 0))
            share -= low
            lowest += low.astype(np.intp) * stride
            shares.append(share.astype(np.float32))
        for tap, weight in enumerate(_weights(shares[0])):
            self._along_i[:number, tap] = weight
        for weights, share in ((self._along_j, shares[1]), (self._along_k, shares[2])):
            for own, weight in zip(weights, _weights(share), strict=True):
                for column in range(4):  # far faster than to broadcast to rows of four
                    own[:number, column] = weight

    def sum(self, windows: NDArray[np.complex128], out: Float32) -> None:
        """Fill `out`, (points,), with the values of a spline at the points."""
        number = len(out)
        lowest, taken = self._lowest[:number], self._taken[:number]
        four = taken.view(np.float32)
        plane, total = self._plane[: 4 * number], self._total[: 4 * number]
        total[:] = 0
        for steps, weight_of_plane in zip(self._steps, self._along_k, strict=True):
            plane[:] = 0
            for step, weight in zip(steps, self._along_j, strict=True):
                # "clip" lets take write to `taken`.
                np.take(windows[step:], lowest, out=taken, mode="clip")
                four *= weight[:number].reshape(-1)
                plane += four
            plane *= weight_of_plane[:number].reshape(-1)
            total += plane
        total *= self._along_i[:number].reshape(-1)
        np.add(total[0::4], total[1::4], out=out)
        out += total[2::4]
        out += total[3::4]


def _coefficients(size: int) -> Float32:
    """Return what turns values along an axis into coefficients, (size + 2, size).

    The first and the last row are the mirror images beyond the ends.
    """
    if size == 1:
        return np.ones((3, 1), np.float32)
    to_values = (np.eye(size, k=-1) + 4 * np.eye(size) + np.eye(size, k=1)) / 6
    to_values[0, 1] = to_values[-1, -2] = 2 / 6
    inverse = np.linalg.inv(to_values)
    return np.concatenate([inverse[1:2], inverse, inverse[-2:-1]]).astype(np.float32)


def _weights(share: Float32) -> tuple[Float32, ...]:
    """Return those of the coefficients around points, which lie a share of a step on.

    Examples
    --------
    >>> [round(float(6 * weight[0])) for weight in _weights(np.zeros(1, np.float32))]
    [1, 4, 1, 0]
    """
    left = 1 - share
    first = left * left
    first *= left
    first *= np.float32(1 / 6)
    last = share * share
    second = share * np.float32(0.5)
    second -= 1
    second *= last
    second += np.float32(2 / 3)
    last *= share
    last *= np.float32(1 / 6)
    third = 1 - first
    third -= second
    third -= last
    return first, second, third, last


def _lost(image: Float32) -> NDArray[np.bool_] | None:
    """Return which voxels are not finite; None where all are."""
    lost: NDArray[np.bool_] = ~np.isfinite(image)
    return lost if lost.any() else None


def _touching(image: NDArray[np.bool_], positions: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return at which points linear interpolation would take a voxel of an image (k, j, i)."""
    from scipy.ndimage import map_coordinates

    inside = np.clip(positions.T[::-1], 0, np.array(image.shape)[:, None] - 1)
    share = map_coordinates(image.astype(np.float32), inside, order=1, mode="nearest")
    touching: NDArray[np.bool_] = share > _LEAST_WEIGHT
    return touching
