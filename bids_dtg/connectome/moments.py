"""Sums over one pass of a run, from which every cleaned correlation follows.

ROI series are linear in a frame: series = P y, with y a frame's voxels, so that the products of
voxels with series are known once the products with the raw projections b = M y are (M the ROI
maps). Cleaning is linear in time. Hence the sums over frames of y [b, 1'y, Z] and y^2, with Z the
time courses of the cleaning, are all that a pass has to keep; they add up over blocks, pieces and
machines. Where Z spans what cleaning leaves, the sums of y Z are enough.

Places that are standardised in time before the ROI series are solved need their sd first, which the
sums y Z and y^2 of all kept frames give. So the frames are put aside as they pass, short runs and
parcels in memory, others in a temporary file, and their raw projections are made from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from tempfile import SpooledTemporaryFile, gettempdir
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bids_dtg.connectome.design import (
    Cleaning,
    Retention,
    Segments,
    TemporalDesign,
    choose_cleaning,
)
from bids_dtg.connectome.passes import (
    OUTSIDE,
    Block,
    Blocks,
    InvalidVoxelsError,
    MakeSmoothing,
    add_up,
)
from bids_dtg.engine.machine import one_blas_thread

# Voxels handled at a time: a block's share of them, and of the sums, stays in the cache.
_VOXELS = 4096
# Of a voxel's or ROI's sum of squares, less than this left after cleaning is rounding.
RESIDUAL_TOLERANCE = 1e-6
# Bytes of frames that are put aside in memory: more are in a temporary file.
_IN_MEMORY = 64 * 2**20


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
    # (rois, maps), where the ROIs' maps are combinations of `maps`; None: they are `maps`.
    combine: NDArray[np.floating] | None = None

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
        self.design, self.segments, self.voxels = design, segments, voxels
        self.maps, self.grey_voxels, self.valid = voxels.maps, voxels.grey_voxels, voxels.valid
        self.subtracted = np.where(self.valid, subtracted, 0)
        self.seen = np.zeros(design.frames_kept, dtype=bool)
        # (voxels,), so few without data that they are in the ROI series; nothing else is of them.
        self.lost = np.zeros(count, dtype=bool)
        self._dtype = np.dtype(dtype)
        self.cleaning = cleaning or choose_cleaning(design, rois, segments.pieces)
        columns = self.cleaning.columns
        # Sums with what is left serve all pieces, and need no raw projections.
        once = isinstance(self.cleaning, Retention)
        # Frames whose projections wait for the sd of places.
        self._aside = None
        if voxels.standardised and rois:
            self._aside = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        # (grey voxels,), 1 / sd of what cleaning leaves; 0: left out of the series.
        self.scale: NDArray[np.float64] | None = None
        self._maps = np.asarray(self.maps, dtype)
        still = np.zeros(count) if comes_subtracted else self.subtracted
        self._subtracted = np.asarray(still, dtype)  # of the frames that come
        self._beside = voxels.beside
        self._edges = segments.edges[[0, -1]] if once else segments.edges
        self._first_summed = rois + 1 if once else 0
        # position of each frame among the kept ones, -1 if it is not kept
        self._position = np.where(design.keep, np.cumsum(design.keep) - 1, -1)
        # (frames kept, rois + 1 + columns): b, the sum over voxels, the cleaning's time courses
        self._features = np.zeros((design.frames_kept, rois + 1 + columns.shape[1]), dtype)
        self._features[:, rois + 1 :] = columns
        # Sums over the frames of a piece, or of all: y times the features, less the share of the
        # blocks' means.
        summed = rois + 1 + columns.shape[1] - self._first_summed
        self._cross = [np.zeros((self.grey_voxels, summed), dtype) for _ in self._edges[1:]]
        # The first of the time courses is constant.
        self._intercept = rois + 1 - self._first_summed
        self.squares = np.zeros((len(self._cross), count))  # (pieces, or 1, voxels), of y^2
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
        position = self._position[first_frame : first_frame + len(block)]
        kept = position >= 0
        if not kept.any():
            return
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
        """Finish what needs all frames, once all are added, and free what further ones need."""
        if self._aside is not None:
            self._project_aside()
            self._aside.close()
            self._aside = None

    def _project(self, values: Any) -> Any:
        """Subtract the volume in place; return b and the sum over voxels, (frames, rois + 1)."""
        rois, voxels = self.maps.shape
        absent = np.flatnonzero(~self.valid)
        total = np.zeros((len(values), rois + 1))
        values[:, absent] = 0
        for low in range(0, voxels, _VOXELS):
            part = values[:, low : low + _VOXELS]
            part -= self._subtracted[low : low + _VOXELS]
            if self._aside is None:
                total[:, :rois] += part @ self._maps[:, low : low + _VOXELS].T
            total[:, rois] += part.sum(1)
        if len(self._beside):
            total[:, rois] -= values[:, self._beside].sum(1)
        if not np.isfinite(total).all():
            raise InvalidVoxelsError("values at valid voxels are not finite")
        return total

    def _project_aside(self) -> None:
        """Project the frames that were put aside, of grey matter alone, and add up their sums."""
        assert self._aside is not None
        rois, grey = len(self.maps), self.grey_voxels
        self.scale = self._one_over_sd()
        scale, once = self.scale.astype(self._dtype), self._first_summed > 0
        self._aside.seek(0)
        for piece, first, stop, mean in self._means:
            shape, size = (stop - first, grey), self._dtype.itemsize
            held = self._aside.read(shape[0] * grey * size)
            values = np.frombuffer(held, self._dtype).reshape(shape)
            features = np.zeros((len(values), rois + 1), self._dtype)
            some = [slice(low, min(low + _VOXELS, grey)) for low in range(0, grey, _VOXELS)]
            for part in some:
                scaled = (values[:, part] + mean[part]) * scale[part]
                features[:, :rois] += scaled @ self._maps[:, part].T
                features[:, rois] += scaled.sum(1)
            self._features[first:stop, : rois + 1] = features
            for part in () if once else some:
                self._cross[piece][part, : rois + 1] += values[:, part].T @ features

    def _one_over_sd(self) -> NDArray[np.float64]:
        """Return 1 / sd of cleaned grey-matter voxels; 0 of those that ROI series leave out."""
        frames, cleaning, scale = len(self.seen), self.cleaning, np.zeros(self.grey_voxels)
        own = slice(self._intercept, None)
        columns = self.features[:, len(self.maps) + 1 :]
        products, squares = columns.T @ columns, self.squares.sum(axis=0)
        for low in range(0, self.grey_voxels, _VOXELS):
            high = min(low + _VOXELS, self.grey_voxels)
            cross = self.cross(low, high).sum(axis=0)[:, own]
            if isinstance(cleaning, Retention):
                left = (cross[:, 1:] ** 2).sum(axis=1)
            else:
                betas = cross @ np.linalg.inv(products) @ cleaning.weights.T
                left = squares[low:high]
                left = left + np.einsum("vc,vc->v", betas, betas @ products - 2 * cross)
            real = left > RESIDUAL_TOLERANCE * squares[low:high]
            scale[low:high][real] = np.sqrt(frames / left[real])
        scale[self._beside[self._beside < self.grey_voxels]] = 0.0
        return scale

    def _accumulate(self, piece: int, values: Any, low_frame: int, high_frame: int) -> None:
        """Add frames of one piece, in place.

        Slow drifts, far larger than what cleaning leaves, lie in the block's mean. Taking it out
        before the products, and adding its share in float64 at the end, keeps their rounding
        that of the rest.
        """
        features = self._features[low_frame:high_frame, self._first_summed :]
        # Of frames that are put aside, there are no projections yet.
        first = 0 if self._aside is None else self._intercept
        features = features[:, first:]
        frames, grey = len(values), self.grey_voxels
        cross, squares = self._cross[piece], self.squares[piece]
        means = np.zeros(grey, self._dtype)
        average = np.full(frames, 1.0 / frames, self._dtype)
        intercept = self._intercept - first
        constant = features[0, intercept]
        for low in range(0, grey, _VOXELS):
            high = min(low + _VOXELS, grey)
            part, square = values[:, low:high], squares[low:high]
            mean = average @ part
            part -= mean
            product = part.T @ features
            square += np.einsum("tv,tv->v", part, part)
            # The mean is rounded: what is left of it counts too.
            square += 2.0 * mean * (product[:, intercept] / constant)
            square += frames * mean.astype(np.float64) ** 2
            means[low:high] = mean
            cross[low:high, first:] += product
        # Of the rest of the brain it is asked only whether a voxel varies.
        outside = values[:, grey:]
        squares[grey:] += np.einsum("tv,tv->v", outside, outside)
        self._means.append((piece, low_frame, high_frame, means))
        if self._aside is not None:
            try:
                for frame in values[:, :grey]:
                    self._aside.write(frame.data)
            except OSError as err:
                raise ValueError(
                    f"its frames cannot be put aside in {gettempdir()}: {err.strerror}. To do: set "
                    "TMPDIR to a folder with more room"
                ) from err

    @property
    def features(self) -> NDArray[np.float64]:
        """(frames kept, rois + 1 + columns): raw projections, sum over voxels, time courses."""
        return np.asarray(self._features, np.float64)

    def cross(self, low: int, high: int) -> NDArray[np.float64]:
        """Sums of y times the features: of each piece, or of all frames with what is left.

        (pieces, high - low, rois + 1 + columns), or (1, high - low, columns).
        """
        features = self.features[:, self._first_summed :]
        sums = np.stack([cross[low:high] for cross in self._cross]).astype(np.float64)
        for piece, total in enumerate(sums):
            blocks = [block for block in self._means if block[0] == piece]
            means = np.stack([mean[low:high] for *_, mean in blocks]).astype(np.float64)
            total += means.T @ np.stack([features[a:b].sum(axis=0) for _, a, b, _ in blocks])
        return sums

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
        if self.scale is not None:  # a constant place has no sd
            return np.pad(self.scale > 0, (0, len(self.valid) - self.grey_voxels))
        if self.voxels.zeros_missing:
            solved &= self.varying | (self.subtracted != 0)
        return solved


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
    """Add up one run in one pass, as `add_up` does.

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

    def start(subtracted: NDArray[np.floating], usable: NDArray[np.bool_]) -> RunMoments:
        return RunMoments(
            design,
            replace(voxels, valid=usable),
            cut,
            subtracted=subtracted,
            dtype=dtype,
            cleaning=cleaning,
            comes_subtracted=smoothing is not None,
        )

    with one_blas_thread():
        moments, lost = add_up(
            *(open_blocks, design, start, voxels.valid),
            smoothing=smoothing,
            leave=voxels.leave,
            few=OUTSIDE,
        )
        moments.lost = lost
        moments.end()
    return moments
