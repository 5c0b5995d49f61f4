"""Gaussian smoothing of frames within the voxels that have data."""

from __future__ import annotations

from math import log, sqrt

import numpy as np

from bids_dtg.array_types import Float32, Mask
from bids_dtg.imaging.grid import Shape
from bids_dtg.imaging.places import VoxelPlaces

# The kernel ends at this many standard deviations, as SciPy's and nilearn's do.
_TRUNCATE = 4.0
_FWHM_PER_SD = sqrt(8.0 * log(2.0))
# Number of planes that one matrix product computes; it also reads planes within the kernel's reach
# on both sides. With fewer planes there are many small products, with more, many zeros.
_PLANES = 16


class MaskedSmoothing:
    """Gaussian smoothing within a mask; voxels outside have no influence.

    Each voxel becomes the weighted mean of the mask's voxels around it, so that constants are
    preserved: S = diag(1 / K m) K diag(m), where K is the Gaussian and m the mask. The Gaussian is
    separable, and is applied along each axis as a product with a band matrix.
    """

    def __init__(self, voxels: VoxelPlaces, used: Mask, fwhm_mm: float) -> None:
        """Prepare for a set of voxels.

        Parameters
        ----------
        voxels
            Voxels of a frame.
        used
            (voxels,), whether a voxel belongs to the mask.
        fwhm_mm
            Full width at half maximum of the Gaussian, above 0.
        """
        self._used = np.flatnonzero(used)  # (used voxels,), their positions in a frame
        # Flat positions in the box around them, and the sizes of the box.
        corners = voxels.index[used].T
        low = corners.min(axis=1, initial=max(voxels.grid.shape))
        high = corners.max(axis=1, initial=0)
        sizes = np.maximum(high - low + 1, 1)
        self._box: Shape = tuple(sizes.tolist())
        self._places = np.ravel_multi_index(tuple(corners - low[:, None]), self._box)
        # (n, n) Gaussian along each axis of the box.
        self._bands = [
            _band(count, fwhm_mm / _FWHM_PER_SD / size)
            for count, size in zip(self._box, voxels.grid.voxel_sizes_mm, strict=True)
        ]
        # (used voxels,), K m
        self._weight = self._convolve(np.ones(len(self._used), np.float32))

    def apply(self, frame: Float32) -> None:
        """Smooth a frame in place.

        Parameters
        ----------
        frame
            (voxels,), finite within the mask; voxels outside are neither read nor changed.
        """
        if len(self._used):
            frame[self._used] = self._convolve(frame[self._used]) / self._weight

    def _convolve(self, values: Float32) -> Float32:
        """Convolve values (used voxels,) with the Gaussian; values outside the mask are 0."""
        count_i, _, count_k = self._box
        volume = np.zeros(self._box, np.float32)
        volume.reshape(-1)[self._places] = values
        along_k = np.empty_like(volume)
        along_j = np.empty_like(volume)
        band_i, band_j, band_k = self._bands
        rows = volume.reshape(-1, count_k)
        smooth_rows = along_k.reshape(-1, count_k)
        for slab, source in _slabs(band_k):
            np.matmul(rows[:, source], band_k[source, slab], out=smooth_rows[:, slab])
        for slab, source in _slabs(band_j):
            np.matmul(band_j[slab, source], along_k[:, source], out=along_j[:, slab])
        planes = along_j.reshape(count_i, -1)
        smooth_planes = volume.reshape(count_i, -1)  # the volume is not needed any more
        for slab, source in _slabs(band_i):
            np.matmul(band_i[slab, source], planes[source], out=smooth_planes[slab])
        return volume.reshape(-1)[self._places]


def _band(count: int, sd: float) -> Float32:
    """Return Gaussian weights between planes (count, count), 0 beyond the kernel's reach."""
    steps = np.arange(count)
    distance = np.abs(steps[:, None] - steps)
    weights = np.exp(-0.5 * (distance / sd) ** 2)
    weights[distance > int(_TRUNCATE * sd + 0.5)] = 0.0
    largest_sum = weights.sum(axis=1).max()
    return np.asarray(weights / largest_sum, np.float32)


def _slabs(band: Float32) -> list[tuple[slice, slice]]:
    """Divide an axis into the planes that each product computes, and those that it reads."""
    count = len(band)
    reach = int(np.count_nonzero(band[0])) - 1
    slabs = []
    for low in range(0, count, _PLANES):
        computed = slice(low, min(low + _PLANES, count))
        source = slice(max(0, low - reach), low + _PLANES + reach)
        slabs.append((computed, source))
    return slabs
