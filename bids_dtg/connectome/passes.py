"""One pass over the blocks of a run: which voxels have data, smoothing, what is not finite."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.design import TemporalDesign

Block = NDArray[np.floating]
# Its value at the end: (voxels,), that leave the field of view, where the voxels of the file say
# so; None: blocks alone do.
Blocks = Generator[tuple[int, Block], None, Any]
# A mean above this share of the median voxel's is a signal, and not the noise around a head.
_SIGNAL = 0.05
# Share of voxels that are 0 together in a frame, as beyond the field of view. Where as many leave
# it in a run, ROI series are made without them.
OUTSIDE = 0.001
_CHANCE_SD = 5  # by which numbers of voxels that are 0 by chance do not differ
_SAMPLED = 256  # voxels by which it is seen whether a run has a mean


class Reading:
    """The blocks of a run to go through, and what their value was at the end."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self.value: Any = None

    def __iter__(self) -> Iterator[tuple[int, Block]]:
        self.value = yield from self._blocks


class InvalidVoxelsError(ValueError):
    """A frame holds NaN or infinite values at voxels that were taken as valid."""


class Smoothing(Protocol):
    """A linear operator on the voxels of a frame."""

    def apply(self, frame: NDArray[np.float32]) -> None:
        """Smooth (voxels,) in place."""


# From the voxels with data, (voxels,), to what smooths among them.
MakeSmoothing = Callable[[NDArray[np.bool_]], Smoothing]


class Sums(Protocol):
    """What a pass adds frames to."""

    seen: NDArray[np.bool_]  # (frames kept,), which were added

    def add(self, block: Block, first_frame: int) -> None:
        """Add consecutive frames, (frames, voxels), whose memory may be changed.

        Raises
        ------
        InvalidVoxelsError
            Valid voxels are not finite in a kept frame; the sums are as before the call.
        """


S = TypeVar("S", bound=Sums)


class PartlyZero:
    """Finds voxels that are 0 in some kept frames and have a signal in others.

    A head that moves takes voxels out of the field of view, and programs fill frames with 0 there.

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
        self._valid, self._number = valid, int(np.count_nonzero(valid))
        self._sum = np.zeros(len(valid))
        # (voxels,): in how many frames it is 0, and how many voxels are in one of these at most.
        self._times, self._most = np.zeros((2, len(valid)), np.int32)
        self._counts: list[int] = []  # (frames,), voxels that are 0
        self._some = np.flatnonzero(valid)[:: max(1, self._number // _SAMPLED)]
        self._moments = np.zeros((2, len(self._some)))  # sums of values, and of squares

    def add(self, frames: NDArray[Any]) -> None:
        """Add kept frames (frames, voxels), of any type of numbers."""
        is_zero = np.empty(len(self._valid), bool)
        for frame in frames:
            np.equal(frame, 0, out=is_zero)
            is_zero &= self._valid
            number = int(np.count_nonzero(is_zero))
            self._counts.append(number)
            if number:
                these = np.flatnonzero(is_zero)
                self._times[these] += 1
                self._most[these] = np.maximum(self._most[these], number)
        with np.errstate(over="ignore", invalid="ignore"):
            ones = np.ones(len(frames), np.result_type(frames, np.float32))
            self._sum += ones @ frames.astype(ones.dtype, copy=False)
            some = frames[:, self._some].astype(np.float64)
            self._moments += some.sum(axis=0), (some**2).sum(axis=0)

    @property
    def found(self) -> NDArray[np.bool_]:
        """(voxels,), that left the field of view."""
        frames = len(self._counts)
        always = self._times == frames  # none of those that are not valid
        partly = (self._times > 0) & ~always
        if not partly.any():
            return np.asarray(partly)
        if not self._have_mean:
            return np.asarray(partly & self._together(int(np.count_nonzero(always))))
        mean = self._sum / frames
        with_data = self._valid & ~always & np.isfinite(mean)
        with np.errstate(invalid="ignore"):
            return np.asarray(partly & (mean > _SIGNAL * _median(mean[with_data])))

    def _together(self, always: int) -> NDArray[np.bool_]:
        """Return the voxels (voxels,) that are 0 with many others, and more than by chance.

        Whole numbers about a mean of 0 are 0 by chance in each frame, about as many in one as in
        another. What is 0 in most frames is so in no frame by chance.
        """
        usual = float(np.median(self._counts)) - always
        more = self._most - always
        by_chance = 2 * usual + _CHANCE_SD * np.sqrt(usual)
        unusual = (more >= by_chance) | (2 * self._times > len(self._counts))
        return np.asarray((more >= OUTSIDE * self._number) & unusual)

    @property
    def _have_mean(self) -> bool:
        """Whether means of voxels are larger than what varies about them."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean, square = self._moments / len(self._counts)
            spread = np.sqrt(np.maximum(square - mean**2, 0))
        known = np.isfinite(spread) & (square > 0)
        return _median(np.abs(mean[known])) > _median(spread[known])


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else 0.0


def add_up(
    open_blocks: Callable[[], Blocks],
    design: TemporalDesign,
    start: Callable[[NDArray[np.floating], NDArray[np.bool_]], S],
    valid: NDArray[np.bool_],
    *,
    smoothing: MakeSmoothing | None = None,
    leave: bool = False,
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
        Begins the sums with the volume (voxels,) that is subtracted, or has been where there is
        smoothing, and which voxels are valid.
    valid
        (voxels,) that may have data.
    smoothing
        Makes what smooths each frame.
    leave
        Whether blocks are searched for voxels that leave the field of view.
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
    given = open_blocks, design, start
    sums, finite, lost = _once(*given, valid, smoothing, leave=leave)
    usable = valid & finite
    if np.count_nonzero(lost) >= few * np.count_nonzero(valid):
        usable &= ~lost
    if not np.array_equal(usable, valid):
        sums, _, lost = _once(*given, usable, smoothing, leave=leave)
    if not sums.seen.all():
        raise ValueError("the frames hold values beyond the range of float32, or are not all there")
    return sums, lost


def _once(
    open_blocks: Callable[[], Blocks],
    design: TemporalDesign,
    start: Callable[[NDArray[np.floating], NDArray[np.bool_]], S],
    valid: NDArray[np.bool_],
    smoothing: MakeSmoothing | None,
    *,
    leave: bool,
) -> tuple[S, NDArray[np.bool_], NDArray[np.bool_]]:
    """Read the run once: the sums, which voxels are finite, and which left the field of view.

    From the first late invalid voxel on, it is only looked for more.
    """
    sums: S | None = None
    smooth: Callable[[Block, NDArray[np.bool_]], None] | None = None
    finite, adding = np.ones(len(valid), dtype=bool), True
    zeros = PartlyZero(valid) if leave else None
    with closing(open_blocks()) as blocks:
        reading = Reading(blocks)
        for first, block in reading:
            keep = design.keep[first : first + len(block)]
            if sums is None and keep.any():
                # The mean of the first block's kept frames is subtracted.
                with np.errstate(invalid="ignore"):  # infinities of both signs make NaN
                    kept = block if keep.all() else block[keep]
                    mean = kept.mean(axis=0, dtype=np.float64).astype(block.dtype)
                usable = valid & np.isfinite(mean)
                if smoothing is not None:
                    usable &= (np.isfinite(block) & (block != 0)).any(axis=0)
                    mean, smooth = _centred(smoothing(usable), usable, mean)
                sums = start(mean, usable)
            if sums is None:
                continue
            if zeros is not None:
                zeros.add(block if keep.all() else block[keep])
            if adding:
                try:
                    if smooth is not None:
                        smooth(block, keep)
                    sums.add(block, first)
                except InvalidVoxelsError:
                    adding = False
            if not adding:
                finite &= np.isfinite(block[keep]).all(axis=0)
    if sums is None:
        raise ValueError("no frame is kept")
    lost = np.zeros(len(valid), dtype=bool) if zeros is None else zeros.found
    if reading.value is not None:
        lost |= reading.value & valid
    return sums, finite, lost


def _centred(
    operator: Smoothing, usable: NDArray[np.bool_], mean: Block
) -> tuple[Block, Callable[[Block, NDArray[np.bool_]], None]]:
    """Return the smoothed mean, and what smooths what frames have beside it: rounding is less.

    It takes the mean off kept frames and smooths them in place, up to one that is not finite: that
    raises `InvalidVoxelsError`; it and the later frames are as they were, but for voxels without
    data.
    """
    absent, mean = np.flatnonzero(~usable), np.where(usable, mean, 0).astype(np.float32)

    def smooth(block: Block, keep: NDArray[np.bool_]) -> None:
        for position in np.flatnonzero(keep):
            frame = block[position]
            frame[absent] = 0
            if not np.isfinite(frame.sum(dtype=np.float64)):
                raise InvalidVoxelsError("values at valid voxels are not finite")
            frame -= mean
            operator.apply(frame)

    subtracted = mean.copy()
    operator.apply(subtracted)
    return subtracted, smooth
