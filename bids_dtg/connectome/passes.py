"""One pass over the blocks of a run: which voxels have data, smoothing, what is not finite."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.design import TemporalDesign

Block = NDArray[np.floating]
Blocks = Generator[tuple[int, Block], None, None]


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


@dataclass(frozen=True, eq=False)
class BlockPass(Generic[S]):
    """How a run is read and added up.

    A voxel with NaN or infinity in a kept frame becomes invalid. If that happens after the first
    block, its earlier values are in the sums: the pass is then repeated once without it.
    """

    open_blocks: Callable[[], Blocks]  # starts reading: (first frame, block), all frames in order
    design: TemporalDesign  # frames kept
    # Begins the sums with the volume (voxels,) that is subtracted, or has been where there is
    # smoothing, and which voxels are valid.
    start: Callable[[NDArray[np.floating], NDArray[np.bool_]], S]
    smoothing: MakeSmoothing | None = None  # makes what smooths each frame

    def sums(self, valid: NDArray[np.bool_]) -> S:
        """Add up all kept frames.

        Parameters
        ----------
        valid
            (voxels,) that may have data.

        Raises
        ------
        ValueError
            No frame is kept, or frames are missing or hold values that cannot be summed.
        """
        finite = np.ones(len(valid), dtype=bool)
        found = self._run(valid, finite)
        if not finite.all() and not found.seen.all():
            found = self._run(valid & finite, finite)
        if not found.seen.all():
            raise ValueError(
                "the frames hold values beyond the range of float32, or are not all there"
            )
        return found

    def _run(self, valid: NDArray[np.bool_], finite: NDArray[np.bool_]) -> S:
        """Read all blocks; from the first late invalid voxel on, only look for more (`finite`)."""
        sums: S | None = None
        smooth: _CentredSmoothing | None = None
        adding = True
        with closing(self.open_blocks()) as blocks:
            for first, block in blocks:
                keep = self.design.keep[first : first + len(block)]
                if sums is None and keep.any():
                    sums, smooth = self._begin(block, keep, valid)
                if sums is None:
                    continue
                if adding:
                    try:
                        if smooth is not None:
                            smooth.apply(block, keep)
                        sums.add(block, first)
                    except InvalidVoxelsError:
                        adding = False
                if not adding:
                    finite &= np.isfinite(block[keep]).all(axis=0)
        if sums is None:
            raise ValueError("no frame is kept")
        return sums

    def _begin(
        self, block: Block, keep: NDArray[np.bool_], valid: NDArray[np.bool_]
    ) -> tuple[S, _CentredSmoothing | None]:
        """Subtract the mean of the first block's kept frames, and see which voxels have data."""
        with np.errstate(invalid="ignore"):  # infinities of both signs make NaN
            kept = block if keep.all() else block[keep]
            mean = kept.mean(axis=0, dtype=np.float64).astype(block.dtype)
        usable = valid & np.isfinite(mean)
        if self.smoothing is None:
            return self.start(mean, usable), None
        usable &= (np.isfinite(block) & (block != 0)).any(axis=0)
        mean = np.where(usable, mean, 0).astype(np.float32)
        smooth = _CentredSmoothing(self.smoothing(usable), np.flatnonzero(~usable), mean)
        subtracted = mean.copy()
        smooth.operator.apply(subtracted)
        return self.start(subtracted, usable), smooth


@dataclass(frozen=True, eq=False)
class _CentredSmoothing:
    """Smoothing of what frames have beside their mean, of which little is lost by rounding."""

    operator: Smoothing  # among the voxels with data
    absent: NDArray[np.intp]  # positions of the other voxels
    mean: NDArray[np.float32]  # (voxels,), 0 at the others

    def apply(self, block: Block, keep: NDArray[np.bool_]) -> None:
        """Take the mean off kept frames and smooth them in place, up to one that is not finite.

        Raises
        ------
        InvalidVoxelsError
            There is one; it and the later frames are as they were, but for voxels without data.
        """
        for position in np.flatnonzero(keep):
            frame = block[position]
            frame[self.absent] = 0
            if not np.isfinite(frame.sum(dtype=np.float64)):
                raise InvalidVoxelsError("values at valid voxels are not finite")
            frame -= self.mean
            self.operator.apply(frame)
