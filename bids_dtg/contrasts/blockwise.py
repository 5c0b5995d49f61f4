"""The blocks plan: only what the mask's voxels depend on, in blocks of 2×2×2; for the CPU.

The input is zero outside the mask, so what lies far from it is one constant a layer, computed
once; the regions asked for are followed backward through the network. Tables of rows take the
place of grids (see `blocks`), so that no value is held that nobody asks for.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bids_dtg.contrasts.blocks import (
    Field,
    Wanted,
    conv_blocks,
    dilated,
    doubled,
    masked_field,
    upscale_blocks,
)
from bids_dtg.contrasts.dense import folded_network
from bids_dtg.contrasts.network import AttentionGate, AttentionUNet, ConvBlock
from bids_dtg.contrasts.upscaling import BlockUpscale, RowResize, resize_reads, upscale_reads
from bids_dtg.contrasts.winograd import BlockConv, block_maxima

# Sizes of a chunk: a few MB at the published widths, so that the caches hold it.
_CHUNK = 8192  # input channels × blocks of a convolution
_BLOCKS = 512  # of a transposed convolution
_ROWS = 2048  # where each row is worked on by itself


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
        self.down: list[_Down] = []
        for block, wanted in zip(
            [network.in_block, *network.downs, network.bottleneck], encoder, strict=True
        ):
            self.down.append(_Down(block, field, wanted))
            skips.append(self.down[-1].field)
            field = self.down[-1].pooled
        field = skips.pop()
        self.up: list[_Up] = []
        for upscale, gate, block in zip(
            network.upscale,
            network.attention_gates,
            [*network.ups, network.out_block[0]],
            strict=True,
        ):
            self.up.append(_Up(upscale, gate, block, field, skips.pop(), decoder[len(skips)]))
            field = self.up[-1].field
        self.head, self.head_bias = _pointwise(network.out_block[1])
        self.voxels = torch.from_numpy(field.index[mask])

    def maps(self, connectome: Tensor) -> Tensor:
        """Return maps (contrasts, voxels) for a connectome (rois, voxels)."""
        rois, voxels = connectome.shape
        table = connectome.new_zeros(voxels + 1, rois)
        table[:-1] = connectome.T
        skips = []
        for down in self.down[:-1]:
            skips.append(down.conv(table))
            table = block_maxima(skips[-1], down.blocks)
        table = self.down[-1].conv(table)
        for up in self.up:
            table = up(table, skips.pop())
        out = table.new_empty(len(self.head_bias), voxels)
        for start in range(0, voxels, _ROWS):
            rows = table.index_select(0, self.voxels[start : start + _ROWS])
            torch.addmm(
                self.head_bias[:, None], self.head.T, rows.T, out=out[:, start : start + _ROWS]
            )
        return out


class _Down:
    """A level of the encoder, or the bottleneck."""

    def __init__(self, block: nn.Module, source: Field, wanted: Wanted) -> None:
        assert isinstance(block, ConvBlock)
        self.blocks = conv_blocks(source, wanted, _chunk(block))
        self.conv = BlockConv(_convolution(block), self.blocks)
        self.field, self.pooled = self.blocks.field, self.blocks.pooled


class _Up:
    """A level of the decoder: upscale, resize, gate the skip, convolve both."""

    def __init__(
        self,
        upscale: nn.Module,
        gate: nn.Module,
        block: nn.Module,
        below: Field,
        skip: Field,
        wanted: Wanted,
    ) -> None:
        assert isinstance(upscale, nn.ConvTranspose3d)
        assert isinstance(gate, AttentionGate)
        assert isinstance(block, ConvBlock)
        concat = dilated(wanted)
        upscaled = tuple(2 * n + 1 for n in below.index.shape)
        blocks = upscale_blocks(below, resize_reads(concat, upscaled), _BLOCKS)
        self.upscale = BlockUpscale(upscale, blocks)
        self.resize = RowResize(blocks.field, concat)
        self.skip_reads = torch.from_numpy(skip.index[concat])
        self.gate = _RowGate(gate)
        source = masked_field(concat)
        blocks = conv_blocks(source, wanted, _chunk(block))
        self.conv = BlockConv(_convolution(block), blocks)
        self.field = blocks.field

    def __call__(self, table: Tensor, skip: Tensor) -> Tensor:
        """Return the level's output table, from that below and that of the skip."""
        return self.conv(self.joined(self.upscale(table), skip))

    def joined(self, upscaled: Tensor, skip: Tensor) -> Tensor:
        """Return rows of [upscaled and resized, gated skip]."""
        channels = skip.shape[1]
        out = skip.new_empty(len(self.skip_reads) + 1, 2 * channels)
        out[-1] = 0
        for start in range(0, len(self.skip_reads), _ROWS):
            reads = self.skip_reads[start : start + _ROWS]
            rows = out[start : start + len(reads)]
            self.resize.into(rows[:, :channels], upscaled, start)
            self.gate.into(rows[:, channels:], rows[:, :channels], skip.index_select(0, reads))
        return out


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


def _convolution(block: ConvBlock) -> nn.Conv3d:
    conv = block.conv[0]
    assert isinstance(conv, nn.Conv3d)
    return conv


def _chunk(block: ConvBlock) -> int:
    return max(64, min(512, _CHUNK // _convolution(block).in_channels))


def _pointwise(conv: nn.Module) -> tuple[Tensor, Tensor]:
    """Return a 1×1×1 convolution as a matrix (in, out) and a bias."""
    assert isinstance(conv, nn.Conv3d)
    assert conv.bias is not None
    return conv.weight.detach().flatten(1).T.contiguous(), conv.bias.detach()
