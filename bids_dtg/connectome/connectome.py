"""Connectomes of a run, its segments and its halves, from the sums of one pass."""

from __future__ import annotations

import os
from collections.abc import Sequence
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

    whole: Connectome  # all kept frames
    segments: tuple[Connectome, ...]  # equal consecutive parts; only the whole if there is one
    odd: Connectome  # first halves of all segments
    even: Connectome  # second halves of all segments
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
        """Agreement of the odd and even halves, see `reliability`."""
        return reliability(self.odd.r, self.even.r, self.covered)


def reliability(
    odd: NDArray[np.float32], even: NDArray[np.float32], covered: NDArray[np.bool_]
) -> float:
    """Median over covered voxels of the correlation, across ROIs, of a voxel's two profiles.

    Parameters
    ----------
    odd, even
        (rois, voxels) connectomes of two halves of a run.
    covered
        (voxels,).

    Returns
    -------
    The median r; NaN if no voxel is covered or there are fewer than three ROIs.
    """
    if not covered.any() or len(odd) < 3:
        return float("nan")
    one, two = odd - odd.mean(axis=0), even - even.mean(axis=0)
    product = np.einsum("rv,rv->v", one, two)
    norm = np.sqrt(np.einsum("rv,rv->v", one, one) * np.einsum("rv,rv->v", two, two))
    return float(np.median(_ratio(product, norm)[covered]))


def run_connectomes(moments: RunMoments) -> RunConnectomes:
    """Solve the ROI series, clean, and correlate, for the whole run and its parts.

    Raises
    ------
    ValueError
        Some kept frames have not been added.
    """
    if not moments.seen.all():
        raise ValueError(f"{moments.seen.sum()} of {len(moments.seen)} kept frames were added")
    algebra = _Algebra(moments)
    segments = moments.segments
    wanted = [segments.whole, segments.odd, segments.even]
    if len(segments.sets) > 1:
        wanted += segments.sets
    maps, tsnr = _correlate(moments, algebra, [_Part(algebra, pieces) for pieces in wanted])
    tr_seconds = moments.design.tr_seconds
    made = []
    for r, pieces in zip(maps, wanted, strict=True):
        frames = len(_rows(moments, pieces))
        made.append(Connectome(r, frames, frames * tr_seconds))
    whole, odd, even, *parts = made
    varying = moments.varying
    return RunConnectomes(
        whole=whole,
        segments=tuple(parts) or (whole,),
        odd=odd,
        even=even,
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
    moments: RunMoments, algebra: _Algebra, parts: Sequence[_Part]
) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """Go through the grey-matter voxels once: r (rois, voxels) of each part, and tSNR."""
    voxels, rois = moments.grey_voxels, len(moments.maps)
    maps = [np.zeros((rois, voxels), np.float32) for _ in parts]
    tsnr = np.zeros(voxels, np.float32)
    squares = moments.squares[:, :voxels]
    confounds, frames = algebra.projections, moments.design.frames_kept
    freedom = frames - moments.design.rank

    def fill(low: int) -> None:
        high = min(low + _VOXELS, voxels)
        pieces = moments.cross(low, high)
        total, total_squares = pieces.sum(axis=0), squares[:, low:high].sum(axis=0)
        betas = total[:, confounds:] @ algebra.inverse
        for r, part in zip(maps, parts, strict=True):
            cross = pieces[part.pieces].sum(axis=0)
            part_squares = squares[part.pieces, low:high].sum(axis=0)
            r[:, low:high] = part.correlate(cross, part_squares, betas, confounds).T
        mean = moments.reference[low:high] + total[:, confounds] / parts[0].intercept / frames
        left = parts[0].sum_of_squares(total[:, confounds:], total_squares, betas)
        tsnr[low:high] = _ratio(mean, np.sqrt(left / freedom))

    with one_blas_thread(), ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(fill, range(0, voxels, _VOXELS)))
    return maps, tsnr


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
