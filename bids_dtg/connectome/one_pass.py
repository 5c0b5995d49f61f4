"""A run's blocks, read once, to its moments."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.design import SECONDS_PER_SEGMENT, TemporalDesign
from bids_dtg.connectome.device import Arrays, NumpyArrays
from bids_dtg.connectome.moments import Block, InvalidVoxelsError, RunMoments

Blocks = Generator[tuple[int, Block], None, None]


class Smoothing(Protocol):
    """A linear operator on the voxels of a frame."""

    def apply(self, frame: NDArray[np.float32]) -> None:
        """Smooth (voxels,) in place."""


# From the voxels with data, (voxels,), to what smooths among them.
MakeSmoothing = Callable[[NDArray[np.bool_]], Smoothing]


def measure_run(
    open_blocks: Callable[[], Blocks],
    design: TemporalDesign,
    maps: NDArray[np.floating],
    grey_voxels: int,
    valid: NDArray[np.bool_],
    *,
    seconds_per_segment: float = SECONDS_PER_SEGMENT,
    zeros_missing: bool = True,
    arrays: Arrays | None = None,
    smoothing: MakeSmoothing | None = None,
) -> RunMoments:
    """Add up one run in one pass.

    A voxel with NaN or infinity in a kept frame becomes invalid. If that happens after the first
    block, its earlier values are in the sums: the pass is then repeated once without it.

    Parameters
    ----------
    open_blocks
        Starts reading the run: yields (first frame, (frames, voxels) block), all frames in order.
        Blocks are changed.
    design, maps, grey_voxels, valid, zeros_missing
        As for `RunMoments`.
    seconds_per_segment
        Length that segments should have.
    arrays
        Where to compute; float32 NumPy by default.
    smoothing
        Makes the operator that smooths each frame before it is added. Voxels that are 0 in the
        whole first block have no data, and count as invalid then: zeros would be drawn in.
    """
    arrays = NumpyArrays() if arrays is None else arrays
    maps = np.asarray(maps)
    segments = design.segments(seconds_per_segment)

    def start(reference: NDArray[np.floating], usable: NDArray[np.bool_]) -> RunMoments:
        return RunMoments(
            design,
            maps,
            grey_voxels,
            usable,
            reference,
            segments,
            zeros_missing=zeros_missing,
            arrays=arrays,
            subtracted=smoothing is not None,
        )

    one_pass = _Pass(open_blocks, design, start, smoothing)
    finite = np.ones(maps.shape[1], dtype=bool)
    with arrays.computing():
        moments = one_pass.run(valid, finite)
        if not finite.all() and not moments.seen.all():
            moments = one_pass.run(valid & finite, finite)
    if not moments.seen.all():
        raise ValueError("the frames hold values beyond the range of float32, or are not all there")
    return moments


@dataclass(frozen=True, eq=False)
class _Pass:
    """How a run is read and added up."""

    open_blocks: Callable[[], Blocks]  # starts reading
    design: TemporalDesign  # frames kept
    start: Callable[[NDArray[np.floating], NDArray[np.bool_]], RunMoments]  # reference, voxels
    smoothing: MakeSmoothing | None  # makes what smooths each frame

    def run(self, valid: NDArray[np.bool_], finite: NDArray[np.bool_]) -> RunMoments:
        """Read all blocks; from the first late invalid voxel on, only look for more (`finite`)."""
        moments: RunMoments | None = None
        smooth: _CentredSmoothing | None = None
        adding = True
        with closing(self.open_blocks()) as blocks:
            for first, block in blocks:
                keep = self.design.keep[first : first + len(block)]
                if moments is None and keep.any():
                    moments, smooth = self._begin(block, keep, valid)
                if moments is None:
                    continue
                if adding:
                    try:
                        if smooth is not None:
                            smooth.apply(block, keep)
                        moments.add(block, first)
                    except InvalidVoxelsError:
                        adding = False
                if not adding:
                    finite &= np.isfinite(block[keep]).all(axis=0)
        if moments is None:
            raise ValueError("no frame is kept")
        return moments

    def _begin(
        self, block: Block, keep: NDArray[np.bool_], valid: NDArray[np.bool_]
    ) -> tuple[RunMoments, _CentredSmoothing | None]:
        """Take the mean of the first block's kept frames as reference, and see what has data."""
        with np.errstate(invalid="ignore"):  # infinities of both signs make NaN
            mean = block[keep].mean(axis=0, dtype=np.float64).astype(block.dtype)
        usable = valid & np.isfinite(mean)
        if self.smoothing is None:
            return self.start(mean, usable), None
        usable &= (np.isfinite(block) & (block != 0)).any(axis=0)
        mean = np.where(usable, mean, 0).astype(np.float32)
        smooth = _CentredSmoothing(self.smoothing(usable), np.flatnonzero(~usable), mean)
        reference = mean.copy()
        smooth.operator.apply(reference)
        return self.start(reference, usable), smooth


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
