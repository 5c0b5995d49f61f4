"""ROI maps: from a 4-D file to one row a ROI over the brain mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import BundleError, RunError
from bids_dtg.imaging.bold import BoldHeader, stream_blocks
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.header import read_header
from bids_dtg.imaging.sampling import LatticeSampling

# A few volumes at a time: they are gathered while the next ones are inflated.
_VOLUMES_PER_BLOCK = 4


def read_roi_maps(path: Path, grid: Grid, brain_mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Read ROI maps over the brain mask.

    Parameters
    ----------
    path
        4-D NIfTI, one volume a ROI, on the grid or on any larger field of view, crop or
        flip of its lattice that covers the brain mask. Never resampled.
    grid
        The model's grid.
    brain_mask
        (i, j, k) on the grid.

    Returns
    -------
    numpy.ndarray
        (rois, brain voxels).

    Raises
    ------
    BundleError
        If the file is damaged, not 4-D, on another lattice or too small, has values that
        are not finite, or a map that is constant over the brain mask.
    """
    try:
        header = BoldHeader(**vars(read_header(path)))
        if len(header.shape) != 4:
            raise BundleError(f"{path} has sizes {header.shape}", expected="four, one volume a ROI")
        voxels = np.flatnonzero(brain_mask)
        sampling = LatticeSampling.between(
            header.shape, header.affine, grid, voxels, name=str(path)
        )
        if not sampling.covered.all():
            missing = np.count_nonzero(~sampling.covered)
            raise BundleError(
                f"{path} does not cover {missing} voxels of the brain mask",
                expected="maps that cover all of it",
            )
        roi_maps = np.empty((header.frames, len(voxels)), np.float32)
        done = 0
        for block in stream_blocks(header, _VOLUMES_PER_BLOCK):
            out = roi_maps[done : done + len(block)]
            done += len(sampling.apply(block, header.slope, header.inter, out=out))
    except RunError as err:
        raise BundleError(
            err.found, expected=err.expected, remedy="fetch or make the file again"
        ) from err
    _check_values(path, roi_maps)
    return roi_maps


def _check_values(path: Path, roi_maps: NDArray[np.float32]) -> None:
    lowest, highest = roi_maps.min(axis=1), roi_maps.max(axis=1)
    # NaN and infinity show in the extremes.
    wrong = np.flatnonzero(~(np.isfinite(lowest) & np.isfinite(highest)))
    if wrong.size:
        raise BundleError(
            f"{path}: ROI map {wrong[0]} (from 0) has NaN or infinite values in the brain mask"
        )
    constant = np.flatnonzero(lowest == highest)
    if constant.size:
        raise BundleError(
            f"{path}: ROI map {constant[0]} (from 0) is constant over the brain mask",
            expected="maps that differ between voxels, as ROI series are regression weights",
        )
