"""Cleaned ROI series, and cleaned correlations of voxels with them, from the sums of one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.design import Removal, Retention
from bids_dtg.connectome.moments import RESIDUAL_TOLERANCE, RunMoments

# Singular values of the ROI maps below this share of the largest count as zero, as in `pinv`;
# maps are float32, so smaller ones are rounding.
MAPS_TOLERANCE = 1e-6
# Voxels turned to float64 at a time.
VOXELS_AT_A_TIME = 2048

Float = NDArray[np.float64]


class Algebra:
    """Cleaned ROI series, and how the sums of a run turn into cleaned voxels, y - Z b.

    Where the sums are with what cleaning removes, Z are its time courses, and b = L Z'y follows
    from the sums. Sums with what it leaves, T'y, hold the cleaned voxels themselves, E T'y: then y
    counts as 0, Z is -E, and b are the sums.
    """

    series: Float  # (frames kept, rois), cleaned

    def __init__(self, moments: RunMoments) -> None:
        self.moments, cleaning = moments, moments.cleaning
        self.removed = isinstance(cleaning, Removal)
        self.projections = 0  # features before the time courses: maps and the sum over voxels
        self.shares = False
        if isinstance(cleaning, Retention):
            self.columns, self.intercept = -cleaning.courses, float(cleaning.columns[0, 0])
            weights = series_weights(moments)
            raw = moments.features[:, : len(weights)] @ weights
            left = cleaning.courses @ (cleaning.columns[:, 1:].T @ raw)
        else:
            features, weights = moments.features, series_weights(moments)
            self.projections, self.of_projections = len(weights), weights
            self.columns = features[:, self.projections :]
            self.intercept = float(self.columns[0, 0])
            # Z is orthonormal up to the rounding of its stored type; b = sums @ inverse.
            self.inverse = np.linalg.inv(self.columns.T @ self.columns) @ cleaning.weights.T
            projections = features[:, : self.projections]
            raw = projections @ weights
            gamma = self.inverse.T @ (self.columns.T @ raw)
            # series = features @ weights
            self.weights = np.vstack([weights, -gamma])
            # Several sets' series are mixed from the same projections, which are fewer.
            self.shares = moments.voxels.combine is not None
            if self.shares:
                self.taken = self.inverse.T @ (self.columns.T @ projections)
                self.cleaned = projections - self.columns @ self.taken
            left = raw - self.columns @ gamma
        # ROIs that the confounds explain are blanked: their rounding correlates with anything.
        size = ((raw - raw.mean(axis=0)) ** 2).sum(axis=0)
        left[:, (left**2).sum(axis=0) <= RESIDUAL_TOLERANCE * size] = 0.0
        self.series = left

    def rows(self, pieces: Sequence[int]) -> NDArray[np.intp]:
        """Positions of the pieces' frames among the kept ones."""
        edges = self.moments.segments.edges
        return np.concatenate([np.arange(edges[piece], edges[piece + 1]) for piece in pieces])


class Part:
    """A set of frames: cleaned ROI series, centred and of length 1 there; 0 where constant.

    Voxels' sums with them are divided by the voxels' own norms only. By `mixing` (rois, columns)
    the series are then mixed: a regression on all series costs no more than correlations do.
    """

    def __init__(
        self, algebra: Algebra, pieces: Sequence[int], mixing: Float | None = None
    ) -> None:
        self.pieces, self.mixed = tuple(pieces), mixing is not None
        rows = algebra.rows(pieces)
        self.frames = len(rows)
        series = algebra.series[rows]
        mean = series.mean(axis=0)
        centred = series - mean
        norms = np.sqrt((centred**2).sum(axis=0))
        # (rois, columns), what turns series into those of this part; 0 for one that is constant.
        mixing = np.eye(len(norms)) if mixing is None else mixing
        scaled = ratio(mixing, np.broadcast_to(norms[:, None], mixing.shape))
        self.series = centred @ scaled
        columns = algebra.columns[rows]
        self.taken = columns.T @ self.series  # of voxels, by b
        self.columns_columns = columns.T @ columns
        self.columns_sum = columns.sum(axis=0)
        self.shares = algebra.shares and scaled.shape[1] > algebra.projections
        if self.shares:
            # Once projections are cleaned, float32 is enough.
            self.mix = (algebra.of_projections @ scaled).astype(np.float32)
            cleaned = algebra.cleaned[rows]
            mean_cleaned = cleaned.mean(axis=0)
            # As `weights` and `taken`, of the projections instead of the series.
            self.projecting = -algebra.taken
            self.projecting[0] -= mean_cleaned / algebra.intercept
            self.projections_taken = columns.T @ (cleaned - mean_cleaned)
        if algebra.removed:
            self.weights = algebra.weights @ scaled
            # The first column is constant: it takes the mean away.
            self.weights[algebra.projections] -= (mean @ scaled) / algebra.intercept

    def correlation(self) -> Float:
        """Pearson r (rois, rois) of the series, where they are not mixed; 0 where undefined."""
        r: Float = np.clip(self.series.T @ self.series, -1.0, 1.0)
        return r


class VoxelSums:
    """The sums of the grey-matter voxels from `low` to `high`."""

    def __init__(self, algebra: Algebra, low: int, high: int) -> None:
        moments = algebra.moments
        self.algebra, self.lost = algebra, moments.lost[low:high]
        self.cross = moments.cross(low, high)
        self.squares = moments.squares[:, low:high]
        self._within: dict[tuple[int, ...], Float] = {}
        self._left: dict[tuple[int, ...], Float] = {}
        self._projected: dict[tuple[int, ...], NDArray[np.float32]] = {}
        total = self._cross(tuple(range(len(self.cross))))[:, algebra.projections :]
        self.betas = total @ algebra.inverse if algebra.removed else total[:, 1:]
        # Mean (voxels,) over the kept frames, less the subtracted volume.
        self.mean: Float = total[:, 0] / algebra.intercept / moments.design.frames_kept

    def correlate(self, part: Part) -> NDArray[np.floating]:
        """Pearson r (voxels, rois) of cleaned voxels and cleaned ROI series in a part, mixed."""
        r = self._covariance(part)
        norms = ratio(np.ones(len(r)), np.sqrt(self.sum_of_squares(part)))
        r *= norms.astype(r.dtype, copy=False)[:, None]
        return r if part.mixed else np.clip(r, -1.0, 1.0, out=r)

    def sum_of_squares(self, part: Part) -> Float:
        """Sum of squares (voxels,) of cleaned voxels about their mean; 0: rounding, or no data."""
        if part.pieces not in self._left:  # it is the same however the series are mixed
            self._left[part.pieces] = self._squares_left(part)
        return self._left[part.pieces]

    def _covariance(self, part: Part) -> NDArray[np.floating]:
        """Sums (voxels, rois) of cleaned voxels times cleaned, demeaned ROI series."""
        if part.shares:
            # A row of each ROI lies together, as in a connectome.
            mixed: NDArray[np.float32] = (part.mix.T @ self._with_projections(part).T).T
            return mixed
        taken: Float = self.betas @ part.taken
        if not self.algebra.removed:
            taken *= -1.0
            return taken
        covariance: Float = self._cross(part.pieces) @ part.weights
        covariance -= taken
        return covariance

    def _cross(self, pieces: tuple[int, ...]) -> Float:
        """Add up pieces once: (voxels, features)."""
        if len(pieces) == 1:
            within: Float = self.cross[pieces[0]]
            return within
        if pieces not in self._within:
            first, second, *others = (self.cross[piece] for piece in pieces)
            self._within[pieces] = total = first + second
            for other in others:
                total += other
        return self._within[pieces]

    def _with_projections(self, part: Part) -> NDArray[np.float32]:
        """Sums (voxels, maps + 1) of cleaned voxels times cleaned, demeaned projections."""
        if part.pieces not in self._projected:
            cross, first = self._cross(part.pieces), self.algebra.projections
            found = cross[:, first:] @ part.projecting
            found += cross[:, :first]
            found -= self.betas @ part.projections_taken
            self._projected[part.pieces] = found.astype(np.float32)
        return self._projected[part.pieces]

    def _squares_left(self, part: Part) -> Float:
        residual_sum, products = -self.betas @ part.columns_sum, self.betas @ part.columns_columns
        if self.algebra.removed:
            cross = self._cross(part.pieces)[:, self.algebra.projections :]
            residual_sum += cross[:, 0] / self.algebra.intercept
            products -= 2 * cross
            squares = self.squares[list(part.pieces)].sum(axis=0)
        else:
            squares = self.squares[0] * (part.frames / self.algebra.moments.design.frames_kept)
        left: Float = np.where(self.algebra.removed, squares, 0.0) - residual_sum**2 / part.frames
        left += np.einsum("vc,vc->v", self.betas, products)
        left[self.lost | (left <= RESIDUAL_TOLERANCE * squares)] = 0.0
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


def series_weights(moments: RunMoments) -> Float:
    """(maps + 1, rois) weights that turn raw projections and voxel sums into ROI series.

    With maps demeaned over the voxels with data, M - m 1', series = G+ (b - m 1'y), where G is
    the demeaned maps' Gram matrix: the pseudo-inverse without an array of its size. Each set is
    solved by itself.
    """
    voxels = moments.voxels
    # Maps that are combined need the products of all; else sets have nothing to do with each other.
    blocks = voxels.set_rows if voxels.combine is None else (slice(None),)
    gram, mean = _demeaned_gram(moments.maps, moments.solved, blocks)
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
