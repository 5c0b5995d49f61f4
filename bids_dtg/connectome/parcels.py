"""Mean series of an atlas' parcels from one pass over a run: cleaned, standardised, correlated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.moments import RESIDUAL_TOLERANCE
from bids_dtg.connectome.passes import (
    Block,
    Blocks,
    InvalidVoxelsError,
    MakeSmoothing,
    add_up,
)

Float = NDArray[np.float64]


class ParcelSums:
    """Sums of a run's frames over parcels, added block by block.

    Memory is that of the sums, (frames kept, parcels) float64, whatever the number of voxels.
    A voxel that is 0 in all kept frames has no data (zero-filled edge of the field of view): it
    adds nothing to a sum, and is left out of the number that the sum is divided by.

    Parameters
    ----------
    design
        Frames kept and columns that are removed from the series.
    parcel
        (voxels,), number of the parcel of each, never decreasing.
    sizes
        (parcels,), voxels of each parcel, read or not.
    valid
        (voxels,), that may have data; the others are never read.
    subtracted
        (voxels,) volume that was subtracted from the frames before they are added; None: none.

    Examples
    --------
    >>> design = TemporalDesign.build(None, (), np.ones(4, bool), tr_seconds=2.0)
    >>> sums = ParcelSums(design, np.array([0, 0, 1]), np.array([2, 1]), np.ones(3, bool))
    >>> sums.add(np.array([[1.0, 3, 0], [2, 4, 0], [3, 5, 0], [4, 6, 0]]), 0)
    >>> sums.means()[:, 0].tolist(), sums.coverage.tolist()
    ([2.0, 3.0, 4.0, 5.0], [1.0, 0.0])
    """

    def __init__(
        self,
        design: TemporalDesign,
        parcel: NDArray[np.intp],
        sizes: NDArray[np.int64],
        valid: NDArray[np.bool_],
        *,
        subtracted: NDArray[np.floating] | None = None,
    ) -> None:
        self.design, self._parcel, self._sizes = design, parcel, sizes
        self.seen = np.zeros(design.frames_kept, dtype=bool)
        self._subtracted = np.zeros(len(parcel)) if subtracted is None else subtracted
        # (voxels,), with a value other than 0 in a kept frame so far; what is constant has become
        # 0 where a volume was subtracted, and has data nevertheless.
        self.with_data = valid & (self._subtracted != 0)
        self._position = np.where(design.keep, np.cumsum(design.keep) - 1, -1)
        self._sums = np.zeros((design.frames_kept, len(sizes)))
        self._absent = np.flatnonzero(~valid)
        self._filled, self._starts = np.unique(parcel, return_index=True)

    def add(self, block: Block, first_frame: int) -> None:
        """Add consecutive frames.

        Parameters
        ----------
        block
            (frames, voxels). Voxels that are not valid are set to 0 in it.
        first_frame
            Index of its first frame in the run, censored frames counted.

        Raises
        ------
        InvalidVoxelsError
            Valid voxels are not finite in a kept frame; the sums are as before the call.
        """
        position = self._position[first_frame : first_frame + len(block)]
        kept = np.flatnonzero(position >= 0)
        if not len(kept):
            return
        block[:, self._absent] = 0
        found = np.zeros((len(kept), len(self._starts)))
        for row, frame in zip(found, kept, strict=True):
            if len(row):
                np.add.reduceat(block[frame].astype(np.float64), self._starts, out=row)
        if not np.isfinite(found).all():
            raise InvalidVoxelsError("values at valid voxels are not finite")
        self._sums[np.ix_(position[kept], self._filled)] = found
        still = np.flatnonzero(~self.with_data)  # few after the first block
        self.with_data[still] = (block[np.ix_(kept, still)] != 0).any(axis=0)
        self.seen[position[kept]] = True

    @property
    def count(self) -> NDArray[np.intp]:
        """(parcels,), number of each parcel's voxels that have data."""
        return np.bincount(self._parcel[self.with_data], minlength=len(self._sizes))

    @property
    def coverage(self) -> Float:
        """(parcels,), share of each parcel's voxels that have data, 0 to 1."""
        return self.count / np.maximum(self._sizes, 1)

    def means(self) -> Float:
        """Mean of each parcel's voxels with data, (frames kept, parcels); NaN where none has."""
        count, means = self.count, np.full(self._sums.shape, np.nan)
        np.divide(self._sums, count, out=means, where=count > 0)
        return means

    def series(self, min_coverage: float = 0.0) -> ParcelSeries:
        """Clean and standardise what was added.

        Parameters
        ----------
        min_coverage
            Share of a parcel's voxels; parcels with less have no series.
        """
        where, weights = self._parcel[self.with_data], self._subtracted[self.with_data]
        taken = np.bincount(where, weights, minlength=len(self._sizes))
        return ParcelSeries.of(
            *(self.means(), self.design, self.coverage, min_coverage),
            subtracted=taken / np.maximum(self.count, 1),
        )


@dataclass(frozen=True, eq=False)
class ParcelSeries:
    """Cleaned series of parcels, standardised over the frames that are kept."""

    # (parcels, frames), mean 0 and standard deviation 1 (of n, not n - 1) over the kept frames;
    # NaN at the other frames, and for parcels without enough coverage or without signal.
    values: NDArray[np.float32]
    keep: NDArray[np.bool_]  # (frames,), False for censored frames and dummy scans
    tr_seconds: float  # time between frames
    coverage: Float  # (parcels,), share of each parcel's voxels with signal
    residual_dof: float  # kept frames less what cleaning took; NaN where that is not known
    # (parcels,), percent of the parcel's mean signal that a value of 1 stands for; NaN where the
    # mean is not known, as in series that others have centred. None: series that were read.
    percent: Float | None = None

    @classmethod
    def of(
        cls,
        means: NDArray[np.floating],
        design: TemporalDesign,
        coverage: NDArray[np.floating],
        min_coverage: float = 0.0,
        *,
        subtracted: NDArray[np.floating] | float = 0.0,
    ) -> ParcelSeries:
        """Clean and standardise mean series.

        A parcel that cleaning leaves nothing of but rounding has no series, as one below
        `min_coverage`.

        Parameters
        ----------
        means
            (frames kept, parcels), NaN for a parcel without data.
        design
            Frames kept, and what is regressed out of them.
        coverage
            (parcels,), share of each parcel with signal.
        min_coverage
            Least share of a parcel that has a series.
        subtracted
            (parcels,), what `means` lack of the mean signal.

        Examples
        --------
        >>> design = TemporalDesign.build(None, (), np.array([True] * 4 + [False]), 2.0)
        >>> means = np.array([[1.0, 5], [3, 5], [1, 5], [3, 5]])
        >>> series = ParcelSeries.of(means, design, np.array([1.0, 1.0]))
        >>> series.values.tolist(), series.percent.tolist()
        ([[-1.0, 1.0, -1.0, 1.0, nan], [nan, nan, nan, nan, nan]], [50.0, nan])
        """
        values = np.full((means.shape[1], len(design.keep)), np.nan, np.float32)
        wanted = np.flatnonzero((coverage >= min_coverage) & np.isfinite(means).all(axis=0))
        raw = means[:, wanted] - means[:, wanted].mean(axis=0)
        cleaned = design.clean(raw)
        left, size = (cleaned**2).sum(axis=0), (raw**2).sum(axis=0)
        real = left > RESIDUAL_TOLERANCE * size
        scaled = cleaned[:, real] * np.sqrt(len(cleaned) / left[real])
        values[np.ix_(wanted[real], np.flatnonzero(design.keep))] = scaled.T
        sd, level = np.full(means.shape[1], np.nan), means.mean(axis=0) + subtracted
        sd[wanted[real]] = np.sqrt(left[real] / len(cleaned))
        percent = np.divide(100 * sd, level, out=np.full(sd.shape, np.nan), where=level > sd)
        return cls(
            *(values, design.keep, design.tr_seconds, np.asarray(coverage)),
            residual_dof=design.residual_dof(),
            percent=percent,
        )

    @property
    def present(self) -> NDArray[np.bool_]:
        """(parcels,), which have a series."""
        return np.asarray(np.isfinite(self.values[:, self.keep]).all(axis=1), bool)

    def correlation(self) -> Float:
        """Return Pearson r (parcels, parcels) over the kept frames.

        Rows and columns of parcels without a series are NaN; the diagonal is 1 elsewhere.

        Examples
        --------
        >>> values = np.array([[-1.0, 1, -1, 1], [1, -1, 1, -1]], np.float32)
        >>> keep = np.ones(4, bool)
        >>> ParcelSeries(values, keep, 2.0, np.ones(2), 3.0).correlation().tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
        """
        present = np.flatnonzero(self.present)
        series = self.values[np.ix_(present, np.flatnonzero(self.keep))].astype(np.float64)
        series /= np.linalg.norm(series, axis=1, keepdims=True)  # float32 has rounded them
        found = np.full((len(self.values),) * 2, np.nan)
        found[np.ix_(present, present)] = np.clip(series @ series.T, -1.0, 1.0)
        found[present, present] = 1.0
        return found

    def filled(self) -> tuple[NDArray[np.float32], float]:
        """Fill the gaps between the first and the last kept frame, for a model of whole series.

        Returns
        -------
        series
            (parcels, frames from the first to the last that is kept): frames that are not kept
            are interpolated linearly, then each parcel is standardised again. NaN for parcels
            without a series.
        share
            Of these frames that were filled, 0 to 1.

        Examples
        --------
        >>> values = np.array([[np.nan, -1, np.nan, 1, np.nan]], np.float32)
        >>> keep = np.array([False, True, False, True, False])
        >>> series, share = ParcelSeries(values, keep, 2.0, np.ones(1), 1.0).filled()
        >>> [[round(float(x), 2) for x in row] for row in series], round(share, 2)
        ([[-1.22, 0.0, 1.22]], 0.33)
        """
        kept = np.flatnonzero(self.keep)
        frames = np.arange(kept[0], kept[-1] + 1)
        filled = np.full((len(self.values), len(frames)), np.nan)
        for parcel in np.flatnonzero(self.present):
            course = np.interp(frames, kept, self.values[parcel, kept].astype(np.float64))
            filled[parcel] = (course - course.mean()) / course.std()
        return filled.astype(np.float32), 1.0 - len(kept) / len(frames)


def parcel_sums(
    open_blocks: Callable[[], Blocks],
    design: TemporalDesign,
    parcel: NDArray[np.intp],
    sizes: NDArray[np.int64],
    valid: NDArray[np.bool_],
    *,
    smoothing: MakeSmoothing | None = None,
    leave: bool = True,
) -> ParcelSums:
    """Add up one run over parcels in one pass, as `add_up` does.

    A voxel with NaN or infinity in a kept frame, or one that leaves the field of view, is left out
    of all frames; where that shows after the first block, the pass is repeated once without it.

    Parameters
    ----------
    open_blocks
        Starts reading the run: yields (first frame, (frames, voxels) block), all frames in order.
        Blocks are changed.
    design, parcel, sizes, valid
        As for `ParcelSums`.
    smoothing
        Makes the operator that smooths each frame before it is added. Voxels that are 0 in the
        whole first block have no data then: zeros would be drawn in.
    leave
        Whether blocks are searched for voxels that leave the field of view.

    Raises
    ------
    ValueError
        No frame is kept, or frames are missing or hold values that cannot be summed.
    """

    def start(subtracted: NDArray[np.floating], usable: NDArray[np.bool_]) -> ParcelSums:
        of_frames = None if smoothing is None else subtracted
        return ParcelSums(design, parcel, sizes, usable, subtracted=of_frames)

    # A voxel is a large share of its parcel: a single one that leaves is left out.
    return add_up(open_blocks, design, start, valid, smoothing=smoothing, leave=leave)[0]
