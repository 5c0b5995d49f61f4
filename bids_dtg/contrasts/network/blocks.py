"""The 2×2×2 blocks of a layer that are computed, and the layers on them.

A layer's values are a table of rows (row, channel) instead of a grid; a `Field` gives the row of a
voxel. The last row of a table is zero; it stands for padding outside the grid and for voxels that
are not needed. Blocks are processed in chunks. A chunk's output rows are ordered by position in the
block (eight positions), then by block.

Each thread processes whole chunks instead of a share of every small operation. NumPy's BLAS splits
each product over its threads, which spin while they wait for the slowest; with thousands of small
operations, one busy core slows all of them down. The workers here wait only once per layer, keep a
chunk in their own cache, and give the same bytes whatever their number.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float32, Floats, Indices, Mask
from bids_dtg.engine.machine import one_blas_thread

Rows = NDArray[np.int32]
Task = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Field:
    """Rows of a layer's voxels in its table."""

    index: Rows  # (i, j, k): the row of a voxel; `count` if it has none
    count: int  # number of rows without the last one, which is zero


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks that a layer computes."""

    # The rows that each point reads, one array (points, blocks) per chunk.
    reads: tuple[Rows, ...]
    # Position of each block in the order of work, on the halved grid; `count` if none.
    number: Rows
    count: int  # number of blocks
    field: Field  # of the output, eight rows per block

    def start(self, chunk: int) -> int:
        """Return the number of a chunk's first block; all chunks but the last are of equal size."""
        return chunk * int(self.reads[0].shape[1])

    def rows(self, chunk: int) -> range:
        """Return the rows of the output table that a chunk writes, eight per block."""
        start = 8 * self.start(chunk)
        return range(start, start + 8 * int(self.reads[chunk].shape[1]))

    def written(self, table: Float32, chunk: int) -> Float32:
        """Return the part of the output table that a chunk writes."""
        rows = self.rows(chunk)
        return table[rows.start : rows.stop]

    def chunks(self, rows: range) -> range:
        """Return the chunks that write the given rows of the output."""
        return range(rows.start // self._size, -(-rows.stop // self._size))

    def whole(self, rows: Rows) -> range:
        """Return all rows of the chunks that write the given rows, and of the chunks between."""
        chunks = self.chunks(range(int(rows.min()), int(rows.max()) + 1))
        stop = min(chunks.stop * self._size, self.field.count)
        return range(chunks.start * self._size, stop)

    @property
    def _size(self) -> int:
        return 8 * self.start(1)


class Window:
    """Some rows of a table that is too large to be held at once; the row after them is zero.

    Parameters
    ----------
    most
        Number of rows held at a time.
    channels
        Number of values in a row.
    """

    def __init__(self, most: int, channels: int) -> None:
        self._room = np.empty((most + 1, channels), np.float32)
        self.held = range(0)

    @property
    def rows(self) -> Float32:
        """The held rows, followed by the row of zeros."""
        return self._room[: len(self.held) + 1]

    def at(self, rows: range) -> Float32:
        """Return some of the held rows."""
        first = self.held.start
        return self._room[rows.start - first : rows.stop - first]

    def move(self, wanted: range) -> range:
        """Hold other rows; rows that are already held are kept.

        Returns
        -------
        The wanted rows that must still be written, which are the last ones.
        """
        overlap = range(wanted.start, wanted.start)
        if wanted.start in self.held:
            overlap = range(wanted.start, min(wanted.stop, self.held.stop))
        self._room[: len(overlap)] = self.at(overlap)
        self.held = wanted
        self._room[len(wanted)] = 0
        return range(overlap.stop, wanted.stop)


def masked_field(mask: Mask) -> Field:
    """Return the field of a table with one row per voxel of the mask, in C order."""
    count = int(np.count_nonzero(mask))
    index = np.full(mask.shape, count, np.int32)
    index[mask] = np.arange(count, dtype=np.int32)
    return Field(index, count)


def conv_blocks(field: Field, wanted: Mask, size: int) -> Blocks:
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


def upscale_blocks(field: Field, wanted: Mask, size: int) -> Blocks:
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


def pooled_field(blocks: Blocks, wanted: Mask) -> Field:
    """Return the field of 2×2×2 maxima, one row per block whose eight voxels are all wanted."""
    whole = _halved(wanted, np.logical_and)
    index = np.where(whole, blocks.number, np.int32(blocks.count))
    i, j, k = (n // 2 for n in wanted.shape)
    return Field(index[:i, :j, :k], blocks.count)


def doubled(grid: Mask, shape: tuple[int, ...]) -> Mask:
    """Return the voxels that max pooling to `grid` reads; the inverse of pooling."""
    out = np.zeros(shape, bool)
    i, j, k = (2 * n for n in grid.shape)
    out[:i, :j, :k] = grid.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return out


def dilated(grid: Mask) -> Mask:
    """Return the voxels that a 3×3×3 convolution reads to give `grid`."""
    for axis in range(3):
        moved = np.moveaxis(grid, axis, 0)
        wider = moved.copy()
        wider[1:] |= moved[:-1]
        wider[:-1] |= moved[1:]
        grid = np.moveaxis(wider, 0, axis)
    return grid


def _padded(field: Field, shape: tuple[int, ...]) -> Rows:
    """Return the index with one voxel of padding before each axis, and after it up to `shape`."""
    padded = np.full(shape, field.count, np.int32)
    i, j, k = field.index.shape
    padded[1 : 1 + i, 1 : 1 + j, 1 : 1 + k] = field.index
    return padded


def _blocks(padded: Rows, step: int, width: int, wanted: Mask, size: int) -> Blocks:
    """Make blocks; block b reads padded[step·b : step·b + width] on each axis."""
    coarse = _halved(wanted, np.logical_or)
    strides = np.array(padded.strides) // padded.itemsize
    corners = step * np.argwhere(coarse) @ strides
    points = np.indices((width,) * 3).reshape(3, -1).T @ strides
    rows = padded.ravel()
    distinct, numbers = _merged(rows, corners, points)
    corners = corners[distinct]
    count = len(distinct)
    number = np.full(coarse.shape, count, np.int32)
    number[coarse] = numbers
    chunks = tuple(
        rows[points[:, None] + corners[start : start + size]]
        for start in range(0, count, size)
    )
    return Blocks(chunks, number, count, _output_field(number, wanted, count, size))


def _halved(grid: Mask, join: np.ufunc) -> Mask:
    """Join the voxels of each 2×2×2 block; voxels past the end count as False."""
    grid = np.pad(grid, [(0, n % 2) for n in grid.shape])
    for axis in range(3):
        moved = np.moveaxis(grid, axis, 0)
        grid = np.moveaxis(join(moved[::2], moved[1::2]), 0, axis)
    return grid


def _merged(rows: Rows, corners: Indices, points: Indices) -> tuple[Indices, Indices]:
    """Return the blocks to compute, and the position of each block among them.

    Blocks that read only one row (the constant far from the mask) are computed once.
    """
    first = rows[corners]
    is_uniform = np.ones(len(corners), bool)
    for point in points:
        is_uniform &= rows[corners + point] == first
    uniform = np.flatnonzero(is_uniform)
    _, earliest, inverse = np.unique(
        first[uniform], return_index=True, return_inverse=True
    )
    blocks = np.arange(len(corners))
    same = blocks.copy()  # the first block with the same values
    same[uniform] = uniform[earliest[inverse]]
    is_distinct = same == blocks
    return np.flatnonzero(is_distinct), (np.cumsum(is_distinct) - 1)[same]


def _output_field(number: Rows, wanted: Mask, count: int, size: int) -> Field:
    start = number // size * size
    width = np.minimum(size, count - start)
    first = 8 * start + (number - start)
    index = np.empty(wanted.shape, np.int32)
    for position, (i, j, k) in enumerate(product((0, 1), repeat=3)):
        voxels = index[i::2, j::2, k::2]
        voxels[:] = (first + position * width)[tuple(map(slice, voxels.shape))]
    index[~wanted] = 8 * count
    return Field(index, 8 * count)


@contextmanager
def open_workers(count: int) -> Iterator[Workers]:
    """Open threads of this process, whose BLAS has one thread until they are closed.

    Parameters
    ----------
    count
        Number of threads; one is the caller's own.
    """
    with one_blas_thread(), ThreadPoolExecutor(count) as pool:
        yield Workers(count, pool)


class Workers:
    """Threads from `open_workers`."""

    def __init__(self, count: int, pool: ThreadPoolExecutor) -> None:
        self._count, self._pool = count, pool

    def each(self, prepare: Callable[[], Task], items: Iterable[int]) -> None:
        """Run a task for each item, in any order; `prepare` makes a task for each worker.

        Raises
        ------
        Exception
            The first exception raised by a task.
        """
        waiting = iter(items)
        lock = threading.Lock()

        def work() -> None:
            # Overflow shows in the maps, which are checked later.
            with np.errstate(over="ignore", invalid="ignore"):
                task = prepare()
                while True:
                    with lock:
                        item = next(waiting, None)
                    if item is None:
                        return
                    task(item)

        helpers = [self._pool.submit(work) for _ in range(self._count - 1)]
        work()
        for helper in helpers:
            helper.result()


def blas_threads() -> int:
    """Return the number of threads of NumPy's BLAS, as set by the user or by this program."""
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return max((pool["num_threads"] for pool in pools), default=1)


_POINTS = 4**3  # products per block and pair of channels
# The point of eq. 8 that all outputs of a block add exactly once (the second on each axis).
_IN_ALL = (1, 1, 1)


class BlockConv:
    """A convolution (padding 1) with ReLU, on blocks, by Winograd's minimal filtering, F(2, 3).

    A block needs 4³ products per pair of channels instead of 8·3³, and its transforms only add and
    subtract, which keeps the precision of float32. Source: Lavin and Gray 2016, "Fast algorithms
    for convolutional neural networks", equations 5 to 8, extended to three axes.

    Parameters
    ----------
    weight
        Shape (out, in, 3, 3, 3), batch norm folded.
    bias
        Bias of each output channel, (out,).
    """

    def __init__(self, weight: Floats, bias: Floats) -> None:
        taps = np.ascontiguousarray(weight.transpose(2, 3, 4, 1, 0), np.float32)
        self.weight = _transform_filter(taps).reshape(_POINTS, *taps.shape[3:])
        self.bias = bias.astype(np.float32)

    def __call__(self, table: Float32, blocks: Blocks, workers: Workers) -> Float32:
        """Return the output table (rows, out) for an input table (rows, in)."""
        inputs, outputs = self.weight.shape[1:]
        out = np.empty((blocks.field.count + 1, outputs), np.float32)
        out[-1] = 0

        def worker() -> Task:
            widest = blocks.reads[0].size
            point_room = np.empty(widest * inputs, np.float32)
            product_room = np.empty(widest * outputs, np.float32)

            def convolve(number: int) -> None:
                reads = blocks.reads[number]
                size = reads.shape[1]
                points = point_room[: reads.size * inputs]
                points = points.reshape(_POINTS, size, inputs)
                np.take(table, reads, axis=0, out=points, mode="clip")
                _transform_input(points.reshape(4, 4, 4, -1))
                products = product_room[: reads.size * outputs]
                products = products.reshape(_POINTS, size, outputs)
                np.matmul(points, self.weight, out=products)
                products = products.reshape(4, 4, 4, size, outputs)
                products[_IN_ALL] += self.bias
                rows = blocks.written(out, number).reshape(2, 2, 2, size, outputs)
                np.maximum(_transform_output(products), 0, out=rows)

            return convolve

        workers.each(worker, range(len(blocks.reads)))
        return out


def _transform_filter(taps: Float32) -> Float32:
    """Apply G of eq. 8 to each of the three axes of 3 taps (without BLAS, whose threads spin)."""
    for axis in range(3):
        a, b, c = np.moveaxis(taps, axis, 0)
        outer, inner = (a + c) / 2, b / 2
        taps = np.stack([a, outer + inner, outer - inner, c], axis)
    return taps


def _transform_input(points: Float32) -> None:
    """Apply Bᵀ of eq. 8 in place to each of the three axes of 4 points."""
    for axis in range(3):
        a, b, c, d = _parts(points, axis, 4)
        a -= c
        np.subtract(b, d, out=d)
        c -= b
        b += b
        b += c  # c now holds c - b, so this gives b + c


def _transform_output(products: Float32) -> Float32:
    """Apply Aᵀ of eq. 8 to each of the three axes, overwriting; a view of (2, 2, 2, …)."""
    for axis in range(3):
        a, b, c, d = _parts(products, axis, 2)
        a += b
        a += c
        b -= c
        b -= d
    return products[:2, :2, :2]


def _parts(values: Float32, axis: int, before: int) -> list[Float32]:
    """Return the four points of one of the three axes, given the number of axes before it."""
    first: tuple[slice | int, ...] = (slice(before),) * axis
    return [values[(*first, point)] for point in range(4)]


def block_maxima(table: Float32, blocks: Blocks, workers: Workers) -> Float32:
    """Return the 2×2×2 max-pooled values of a layer's output, one row per block."""
    out = np.empty((blocks.count + 1, table.shape[1]), np.float32)
    out[-1] = 0

    def pool(number: int) -> None:
        size = blocks.reads[number].shape[1]
        start = blocks.start(number)
        rows = blocks.written(table, number).reshape(8, size, -1)
        np.max(rows, axis=0, out=out[start : start + size])

    workers.each(lambda: pool, range(len(blocks.reads)))
    return out


# On each axis, output 2m is input m - 1 times tap 2 plus input m times tap 0; output 2m + 1 is
# input m times tap 1. Parity of the output: (input of the block, tap).
_TAPS = {0: ((0, 2), (1, 0)), 1: ((1, 1),)}


class BlockUpscale:
    """A 3×3×3 transposed convolution of stride 2 on the blocks of its output.

    Parameters
    ----------
    weight
        Shape (in, out, 3, 3, 3).
    bias
        Bias of each output channel, (out,).
    """

    def __init__(self, weight: Float32, bias: Float32) -> None:
        self.bias = bias
        self.terms = [
            (4 * a + 2 * b + c, [*_runs(weight, _TAPS[a], _TAPS[b], _TAPS[c])])
            for a, b, c in product((0, 1), repeat=3)
        ]

    def __call__(
        self,
        table: Float32,
        blocks: Blocks,
        window: Window,
        missing: range,
        workers: Workers,
    ) -> None:
        """Write rows of the output table, in whole chunks, from the input table's.

        Parameters
        ----------
        table
            Rows of the input layer, (rows, in).
        blocks
            The blocks of the output layer.
        window
            The held rows of the output, (rows, out).
        missing
            Rows of the output to write.
        workers
            Threads that write the output rows.
        """
        inputs, outputs = table.shape[1], len(self.bias)

        def worker() -> Task:
            widest = blocks.reads[0].shape[1]
            points = np.empty((widest, 8, inputs), np.float32)
            room = np.empty((widest, outputs), np.float32)

            def upscale(number: int) -> None:
                reads = blocks.reads[number]
                size = reads.shape[1]
                np.take(table, reads.T, axis=0, out=points[:size], mode="clip")
                sources = points[:size].reshape(size, 8 * inputs)
                rows = window.at(blocks.rows(number)).reshape(8, size, outputs)
                for position, terms in self.terms:
                    sums = rows[position]
                    first_term, *further_terms = terms
                    _multiply(sources, first_term, sums)
                    for term in further_terms:
                        _multiply(sources, term, room[:size])
                        sums += room[:size]
                    sums += self.bias

            return upscale

        workers.each(worker, blocks.chunks(missing))


def _multiply(sources: Float32, term: tuple[int, Float32], out: Float32) -> None:
    start, weight = term
    np.matmul(sources[:, start : start + len(weight)], weight, out=out)


def _runs(
    weight: Float32, *taps: tuple[tuple[int, int], ...]
) -> Iterator[tuple[int, Float32]]:
    """Yield the products that sum to one position of a block; adjacent sources are joined.

    Yields
    ------
    tuple[int, Table]
        The first column that is read, and weights (columns, out).
    """
    inputs = weight.shape[0]
    start = 0
    run = list[Float32]()
    for (i, u), (j, v), (k, w) in product(*taps):
        column = (4 * i + 2 * j + k) * inputs
        if run and column != start + len(run) * inputs:
            yield start, np.concatenate(run)
            run = []
        start = start if run else column
        run.append(weight[:, :, u, v, w])
    yield start, np.concatenate(run)


def _axis_resize(source: int, target: int) -> tuple[Indices, Indices, Float32]:
    """Return each target voxel's two neighbours among `source` voxels, and the upper one's weight.

    Computed in float32, as in torch.
    """
    scale = np.float32(source) / np.float32(target)
    half = np.float32(0.5)
    position = scale * (np.arange(target, dtype=np.float32) + half) - half
    position = np.maximum(position, np.float32(0))
    lower = np.minimum(position.astype(np.intp), source - 1)
    upper = np.minimum(lower + 1, source - 1)
    return lower, upper, (position - lower).astype(np.float32)


def resize_reads(wanted: Mask, source: tuple[int, ...]) -> Mask:
    """Return the voxels of a grid of shape `source` that a resize reads to give `wanted`."""
    for axis, size in enumerate(source):
        if size == wanted.shape[axis]:
            continue
        lower, upper, _ = _axis_resize(size, wanted.shape[axis])
        moved = np.moveaxis(wanted, axis, 0)
        sources = np.zeros((size, *moved.shape[1:]), bool)
        for plane, below, above in zip(moved, lower, upper, strict=True):
            sources[below] |= plane
            sources[above] |= plane
        wanted = np.moveaxis(sources, 0, axis)
    return wanted


def upscale_reads(wanted: Mask) -> Mask:
    """Return the voxels that a transposed convolution reads to give `wanted` (2n + 1 per axis)."""
    for axis in range(3):
        moved = np.moveaxis(wanted, axis, 0)
        even, odd = moved[::2], moved[1::2]
        wanted = np.moveaxis(even[: len(odd)] | even[1:] | odd, 0, axis)
    return wanted


class RowResize:
    """Trilinear resize to the grid of `wanted`, one row per wanted voxel."""

    def __init__(self, source: Field, wanted: Mask) -> None:
        neighbours: list[tuple[Indices, ...]] = []  # of each axis
        self.weights: list[Float32] = []
        for axis, voxels in enumerate(np.nonzero(wanted)):
            size = source.index.shape[axis]
            lower, upper, weight = _axis_resize(size, wanted.shape[axis])
            if size == wanted.shape[axis]:
                neighbours.append((voxels,))
            else:
                neighbours.append((lower[voxels], upper[voxels]))
                self.weights.append(weight[voxels][:, None])
        corners = [source.index[corner] for corner in product(*neighbours)]
        self.reads = np.stack(corners)

    def into(self, out: Float32, source: Window, start: int, room: Float32) -> None:
        """Write rows start, start + 1, … of the resized grid into `out` (rows, channels).

        Parameters
        ----------
        out
            Rows to write, (rows, channels).
        source
            The source rows, of which it must hold all that are needed.
        start
            Number of the first row in the resized grid.
        room
            Work space: at least 8 times as many values as `out`.
        """
        size, channels = out.shape
        reads = self.reads[:, start : start + size] - source.held.start
        rows = room[: reads.size * channels].reshape(len(reads), size, channels)
        np.take(source.rows, reads, axis=0, out=rows, mode="clip")
        for weight in self.weights:
            rows, upper = rows.reshape(2, -1, size, channels)
            upper -= rows
            upper *= weight[start : start + size]
            rows += upper
        out[:] = rows.reshape(size, channels)
