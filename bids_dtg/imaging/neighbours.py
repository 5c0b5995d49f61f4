"""The voxels around points of an image, and their weights: linear or nearest neighbour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Weights below this are rounding: without them a voxel that lies on another needs that one only.
_LEAST_WEIGHT = 1e-5
# Points handled at a time, so that what lies between input and result stays small.
_POINTS = 65536


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each point, the eight voxels of its cell; weights of a point inside add up to one."""

    positions: NDArray[np.int32]  # (points, 8), in an image as stored, first axis fastest
    weights: NDArray[np.float32]  # (points, 8), 0 for points outside
    inside: NDArray[np.bool_]  # (points,), whether the point is in the field of view


def voxel_positions(
    points: NDArray[np.float64], affine: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Turn points (n, 3) in RAS+ mm to voxel indices (n, 3) of an image with this affine.

    Examples
    --------
    >>> import numpy as np
    >>> affine = np.diag([2.0, 2.0, 2.0, 1.0])
    >>> voxel_positions(np.array([[4.0, 0.0, 2.0]]), affine)
    array([[2., 0., 1.]])
    """
    to_voxels = np.linalg.inv(affine)
    positions: NDArray[np.float64] = points @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    return positions


def in_view(positions: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which voxel positions (n, 3) lie in some voxel: up to half a voxel beyond centres.

    Examples
    --------
    >>> import numpy as np
    >>> in_view(np.array([[0.0, 1.0, 2.0], [9.0, 0.0, 0.0]]), (4, 4, 4))
    array([ True, False])
    """
    inside: NDArray[np.bool_] = np.all(
        (positions >= -0.5) & (positions < np.asarray(shape) - 0.5), axis=1
    )
    return inside


def nearest_voxels(positions: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Give the place of the nearest voxel, first axis fastest, of positions (n, 3) in view.

    Examples
    --------
    >>> import numpy as np
    >>> nearest_voxels(np.array([[0.4, 0.6, 0.0]]), (2, 2, 2))
    array([2])
    """
    indices = np.floor(positions + 0.5).astype(np.intp)
    places: NDArray[np.intp] = indices @ _strides(shape)
    return places


def linear_neighbours(positions: NDArray[np.float64], shape: tuple[int, ...]) -> Neighbours:
    """Find the voxels and weights of trilinear interpolation.

    As in ITK, the field of view ends with the outer faces of the outermost voxels; between these
    and their centres the image continues as it is at the centres.

    Parameters
    ----------
    positions
        (points, 3) voxel indices, not whole numbers in general.
    shape
        Sizes of the image, first axis fastest as stored.
    """
    inside = in_view(positions, shape)
    found = np.zeros((len(positions), 8), np.int32)
    weights = np.zeros((len(positions), 8), np.float32)
    for first in range(0, len(positions), _POINTS):
        part = slice(first, first + _POINTS)
        here = np.where(inside[part, None], positions[part], 0.0)
        _fill(here, shape, found[part], weights[part])
    weights[~inside] = 0.0
    return Neighbours(found, weights, inside)


def _fill(
    positions: NDArray[np.float64],
    shape: tuple[int, ...],
    found: NDArray[np.int32],
    weights: NDArray[np.float32],
) -> None:
    last = np.asarray(shape, np.int64) - 1
    clamped = np.clip(positions, 0, last)
    low = np.minimum(np.floor(clamped).astype(np.int64), last)
    share = clamped - low
    share[share < _LEAST_WEIGHT] = 0.0
    share[share > 1 - _LEAST_WEIGHT] = 1.0
    high, strides = np.minimum(low + 1, last), _strides(shape)
    # along each axis: place and weight of the lower and of the upper neighbour
    places = [(low[:, a] * strides[a], high[:, a] * strides[a]) for a in range(3)]
    shares = [(1 - share[:, a], share[:, a]) for a in range(3)]
    for corner in range(8):
        i, j, k = corner & 1, corner >> 1 & 1, corner >> 2
        found[:, corner] = places[0][i] + places[1][j] + places[2][k]
        weights[:, corner] = shares[0][i] * shares[1][j] * shares[2][k]


def _strides(shape: tuple[int, ...]) -> NDArray[np.intp]:
    return np.array([1, shape[0], shape[0] * shape[1]], dtype=np.intp)
