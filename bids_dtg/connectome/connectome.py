"""Connectomes of a run, its segments and its halves, from the sums of one pass.

Cleaned ROI series and their correlations with cleaned voxels follow by algebra. A cleaned voxel is
y - Z b, where Z are the time courses that cleaning removes, and b = L Z'y follows from the sums.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.checks import homotopic_rank
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.connectome.moments import (
    RESIDUAL_TOLERANCE,
    RunMoments,
    RunVoxels,
    measure_run,
    ratio,
)
from bids_dtg.connectome.passes import Blocks
from bids_dtg.engine.machine import one_blas_thread

Float = NDArray[np.float64]
# Singular values of the ROI maps below this fraction of the largest count as zero, as in `pinv`.
# Maps are float32, so smaller ones are rounding errors.
MAPS_TOLERANCE = 1e-6
# Number of voxels that are converted to float64 at a time.
VOXELS_AT_A_TIME = 2048
_LEAST_TSNR = (
    1.0  # a lower value means that the mean was subtracted, as real BOLD has above 10
)
_FRAMES = 64  # number of frames of an array that are processed at a time


Pieces = tuple[int, ...]  # numbers of pieces of a run, from 0


@dataclass(frozen=True, eq=False)
class Connectome:
    """A connectome of grey-matter voxels with ROIs over some frames of a run, in one form."""

    r: NDArray[
        np.float32
    ]  # (rois, grey-matter voxels), values of the form, 0 where undefined
    frames: int  # number of kept frames from which it was computed
    seconds: float  # duration of these frames
    # Kept frames minus degrees of freedom used by cleaning, including filters; NaN if unknown.
    residual_dof: float = float("nan")
    form: Form = MARGINAL  # the form of the values
    roi_r: Float | None = (
        None  # (rois, rois), Pearson r of the ROI series; None if not kept
    )
    # Sums of squares about the mean, of cleaned places (places,), 0 without data, and of ROI
    # series (rois,); needed to join runs. None if not kept.
    scatter: tuple[Float, Float] | None = None
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
        of_rois = None if self.roi_r is None else self.roi_r[rows, rows]
        scatter = self.scatter and (self.scatter[0], self.scatter[1][rows])
        form = replace(self.form, sets=())
        return replace(self, r=self.r[rows], roi_r=of_rois, form=form, scatter=scatter)

    @property
    def marginal(self) -> NDArray[np.float32]:
        """Pearson r (rois, grey-matter voxels), whatever the form of `r`."""
        if self.roi_r is None:
            return self.r
        found = self.form.marginal(self.r, self.roi_r)
        return found.astype(np.float32, copy=False)

    def joined(self, other: Connectome) -> Connectome:
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
        assert other.scatter is not None
        places, rois = (
            one + two for one, two in zip(self.scatter, other.scatter, strict=True)
        )
        r = np.zeros(self.r.shape, np.float32)
        roi_r = np.zeros((len(rois), len(rois)))
        for run, scatter in ((self, self.scatter), (other, other.scatter)):
            of_places, of_rois = (
                np.sqrt(ratio(scatter[0], places)),
                np.sqrt(ratio(scatter[1], rois)),
            )
            products = run.marginal * of_rois[:, None].astype(np.float32)
            products *= of_places.astype(np.float32)
            r += products
            if run.roi_r is not None:
                roi_r += run.roi_r * np.outer(of_rois, of_rois)
        np.clip(r, -1.0, 1.0, out=r)
        if self.form.joint:
            r[:] = self.form.mixing(roi_r).T.astype(np.float32) @ r
        return replace(
            self,
            r=r,
            frames=self.frames + other.frames,
            seconds=self.seconds + other.seconds,
            residual_dof=self.residual_dof + other.residual_dof,
            roi_r=None if self.roi_r is None else roi_r,
            scatter=(places, rois),
            deviation=min(self.deviation, other.deviation),
        )


@dataclass(frozen=True, eq=False)
class RunConnectomes:
    """All results of one pass over a run; cleaning always used the whole run."""

    segments: tuple[Connectome, ...]  # equal consecutive parts of the run
    whole: (
        Connectome | None
    )  # over all kept frames; None if not requested and several segments
    # (grey-matter voxels,), `profile_agreement` of two halves of the run: its odd and even pieces
    agreement: NDArray[np.float32]
    covered: NDArray[
        np.bool_
    ]  # (grey-matter voxels,), whether data vary over the kept frames
    roi_coverage: (
        Float  # (rois,), fraction of a map's absolute weight that is on covered voxels
    )
    series: Float  # (frames kept, rois), cleaned ROI series
    roi_r: Float  # (rois, rois), Pearson r of the cleaned ROI series, 0 where undefined
    tsnr: NDArray[
        np.float32
    ]  # (grey-matter voxels,), mean / sd of residuals; 0 if not covered
    residual_dof: float = float(
        "nan"
    )  # kept frames minus those used by cleaning; NaN if unknown
    homotopic_rank: float = float(
        "nan"
    )  # `checks.homotopic_rank` of parcels; NaN if unknown

    def of_one_set(self) -> RunConnectomes:
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
        return median if abs(median) >= _LEAST_TSNR else float("nan")

    @property
    def reliability(self) -> float:
        """Median agreement of halves over covered voxels; NaN if none, or fewer than three ROIs."""
        if not self.covered.any() or len(self.roi_r) < 3:
            return float("nan")
        return float(np.median(self.agreement[self.covered]))


def profile_agreement(
    odd: NDArray[np.floating], even: NDArray[np.floating]
) -> NDArray[np.floating]:
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
    centred = odd - odd.mean(axis=1, keepdims=True)
    two = even - even.mean(axis=1, keepdims=True)
    product = np.einsum("vr,vr->v", centred, two)
    norm = np.sqrt(
        np.einsum("vr,vr->v", centred, centred) * np.einsum("vr,vr->v", two, two)
    )
    return ratio(product, norm)


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
    voxels, cut, design = moments.voxels, moments.segments, moments.design
    form, order, rois, grey = voxels.form, voxels.order, voxels.rois, voxels.grey_voxels
    series, weights = _solve(moments)
    halves = cut.odd, cut.even
    wanted = {*cut.sets, *([cut.whole] if keep_whole else [])}
    # The agreement of the halves uses one set of ROIs.
    every = np.eye(rois)
    profile = every[:, form.one_set(rois)]
    made, parts = dict[Pieces, Connectome](), dict[Pieces, _Part]()
    for pieces in {*wanted, *halves, cut.whole}:
        mixings = [every[:, :0]]
        if pieces in wanted:
            made[pieces] = begun = _begin(moments, pieces, series, scatter=scatter)
            mixings.append(every if begun.roi_r is None else form.mixing(begun.roi_r))
        if pieces in halves and (form.joint or pieces not in wanted):
            mixings.append(profile)
        parts[pieces] = _Part(moments, pieces, series, np.hstack(mixings), weights)
    agreement, tsnr = (np.zeros(grey, np.float32) for _ in range(2))
    mean = moments.mean

    def fill(low: int) -> None:
        here = slice(low, min(low + VOXELS_AT_A_TIME, grey))
        there = voxels.wanted(here)
        known, of_halves = moments.known(here), []
        for pieces, part in parts.items():
            r, squares = part.correlate(here, known)
            if not form.joint:
                np.clip(r, -1.0, 1.0, out=r)
            if (found := made.get(pieces)) is not None:
                found.r[:, here] = r[:, :rois].T
                if found.scatter is not None:
                    found.scatter[0][there] = squares
            if pieces in halves:
                of_halves.append(np.clip(r[:, -profile.shape[1] :], -1.0, 1.0))
            if pieces == cut.whole:
                sd = np.sqrt(squares / (design.frames_kept - design.rank))
                tsnr[there] = ratio(mean[here], sd)
        agreement[there] = profile_agreement(*of_halves)

    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, range(0, grey, VOXELS_AT_A_TIME)))
        if (
            order is not None
        ):  # row by row, which is several times faster than voxel by voxel
            rows = (row for found in made.values() for row in found.r)
            list(pool.map(_reorder, rows, repeat(np.argsort(order))))
    covered = moments.varying & ~moments.lost
    segments = tuple(made[pieces] for pieces in cut.sets)
    return RunConnectomes(
        segments=segments,
        whole=segments[0] if len(segments) == 1 else made.get(cut.whole),
        agreement=agreement,
        covered=voxels.ordered(covered[:grey]),
        roi_coverage=_roi_coverage(voxels, covered, threads),
        series=series,
        roi_r=_correlation(series),
        tsnr=tsnr,
        residual_dof=design.residual_dof(),
        homotopic_rank=_homotopic_rank(moments),
    )


def _homotopic_rank(moments: RunMoments) -> float:
    """Return `homotopic_rank` of parcels whose frames are held; else NaN."""
    voxels = moments.voxels
    frames = (
        None
        if voxels.homotopic is None
        else moments.known(slice(0, voxels.grey_voxels))
    )
    if voxels.homotopic is None or not isinstance(frames, np.ndarray):
        return float("nan")
    return homotopic_rank(frames, voxels.homotopic)


def _begin(
    moments: RunMoments, pieces: Pieces, series: Float, *, scatter: bool
) -> Connectome:
    """Return the connectome of some pieces, with zeros that are filled in later."""
    design, voxels, rows = moments.design, moments.voxels, moments.segments.rows(pieces)
    centred = series[rows] - series[rows].mean(axis=0)
    return Connectome(
        np.zeros((voxels.rois, voxels.grey_voxels), np.float32),
        len(rows),
        len(rows) * design.tr_seconds,
        design.residual_dof(rows),
        voxels.form,
        _correlation(centred) if voxels.form.joint else None,
        (np.zeros(voxels.grey_voxels), (centred**2).sum(axis=0)) if scatter else None,
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
        series: Float,
        mixing: Float,
        weights: Float,
    ) -> None:
        self.moments, self.pieces, self.rows = (
            moments,
            list(pieces),
            moments.segments.rows(pieces),
        )
        mean = series[self.rows].mean(axis=0)
        centred = series[self.rows] - mean
        scaled = ratio(mixing, np.sqrt((centred**2).sum(axis=0))[:, None])
        self.series = centred @ scaled
        # Weights of the features, and of the columns that cleaning removes, in the sums.
        columns = moments.features[self.rows, -len(moments.inverse) :]
        self.taken, self.products = columns.T @ self.series, columns.T @ columns
        self.sums, self.weights = columns.sum(axis=0), weights @ scaled
        if not moments.voxels.form.joint:
            # The first time course is constant, so its weight removes the mean.
            self.weights[-len(columns.T)] -= (
                mean @ scaled
            ) * moments.design.frames_kept**0.5

    def correlate(
        self, here: slice, known: NDArray[np.floating] | tuple[Float, Float]
    ) -> tuple[Float, Float]:
        """Return correlations (voxels, columns), and sums of squares (voxels,) about the mean.

        Both are 0 for voxels without data, or with only rounding errors left after cleaning.

        Parameters
        ----------
        here, known
            The voxels, and their sums or cleaned frames, from `RunMoments.known`.
        """
        moments, raw = self.moments, self.moments.squares[self.pieces, here].sum(axis=0)
        if not isinstance(known, tuple):
            values = known[self.rows].astype(np.float64)
            values -= values.mean(axis=0)
            r, squares = values.T @ self.series, np.einsum("tv,tv->v", values, values)
        else:
            own, betas = known[0][self.pieces].sum(axis=0), known[1]
            of_columns = own[:, -len(self.sums) :]
            sums = (
                of_columns[:, 0] * moments.design.frames_kept**0.5 - betas @ self.sums
            )
            r = own @ self.weights - betas @ self.taken
            squares = raw - sums**2 / len(self.rows)
            squares += np.einsum(
                "vc,vc->v", betas, betas @ self.products - 2 * of_columns
            )
        squares[moments.lost[here] | (squares <= RESIDUAL_TOLERANCE * raw)] = 0.0
        r *= ratio(np.ones(len(r)), np.sqrt(squares))[:, None]
        return r, squares


def _solve(moments: RunMoments) -> tuple[Float, Float]:
    """Compute and clean the ROI series, (frames kept, rois).

    Also returns weights (features, rois), with series = features @ weights.
    """
    weights, features = series_weights(moments), moments.features
    raw, columns = features[:, : len(weights)] @ weights, features[:, len(weights) :]
    if moments.voxels.form.joint:  # computed from frames that are already clean
        return raw, weights
    gamma = moments.inverse.T @ (columns.T @ raw)
    left: Float = raw - columns @ gamma
    # ROIs that the confounds explain fully are set to 0, as their rounding errors would correlate.
    size = ((raw - raw.mean(axis=0)) ** 2).sum(axis=0)
    left[:, (left**2).sum(axis=0) <= RESIDUAL_TOLERANCE * size] = 0.0
    return left, np.vstack([weights, -gamma])


def _reorder(row: NDArray[np.float32], first: NDArray[np.intp]) -> None:
    row[:] = row[first]


def _roi_coverage(voxels: RunVoxels, covered: NDArray[np.bool_], threads: int) -> Float:
    """Return the fraction of each map's absolute weight that is on covered voxels, (rois,)."""
    combine = voxels.combine
    maps = voxels.maps if combine is None else voxels.maps[:, : voxels.grey_voxels]
    counted = np.stack([np.ones(len(covered)), covered], axis=1)

    def held(low: int) -> Float:
        part = maps[:, low : low + VOXELS_AT_A_TIME]
        weight = np.abs(part if combine is None else combine @ part).astype(np.float64)
        found: Float = weight @ counted[low : low + part.shape[1]]
        return found

    firsts = range(0, maps.shape[1], VOXELS_AT_A_TIME)
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        shares: Float = np.sum([*pool.map(held, firsts)], axis=0)
    return ratio(shares[:, 1], shares[:, 0])


def _correlation(series: Float) -> Float:
    centred = series - series.mean(axis=0)
    covariance = centred.T @ centred
    norms = np.sqrt(np.diag(covariance))
    return np.clip(ratio(covariance, np.outer(norms, norms)), -1.0, 1.0)


def cleaned_courses(moments: RunMoments, most: int) -> NDArray[np.float32]:
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
    frames, grey = moments.design.frames_kept, moments.grey_voxels
    edges = np.rint(np.linspace(0, frames, min(most, frames) + 1)).astype(np.intp)
    courses = np.empty((grey, len(edges) - 1), np.float32)
    for low in range(0, grey, VOXELS_AT_A_TIME):
        here = slice(low, min(low + VOXELS_AT_A_TIME, grey))
        held = moments.known(here)
        assert not isinstance(held, tuple)
        held = np.where(moments.lost[here], 0, held)
        if frames > most:
            held = (
                np.add.reduceat(held, edges[:-1], axis=0)
                / np.sqrt(np.diff(edges))[:, None]
            )
        courses[moments.voxels.wanted(here)] = held.T
    return courses


def series_weights(moments: RunMoments) -> Float:
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
            own = voxels.combine[rows]
            inverse[:, rows] = own.T @ _inverse(own @ gram @ own.T)
    return np.vstack([inverse, -mean @ inverse])


def _inverse(gram: Float) -> Float:
    values, vectors = np.linalg.eigh(gram)
    real = values > MAPS_TOLERANCE**2 * max(values[-1], 0.0)
    inverse: Float = (vectors[:, real] / values[real]) @ vectors[:, real].T
    # A map that is constant over these voxels has no series; it would be rounding errors only.
    constant = np.diagonal(gram) <= MAPS_TOLERANCE**2 * np.diagonal(gram).max()
    inverse[constant], inverse[:, constant] = 0.0, 0.0
    return inverse


def _demeaned_gram(
    maps: NDArray[np.floating], solved: NDArray[np.bool_]
) -> tuple[Float, Float]:
    """Return the Gram matrix of demeaned maps, and the maps' means, over the solved voxels."""
    firsts = range(0, maps.shape[1], VOXELS_AT_A_TIME)
    some = [slice(low, low + VOXELS_AT_A_TIME) for low in firsts]
    mean, gram = np.zeros(len(maps)), np.zeros((len(maps), len(maps)))
    for voxels in some:
        mean += maps[:, voxels].astype(np.float64) @ solved[voxels]
    mean /= max(1, int(solved.sum()))
    for voxels in some:
        part = (maps[:, voxels] - mean[:, None]) * solved[voxels]
        gram += part @ part.T
    return gram, mean


def roi_series(
    bold: NDArray[np.floating], maps: NDArray[np.floating]
) -> NDArray[np.float64]:
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
    centred: Float = series - series.mean(axis=0)
    return centred


def voxel_to_roi(
    bold: NDArray[np.floating],
    maps: NDArray[np.floating],
    confounds: NDArray[np.floating] | None = None,
    keep: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
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
    bold: NDArray[np.floating],
    maps: NDArray[np.floating],
    confounds: NDArray[np.floating] | None,
    keep: NDArray[np.bool_] | None,
) -> RunMoments:
    bold, maps = real_numbers(bold, "bold"), real_numbers(maps, "maps")
    if bold.ndim != 2 or maps.ndim != 2 or bold.shape[1] != maps.shape[1]:
        raise ValueError(
            f"bold is (frames, voxels) and maps (rois, voxels), not {bold.shape} and {maps.shape}"
        )
    if not np.isfinite(maps).all():
        raise ValueError("the maps hold values that are not finite")
    frames, voxels = bold.shape
    finite = np.abs(bold, where=np.isfinite(bold), out=np.zeros(bold.shape))
    if finite.size and finite.max() > np.finfo(np.float32).max:
        raise ValueError(
            "bold has values beyond the range of float32. Expected: smaller units"
        )
    # The time between frames does not matter here, as there is one segment.
    design = array_design(confounds, keep, frames, 1.0)
    dtype = np.float32 if bold.dtype == np.float32 else np.float64

    def blocks() -> Blocks:
        for first in range(0, frames, _FRAMES):
            yield first, bold[first : first + _FRAMES].astype(dtype)

    return measure_run(
        blocks,
        design,
        RunVoxels(
            maps.astype(dtype), voxels, np.ones(voxels, dtype=bool), zeros_missing=False
        ),
        outside=np.zeros(voxels, dtype=bool),
        segments=design.segments(float(2 * frames)),
    )


def real_numbers(values: object, name: str) -> NDArray[Any]:
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
    kept = np.ones(frames, dtype=bool) if keep is None else np.asarray(keep)
    if kept.dtype != np.bool_:
        raise TypeError(
            f"keep holds {kept.dtype}. Expected: True or False for each frame"
        )
    if kept.shape != (frames,):
        raise ValueError(f"keep is {kept.shape}. Expected: ({frames},)")
    names = [f"column {index}" for index in range(table.shape[1])]
    return TemporalDesign.build(table, names, kept, tr_seconds)
