"""Connectomes of a run, its segments and its halves, from the sums of one pass."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.algebra import (
    VOXELS_AT_A_TIME,
    Algebra,
    Part,
    VoxelSums,
    ratio,
    series_weights,
)
from bids_dtg.connectome.effective_dof import effective_dof
from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.connectome.moments import RunMoments, RunVoxels
from bids_dtg.engine.machine import one_blas_thread

Float = NDArray[np.float64]
# Half segments that parts of other lengths consist of.
_ROWS_AT_A_TIME = 32  # of a connectome, that a thread puts in order
_LEAST_TSNR = 1.0  # below it the mean was subtracted before: measured BOLD has ten times as much


@dataclass(frozen=True, eq=False)
class Scatter:
    """Sums of squares of what cleaning has left of some frames, about the means there."""

    places: Float  # (grey-matter voxels,), 0 without data
    rois: Float  # (rois,), of their series


@dataclass(frozen=True, eq=False)
class Connectome:
    """Each grey-matter voxel with each ROI over some of a run's frames, in a form."""

    r: NDArray[np.float32]  # (rois, grey-matter voxels), values of the form, 0 where undefined
    frames: int  # kept frames it rests on
    seconds: float  # their time
    # Kept frames less what cleaning took of them, filters included; NaN where that is not known.
    residual_dof: float = float("nan")
    form: Form = MARGINAL  # what the values are
    roi_r: Float | None = None  # (rois, rois), Pearson r of the ROI series; None: not kept
    scatter: Scatter | None = None  # by which runs are joined; None: not kept

    def __post_init__(self) -> None:
        if not isinstance(self.r, np.ndarray) or self.r.dtype.kind not in "biuf":
            kind = getattr(self.r, "dtype", type(self.r).__name__)
            raise TypeError(f"a connectome is an array of real numbers, not {kind}")
        if self.r.ndim != 2:
            raise ValueError(f"a connectome is (rois, voxels), not {self.r.shape}")

    def of_one_set(self) -> Connectome:
        """Return the connectome of the set of ROIs that is nearest to 50; itself if it has one."""
        rows = self.form.one_set(len(self.r))
        return self if not self.form.sets else self.of_rows(rows)

    def of_rows(self, rows: slice) -> Connectome:
        """Return the connectome of the ROIs of one set."""
        of_rois = None if self.roi_r is None else self.roi_r[rows, rows]
        scatter = self.scatter and replace(self.scatter, rois=self.scatter.rois[rows])
        form = replace(self.form, sets=())
        return replace(self, r=self.r[rows], roi_r=of_rois, form=form, scatter=scatter)

    @property
    def marginal(self) -> NDArray[np.float32]:
        """Pearson r (rois, grey-matter voxels), whatever the form of `r`."""
        if self.roi_r is None:
            return self.r
        found = self.form.marginal(self.r, self.roi_r)
        return found.astype(np.float32, copy=False)


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
    residual_dof: float = float("nan")  # kept frames less what cleaning took; NaN: not known
    effective_dof: float = float("nan")  # the same less what autocorrelation takes

    def of_one_set(self) -> RunConnectomes:
        """Return what is of the set of ROIs that is nearest to 50; itself if there is one set."""
        form = self.segments[0].form if self.segments else MARGINAL
        return self.of_rows(form.one_set(len(self.roi_r))) if form.sets else self

    def of_rows(self, rows: slice) -> RunConnectomes:
        """Return what is of the ROIs of one set."""

        def of(part: Connectome | None) -> Connectome | None:
            return None if part is None else part.of_rows(rows)

        return replace(
            self,
            segments=tuple(part.of_rows(rows) for part in self.segments),
            whole=of(self.whole),
            odd=of(self.odd),
            even=of(self.even),
            roi_coverage=self.roi_coverage[rows],
            series=self.series[:, rows],
            roi_r=self.roi_r[rows, rows],
        )

    @property
    def coverage(self) -> float:
        """Share of grey-matter voxels that are covered."""
        return float(self.covered.mean())

    @property
    def median_tsnr(self) -> float:
        """Median over covered grey-matter voxels, 0 if there are none; NaN without a mean."""
        if not self.covered.any():
            return 0.0
        median = float(np.median(self.tsnr[self.covered]))
        return median if abs(median) >= _LEAST_TSNR else float("nan")

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
    norm = np.sqrt(np.einsum("vr,vr->v", centred, centred) * np.einsum("vr,vr->v", two, two))
    return ratio(product, norm)


def run_connectomes(
    moments: RunMoments,
    *,
    form: Form = MARGINAL,
    every_part: bool = True,
    scatter: bool = False,
    threads: int = 1,
) -> RunConnectomes:
    """Solve the ROI series, clean, and correlate, for the whole run and its parts.

    Parameters
    ----------
    moments
        The sums of a whole run.
    form
        Of the connectomes. Figures of the run's quality, as the agreement of its halves,
        are of the marginal form whatever the connectomes are: so runs of all models compare.
    every_part
        Keep the connectomes of the whole run and of its halves beside those of the segments.
    scatter
        Keep sums of squares beside each connectome, by which runs are joined.
    threads
        Number of threads to compute with.

    Raises
    ------
    ValueError
        Some kept frames have not been added, or the form has other sets of ROIs than the sums.
    """
    if not moments.seen.all():
        raise ValueError(f"{moments.seen.sum()} of {len(moments.seen)} kept frames were added")
    if form.sets != moments.voxels.sets:
        raise ValueError(f"a form of sets {form.sets}, and sums of sets {moments.voxels.sets}")
    algebra, parts = Algebra(moments), moments.segments
    shape = (moments.voxels.rois, moments.grey_voxels)
    only = len(parts.sets) == 1
    halves = (parts.whole, parts.odd, parts.even) if every_part else ()
    wanted = {*parts.sets, *halves}
    made = {pieces: _begin(algebra, pieces, form, shape) for pieces in wanted}
    if scatter:
        made = {pieces: _with_scatter(algebra, pieces, own) for pieces, own in made.items()}
    agreement, tsnr = _correlate(moments, algebra, made, threads)
    segments = tuple(made[pieces] for pieces in parts.sets)
    covered = moments.varying & ~moments.lost
    return RunConnectomes(
        segments=segments,
        whole=segments[0] if only else made[parts.whole] if every_part else None,
        odd=made[parts.odd] if every_part else None,
        even=made[parts.even] if every_part else None,
        agreement=agreement,
        covered=moments.voxels.ordered(covered[: moments.grey_voxels]),
        roi_coverage=_roi_coverage(moments.voxels, covered, threads),
        series=algebra.series,
        roi_r=_correlation(algebra.series),
        tsnr=tsnr,
        residual_dof=moments.design.residual_dof(),
        effective_dof=effective_dof(algebra.series, moments.design),
    )


def _begin(
    algebra: Algebra, pieces: tuple[int, ...], form: Form, shape: tuple[int, int]
) -> Connectome:
    """Return the connectome of some pieces, whose values are still to be filled in."""
    rows, design = algebra.rows(pieces), algebra.moments.design
    return Connectome(
        np.zeros(shape, np.float32),
        len(rows),
        len(rows) * design.tr_seconds,
        design.residual_dof(rows),
        form,
        Part(algebra, pieces).correlation() if form.row.joint else None,
    )


def _with_scatter(algebra: Algebra, pieces: tuple[int, ...], begun: Connectome) -> Connectome:
    """Return a connectome with sums of squares, of which those of places are to be filled in."""
    series = algebra.series[algebra.rows(pieces)]
    rois = ((series - series.mean(axis=0)) ** 2).sum(axis=0)
    return replace(begun, scatter=Scatter(np.zeros(begun.r.shape[1]), rois))


def raw_series(moments: RunMoments) -> Float:
    """ROI series before cleaning, of mean zero: stage 1 of dual regression.

    Returns
    -------
    (frames kept, rois): pinv of the spatially demeaned maps times the temporally demeaned BOLD.
    """
    weights = series_weights(moments)
    series = moments.features[:, : len(weights)] @ weights
    centred: Float = series - series.mean(axis=0)
    return centred


def _correlate(
    moments: RunMoments,
    algebra: Algebra,
    wanted: Mapping[tuple[int, ...], Connectome],
    threads: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Go through the grey-matter voxels once: fill in the connectomes of the sets of pieces.

    Returns the agreement of the halves and tSNR, both (voxels,).
    """
    voxels, halves = moments.grey_voxels, (moments.segments.odd, moments.segments.even)
    mixings = {
        pieces: made.form.mixing(made.roi_r)
        for pieces, made in wanted.items()
        if made.roi_r is not None
    }
    mixed = {pieces: Part(algebra, pieces, mixing) for pieces, mixing in mixings.items()}
    # The agreement of the halves is of the marginal form, and of one set of ROIs.
    order, profile = moments.voxels.order, _one_set(moments, wanted)
    marginal = {*halves, *(pieces for pieces in wanted if pieces not in mixed)}
    rois = moments.voxels.rois
    shown = None if profile == slice(0, rois) else np.eye(rois)[:, profile]
    parts = {pieces: Part(algebra, pieces, shown) for pieces in marginal}
    whole = parts.get(moments.segments.whole) or Part(algebra, moments.segments.whole)
    agreement, tsnr = (np.zeros(voxels, np.float32) for _ in range(2))
    dof = moments.design.frames_kept - moments.design.rank

    def fill(low: int) -> None:
        high = min(low + VOXELS_AT_A_TIME, voxels)
        here = slice(low, high) if order is None else order[low:high]
        sums = VoxelSums(algebra, low, high)
        r = {pieces: sums.correlate(part) for pieces, part in parts.items()}
        for pieces, made in wanted.items():
            own = sums.correlate(mixed[pieces]) if pieces in mixed else r[pieces]
            made.r[:, low:high] = own.T
            if made.scatter is not None:
                part = mixed.get(pieces) or parts[pieces]
                made.scatter.places[here] = sums.sum_of_squares(part)
        odd, even = (r[half] for half in halves)
        agreement[here] = profile_agreement(odd, even)
        mean = moments.subtracted[low:high] + sums.mean
        tsnr[here] = ratio(mean, np.sqrt(sums.sum_of_squares(whole) / dof))

    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, range(0, voxels, VOXELS_AT_A_TIME)))
        if order is not None:
            # Row by row, as a row fits the cache: several times faster than voxel by voxel.
            first = np.argsort(order)
            rows = [
                made.r[low : low + _ROWS_AT_A_TIME]
                for made in wanted.values()
                for low in range(0, rois, _ROWS_AT_A_TIME)
            ]
            list(pool.map(partial(_reorder, first), rows))
    return agreement, tsnr


def _reorder(first: NDArray[np.intp], rows: NDArray[np.float32]) -> None:
    ordered = np.empty_like(rows[0])
    for row in rows:
        row[:] = np.take(row, first, out=ordered, mode="clip")  # which writes to `out` at once


def _one_set(moments: RunMoments, wanted: Mapping[tuple[int, ...], Connectome]) -> slice:
    """Return the ROIs of the profiles whose agreement is compared: those of one set."""
    return next(iter(wanted.values())).form.one_set(moments.voxels.rois)


def _roi_coverage(voxels: RunVoxels, covered: NDArray[np.bool_], threads: int) -> Float:
    maps, counted = voxels.maps, np.stack([np.ones(len(covered)), covered], axis=1)
    mixed: list[tuple[NDArray[np.floating], NDArray[np.intp]]] = []
    if voxels.combine is not None:  # they are of grey matter alone
        maps = maps[:, : voxels.grey_voxels]
        # The maps that those of a set are combinations of: few where there are many sets.
        for rows in voxels.set_rows:
            of = np.flatnonzero(voxels.combine[rows].any(axis=0))
            mixed.append((voxels.combine[rows][:, of].astype(np.float32, copy=False), of))

    def held(low: int) -> Float:
        part = maps[:, low : low + VOXELS_AT_A_TIME]
        if mixed:
            part = np.concatenate([combine @ part[of] for combine, of in mixed])
        weight = np.abs(part).astype(np.float64)
        found: Float = weight @ counted[low : low + part.shape[1]]
        return found

    firsts = range(0, maps.shape[1], VOXELS_AT_A_TIME)
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        total, of_covered = sum(pool.map(held, firsts), start=np.zeros((voxels.rois, 2))).T
    return ratio(of_covered, total)


def _correlation(series: Float) -> Float:
    centred = series - series.mean(axis=0)
    covariance = centred.T @ centred
    norms = np.sqrt(np.diag(covariance))
    return np.clip(ratio(covariance, np.outer(norms, norms)), -1.0, 1.0)
