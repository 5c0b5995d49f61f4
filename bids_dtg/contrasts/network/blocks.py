"""Which 2×2×2 blocks of a layer are computed, and which rows each of them reads.

A layer's values are a table of rows (row, channel) instead of a grid; a `Field` gives the row of a
voxel. The last row of a table is zero: padding outside the grid, and voxels that are not needed.
Blocks are processed in chunks; a chunk's output rows are ordered by position (eight positions of a
block), then by block.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int32]
Wanted = NDArray[np.bool_]
Table = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Field:
    """Rows of a layer's voxels in its table."""

    index: Rows  # (i, j, k): the row of a voxel; `count` if it has none
    count: int  # rows but the last, which is zero


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks that a layer computes."""

    reads: tuple[Rows, ...]  # a chunk: (points, blocks), the rows that each point reads
    number: Rows  # a block's place in the order of work, shape of the grid halved; `count` if none
    count: int  # blocks
    field: Field  # of the output, eight rows a block

    def start(self, chunk: int) -> int:
        """Return the number of a chunk's first block; all chunks but the last are of one size."""
        return chunk * int(self.reads[0].shape[1])

    def rows(self, chunk: int) -> range:
        """Return the rows of the output table that a chunk writes, eight a block."""
        start = 8 * self.start(chunk)
        return range(start, start + 8 * int(self.reads[chunk].shape[1]))

    def written(self, table: Table, chunk: int) -> Table:
        """Return the rows of the whole output table that a chunk writes."""
        rows = self.rows(chunk)
        return table[rows.start : rows.stop]

    def chunks(self, rows: range) -> range:
        """Return the chunks that write the given rows of the output."""
        return range(rows.start // self._size, -(-rows.stop // self._size))

    def whole(self, rows: Rows) -> range:
        """Return all rows of the chunks that write the given rows, and of the chunks between."""
        of = self.chunks(range(int(rows.min()), int(rows.max()) + 1))
        return range(of.start * self._size, min(of.stop * self._size, self.field.count))

    @property
    def _size(self) -> int:
        return 8 * self.start(1)


class Window:
    """Rows of a table too large to be held at once; the row after those held is zero.

    Parameters
    ----------
    most
        Number of rows held at a time.
    channels
        Number of values of a row.
    """

    def __init__(self, most: int, channels: int) -> None:
        self._room = np.empty((most + 1, channels), np.float32)
        self.held = range(0)

    @property
    def rows(self) -> Table:
        """The held rows, followed by the row of zeros."""
        return self._room[: len(self.held) + 1]

    def at(self, rows: range) -> Table:
        """Return some of the held rows."""
        first = self.held.start
        return self._room[rows.start - first : rows.stop - first]

    def move(self, wanted: range) -> range:
        """Hold other rows; those held already are kept.

        Returns
        -------
        The rows that must still be written, the last of the wanted.
        """
        kept = range(wanted.start, wanted.start)
        if wanted.start in self.held:
            kept = range(wanted.start, min(wanted.stop, self.held.stop))
        self._room[: len(kept)] = self.at(kept)
        self.held = wanted
        self._room[len(wanted)] = 0
        return range(kept.stop, wanted.stop)


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
        Rows of the input layer's voxels.
    wanted
        Output voxels asked for, shape (i, j, k) of the input.
    size
        Number of blocks in a chunk.
    """
    padded = _padded(field, tuple(2 * ((n + 1) // 2) + 2 for n in wanted.shape))
    return _blocks(padded, 2, 4, wanted, size)


def upscale_blocks(field: Field, wanted: Wanted, size: int) -> Blocks:
    """Return the blocks of a 3×3×3 transposed convolution of stride 2; each reads 2×2×2 points.

    Output voxels 2m and 2m + 1 of an axis depend on the input voxels m - 1 and m only.

    Parameters
    ----------
    field
        Rows of the input layer's voxels.
    wanted
        Output voxels asked for; an axis of n voxels in has 2n + 1 out.
    size
        Number of blocks in a chunk.
    """
    padded = _padded(field, tuple(n + 2 for n in field.index.shape))
    return _blocks(padded, 1, 2, wanted, size)


def pooled_field(blocks: Blocks, wanted: Wanted) -> Field:
    """Return the field of 2×2×2 maxima, one row a block, where all eight voxels are wanted."""
    whole = _halved(wanted, np.logical_and)
    i, j, k = (n // 2 for n in wanted.shape)
    return Field(np.where(whole, blocks.number, np.int32(blocks.count))[:i, :j, :k], blocks.count)


def doubled(grid: Wanted, shape: tuple[int, ...]) -> Wanted:
    """Return the voxels that max pooling to `grid` reads; the inverse of pooling."""
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
    rows = padded.ravel()
    kept, numbers = _merged(rows, corners, points)
    corners, count = corners[kept], len(kept)
    number = np.full(coarse.shape, count, np.int32)
    number[coarse] = numbers
    chunks = tuple(
        rows[points[:, None] + corners[start : start + size]] for start in range(0, count, size)
    )
    return Blocks(chunks, number, count, _output_field(number, wanted, count, size))


def _halved(grid: Wanted, join: np.ufunc) -> Wanted:
    """Join the voxels of each 2×2×2 block; voxels past the end count as False."""
    grid = np.pad(grid, [(0, n % 2) for n in grid.shape])
    for axis in range(3):
        moved = np.moveaxis(grid, axis, 0)
        grid = np.moveaxis(join(moved[::2], moved[1::2]), 0, axis)
    return grid


def _merged(
    rows: Rows, corners: NDArray[np.intp], points: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the blocks to compute, and the place of each block among them.

    Blocks that read only one row (the constant far from the mask) are computed once.
    """
    first = rows[corners]
    is_uniform = np.ones(len(corners), bool)
    for point in points:
        is_uniform &= rows[corners + point] == first
    uniform, same = np.flatnonzero(is_uniform), np.arange(len(corners))
    _, earliest, inverse = np.unique(first[uniform], return_index=True, return_inverse=True)
    same[uniform] = uniform[earliest[inverse]]
    is_kept = same == np.arange(len(corners))
    return np.flatnonzero(is_kept), (np.cumsum(is_kept) - 1)[same]


def _output_field(number: Rows, wanted: Wanted, count: int, size: int) -> Field:
    start = number // size * size
    width = np.minimum(size, count - start)
    first = 8 * start + (number - start)
    index = np.empty(wanted.shape, np.int32)
    for position, (i, j, k) in enumerate(product((0, 1), repeat=3)):
        voxels = index[i::2, j::2, k::2]
        voxels[:] = (first + position * width)[tuple(map(slice, voxels.shape))]
    index[~wanted] = 8 * count
    return Field(index, 8 * count)
