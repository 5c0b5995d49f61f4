"""The blocks plan for the CPU: computes only what the mask's voxels need, in blocks of 2×2×2.

The input is zero outside the mask, so each layer is constant far from it, and is computed there
once. The requested voxels are traced backward through the network. Tables of rows replace grids
(see `blocks`), so that unneeded values take no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bids_dtg.array_types import Float32, Mask
from bids_dtg.contrasts.network.blocks import (
    BlockConv,
    Blocks,
    BlockUpscale,
    Field,
    RowResize,
    Rows,
    Task,
    Window,
    Workers,
    block_maxima,
    conv_blocks,
    dilated,
    doubled,
    masked_field,
    open_workers,
    pooled_field,
    resize_reads,
    upscale_blocks,
    upscale_reads,
)
from bids_dtg.contrasts.network.parameters import Parameters

# Sizes of a chunk are at most a few MB at the published widths, which fits the caches.
# Multiplications in a matrix product of a convolution (blocks × input × output channels). Up to
# this many, OpenBLAS with AVX-512 does not copy the factors first and is a third faster.
_PRODUCT = 10**6
_BLOCKS = 256  # blocks per chunk of a transposed convolution
_ROWS = 1024  # rows per chunk of steps that treat each row separately

# The last level, by far the largest, is processed in slabs, so that memory stays low.
_SLAB = 12  # planes along i; even, so that no block is cut


class BlockPlan:
    """Run the network on the blocks that a mask needs.

    Parameters
    ----------
    parameters
        Parameters of the network, on the CPU.
    mask
        Voxels that are read and predicted, shape (i, j, k).
    threads
        Number of threads to compute with.
    """

    def __init__(self, parameters: Parameters, mask: Mask, threads: int) -> None:
        self.threads = threads
        levels = range(parameters.sizes.levels)
        decoder, encoder = _wanted_regions(mask, len(levels))
        field = masked_field(mask)
        skips = []
        self.down: list[tuple[BlockConv, Blocks]] = []
        downs = ["in_block", *(f"downs.{level}" for level in levels), "bottleneck"]
        for name, wanted in zip(downs, encoder, strict=True):
            conv = BlockConv(*parameters.convolution(name))
            blocks = conv_blocks(field, wanted, _chunk(conv))
            self.down.append((conv, blocks))
            skips.append(blocks.field)
            field = pooled_field(blocks, wanted)
        field = skips.pop()
        ups = [*(f"ups.{level}" for level in levels), "out_block.0"]
        self.up = [_Up(parameters, level, name) for level, name in enumerate(ups)]
        self.regions: list[_Region] = []
        for up, wanted in zip(self.up, decoder[::-1], strict=True):
            planes = _SLAB if up is self.up[-1] else len(wanted)
            self.regions.append(_Region(field, skips.pop(), wanted, up.chunk, planes))
            field = self.regions[-1].slabs[0].blocks.field
        self.head, self.head_bias = parameters.pointwise("out_block.1")

    def predict(self, connectome: Float32) -> Float32:
        """Return maps (contrasts, voxels) for a connectome (rois, voxels)."""
        with open_workers(self.threads) as workers:
            return self._maps(connectome, workers)

    def _maps(self, connectome: Float32, workers: Workers) -> Float32:
        table = _rows_of(connectome)
        skips = []
        for conv, blocks in self.down[:-1]:
            skips.append(conv(table, blocks, workers))
            table = block_maxima(skips[-1], blocks, workers)
        conv, blocks = self.down[-1]
        table = conv(table, blocks, workers)
        for up, region in zip(self.up[:-1], self.regions[:-1], strict=True):
            (only_slab,) = up.tables(table, skips.pop(), region, workers)
            table, _ = only_slab
        out = np.empty((len(self.head_bias), connectome.shape[1]), np.float32)
        start = 0
        slab_tables = self.up[-1].tables(table, skips[0], self.regions[-1], workers)
        for slab_table, slab in slab_tables:
            stop = start + len(slab.voxels)
            self._read_out(slab_table, slab.voxels, out[:, start:stop], workers)
            start = stop
        return out

    def _read_out(
        self, table: Float32, voxels: Rows, out: Float32, workers: Workers
    ) -> None:
        """Write the maps (contrasts, voxels) of the last level's table into `out`."""

        def read(start: int) -> None:
            rows = table.take(voxels[start : start + _ROWS], axis=0, mode="clip")
            maps = out[:, start : start + _ROWS]
            np.matmul(self.head.T, rows.T, out=maps)
            maps += self.head_bias[:, None]

        workers.each(lambda: read, range(0, len(voxels), _ROWS))


class _Up:
    """A level of the decoder: upscale, resize, gate the skip connection, convolve both."""

    def __init__(self, parameters: Parameters, level: int, block: str) -> None:
        self.upscale = BlockUpscale(*parameters.layer(f"upscale.{level}"))
        self.gate = _RowGate(parameters, f"attention_gates.{level}")
        self.conv = BlockConv(*parameters.convolution(block))
        self.chunk = _chunk(self.conv)

    def tables(
        self, table: Float32, skip: Float32, region: _Region, workers: Workers
    ) -> Iterator[tuple[Float32, _Slab]]:
        """Yield the output table of each slab, from the tables of the level below and the skip."""
        channels = skip.shape[1]
        upscaled = Window(max(len(slab.upscaled) for slab in region.slabs), channels)
        joined = Window(max(len(slab.joined) for slab in region.slabs), 2 * channels)
        for slab in region.slabs:
            missing = upscaled.move(slab.upscaled)
            self.upscale(table, region.upscale_blocks, upscaled, missing, workers)
            missing = joined.move(slab.joined)
            workers.each(
                lambda: self._joining(upscaled, skip, region, joined), missing[::_ROWS]
            )
            yield self.conv(joined.rows, slab.blocks, workers), slab

    def _joining(
        self, upscaled: Window, skip: Float32, region: _Region, joined: Window
    ) -> Task:
        """Return a task that writes rows of [upscaled and resized, gated skip]."""
        channels = skip.shape[1]
        room = np.empty(8 * _ROWS * channels, np.float32)

        def join(start: int) -> None:
            stop = min(start + _ROWS, joined.held.stop)
            rows = joined.at(range(start, stop))
            resized, gated = rows[:, :channels], rows[:, channels:]
            region.resize.into(resized, upscaled, start, room)
            reads = region.skip_reads[start:stop]
            self.gate.into(gated, resized, skip, reads, room)

        return join


class _Region:
    """Rows that a decoder level reads and writes to compute the wanted voxels, slab by slab."""

    def __init__(
        self, below: Field, skip: Field, wanted: Mask, chunk: int, planes: int
    ) -> None:
        concat = dilated(wanted)
        upscaled_shape = tuple(2 * n + 1 for n in below.index.shape)
        upscaled = resize_reads(concat, upscaled_shape)
        self.upscale_blocks = upscale_blocks(below, upscaled, _BLOCKS)
        self.resize = RowResize(self.upscale_blocks.field, concat)
        self.skip_reads = skip.index[concat]
        joined = masked_field(concat)
        self.slabs = []
        for start in range(0, len(wanted), planes):
            slab = slice(start, start + planes)
            if wanted[slab].any():
                self.slabs.append(self._slab(joined, wanted, slab, chunk))

    def _slab(self, joined: Field, wanted: Mask, slab: slice, chunk: int) -> _Slab:
        # The planes around the slab; an even start, like the blocks.
        near = slice(max(0, slab.start - 2), slab.stop + 2)
        rows = _rows_between(joined, max(0, slab.start - 1), slab.stop + 1)
        index = joined.index[near]
        inside = (index >= rows.start) & (index < rows.stop)
        slab_index = np.where(inside, index - rows.start, np.int32(len(rows)))
        wanted_here = np.zeros_like(wanted)
        wanted_here[slab] = wanted[slab]
        wanted_here = wanted_here[near]
        blocks = conv_blocks(Field(slab_index, len(rows)), wanted_here, chunk)
        resize_rows = self.resize.reads[:, rows.start : rows.stop]
        upscaled = self.upscale_blocks.whole(resize_rows)
        return _Slab(upscaled, rows, blocks, blocks.field.index[wanted_here])


@dataclass(frozen=True, eq=False)
class _Slab:
    """Planes of a level that are computed at once."""

    upscaled: range  # rows of the upscaled table that are resized for the slab
    joined: range  # rows of the joined table that its convolution reads
    blocks: Blocks  # of its convolution
    voxels: Rows  # rows of these blocks' output that are wanted


class _RowGate:
    """An attention gate on rows.

    Interpolation weights sum to 1, so interpolation commutes with the 1×1×1 convolution of the
    gating signal, and the signal resized for the concatenation can be used.
    """

    def __init__(self, parameters: Parameters, name: str) -> None:
        self.gating_weight, self.gating_bias = parameters.pointwise(f"{name}.W_g")
        self.skip_weight, self.skip_bias = parameters.pointwise(f"{name}.W_x")
        self.psi, self.psi_bias = parameters.pointwise(f"{name}.psi.0")

    def into(
        self, out: Float32, gating: Float32, skip: Float32, reads: Rows, room: Float32
    ) -> None:
        """Write the gated projection of rows of `skip` into `out`; all are (rows, channels)."""
        rows, projected, hidden = room[: 3 * out.size].reshape(3, *out.shape)
        np.take(skip, reads, axis=0, out=rows, mode="clip")
        np.matmul(rows, self.skip_weight, out=projected)
        projected += self.skip_bias
        np.matmul(gating, self.gating_weight, out=hidden)
        hidden += self.gating_bias
        hidden += projected
        np.maximum(hidden, 0, out=hidden)
        np.multiply(projected, _sigmoid(hidden @ self.psi + self.psi_bias), out=out)


def _sigmoid(values: Float32) -> Float32:
    """Return 1 / (1 + exp(-values)); overflow gives 0."""
    np.negative(values, out=values)
    np.exp(values, out=values)
    values += 1
    return np.reciprocal(values, out=values)


def _wanted_regions(mask: Mask, levels: int) -> tuple[list[Mask], list[Mask]]:
    """Trace the mask backward through the network.

    Returns
    -------
    tuple[list[Wanted], list[Wanted]]
        Voxels wanted from the decoder's output at levels 0 … levels, and from the encoder's at
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


def _rows_between(field: Field, start: int, stop: int) -> range:
    """Return the rows of planes start … stop along i, in a table in C order."""
    has_row = field.index < field.count
    before = np.count_nonzero(has_row[:start])
    return range(before, before + np.count_nonzero(has_row[start:stop]))


def _rows_of(connectome: Float32) -> Float32:
    rois, voxels = connectome.shape
    table = np.empty((voxels + 1, rois), np.float32)
    table[:-1] = connectome.T
    table[-1] = 0
    return table


def _chunk(conv: BlockConv) -> int:
    return max(8, min(512, _PRODUCT // int(conv.weight[0].size) // 8 * 8))
