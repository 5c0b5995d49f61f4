"""Gaussian smoothing of frames among the voxels that have data."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.places import VoxelPlaces

# The kernel ends at this many standard deviations, as SciPy's and nilearn's do.
_TRUNCATE = 4.0
_FWHM_PER_SD = sqrt(8.0 * log(2.0))
# Planes that one product makes: it reads as many and the kernel's reach on either side. Fewer
# would be many small products, more would multiply by zeros.
_PLANES = 16

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MaskedSmoothing:
    """A Gaussian within a mask: what lies outside neither gives nor takes.

    Each voxel becomes the weighted mean of the mask's voxels around it, so that constants stay:
    S = diag(1 / K m) K diag(m), with K the Gaussian and m the mask. The Gaussian is a product of
    one along each axis, and each of these is a product with a band matrix.
    """

    used: NDArray[np.intp]  # (used voxels,), their places in a frame
    places: NDArray[np.intp]  # (used voxels,), their flat places in the box around them
    box: tuple[int, int, int]  # sizes of that box
    bands: tuple[Float32, Float32, Float32]  # (n, n) Gaussian along each axis of the box
    scale: Float32  # (used voxels,), 1 / K m

    @classmethod
    def within(
        cls, voxels: VoxelPlaces, used: NDArray[np.bool_], fwhm_mm: float
    ) -> MaskedSmoothing:
        """Prepare for a set of voxels.

        Parameters
        ----------
        voxels
            Voxels of a frame that are smoothed.
        used
            (voxels,) whether a voxel belongs to the mask.
        fwhm_mm
            Full width at half maximum of the Gaussian.
        """
        if not fwhm_mm > 0:
            raise ValueError(f"a full width at half maximum is positive, not {fwhm_mm} mm")
        if used.shape != (voxels.number,):
            raise ValueError(f"{voxels.number} voxels and a mask of {used.shape}")
        places = np.flatnonzero(used)
        grid = voxels.grid
        corners = np.stack(np.unravel_index(voxels.positions[places], grid.shape))
        low = corners.min(axis=1, initial=max(grid.shape))
        high = corners.max(axis=1, initial=0)
        box = tuple(int(size) for size in np.maximum(high - low + 1, 1))
        sizes = grid.voxel_sizes_mm
        first, second, third = (
            _band(count, fwhm_mm / _FWHM_PER_SD / size)
            for count, size in zip(box, sizes, strict=True)
        )
        flat = np.ravel_multi_index(tuple(corners - low[:, None]), box)
        bare = cls(
            places,
            np.asarray(flat, np.intp),
            (box[0], box[1], box[2]),
            (first, second, third),
            np.ones(len(places), np.float32),
        )
        weight = bare._convolve(np.ones(len(places), np.float32))
        return cls(bare.used, bare.places, bare.box, bare.bands, np.float32(1) / weight)

    def apply(self, frame: Float32) -> None:
        """Smooth a frame in place.

        Parameters
        ----------
        frame
            (voxels,), finite at the mask's; the other voxels are neither read nor changed.
        """
        if len(self.used):
            frame[self.used] = self._convolve(frame[self.used]) * self.scale

    def _convolve(self, values: Float32) -> Float32:
        """Multiply (used voxels,) by the Gaussian; 0 outside the mask."""
        count_i, _, count_k = self.box
        volume = np.zeros(self.box, np.float32)
        volume.reshape(-1)[self.places] = values
        along_k, along_j = np.empty_like(volume), np.empty_like(volume)
        band_i, band_j, band_k = self.bands
        rows, filled = volume.reshape(-1, count_k), along_k.reshape(-1, count_k)
        for made, read in _slabs(band_k):
            np.matmul(rows[:, read], band_k[read, made], out=filled[:, made])
        for made, read in _slabs(band_j):
            np.matmul(band_j[made, read], along_k[:, read], out=along_j[:, made])
        planes, done = along_j.reshape(count_i, -1), volume.reshape(count_i, -1)
        for made, read in _slabs(band_i):
            np.matmul(band_i[made, read], planes[read], out=done[made])
        smoothed: Float32 = volume.reshape(-1)[self.places]
        return smoothed


def _band(count: int, sd: float) -> Float32:
    """Gaussian weights between planes: (count, count), symmetric, 0 beyond the kernel's reach."""
    steps = np.arange(count)
    apart = np.abs(steps[:, None] - steps)
    weights = np.exp(-0.5 * (apart / sd) ** 2)
    weights[apart > int(_TRUNCATE * sd + 0.5)] = 0.0
    band: Float32 = np.asarray(weights / weights.sum(axis=1).max(), np.float32)
    return band


def _slabs(band: Float32) -> list[tuple[slice, slice]]:
    """Cut an axis: which planes each product makes, and which it reads."""
    count = len(band)
    reach = int(np.count_nonzero(band[0])) - 1
    return [
        (slice(low, min(low + _PLANES, count)), slice(max(0, low - reach), low + _PLANES + reach))
        for low in range(0, count, _PLANES)
    ]
