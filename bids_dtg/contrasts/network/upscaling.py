"""The way up on rows: transposed convolution of blocks, and trilinear resize of voxels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bids_dtg.contrasts.network.blocks import Blocks, Field, Wanted
from bids_dtg.contrasts.network.threads import Task, Workers

# On an axis, output 2m takes input m - 1 by tap 2 and input m by tap 0; 2m + 1 takes m by tap 1.
_TAPS = {0: ((0, 2), (1, 0)), 1: ((1, 1),)}  # parity of the output: (input of the block, tap)


class BlockUpscale:
    """A 3×3×3 transposed convolution of stride 2 on the blocks of its output."""

    def __init__(self, conv: nn.ConvTranspose3d) -> None:
        weight = conv.weight.detach()
        self.terms = [
            (4 * a + 2 * b + c, 4 * i + 2 * j + k, weight[:, :, u, v, w].contiguous())
            for a, b, c in product((0, 1), repeat=3)
            for (i, u), (j, v), (k, w) in product(_TAPS[a], _TAPS[b], _TAPS[c])
        ]
        assert conv.bias is not None
        self.bias = conv.bias.detach()

    def __call__(self, table: Tensor, blocks: Blocks, workers: Workers) -> Tensor:
        """Return the output table (rows, out) for an input table (rows, in)."""
        out = table.new_empty(blocks.field.count + 1, len(self.bias))
        out[-1] = 0

        def worker() -> Task:
            points = table.new_empty(blocks.reads[0].numel(), table.shape[1])

            def upscale(number: int) -> None:
                reads = blocks.reads[number]
                size, length = reads.shape[1], reads.numel()
                point = torch.index_select(table, 0, reads.view(-1), out=points[:length])
                rows = blocks.written(out, number)
                rows[:] = self.bias
                inputs, outputs = point.view(8, size, -1), rows.view(8, size, -1)
                for position, source, weight in self.terms:
                    outputs[position].addmm_(inputs[source], weight)

            return upscale

        workers.each(worker, range(len(blocks.reads)))
        return out


@dataclass(frozen=True, eq=False)
class AxisResize:
    """Linear interpolation of an axis, as torch does it with align_corners unset."""

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
        self.weights: list[Tensor] = []
        for axis, voxel in enumerate(np.nonzero(wanted)):
            size = source.index.shape[axis]
            resize = AxisResize.between(size, wanted.shape[axis])
            if size == wanted.shape[axis]:
                places.append((voxel,))
            else:
                places.append((resize.lower[voxel], resize.upper[voxel]))
                self.weights.append(torch.from_numpy(resize.weight[voxel])[:, None])
        corners = [source.index[corner] for corner in product(*places)]
        self.reads = torch.from_numpy(np.stack(corners))

    def into(self, out: Tensor, table: Tensor, start: int) -> None:
        """Write rows start, start + 1, … of the resized grid into `out` (rows, channels)."""
        size, channels = out.shape
        reads = self.reads[:, start : start + size]
        rows = table.index_select(0, reads.reshape(-1))
        for weight in self.weights:
            lower, upper = rows.view(2, -1, size, channels)
            rows = torch.lerp(lower, upper, weight[start : start + size])
        out.copy_(rows.view(size, channels))
