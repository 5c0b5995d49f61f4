"""A lattice: blocks of places, and interpolation from blocks to places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Lattice:
    """Blocks that cover places, and how values pass between blocks and places.

    A place's corners are the blocks that its values are interpolated between: eight around a
    voxel, one of a parcel.
    """

    shape: tuple[int, ...]  # of an array over the blocks, in C order
    edge: int  # of a block, counted in places
    block_of: NDArray[np.intp]  # (places,), number of the block that a place lies in
    corners: NDArray[np.intp]  # (places, corners), numbers of blocks
    weights: Float64  # (places, corners), they add up to 1

    @property
    def blocks(self) -> int:
        """How many blocks there are, those without a place included."""
        return int(np.prod(self.shape))

    def interpolate(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Interpolate values at the blocks' centres, (rows, *shape), to places: (rows, places)."""
        rows = values.reshape(len(values), -1).astype(np.float64)
        found = np.empty((len(rows), len(self.block_of)), np.float32)
        for own, row in zip(found, rows, strict=True):
            own[:] = np.einsum("pc,pc->p", row[self.corners], self.weights)
        return found


def voxel_lattice(index: NDArray[np.intp], shape: tuple[int, ...], edge: int) -> Lattice:
    """Divide a grid into cubes of `edge` voxels; the last may be incomplete.

    Parameters
    ----------
    index
        (places, 3), of the voxels.
    shape
        Shape of the grid, (i, j, k).
    edge
        Edge of a block in voxels.
    """
    blocks = tuple(-(-size // edge) for size in shape)
    last = np.array(blocks) - 1
    # A block's centre lies (edge - 1) / 2 voxels after its first voxel.
    place = np.clip((index - (edge - 1) / 2) / edge, 0, last)
    lower = np.minimum(place.astype(np.intp), np.maximum(last - 1, 0))
    share = place - lower
    steps = np.indices((2, 2, 2)).reshape(3, 8).T
    along_i, along_j, along_k = np.stack([1.0 - share, share], axis=2).transpose(1, 0, 2)
    weights = along_i[:, :, None, None] * along_j[:, None, :, None] * along_k[:, None, None, :]
    return Lattice(
        shape=blocks,
        edge=edge,
        block_of=_flat(index // edge, blocks),
        corners=_flat(np.minimum(lower[:, None] + steps, last), blocks),
        weights=weights.reshape(-1, 8),
    )


def single_lattice(places: int, edge: int) -> Lattice:
    """Give each place a block of its own, between which nothing is interpolated.

    Examples
    --------
    >>> single_lattice(3, edge=2).interpolate(np.array([[1.0, 2.0, 3.0]]))
    array([[1., 2., 3.]], dtype=float32)
    """
    own = np.arange(places, dtype=np.intp)
    return Lattice(
        shape=(places,),
        edge=edge,
        block_of=own,
        corners=own[:, None],
        weights=np.ones((places, 1)),
    )


def _flat(index: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the numbers of blocks, (...), at (..., axes) of an array."""
    return np.asarray(np.ravel_multi_index(tuple(np.moveaxis(index, -1, 0)), shape), np.intp)
