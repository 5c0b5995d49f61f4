"""One pass over the blocks of a run: which voxels have data, smoothing, what is not finite."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.design import TemporalDesign

Block = NDArray[np.floating]
Blocks = Generator[tuple[int, Block], None, None]
# From the voxels with data, (voxels,), to what smooths a frame (voxels,) among them, in place.
MakeSmoothing = Callable[[NDArray[np.bool_]], Callable[[NDArray[np.float32]], None]]
# A mean above this share of the median voxel's is a signal, and not the noise around a head.
_SIGNAL = 0.05
OUTSIDE = 0.001  # share of voxels: where as many leave the field of view, ROI series lack them
_SAMPLED = 256  # voxels by which it is seen whether a run has a mean
MOST_COLUMNS = 600  # of a carpet: a page shows no more


class Sums(Protocol):
    """What a pass adds frames to."""

    def add(self, frames: Block, first: int) -> None:
        """Add consecutive kept frames, (frames, voxels), minus the volume that was subtracted.

        `first` is the place of the first one among the kept frames. Voxels without data are 0. The
        memory may be changed.
        """


S = TypeVar("S", bound=Sums)


class PartlyZero:
    """Finds voxels that are 0 in some kept frames and have a signal in others.

    A head that moves takes voxels out of the field of view, and programs fill frames with 0 there.
    In a series without a mean, 0 is a value like others: none is found there.

    Parameters
    ----------
    valid
        (voxels,) that may have data: the brain.

    Examples
    --------
    >>> zeros = PartlyZero(np.ones(3, bool))
    >>> zeros.add(np.array([[900.0, 0, 800], [901, 0, 0], [902, 3, 802]]))
    >>> zeros.found.tolist()  # the second has too low a mean
    [False, False, True]
    """

    def __init__(self, valid: NDArray[np.bool_]) -> None:
        self._valid, self._frames = valid, 0
        self._sum, self._zeros = np.zeros(len(valid)), np.zeros(len(valid), np.int32)
        self._some = np.flatnonzero(valid)[:: max(1, np.count_nonzero(valid) // _SAMPLED)]
        self._moments = np.zeros((2, len(self._some)))  # sums of values, and of squares

    def add(self, frames: NDArray[Any]) -> None:
        """Add kept frames (frames, voxels), of any type of numbers."""
        self._frames += len(frames)
        for frame in frames:
            self._zeros += frame == 0
        with np.errstate(over="ignore", invalid="ignore"):
            ones = np.ones(len(frames), np.result_type(frames, np.float32))
            self._sum += ones @ frames.astype(ones.dtype, copy=False)
            some = frames[:, self._some].astype(np.float64)
            self._moments += some.sum(axis=0), (some**2).sum(axis=0)

    @property
    def found(self) -> NDArray[np.bool_]:
        """(voxels,), that left the field of view."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean, square = self._moments / self._frames
            spread = np.sqrt(np.maximum(square - mean**2, 0))
            known = np.isfinite(spread) & (square > 0)
            level = self._sum / self._frames
            partly = self._valid & (self._zeros > 0) & (self._zeros < self._frames)
            if not partly.any() or _median(np.abs(mean[known])) <= _median(spread[known]):
                return np.zeros(len(partly), bool)
            with_data = self._valid & (self._zeros < self._frames) & np.isfinite(level)
            return np.asarray(partly & (level > _SIGNAL * _median(level[with_data])))


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else 0.0


def add_up(
    open_blocks: Callable[[], Blocks],
    design: TemporalDesign,
    start: Callable[[Block, NDArray[np.bool_]], S],
    valid: NDArray[np.bool_],
    *,
    smoothing: MakeSmoothing | None = None,
    outside: NDArray[np.bool_] | None = None,
    few: float = 0.0,
) -> tuple[S, NDArray[np.bool_]]:
    """Add up all kept frames of a run, a second time where voxels turn out to have no data.

    A voxel with NaN or infinity in a kept frame becomes invalid. If that happens after the first
    block, its earlier values are in the sums: the run is read once more without it.

    Parameters
    ----------
    open_blocks
        Starts reading: yields (first frame, block), all frames in order. Blocks are changed.
    design
        Which frames are kept.
    start
        Begins the sums with the volume (voxels,) that is subtracted from the frames, and which
        voxels are valid; the volume is 0 at others.
    valid
        (voxels,) that may have data.
    smoothing
        Makes what smooths each frame. Voxels that are 0 in all of the first block have no data
        then: zeros would be drawn in.
    outside
        (voxels,), that leave the field of view; set once all blocks have been read. None: they are
        searched for in the blocks.
    few
        Share of the voxels below which those that leave it stay in the sums.

    Returns
    -------
    The sums, and which voxels (voxels,) left the field of view.

    Raises
    ------
    ValueError
        No frame is kept, or frames are missing or hold values that cannot be summed.
    """
    for _ in range(2):
        zeros = PartlyZero(valid)
        searched = zeros if outside is None else None
        sums, finite, whole = _once(open_blocks, design, start, valid, smoothing, searched)
        lost = zeros.found if outside is None else outside & valid
        usable = valid & finite
        if np.count_nonzero(lost) >= few * np.count_nonzero(valid):
            usable &= ~lost
        if np.array_equal(usable, valid):
            break
        valid = usable
    if not whole:
        raise ValueError("the frames hold values beyond the range of float32, or are not all there")
    return sums, lost


def _once(
    open_blocks: Callable[[], Blocks],
    design: TemporalDesign,
    start: Callable[[Block, NDArray[np.bool_]], S],
    valid: NDArray[np.bool_],
    smoothing: MakeSmoothing | None,
    zeros: PartlyZero | None,
) -> tuple[S, NDArray[np.bool_], bool]:
    """Read the run once: the sums, which voxels are finite, and whether all frames were added.

    From the first block with values that are not finite on, these are only looked for.
    """
    sums: S | None = None
    finite = np.ones(len(valid), bool)
    smooth: Callable[[NDArray[np.float32]], None] | None = None
    added, adding = 0, True
    with closing(open_blocks()) as blocks:
        for first, block in blocks:
            keep = design.keep[first : first + len(block)]
            kept = block if keep.all() else block[keep]
            if not len(kept):
                continue
            if zeros is not None:
                zeros.add(kept)
            if sums is None:
                with np.errstate(invalid="ignore"):  # infinities of both signs make NaN
                    mean = kept.mean(axis=0, dtype=np.float64).astype(kept.dtype)
                usable = valid & np.isfinite(mean)
                if smoothing is not None:
                    usable &= (kept != 0).any(axis=0)
                absent = np.flatnonzero(~usable)
                mean[absent] = 0
                subtracted = mean.copy()
                if smoothing is not None:
                    smooth = smoothing(usable)
                    smooth(subtracted)
                sums = start(subtracted, usable)
            kept[:, absent] = 0
            with np.errstate(over="ignore", invalid="ignore"):
                kept -= mean  # little cancels later, and smoothing rounds less
                adding = adding and bool(np.isfinite(kept.sum()))
            if not adding:
                finite &= np.isfinite(kept).all(axis=0)
                continue
            if smooth is not None:
                for frame in kept:
                    smooth(frame)
            sums.add(kept, added)
            added += len(kept)
    if sums is None:
        raise ValueError("no frame is kept")
    return sums, finite, added == design.frames_kept


class Carpet:
    """Series of a few voxels over the frames of a run, before cleaning and after it.

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

    def __init__(self, voxels: NDArray[np.intp], frames: int) -> None:
        self.each = max(1, -(-frames // MOST_COLUMNS))  # frames of a column
        self._voxels = voxels
        self._values = np.zeros((frames, len(voxels)), np.float32)

    def watching(self, blocks: Blocks) -> Blocks:
        """Yield blocks as they are, and take what is wanted of each; a second pass begins anew."""
        with closing(blocks):
            for first, block in blocks:
                self._values[first : first + len(block)] = block[:, self._voxels]
                yield first, block

    def standardised(
        self, design: TemporalDesign, *, cleaned: bool = False
    ) -> NDArray[np.floating]:
        """Return series, in standard deviations of kept frames.

        Parameters
        ----------
        design
            Which frames are kept, and what cleaning takes away.
        cleaned
            Whether series are cleaned, over the frames that are kept; else they are minus their
            linear trend.

        Returns
        -------
        (rows, columns), one column per frame, or the mean of a few in a row of a long run; NaN in
        rows without signal, and in columns without a frame of the cleaned.
        """
        keep = design.keep
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            values = self._values.astype(np.float64)
            values[:, ~np.isfinite(values).all(axis=0)] = np.nan
            scale = np.abs(values).max(axis=0)
            if cleaned:
                values[keep], values[~keep] = design.clean(values[keep]), 0.0
            else:
                trend = np.vander(np.linspace(-1, 1, len(values)), 2)
                values -= trend @ (np.linalg.pinv(trend[keep]) @ values[keep])
            starts = np.arange(0, len(values), self.each)
            kept = np.add.reduceat(keep.astype(float), starts)
            frames = np.diff(starts, append=len(values))
            values = np.add.reduceat(values, starts) / (kept if cleaned else frames)[:, None]
            spread = values[kept == kept.max()].std(axis=0)
            return (values / np.where(spread > 1e-6 * scale, spread, np.nan)).T
