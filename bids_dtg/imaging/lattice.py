"""A lattice: blocks of places, interpolation from blocks to places, smoothing over blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

# The nearest blocks that a place of a surface is interpolated between.


@dataclass(frozen=True, eq=False)
class Lattice:
    """Blocks that cover places, and how values pass between blocks and places.

    The corners of an element are the blocks that its places are interpolated between: eight
    around a voxel, the nearest three of a vertex.
    """

    shape: tuple[int, ...]  # of an array over the blocks, in C order
    edge: int  # of a block, counted in places
    spacing_mm: float  # edge of a block
    block_of: NDArray[np.intp]  # (places,), number of the block that a place lies in
    element: NDArray[np.intp]  # (places,), row of `corners`
    corners: NDArray[np.intp]  # (elements, corners), numbers of blocks
    weights: Float64  # (places, corners), they add up to 1
    # For each axis of `shape`, the positions (blocks along it, dimensions) in edges of a block.
    axes: tuple[Float64, ...]

    @property
    def blocks(self) -> int:
        """How many blocks there are, those without a place included."""
        return int(np.prod(self.shape))

    def matches(self, other: Lattice) -> bool:
        """Return whether both have the same blocks over the same places."""
        return (
            self.shape == other.shape
            and self.edge == other.edge
            and np.array_equal(self.block_of, other.block_of)
            and np.array_equal(self.weights, other.weights)
        )

    def interpolate(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Interpolate values at the blocks' centres, (rows, *shape), to places: (rows, places)."""
        rows = values.reshape(len(values), -1).astype(np.float64)
        corners = self.corners[self.element]
        found = np.empty((len(rows), len(self.block_of)), np.float32)
        for own, row in zip(found, rows, strict=True):
            own[:] = np.einsum("pc,pc->p", row[corners], self.weights)
        return found

    def smoothing(self, sd_mm: float, reach_mm: float) -> Callable[[Float64], Float64]:
        """Return a function that smooths values (blocks, columns) by a Gaussian.

        Parameters
        ----------
        sd_mm
            Standard deviation; 0 leaves all as it is.
        reach_mm
            Weights of blocks farther than this, along an axis, are 0. A block's own weight is 1:
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
    index: NDArray[np.intp], shape: tuple[int, ...], edge: int, voxel_mm: float
) -> Lattice:
    """Divide a grid into cubes of `edge` voxels; the last may be incomplete.

    Parameters
    ----------
    index
        (places, 3), of the voxels.
    shape
        Shape of the grid, (i, j, k).
    edge
        Edge of a block in voxels.
    voxel_mm
        Edge of the cubic voxels, in mm.
    """
    blocks = tuple(-(-size // edge) for size in shape)
    last = np.array(blocks) - 1
    # A block's centre lies (edge - 1) / 2 voxels after its first voxel.
    place = np.clip((index - (edge - 1) / 2) / edge, 0, last)
    lower = np.minimum(place.astype(np.intp), np.maximum(last - 1, 0))
    share = place - lower
    lowest = _flat(lower, blocks)
    used = np.zeros(int(np.prod(blocks)), bool)
    used[lowest] = True
    first, element = np.flatnonzero(used), (np.cumsum(used) - 1)[lowest]
    steps = np.indices((2, 2, 2)).reshape(3, 8).T
    along_i, along_j, along_k = np.stack([1.0 - share, share], axis=2).transpose(1, 0, 2)
    weights = along_i[:, :, None, None] * along_j[:, None, :, None] * along_k[:, None, None, :]
    corner = np.stack(np.unravel_index(first, blocks), axis=1)[:, None] + steps
    return Lattice(
        shape=blocks,
        edge=edge,
        spacing_mm=voxel_mm * edge,
        block_of=_flat(index // edge, blocks),
        element=element,
        corners=_flat(np.minimum(corner, last), blocks),
        weights=weights.reshape(-1, 8),
        axes=tuple(np.arange(size, dtype=np.float64)[:, None] for size in blocks),
    )


def single_lattice(places: int, edge: int) -> Lattice:
    """Give each place a block of its own, between which nothing is smoothed or interpolated.

    Examples
    --------
    >>> single_lattice(3, edge=2).interpolate(np.array([[1.0, 2.0, 3.0]]))
    array([[1., 2., 3.]], dtype=float32)
    """
    own = np.arange(places, dtype=np.intp)
    return Lattice(
        shape=(places,),
        edge=edge,
        spacing_mm=1.0,
        block_of=own,
        element=own,
        corners=own[:, None],
        weights=np.ones((places, 1)),
        axes=(),
    )


def _flat(index: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the numbers of blocks, (...), at (..., axes) of an array."""
    return np.asarray(np.ravel_multi_index(tuple(np.moveaxis(index, -1, 0)), shape), np.intp)


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
