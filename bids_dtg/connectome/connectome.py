"""Connectomes of a run, its segments and its halves, from the sums of one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.arrays import one_blas_thread
from bids_dtg.connectome.moments import RunMoments

# Singular values of the ROI maps below this share of the largest count as zero, as in `pinv`;
# maps are float32, so smaller ones are rounding.
MAPS_TOLERANCE = 1e-6
# Of a voxel's or ROI's sum of squares, less than this left after cleaning is rounding.
RESIDUAL_TOLERANCE = 1e-6
# Voxels turned to float64 at a time.
_VOXELS = 2048

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Connectome:
    """Pearson r of each grey-matter voxel with each ROI over some of a run's frames."""

    r: NDArray[np.float32]  # (rois, grey-matter voxels), 0 where undefined
    frames: int  # kept frames it rests on
    seconds: float  # their time

    def __post_init__(self) -> None:
        if self.r.ndim != 2:
            raise ValueError(f"a connectome is (rois, voxels), not {self.r.shape}")


@dataclass(frozen=True, eq=False)
class RunConnectomes:
    """All that one pass over a run gives; cleaning has used the whole run throughout."""

    segments: tuple[Connectome, ...]  # equal consecutive parts of the run
    whole: Connectome | None  # all kept frames; None if not asked for and not the only segment
    odd: Connectome | None  # odd pieces of the run, half of it; None if not asked for
    even: Connectome | None  # the other half
    agreement: NDArray[np.float32]  # (grey-matter voxels,), of the halves, as profile_agreement
    covered: NDArray[np.bool_]  # (grey-matter voxels,), with data that vary over the kept frames
    roi_coverage: Float  # (rois,), share of a map's absolute weight that lies on covered voxels
    series: Float  # (frames kept, rois), cleaned ROI series
    roi_r: Float  # (rois, rois), Pearson r of the cleaned ROI series, 0 where undefined
    tsnr: NDArray[np.float32]  # (grey-matter voxels,), mean / sd of residuals; 0 if not covered

    @property
    def coverage(self) -> float:
        """Share of grey-matter voxels that are covered."""
        return float(self.covered.mean())

    @property
    def median_tsnr(self) -> float:
        """Median over covered grey-matter voxels, 0 if there are none."""
        return float(np.median(self.tsnr[self.covered])) if self.covered.any() else 0.0

    @property
    def reliability(self) -> float:
        """Median agreement of the halves over covered voxels; NaN if none, or under three ROIs."""
        if not self.covered.any() or len(self.roi_r) < 3:
            return float("nan")
        return float(np.median(self.agreement[self.covered]))


def profile_agreement(
    odd: NDArray[np.floating], even: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Correlate, across ROIs, the profiles that each voxel has in two halves of a run.

    Parameters
    ----------
    odd, even
        (voxels, rois) correlations with the ROIs.

    Returns
    -------
    (voxels,) Pearson r; 0 where undefined.
    """
    one = odd - odd.mean(axis=1, keepdims=True)
    two = even - even.mean(axis=1, keepdims=True)
    product = np.einsum("vr,vr->v", one, two)
    norm = np.sqrt(np.einsum("vr,vr->v", one, one) * np.einsum("vr,vr->v", two, two))
    return _ratio(product, norm)


def run_connectomes(
    moments: RunMoments, *, every_part: bool = True, threads: int = 1
) -> RunConnectomes:
    """Solve the ROI series, clean, and correlate, for the whole run and its parts.

    Parameters
    ----------
    moments
        The sums of a whole run.
    every_part
        Keep the connectomes of the whole run and of its halves beside those of the segments.
    threads
        Threads to compute with.

    Raises
    ------
    ValueError
        Some kept frames have not been added.
    """
    if not moments.seen.all():
        raise ValueError(f"{moments.seen.sum()} of {len(moments.seen)} kept frames were added")
    algebra, parts = _Algebra(moments), moments.segments
    shape = (len(moments.maps), moments.grey_voxels)
    only = len(parts.sets) == 1
    made = {
        pieces: np.zeros(shape, np.float32)
        for pieces in (*parts.sets, *((parts.whole, parts.odd, parts.even) if every_part else ()))
    }
    agreement, tsnr = _correlate(moments, algebra, made, threads)

    def connectome(pieces: tuple[int, ...]) -> Connectome:
        frames = len(_rows(moments, pieces))
        return Connectome(made[pieces], frames, frames * moments.design.tr_seconds)

    segments = tuple(connectome(pieces) for pieces in parts.sets)
    varying = moments.varying
    return RunConnectomes(
        segments=segments,
        whole=segments[0] if only else connectome(parts.whole) if every_part else None,
        odd=connectome(parts.odd) if every_part else None,
        even=connectome(parts.even) if every_part else None,
        agreement=agreement,
        covered=varying[: moments.grey_voxels],
        roi_coverage=_roi_coverage(moments.maps, varying),
        series=algebra.series,
        roi_r=_correlation(algebra.series),
        tsnr=tsnr,
    )


def raw_series(moments: RunMoments) -> Float:
    """ROI series before cleaning, of mean zero: stage 1 of dual regression.

    Returns
    -------
    (frames kept, rois): pinv of the spatially demeaned maps times the temporally demeaned BOLD.
    """
    weights = _series_weights(moments)
    series = moments.features[:, : len(weights)] @ weights
    centred: Float = series - series.mean(axis=0)
    return centred


class _Algebra:
    """What the whole run fixes: ROI series and confound betas."""

    def __init__(self, moments: RunMoments) -> None:
        self.moments = moments
        self.features = moments.features
        weights = _series_weights(moments)
        self.projections = len(weights)
        self.design = self.features[:, self.projections :]
        # The design is orthonormal up to the rounding of its stored type.
        self.inverse = np.linalg.inv(self.design.T @ self.design)
        raw = self.features[:, : self.projections] @ weights
        gamma = self.inverse @ (self.design.T @ raw)
        # series = features @ weights
        self.weights = np.vstack([weights, -gamma])
        self.series = raw - self.design @ gamma
        # A ROI that the confounds explain has rounding left, which correlates with anything.
        size = ((raw - raw.mean(axis=0)) ** 2).sum(axis=0)
        self.series[:, (self.series**2).sum(axis=0) <= RESIDUAL_TOLERANCE * size] = 0.0


class _Part:
    """What is needed to correlate within some pieces: a set of frames, demeaned there."""

    def __init__(self, algebra: _Algebra, pieces: Sequence[int]) -> None:
        self.pieces = list(pieces)
        rows = _rows(algebra.moments, pieces)
        self.frames = len(rows)
        design, series = algebra.design[rows], algebra.series[rows]
        self.intercept = float(design[0, 0])
        self.weights = algebra.weights.copy()
        # The first column of the design is constant: it takes the mean away.
        self.weights[algebra.projections] -= series.mean(axis=0) / self.intercept
        series = series - series.mean(axis=0)
        self.norms = np.sqrt((series**2).sum(axis=0))
        self.design_series = design.T @ series
        self.design_design = design.T @ design
        self.design_sum = design.sum(axis=0)

    def correlate(self, cross: Float, squares: Float, betas: Float, confounds: int) -> Float:
        """Pearson r (voxels, rois) of cleaned voxels and cleaned ROI series.

        `cross` (voxels, features) and `squares` (voxels,) are the part's sums, `betas`
        (voxels, columns) the confound weights of the whole run.
        """
        covariance = cross @ self.weights - betas @ self.design_series
        norms = np.sqrt(self.sum_of_squares(cross[:, confounds:], squares, betas))
        return np.clip(_ratio(covariance, norms[:, None] * self.norms), -1.0, 1.0)

    def sum_of_squares(self, cross: Float, squares: Float, betas: Float) -> Float:
        """Sum of squares (voxels,) of the residuals about their mean; 0 where it is rounding."""
        residual_sum = cross[:, 0] / self.intercept - betas @ self.design_sum
        total: Float = squares - residual_sum**2 / self.frames
        total -= np.einsum("vc,vc->v", betas, 2 * cross - betas @ self.design_design)
        total[total <= RESIDUAL_TOLERANCE * squares] = 0.0
        return total


def _correlate(
    moments: RunMoments,
    algebra: _Algebra,
    wanted: Mapping[tuple[int, ...], NDArray[np.float32]],
    threads: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Go through the grey-matter voxels once: fill in r (rois, voxels) of the sets of pieces.

    Returns the agreement of the halves and tSNR, both (voxels,).
    """
    voxels, halves = moments.grey_voxels, (moments.segments.odd, moments.segments.even)
    whole = _Part(algebra, moments.segments.whole)
    parts = {pieces: _Part(algebra, pieces) for pieces in {*wanted, *halves}}
    agreement, tsnr = np.zeros(voxels, np.float32), np.zeros(voxels, np.float32)
    squares = moments.squares[:, :voxels]
    confounds, frames = algebra.projections, moments.design.frames_kept
    freedom = frames - moments.design.rank

    def fill(low: int) -> None:
        high = min(low + _VOXELS, voxels)
        sums, here = moments.cross(low, high), squares[:, low:high]
        total = sums.sum(axis=0)
        betas = total[:, confounds:] @ algebra.inverse
        r = {
            pieces: part.correlate(
                sums[part.pieces].sum(axis=0), here[part.pieces].sum(axis=0), betas, confounds
            )
            for pieces, part in parts.items()
        }
        for pieces, filled in wanted.items():
            filled[:, low:high] = r[pieces].T
        agreement[low:high] = profile_agreement(*(r[half] for half in halves))
        mean = moments.reference[low:high] + total[:, confounds] / whole.intercept / frames
        left = whole.sum_of_squares(total[:, confounds:], here.sum(axis=0), betas)
        tsnr[low:high] = _ratio(mean, np.sqrt(left / freedom))

    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, range(0, voxels, _VOXELS)))
    return agreement, tsnr


def _rows(moments: RunMoments, pieces: Sequence[int]) -> NDArray[np.intp]:
    """Positions of the pieces' frames among the kept ones."""
    edges = moments.segments.edges
    return np.concatenate([np.arange(edges[piece], edges[piece + 1]) for piece in pieces])


def _series_weights(moments: RunMoments) -> Float:
    """(rois + 1, rois) weights that turn raw projections and voxel sums into ROI series.

    With maps demeaned over the voxels with data, M - m 1', series = G+ (b - m 1'y), where G is
    the demeaned maps' Gram matrix: the pseudo-inverse without an array of its size.
    """
    gram, mean = _demeaned_gram(moments.maps, moments.solved)
    values, vectors = np.linalg.eigh(gram)
    real = values > MAPS_TOLERANCE**2 * max(values[-1], 0.0)
    inverse = (vectors[:, real] / values[real]) @ vectors[:, real].T
    return np.vstack([inverse, -mean @ inverse])


def _demeaned_gram(maps: NDArray[np.floating], solved: NDArray[np.bool_]) -> tuple[Float, Float]:
    count = max(1, int(solved.sum()))
    mean = np.zeros(len(maps))
    for low in range(0, maps.shape[1], _VOXELS):
        mean += maps[:, low : low + _VOXELS].astype(np.float64) @ solved[low : low + _VOXELS]
    mean /= count
    gram = np.zeros((len(maps), len(maps)))
    for low in range(0, maps.shape[1], _VOXELS):
        here = solved[low : low + _VOXELS]
        part = (maps[:, low : low + _VOXELS] - mean[:, None]) * here
        gram += part @ part.T
    return gram, mean


def _roi_coverage(maps: NDArray[np.floating], covered: NDArray[np.bool_]) -> Float:
    total, held = np.zeros(len(maps)), np.zeros(len(maps))
    for low in range(0, maps.shape[1], _VOXELS):
        weight = np.abs(maps[:, low : low + _VOXELS]).astype(np.float64)
        total += weight.sum(axis=1)
        held += weight @ covered[low : low + _VOXELS]
    return _ratio(held, total)


def _correlation(series: Float) -> Float:
    centred = series - series.mean(axis=0)
    covariance = centred.T @ centred
    norms = np.sqrt(np.diag(covariance))
    return np.clip(_ratio(covariance, np.outer(norms, norms)), -1.0, 1.0)


def _ratio(above: NDArray[np.floating], below: NDArray[np.floating]) -> Float:
    """Divide; 0 where that is undefined."""
    defined = below > 0
    ratio: Float = np.where(defined, above, 0.0) / np.where(defined, below, 1.0)
    return ratio
