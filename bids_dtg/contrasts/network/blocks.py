"""Which 2×2×2 blocks of a layer are computed, and which rows each of them reads.

A layer's values are a table of rows (row, channel) instead of a grid; a `Field` says which row
holds a voxel. The last row of a table is zero: padding outside the grid, and what nobody asks
for. Blocks are worked off in chunks; a chunk's output rows lie position by position (eight
positions of a block), block by block within a position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Rows = NDArray[np.int32]
Wanted = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Field:
    """Where the values of a layer lie in its table."""

    index: Rows  # (i, j, k): the row of a voxel; `count` where it has none
    count: int  # rows but the last, which is zero


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks that a layer computes."""

    reads: tuple[Tensor, ...]  # a chunk: int32 (points, blocks), the rows that each point reads
    number: Rows  # a block's place in the order of work, shape of the grid halved; `count` if none
    count: int  # blocks
    field: Field  # of the output, eight rows a block

    def start(self, chunk: int) -> int:
        """Return the number of a chunk's first block; all chunks but the last are of one size."""
        return chunk * self.reads[0].shape[1]

    def written(self, table: Tensor, chunk: int) -> Tensor:
        """Return the rows of the output table that a chunk writes, (8 · blocks, channels)."""
        start = 8 * self.start(chunk)
        return table[start : start + 8 * self.reads[chunk].shape[1]]


def masked_field(mask: Wanted) -> Field:
    """Return the field of a table with one row a voxel of the mask, in C order."""
    count = int(np.count_nonzero(mask))
    index = np.full(mask.shape, count, np.int32)
    index[mask] = np.arange(count, dtype=np.int32)
    return Field(index, count)


def conv_blocks(field: Field, wanted: Wanted, size: int) -> Blocks:
    """Return the blocks of a 3×3×3 convolution; each reads 4×4×4 points.

    Parameters
    ----------
    field
        Of the input.
    wanted
        Output voxels asked for, shape (i, j, k) of the input.
    size
        Blocks a chunk.
    """
    padded = _padded(field, tuple(2 * ((n + 1) // 2) + 2 for n in wanted.shape))
    return _blocks(padded, 2, 4, wanted, size)


def upscale_blocks(field: Field, wanted: Wanted, size: int) -> Blocks:
    """Return the blocks of a 3×3×3 transposed convolution of stride 2; each reads 2×2×2 points.

    Output voxels 2m and 2m + 1 of an axis depend on the input voxels m - 1 and m only.

    Parameters
    ----------
    field
        Of the input.
    wanted
        Output voxels asked for; an axis of n voxels in has 2n + 1 out.
    size
        Blocks a chunk.
    """
    padded = _padded(field, tuple(n + 2 for n in field.index.shape))
    return _blocks(padded, 1, 2, wanted, size)


def pooled_field(blocks: Blocks, wanted: Wanted) -> Field:
    """Return the field of 2×2×2 maxima, one row a block, where all eight voxels are wanted."""
    whole = _halved(wanted, np.logical_and)
    i, j, k = (n // 2 for n in wanted.shape)
    return Field(np.where(whole, blocks.number, np.int32(blocks.count))[:i, :j, :k], blocks.count)


def doubled(grid: Wanted, shape: tuple[int, ...]) -> Wanted:
    """Return the voxels whose maximum a pooled voxel of `grid` is; the inverse of pooling."""
    out = np.zeros(shape, bool)
    i, j, k = (2 * n for n in grid.shape)
    out[:i, :j, :k] = grid.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return out


def dilated(grid: Wanted) -> Wanted:
    """Return the voxels that a 3×3×3 convolution reads to give `grid`."""
    for axis in range(3):
        moved = np.moveaxis(grid, axis, 0)
        wider = moved.copy()
        wider[1:] |= moved[:-1]
        wider[:-1] |= moved[1:]
        grid = np.moveaxis(wider, 0, axis)
    return grid


def _padded(field: Field, shape: tuple[int, ...]) -> Rows:
    """Return the index with one voxel of padding before each axis, and behind it up to `shape`."""
    padded = np.full(shape, field.count, np.int32)
    i, j, k = field.index.shape
    padded[1 : 1 + i, 1 : 1 + j, 1 : 1 + k] = field.index
    return padded


def _blocks(padded: Rows, step: int, width: int, wanted: Wanted, size: int) -> Blocks:
    """Make blocks; block b reads padded[step·b : step·b + width] on each axis."""
    coarse = _halved(wanted, np.logical_or)
    strides = np.array(padded.strides) // padded.itemsize
    corners = step * np.argwhere(coarse) @ strides
    points = np.indices((width,) * 3).reshape(3, -1).T @ strides
    reads = padded.ravel()[corners[:, None] + points]
    kept, numbers = _merged(reads)
    count = len(kept)
    number = np.full(coarse.shape, count, np.int32)
    number[coarse] = numbers
    chunks = tuple(
        torch.from_numpy(np.ascontiguousarray(reads[kept[start : start + size]].T))
        for start in range(0, count, size)
    )
    return Blocks(chunks, number, count, _output_field(number, wanted, count, size))


def _halved(grid: Wanted, join: np.ufunc) -> Wanted:
    """Join the voxels of each 2×2×2 block; voxels past the end count as False."""
    grid = np.pad(grid, [(0, n % 2) for n in grid.shape])
    for axis in range(3):
        moved = np.moveaxis(grid, axis, 0)
        grid = np.moveaxis(join(moved[::2], moved[1::2]), 0, axis)
    return grid


def _merged(reads: Rows) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the blocks to compute, and for each block its place among them.

    Blocks that read one row only (the constant far from the mask) are computed once.
    """
    same = np.arange(len(reads))
    uniform = np.flatnonzero((reads == reads[:, :1]).all(axis=1))
    _, first, inverse = np.unique(reads[uniform, 0], return_index=True, return_inverse=True)
    same[uniform] = uniform[first[inverse]]
    kept, place = np.unique(same, return_inverse=True)
    return kept, place


def _output_field(number: Rows, wanted: Wanted, count: int, size: int) -> Field:
    voxels = np.argwhere(wanted)
    block = number[tuple((voxels // 2).T)]
    position = (voxels % 2) @ (4, 2, 1)
    start = block // size * size
    width = np.minimum(size, count - start)
    index = np.full(wanted.shape, 8 * count, np.int32)
    index[wanted] = 8 * start + position * width + (block - start)
    return Field(index, 8 * count)
