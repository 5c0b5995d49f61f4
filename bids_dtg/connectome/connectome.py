"""Connectomes of a run, its segments and its halves, from the sums of one pass.

Cleaned ROI series, and correlations of cleaned voxels with them, follow by algebra. A cleaned voxel
is y - Z b. Where the sums are with what cleaning removes, Z are its time courses, and b = L Z'y
follows from the sums. Sums with what it leaves, T'y, hold the cleaned voxels themselves, E T'y:
then y counts as 0, Z is -E, and b are the sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.design import Retention
from bids_dtg.connectome.effective_dof import effective_dof
from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.connectome.moments import RESIDUAL_TOLERANCE, RunMoments, RunVoxels
from bids_dtg.engine.machine import one_blas_thread

Float = NDArray[np.float64]
# Singular values of the ROI maps below this share of the largest count as zero, as in `pinv`;
# maps are float32, so smaller ones are rounding.
MAPS_TOLERANCE = 1e-6
# Voxels turned to float64 at a time.
VOXELS_AT_A_TIME = 2048
_ROWS_AT_A_TIME = 32  # of a connectome, that a thread puts in order
_LEAST_TSNR = 1.0  # below it the mean was subtracted before: measured BOLD has ten times as much


Pieces = tuple[int, ...]  # of a run, from 0


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
    # Sums of squares, about their means, of cleaned places (places,), 0 without data, and of ROI
    # series (rois,), by which runs are joined; None: not kept.
    scatter: tuple[Float, Float] | None = None

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
    algebra, cut, shape = _Algebra(moments), moments.segments, moments.voxels.rois
    halves, joint = (cut.odd, cut.even), form.joint
    wanted = {*cut.sets, *((cut.whole, *halves) if every_part else ())}
    made, parts = dict[Pieces, Connectome](), dict[Pieces, _Part]()
    # The agreement of the halves is of the marginal form, and of one set of ROIs.
    every = np.eye(shape)
    profile = every[:, form.one_set(shape)]
    for pieces in {*wanted, *halves, cut.whole}:
        series, mixings = algebra.series[algebra.rows(pieces)], []
        if pieces in wanted:
            made[pieces] = begun = _begin(moments, pieces, series, form, scatter=scatter)
            mixing = None if begun.roi_r is None else form.mixing(begun.roi_r)
            mixings.append(every if mixing is None else mixing)
        if pieces in halves and (joint or pieces not in wanted):
            mixings.append(profile)
        parts[pieces] = _Part(algebra, pieces, np.hstack([every[:, :0], *mixings]))
    agreement, tsnr = _fill(algebra, parts, made, profile.shape[1], joint=joint, threads=threads)
    covered = moments.varying & ~moments.lost
    segments = tuple(made[pieces] for pieces in cut.sets)
    whole = segments[0] if len(segments) == 1 else made[cut.whole] if every_part else None
    odd, even = (made[half] if every_part else None for half in halves)
    return RunConnectomes(
        segments=segments,
        whole=whole,
        odd=odd,
        even=even,
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
    moments: RunMoments, pieces: Pieces, series: Float, form: Form, *, scatter: bool
) -> Connectome:
    """Return the connectome of some pieces, whose values are still to be filled in."""
    design, grey = moments.design, moments.grey_voxels
    squares = ((series - series.mean(axis=0)) ** 2).sum(axis=0)
    return Connectome(
        np.zeros((moments.voxels.rois, grey), np.float32),
        len(series),
        len(series) * design.tr_seconds,
        design.residual_dof(moments.segments.rows(pieces)),
        form,
        _correlation(series) if form.joint else None,
        (np.zeros(grey), squares) if scatter else None,
    )


class _Algebra:
    """Cleaned ROI series, and how the sums of a run turn into cleaned voxels."""

    def __init__(self, moments: RunMoments) -> None:
        self.moments, cleaning, features = moments, moments.cleaning, moments.features
        weights = series_weights(moments)
        maps = len(weights)
        raw = features[:, :maps] @ weights
        self.intercept = float(features[0, maps])  # of the constant time course
        self.first = 0  # features before the time courses: projections and the sum over voxels
        # (features, rois), series = features @ weights; (time courses, time courses), b = Z'y @ …
        self.weights: Float | None = None
        self.inverse: Float = np.zeros((0, 0))
        if isinstance(cleaning, Retention):
            self.columns = -cleaning.courses
            left = cleaning.courses @ (cleaning.columns[:, 1:].T @ raw)
        else:
            self.first, self.columns = maps, features[:, maps:]
            # Z is orthonormal up to the rounding of its stored type.
            self.inverse = np.linalg.inv(self.columns.T @ self.columns) @ cleaning.weights.T
            gamma = self.inverse.T @ (self.columns.T @ raw)
            self.weights = np.vstack([weights, -gamma])
            left = raw - self.columns @ gamma
        # ROIs that the confounds explain are blanked: their rounding correlates with anything.
        size = ((raw - raw.mean(axis=0)) ** 2).sum(axis=0)
        left[:, (left**2).sum(axis=0) <= RESIDUAL_TOLERANCE * size] = 0.0
        self.series: Float = left  # (frames kept, rois)

    def rows(self, pieces: Pieces) -> NDArray[np.intp]:
        """Positions of the pieces' frames among the kept ones."""
        return self.moments.segments.rows(pieces)


class _Part:
    """Some pieces of a run: what turns its sums into correlations with mixed ROI series.

    The series are centred there and of length 1, 0 where constant, and mixed by `mixing` (rois,
    columns): a regression on all series costs no more than correlations do.
    """

    def __init__(self, algebra: _Algebra, pieces: Pieces, mixing: Float) -> None:
        self.pieces, rows = pieces, algebra.rows(pieces)
        self.frames = len(rows)
        series, columns = algebra.series[rows], algebra.columns[rows]
        mean = series.mean(axis=0)
        norms = np.sqrt(((series - mean) ** 2).sum(axis=0))
        scaled = ratio(mixing, np.broadcast_to(norms[:, None], mixing.shape))
        self.taken = columns.T @ ((series - mean) @ scaled)  # of voxels, by b
        self.products, self.sums = columns.T @ columns, columns.sum(axis=0)
        self.weights: Float | None = None  # of the sums, where cleaning is by what is removed
        if algebra.weights is not None:
            self.weights = algebra.weights @ scaled
            # The first time course is constant: it takes the mean away.
            self.weights[algebra.first] -= (mean @ scaled) / algebra.intercept


def _fill(
    algebra: _Algebra,
    parts: Mapping[Pieces, _Part],
    made: Mapping[Pieces, Connectome],
    profile: int,
    *,
    joint: bool,
    threads: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Go through the grey-matter voxels once: fill in the connectomes of the pieces.

    Returns the agreement of the halves by so many ROIs, and tSNR, both (voxels,).
    """
    moments = algebra.moments
    voxels, order, cut = moments.grey_voxels, moments.voxels.order, moments.segments
    agreement, tsnr = (np.zeros(voxels, np.float32) for _ in range(2))
    design, first = moments.design, algebra.first

    def fill(low: int) -> None:
        high = min(low + VOXELS_AT_A_TIME, voxels)
        here = slice(low, high) if order is None else order[low:high]
        cross, halves = moments.cross(low, high), []
        total = cross.sum(axis=0)[:, first:]
        betas = total[:, 1:] if algebra.weights is None else total @ algebra.inverse
        for pieces, part in parts.items():
            own = cross[0] if algebra.weights is None else cross[list(pieces)].sum(axis=0)
            squares = _squares_left(algebra, part, own[:, first:], betas, low)
            r = betas @ part.taken
            r = -r if part.weights is None else own @ part.weights - r
            r *= ratio(np.ones(len(r)), np.sqrt(squares))[:, None]
            if not joint:
                np.clip(r, -1.0, 1.0, out=r)
            if (found := made.get(pieces)) is not None:
                found.r[:, low:high] = r[:, : len(found.r)].T
                if found.scatter is not None:
                    found.scatter[0][here] = squares
            if pieces in (cut.odd, cut.even):
                halves.append(np.clip(r[:, -profile:], -1.0, 1.0))
            if pieces == cut.whole:
                mean = moments.subtracted[low:high]
                mean = mean + total[:, 0] / algebra.intercept / design.frames_kept
                dof = design.frames_kept - design.rank
                tsnr[here] = ratio(mean, np.sqrt(squares / dof))
        agreement[here] = profile_agreement(*halves)

    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, range(0, voxels, VOXELS_AT_A_TIME)))
        if order is not None:
            # Row by row, as a row fits the cache: several times faster than voxel by voxel.
            rows = [
                found.r[low : low + _ROWS_AT_A_TIME]
                for found in made.values()
                for low in range(0, len(found.r), _ROWS_AT_A_TIME)
            ]
            list(pool.map(partial(_reorder, np.argsort(order)), rows))
    return agreement, tsnr


def _squares_left(algebra: _Algebra, part: _Part, own: Float, betas: Float, low: int) -> Float:
    """Sum of squares (voxels,) of cleaned voxels about their mean; 0: rounding, or no data.

    Parameters
    ----------
    algebra, part
        Of the run, and of some pieces.
    own
        (voxels, time courses), their sums there.
    betas, low
        (voxels, time courses) what cleaning takes, and the first voxel.
    """
    moments, high = algebra.moments, low + len(betas)
    sums, products = -betas @ part.sums, betas @ part.products
    if part.weights is None:
        share = part.frames / moments.design.frames_kept
        total, squares = np.zeros(len(betas)), moments.squares[0, low:high] * share
    else:
        total = squares = moments.squares[list(part.pieces), low:high].sum(axis=0)
        sums += own[:, 0] / algebra.intercept
        products -= 2 * own
    left: Float = total - sums**2 / part.frames + np.einsum("vc,vc->v", betas, products)
    left[moments.lost[low:high] | (left <= RESIDUAL_TOLERANCE * squares)] = 0.0
    return left


def _reorder(first: NDArray[np.intp], rows: NDArray[np.float32]) -> None:
    ordered = np.empty_like(rows[0])
    for row in rows:
        row[:] = np.take(row, first, out=ordered, mode="clip")  # which writes to `out` at once


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


def cleaned_courses(moments: RunMoments) -> NDArray[np.float32]:
    """Return series of grey-matter voxels from sums with what cleaning leaves.

    Parameters
    ----------
    moments
        Of a whole run, whose cleaning is a `Retention`.

    Returns
    -------
    (grey voxels, frames), in the order in which they are wanted; 0 where there is nothing but
    rounding.
    """
    assert isinstance(moments.cleaning, Retention)
    voxels, order, readout = moments.grey_voxels, moments.voxels.order, moments.cleaning.readout
    found = np.zeros((voxels, len(readout)), np.float32)
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
    gram, mean = _demeaned_gram(moments.maps, moments.solved)
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


def _demeaned_gram(maps: NDArray[np.floating], solved: NDArray[np.bool_]) -> tuple[Float, Float]:
    """Return products of demeaned maps, and the maps' means, over the voxels that are solved."""
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


class JoinedRuns:
    """Adds up runs, each about its own means, to the connectome of all their frames.

    Sums of products add up over runs, and correlations are quotients of such sums. So the joined
    connectome follows from those of the runs and their sums of squares, and no run is read twice.

    Examples
    --------
    Twice the same run has the correlations of the run, of twice the frames:

    >>> import numpy as np
    >>> r = np.array([[0.5, -0.2]], np.float32)
    >>> run = Connectome(r, 100, 200.0, scatter=(np.array([9.0, 4.0]), np.ones(1)))
    >>> joined = JoinedRuns()
    >>> for _ in range(2):
    ...     joined.add(run)
    >>> joined.connectome().r.tolist() == r.tolist(), joined.connectome().frames
    (True, 200)
    """

    def __init__(self) -> None:
        self._sum: Connectome | None = None  # of which `r` and `roi_r` are sums of products

    @property
    def begun(self) -> bool:
        """Whether there is a run."""
        return self._sum is not None

    def add(self, run: Connectome) -> None:
        """Add a run's connectome, which has `scatter`, in the form of the others."""
        assert run.scatter is not None
        places, rois = run.scatter
        products = run.marginal * np.sqrt(rois)[:, None].astype(np.float32)
        products *= np.sqrt(places).astype(np.float32)
        roi_products = None if run.roi_r is None else run.roi_r * np.sqrt(np.outer(rois, rois))
        own = replace(run, r=products, roi_r=roi_products)
        if (one := self._sum) is None:
            self._sum = own
            return
        assert one.scatter is not None
        products += one.r
        self._sum = replace(
            own,
            frames=one.frames + run.frames,
            seconds=one.seconds + run.seconds,
            residual_dof=one.residual_dof + run.residual_dof,
            roi_r=None if roi_products is None or one.roi_r is None else one.roi_r + roi_products,
            scatter=(one.scatter[0] + places, one.scatter[1] + rois),
        )

    def connectome(self) -> Connectome:
        """Return the connectome of all runs together, of which there is one, in their form."""
        assert self._sum is not None
        assert self._sum.scatter is not None
        found, (places, rois) = self._sum, self._sum.scatter
        r, sizes = np.empty_like(found.r), np.sqrt(places)
        for row, (products, size) in enumerate(zip(found.r, np.sqrt(rois), strict=True)):
            r[row] = np.clip(ratio(products, size * sizes), -1.0, 1.0)
        if found.roi_r is None:
            return replace(found, r=r, scatter=None)
        roi_r = np.clip(ratio(found.roi_r, np.sqrt(np.outer(rois, rois))), -1.0, 1.0)
        if (mixing := found.form.mixing(roi_r)) is not None:
            r = mixing.T.astype(np.float32) @ r
        return replace(found, r=r, roi_r=roi_r, scatter=None)
