"""Connectomes of a run, its segments and its halves, from the sums of one pass.

Cleaned ROI series and their correlations with cleaned voxels follow by algebra. A cleaned voxel is
y - Z b, where Z are the time courses that cleaning removes, and b = L Z'y follows from the sums.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, repeat

import numpy as np

from bids_dtg.array_types import Float32, Float64, Floats, Indices, Mask, Values
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.connectome.hemispheres import homotopic_rank
from bids_dtg.connectome.moments import (
    RESIDUAL_TOLERANCE,
    RunMoments,
    RunVoxels,
    measure_run,
    ratio,
)
from bids_dtg.connectome.passes import Blocks
from bids_dtg.engine.machine import one_blas_thread

# Singular values of the ROI maps below this fraction of the largest count as zero, as in `pinv`.
# Maps are float32, so smaller ones are rounding errors.
MAPS_TOLERANCE = 1e-6
# Number of voxels that are converted to float64 at a time.
VOXELS_AT_A_TIME = 2048
# A lower value means that the mean was subtracted, as real BOLD has above 10.
_LEAST_TSNR = 1.0
_FRAMES = 64  # number of frames of an array that are processed at a time

Pieces = tuple[int, ...]  # numbers of pieces of a run, from 0


@dataclass(frozen=True, eq=False)
class Connectome:
    """A connectome of grey-matter voxels with ROIs over some frames of a run, in one form."""

    # (rois, grey-matter voxels), values of the form, 0 where undefined
    r: Float32
    frames: int  # number of kept frames from which it was computed
    seconds: float  # duration of these frames
    # Kept frames minus degrees of freedom used by cleaning, including filters; NaN if unknown.
    residual_dof: float = np.nan
    form: Form = MARGINAL  # the form of the values
    # (rois, rois), Pearson r of the ROI series; None if not kept
    roi_r: Float64 | None = None
    # Sums of squares about the mean, of cleaned places (places,), 0 without data, and of ROI
    # series (rois,); needed to join runs. None if not kept.
    scatter: tuple[Float64, Float64] | None = None
    # Factor of the deviation of maps from the group's, where places mix those of the person.
    deviation: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.r, np.ndarray) or self.r.dtype.kind not in "biuf":
            kind = getattr(self.r, "dtype", type(self.r).__name__)
            raise TypeError(f"a connectome is an array of real numbers, not {kind}")
        if self.r.ndim != 2:
            raise ValueError(f"a connectome is (rois, voxels), not {self.r.shape}")

    def of_rows(self, rows: slice) -> Connectome:
        """Return the connectome of the ROIs of one set."""
        scatter = self.scatter
        if scatter is not None:
            place_scatter, roi_scatter = scatter
            scatter = (place_scatter, roi_scatter[rows])
        return replace(
            self,
            r=self.r[rows],
            roi_r=None if self.roi_r is None else self.roi_r[rows, rows],
            form=replace(self.form, sets=()),
            scatter=scatter,
        )

    @property
    def marginal(self) -> Float32:
        """Pearson r (rois, grey-matter voxels), whatever the form of `r`."""
        if self.roi_r is None:
            return self.r
        marginal = self.form.marginal(self.r, self.roi_r)
        return marginal.astype(np.float32, copy=False)

    def joined(self, second: Connectome) -> Connectome:
        """Return the connectome over the frames of two runs, each centred on its own mean.

        Correlations are quotients of sums of products, and these sums add up over runs. The joined
        connectome therefore follows from both connectomes and their `scatter`.

        Examples
        --------
        Joining a run with itself gives the same correlations and twice the frames:

        >>> import numpy as np
        >>> r = np.array([[0.5, -0.2]], np.float32)
        >>> run = Connectome(r, 100, 200.0, scatter=(np.array([9.0, 4.0]), np.ones(1)))
        >>> joined = run.joined(run)
        >>> np.allclose(joined.r, r), joined.frames
        (True, 200)
        """
        assert self.scatter is not None
        assert second.scatter is not None
        place_scatter = self.scatter[0] + second.scatter[0]
        roi_scatter = self.scatter[1] + second.scatter[1]
        r = np.zeros(self.r.shape, np.float32)
        roi_r = np.zeros((len(roi_scatter), len(roi_scatter)))
        for run, scatter in ((self, self.scatter), (second, second.scatter)):
            place_norms = np.sqrt(ratio(scatter[0], place_scatter))
            roi_norms = np.sqrt(ratio(scatter[1], roi_scatter))
            products = run.marginal * roi_norms[:, None].astype(np.float32)
            products *= place_norms.astype(np.float32)
            r += products
            if run.roi_r is not None:
                roi_r += run.roi_r * np.outer(roi_norms, roi_norms)
        np.clip(r, -1.0, 1.0, out=r)
        if self.form.joint:
            r[:] = self.form.mixing(roi_r).T.astype(np.float32) @ r
        return replace(
            self,
            r=r,
            frames=self.frames + second.frames,
            seconds=self.seconds + second.seconds,
            residual_dof=self.residual_dof + second.residual_dof,
            roi_r=None if self.roi_r is None else roi_r,
            scatter=(place_scatter, roi_scatter),
            deviation=min(self.deviation, second.deviation),
        )


@dataclass(frozen=True, eq=False)
class RunConnectomes:
    """All results of one pass over a run; cleaning always used the whole run."""

    segments: tuple[Connectome, ...]  # equal consecutive parts of the run
    # Over all kept frames; None if not requested and several segments.
    whole: Connectome | None
    # (grey-matter voxels,), `profile_agreement` of two halves of the run: its odd and even pieces
    agreement: Float32
    # (grey-matter voxels,), whether data vary over the kept frames
    covered: Mask
    # (rois,), fraction of a map's absolute weight that is on covered voxels
    roi_coverage: Float64
    series: Float64  # (frames kept, rois), cleaned ROI series
    # (rois, rois), Pearson r of the cleaned ROI series, 0 where undefined
    roi_r: Float64
    # (grey-matter voxels,), mean / sd of residuals; 0 if not covered
    tsnr: Float32
    # Kept frames minus those used by cleaning; NaN if unknown.
    residual_dof: float = np.nan
    # `hemispheres.homotopic_rank` of parcels; NaN if unknown.
    homotopic_rank: float = np.nan

    def with_one_set(self) -> RunConnectomes:
        """Return the results of the set nearest to 50 ROIs; itself if there is only one set."""
        form = self.segments[0].form if self.segments else MARGINAL
        return self.of_rows(form.one_set(len(self.roi_r))) if form.sets else self

    def of_rows(self, rows: slice) -> RunConnectomes:
        """Return the results of the ROIs of one set."""
        return replace(
            self,
            segments=tuple(part.of_rows(rows) for part in self.segments),
            whole=self.whole and self.whole.of_rows(rows),
            roi_coverage=self.roi_coverage[rows],
            series=self.series[:, rows],
            roi_r=self.roi_r[rows, rows],
        )

    def with_deviation(self, factor: float) -> RunConnectomes:
        """Return the results with a factor of the deviation of maps from the group's."""
        segments = tuple(replace(part, deviation=factor) for part in self.segments)
        whole = self.whole and replace(self.whole, deviation=factor)
        return replace(self, segments=segments, whole=whole)

    @property
    def coverage(self) -> float:
        """Fraction of grey-matter voxels that are covered."""
        return float(self.covered.mean())

    @property
    def median_tsnr(self) -> float:
        """Median tSNR over covered grey-matter voxels; 0 if there are none, NaN without a mean."""
        if not self.covered.any():
            return 0.0
        median = float(np.median(self.tsnr[self.covered]))
        return median if abs(median) >= _LEAST_TSNR else np.nan

    @property
    def reliability(self) -> float:
        """Median agreement of halves over covered voxels; NaN if none, or fewer than three ROIs."""
        if not self.covered.any() or len(self.roi_r) < 3:
            return np.nan
        return float(np.median(self.agreement[self.covered]))


def profile_agreement(odd: Floats, even: Floats) -> Floats:
    """Correlate each voxel's profiles across ROIs between two halves of a run.

    Parameters
    ----------
    odd, even
        (voxels, rois) correlations with the ROIs.

    Returns
    -------
    (voxels,) Pearson r; 0 where undefined.

    Examples
    --------
    >>> import numpy as np
    >>> odd = np.random.default_rng(0).standard_normal((2, 50))
    >>> profile_agreement(odd, odd + 1).round(3)
    array([1., 1.])
    """
    odd = odd - odd.mean(axis=1, keepdims=True)
    even = even - even.mean(axis=1, keepdims=True)
    product = np.einsum("vr,vr->v", odd, even)
    odd_squares = np.einsum("vr,vr->v", odd, odd)
    even_squares = np.einsum("vr,vr->v", even, even)
    return ratio(product, np.sqrt(odd_squares * even_squares))


# Long, as all parts of a run are filled from each group of voxels, while it is in the cache.
def run_connectomes(
    moments: RunMoments,
    *,
    keep_whole: bool = True,
    scatter: bool = False,
    threads: int = 1,
) -> RunConnectomes:
    """Compute ROI series, clean, and correlate, for the whole run and its parts.

    Quality metrics of the run, such as the agreement of its halves, always use the marginal form,
    so that runs can be compared between models.

    Parameters
    ----------
    moments
        The sums of a whole run; its voxels define the form of the connectomes.
    keep_whole
        Whether to return the connectome of the whole run in addition to those of the segments.
    scatter
        Whether to keep the sums of squares that are needed to join runs.
    threads
        Number of threads to compute with.
    """
    voxels = moments.voxels
    design = moments.design
    form = voxels.form
    rois = voxels.rois
    grey = voxels.grey_voxels
    series, weights = _cleaned_series(moments)
    sets = moments.segments.sets
    whole = moments.segments.whole
    halves = (moments.segments.odd, moments.segments.even)
    with_connectome = {*sets, whole} if keep_whole else {*sets}
    connectomes = {
        pieces: _empty_connectome(moments, pieces, series, scatter=scatter)
        for pieces in with_connectome
    }
    parts = {}
    for pieces in {*with_connectome, *halves, whole}:
        mixing = _mixing(moments, pieces, connectomes.get(pieces))
        parts[pieces] = _Part(moments, pieces, series, mixing, weights)
    profile_rows = form.one_set(rois)
    profile_rois = profile_rows.stop - profile_rows.start
    agreement = np.zeros(grey, np.float32)
    tsnr = np.zeros(grey, np.float32)
    mean = moments.mean

    def fill(low: int) -> None:
        group = slice(low, min(low + VOXELS_AT_A_TIME, grey))
        positions = voxels.result_positions(group)
        frames_or_sums = moments.frames_or_sums(group)
        profiles = []  # of the halves
        for pieces, part in parts.items():
            r, squares = part.correlate(group, frames_or_sums)
            if not form.joint:
                np.clip(r, -1.0, 1.0, out=r)
            connectome = connectomes.get(pieces)
            if connectome is not None:
                connectome.r[:, group] = r[:, :rois].T
                if connectome.scatter is not None:
                    connectome.scatter[0][positions] = squares
            if pieces in halves:
                profiles.append(np.clip(r[:, -profile_rois:], -1.0, 1.0))
            if pieces == whole:
                sd = np.sqrt(squares / (design.frames_kept - design.rank))
                tsnr[positions] = ratio(mean[group], sd)
        agreement[positions] = profile_agreement(*profiles)

    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, range(0, grey, VOXELS_AT_A_TIME)))
        if voxels.order is not None:
            # Row by row, which is several times faster than voxel by voxel.
            rows = chain.from_iterable(filled.r for filled in connectomes.values())
            list(pool.map(_reorder, rows, repeat(np.argsort(voxels.order))))
    covered = moments.varying & ~moments.lost
    segments = tuple(connectomes[pieces] for pieces in sets)
    return RunConnectomes(
        segments=segments,
        whole=segments[0] if len(segments) == 1 else connectomes.get(whole),
        agreement=agreement,
        covered=voxels.ordered(covered[:grey]),
        roi_coverage=_roi_coverage(voxels, covered, threads),
        series=series,
        roi_r=_correlation(series),
        tsnr=tsnr,
        residual_dof=design.residual_dof(),
        homotopic_rank=_homotopic_rank(moments),
    )


def _mixing(
    moments: RunMoments, pieces: Pieces, connectome: Connectome | None
) -> Float64:
    """Return the matrix (rois, columns) of `_Part`: what is computed of some pieces.

    Its columns are those of the connectome, if there is one, and then, for a half of the run, those
    of the profiles whose agreement is computed: Pearson r with one set of ROIs. In the marginal
    form, the connectome's columns are also the profile's.
    """
    form = moments.voxels.form
    rois = moments.voxels.rois
    halves = (moments.segments.odd, moments.segments.even)
    unmixed = np.eye(rois)
    mixings = [np.zeros((rois, 0))]
    if connectome is not None:
        roi_r = connectome.roi_r
        mixings.append(unmixed if roi_r is None else form.mixing(roi_r))
    if pieces in halves and (form.joint or connectome is None):
        mixings.append(unmixed[:, form.one_set(rois)])
    return np.hstack(mixings)


def _homotopic_rank(moments: RunMoments) -> float:
    """Return `homotopic_rank` of parcels whose frames are held; else NaN."""
    voxels = moments.voxels
    if voxels.homotopic is None:
        return np.nan
    frames = moments.frames_or_sums(slice(0, voxels.grey_voxels))
    if isinstance(frames, tuple):  # sums
        return np.nan
    return homotopic_rank(frames, voxels.homotopic)


def _empty_connectome(
    moments: RunMoments, pieces: Pieces, series: Float64, *, scatter: bool
) -> Connectome:
    """Return the connectome of some pieces, with zeros that are filled in later."""
    voxels = moments.voxels
    rows = moments.segments.rows(pieces)
    centred = series[rows] - series[rows].mean(axis=0)
    roi_scatter = (centred**2).sum(axis=0)
    return Connectome(
        r=np.zeros((voxels.rois, voxels.grey_voxels), np.float32),
        frames=len(rows),
        seconds=len(rows) * moments.design.tr_seconds,
        residual_dof=moments.design.residual_dof(rows),
        form=voxels.form,
        roi_r=_correlation(centred) if voxels.form.joint else None,
        scatter=(np.zeros(voxels.grey_voxels), roi_scatter) if scatter else None,
    )


class _Part:
    """Some pieces of a run, with the matrices that turn its sums into correlations.

    The ROI series are centred over these pieces, scaled to norm 1 (0 if constant), and mixed by
    `mixing` (rois, columns), so that a regression on all series costs no more than correlations.
    """

    def __init__(
        self,
        moments: RunMoments,
        pieces: Pieces,
        series: Float64,
        mixing: Float64,
        weights: Float64,
    ) -> None:
        self.moments = moments
        self.pieces = list(pieces)
        self.rows = moments.segments.rows(pieces)
        mean = series[self.rows].mean(axis=0)
        centred = series[self.rows] - mean
        norms = np.sqrt((centred**2).sum(axis=0))
        scaled_mixing = ratio(mixing, norms[:, None])
        self.series = centred @ scaled_mixing  # (frames, columns)
        self.weights = weights @ scaled_mixing  # series = features @ weights
        # Z, the time courses that cleaning removes: their products with the series and with each
        # other, and their sums.
        columns = moments.features[self.rows, -len(moments.inverse) :]
        self.column_series = columns.T @ self.series
        self.column_products = columns.T @ columns
        self.column_sums = columns.sum(axis=0)
        if not moments.voxels.form.joint:
            # The first time course is constant, so its weight removes the mean.
            constant_weight = (mean @ scaled_mixing) * moments.design.frames_kept**0.5
            self.weights[-columns.shape[1]] -= constant_weight

    def correlate(
        self,
        group: slice,
        frames_or_sums: Floats | tuple[Float64, Float64],
    ) -> tuple[Float64, Float64]:
        """Return correlations (voxels, columns), and sums of squares (voxels,) about the mean.

        Both are 0 for voxels without data, or with only rounding errors left after cleaning.

        Parameters
        ----------
        group, frames_or_sums
            The voxels, and what `RunMoments.frames_or_sums` returns for them.
        """
        raw_squares = self.moments.squares[self.pieces, group].sum(axis=0)
        if isinstance(frames_or_sums, tuple):
            sums_of_pieces, betas = frames_or_sums
            products, squares = self._from_sums(sums_of_pieces, betas, raw_squares)
        else:
            products, squares = self._from_frames(frames_or_sums)
        no_signal = squares <= RESIDUAL_TOLERANCE * raw_squares
        squares[self.moments.lost[group] | no_signal] = 0.0
        products *= ratio(np.ones(len(products)), np.sqrt(squares))[:, None]
        return products, squares

    def _from_frames(self, cleaned: Floats) -> tuple[Float64, Float64]:
        """Return products with the series (voxels, columns), and sums of squares (voxels,)."""
        frames = cleaned[self.rows].astype(np.float64)
        frames -= frames.mean(axis=0)
        return frames.T @ self.series, np.einsum("tv,tv->v", frames, frames)

    def _from_sums(
        self, sums_of_pieces: Float64, betas: Float64, raw_squares: Float64
    ) -> tuple[Float64, Float64]:
        """Return the same as `_from_frames`, from sums, for cleaned voxels y - Z b.

        Parameters
        ----------
        sums_of_pieces
            (pieces, voxels, features), sums of y times the features, of which Z are the last.
        betas
            (voxels, columns of Z), b.
        raw_squares
            (voxels,), sums of y^2 over these pieces.
        """
        sums = sums_of_pieces[self.pieces].sum(axis=0)
        with_columns = sums[:, -len(self.column_sums) :]  # Z'y
        # The first time course is constant.
        raw_sums = with_columns[:, 0] * self.moments.design.frames_kept**0.5
        cleaned_sums = raw_sums - betas @ self.column_sums
        products = sums @ self.weights - betas @ self.column_series
        # Σ(y - Z b)² = Σy² + b'(Z'Z b - 2 Z'y); about the mean, (Σ(y - Z b))² / n less.
        squares = raw_squares - cleaned_sums**2 / len(self.rows)
        change = betas @ self.column_products - 2 * with_columns
        squares += np.einsum("vc,vc->v", betas, change)
        return products, squares


def _cleaned_series(moments: RunMoments) -> tuple[Float64, Float64]:
    """Compute and clean the ROI series, (frames kept, rois).

    Also returns weights (features, rois), with series = features @ weights.
    """
    weights = series_weights(moments)
    features = moments.features
    raw = features[:, : len(weights)] @ weights
    if moments.voxels.form.joint:  # computed from frames that are already clean
        return raw, weights
    columns = features[:, len(weights) :]
    column_weights = moments.inverse.T @ (columns.T @ raw)
    cleaned: Float64 = raw - columns @ column_weights
    # ROIs that the confounds explain fully are set to 0, as their rounding errors would correlate.
    raw_squares = ((raw - raw.mean(axis=0)) ** 2).sum(axis=0)
    explained = (cleaned**2).sum(axis=0) <= RESIDUAL_TOLERANCE * raw_squares
    cleaned[:, explained] = 0.0
    return cleaned, np.vstack([weights, -column_weights])


def _reorder(row: Float32, order: Indices) -> None:
    row[:] = row[order]


def _roi_coverage(voxels: RunVoxels, covered: Mask, threads: int) -> Float64:
    """Return the fraction of each map's absolute weight that is on covered voxels, (rois,)."""
    combine = voxels.combine
    maps = voxels.maps if combine is None else voxels.maps[:, : voxels.grey_voxels]
    all_and_covered = np.stack([np.ones(len(covered)), covered], axis=1)

    def summed_weights(low: int) -> Float64:
        group = maps[:, low : low + VOXELS_AT_A_TIME]
        roi_maps = group if combine is None else combine @ group
        weight = np.abs(roi_maps).astype(np.float64)
        return np.asarray(weight @ all_and_covered[low : low + group.shape[1]])

    lows = range(0, maps.shape[1], VOXELS_AT_A_TIME)
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        sums: Float64 = np.sum([*pool.map(summed_weights, lows)], axis=0)
    return ratio(sums[:, 1], sums[:, 0])


def _correlation(series: Float64) -> Float64:
    centred = series - series.mean(axis=0)
    covariance = centred.T @ centred
    norms = np.sqrt(np.diag(covariance))
    return np.clip(ratio(covariance, np.outer(norms, norms)), -1.0, 1.0)


def cleaned_courses(moments: RunMoments, most: int) -> Float32:
    """Return cleaned series of grey-matter voxels, for a run whose frames are held.

    Parameters
    ----------
    moments
        The sums of a whole run.
    most
        Largest number of columns. A longer run is averaged over consecutive frames; each mean is
        multiplied by the root of its number of frames, so that the variance of noise is kept.

    Returns
    -------
    (grey voxels, frames or means), in the wanted order; 0 where only rounding errors are left.
    """
    frames_kept = moments.design.frames_kept
    grey = moments.grey_voxels
    even_edges = np.linspace(0, frames_kept, min(most, frames_kept) + 1)
    edges = np.rint(even_edges).astype(np.intp)
    courses = np.empty((grey, len(edges) - 1), np.float32)
    for low in range(0, grey, VOXELS_AT_A_TIME):
        group = slice(low, min(low + VOXELS_AT_A_TIME, grey))
        frames = moments.frames_or_sums(group)
        assert not isinstance(frames, tuple)
        frames = np.where(moments.lost[group], 0, frames)
        if frames_kept > most:
            sums = np.add.reduceat(frames, edges[:-1], axis=0)
            frames = sums / np.sqrt(np.diff(edges))[:, None]
        courses[moments.voxels.result_positions(group)] = frames.T
    return courses


def series_weights(moments: RunMoments) -> Float64:
    """Return weights (maps + 1, rois) that turn raw projections and voxel sums into ROI series.

    With maps demeaned over the voxels with data, M - m 1', series = G+ (b - m 1'y), where G is the
    Gram matrix of the demeaned maps. This equals the pseudo-inverse of the maps, but needs no array
    of that size. Each set of ROIs is solved separately.
    """
    voxels = moments.voxels
    gram, mean = _demeaned_gram(voxels.maps, moments.solved)
    inverse = np.zeros((len(gram), voxels.rois))
    for rows in voxels.form.set_rows(voxels.rois):
        if voxels.combine is None:
            inverse[rows, rows] = _inverse(gram[rows, rows])
        else:
            combine = voxels.combine[rows]
            inverse[:, rows] = combine.T @ _inverse(combine @ gram @ combine.T)
    return np.vstack([inverse, -mean @ inverse])


def _inverse(gram: Float64) -> Float64:
    values, vectors = np.linalg.eigh(gram)
    nonzero = values > MAPS_TOLERANCE**2 * max(values[-1], 0.0)
    spanning = vectors[:, nonzero]
    inverse: Float64 = (spanning / values[nonzero]) @ spanning.T
    # A map that is constant over these voxels has no series; it would be rounding errors only.
    squares = np.diagonal(gram)
    constant = squares <= MAPS_TOLERANCE**2 * squares.max()
    inverse[constant] = 0.0
    inverse[:, constant] = 0.0
    return inverse


def _demeaned_gram(maps: Floats, solved: Mask) -> tuple[Float64, Float64]:
    """Return the Gram matrix of demeaned maps, and the maps' means, over the solved voxels."""
    lows = range(0, maps.shape[1], VOXELS_AT_A_TIME)
    groups = [slice(low, low + VOXELS_AT_A_TIME) for low in lows]
    mean = np.zeros(len(maps))
    for group in groups:
        mean += maps[:, group].astype(np.float64) @ solved[group]
    mean /= max(1, int(solved.sum()))
    gram = np.zeros((len(maps), len(maps)))
    for group in groups:
        demeaned = (maps[:, group] - mean[:, None]) * solved[group]
        gram += demeaned @ demeaned.T
    return gram, mean


def roi_series(bold: Floats, maps: Floats) -> Float64:
    """Reduce BOLD to ROI series: stage 1 of dual regression (Serin et al. 2025, Methods).

    Parameters
    ----------
    bold
        (frames, voxels); voxels with a value that is not finite are left out.
    maps
        (rois, voxels) spatial maps, dimensionless weights.

    Returns
    -------
    (frames, rois) regression weights, not ROI means: the pseudo-inverse of the spatially
    demeaned maps times the temporally demeaned BOLD.

    Examples
    --------
    >>> import numpy as np
    >>> maps = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0]])
    >>> course = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    >>> np.allclose(roi_series(course @ maps, maps), course)
    True
    """
    moments = _measure(bold, maps, None, None)
    weights = series_weights(moments)
    series = moments.features[:, : len(weights)] @ weights
    return series - series.mean(axis=0)


def voxel_to_roi(
    bold: Floats,
    maps: Floats,
    confounds: Floats | None = None,
    keep: Mask | None = None,
) -> Float32:
    """Correlate each voxel with each ROI, after cleaning both.

    Parameters
    ----------
    bold
        (frames, voxels) BOLD signal, in any unit.
    maps
        (rois, voxels) spatial maps, dimensionless weights.
    confounds
        (frames, columns) to regress out; an intercept always is.
    keep
        (frames,), False for frames to remove; all are kept by default.

    Returns
    -------
    (rois, voxels) Pearson r; 0 where undefined (constant voxels, or values that are not finite).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> bold, maps = rng.standard_normal((100, 30)), rng.random((4, 30))
    >>> voxel_to_roi(bold, maps).shape
    (4, 30)
    """
    return run_connectomes(_measure(bold, maps, confounds, keep)).segments[0].r


def _measure(
    bold: Floats,
    maps: Floats,
    confounds: Floats | None,
    keep: Mask | None,
) -> RunMoments:
    bold = real_numbers(bold, "bold")
    maps = real_numbers(maps, "maps")
    if bold.ndim != 2 or maps.ndim != 2 or bold.shape[1] != maps.shape[1]:
        raise ValueError(
            f"bold is (frames, voxels) and maps (rois, voxels), not {bold.shape} and {maps.shape}"
        )
    if not np.isfinite(maps).all():
        raise ValueError("the maps hold values that are not finite")
    frames, voxels = bold.shape
    sizes = np.abs(bold, where=np.isfinite(bold), out=np.zeros(bold.shape))
    if sizes.size and sizes.max() > np.finfo(np.float32).max:
        raise ValueError(
            "bold has values beyond the range of float32. Expected: smaller units"
        )
    # The time between frames does not matter here, as there is one segment.
    design = array_design(confounds, keep, frames, 1.0)
    dtype = np.float32 if bold.dtype == np.float32 else np.float64

    def blocks() -> Blocks:
        for first in range(0, frames, _FRAMES):
            yield first, bold[first : first + _FRAMES].astype(dtype)

    valid = np.ones(voxels, dtype=bool)
    run_voxels = RunVoxels(maps.astype(dtype), voxels, valid, zeros_missing=False)
    return measure_run(
        blocks,
        design,
        run_voxels,
        outside=np.zeros(voxels, dtype=bool),
        segments=design.segments(float(2 * frames)),
    )


def real_numbers(values: object, name: str) -> Values:
    """Return values as an array, after checking that they are real numbers.

    Parameters
    ----------
    values
        The values to check.
    name
        Name of the array, for the error.

    Raises
    ------
    TypeError
        The values are texts, objects or complex numbers, or some of them are masked.

    Examples
    --------
    >>> real_numbers([1, 2], "bold").tolist()
    [1, 2]
    >>> real_numbers([1j], "bold")
    Traceback (most recent call last):
    TypeError: bold holds complex128. Expected: real numbers
    """
    if np.ma.isMaskedArray(values) and np.ma.getmaskarray(values).any():
        raise TypeError(
            f"{name} has masked values. Expected: an array with NaN there (filled)"
        )
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} holds {array.dtype}. Expected: real numbers")
    return array


def array_design(
    confounds: object, keep: object, frames: int, tr_seconds: float
) -> TemporalDesign:
    """Build a temporal design from arrays.

    Parameters
    ----------
    confounds
        (frames, columns); None for no columns.
    keep
        (frames,) bool; None keeps all frames.
    frames, tr_seconds
        Number of frames, and seconds between two frames.

    Raises
    ------
    TypeError
        Confounds are not real numbers, or `keep` is not boolean, as indices could be mistaken for
        truth values.
    ValueError
        A shape is wrong, a column has no finite number, or too few frames are left.
    """
    table = np.zeros((frames, 0))
    if confounds is not None:
        table = real_numbers(confounds, "confounds").astype(np.float64)
    if table.ndim != 2 or len(table) != frames:
        raise ValueError(f"confounds are {table.shape}. Expected: ({frames}, columns)")
    empty = np.flatnonzero(~np.isfinite(table).any(axis=0))
    if len(empty):
        raise ValueError(f"column {empty[0]} of the confounds has no finite number")
    flags = np.ones(frames, dtype=bool) if keep is None else np.asarray(keep)
    if flags.dtype != np.bool_:
        raise TypeError(
            f"keep holds {flags.dtype}. Expected: True or False for each frame"
        )
    if flags.shape != (frames,):
        raise ValueError(f"keep is {flags.shape}. Expected: ({frames},)")
    names = [f"column {index}" for index in range(table.shape[1])]
    return TemporalDesign.build(table, names, flags, tr_seconds)
