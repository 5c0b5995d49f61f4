"""A run's blocks, read once, to its moments."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.arrays import Arrays, NumpyArrays
from bids_dtg.connectome.design import SECONDS_PER_SEGMENT, TemporalDesign
from bids_dtg.connectome.moments import Block, InvalidVoxelsError, RunMoments

Blocks = Generator[tuple[int, Block], None, None]


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
        )

    finite = np.ones(maps.shape[1], dtype=bool)
    with arrays.computing():
        moments = _pass(open_blocks, design, valid, finite, start)
        if not finite.all() and not moments.seen.all():
            moments = _pass(open_blocks, design, valid & finite, finite, start)
    if not moments.seen.all():
        raise ValueError("the frames hold values beyond the range of float32, or are not all there")
    return moments


def _pass(
    open_blocks: Callable[[], Blocks],
    design: TemporalDesign,
    valid: NDArray[np.bool_],
    finite: NDArray[np.bool_],
    start: Callable[[NDArray[np.floating], NDArray[np.bool_]], RunMoments],
) -> RunMoments:
    """Read all blocks; from the first late invalid voxel on, only look for more (in `finite`)."""
    moments: RunMoments | None = None
    adding = True
    with closing(open_blocks()) as blocks:
        for first, block in blocks:
            keep = design.keep[first : first + len(block)]
            if moments is None and keep.any():
                with np.errstate(invalid="ignore"):  # infinities of both signs make NaN
                    reference = block[keep].mean(axis=0, dtype=np.float64).astype(block.dtype)
                moments = start(reference, valid & np.isfinite(reference))
            if moments is None:
                continue
            if adding:
                try:
                    moments.add(block, first)
                except InvalidVoxelsError:
                    adding = False
            if not adding:
                finite &= np.isfinite(block[keep]).all(axis=0)
    if moments is None:
        raise ValueError("no frame is kept")
    return moments
