"""ROI series and connectome of arrays at hand, by the same sums that a run is reduced to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.connectome import raw_series, run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.given import confound_columns, kept_frames, real_numbers
from bids_dtg.connectome.moments import RunMoments, RunVoxels, measure_run
from bids_dtg.connectome.passes import Blocks

_FRAMES = 64


def roi_series(bold: NDArray[np.floating], maps: NDArray[np.floating]) -> NDArray[np.float64]:
    """Reduce BOLD to ROI series: stage 1 of dual regression (Serin et al. 2025, Methods).

    Parameters
    ----------
    bold
        (frames, voxels); voxels with a value that is not finite are left out.
    maps
        (rois, voxels) spatial maps, dimensionless weights.

    Returns
    -------
    (frames, rois) regression weights, not ROI means: the pseudo-inverse of the spatially
    demeaned maps times the temporally demeaned BOLD.

    Examples
    --------
    >>> import numpy as np
    >>> maps = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0]])
    >>> course = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    >>> np.allclose(roi_series(course @ maps, maps), course)
    True
    """
    return raw_series(_measure(bold, maps, None, None))


def voxel_to_roi(
    bold: NDArray[np.floating],
    maps: NDArray[np.floating],
    confounds: NDArray[np.floating] | None = None,
    keep: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Correlate each voxel with each ROI, after cleaning both.

    Parameters
    ----------
    bold
        (frames, voxels) BOLD signal, in any unit.
    maps
        (rois, voxels) spatial maps, dimensionless weights.
    confounds
        (frames, columns) to regress out; an intercept always is.
    keep
        (frames,), False for frames to remove; all are kept by default.

    Returns
    -------
    (rois, voxels) Pearson r; 0 where undefined (constant voxels, or values that are not finite).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> bold, maps = rng.standard_normal((100, 30)), rng.random((4, 30))
    >>> voxel_to_roi(bold, maps).shape
    (4, 30)
    """
    return run_connectomes(_measure(bold, maps, confounds, keep)).segments[0].r


def _measure(
    bold: NDArray[np.floating],
    maps: NDArray[np.floating],
    confounds: NDArray[np.floating] | None,
    keep: NDArray[np.bool_] | None,
) -> RunMoments:
    bold, maps = real_numbers(bold, "bold"), real_numbers(maps, "maps")
    if bold.ndim != 2 or maps.ndim != 2 or bold.shape[1] != maps.shape[1]:
        raise ValueError(
            f"bold is (frames, voxels) and maps (rois, voxels), not {bold.shape} and {maps.shape}"
        )
    if not np.isfinite(maps).all():
        raise ValueError("the maps hold values that are not finite")
    frames, voxels = bold.shape
    finite = np.abs(bold, where=np.isfinite(bold), out=np.zeros(bold.shape))
    if finite.size and finite.max() > np.finfo(np.float32).max:
        raise ValueError("bold holds values beyond the range of float32. Expected: smaller units")
    table = confound_columns(confounds, frames)
    dtype = np.float32 if bold.dtype == np.float32 else np.float64
    design = TemporalDesign.build(
        table,
        [f"column {index}" for index in range(table.shape[1])],
        kept_frames(keep, frames),
        1.0,
    )

    def blocks() -> Blocks:
        for first in range(0, frames, _FRAMES):
            yield first, bold[first : first + _FRAMES].astype(dtype)

    # Seconds mean nothing here: one segment.
    return measure_run(
        blocks,
        design,
        RunVoxels(maps.astype(dtype), voxels, np.ones(voxels, dtype=bool), zeros_missing=False),
        segments=design.segments(float(2 * frames)),
        dtype=dtype,
    )
