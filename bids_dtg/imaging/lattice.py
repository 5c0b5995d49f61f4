"""A lattice: coarse cells over places, interpolation from cells to places, smoothing over cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

# The nearest cells that a place of a surface is interpolated between.
_NEAREST = 3


@dataclass(frozen=True, eq=False)
class Lattice:
    """Cells that cover places, and how values pass between cells and places.

    The corners of an element are the cells that its places are interpolated between: eight
    around a voxel, the nearest three of a vertex.
    """

    shape: tuple[int, ...]  # of an array over the cells, in C order
    block: int  # edge of a cell, counted in places
    spacing_mm: float  # edge of a cell
    cell: NDArray[np.intp]  # (places,), number of the cell that a place lies in
    element: NDArray[np.intp]  # (places,), row of `corners`
    corners: NDArray[np.intp]  # (elements, corners), numbers of cells
    weights: Float64  # (places, corners), they add up to 1
    # For each axis of `shape`, the positions (cells along it, dimensions) in edges of a cell.
    axes: tuple[Float64, ...]

    @property
    def cells(self) -> int:
        """How many cells there are, those without a place included."""
        return int(np.prod(self.shape))

    def matches(self, other: Lattice) -> bool:
        """Return whether both have the same cells over the same places."""
        return (
            self.shape == other.shape
            and self.block == other.block
            and np.array_equal(self.cell, other.cell)
            and np.array_equal(self.weights, other.weights)
        )

    def interpolate(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Interpolate values at the cells' centres, (rows, *shape), to places: (rows, places)."""
        rows = values.reshape(len(values), -1).astype(np.float64)
        corners = self.corners[self.element]
        found = np.empty((len(rows), len(self.cell)), np.float32)
        for own, row in zip(found, rows, strict=True):
            own[:] = np.einsum("pc,pc->p", row[corners], self.weights)
        return found

    def smoothing(self, sd_mm: float, reach_mm: float) -> Callable[[Float64], Float64]:
        """Return a function that smooths values (cells, columns) by a Gaussian.

        Parameters
        ----------
        sd_mm
            Standard deviation; 0 leaves all as it is.
        reach_mm
            Weights of cells farther than this, along an axis, are 0. A cell's own weight is 1:
            the weights do not add up to 1.
        """
        sd, reach = sd_mm / self.spacing_mm, reach_mm / self.spacing_mm
        kernels = [_kernel(positions, sd, reach) for positions in self.axes]

        def smooth(values: Float64) -> Float64:
            grid = values.reshape(*self.shape, -1)
            for axis, kernel in enumerate(kernels):
                grid = np.moveaxis(np.tensordot(kernel, grid, axes=(1, axis)), 0, axis)
            return grid.reshape(len(values), -1)

        return smooth


def voxel_lattice(
    index: NDArray[np.intp], shape: tuple[int, ...], block: int, voxel_mm: float
) -> Lattice:
    """Divide a grid into cubes of `block` voxels along an edge; the last may be incomplete.

    Parameters
    ----------
    index
        (places, 3), of the voxels.
    shape
        Of the grid.
    block
        Edge of a cell in voxels.
    voxel_mm
        Edge of a voxel.
    """
    cells = tuple(-(-size // block) for size in shape)
    last = np.array(cells) - 1
    # A cell's centre lies (block - 1) / 2 voxels after its first voxel.
    place = np.clip((index - (block - 1) / 2) / block, 0, last)
    lower = np.minimum(place.astype(np.intp), np.maximum(last - 1, 0))
    share = place - lower
    lowest = _flat(lower, cells)
    used = np.zeros(int(np.prod(cells)), bool)
    used[lowest] = True
    first, element = np.flatnonzero(used), (np.cumsum(used) - 1)[lowest]
    steps = np.indices((2, 2, 2)).reshape(3, 8).T
    along_i, along_j, along_k = np.stack([1.0 - share, share], axis=2).transpose(1, 0, 2)
    weights = along_i[:, :, None, None] * along_j[:, None, :, None] * along_k[:, None, None, :]
    corner = np.stack(np.unravel_index(first, cells), axis=1)[:, None] + steps
    return Lattice(
        shape=cells,
        block=block,
        spacing_mm=voxel_mm * block,
        cell=_flat(index // block, cells),
        element=element,
        corners=_flat(np.minimum(corner, last), cells),
        weights=weights.reshape(-1, 8),
        axes=tuple(np.arange(size, dtype=np.float64)[:, None] for size in cells),
    )


def point_lattice(points: Float64, block: int, spacing_mm: float) -> Lattice:
    """Choose some of the points as centres of cells, about `block` points apart.

    A point lies in the cell of the nearest centre, and is interpolated between the nearest
    three by the inverse of its distances. Distances are straight lines.

    Parameters
    ----------
    points
        (places, 3), in mm.
    block
        Distance between centres, counted in points.
    spacing_mm
        Distance between neighbouring points.
    """
    from scipy.spatial import cKDTree

    edge = block * spacing_mm
    centres = points[_spread(points, edge)] if block > 1 else points
    distance, nearest = cKDTree(centres).query(points, min(_NEAREST, len(centres)))
    distance, nearest = (found.reshape(len(points), -1) for found in (distance, nearest))
    # A centre takes its own value; 1e-9 of an edge stands for no distance at all.
    weights = 1.0 / np.maximum(distance, 1e-9 * edge)
    weights /= weights.sum(axis=1, keepdims=True)
    # In one order of its corners, so that points between the same ones form an element.
    order = np.argsort(nearest, axis=1)
    ordered = np.take_along_axis(nearest, order, axis=1)
    corners, element = np.unique(ordered, axis=0, return_inverse=True)
    return Lattice(
        shape=(len(centres),),
        block=block,
        spacing_mm=edge,
        cell=nearest[:, 0].astype(np.intp),
        element=element.reshape(-1),
        corners=corners.astype(np.intp),
        weights=np.take_along_axis(weights, order, axis=1),
        axes=(centres / edge,),
    )


def single_lattice(places: int, block: int) -> Lattice:
    """Give each place a cell of its own, between which nothing is smoothed or interpolated.

    Examples
    --------
    >>> single_lattice(3, block=2).interpolate(np.array([[1.0, 2.0, 3.0]]))
    array([[1., 2., 3.]], dtype=float32)
    """
    own = np.arange(places, dtype=np.intp)
    return Lattice(
        shape=(places,),
        block=block,
        spacing_mm=1.0,
        cell=own,
        element=own,
        corners=own[:, None],
        weights=np.ones((places, 1)),
        axes=(),
    )


def _flat(index: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the numbers of cells, (...), at (..., axes) of an array."""
    return np.asarray(np.ravel_multi_index(tuple(np.moveaxis(index, -1, 0)), shape), np.intp)


def _spread(points: Float64, apart_mm: float) -> NDArray[np.intp]:
    """Choose points in order, each as far as this from those before; the others lie nearer."""
    from scipy.spatial import cKDTree

    tree, free = cKDTree(points), np.ones(len(points), bool)
    chosen = []
    for number in range(len(points)):
        if free[number]:
            chosen.append(number)
            free[tree.query_ball_point(points[number], apart_mm)] = False
    return np.array(chosen, np.intp)


def _kernel(positions: Float64, sd: float, reach: float) -> Float64:
    """Return the weights (n, n) between positions (n, dimensions)."""
    if sd == 0:
        return np.eye(len(positions))
    square = np.zeros((len(positions),) * 2)
    for along in positions.T:
        square += np.square(np.subtract.outer(along, along))
    distance = np.sqrt(square)
    weights: Float64 = np.exp(-0.5 * (distance / sd) ** 2)
    weights[distance > reach] = 0.0
    return weights
