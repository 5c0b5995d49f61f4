"""The decoder on rows: transposed convolution of blocks, and trilinear resize of voxels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.network.blocks import Blocks, Field, Table, Wanted, Window
from bids_dtg.contrasts.network.threads import Task, Workers

# On an axis, output 2m takes input m - 1 by tap 2 and input m by tap 0; 2m + 1 takes m by tap 1.
_TAPS = {0: ((0, 2), (1, 0)), 1: ((1, 1),)}  # parity of the output: (input of the block, tap)


class BlockUpscale:
    """A 3×3×3 transposed convolution of stride 2 on the blocks of its output.

    Parameters
    ----------
    weight
        Shape (in, out, 3, 3, 3).
    bias
        Bias of each output channel, (out,).
    """

    def __init__(self, weight: Table, bias: Table) -> None:
        self.bias = bias
        self.terms = [
            (4 * a + 2 * b + c, [*_runs(weight, _TAPS[a], _TAPS[b], _TAPS[c])])
            for a, b, c in product((0, 1), repeat=3)
        ]

    def __call__(
        self, table: Table, blocks: Blocks, window: Window, missing: range, workers: Workers
    ) -> None:
        """Write rows of the output table, in whole chunks, from the input table's.

        Parameters
        ----------
        table
            Rows of the input layer, (rows, in).
        blocks
            The blocks of the output layer.
        window
            The rows of the output that are held, (rows, out).
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
                for position, ((first, weight), *others) in self.terms:
                    found = rows[position]
                    np.matmul(sources[:, first : first + len(weight)], weight, out=found)
                    for start, weight in others:
                        np.matmul(sources[:, start : start + len(weight)], weight, out=room[:size])
                        found += room[:size]
                    found += self.bias

            return upscale

        workers.each(worker, blocks.chunks(missing))


def _runs(weight: Table, *taps: tuple[tuple[int, int], ...]) -> Iterator[tuple[int, Table]]:
    """Yield the products that give a position of a block, from its sources in adjacent columns.

    Adjacent sources are multiplied at once.

    Yields
    ------
    tuple[int, Table]
        The first column that is read, and weights (columns, out).
    """
    inputs = weight.shape[0]
    start, run = 0, list[Table]()
    for (i, u), (j, v), (k, w) in product(*taps):
        column = (4 * i + 2 * j + k) * inputs
        if run and column != start + len(run) * inputs:
            yield start, np.concatenate(run)
            run = []
        start = start if run else column
        run.append(weight[:, :, u, v, w])
    yield start, np.concatenate(run)


@dataclass(frozen=True, eq=False)
class AxisResize:
    """Linear interpolation along an axis, as in torch with align_corners unset."""

    lower: NDArray[np.intp]  # a target voxel: the source voxel below it
    upper: NDArray[np.intp]  # … and above it
    weight: NDArray[np.float32]  # of the upper one

    @classmethod
    def between(cls, source: int, target: int) -> AxisResize:
        """Return the interpolation from `source` to `target` voxels."""
        scale = np.float32(source) / np.float32(target)
        place = scale * (np.arange(target, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5)
        place = np.maximum(place, np.float32(0))
        lower = np.minimum(place.astype(np.intp), source - 1)
        return cls(lower, np.minimum(lower + 1, source - 1), (place - lower).astype(np.float32))


def resize_reads(wanted: Wanted, source: tuple[int, ...]) -> Wanted:
    """Return the voxels of a grid of shape `source` that a resize reads to give `wanted`."""
    for axis, size in enumerate(source):
        if size == wanted.shape[axis]:
            continue
        resize = AxisResize.between(size, wanted.shape[axis])
        moved = np.moveaxis(wanted, axis, 0)
        read = np.zeros((size, *moved.shape[1:]), bool)
        for plane, lower, upper in zip(moved, resize.lower, resize.upper, strict=True):
            read[lower] |= plane
            read[upper] |= plane
        wanted = np.moveaxis(read, 0, axis)
    return wanted


def upscale_reads(wanted: Wanted) -> Wanted:
    """Return the voxels that a transposed convolution reads to give `wanted` (2n + 1 an axis)."""
    for axis in range(3):
        moved = np.moveaxis(wanted, axis, 0)
        last, even, odd = len(moved) // 2, moved[::2], moved[1::2]
        wanted = np.moveaxis(even[:last] | even[1:] | odd, 0, axis)
    return wanted


class RowResize:
    """Trilinear resize to the grid of `wanted`, one row a wanted voxel."""

    def __init__(self, source: Field, wanted: Wanted) -> None:
        places: list[tuple[NDArray[np.intp], ...]] = []
        self.weights: list[Table] = []
        for axis, voxel in enumerate(np.nonzero(wanted)):
            size = source.index.shape[axis]
            resize = AxisResize.between(size, wanted.shape[axis])
            if size == wanted.shape[axis]:
                places.append((voxel,))
            else:
                places.append((resize.lower[voxel], resize.upper[voxel]))
                self.weights.append(resize.weight[voxel][:, None])
        corners = [source.index[corner] for corner in product(*places)]
        self.reads = np.stack(corners)

    def into(self, out: Table, source: Window, start: int, room: Table) -> None:
        """Write rows start, start + 1, … of the resized grid into `out` (rows, channels).

        Parameters
        ----------
        out
            Rows to write, (rows, channels).
        source
            All source rows that these are computed from.
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
