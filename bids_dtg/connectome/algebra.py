"""Cleaned ROI series, and cleaned correlations of voxels with them, from the sums of one pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.design import Removal, Retention
from bids_dtg.connectome.moments import RunMoments

# Singular values of the ROI maps below this share of the largest count as zero, as in `pinv`;
# maps are float32, so smaller ones are rounding.
MAPS_TOLERANCE = 1e-6
# Of a voxel's or ROI's sum of squares, less than this left after cleaning is rounding.
RESIDUAL_TOLERANCE = 1e-6
# Voxels turned to float64 at a time.
VOXELS_AT_A_TIME = 2048

Float = NDArray[np.float64]


class Algebra(ABC):
    """What the whole run fixes: cleaned ROI series, and how sums turn into cleaned voxels."""

    series: Float  # (frames kept, rois), cleaned

    def __init__(self, moments: RunMoments) -> None:
        self.moments = moments

    @abstractmethod
    def part(self, pieces: Sequence[int], mixing: Float | None = None) -> Part:
        """Prepare to correlate within some pieces; `mixing` as `Part` has it."""

    @abstractmethod
    def voxels(self, low: int, high: int) -> VoxelSums:
        """Take the sums of the grey-matter voxels from `low` to `high`."""

    def rows(self, pieces: Sequence[int]) -> NDArray[np.intp]:
        """Positions of the pieces' frames among the kept ones."""
        edges = self.moments.segments.edges
        return np.concatenate([np.arange(edges[piece], edges[piece + 1]) for piece in pieces])

    def _clean_series(self, raw: Float, cleaned: Float) -> Float:
        """Blank ROIs that the confounds explain: their rounding correlates with anything."""
        size = ((raw - raw.mean(axis=0)) ** 2).sum(axis=0)
        cleaned[:, (cleaned**2).sum(axis=0) <= RESIDUAL_TOLERANCE * size] = 0.0
        return cleaned


class Part:
    """A set of frames: cleaned ROI series, centred and of length 1 there; 0 where constant.

    Voxels' sums with them are divided by the voxels' own norms only. By `mixing` (rois, columns)
    the series are then mixed: a regression on all series costs no more than correlations do.
    """

    def __init__(
        self, algebra: Algebra, pieces: Sequence[int], mixing: Float | None = None
    ) -> None:
        self.pieces, self.mixed = tuple(pieces), mixing is not None
        self.rows = algebra.rows(pieces)
        self.frames = len(self.rows)
        series = algebra.series[self.rows]
        mean = series.mean(axis=0)
        centred = series - mean
        norms = np.sqrt((centred**2).sum(axis=0))
        # (rois, columns), what turns series into those of this part; 0 for one that is constant.
        mixing = np.eye(len(norms)) if mixing is None else mixing
        self.scaled = ratio(mixing, np.broadcast_to(norms[:, None], mixing.shape))
        self.series_mean = mean @ self.scaled
        self.series = centred @ self.scaled

    def correlation(self) -> Float:
        """Pearson r (rois, rois) of the series, where they are not mixed; 0 where undefined."""
        r: Float = np.clip(self.series.T @ self.series, -1.0, 1.0)
        return r


class VoxelSums(ABC):
    """The sums of some voxels."""

    def correlate(self, part: Part) -> NDArray[np.floating]:
        """Pearson r (voxels, rois) of cleaned voxels and cleaned ROI series in a part, mixed."""
        r = self.covariance(part)
        norms = ratio(np.ones(len(r)), np.sqrt(self.sum_of_squares(part)))
        r *= norms.astype(r.dtype, copy=False)[:, None]
        return r if part.mixed else np.clip(r, -1.0, 1.0, out=r)

    @property
    @abstractmethod
    def mean(self) -> Float:
        """Mean (voxels,) over the kept frames, less the subtracted volume."""

    @abstractmethod
    def covariance(self, part: Part) -> NDArray[np.floating]:
        """Sums (voxels, rois) of cleaned voxels times cleaned, demeaned ROI series."""

    @abstractmethod
    def sum_of_squares(self, part: Part) -> Float:
        """Sum of squares (voxels,) of cleaned voxels about their mean; 0: rounding, or no data."""


def algebra_of(moments: RunMoments) -> Algebra:
    """Choose the algebra that fits the sums."""
    cleaning = moments.cleaning
    if isinstance(cleaning, Retention):
        return _LeftAlgebra(moments, cleaning)
    return _RemovedAlgebra(moments, cleaning)


class _RemovedAlgebra(Algebra):
    """Cleaned sums from what is removed: y - Z L Z'y."""

    def __init__(self, moments: RunMoments, cleaning: Removal) -> None:
        super().__init__(moments)
        features, weights = moments.features, series_weights(moments)
        self.projections, self.of_projections = len(weights), weights
        self.columns = features[:, self.projections :]
        # Z is orthonormal up to the rounding of its stored type; betas = sums @ inverse.
        self.inverse = np.linalg.inv(self.columns.T @ self.columns) @ cleaning.weights.T
        raw = features[:, : self.projections] @ weights
        gamma = self.inverse.T @ (self.columns.T @ raw)
        # series = features @ weights
        self.weights = np.vstack([weights, -gamma])
        # Several sets' series are mixed from the same projections, which are fewer.
        self.shares = moments.voxels.combine is not None
        if self.shares:
            projections = features[:, : self.projections]
            self.taken = self.inverse.T @ (self.columns.T @ projections)
            self.cleaned = projections - self.columns @ self.taken
        self.series = self._clean_series(raw, raw - self.columns @ gamma)

    def part(self, pieces: Sequence[int], mixing: Float | None = None) -> _RemovedPart:
        return _RemovedPart(self, pieces, mixing)

    def voxels(self, low: int, high: int) -> _RemovedSums:
        return _RemovedSums(self, low, high)


class _RemovedPart(Part):
    def __init__(
        self, algebra: _RemovedAlgebra, pieces: Sequence[int], mixing: Float | None = None
    ) -> None:
        super().__init__(algebra, pieces, mixing)
        columns = algebra.columns[self.rows]
        self.intercept = float(columns[0, 0])
        self.shares = algebra.shares and self.scaled.shape[1] > algebra.projections
        if self.shares:
            # Once projections are cleaned, float32 is enough.
            self.mix = (algebra.of_projections @ self.scaled).astype(np.float32)
            cleaned = algebra.cleaned[self.rows]
            mean = cleaned.mean(axis=0)
            # As `weights` and `taken` below, of the projections instead of the series.
            self.projecting = -algebra.taken
            self.projecting[0] -= mean / self.intercept
            self.projections_taken = algebra.inverse @ (columns.T @ (cleaned - mean))
        self.weights = algebra.weights @ self.scaled
        # The first column is constant: it takes the mean away.
        self.weights[algebra.projections] -= self.series_mean / self.intercept
        # What cleaning takes, times the sums of the whole run with the columns.
        self.taken = algebra.inverse @ (columns.T @ self.series)
        self.columns_columns = columns.T @ columns
        self.columns_sum = columns.sum(axis=0)


class _RemovedSums(VoxelSums):
    def __init__(self, algebra: _RemovedAlgebra, low: int, high: int) -> None:
        self.algebra = algebra
        self.lost = algebra.moments.lost[low:high]
        self.cross = algebra.moments.cross(low, high)
        self.squares = algebra.moments.squares[:, low:high]
        self._within: dict[tuple[int, ...], Float] = {}
        self._left: dict[tuple[int, ...], Float] = {}
        self._projected: dict[tuple[int, ...], NDArray[np.float32]] = {}
        self.total = self._cross(tuple(range(len(self.cross))))[:, algebra.projections :]
        self.betas = self.total @ algebra.inverse

    def _cross(self, pieces: tuple[int, ...]) -> Float:
        """Add up pieces once: (voxels, rois + 1 + columns)."""
        if len(pieces) == 1:
            within: Float = self.cross[pieces[0]]
            return within
        if pieces not in self._within:
            first, second, *others = (self.cross[piece] for piece in pieces)
            self._within[pieces] = total = first + second
            for other in others:
                total += other
        return self._within[pieces]

    @property
    def mean(self) -> Float:
        frames = self.algebra.moments.design.frames_kept
        mean: Float = self.total[:, 0] / self.algebra.columns[0, 0] / frames
        return mean

    def covariance(self, part: Part) -> NDArray[np.floating]:
        assert isinstance(part, _RemovedPart)
        if part.shares:
            # A row of each ROI lies together, as in a connectome.
            mixed: NDArray[np.float32] = (part.mix.T @ self._with_projections(part).T).T
            return mixed
        covariance: Float = self._cross(part.pieces) @ part.weights
        covariance -= self.total @ part.taken
        return covariance

    def sum_of_squares(self, part: Part) -> Float:
        assert isinstance(part, _RemovedPart)
        if part.pieces not in self._left:  # it is the same however the series are mixed
            self._left[part.pieces] = self._squares_left(part)
        return self._left[part.pieces]

    def _with_projections(self, part: _RemovedPart) -> NDArray[np.float32]:
        """Sums (voxels, maps + 1) of cleaned voxels times cleaned, demeaned projections."""
        if part.pieces not in self._projected:
            cross, first = self._cross(part.pieces), self.algebra.projections
            found = cross[:, first:] @ part.projecting
            found += cross[:, :first]
            found -= self.total @ part.projections_taken
            self._projected[part.pieces] = found.astype(np.float32)
        return self._projected[part.pieces]

    def _squares_left(self, part: _RemovedPart) -> Float:
        cross = self._cross(part.pieces)[:, self.algebra.projections :]
        squares = self.squares[list(part.pieces)].sum(axis=0)
        residual_sum = cross[:, 0] / part.intercept - self.betas @ part.columns_sum
        left: Float = squares - residual_sum**2 / part.frames
        left -= np.einsum("vc,vc->v", self.betas, 2 * cross - self.betas @ part.columns_columns)
        left[self.lost | (left <= RESIDUAL_TOLERANCE * squares)] = 0.0
        return left


class _LeftAlgebra(Algebra):
    """Cleaned sums from what is left: E T'y."""

    def __init__(self, moments: RunMoments, cleaning: Retention) -> None:
        super().__init__(moments)
        self.courses = cleaning.courses
        self.intercept = float(cleaning.columns[0, 0])
        if moments.voxels.standardised:
            self.series = self._standardised_series()
            return
        weights = series_weights(moments)
        raw = moments.features[:, : len(weights)] @ weights
        self.series = self._clean_series(raw, self.courses @ (cleaning.columns[:, 1:].T @ raw))

    def _standardised_series(self) -> Float:
        """Solve ROI series on cleaned voxels of sd 1, whose courses the sums hold."""
        moments, frames = self.moments, len(self.courses)
        solved = moments.solved
        left = np.zeros((self.courses.shape[1], len(moments.maps) + 1))
        for low in range(0, moments.grey_voxels, VOXELS_AT_A_TIME):
            high = min(low + VOXELS_AT_A_TIME, moments.grey_voxels)
            own = self.voxels(low, high).left
            squares = (own**2).sum(axis=1)
            explained = squares <= RESIDUAL_TOLERANCE * moments.squares[0, low:high]
            solved[low:high][explained] = False
            scale = ratio(np.where(solved[low:high], np.sqrt(frames), 0.0), np.sqrt(squares))
            maps = np.vstack([moments.maps[:, low:high], np.ones((1, high - low))])
            left += (own * scale[:, None]).T @ maps.T
        series: Float = self.courses @ (left @ series_weights(moments, solved))
        return series

    def part(self, pieces: Sequence[int], mixing: Float | None = None) -> _LeftPart:
        return _LeftPart(self, pieces, mixing)

    def voxels(self, low: int, high: int) -> _LeftSums:
        return _LeftSums(self, low, high)


class _LeftPart(Part):
    def __init__(
        self, algebra: _LeftAlgebra, pieces: Sequence[int], mixing: Float | None = None
    ) -> None:
        super().__init__(algebra, pieces, mixing)
        courses = algebra.courses[self.rows]
        centred = courses - courses.mean(axis=0)
        self.courses_series = centred.T @ self.series
        self.courses_courses = centred.T @ centred
        self.share = self.frames / len(algebra.courses)


class _LeftSums(VoxelSums):
    def __init__(self, algebra: _LeftAlgebra, low: int, high: int) -> None:
        self.algebra = algebra
        self.lost = algebra.moments.lost[low:high]
        (sums,) = algebra.moments.cross(low, high)
        self.total, self.left = sums[:, 0], sums[:, 1:]
        self.squares = algebra.moments.squares[0, low:high]

    @property
    def mean(self) -> Float:
        mean: Float = self.total * self.algebra.intercept
        return mean

    def covariance(self, part: Part) -> Float:
        assert isinstance(part, _LeftPart)
        covariance: Float = self.left @ part.courses_series
        return covariance

    def sum_of_squares(self, part: Part) -> Float:
        assert isinstance(part, _LeftPart)
        left: Float = np.einsum("vc,vc->v", self.left @ part.courses_courses, self.left)
        left[self.lost | (left <= RESIDUAL_TOLERANCE * part.share * self.squares)] = 0.0
        return left


def cleaned_courses(moments: RunMoments, readout: Float) -> NDArray[np.float32]:
    """Return series of grey-matter voxels from sums with what cleaning leaves.

    Parameters
    ----------
    moments
        Of a whole run, whose cleaning is a `Retention`.
    readout
        (frames, left) that turns what is left into series.

    Returns
    -------
    (grey voxels, frames), in the order in which they are wanted; 0 where there is nothing but
    rounding.
    """
    voxels = moments.grey_voxels
    found, order = np.zeros((voxels, len(readout)), np.float32), moments.voxels.order
    for low in range(0, voxels, VOXELS_AT_A_TIME):
        high = min(low + VOXELS_AT_A_TIME, voxels)
        (sums,) = moments.cross(low, high)
        left = sums[:, 1:]
        real = (left**2).sum(axis=1) > RESIDUAL_TOLERANCE * moments.squares[0, low:high]
        real &= ~moments.lost[low:high]
        here = slice(low, high) if order is None else order[low:high]
        found[here] = np.where(real[:, None], left @ readout.T, 0.0)
    return found


def series_weights(moments: RunMoments, solved: NDArray[np.bool_] | None = None) -> Float:
    """(maps + 1, rois) weights that turn raw projections and voxel sums into ROI series.

    With maps demeaned over the voxels with data, M - m 1', series = G+ (b - m 1'y), where G is
    the demeaned maps' Gram matrix: the pseudo-inverse without an array of its size. Each set is
    solved by itself. `solved` (voxels,) are those with data; by default as the sums have them.
    """
    voxels = moments.voxels
    # Maps that are combined need the products of all; else sets have nothing to do with each other.
    blocks = voxels.set_rows if voxels.combine is None else (slice(None),)
    solved = moments.solved if solved is None else solved
    gram, mean = _demeaned_gram(moments.maps, solved, blocks)
    inverse = np.zeros((len(gram), voxels.rois))
    for rows in voxels.set_rows:
        if voxels.combine is None:
            inverse[rows, rows] = _inverse(gram[rows, rows])
        else:
            own = voxels.combine[rows]
            inverse[:, rows] = own.T @ _inverse(own @ gram @ own.T)
    return np.vstack([inverse, -mean @ inverse])


def _inverse(gram: Float) -> Float:
    values, vectors = np.linalg.eigh(gram)
    real = values > MAPS_TOLERANCE**2 * max(values[-1], 0.0)
    inverse: Float = (vectors[:, real] / values[real]) @ vectors[:, real].T
    # A map that is constant over these voxels has no series: rounding correlates with anything.
    constant = np.diagonal(gram) <= MAPS_TOLERANCE**2 * np.diagonal(gram).max()
    inverse[constant], inverse[:, constant] = 0.0, 0.0
    return inverse


def _demeaned_gram(
    maps: NDArray[np.floating], solved: NDArray[np.bool_], blocks: Sequence[slice]
) -> tuple[Float, Float]:
    """Return products of demeaned maps within blocks of them, 0 elsewhere, and the maps' means."""
    firsts = range(0, maps.shape[1], VOXELS_AT_A_TIME)
    some = [slice(low, low + VOXELS_AT_A_TIME) for low in firsts]
    some = [voxels for voxels in some if solved[voxels].any()]
    mean = np.zeros(len(maps))
    for voxels in some:
        mean += maps[:, voxels].astype(np.float64) @ solved[voxels]
    mean /= max(1, int(solved.sum()))
    gram = np.zeros((len(maps), len(maps)))
    for voxels in some:
        part = (maps[:, voxels] - mean[:, None]) * solved[voxels]
        for rows in blocks:
            gram[rows, rows] += part[rows] @ part[rows].T
    return gram, mean


def ratio(above: NDArray[np.floating], below: NDArray[np.floating]) -> Float:
    """Divide; 0 where that is undefined.

    Examples
    --------
    >>> import numpy as np
    >>> ratio(np.array([1.0, 2.0]), np.array([0.0, 4.0]))
    array([0. , 0.5])
    """
    defined = below > 0
    divided: Float = np.where(defined, above, 0.0) / np.where(defined, below, 1.0)
    return divided
