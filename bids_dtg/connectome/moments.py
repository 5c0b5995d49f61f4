"""Sums over one pass of a run, from which every cleaned correlation follows.

ROI series are linear in a frame: series = P y, with y a frame's voxels, so that the products of
voxels with series are known once the products with the raw projections b = M y are (M the ROI
maps). Cleaning is linear in time. Hence the sums over frames of y [b, 1'y, Z] and y^2, with Z the
time courses of the cleaning, are all that a pass has to keep; they add up over blocks, pieces and
machines. Where Z spans what cleaning leaves, the sums of y Z are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.design import (
    Cleaning,
    Retention,
    Segments,
    TemporalDesign,
    choose_cleaning,
)
from bids_dtg.connectome.device import Arrays, NumpyArrays

Block = NDArray[np.floating]

# Voxels handled at a time: a block's share of them, and of the sums, stays in the cache.
_VOXELS = 4096


class InvalidVoxelsError(ValueError):
    """A frame holds NaN or infinite values at voxels that were taken as valid."""


@dataclass(frozen=True, eq=False)
class RunVoxels:
    """The voxels of a run that are summed over: grey-matter voxels first, then the other ones.

    Examples
    --------
    >>> maps = np.eye(2, 3)
    >>> voxels = RunVoxels(maps, 2, np.array([True, True, False]))
    >>> voxels.zeros_missing
    True
    """

    maps: NDArray[np.floating]  # (rois, voxels), spatial maps that make the ROI series
    grey_voxels: int  # number of leading voxels whose connectome is wanted
    valid: NDArray[np.bool_]  # (voxels,), that have data; the others are never read
    # A voxel that is 0 in all frames has no data (zero-filled edge of the field of view). If False
    # it counts as a constant one.
    zeros_missing: bool = True

    def __post_init__(self) -> None:
        _, voxels = self.maps.shape
        if self.valid.shape != (voxels,):
            raise ValueError(f"maps have {voxels} voxels, validity {self.valid.shape}")
        if not 0 < self.grey_voxels <= voxels:
            raise ValueError(f"{self.grey_voxels} grey-matter voxels of {voxels}")


class RunMoments:
    """Additive sums of one run.

    Parameters
    ----------
    design
        Frames kept and columns to project out.
    voxels
        Whose values are summed.
    segments
        Pieces of the run whose sums are kept apart.
    subtracted
        (voxels,) volume subtracted from each frame, so that little cancels later. Any will do,
        but sums with different ones cannot be added.
    arrays
        Where the sums live.
    cleaning
        Which time courses are summed with; the fewest by default.
    comes_subtracted
        Whether blocks come with that volume subtracted already.
    """

    def __init__(
        self,
        design: TemporalDesign,
        voxels: RunVoxels,
        segments: Segments,
        *,
        subtracted: NDArray[np.floating],
        arrays: Arrays,
        cleaning: Cleaning | None = None,
        comes_subtracted: bool = False,
    ) -> None:
        rois, count = voxels.maps.shape
        if subtracted.shape != (count,):
            raise ValueError(f"maps have {count} voxels, the subtracted volume {subtracted.shape}")
        self.design, self.segments, self.voxels = design, segments, voxels
        self.maps, self.grey_voxels, self.valid = voxels.maps, voxels.grey_voxels, voxels.valid
        self.subtracted = np.where(self.valid, subtracted, 0)
        self.comes_subtracted = comes_subtracted
        self.seen = np.zeros(design.frames_kept, dtype=bool)
        self._arrays = arrays
        self._maps = arrays.put(self.maps)
        self._subtracted = arrays.put(self.subtracted)
        self.cleaning = cleaning or choose_cleaning(design, rois, segments.pieces)
        columns = self.cleaning.columns
        # Sums with what is left serve all pieces, and need no raw projections.
        once = isinstance(self.cleaning, Retention)
        self._edges = segments.edges[[0, -1]] if once else segments.edges
        self._first_summed = rois + 1 if once else 0
        # position of each frame among the kept ones, -1 if it is not kept
        self._position = np.where(design.keep, np.cumsum(design.keep) - 1, -1)
        # (frames kept, rois + 1 + columns): b, the sum over voxels, the cleaning's time courses
        self._features = arrays.zeros(design.frames_kept, rois + 1 + columns.shape[1])
        self._features[:, rois + 1 :] = arrays.put(columns)
        # Sums over the frames of a piece, or of all: y times the features, less the share of the
        # blocks' means; and y^2.
        summed = rois + 1 + columns.shape[1] - self._first_summed
        self._cross = [arrays.zeros(self.grey_voxels, summed) for _ in self._edges[1:]]
        self._squares = arrays.zeros(len(self._cross), count, wide=True)
        # (piece, first row, last row + 1, mean of y) of each block
        self._means: list[tuple[int, int, int, Any]] = []

    def add(self, block: Block, first_frame: int) -> None:
        """Add consecutive frames.

        Parameters
        ----------
        block
            (frames, voxels), best 16 frames or more: a mean volume is kept for each block. Its
            values are changed: it is scratch memory afterwards.
        first_frame
            Index of its first frame in the run, censored frames counted.

        Raises
        ------
        InvalidVoxelsError
            Valid voxels are not finite in a kept frame; the sums are as before the call.
        """
        if block.ndim != 2 or block.shape[1] != self.maps.shape[1]:
            raise ValueError(f"a block is (frames, {self.maps.shape[1]}), not {block.shape}")
        position = self._position[first_frame : first_frame + len(block)]
        if len(position) != len(block):
            raise ValueError(f"frames beyond the {len(self._position)} of the design")
        kept = position >= 0
        if not kept.any():
            return
        if self.seen[position[kept]].any():
            raise ValueError(f"frames from {first_frame} were added before")
        values = self._arrays.put(block if kept.all() else block[kept])
        start, stop = int(position[kept][0]), int(position[kept][-1]) + 1
        self._features[start:stop, : len(self.maps) + 1] = self._project(values)
        edges = self._edges
        for piece in range(len(self._cross)):
            low, high = max(start, int(edges[piece])), min(stop, int(edges[piece + 1]))
            if low < high:
                self._accumulate(piece, values[low - start : high - start], low, high)
        self.seen[start:stop] = True

    def _project(self, values: Any) -> Any:
        """Subtract the volume in place; return b and the sum over voxels, (frames, rois + 1)."""
        rois, voxels = self.maps.shape
        absent = np.flatnonzero(~self.valid)
        total = self._arrays.zeros(len(values), rois + 1, wide=True)
        values[:, absent] = 0
        for low in range(0, voxels, _VOXELS):
            part = values[:, low : low + _VOXELS]
            if not self.comes_subtracted:
                part -= self._subtracted[low : low + _VOXELS]
            total[:, :rois] += part @ self._maps[:, low : low + _VOXELS].T
            total[:, rois] += part.sum(1)
        if not np.isfinite(self._arrays.get(total)).all():
            raise InvalidVoxelsError("values at valid voxels are not finite")
        return total

    def _accumulate(self, piece: int, values: Any, low_frame: int, high_frame: int) -> None:
        """Add frames of one piece, in place.

        Slow drifts, far larger than what cleaning leaves, lie in the block's mean. Taking it out
        before the products, and adding its share in float64 at the end, keeps their rounding
        that of the rest.
        """
        features = self._features[low_frame:high_frame, self._first_summed :]
        frames = len(values)
        cross, squares = self._cross[piece], self._squares[piece]
        means = self._arrays.zeros(self.grey_voxels)
        for low in range(0, self.maps.shape[1], _VOXELS):
            part = values[:, low : low + _VOXELS]
            mean = part.sum(0) / frames
            part -= mean
            square = squares[low : low + _VOXELS]
            square += (part * part).sum(0)
            # The mean is rounded: what is left of it counts too.
            square += 2.0 * mean * part.sum(0)
            square += frames * self._arrays.widen(mean) ** 2
            if low < self.grey_voxels:
                high = min(low + _VOXELS, self.grey_voxels)
                means[low:high] = mean[: high - low]
                cross[low:high] += part[:, : high - low].T @ features
        self._means.append((piece, low_frame, high_frame, means))

    def __add__(self, other: RunMoments) -> RunMoments:
        """Join the sums of two disjoint sets of frames of one run."""
        same = self.design is other.design and type(self.cleaning) is type(other.cleaning)
        if not same or not np.array_equal(self.subtracted, other.subtracted):
            raise ValueError("only sums with the same design and subtracted volume can be added")
        if not np.array_equal(self.valid, other.valid) or (self.seen & other.seen).any():
            raise ValueError("only sums of the same voxels and of disjoint frames can be added")
        joined = RunMoments(
            self.design,
            self.voxels,
            self.segments,
            subtracted=self.subtracted,
            arrays=self._arrays,
            cleaning=self.cleaning,
            comes_subtracted=self.comes_subtracted,
        )
        joined.seen = self.seen | other.seen
        rois = len(self.maps)
        for part in (self, other):
            joined._features[:, : rois + 1] += part._features[:, : rois + 1]
            joined._squares += part._squares
            joined._means += part._means
            for target, sums in zip(joined._cross, part._cross, strict=True):
                target += sums
        return joined

    @property
    def features(self) -> NDArray[np.float64]:
        """(frames kept, rois + 1 + columns): raw projections, sum over voxels, time courses."""
        return self._arrays.get(self._features)

    @property
    def squares(self) -> NDArray[np.float64]:
        """(pieces, or 1, voxels): sums of y^2."""
        return self._arrays.get(self._squares)

    def cross(self, low: int, high: int) -> NDArray[np.float64]:
        """Sums of y times the features: of each piece, or of all frames with what is left.

        (pieces, high - low, rois + 1 + columns), or (1, high - low, columns).
        """
        sums = np.stack([self._arrays.get(piece[low:high]) for piece in self._cross])
        features = self.features[:, self._first_summed :]
        for piece in range(len(self._cross)):
            blocks = [block for block in self._means if block[0] == piece]
            means = np.stack([self._arrays.get(mean[low:high]) for *_, mean in blocks])
            shares = np.stack([features[first:stop].sum(axis=0) for _, first, stop, _ in blocks])
            sums[piece] += means.T @ shares
        return sums

    @property
    def varying(self) -> NDArray[np.bool_]:
        """(voxels,), valid and not constant over the kept frames."""
        varying: NDArray[np.bool_] = self.valid & (self.squares.sum(axis=0) > 0)
        return varying

    @property
    def solved(self) -> NDArray[np.bool_]:
        """(voxels,), those on which the ROI series are solved: with data, constant or not."""
        if not self.voxels.zeros_missing:
            return self.valid
        solved: NDArray[np.bool_] = self.varying | (self.valid & (self.subtracted != 0))
        return solved


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
    voxels: RunVoxels,
    *,
    segments: Segments | None = None,
    arrays: Arrays | None = None,
    smoothing: MakeSmoothing | None = None,
    cleaning: Cleaning | None = None,
) -> RunMoments:
    """Add up one run in one pass.

    A voxel with NaN or infinity in a kept frame becomes invalid. If that happens after the first
    block, its earlier values are in the sums: the pass is then repeated once without it.

    Parameters
    ----------
    open_blocks
        Starts reading the run: yields (first frame, (frames, voxels) block), all frames in order.
        Blocks are changed.
    design
        Frames kept and columns to project out.
    voxels
        Whose values are summed.
    segments
        How the kept frames are cut; as the design does by default.
    arrays
        Where to compute; float32 NumPy by default.
    smoothing
        Makes the operator that smooths each frame before it is added. Voxels that are 0 in the
        whole first block have no data, and count as invalid then: zeros would be drawn in.
    cleaning
        Which time courses are summed with; the fewest by default.
    """
    arrays = NumpyArrays() if arrays is None else arrays
    cut = design.segments() if segments is None else segments

    def start(subtracted: NDArray[np.floating], usable: NDArray[np.bool_]) -> RunMoments:
        return RunMoments(
            design,
            replace(voxels, valid=usable),
            cut,
            subtracted=subtracted,
            arrays=arrays,
            cleaning=cleaning,
            comes_subtracted=smoothing is not None,
        )

    one_pass = _Pass(open_blocks, design, start, smoothing)
    finite = np.ones(len(voxels.valid), dtype=bool)
    with arrays.computing():
        moments = one_pass.run(voxels.valid, finite)
        if not finite.all() and not moments.seen.all():
            moments = one_pass.run(voxels.valid & finite, finite)
    if not moments.seen.all():
        raise ValueError("the frames hold values beyond the range of float32, or are not all there")
    return moments


@dataclass(frozen=True, eq=False)
class _Pass:
    """How a run is read and added up."""

    open_blocks: Callable[[], Blocks]  # starts reading
    design: TemporalDesign  # frames kept
    start: Callable[
        [NDArray[np.floating], NDArray[np.bool_]], RunMoments
    ]  # subtracted volume, voxels
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
        """Subtract the mean of the first block's kept frames, and see which voxels have data."""
        with np.errstate(invalid="ignore"):  # infinities of both signs make NaN
            mean = block[keep].mean(axis=0, dtype=np.float64).astype(block.dtype)
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
