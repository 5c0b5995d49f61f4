"""What each column of a connectome adds to the network's maps along a path of connectomes.

Integrated gradients: from one connectome straight to another, the derivative of the maps along each
column's own part of the way, summed over the way. Over columns they add up to the difference
between the maps at both ends. Source: Sundararajan, Taly & Yan 2017, "Axiomatic attribution for
deep networks", ICML. Derivatives are exact, taken forwards: a column costs about one pass of the
network at each point of the way, for all contrasts and places at once.

The derivative jumps wherever a unit of the network opens or closes, so a sum over n points misses
about 1/n. What is missed is divided among the columns in proportion to their contributions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import jvp, vmap
from torch.nn import functional as F

from bids_dtg.contrasts.explanation import Areas
from bids_dtg.contrasts.network.dense import exact_convolutions, folded_network
from bids_dtg.contrasts.network.parameters import Parameters
from bids_dtg.contrasts.network.unet import AttentionUNet

Float = NDArray[np.float64]

_POINTS = (8, 16, 32, 64)  # of the way: the first number that is enough
_ENOUGH = 0.01  # of a contrast's largest difference, which the sum over points may miss
_ALLOWED = 0.05  # more is reported
_VALUES_AT_ONCE = 2**24  # of the finest level, for columns that are computed together


class PathContributions:
    """Contributions of columns, for one network, mask and device.

    Parameters
    ----------
    parameters
        Parameters of the network, copied to the device.
    mask
        Voxels that are read and predicted, shape (i, j, k).
    device
        Where to compute, as torch names it.
    report
        Receives a line where sums over points miss more than 5 % of the differences.
    """

    def __init__(
        self,
        parameters: Parameters,
        mask: NDArray[np.bool_],
        device: str,
        report: Callable[[str], None],
    ) -> None:
        network = folded_network(AttentionUNet.from_parameters(parameters))
        self.network = network.requires_grad_(False).to(device)
        first = self.network.in_block.conv[0]
        assert isinstance(first, nn.Conv3d)
        self.first = first
        self.device, self.grid, self.report = torch.device(device), mask.shape, report
        self.voxels = torch.from_numpy(np.flatnonzero(mask)).to(self.device)
        self.at_once = max(1, _VALUES_AT_ONCE // (mask.size * parameters.sizes.features))

    def __call__(
        self,
        connectome: NDArray[np.floating],
        start: NDArray[np.floating],
        areas: Areas,
        points: int | None = None,
    ) -> Float:
        """Return contributions to means over areas, (contrasts, columns, areas).

        Parameters
        ----------
        connectome, start
            The end and the beginning of the path, (columns, voxels).
        areas
            Of the voxels.
        points
            Of the way, over which derivatives are averaged; None: as many as are enough.
        """
        with torch.no_grad(), exact_convolutions():
            begin, end = (self._on_grid(ends) for ends in (start, connectome))
            way = end - begin
            # The first layer is linear, so the way between its results is straight, too.
            first, last = (self._first(ends) for ends in (begin, end))
            low, high = (self._means(self._maps(ends), areas) for ends in (first, last))
            points = points or self._enough(first, last, high - low, areas)
            found = np.zeros(())  # (columns, contrasts, areas)
            for point in _midpoints(points):
                there = torch.lerp(first, last, point)
                each = [
                    self._changes(there, self._of_columns(way, some), areas)
                    for some in torch.split(torch.arange(len(way)), self.at_once)
                ]
                found = found + np.concatenate(each) / points
        shares, total = np.abs(found), np.abs(found).sum(axis=0)
        shares = shares / np.where(total > 0, total, 1.0)
        found = found + shares * (high - low - found.sum(axis=0))
        return np.ascontiguousarray(np.swapaxes(found, 0, 1))

    def _enough(self, first: Tensor, last: Tensor, difference: Float, areas: Areas) -> int:
        """Return how many points give a mean of derivatives that is near the difference."""
        scale = np.abs(difference).max(axis=1, keepdims=True)
        whole = (last - first)[None]
        points, missed = 0, np.inf
        for points in _POINTS:
            total = sum(
                self._changes(torch.lerp(first, last, point), whole, areas)[0]
                for point in _midpoints(points)
            )
            apart = np.abs(total / points - difference)
            missed = float((apart / np.where(scale > 0, scale, np.inf)).max())
            if missed <= _ENOUGH:
                break
        if missed > _ALLOWED:
            self.report(
                f"contributions are uncertain by {missed:.1%} of a contrast's largest deviation: "
                "the network changes fast between the mean connectome and this one"
            )
        return points

    def _on_grid(self, connectome: NDArray[np.floating]) -> Tensor:
        """Return a connectome (columns, voxels) on the grid, (columns, i, j, k)."""
        values = torch.from_numpy(np.asarray(connectome, np.float32)).to(self.device)
        grid = values.new_zeros(len(values), int(np.prod(self.grid)))
        return grid.index_copy(1, self.voxels, values).reshape(-1, *self.grid)

    def _first(self, connectome: Tensor) -> Tensor:
        """Return the first convolution of a connectome, before what is not linear."""
        out: Tensor = self.first(connectome[None])[0]
        return out

    def _of_columns(self, way: Tensor, some: Tensor) -> Tensor:
        """Return the first convolution of single columns, (columns, features, i, j, k)."""
        weight = self.first.weight[:, some].transpose(0, 1)  # (columns, features, 3, 3, 3)
        out = F.conv3d(way[None, some], weight.flatten(0, 1)[:, None], padding=1, groups=len(some))
        return out[0].unflatten(0, weight.shape[:2])  # type: ignore[no-untyped-call, no-any-return]

    def _changes(self, there: Tensor, ways: Tensor, areas: Areas) -> Float:
        """Return how means over areas change, (n, contrasts, areas), along n ways."""
        changed = vmap(lambda way: jvp(self._maps, (there,), (way,))[1])(ways)
        return self._means(changed, areas)

    def _maps(self, first: Tensor) -> Tensor:
        """Return maps (contrasts, voxels) of the result of the first convolution."""
        maps: Tensor = self.network.after_first(torch.relu(first)[None])
        return maps[0].flatten(1)[:, self.voxels]

    @staticmethod
    def _means(maps: Tensor, areas: Areas) -> Float:
        rows = maps.cpu().numpy()
        found = areas.means(rows.reshape(-1, rows.shape[-1]))
        return found.reshape(*rows.shape[:-1], areas.number)


def _midpoints(number: int) -> Float:
    """Return the middles of so many equal parts of 0 to 1."""
    return (np.arange(number) + 0.5) / number
