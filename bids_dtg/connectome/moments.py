"""Sums over one pass of a run, from which every cleaned correlation follows.

ROI series are linear in a frame: series = P y, with y a frame's voxels, so that the products of
voxels with series are known once the products with the raw projections b = M y are (M the ROI
maps). Cleaning is linear in time. Hence the sums over frames of y [b, 1'y, Z] and y^2, with Z the
time courses of the cleaning, are all that a pass has to keep; they add up over blocks, pieces and
machines. Where Z spans what cleaning leaves, the sums of y Z are enough.

Places that are standardised in time before the ROI series are solved need their sd first. Where Z
spans what cleaning leaves, the sums hold it, and the series follow from them; else it is that of
the first frames, which are held until it is known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bids_dtg.connectome.design import (
    RANK_TOLERANCE,
    Cleaning,
    Removal,
    Retention,
    Segments,
    TemporalDesign,
    choose_cleaning,
)
from bids_dtg.connectome.passes import (
    OUTSIDE,
    Block,
    BlockPass,
    Blocks,
    InvalidVoxelsError,
    MakeSmoothing,
    Passed,
    in_passes,
)
from bids_dtg.engine.machine import one_blas_thread

# Voxels handled at a time: a block's share of them, and of the sums, stays in the cache.
_VOXELS = 4096
# Frames from which the sd of places is taken where the sums do not hold it, and the least sd, as
# share of their median: a place that hardly varies there may vary later.
LEAD_FRAMES = 128
_LEAST_SD = 0.1
# A direction of time is cleaned away in these frames if that takes more than such a share of it.
_CLEANED_AWAY = 0.25
_LEAST_LEFT = 16  # degrees of freedom of an sd
# Courses of a short run, whose places are standardised by the sd of all frames: the algebra takes
# the square of their number.
_MOST_LEFT = 256


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

    maps: NDArray[np.floating]  # (rois, voxels), that make the ROI series; 0 outside the brain
    grey_voxels: int  # number of leading voxels whose connectome is wanted
    valid: NDArray[np.bool_]  # (voxels,), that have data; the others are never read
    # (voxels,), where ROI series may be solved: the brain; None: wherever there are data.
    brain: NDArray[np.bool_] | None = None
    # A voxel that is 0 in all frames has no data (zero-filled edge of the field of view). If False
    # it counts as a constant one.
    zeros_missing: bool = True
    # A voxel that is 0 in some kept frames left the field of view, and has no data in any.
    leave: bool = False
    # (grey voxels,), where each grey-matter voxel stands in what is made of the sums; None: as here
    order: NDArray[np.intp] | None = None
    # Numbers of ROIs of several sets, whose series are solved set by set; (): all are one set.
    sets: tuple[int, ...] = ()
    # Whether ROI series are solved on grey-matter voxels alone, each standardised in time.
    standardised: bool = False
    # (voxels,), by which they are multiplied for that where the sums do not hold their sd.
    scale: NDArray[np.floating] | None = None
    # (rois, maps), where the ROIs' maps are combinations of `maps`; None: they are `maps`.
    combine: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        count, voxels = self.maps.shape
        if self.combine is not None and self.combine.shape[1] != count:
            raise ValueError(f"{count} maps, combinations {self.combine.shape}")
        if self.sets and sum(self.sets) != self.rois:
            raise ValueError(f"{self.rois} maps in sets of {self.sets}")
        if self.valid.shape != (voxels,):
            raise ValueError(f"maps have {voxels} voxels, validity {self.valid.shape}")
        if not 0 < self.grey_voxels <= voxels:
            raise ValueError(f"{self.grey_voxels} grey-matter voxels of {voxels}")
        if self.brain is not None and self.brain.shape != (voxels,):
            raise ValueError(f"maps have {voxels} voxels, the brain {self.brain.shape}")
        if self.order is not None and self.order.shape != (self.grey_voxels,):
            raise ValueError(f"{self.grey_voxels} grey-matter voxels, an order {self.order.shape}")

    @property
    def rois(self) -> int:
        """Number of ROIs."""
        return len(self.maps if self.combine is None else self.combine)

    @property
    def set_rows(self) -> tuple[slice, ...]:
        """ROIs of each set."""
        sets = self.sets or (self.rois,)
        ends = np.cumsum(sets).tolist()
        return tuple(slice(end - rois, end) for rois, end in zip(sets, ends, strict=True))

    @property
    def beside(self) -> NDArray[np.intp]:
        """Valid voxels on which ROI series are not solved, as they lie outside the brain."""
        if self.brain is None:
            return np.zeros(0, np.intp)
        return np.flatnonzero(self.valid & ~self.brain)

    def ordered(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values (grey voxels,) as they stand in what is made of the sums."""
        if self.order is None:
            return values
        ordered = np.empty_like(values)
        ordered[self.order] = values
        return ordered


class RunMoments:
    """Additive sums of one run.

    Parameters
    ----------
    design
        Frames kept and columns to project out.
    voxels
        The voxels over which values are summed: places and brain mask.
    segments
        Pieces of the run whose sums are kept apart.
    subtracted
        (voxels,) volume subtracted from each frame, so that little cancels later; any will do.
    dtype
        Of the products; float32 products run at twice the speed in half the memory.
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
        dtype: DTypeLike,
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
        # (voxels,), so few without data that they are in the ROI series; nothing else is of them.
        self.lost = np.zeros(count, dtype=bool)
        self._dtype = np.dtype(dtype)
        self.cleaning = cleaning or _choose_cleaning(design, voxels, segments)
        columns = self.cleaning.columns
        # Sums with what is left serve all pieces, and need no raw projections.
        once = isinstance(self.cleaning, Retention)
        if voxels.standardised and not once and voxels.scale is None:
            raise ValueError("places are standardised by a scale, which is missing")
        # Of standardised voxels the series follow from the sums with what is left.
        self.projected = not (voxels.standardised and once)
        # Standardised voxels are grey matter alone.
        self._on_maps = voxels.grey_voxels if voxels.standardised else count
        self._maps = np.asarray(self.maps[:, : self._on_maps], dtype) if self.projected else None
        self._scale = None if voxels.scale is None else np.asarray(voxels.scale, dtype)
        self._subtracted = np.asarray(self.subtracted, dtype)
        self._beside = voxels.beside
        self._edges = segments.edges[[0, -1]] if once else segments.edges
        self._first_summed = rois + 1 if once else 0
        # position of each frame among the kept ones, -1 if it is not kept
        self._position = np.where(design.keep, np.cumsum(design.keep) - 1, -1)
        # (frames kept, rois + 1 + columns): b, the sum over voxels, the cleaning's time courses
        self._features = np.zeros((design.frames_kept, rois + 1 + columns.shape[1]), dtype)
        self._features[:, rois + 1 :] = columns
        # Sums over the frames of a piece, or of all: y times the features, less the share of the
        # blocks' means; and y^2.
        summed = rois + 1 + columns.shape[1] - self._first_summed
        self._cross = [np.zeros((self.grey_voxels, summed), dtype) for _ in self._edges[1:]]
        # The first of the time courses is constant.
        self._intercept = rois + 1 - self._first_summed
        self._squares = np.zeros((len(self._cross), count))
        # (piece, first row, last row + 1, mean of y) of each block
        self._means: list[tuple[int, int, int, Any]] = []
        self._shares: tuple[list[list[Any]], list[NDArray[np.float64]]] | None = None

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
        self._shares = None  # they are of the blocks before
        values = np.asarray(block if kept.all() else block[kept], self._dtype)
        start, stop = int(position[kept][0]), int(position[kept][-1]) + 1
        self._features[start:stop, : len(self.maps) + 1] = self._project(values)
        edges = self._edges
        for piece in range(len(self._cross)):
            low, high = max(start, int(edges[piece])), min(stop, int(edges[piece + 1]))
            if low < high:
                self._accumulate(piece, values[low - start : high - start], low, high)
        self.seen[start:stop] = True

    def end(self) -> None:
        """Free what only further frames need."""
        self._maps = None

    def _project(self, values: Any) -> Any:
        """Subtract the volume in place; return b and the sum over voxels, (frames, rois + 1)."""
        rois, voxels = self.maps.shape
        absent = np.flatnonzero(~self.valid)
        total = np.zeros((len(values), rois + 1))
        values[:, absent] = 0
        for low in range(0, voxels, _VOXELS):
            part = values[:, low : low + _VOXELS]
            if not self.comes_subtracted:
                part -= self._subtracted[low : low + _VOXELS]
            if self._scale is not None:
                part = part * self._scale[low : low + _VOXELS]
            if self._maps is not None and low < self._on_maps:
                maps = self._maps[:, low : low + _VOXELS]
                total[:, :rois] += part[:, : maps.shape[1]] @ maps.T
            total[:, rois] += part.sum(1)
        if len(self._beside):
            outside = values[:, self._beside]
            if self._scale is not None:
                outside = outside * self._scale[self._beside]
            total[:, rois] -= outside.sum(1)
        if not np.isfinite(total).all():
            raise InvalidVoxelsError("values at valid voxels are not finite")
        return total

    def _accumulate(self, piece: int, values: Any, low_frame: int, high_frame: int) -> None:
        """Add frames of one piece, in place.

        Slow drifts, far larger than what cleaning leaves, lie in the block's mean. Taking it out
        before the products, and adding its share in float64 at the end, keeps their rounding
        that of the rest.
        """
        features = self._features[low_frame:high_frame, self._first_summed :]
        frames, grey = len(values), self.grey_voxels
        cross, squares = self._cross[piece], self._squares[piece]
        means = np.zeros(grey, self._dtype)
        average = np.full(frames, 1.0 / frames, self._dtype)
        constant = features[0, self._intercept]
        for low in range(0, grey, _VOXELS):
            high = min(low + _VOXELS, grey)
            part, square = values[:, low:high], squares[low:high]
            mean = average @ part
            part -= mean
            product = part.T @ features
            square += np.einsum("tv,tv->v", part, part)
            # The mean is rounded: what is left of it counts too.
            square += 2.0 * mean * (product[:, self._intercept] / constant)
            square += frames * mean.astype(np.float64) ** 2
            means[low:high] = mean
            cross[low:high] += product
        # Of the rest of the brain it is asked only whether a voxel varies.
        outside = values[:, grey:]
        squares[grey:] += np.einsum("tv,tv->v", outside, outside)
        self._means.append((piece, low_frame, high_frame, means))

    @property
    def features(self) -> NDArray[np.float64]:
        """(frames kept, rois + 1 + columns): raw projections, sum over voxels, time courses."""
        return np.asarray(self._features, np.float64)

    @property
    def squares(self) -> NDArray[np.float64]:
        """(pieces, or 1, voxels): sums of y^2."""
        return self._squares

    def cross(self, low: int, high: int) -> NDArray[np.float64]:
        """Sums of y times the features: of each piece, or of all frames with what is left.

        (pieces, high - low, rois + 1 + columns), or (1, high - low, columns).
        """
        sums = np.empty((len(self._cross), high - low, self._cross[0].shape[1]))
        for total, cross, means, shares in zip(sums, self._cross, *self._of_means, strict=True):
            parts = np.stack([mean[low:high] for mean in means]).astype(np.float64)
            np.matmul(parts.T, shares, out=total)
            total += cross[low:high]
        return sums

    @property
    def _of_means(self) -> tuple[list[list[Any]], list[NDArray[np.float64]]]:
        """Return for each piece its blocks' means and the features' sums, (blocks, features)."""
        if self._shares is None:
            features = self.features[:, self._first_summed :]
            blocks = [[b for b in self._means if b[0] == n] for n in range(len(self._cross))]
            sums = [
                np.stack([features[first:stop].sum(axis=0) for _, first, stop, _ in piece])
                for piece in blocks
            ]
            self._shares = [[mean for *_, mean in piece] for piece in blocks], sums
        return self._shares

    @property
    def varying(self) -> NDArray[np.bool_]:
        """(voxels,), valid and not constant over the kept frames."""
        varying: NDArray[np.bool_] = self.valid & (self.squares.sum(axis=0) > 0)
        return varying

    @property
    def solved(self) -> NDArray[np.bool_]:
        """(voxels,), those on which the ROI series are solved: with data, constant or not."""
        solved = self.valid.copy()
        solved[self.voxels.beside] = False
        if self.voxels.standardised:  # a constant place has no sd
            return np.asarray(solved & self.varying & (np.arange(len(solved)) < self.grey_voxels))
        if self.voxels.zeros_missing:
            solved &= self.varying | (self.subtracted != 0)
        return solved

    @property
    def sd_frames(self) -> int:
        """Number of kept frames whose sd standardises places; 0: they are not standardised."""
        if not self.voxels.standardised:
            return 0
        return len(self.seen) if self.voxels.scale is None else min(LEAD_FRAMES, len(self.seen))


class _FirstFrames:
    """Sums of the first kept frames, which give the sd of cleaned places there.

    Parameters
    ----------
    design, voxels
        As for `RunMoments`.
    usable
        (voxels,), with data.
    subtracted
        (voxels,) volume to be subtracted from each frame; None: it has been.
    """

    def __init__(
        self,
        design: TemporalDesign,
        voxels: RunVoxels,
        usable: NDArray[np.bool_],
        subtracted: NDArray[np.floating] | None,
    ) -> None:
        frames, grey = min(LEAD_FRAMES, design.frames_kept), voxels.grey_voxels
        self.seen = np.zeros(frames, dtype=bool)
        self._usable = usable[:grey]
        self._subtracted = None if subtracted is None else subtracted[:grey]
        self._position = np.where(design.keep, np.cumsum(design.keep) - 1, frames)
        self._away = _cleaned_away(design, frames)
        self._products = np.zeros((grey, self._away.shape[1]), np.float32)
        self._squares = np.zeros(grey)

    def add(self, block: Block, first_frame: int) -> None:
        """As `RunMoments.add`; later frames are passed over."""
        position = self._position[first_frame : first_frame + len(block)]
        kept = np.flatnonzero(position < len(self.seen))
        if not len(kept):
            return
        away, grey = self._away[position[kept]].astype(np.float32), len(self._squares)
        squares, products = np.empty(grey), np.empty_like(self._products)
        frames = block[kept[0] : kept[-1] + 1]
        frames = frames if len(frames) == len(kept) else block[kept]
        for low in range(0, grey, _VOXELS):
            some = slice(low, min(low + _VOXELS, grey))
            subtracted = 0 if self._subtracted is None else self._subtracted[some]
            values = frames[:, some] - subtracted
            values[:, ~self._usable[some]] = 0
            squares[some] = np.einsum("tv,tv->v", values, values)
            products[some] = values.T @ away
        if not np.isfinite(squares).all():
            raise InvalidVoxelsError("values at valid voxels are not finite")
        if self.seen.any():
            squares += self._squares
            products += self._products
        self._squares, self._products = squares, products
        self.seen[position[kept]] = True

    def scale(self, voxels: int) -> NDArray[np.float32]:
        """Return 1 / sd of each grey-matter voxel, and 0 for others of so many (voxels,)."""
        frames, rank = self._away.shape
        left = self._squares - np.einsum("vc,vc->v", self._products, self._products)
        sd = np.sqrt(np.maximum(left, 0.0) / (frames - rank))
        sd[~self._usable] = 0.0
        scale = np.zeros(voxels, np.float32)
        if (sd > 0).any():
            floor = _LEAST_SD * float(np.median(sd[sd > 0]))
            scale[: len(sd)] = np.where(self._usable, 1.0 / np.maximum(sd, floor), 0.0)
        return scale


def _cleaned_away(design: TemporalDesign, frames: int) -> NDArray[np.float64]:
    """Return an orthonormal basis of what cleaning takes of the first kept frames.

    A column of the whole run takes a part of a direction of these frames, with the rest of the run;
    directions that lose most of themselves count.
    """
    columns = Removal.of(design).columns[:frames]
    directions, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    share = frames / design.frames_kept  # of a column that takes as much everywhere
    taken = directions[:, sizes**2 > _CLEANED_AWAY * share]
    constant = np.full((frames, 1), frames**-0.5)
    if frames - taken.shape[1] <= _LEAST_LEFT:
        return constant
    # The mean goes in any case.
    basis, among = np.linalg.qr(np.hstack([constant, taken]))
    away: NDArray[np.float64] = basis[:, np.abs(np.diag(among)) > RANK_TOLERANCE]
    return away


def _choose_cleaning(design: TemporalDesign, voxels: RunVoxels, segments: Segments) -> Cleaning:
    """Choose as `choose_cleaning`; of short runs what is left, which holds the sd of places."""
    if not voxels.standardised:
        return choose_cleaning(design, len(voxels.maps), segments.pieces)
    left = design.frames_kept - design.basis.shape[1]
    return Retention.of(design) if left <= _MOST_LEFT else Removal.of(design)


def measure_run(
    open_blocks: Callable[[], Blocks],
    design: TemporalDesign,
    voxels: RunVoxels,
    *,
    segments: Segments | None = None,
    dtype: DTypeLike = np.float32,
    smoothing: MakeSmoothing | None = None,
    cleaning: Cleaning | None = None,
) -> RunMoments:
    """Add up one run in one pass, as `BlockPass` does.

    Parameters
    ----------
    open_blocks
        Starts reading the run: yields (first frame, (frames, voxels) block), all frames in order.
        Blocks are changed.
    design
        Frames kept and columns to project out.
    voxels
        The voxels over which values are summed: places and brain mask.
    segments
        How the kept frames are cut; as the design does by default.
    dtype
        Of the products.
    smoothing
        Makes the operator that smooths each frame before it is added. Voxels that are 0 in the
        whole first block have no data, and count as invalid then: zeros would be drawn in.
    cleaning
        Which time courses are summed with; the fewest by default.
    """
    cut = design.segments() if segments is None else segments
    chosen = cleaning or _choose_cleaning(design, voxels, cut)

    def run(valid: NDArray[np.bool_]) -> Passed[RunMoments]:
        with ExitStack() as until_read:
            own, blocks = replace(voxels, valid=valid), open_blocks
            if own.standardised and not isinstance(chosen, Retention):
                lead = until_read.enter_context(closing(_Lead(open_blocks, design)))
                own = replace(own, scale=lead.scale(own, smoothing))
                blocks = lead.blocks

            def start(subtracted: NDArray[np.floating], usable: NDArray[np.bool_]) -> RunMoments:
                return RunMoments(
                    design,
                    replace(own, valid=usable),
                    cut,
                    subtracted=subtracted,
                    dtype=dtype,
                    cleaning=chosen,
                    comes_subtracted=smoothing is not None,
                )

            return BlockPass(blocks, design, start, smoothing, voxels.leave).run(valid)

    with one_blas_thread():
        found = in_passes(run, voxels.valid, OUTSIDE)
    found.sums.lost = found.lost
    found.sums.end()
    return found.sums


class _Lead:
    """The first kept frames of a run: read once, held for their sd, and then handed on.

    Parameters
    ----------
    open_blocks, design
        As for `measure_run`.
    """

    def __init__(self, open_blocks: Callable[[], Blocks], design: TemporalDesign) -> None:
        self._design = design
        self._last = int(np.flatnonzero(design.keep)[:LEAD_FRAMES][-1])
        self._rest = open_blocks()
        self._held: deque[tuple[int, Block]] = deque()
        for first, block in self._rest:
            if first + len(block) > self._last:
                self._held.append((first, block))
                return
            self._held.append((first, block.copy()))  # the next one is read into its memory

    def scale(self, voxels: RunVoxels, smoothing: MakeSmoothing | None) -> NDArray[np.float32]:
        """Return the scale (voxels,) that standardises places."""

        def beginning() -> Blocks:
            for first, block in self._held:
                frames = block[: self._last + 1 - first]
                yield first, frames if smoothing is None else frames.copy()  # it changes them

        def start(subtracted: NDArray[np.floating], usable: NDArray[np.bool_]) -> _FirstFrames:
            design, given = self._design, subtracted if smoothing is None else None
            return _FirstFrames(design, voxels, usable, given)

        found = in_passes(BlockPass(beginning, self._design, start, smoothing).run, voxels.valid)
        return found.sums.scale(len(voxels.valid))

    def close(self) -> None:
        """End reading."""
        self._rest.close()

    def blocks(self) -> Blocks:
        """Hand on the blocks that are held and then the others."""
        while self._held:
            yield self._held.popleft()
        return (yield from self._rest)
