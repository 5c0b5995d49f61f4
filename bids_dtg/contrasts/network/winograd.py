"""A 3×3×3 convolution on 2×2×2 blocks by Winograd's minimal filtering, F(2, 3) on each axis.

A block costs 4³ products a pair of channels instead of 8·3³, and its transforms only add and
subtract, so that float32 keeps its precision. Source: Lavin and Gray 2016, "Fast algorithms for
convolutional neural networks", equations 5 to 8, extended to three axes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bids_dtg.contrasts.network.blocks import Blocks
from bids_dtg.contrasts.network.threads import Task, Workers

_FILTER = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))  # G of eq. 8


class BlockConv:
    """A convolution (padding 1, batch norm folded) with ReLU, on blocks."""

    def __init__(self, conv: nn.Conv3d) -> None:
        transform = torch.tensor(_FILTER, dtype=torch.float64)
        weight = conv.weight.detach().double()
        for axis in (2, 3, 4):
            weight = torch.tensordot(weight, transform, dims=([axis], [1])).movedim(-1, axis)
        # (out, in, 4, 4, 4) -> (64 points, in, out)
        self.weight = weight.float().permute(2, 3, 4, 1, 0).flatten(0, 2).contiguous()
        assert conv.bias is not None
        self.bias = conv.bias.detach()

    def __call__(self, table: Tensor, blocks: Blocks, workers: Workers) -> Tensor:
        """Return the output table (rows, out) for an input table (rows, in)."""
        inputs, outputs = self.weight.shape[1:]
        widest = blocks.reads[0].numel()
        out = table.new_empty(blocks.field.count + 1, outputs)
        out[-1] = 0

        def worker() -> Task:
            points, products = table.new_empty(widest, inputs), table.new_empty(widest, outputs)

            def convolve(number: int) -> None:
                reads = blocks.reads[number]
                size, length = reads.shape[1], reads.numel()
                point = torch.index_select(table, 0, reads.view(-1), out=points[:length])
                _transform_input(point.view(4, 4, 4, size, inputs))
                product = products[:length].view(64, size, outputs)
                torch.bmm(point.view(64, size, inputs), self.weight, out=product)
                found = _transform_output(product.view(4, 4, 4, size, outputs))
                rows = blocks.written(out, number).view(2, 2, 2, size, outputs)
                torch.add(found, self.bias, out=rows).relu_()

            return convolve

        workers.each(worker, range(len(blocks.reads)))
        return out


def _transform_input(points: Tensor) -> None:
    """Apply Bᵀ of eq. 8 in place to each of the three axes of 4 points."""
    for axis in range(3):
        a, b, c, d = points.unbind(axis)
        a.sub_(c)
        torch.sub(b, d, out=d)
        c.sub_(b)
        torch.add(c, b, alpha=2, out=b)  # b + c, from the c - b that is there


def _transform_output(products: Tensor) -> Tensor:
    """Apply Aᵀ of eq. 8 to each of the three axes, overwriting; a view of (2, 2, 2, …)."""
    for axis in range(3):
        a, b, c, d = products.unbind(axis)
        a.add_(b).add_(c)
        b.sub_(c).sub_(d)
        products = products.narrow(axis, 0, 2)
    return products


def block_maxima(table: Tensor, blocks: Blocks, workers: Workers) -> Tensor:
    """Return the table of 2×2×2 max-pooled values, one row a block, for a layer's output."""
    out = table.new_empty(blocks.count + 1, table.shape[1])
    out[-1] = 0

    def pool(number: int) -> None:
        size = blocks.reads[number].shape[1]
        start = blocks.start(number)
        rows = blocks.written(table, number).view(8, size, -1)
        torch.amax(rows, 0, out=out[start : start + size])

    workers.each(lambda: pool, range(len(blocks.reads)))
    return out
