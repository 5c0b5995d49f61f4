"""The attention U-Net of DeepTaskGen, with the parameter names of the published checkpoints.

Source: Serin et al. 2025, Communications Biology (DeepTaskGen). A 3-D U-Net with additive
attention gates on the skip connections; it turns a connectome into one map per contrast.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bids_dtg.contrasts.network.parameters import Parameters, check_input_shape


class ConvBlock(nn.Module):
    """A 3×3×3 convolution (zero padding), batch norm, ReLU; (n, c, i, j, k) in and out."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv3d(in_channels, out_channels, kernel_size=3, padding=1),
            nn.BatchNorm3d(out_channels),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class AttentionGate(nn.Module):
    """Project a skip connection and scale it by an attention map, one value in (0, 1) per voxel.

    As in the published code, the gate scales the projection ``W_x x``, not the skip ``x`` itself.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.W_g = nn.Conv3d(channels, channels, kernel_size=1)
        self.W_x = nn.Conv3d(channels, channels, kernel_size=1)
        self.psi = nn.Sequential(nn.Conv3d(channels, 1, kernel_size=1), nn.Sigmoid())

    def forward(self, gating: Tensor, skip: Tensor) -> Tensor:
        """Return the gated projection; `gating` may have another spatial shape than `skip`."""
        projected = self.W_x(skip)
        gate = resize(self.W_g(gating), skip.shape[2:])
        attention: Tensor = self.psi(torch.relu(gate + projected))
        return projected * attention


class AttentionUNet(nn.Module):
    """Predict contrast maps from a voxel-to-ROI connectome on the grid.

    Level i of the encoder has ``features · 2**i`` channels, and the bottleneck twice as many as
    the last level. In the decoder, each level has a transposed convolution, an attention gate on
    the skip connection and, except for the last, a convolution block.

    Parameters
    ----------
    in_channels
        ROIs of the connectome (50 in the published models).
    out_channels
        Contrasts (47 in the published models).
    features
        Channels of the first level (64 in the published models).
    levels
        Down-sampled levels above the bottleneck (published ``max_level``, 1); the grid is halved
        ``levels + 1`` times, so each axis needs at least ``2**(levels + 1)`` voxels.
    """

    def __init__(
        self, in_channels: int, out_channels: int, features: int = 64, levels: int = 1
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.features, self.levels = features, levels
        widths = [features * 2**level for level in range(levels + 1)]
        rising = widths[::-1]
        self.in_block = ConvBlock(in_channels, features)
        self.downs = nn.ModuleList(
            ConvBlock(above, below) for above, below in pairwise(widths)
        )
        self.bottleneck = ConvBlock(widths[-1], 2 * widths[-1])
        self.upscale = nn.ModuleList(
            nn.ConvTranspose3d(2 * width, width, kernel_size=3, stride=2)
            for width in rising
        )
        self.attention_gates = nn.ModuleList(AttentionGate(width) for width in rising)
        self.ups = nn.ModuleList(ConvBlock(2 * width, width) for width in rising[:-1])
        self.out_block = nn.Sequential(
            ConvBlock(2 * features, features),
            nn.Conv3d(features, out_channels, kernel_size=1),
        )

    @classmethod
    def from_parameters(cls, parameters: Parameters) -> AttentionUNet:
        """Make the network from copies of parameters, in eval mode and on the CPU."""
        with torch.device("meta"):  # no random weights are drawn
            network = cls(**vars(parameters.sizes))
        arrays = parameters.arrays
        state = {name: torch.from_numpy(arrays[name].copy()) for name in arrays}
        network.load_state_dict(state, assign=True)
        return network.requires_grad_(True).eval()

    def forward(self, x: Tensor) -> Tensor:
        """Predict the maps.

        Parameters
        ----------
        x
            Connectomes, shape (n, in_channels, i, j, k).

        Returns
        -------
        Tensor
            Maps, shape (n, out_channels, i, j, k).

        Raises
        ------
        ValueError
            The shape does not have five axes, the channels differ, or the grid is too small.
        """
        check_input_shape(tuple(x.shape), self.in_channels, self.levels)
        up, skip = self.below_last_level(self.in_block(x))
        gated = self.attention_gates[-1](up, skip)
        joined = torch.cat([resize(up, skip.shape[2:]), gated], dim=1)
        return self.out_block(joined)

    def below_last_level(self, first: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the levels between the first block and the last; return (upscaled, skip)."""
        skips = [first]
        for down in self.downs:
            skips.append(down(F.max_pool3d(skips[-1], 2)))
        x = self.bottleneck(F.max_pool3d(skips[-1], 2))
        for upscale, gate, block in zip(
            self.upscale, self.attention_gates, self.ups, strict=False
        ):
            skip = skips.pop()
            up = upscale(x)
            resized = resize(up, skip.shape[2:])
            x = block(torch.cat([resized, gate(up, skip)], dim=1))
        return self.upscale[-1](x), skips[0]


def on_grid(rows: Tensor, voxels: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Put rows (n, c, voxels) on a grid, (n, c, i, j, k), 0 elsewhere, channels last in memory.

    `voxels` are their indices on the grid in C order.
    """
    n, channels, _ = rows.shape
    grid = rows.new_zeros(n, math.prod(shape), channels)
    grid[:, voxels] = rows.mT
    # (n, i, j, k, c) viewed as (n, c, i, j, k) is torch's channels-last format.
    return grid.view(n, *shape, channels).permute(0, 4, 1, 2, 3)


def resize(x: Tensor, shape: tuple[int, ...] | torch.Size) -> Tensor:
    """Resize the spatial axes of (n, c, i, j, k) by trilinear interpolation of voxel centres."""
    if tuple(x.shape[2:]) == tuple(shape):
        return x
    return F.interpolate(x, size=tuple(shape), mode="trilinear", align_corners=False)
