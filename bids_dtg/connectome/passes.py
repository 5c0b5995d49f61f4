"""One pass over the blocks of a run: finding voxels with data, and smoothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Protocol, TypeVar

import numpy as np

from bids_dtg.array_types import Float32, Float64, Floats, Indices, Mask, Values
from bids_dtg.connectome.design import TemporalDesign

Block = Floats  # (frames, voxels)
Blocks = Generator[tuple[int, Block], None, None]
# Takes which voxels (voxels,) have data, and returns a function that smooths frames in place.
MakeSmoothing = Callable[[Mask], Callable[[Float32], None]]
# A mean above this fraction of the median voxel's is signal, not noise outside the head.
_SIGNAL = 0.05
OUTSIDE = 0.001  # fraction of voxels; if as many leave the field of view, ROI series exclude them
_SAMPLED = 256  # number of voxels by which it is decided whether a run has a mean
MOST_COLUMNS = 600  # of a carpet plot, as a page cannot show more


class Sums(Protocol):
    """Sums to which a pass adds frames."""

    def add(self, frames: Block, first: int) -> None:
        """Add consecutive kept frames, (frames, voxels), from which a volume was subtracted.

        `first` is the position of the first one among the kept frames. Voxels without data are 0.
        The array may be changed in place.
        """


S = TypeVar("S", bound=Sums)


class PartlyZero:
    """Finds voxels that are 0 in some kept frames and have signal in others.

    Head motion takes voxels out of the field of view, where programs fill frames with 0. In a
    series whose mean was subtracted, 0 is an ordinary value, so no voxels are found there.

    Parameters
    ----------
    valid
        (voxels,), whether they may have data: the brain.

    Examples
    --------
    >>> zeros = PartlyZero(np.ones(3, bool))
    >>> zeros.add(np.array([[900.0, 0, 800], [901, 0, 0], [902, 3, 802]]))
    >>> zeros.left_view.tolist()  # the second has too low a mean
    [False, False, True]
    """

    def __init__(self, valid: Mask) -> None:
        self._valid = valid
        self._frames = 0
        self._sum = np.zeros(len(valid))
        self._zeros = np.zeros(len(valid), np.int32)  # (voxels,), number of frames
        step = max(1, np.count_nonzero(valid) // _SAMPLED)
        self._sample = np.flatnonzero(valid)[::step]
        # Sums of values, and of squares.
        self._moments = np.zeros((2, len(self._sample)))

    def add(self, frames: Values) -> None:
        """Add kept frames (frames, voxels) of any numeric type."""
        self._frames += len(frames)
        for frame in frames:
            self._zeros += frame == 0
        with np.errstate(over="ignore", invalid="ignore"):
            ones = np.ones(len(frames), np.result_type(frames, np.float32))
            self._sum += ones @ frames.astype(ones.dtype, copy=False)
            sampled = frames[:, self._sample].astype(np.float64)
            self._moments += sampled.sum(axis=0), (sampled**2).sum(axis=0)

    @property
    def always(self) -> Mask:
        """(voxels,), whether they were 0 in all frames."""
        return np.asarray(self._zeros == self._frames)

    @property
    def left_view(self) -> Mask:
        """(voxels,), whether they left the field of view."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean, square = self._moments / self._frames
            sd = np.sqrt(np.maximum(square - mean**2, 0))
            defined = np.isfinite(sd) & (square > 0)
            has_mean = _median(np.abs(mean[defined])) > _median(sd[defined])
            sometimes = self._valid & (self._zeros < self._frames)
            partly = sometimes & (self._zeros > 0)
            if not partly.any() or not has_mean:
                return np.zeros(len(partly), bool)
            level = self._sum / self._frames
            usual_level = _median(level[sometimes & np.isfinite(level)])
            return np.asarray(partly & (level > _SIGNAL * usual_level))


def _median(values: Float64) -> float:
    return float(np.median(values)) if len(values) else 0.0


def add_up(
    open_blocks: Callable[[], Blocks],
    design: TemporalDesign,
    start: Callable[[Block, Mask], S],
    valid: Mask,
    *,
    smoothing: MakeSmoothing | None = None,
    outside: Mask | None = None,
    few: float = 0.0,
) -> tuple[S, Mask]:
    """Add up all kept frames of a run; read it again if voxels turn out to have no data.

    A voxel with NaN or infinity in a kept frame becomes invalid. If that happens after the first
    block, the sums contain its earlier values, so the run is read once more without it.

    Parameters
    ----------
    open_blocks
        Starts reading; yields (first frame, block), with all frames in order. Blocks are changed
        in place.
    design
        Which frames are kept.
    start
        Creates the sums from the volume (voxels,) that is subtracted from the frames, which is 0
        at invalid voxels, and from which voxels are valid.
    valid
        (voxels,), whether they may have data.
    smoothing
        Makes the function that smooths each frame. Voxels that are 0 throughout the first block
        then count as having no data, as smoothing would spread their zeros.
    outside
        (voxels,), whether they leave the field of view; filled in once all blocks have been read.
        None to search for them in the blocks.
    few
        If a smaller fraction of voxels leaves the field of view, they stay in the sums.

    Returns
    -------
    The sums, and which voxels (voxels,) left the field of view.

    Raises
    ------
    ValueError
        Frames are missing, or values cannot be summed.
    """
    for _ in range(2):
        zeros = PartlyZero(valid)
        search = zeros if outside is None else None
        sums, finite, complete = _once(
            open_blocks, design, start, valid, smoothing, search
        )
        lost = zeros.left_view if outside is None else outside & valid
        usable = valid & finite
        if np.count_nonzero(lost) >= few * np.count_nonzero(valid):
            usable &= ~lost
        if np.array_equal(usable, valid):
            break
        valid = usable
    if sums is None or not complete:
        raise ValueError(
            "the frames hold values whose squares are beyond the range of float32, or are not all "
            "there"
        )
    return sums, lost


def _once(
    open_blocks: Callable[[], Blocks],
    design: TemporalDesign,
    start: Callable[[Block, Mask], S],
    valid: Mask,
    smoothing: MakeSmoothing | None,
    zeros: PartlyZero | None,
) -> tuple[S | None, Mask, bool]:
    """Read the run once; return the sums, which voxels are finite, and whether sums are complete.

    After a first block with values that are not finite, the rest is only searched for more.
    """
    sums: S | None = None
    finite = np.ones(len(valid), bool)
    smooth: Callable[[Float32], None] | None = None
    added = 0  # frames in the sums
    adding = True
    with closing(open_blocks()) as blocks:
        for first, block in blocks:
            keep = design.keep[first : first + len(block)]
            frames = block if keep.all() else block[keep]
            if not len(frames):
                continue
            if zeros is not None:
                zeros.add(frames)
            if sums is None:
                with np.errstate(invalid="ignore"):  # infinities of both signs give NaN
                    mean = frames.mean(axis=0, dtype=np.float64).astype(frames.dtype)
                usable = valid & np.isfinite(mean)
                if smoothing is not None:
                    usable &= (frames != 0).any(axis=0)
                absent = np.flatnonzero(~usable)
                mean[absent] = 0
                subtracted = mean.copy()
                if smoothing is not None:
                    smooth = smoothing(usable)
                    smooth(subtracted)
                sums = start(subtracted, usable)
            frames[:, absent] = 0
            with np.errstate(over="ignore", invalid="ignore"):
                frames -= mean  # for numerical precision of sums and smoothing
                # A sum of squares, as sums of products are what the pass adds up.
                adding = adding and bool(np.isfinite(np.vdot(frames, frames)))
            if not adding:
                finite &= np.isfinite(frames).all(axis=0)
                continue
            if smooth is not None:
                for frame in frames:
                    smooth(frame)
            sums.add(frames, added)
            added += len(frames)
    return sums, finite, added == design.frames_kept


class Carpet:
    """Carpet plot: time series of a few voxels of a run, before and after cleaning.

    Parameters
    ----------
    voxels
        (rows,), positions of the voxels in the blocks.
    frames
        Number of frames of the run.

    Examples
    --------
    >>> carpet = Carpet(np.array([0, 2]), frames=4)
    >>> block = np.array([[1.0, 5, 9], [2, 5, 9], [1, 5, 9], [2, 5, 9]])
    >>> len(list(carpet.watching((0, block) for _ in range(1))))
    1
    >>> design = TemporalDesign.build(None, (), np.ones(4, bool), tr_seconds=2.0)
    >>> np.allclose(carpet.standardised(design)[0], [-0.4, 1.3, -1.3, 0.4], atol=0.1)
    True
    >>> carpet.standardised(design, cleaned=True)[0].tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """

    def __init__(self, voxels: Indices, frames: int) -> None:
        self.frames_per_column = max(1, math.ceil(frames / MOST_COLUMNS))
        self._voxels = voxels
        self._values = np.zeros((frames, len(voxels)), np.float32)

    def watching(self, blocks: Blocks) -> Blocks:
        """Yield blocks unchanged, and copy the voxels from each; a second pass overwrites them."""
        with closing(blocks):
            for first, block in blocks:
                self._values[first : first + len(block)] = block[:, self._voxels]
                yield first, block

    def standardised(self, design: TemporalDesign, *, cleaned: bool = False) -> Floats:
        """Return the series, in units of their standard deviation over kept frames.

        Parameters
        ----------
        design
            Which frames are kept, and what cleaning removes.
        cleaned
            Whether to return cleaned series over the kept frames; otherwise, only the linear trend
            is removed.

        Returns
        -------
        (rows, columns), with one column per frame or, in a long run, per few consecutive frames,
        which are averaged. NaN in rows without signal and, if cleaned, in columns without a kept
        frame.
        """
        keep = design.keep
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            values = self._values.astype(np.float64)
            values[:, ~np.isfinite(values).all(axis=0)] = np.nan
            scale = np.abs(values).max(axis=0)
            if cleaned:
                values[keep] = design.clean(values[keep])
                values[~keep] = 0.0
            else:
                trend = np.vander(np.linspace(-1, 1, len(values)), 2)
                values -= trend @ (np.linalg.pinv(trend[keep]) @ values[keep])
            # Means over the frames of each column of the plot.
            starts = np.arange(0, len(values), self.frames_per_column)
            frames_kept = np.add.reduceat(keep.astype(float), starts)
            frames = np.diff(starts, append=len(values))
            sums = np.add.reduceat(values, starts)
            means = sums / (frames_kept if cleaned else frames)[:, None]
            sd = means[frames_kept == frames_kept.max()].std(axis=0)
            has_signal = sd > 1e-6 * scale
            return (means / np.where(has_signal, sd, np.nan)).T
