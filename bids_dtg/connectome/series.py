"""ROI series and connectome of arrays, by the same sums that a run is reduced to.

Arrays that people give are refused where NumPy would quietly make something else of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.connectome import raw_series, run_connectomes
from bids_dtg.connectome.design import TemporalDesign
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
    # Seconds mean nothing here: one segment.
    design = array_design(confounds, keep, frames, 1.0)
    dtype = np.float32 if bold.dtype == np.float32 else np.float64

    def blocks() -> Blocks:
        for first in range(0, frames, _FRAMES):
            yield first, bold[first : first + _FRAMES].astype(dtype)

    return measure_run(
        blocks,
        design,
        RunVoxels(maps.astype(dtype), voxels, np.ones(voxels, dtype=bool), zeros_missing=False),
        segments=design.segments(float(2 * frames)),
        dtype=dtype,
    )


def real_numbers(values: object, name: str) -> NDArray[Any]:
    """Return an array of real numbers as it is.

    Parameters
    ----------
    values
        What was given for it.
    name
        Of the array, for the error.

    Raises
    ------
    TypeError
        It holds texts, objects or complex numbers, or some of its values are masked.

    Examples
    --------
    >>> real_numbers([1, 2], "bold").tolist()
    [1, 2]
    >>> real_numbers([1j], "bold")
    Traceback (most recent call last):
    TypeError: bold holds complex128. Expected: real numbers
    """
    if np.ma.isMaskedArray(values) and np.ma.getmaskarray(values).any():
        raise TypeError(f"{name} has masked values. Expected: an array with NaN there (filled)")
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} holds {array.dtype}. Expected: real numbers")
    return array


def array_design(confounds: object, keep: object, frames: int, tr_seconds: float) -> TemporalDesign:
    """Turn the confounds (frames, columns) of arrays, and the frames that are kept, into a design.

    Parameters
    ----------
    confounds
        None: no columns.
    keep
        (frames,), None: all.
    frames, tr_seconds
        Number of frames, and seconds from one to the next.

    Raises
    ------
    TypeError
        Confounds are no real numbers, or `keep` no truth values: indices would be taken for these.
    ValueError
        They have another shape, a column has no finite number, or too few frames are left.
    """
    table = np.zeros((frames, 0))
    if confounds is not None:
        table = real_numbers(confounds, "confounds").astype(np.float64)
    if table.ndim != 2 or len(table) != frames:
        raise ValueError(f"confounds are {table.shape}. Expected: ({frames}, columns)")
    empty = np.flatnonzero(~np.isfinite(table).any(axis=0))
    if len(empty):
        raise ValueError(f"column {empty[0]} of the confounds has no finite number")
    kept = np.ones(frames, dtype=bool) if keep is None else np.asarray(keep)
    if kept.dtype != np.bool_:
        raise TypeError(f"keep holds {kept.dtype}. Expected: True or False for each frame")
    if kept.shape != (frames,):
        raise ValueError(f"keep is {kept.shape}. Expected: ({frames},)")
    names = [f"column {index}" for index in range(table.shape[1])]
    return TemporalDesign.build(table, names, kept, tr_seconds)
