"""The dense plan: whole grids, batch norm folded, channels last; for the GPU."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bids_dtg.contrasts.network.unet import AttentionUNet, ConvBlock, resize


class DensePlan:
    """Run the folded network on the whole grid (a few GB at the published size).

    The last level, the widest by far, may run slab by slab: its values are the same, as each slab
    is computed with the neighbours that its convolution reads.

    Parameters
    ----------
    network
        Weights and running statistics; not changed.
    mask
        Voxels that are read and predicted, shape (i, j, k).
    device
        Where to compute.
    planes
        Planes along i of a slab of the last level; the whole grid at once where None.
    """

    def __init__(
        self,
        network: AttentionUNet,
        mask: NDArray[np.bool_],
        device: torch.device,
        planes: int | None = None,
    ) -> None:
        self.network = folded_network(network).to(device)
        for weight in self.network.parameters():
            if weight.ndim == 5:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last_3d)
        self.grid_shape, self.planes = mask.shape, planes
        self.mask = torch.from_numpy(mask).to(device)
        self.voxels = torch.from_numpy(np.flatnonzero(mask)).to(device)

    def maps(self, connectome: Tensor) -> Tensor:
        """Return maps (contrasts, voxels) for a connectome (rois, voxels)."""
        rois = connectome.shape[0]
        rows = connectome.new_zeros(int(np.prod(self.grid_shape)), rois)
        rows[self.voxels] = connectome.T
        # (i, j, k, c) seen as (1, c, i, j, k) is what torch calls channels-last.
        grid = rows.view(1, *self.grid_shape, rois).permute(0, 4, 1, 2, 3)
        # cuDNN rounds float32 to TF32 by default: ten bits are too few for 1e-5.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            if self.planes is None:
                out: Tensor = self.network(grid)
                return out[0].flatten(1)[:, self.voxels]
            up, skip = self.network.below_last_level(grid)
            del rows, grid
            up = resize(up, skip.shape[2:])
            slabs = range(0, self.grid_shape[0], self.planes)
            return torch.cat([self._slab(up, skip, start, self.planes) for start in slabs], dim=1)

    def _slab(self, up: Tensor, skip: Tensor, start: int, planes: int) -> Tensor:
        """Return the maps (contrasts, voxels) of some planes; `up` has the grid of `skip`."""
        first, stop = max(0, start - 1), start + planes + 1
        # Interpolation has weights of sum 1, so it commutes with the gate's 1×1×1 convolution:
        # what was resized for the concatenation is gated by.
        up, skip = up[:, :, first:stop], skip[:, :, first:stop]
        gated = self.network.attention_gates[-1](up, skip)
        out: Tensor = self.network.out_block(torch.cat([up, gated], dim=1))
        inner = out[0, :, start - first : start - first + planes]
        return inner[:, self.mask[start : start + planes]]


def folded_network(network: AttentionUNet) -> AttentionUNet:
    """Return a copy in eval mode whose batch norms are folded into the convolutions."""
    folded = copy.deepcopy(network).eval()
    for block in folded.modules():
        if isinstance(block, ConvBlock):
            conv, norm, relu = block.conv
            assert isinstance(conv, nn.Conv3d)
            assert isinstance(norm, nn.BatchNorm3d)
            block.conv = nn.Sequential(fuse_conv_bn_eval(conv, norm), nn.Identity(), relu)
    return folded
