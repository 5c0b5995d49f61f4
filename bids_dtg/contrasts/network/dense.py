"""The dense plan for the GPU: whole grids, batch norm folded, channels last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bids_dtg.array_types import Float32, Mask
from bids_dtg.contrasts.network.parameters import Parameters
from bids_dtg.contrasts.network.unet import AttentionUNet, ConvBlock, on_grid, resize


class DensePlan:
    """Run the folded network on the whole grid (a few GB at the published size).

    The last level, by far the largest, may run in slabs. Its values are the same, because each
    slab is computed together with the neighbouring planes that its convolution reads.

    Parameters
    ----------
    parameters
        Parameters of the network, copied to the device.
    mask
        Voxels that are read and predicted, shape (i, j, k).
    device
        Where to compute, by torch's name.
    planes
        Planes along i in a slab of the last level; None: the whole grid at once.
    """

    def __init__(
        self,
        parameters: Parameters,
        mask: Mask,
        device: str,
        planes: int | None = None,
    ) -> None:
        self.device = torch.device(device)
        network = folded_network(AttentionUNet.from_parameters(parameters))
        self.network = network.to(self.device)
        channels_last = torch.channels_last_3d
        for weight in self.network.parameters():
            if weight.ndim == 5:
                weight.data = weight.data.contiguous(memory_format=channels_last)
        self.grid_shape = mask.shape
        self.planes = planes
        self.voxels = torch.from_numpy(np.flatnonzero(mask)).to(self.device)
        # Indices of voxels in each slab, because indexing by a mask waits for the device.
        size = planes or len(mask)
        self.slabs = [
            torch.from_numpy(np.flatnonzero(mask[start : start + size])).to(self.device)
            for start in range(0, len(mask), size)
        ]

    def predict(self, connectome: Float32) -> Float32:
        """Return maps (contrasts, voxels) for a connectome (rois, voxels)."""
        with torch.inference_mode():
            maps = self._maps(torch.from_numpy(connectome).to(self.device))
            values: Float32 = maps.cpu().numpy()
        return values

    def _maps(self, connectome: Tensor) -> Tensor:
        grid = on_grid(connectome[None], self.voxels, self.grid_shape)
        with exact_convolutions():
            if self.planes is None:
                out: Tensor = self.network(grid)
                return out[0].flatten(1)[:, self.voxels]
            up, skip = self.network.below_last_level(self.network.in_block(grid))
            del grid
            up = resize(up, skip.shape[2:])
            slabs = [
                self._slab(up, skip, number, self.planes)
                for number in range(len(self.slabs))
            ]
            return torch.cat(slabs, dim=1)

    def _slab(self, up: Tensor, skip: Tensor, number: int, planes: int) -> Tensor:
        """Return the maps (contrasts, voxels) of a slab; `up` has the grid of `skip`."""
        start = number * planes
        first, stop = max(0, start - 1), start + planes + 1
        # Interpolation weights sum to 1, so interpolation commutes with the gate's 1×1×1
        # convolution, and the gate can read the signal resized for the concatenation.
        up, skip = up[:, :, first:stop], skip[:, :, first:stop]
        gated = self.network.attention_gates[-1](up, skip)
        out: Tensor = self.network.out_block(torch.cat([up, gated], dim=1))
        inner = out[0, :, start - first : start - first + planes]
        return inner.flatten(1)[:, self.slabs[number]]


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Run cuDNN convolutions in float32 and deterministically within the block.

    By default it rounds operands to TF32, whose ten bits are too few for maps within 1e-5. The
    settings of other code in this process are restored afterwards.

    Examples
    --------
    >>> before = torch.backends.cudnn.deterministic
    >>> with exact_convolutions():
    ...     torch.backends.cudnn.deterministic
    True
    >>> torch.backends.cudnn.deterministic == before
    True
    """
    cudnn = torch.backends.cudnn
    wanted: list[tuple[Any, str, object]] = [
        (cudnn, "enabled", True),
        (cudnn, "deterministic", True),
        (cudnn, "benchmark", False),
    ]
    # From torch 2.9 on, the older name is refused after the newer one was used.
    if hasattr(cudnn, "conv"):
        wanted.append((cudnn.conv, "fp32_precision", "ieee"))
    else:
        wanted.append((cudnn, "allow_tf32", False))
    before = [(module, name, getattr(module, name)) for module, name, _ in wanted]
    try:
        for module, name, value in wanted:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def folded_network(network: AttentionUNet) -> AttentionUNet:
    """Fold the batch norms of a network in eval mode into its convolutions, in place."""
    for block in network.modules():
        if isinstance(block, ConvBlock):
            conv, norm, relu = block.conv
            assert isinstance(conv, nn.Conv3d)
            assert isinstance(norm, nn.BatchNorm3d)
            folded = fuse_conv_bn_eval(conv, norm)
            block.conv = nn.Sequential(folded, nn.Identity(), relu)
    return network
