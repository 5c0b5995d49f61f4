"""A 3×3×3 convolution on 2×2×2 blocks by Winograd's minimal filtering, F(2, 3) on each axis.

A block needs 4³ products for a pair of channels instead of 8·3³, and its transforms only add and
subtract, so that float32 keeps its precision. Source: Lavin and Gray 2016, "Fast algorithms for
convolutional neural networks", equations 5 to 8, extended to three axes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.network.blocks import Blocks, Table
from bids_dtg.contrasts.network.threads import Task, Workers

_POINTS = 4**3  # of a block and a pair of channels
# The point of eq. 8 that all outputs of a block use once with a plus sign: the second.
_IN_ALL = (1, 1, 1)

Values = NDArray[np.float32]


class BlockConv:
    """A convolution (padding 1) with ReLU, on blocks.

    Parameters
    ----------
    weight
        Shape (out, in, 3, 3, 3), batch norm folded.
    bias
        Bias of each output channel, (out,).
    """

    def __init__(self, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> None:
        taps = np.ascontiguousarray(weight.transpose(2, 3, 4, 1, 0), np.float32)
        self.weight = _transform_filter(taps).reshape(_POINTS, *taps.shape[3:])
        self.bias = bias.astype(np.float32)

    def __call__(self, table: Table, blocks: Blocks, workers: Workers) -> Table:
        """Return the output table (rows, out) for an input table (rows, in)."""
        inputs, outputs = self.weight.shape[1:]
        out = np.empty((blocks.field.count + 1, outputs), np.float32)
        out[-1] = 0

        def worker() -> Task:
            widest = blocks.reads[0].size
            points, products = (np.empty(widest * n, np.float32) for n in (inputs, outputs))

            def convolve(number: int) -> None:
                size = blocks.reads[number].shape[1]
                point = points[: _POINTS * size * inputs].reshape(_POINTS, size, inputs)
                np.take(table, blocks.reads[number], axis=0, out=point, mode="clip")
                _transform_input(point.reshape(4, 4, 4, -1))
                product = products[: _POINTS * size * outputs].reshape(_POINTS, size, outputs)
                np.matmul(point, self.weight, out=product)
                product = product.reshape(4, 4, 4, size, outputs)
                product[_IN_ALL] += self.bias
                rows = blocks.written(out, number).reshape(2, 2, 2, size, outputs)
                np.maximum(_transform_output(product), 0, out=rows)

            return convolve

        workers.each(worker, range(len(blocks.reads)))
        return out


def _transform_filter(taps: Values) -> Values:
    """Apply G of eq. 8 to each of the three axes of 3 taps; without BLAS, whose threads spin."""
    for axis in range(3):
        a, b, c = np.moveaxis(taps, axis, 0)
        outer, inner = (a + c) / 2, b / 2
        taps = np.stack([a, outer + inner, outer - inner, c], axis)
    return taps


def _transform_input(points: Values) -> None:
    """Apply Bᵀ of eq. 8 in place to each of the three axes of 4 points."""
    for axis in range(3):
        a, b, c, d = _parts(points, axis, 4)
        a -= c
        np.subtract(b, d, out=d)
        c -= b
        b += b
        b += c  # restores b + c from the c - b that is there


def _transform_output(products: Values) -> Values:
    """Apply Aᵀ of eq. 8 to each of the three axes, overwriting; a view of (2, 2, 2, …)."""
    for axis in range(3):
        a, b, c, d = _parts(products, axis, 2)
        a += b
        a += c
        b -= c
        b -= d
    return products[:2, :2, :2]


def _parts(values: Values, axis: int, before: int) -> list[Values]:
    """Return the four points of one of the three axes, given the number of axes before it."""
    first: tuple[slice | int, ...] = (slice(before),) * axis
    return [values[(*first, point)] for point in range(4)]


def block_maxima(table: Table, blocks: Blocks, workers: Workers) -> Table:
    """Return the table of 2×2×2 max-pooled values of a layer's output, one row for each block."""
    out = np.empty((blocks.count + 1, table.shape[1]), np.float32)
    out[-1] = 0

    def pool(number: int) -> None:
        size = blocks.reads[number].shape[1]
        start = blocks.start(number)
        rows = blocks.written(table, number).reshape(8, size, -1)
        np.max(rows, axis=0, out=out[start : start + size])

    workers.each(lambda: pool, range(len(blocks.reads)))
    return out
