"""The blocks plan: only what the mask's voxels depend on, in blocks of 2×2×2; for the CPU.

The input is zero outside the mask, so what lies far from it is one constant a layer, computed
once; the regions asked for are followed backward through the network. Tables of rows take the
place of grids (see `blocks`), so that no value is held that nobody asks for.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bids_dtg.contrasts.network.blocks import (
    Blocks,
    Field,
    Wanted,
    conv_blocks,
    dilated,
    doubled,
    masked_field,
    pooled_field,
    upscale_blocks,
)
from bids_dtg.contrasts.network.dense import folded_network
from bids_dtg.contrasts.network.threads import Workers
from bids_dtg.contrasts.network.unet import AttentionGate, AttentionUNet, ConvBlock
from bids_dtg.contrasts.network.upscaling import (
    BlockUpscale,
    RowResize,
    resize_reads,
    upscale_reads,
)
from bids_dtg.contrasts.network.winograd import BlockConv, block_maxima

# Sizes of a chunk: a few MB at the published widths, so that the caches hold it.
_CHUNK = 8192  # input channels × blocks of a convolution
_BLOCKS = 256  # of a transposed convolution
_ROWS = 1024  # where each row is worked on by itself

# The last level, the widest by far, runs slab by slab, so that memory stays low.
_SLAB = 20  # planes along i; even, so that no block is cut


class BlockPlan:
    """Run the network on the blocks that a mask asks for.

    Parameters
    ----------
    network
        Weights and running statistics; not changed.
    mask
        Voxels that are read and predicted, shape (i, j, k).
    """

    def __init__(self, network: AttentionUNet, mask: Wanted) -> None:
        network = folded_network(network)
        decoder, encoder = _wanted_regions(mask, network.levels)
        field, skips = masked_field(mask), []
        self.down: list[tuple[BlockConv, Blocks]] = []
        for block, wanted in zip(
            [network.in_block, *network.downs, network.bottleneck], encoder, strict=True
        ):
            conv = _convolution(block)
            blocks = conv_blocks(field, wanted, _chunk(conv))
            self.down.append((BlockConv(conv), blocks))
            skips.append(blocks.field)
            field = pooled_field(blocks, wanted)
        field = skips.pop()
        self.up = [
            _Up(upscale, gate, _convolution(block))
            for upscale, gate, block in zip(
                network.upscale,
                network.attention_gates,
                [*network.ups, network.out_block[0]],
                strict=True,
            )
        ]
        self.regions: list[_Region] = []
        for up, wanted in zip(self.up[:-1], decoder[:0:-1], strict=True):
            self.regions.append(_Region(field, skips.pop(), wanted, up.chunk))
            field = self.regions[-1].field
        self.head, self.head_bias = _pointwise(network.out_block[1])
        self.slabs = [
            _Region(field, skips[0], slab, self.up[-1].chunk) for slab in _slabs(mask, _SLAB)
        ]

    def maps(self, connectome: Tensor) -> Tensor:
        """Return maps (contrasts, voxels) for a connectome (rois, voxels)."""
        with Workers(torch.get_num_threads()) as workers:
            return self._maps(connectome, workers)

    def _maps(self, connectome: Tensor, workers: Workers) -> Tensor:
        table, skips = _rows_of(connectome), []
        for conv, blocks in self.down[:-1]:
            skips.append(conv(table, blocks, workers))
            table = block_maxima(skips[-1], blocks, workers)
        conv, blocks = self.down[-1]
        table = conv(table, blocks, workers)
        for up, region in zip(self.up[:-1], self.regions, strict=True):
            table = up(table, skips.pop(), region, workers)
        out = table.new_empty(len(self.head_bias), connectome.shape[1])
        start = 0
        for slab in self.slabs:
            stop = start + len(slab.voxels)
            found = self.up[-1](table, skips[0], slab, workers)
            self._read_out(found, slab.voxels, out[:, start:stop], workers)
            start = stop
        return out

    def _read_out(self, table: Tensor, voxels: Tensor, out: Tensor, workers: Workers) -> None:
        """Write the maps (contrasts, voxels) of the last level's table into `out`."""

        def read(start: int) -> None:
            rows = table.index_select(0, voxels[start : start + _ROWS])
            found = torch.mm(self.head.T, rows.T).add_(self.head_bias[:, None])
            out[:, start : start + _ROWS] = found

        workers.each(lambda: read, range(0, len(voxels), _ROWS))


class _Up:
    """A level of the decoder: upscale, resize, gate the skip, convolve both."""

    def __init__(self, upscale: nn.Module, gate: nn.Module, conv: nn.Conv3d) -> None:
        assert isinstance(upscale, nn.ConvTranspose3d)
        assert isinstance(gate, AttentionGate)
        self.upscale, self.gate, self.conv = BlockUpscale(upscale), _RowGate(gate), BlockConv(conv)
        self.chunk = _chunk(conv)

    def __call__(self, table: Tensor, skip: Tensor, region: _Region, workers: Workers) -> Tensor:
        """Return the level's output table, from that below and that of the skip."""
        upscaled = self.upscale(table, region.upscale_blocks, workers)
        joined = self._joined(upscaled, skip, region, workers)
        return self.conv(joined, region.conv_blocks, workers)

    def _joined(self, upscaled: Tensor, skip: Tensor, region: _Region, workers: Workers) -> Tensor:
        """Return rows of [upscaled and resized, gated skip]."""
        channels = skip.shape[1]
        out = skip.new_empty(len(region.skip_reads) + 1, 2 * channels)
        out[-1] = 0

        def join(start: int) -> None:
            reads = region.skip_reads[start : start + _ROWS]
            rows = out[start : start + len(reads)]
            region.resize.into(rows[:, :channels], upscaled, start)
            self.gate.into(rows[:, channels:], rows[:, :channels], skip.index_select(0, reads))

        workers.each(lambda: join, range(0, len(region.skip_reads), _ROWS))
        return out


class _Region:
    """Where a level of the decoder reads and writes to give the wanted voxels."""

    def __init__(self, below: Field, skip: Field, wanted: Wanted, chunk: int) -> None:
        concat = dilated(wanted)
        upscaled = tuple(2 * n + 1 for n in below.index.shape)
        self.upscale_blocks = upscale_blocks(below, resize_reads(concat, upscaled), _BLOCKS)
        self.resize = RowResize(self.upscale_blocks.field, concat)
        self.skip_reads = torch.from_numpy(skip.index[concat])
        self.conv_blocks = conv_blocks(masked_field(concat), wanted, chunk)
        self.field = self.conv_blocks.field
        self.voxels = torch.from_numpy(self.field.index[wanted])


class _RowGate:
    """An attention gate on rows.

    Interpolation has weights of sum 1, so it commutes with the 1×1×1 convolution of the gating
    signal: the signal that was resized for the concatenation is used.
    """

    def __init__(self, gate: AttentionGate) -> None:
        self.of_gating, self.gating_bias = _pointwise(gate.W_g)
        self.of_skip, self.skip_bias = _pointwise(gate.W_x)
        self.psi, self.psi_bias = _pointwise(gate.psi[0])

    def into(self, out: Tensor, gating: Tensor, skip: Tensor) -> None:
        """Write the gated projection of `skip` into `out`; all are (rows, channels)."""
        projected = torch.addmm(self.skip_bias, skip, self.of_skip)
        hidden = torch.addmm(self.gating_bias, gating, self.of_gating).add_(projected).relu_()
        attention = torch.addmm(self.psi_bias, hidden, self.psi).sigmoid_()
        torch.mul(projected, attention, out=out)


def _wanted_regions(mask: Wanted, levels: int) -> tuple[list[Wanted], list[Wanted]]:
    """Follow the mask backward through the network.

    Returns
    -------
    tuple[list[Wanted], list[Wanted]]
        Voxels wanted of the decoder's output at levels 0 … levels, and of the encoder's at
        levels 0 … levels + 1 (the bottleneck).
    """
    shapes = [mask.shape]
    for _ in range(levels + 1):
        shapes.append(tuple(n // 2 for n in shapes[-1]))
    decoder = [mask]
    for below in shapes[1:]:
        upscaled = tuple(2 * n + 1 for n in below)
        decoder.append(upscale_reads(resize_reads(dilated(decoder[-1]), upscaled)))
    encoder = [decoder.pop()]
    for wanted, shape in zip(decoder[::-1], shapes[-2::-1], strict=True):
        encoder.append(dilated(wanted) | doubled(dilated(encoder[-1]), shape))
    return decoder, encoder[::-1]


def _slabs(mask: Wanted, planes: int) -> list[Wanted]:
    """Split a mask along i, leaving out empty slabs; in C order their voxels follow each other."""
    slabs = []
    for start in range(0, len(mask), planes):
        slab = np.zeros_like(mask)
        slab[start : start + planes] = mask[start : start + planes]
        if slab.any():
            slabs.append(slab)
    return slabs


def _rows_of(connectome: Tensor) -> Tensor:
    rois, voxels = connectome.shape
    table = connectome.new_empty(voxels + 1, rois)
    table[:-1] = connectome.T
    table[-1] = 0
    return table


def _convolution(block: nn.Module) -> nn.Conv3d:
    assert isinstance(block, ConvBlock)
    conv = block.conv[0]
    assert isinstance(conv, nn.Conv3d)
    return conv


def _chunk(conv: nn.Conv3d) -> int:
    return max(32, min(512, _CHUNK // conv.in_channels))


def _pointwise(conv: nn.Module) -> tuple[Tensor, Tensor]:
    """Return a 1×1×1 convolution as a matrix (in, out) and a bias."""
    assert isinstance(conv, nn.Conv3d)
    assert conv.bias is not None
    return conv.weight.detach().flatten(1).T.contiguous(), conv.bias.detach()
