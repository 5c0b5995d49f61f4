"""Sums over one pass of a run, from which every cleaned correlation follows.

ROI series are linear in a frame: series = P y, where y are the voxels of a frame. Products of
voxels with ROI series therefore follow from products with the raw projections b = M y, where M are
the ROI maps. Cleaning is linear in time. Hence a pass only needs the sums over frames of
y [b, 1'y, Z] and y^2, where Z are the time courses that cleaning removes. These sums add up over
blocks and pieces.

Frames are held instead of sums in two cases: in a short run with fewer frames than sums, and in the
partial form, whose ROI series are computed from voxels standardised in time, which requires the
standard deviation over all kept frames first. For long runs, frames of the partial form are held in
a temporary file. If cleaning leaves few dimensions, as with a narrow frequency band, only these are
held: T'y, from which a cleaned voxel is E T'y.
"""

from __future__ import annotations

import errno
import os
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from bids_dtg.array_types import Float64, Floats, Indices, Mask, Values
from bids_dtg.connectome.design import Segments, TemporalDesign
from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.connectome.passes import OUTSIDE, Block, Blocks, MakeSmoothing, add_up
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.errors import SettingsError
from bids_dtg.files.paths import temporary_error

# Voxels handled at a time, so that their values and sums stay in the processor's cache.
_VOXELS = 4096
# Most bytes of frames that are held in memory; larger amounts go to a temporary file.
_IN_MEMORY = 64 * 2**20
# If cleaning leaves less than this fraction of a sum of squares, the rest is rounding error.
RESIDUAL_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class RunVoxels:
    """The voxels of a run that enter the sums: grey-matter voxels first, then the rest.

    Examples
    --------
    >>> maps = np.eye(2, 3)
    >>> voxels = RunVoxels(maps, 2, np.array([True, True, False]))
    >>> voxels.zeros_missing
    True
    """

    # (rois, voxels), the maps that define the ROI series; 0 outside the brain. Products have their
    # type; float32 takes half the time and memory.
    maps: Floats
    grey_voxels: int  # number of leading voxels that get a connectome
    # (voxels,), whether they have data; those without are never read.
    valid: Mask
    # (voxels,), brain mask, in which ROI series are computed; None for all voxels with data.
    brain: Mask | None = None
    # Whether a voxel that is 0 in all frames has no data (zero-filled edge of the field of view);
    # otherwise it counts as constant.
    zeros_missing: bool = True
    # (grey voxels,), position of each grey-matter voxel in the results; None for the same order
    order: Indices | None = None
    # (2, pairs), positions of the same parcel of the left and right hemisphere; None for voxels.
    homotopic: Indices | None = None
    # Form of the connectome. ROI series of the partial form are computed for each set separately,
    # from grey-matter voxels alone, each standardised in time.
    form: Form = MARGINAL
    # (rois, maps), if the ROIs' maps are combinations of `maps`; None if they are `maps`.
    combine: Floats | None = None

    @property
    def rois(self) -> int:
        """Number of ROIs."""
        return len(self.maps if self.combine is None else self.combine)

    def result_positions(self, group: slice) -> slice | Indices:
        """Return the positions of a group of grey-matter voxels in the results."""
        return group if self.order is None else self.order[group]

    def ordered(self, values: Values) -> Values:
        """Return values (grey voxels,) in the order of the results."""
        if self.order is None:
            return values
        ordered = np.empty_like(values)
        ordered[self.order] = values
        return ordered


class _Filed:
    """Numbers (frames, voxels) in a temporary file, stored in groups of `_VOXELS` voxels.

    The file is read and written instead of mapped, as mapped pages would count as memory.
    """

    def __init__(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self._frames, self._voxels = shape
        self._dtype = dtype
        self._bytes = self._frames * self._voxels * dtype.itemsize
        try:
            file = TemporaryFile(prefix="dtg-")  # noqa: SIM115
            weakref.finalize(self, file.close)
            self._file = file.fileno()
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(self._file, 0, self._bytes)
        except OSError as err:
            raise self._error(err) from err

    def _error(self, err: OSError) -> SettingsError:
        return temporary_error(err, f"{self._bytes >> 20} MB")

    def __getitem__(self, index: tuple[slice, slice]) -> Values:
        """Return all frames of voxels of one group."""
        _, voxels = index
        group_start = voxels.start // _VOXELS * _VOXELS
        group_size = min(_VOXELS, self._voxels - group_start)
        voxel_bytes = self._frames * self._dtype.itemsize
        offset = group_start * voxel_bytes
        content = os.pread(self._file, group_size * voxel_bytes, offset)
        group = np.frombuffer(content, self._dtype).reshape(-1, group_size)
        return group[:, voxels.start - group_start : voxels.stop - group_start]

    def __setitem__(self, index: tuple[slice, slice], values: Values) -> None:
        """Set consecutive frames of all voxels of one group."""
        frames, voxels = index
        numbers = np.ascontiguousarray(values, self._dtype)
        numbers_before = self._frames * voxels.start
        numbers_before += (frames.start or 0) * numbers.shape[1]
        offset = numbers_before * numbers.itemsize
        try:
            if os.pwrite(self._file, numbers.data, offset) < numbers.nbytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as err:
            raise self._error(err) from err


class RunMoments:
    """Additive sums of one run, or its frames.

    Parameters
    ----------
    design
        Frames kept and columns to project out.
    voxels
        The voxels that enter the sums: grey matter and the rest of the brain.
    segments
        Pieces of the run, whose sums are kept separately.
    subtracted
        (voxels,), volume that was subtracted from each frame for numerical precision.
    """

    def __init__(
        self,
        design: TemporalDesign,
        voxels: RunVoxels,
        segments: Segments,
        *,
        subtracted: Block,
    ) -> None:
        self.design = design
        self.segments = segments
        self.voxels = voxels
        self.subtracted = subtracted
        self.grey_voxels = voxels.grey_voxels
        maps, count = voxels.maps.shape
        dtype = voxels.maps.dtype
        # (voxels,), which left the field of view; ROI series include them if they are few.
        self.lost = np.zeros(count, dtype=bool)
        # (voxels,), from which ROI series are computed if they have data.
        brain = True if voxels.brain is None else voxels.brain
        self._solvable = np.asarray(voxels.valid & brain)
        self._maps = voxels.maps
        columns, weights = design.removal()
        width = maps + 1 + columns.shape[1]
        # (frames kept, maps + 1 + columns): b, the sum over voxels, the time courses of cleaning
        self._features = np.zeros((design.frames_kept, width), dtype)
        self._features[:, maps + 1 :] = columns
        # (columns, columns), weights b = Z'y @ inverse; corrects for the rounding of stored Z.
        stored = self.features[:, maps + 1 :]
        self.inverse: Float64 = np.linalg.inv(stored.T @ stored) @ weights.T
        # (pieces, voxels) sums of y^2.
        self.squares = np.zeros((segments.pieces, count))
        # (frames kept, grey voxels), which `clean` cleans; or, with E and T in `_remainder`, T'y
        # (dimensions, grey voxels). None if sums are kept.
        self._held: Floats | _Filed | None = None
        self._remainder: tuple[Values, Values] | None = None
        self._blocks: list[slice] = []  # frames of each block that was added
        self._total = np.zeros(self.grey_voxels)  # (grey voxels,), sum of y
        if voxels.form.joint or design.frames_kept < segments.pieces * width:
            self._hold_frames()
            return
        # Sums over each piece of y times the features, without the blocks' means; these are kept
        # separately, with their pieces and rows.
        self._cross = np.zeros((segments.pieces, self.grey_voxels, width), dtype)
        self._means: list[tuple[int, slice, Values]] = []

    def _hold_frames(self) -> None:
        """Make room for the frames that are held, or for what cleaning leaves of them."""
        dtype = self._maps.dtype
        frames_kept = self.design.frames_kept
        shape = (frames_kept, self.grey_voxels)
        held_dtype = np.dtype(dtype)
        if 2 * self.design.basis.shape[1] > frames_kept:
            e, t = self.design.remainder()
            self._remainder = (e.astype(dtype), t.astype(dtype))
            shape = (e.shape[1], self.grey_voxels)
            held_dtype = np.dtype(np.float64)
        held_bytes = shape[0] * shape[1] * held_dtype.itemsize
        if self.voxels.form.joint and held_bytes > _IN_MEMORY:
            self._held = _Filed((frames_kept, self.grey_voxels), dtype)
        else:
            self._held = np.zeros(shape, held_dtype)

    def add(self, frames: Block, first: int) -> None:
        """Add kept frames, ideally 16 or more, as each call stores a mean volume."""
        values = np.asarray(frames, self._features.dtype)
        rows = slice(first, first + len(values))
        grey = values[:, : self.grey_voxels]
        # In the partial form, projections are computed later, as they need the voxels' sd.
        if not self.voxels.form.joint:
            self._features[rows, : len(self._maps) + 1] = self._projected(values)
        if self._held is not None:
            self._hold(grey, rows)
            self._blocks.append(rows)
            self._total += grey.sum(axis=0, dtype=np.float64)
        edges = self.segments.edges.tolist()
        for piece, (start, stop) in enumerate(pairwise(edges)):
            piece_rows = slice(max(rows.start, start), min(rows.stop, stop))
            if piece_rows.start >= piece_rows.stop:
                continue
            piece_values = values[piece_rows.start - first : piece_rows.stop - first]
            done = 0  # leading voxels whose squares are added with their products
            if self._held is None:
                done = self.grey_voxels
                self._accumulate(piece, piece_values[:, :done], piece_rows)
            rest = piece_values[:, done:]
            self.squares[piece, done:] += np.einsum("tv,tv->v", rest, rest)

    def _projected(self, values: Values) -> Float64:
        """Return raw projections of frames, and their sums over voxels, (frames, maps + 1)."""
        maps = len(self._maps)
        projected = np.zeros((len(values), maps + 1))
        solvable = self._solvable.astype(values.dtype)
        for low in range(0, values.shape[1], _VOXELS):
            group = slice(low, low + _VOXELS)
            projected[:, :maps] += values[:, group] @ self._maps[:, group].T
            projected[:, maps] += values[:, group] @ solvable[group]
        return projected

    def _hold(self, grey: Values, rows: slice) -> None:
        """Hold frames (frames, grey voxels), or what cleaning leaves of them."""
        for low in range(0, self.grey_voxels, _VOXELS):
            group = slice(low, min(low + _VOXELS, self.grey_voxels))
            if isinstance(self._held, np.ndarray) and self._remainder is not None:
                _, t = self._remainder
                product = t[rows].T @ grey[:, group]
                self._held[:, group] += product.astype(np.float64)
            elif self._held is not None:
                self._held[rows, group] = grey[:, group]

    def _accumulate(self, piece: int, values: Values, rows: slice) -> None:
        """Add grey-matter voxels in frames of one piece; `values` are changed in place.

        Slow drifts, far larger than the cleaned signal, are mostly in the block's mean. The mean is
        therefore subtracted before the products, and its contribution is added in float64 at the
        end, so that rounding errors are relative to the remaining signal.
        """
        features = self._features[rows]
        frames, voxels = values.shape
        squares = self.squares[piece, :voxels]
        means = np.zeros(voxels, values.dtype)
        average = np.full(frames, 1.0 / frames, values.dtype)
        intercept = len(self._maps) + 1  # the first of the time courses is constant
        for low in range(0, voxels, _VOXELS):
            group = slice(low, low + _VOXELS)
            centred = values[:, group]
            mean = average @ centred
            centred -= mean
            product = centred.T @ features
            # The mean is rounded, so the small remaining mean is added too.
            remaining = product[:, intercept] / features[0, intercept]
            squares[group] += np.einsum("tv,tv->v", centred, centred)
            squares[group] += 2.0 * mean * remaining
            squares[group] += frames * mean.astype(np.float64) ** 2
            self._total[group] += frames * mean.astype(np.float64) + remaining
            means[group] = mean
            self._cross[piece, group] += product
        self._means.append((piece, rows, means))

    @property
    def features(self) -> Float64:
        """(frames kept, maps + 1 + columns): raw projections, sum over voxels, time courses."""
        return np.asarray(self._features, np.float64)

    def frames_or_sums(self, group: slice) -> Floats | tuple[Float64, Float64]:
        """Return cleaned frames of a group of voxels, (frames kept, voxels), or their sums.

        Sums are those of y times the features, (pieces, voxels, maps + 1 + columns), followed by
        the weights of the time courses that cleaning removes, (voxels, columns).
        """
        if isinstance(self._held, np.ndarray) and self._remainder:
            e, _ = self._remainder
            return np.asarray(e @ self._held[:, group].astype(self._maps.dtype))
        if self._held is not None:
            return self._held[:, group]
        sums = self._cross[:, group].astype(np.float64)
        features = self.features
        for piece, sums_of_piece in enumerate(sums):
            means = []
            feature_sums = []
            for piece_of_block, rows, means_of_block in self._means:
                if piece_of_block == piece:
                    means.append(means_of_block[group])
                    feature_sums.append(features[rows].sum(axis=0))
            block_means = np.stack(means).astype(np.float64)
            sums_of_piece += block_means.T @ np.stack(feature_sums)
        with_columns = sums.sum(axis=0)[:, -len(self.inverse) :]
        return sums, with_columns @ self.inverse

    def clean(self, threads: int) -> None:
        """Clean the frames that are held; in the partial form, also compute projections."""
        held = self._held
        if held is None:
            return
        squares = self.squares.sum(axis=0)

        def clean_group(low: int) -> Float64:
            group = slice(low, min(low + _VOXELS, self.grey_voxels))
            cleaned = self._cleaned(held, group)
            size = (cleaned**2).sum(axis=0)
            has_signal = size > RESIDUAL_TOLERANCE * squares[group]
            signal = np.where(has_signal, cleaned, 0.0)
            if self._remainder is not None and isinstance(held, _Filed):
                e, _ = self._remainder
                signal = e @ signal.astype(self._maps.dtype)
            held[:, group] = signal
            if not self.voxels.form.joint:
                return np.zeros(0)
            self._solvable[group] &= has_signal  # a constant place has no sd
            return self._projected_of_partial(cleaned, size, group)

        lows = range(0, self.grey_voxels, _VOXELS)
        with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
            projected = reduce(np.add, pool.map(clean_group, lows), np.zeros(()))
        if self.voxels.form.joint:
            self._solvable[self.grey_voxels :] = False
            if self._remainder is not None:
                e, _ = self._remainder
                projected = e @ projected
            self._features[:, : len(self._maps) + 1] = projected

    def _cleaned(self, held: Values | _Filed, group: slice) -> Values:
        """Return the cleaned frames of a group of voxels or, with E and T, T'y."""
        values = held[:, group]
        if self._remainder is None:
            return self.design.clean(values)
        if not isinstance(held, _Filed):  # T'y
            return values
        # In the same blocks as `add`.
        _, t = self._remainder
        products = [t[rows].T @ values[rows] for rows in self._blocks]
        return np.asarray(np.add.reduce(products, dtype=np.float64))

    def _projected_of_partial(
        self, cleaned: Values, size: Float64, group: slice
    ) -> Float64:
        """Return the same as `_projected`, of a group of voxels standardised in time.

        Parameters
        ----------
        cleaned, size
            What `_cleaned` returns for the group, and its sums of squares.
        group
            The voxels.
        """
        solvable = np.flatnonzero(self._solvable[group])
        scale = np.sqrt(self.design.frames_kept / size[solvable])
        scaled = (cleaned[:, solvable] * scale).astype(self._maps.dtype)
        projected = scaled @ self._maps[:, group][:, solvable].T
        return np.column_stack([projected, scaled.sum(axis=1)]).astype(np.float64)

    @property
    def mean(self) -> Float64:
        """(grey voxels,), over the kept frames."""
        mean_of_rest = self._total / self.design.frames_kept
        return self.subtracted[: self.grey_voxels] + mean_of_rest

    @property
    def varying(self) -> Mask:
        """(voxels,), whether valid and not constant over the kept frames."""
        squares = self.squares.sum(axis=0)
        return self.voxels.valid & (squares > 0)

    @property
    def solved(self) -> Mask:
        """(voxels,), whether ROI series are computed from it: has data, constant or not."""
        solved = self._solvable
        if self.voxels.zeros_missing and not self.voxels.form.joint:
            solved = np.asarray(solved & (self.varying | (self.subtracted != 0)))
        return solved


def measure_run(
    open_blocks: Callable[[], Blocks],
    design: TemporalDesign,
    voxels: RunVoxels,
    *,
    segments: Segments,
    smoothing: MakeSmoothing | None = None,
    outside: Mask | None = None,
    threads: int = 1,
) -> RunMoments:
    """Add up one run in one pass, as `add_up` does.

    Parameters
    ----------
    open_blocks
        Starts reading the run; yields (first frame, (frames, voxels) block), with all frames in
        order. Blocks are changed in place.
    design
        Frames kept and columns to project out.
    voxels
        The voxels that enter the sums: grey matter and the rest of the brain.
    segments
        How the kept frames are divided.
    smoothing, outside
        As for `add_up`.
    threads
        Number of threads to clean with.
    """

    def start(subtracted: Block, usable: Mask) -> RunMoments:
        usable_voxels = replace(voxels, valid=usable)
        return RunMoments(design, usable_voxels, segments, subtracted=subtracted)

    with one_blas_thread():
        moments, lost = add_up(
            open_blocks,
            design,
            start,
            voxels.valid,
            smoothing=smoothing,
            outside=outside,
            few=OUTSIDE,
        )
    moments.lost = lost
    moments.clean(threads)
    return moments


def ratio(numerator: Floats, denominator: Floats) -> Float64:
    """Divide; the result is 0 where undefined.

    Examples
    --------
    >>> import numpy as np
    >>> ratio(np.array([1.0, 2.0]), np.array([0.0, 4.0]))
    array([0. , 0.5])
    """
    defined = denominator > 0
    numerator = np.where(defined, numerator, 0.0)
    return numerator / np.where(defined, denominator, 1.0)
