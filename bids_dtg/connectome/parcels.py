"""Mean time series of an atlas's parcels from one pass over a run, their correlations and edges.

Edges of a parcel connectome are its values above the diagonal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float32, Float64, Floats, Indices, Mask, Values
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.moments import RESIDUAL_TOLERANCE
from bids_dtg.connectome.passes import Block, Blocks, MakeSmoothing, add_up
from bids_dtg.imaging.atlas import MIN_COVERAGE


@dataclass(frozen=True, eq=False)
class ParcelSeries:
    """Cleaned time series of parcels, standardised over the kept frames."""

    # (parcels, frames), mean 0 and standard deviation 1 (of n, not n - 1) over the kept frames;
    # NaN at the other frames, and for parcels without enough coverage or without signal.
    values: Float32
    keep: Mask  # (frames,), False for censored frames and dummy scans
    tr_seconds: float  # time between frames
    coverage: Float64  # (parcels,), fraction of each parcel's voxels with signal
    residual_dof: float  # kept frames minus those used by cleaning; NaN if unknown
    # (parcels,), percent signal change that a value of 1 represents; NaN if the parcel's mean is
    # unknown, as in series that were centred before. None for series read from files.
    percent: Float64 | None = None

    @classmethod
    def of(
        cls,
        means: Floats,
        design: TemporalDesign,
        coverage: Floats,
    ) -> ParcelSeries:
        """Clean and standardise mean series.

        A parcel has no series if less than half of it is covered, or if only rounding errors are
        left after cleaning.

        Parameters
        ----------
        means
            (frames kept, parcels), NaN for a parcel without data.
        design
            Frames kept, and what is regressed out of them.
        coverage
            (parcels,), fraction of each parcel with signal.

        Examples
        --------
        >>> design = TemporalDesign.build(None, (), np.array([True] * 4 + [False]), 2.0)
        >>> means = np.array([[1.0, 5], [3, 5], [1, 5], [3, 5]])
        >>> series = ParcelSeries.of(means, design, np.array([1.0, 1.0]))
        >>> series.values.tolist(), series.percent.tolist()
        ([[-1.0, 1.0, -1.0, 1.0, nan], [nan, nan, nan, nan, nan]], [50.0, nan])
        """
        frames_kept, parcels = means.shape
        has_data = np.isfinite(means).all(axis=0)
        covered = np.flatnonzero((coverage >= MIN_COVERAGE) & has_data)
        raw = means[:, covered] - means[:, covered].mean(axis=0)
        cleaned = design.clean(raw)
        cleaned_squares = (cleaned**2).sum(axis=0)
        has_signal = cleaned_squares > RESIDUAL_TOLERANCE * (raw**2).sum(axis=0)
        with_series = covered[has_signal]
        cleaned = cleaned[:, has_signal]
        cleaned_squares = cleaned_squares[has_signal]
        scaled = cleaned * np.sqrt(frames_kept / cleaned_squares)
        values = np.full((parcels, len(design.keep)), np.nan, np.float32)
        values[np.ix_(with_series, np.flatnonzero(design.keep))] = scaled.T
        sd = np.full(parcels, np.nan)
        sd[with_series] = np.sqrt(cleaned_squares / frames_kept)
        level = means.mean(axis=0)
        percent = np.full(parcels, np.nan)
        np.divide(100 * sd, level, out=percent, where=level > sd)
        return cls(
            values=values,
            keep=design.keep,
            tr_seconds=design.tr_seconds,
            coverage=np.asarray(coverage),
            residual_dof=design.residual_dof(),
            percent=percent,
        )

    @property
    def present(self) -> Mask:
        """(parcels,), whether a parcel has a series."""
        finite = np.isfinite(self.values[:, self.keep])
        return np.asarray(finite.all(axis=1), bool)

    def correlation(self) -> Float64:
        """Return Pearson r (parcels, parcels) over the kept frames.

        Rows and columns of parcels without a series are NaN; the diagonal is 1 elsewhere.

        Examples
        --------
        >>> values = np.array([[-1.0, 1, -1, 1], [1, -1, 1, -1]], np.float32)
        >>> keep = np.ones(4, bool)
        >>> ParcelSeries(values, keep, 2.0, np.ones(2), 3.0).correlation().tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
        """
        parcels = len(self.values)
        present = np.flatnonzero(self.present)
        series = self.values[np.ix_(present, np.flatnonzero(self.keep))]
        series = series.astype(np.float64)
        # Corrects float32's rounding.
        series /= np.linalg.norm(series, axis=1, keepdims=True)
        r = np.full((parcels, parcels), np.nan)
        r[np.ix_(present, present)] = np.clip(series @ series.T, -1.0, 1.0)
        r[present, present] = 1.0
        return r


def fill_gaps(values: Floats, keep: Mask) -> tuple[Float32, Mask]:
    """Fill the gaps between the first and last kept frames, for models that need no gaps.

    Parameters
    ----------
    values
        (parcels, frames), NaN in frames that were not kept, and for parcels without a series.
    keep
        (frames,), whether a frame was kept.

    Returns
    -------
    series
        (parcels, frames), from the first to the last kept frame. Censored frames are interpolated
        linearly, then each parcel is standardised again. NaN for parcels without a series.
    keep
        (frames,), which of these frames were not filled.

    Examples
    --------
    >>> values = np.array([[np.nan, -1, np.nan, 1, np.nan]], np.float32)
    >>> series, keep = fill_gaps(values, np.array([False, True, False, True, False]))
    >>> [[round(float(x), 2) for x in row] for row in series], keep.tolist()
    ([[-1.22, 0.0, 1.22]], [True, False, True])
    """
    frames_kept = np.flatnonzero(keep)
    frames = np.arange(frames_kept[0], frames_kept[-1] + 1)
    filled = np.full((len(values), len(frames)), np.nan)
    for parcel in np.flatnonzero(np.isfinite(values[:, frames_kept]).all(axis=1)):
        series = values[parcel, frames_kept].astype(np.float64)
        course = np.interp(frames, frames_kept, series)
        filled[parcel] = (course - course.mean()) / course.std()
    return filled.astype(np.float32), keep[frames]


class _Sums:
    """Sums over the voxels of each parcel, (frames kept, parcels).

    Parameters
    ----------
    frames, parcels
        Numbers of kept frames and of parcels.
    parcel
        (voxels,), index of each voxel's parcel, in ascending order.
    subtracted
        (voxels,), volume that was subtracted from the frames before they are added.
    """

    def __init__(
        self, frames: int, parcels: int, parcel: Indices, subtracted: Block
    ) -> None:
        self.subtracted = subtracted
        self.total = np.zeros((frames, parcels))
        # (voxels,), whether a kept frame so far had a value that is not 0.
        self.with_data = subtracted != 0
        self._parcels, self._starts = np.unique(parcel, return_index=True)

    def add(self, frames: Block, first: int) -> None:
        """Add consecutive kept frames, (frames, voxels); `first` is the first one's position."""
        if len(self._starts):
            sums = np.add.reduceat(frames, self._starts, axis=1, dtype=np.float64)
            self.total[first : first + len(frames), self._parcels] = sums
        still_empty = np.flatnonzero(~self.with_data)  # few after the first block
        self.with_data[still_empty] = (frames[:, still_empty] != 0).any(axis=0)


def parcel_series(
    open_blocks: Callable[[], Blocks],
    design: TemporalDesign,
    parcel: Indices,
    sizes: NDArray[np.int64],
    valid: Mask,
    *,
    smoothing: MakeSmoothing | None = None,
    outside: Mask | None = None,
) -> ParcelSeries:
    """Reduce a run to cleaned time series of parcels in one pass, by `add_up`.

    A voxel is excluded from all frames if it has NaN or infinity in a kept frame, leaves the field
    of view, or is 0 in all frames (zero-filled edge of the field of view), as a single voxel may be
    a large part of its parcel.

    Parameters
    ----------
    open_blocks, valid, smoothing, outside
        As for `add_up`.
    design
        Frames kept and columns that are removed from the series.
    parcel
        (voxels,), index of each voxel's parcel, in ascending order.
    sizes
        (parcels,), number of voxels of each parcel, read or not; half of them must have data.
    """

    def start(subtracted: Block, _: Mask) -> _Sums:
        return _Sums(design.frames_kept, len(sizes), parcel, subtracted)

    sums, _ = add_up(
        open_blocks, design, start, valid, smoothing=smoothing, outside=outside
    )
    count = np.bincount(parcel[sums.with_data], minlength=len(sizes))
    level = np.bincount(parcel, sums.subtracted, minlength=len(sizes))
    means = np.full(sums.total.shape, np.nan)
    np.divide(sums.total + level, count, out=means, where=count > 0)
    return ParcelSeries.of(means, design, count / np.maximum(sizes, 1))


def fisher_z(correlation: Floats) -> Float64:
    """Return Fisher z of correlations (regions, regions), with NaN on the diagonal.

    Values are also NaN where the correlation is missing, or is 1 or -1, whose z is not finite
    (Fisher 1915, doi:10.2307/2331838).

    Examples
    --------
    >>> fisher_z(np.array([[1, 0.5], [0.5, 1]])).round(4)
    array([[   nan, 0.5493],
           [0.5493,    nan]])
    """
    r = np.asarray(correlation, np.float64)
    inside = np.abs(r) < 1
    np.fill_diagonal(inside, False)
    return np.arctanh(np.where(inside, r, np.nan))


def mean_edges(edges: Sequence[Float64], weights: Sequence[float]) -> Float64:
    """Average edges over runs with weights; where a run has no value, over the rest.

    Parameters
    ----------
    edges
        (regions, regions) of each run, NaN where it has no value.
    weights
        Weights of the runs, above 0.

    Returns
    -------
    numpy.ndarray
        (regions, regions), NaN where no run has a value.

    Examples
    --------
    >>> first, second = np.array([[np.nan, 0.2], [0.2, np.nan]]), np.full((2, 2), np.nan)
    >>> float(mean_edges([first, first + 0.4], [3.0, 1.0]).round(2)[0, 1])
    0.3
    >>> float(mean_edges([first, second], [3.0, 1.0]).round(2)[0, 1])
    0.2
    """
    masked = np.ma.masked_invalid(np.stack(edges))
    mean: Any = np.ma.average(masked, axis=0, weights=weights)
    return mean.filled(np.nan)


def upper_edges(matrices: Values) -> Values:
    """Return the entries above the diagonal, (..., regions, regions) to (..., edges), row by row.

    Examples
    --------
    >>> upper_edges(np.arange(9).reshape(3, 3))
    array([1, 2, 5])
    """
    rows, columns = np.triu_indices(matrices.shape[-1], 1)
    return matrices[..., rows, columns]


def fc_strength(connectivities: Floats) -> Floats:
    """Return the mean entry above the diagonal, (..., regions, regions) to (...), ignoring NaN.

    Examples
    --------
    >>> float(fc_strength(np.array([[1.0, 0.25], [0.25, 1.0]])))
    0.25
    """
    return finite_mean(upper_edges(connectivities))


def finite_mean(values: Floats) -> Floats:
    """Return the mean of finite values over the last axis; NaN if there are none.

    Examples
    --------
    >>> finite_mean(np.array([[1.0, 3.0, np.nan], [np.nan, np.nan, np.nan]]))
    array([ 2., nan])
    """
    finite = np.isfinite(values)
    total = np.where(finite, values, 0.0).sum(axis=-1)
    count = finite.sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
