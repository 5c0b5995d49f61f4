"""The temporal design of a run: frames kept, columns projected out, degrees of freedom left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Length of the segments that the published model was trained on (600 frames of 0.72 s).
SECONDS_PER_SEGMENT = 432.0
SECONDS_PER_RUN = 86_400.0  # of a segment, where runs are to be left whole: none is longer
# A column that varies by less than this share of its size holds rounding only.
CONSTANT_TOLERANCE = 1e-9
# A column of norm 1 is dependent if less than this is left of it beside the columns before it;
# confound tables are text with about six digits and more.
RANK_TOLERANCE = 1e-6
# What may become of a confound column.
_UNUSUAL = {
    "filled": "filled with their mean where n/a",
    "constant": "left out as constant",
    "dependent": "left out as combinations of earlier columns",
}
# With fewer residual degrees of freedom any two series correlate.
LEAST_DOF = 3
# Autocorrelations beyond this share of the run's length rest on few pairs of frames.
LONGEST_LAG = 0.25
# Courses transformed at a time: memory stays small beside a run's sums.
_AT_A_TIME = 64
# Least weight of a segment: one without dof left must not make an average fail.
_LEAST_WEIGHT = 1.0

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TemporalDesign:
    """Which frames of a run count, and what is regressed out of them.

    Cleaning is the projection I - C C' on the kept frames, after y - N W y has taken away the
    noise components, if there are any: ICA-AROMA's non-aggressive denoising (Pruim et al. 2015),
    as fsl_regfilt does it. Censored frames are removed, so they touch nothing.
    """

    keep: NDArray[np.bool_]  # (frames,), False for censored frames and dummy scans
    basis: NDArray[np.float64]  # C, (frames kept, rank), orthonormal columns, intercept first
    tr_seconds: float  # time between frames
    # Names of the confound columns: those given, in order; filled, which had n/a in kept frames,
    # replaced by the mean of the others; constant, left out as that or without any value over the
    # kept frames; dependent, left out as linear combinations of the columns before.
    columns: Mapping[str, tuple[str, ...]]
    filtering: int  # independent columns of the stop band, which come before the confounds
    noise: Float  # N, (frames kept, noise components), mean 0
    # W, (noise components, frames kept), their rows in the pseudo-inverse of all components
    noise_weights: Float
    lost_before: float = 0.0  # degrees of freedom that earlier cleaning took; NaN: not known

    @classmethod
    def build(
        cls,
        confounds: NDArray[np.floating] | None,
        names: Sequence[str],
        keep: NDArray[np.bool_],
        tr_seconds: float,
        *,
        stop_band: NDArray[np.floating] | None = None,
        mixing: NDArray[np.floating] | None = None,
        noise: NDArray[np.bool_] | None = None,
    ) -> TemporalDesign:
        """Turn confound columns into an orthonormal basis over the kept frames.

        Parameters
        ----------
        confounds
            (frames, columns); NaN or infinite values are filled with the mean of the column's
            kept finite ones. None: the intercept alone.
        names
            A name for each column.
        keep
            (frames,), False for frames to remove.
        tr_seconds
            Time between frames, in seconds.
        stop_band
            (frames, columns) further columns without names, of frequencies to remove.
        mixing, noise
            (frames, components) finite time courses of all components of an ICA, and
            (components,) which of them are noise, to be taken away non-aggressively.

        Raises
        ------
        ValueError
            There are fewer than `LEAST_DOF` frames more than columns.

        Examples
        --------
        >>> import numpy as np
        >>> drift, keep = np.linspace(-1.0, 1.0, 100)[:, None], np.ones(100, dtype=bool)
        >>> design = TemporalDesign.build(drift, ("drift",), keep, tr_seconds=2.0)
        >>> design.rank, design.frames_kept, design.residual_dof()
        (2, 100, 98.0)
        """
        keep = np.asarray(keep, dtype=bool)
        table = np.zeros((len(keep), 0)) if confounds is None else np.asarray(confounds, np.float64)
        values, filled, constant = _fill_and_centre(table[keep])
        usable = np.flatnonzero(~constant)
        filtering = np.zeros((len(values), 0)) if stop_band is None else _span(stop_band[keep])
        independent, basis = _orthonormal(values[:, usable], filtering)
        frames_kept = len(values)
        courses, weights = np.zeros((frames_kept, 0)), np.zeros((0, frames_kept))
        if mixing is not None and noise is not None and noise.any():
            kept = np.asarray(mixing, np.float64)[keep]
            kept = kept - kept.mean(axis=0)
            courses, weights = kept[:, noise], np.linalg.pinv(kept)[noise]
        _require_dof(frames_kept, basis.shape[1], filtering.shape[1], courses.shape[1])
        intercept = np.full((frames_kept, 1), frames_kept**-0.5)
        label = np.asarray(names, dtype=object)
        columns = {
            "given": tuple(names),
            "filled": tuple(label[filled & ~constant]),
            "constant": tuple(label[constant]),
            "dependent": tuple(label[usable[~independent]]),
        }
        basis = np.hstack([intercept, basis])
        return cls(*(keep, basis, float(tr_seconds), columns, filtering.shape[1]), courses, weights)

    @property
    def frames_kept(self) -> int:
        """Number of frames that are not censored."""
        return len(self.basis)

    @property
    def seconds_kept(self) -> float:
        """Time of the frames that are kept."""
        return self.frames_kept * self.tr_seconds

    @property
    def rank(self) -> int:
        """Dimensions that cleaning takes away: columns projected out, noise, the intercept."""
        return int(self.basis.shape[1] + self.noise.shape[1])

    def residual_dof(self, rows: NDArray[np.intp] | None = None) -> float:
        """Return the residual degrees of freedom: frames kept, minus what cleaning takes.

        Parameters
        ----------
        rows
            Positions among the kept frames; all of them by default.

        Returns
        -------
        Of all frames, their number minus the rank of the design. A column that acts in a part of
        a run is spent there: of some frames it is the trace of the residual projection over them,
        so that the parts of a run add up to the whole. NaN where earlier cleaning is not known.

        Examples
        --------
        >>> import numpy as np
        >>> drift, keep = np.linspace(-1.0, 1.0, 100)[:, None], np.ones(100, dtype=bool)
        >>> design = TemporalDesign.build(drift, ("drift",), keep, tr_seconds=2.0)
        >>> round(design.residual_dof(np.arange(50)), 6)
        49.0
        """
        if rows is None:
            return float(self.frames_kept - self.rank - self.lost_before)
        taken = np.einsum("tc,tc->", self.basis[rows], self.basis[rows])
        taken += np.einsum("tn,nt->", self.noise[rows], self.noise_weights[:, rows])
        share = len(rows) / self.frames_kept
        return float(max(len(rows) - taken, 0.0) - share * self.lost_before)

    def clean(self, series: NDArray[np.floating]) -> NDArray[np.float64]:
        """Take away what cleaning takes of given series.

        Parameters
        ----------
        series
            (frames kept, series), one column a series, before cleaning.

        Returns
        -------
        (frames kept, series), with mean 0.

        Examples
        --------
        >>> import numpy as np
        >>> keep = np.ones(10, dtype=bool)
        >>> drift = np.arange(10.0)[:, None]
        >>> design = TemporalDesign.build(drift, ("drift",), keep, tr_seconds=2.0)
        >>> bool(np.abs(design.clean(100 + 3 * drift)).max() < 1e-12)
        True
        """
        left: Float = np.asarray(series, np.float64)
        left = left - self.noise @ (self.noise_weights @ left)
        return left - self.basis @ (self.basis.T @ left)

    def removal(self) -> tuple[Float, Float]:
        """Return cleaning as y - Z L Z'y.

        Returns
        -------
        Z, (frames kept, columns), orthonormal, the intercept first; and L, (columns, columns).
        """
        basis, noise, weights = self.basis, self.noise, self.noise_weights
        if not noise.shape[1]:
            return basis, np.eye(basis.shape[1])
        columns = np.hstack([basis, _beside(basis, np.hstack([noise, weights.T]))])
        projected = columns.T @ basis
        beside = noise - basis @ (basis.T @ noise)
        return columns, projected @ projected.T + (columns.T @ beside) @ (weights @ columns)

    def left(self) -> tuple[Float, Float]:
        """Return cleaning as E T'y: E and T, (frames kept, dimensions that are left).

        E is orthonormal.
        """
        courses = np.linalg.qr(self.basis, mode="complete")[0][:, self.basis.shape[1] :]
        return courses, courses - self.noise_weights.T @ (self.noise.T @ courses)

    @property
    def decisions(self) -> dict[str, object]:
        """Plain values for a sidecar."""
        return {
            "columns": list(self.columns["given"]),
            **{f"columns_{what}": list(self.columns[what]) for what in _UNUSUAL},
            "columns_filtering": self.filtering,
            "rank": self.rank,
            "frames": len(self.keep),
            "frames_kept": self.frames_kept,
            "frames_censored": len(self.keep) - self.frames_kept,
            "seconds_kept": round(self.seconds_kept, 3),
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for a log: what was unusual."""
        return tuple(
            f"Columns {words}: {', '.join(self.columns[what])}."
            for what, words in _UNUSUAL.items()
            if self.columns[what]
        )

    def segments(
        self,
        seconds_per_segment: float = SECONDS_PER_SEGMENT,
    ) -> Segments:
        """Cut the kept frames into equal segments of about `seconds_per_segment`.

        Parameters
        ----------
        seconds_per_segment
            Length that segments should have.

        Examples
        --------
        >>> import numpy as np
        >>> design = TemporalDesign.build(None, (), np.ones(200, dtype=bool), tr_seconds=2.0)
        >>> cut = design.segments()
        >>> cut.edges, cut.odd, cut.even
        (array([  0, 100, 200]), (0,), (1,))
        """
        count = max(1, round(self.seconds_kept / seconds_per_segment))
        count = min(count, max(1, self.frames_kept // 4))  # halves of two frames at least
        edges = np.rint(np.linspace(0, self.frames_kept, 2 * count + 1)).astype(np.intp)
        # Every second edge parts two segments; of an odd number, the middle one is cut too.
        every = range(2 * count + 1)
        kept = [edge for edge in every if edge % 2 == 0 or edge == count]
        sets, first = [], 0
        for segment in range(count):
            last = first + 1 + (2 * segment + 1 == count)
            sets.append(tuple(range(first, last)))
            first = last
        return Segments(edges[kept], tuple(sets))


@dataclass(frozen=True, eq=False)
class Segments:
    """Equal parts of a run's kept frames, in pieces that also share it out to two equal halves.

    A piece is a segment; where the number of segments is odd, the middle one is two pieces. So
    hardly more sums are kept than there are segments, and pieces in turn make two halves.
    """

    edges: NDArray[np.intp]  # (pieces + 1,), positions among the kept frames
    sets: tuple[tuple[int, ...], ...]  # the pieces (from 0) of each segment

    @property
    def pieces(self) -> int:
        """Number of pieces."""
        return len(self.edges) - 1

    @property
    def whole(self) -> tuple[int, ...]:
        """All pieces."""
        return tuple(range(self.pieces))

    def rows(self, pieces: Sequence[int]) -> NDArray[np.intp]:
        """Positions of the pieces' frames among the kept ones."""
        parts = [np.arange(self.edges[n], self.edges[n + 1], dtype=np.intp) for n in pieces]
        return np.concatenate(parts)

    @property
    def odd(self) -> tuple[int, ...]:
        """First, third, ... piece."""
        return self.whole[::2]

    @property
    def even(self) -> tuple[int, ...]:
        """Second, fourth, ... piece."""
        return self.whole[1::2]


def effective_dof(series: NDArray[np.floating], design: TemporalDesign) -> float:
    """Return the effective degrees of freedom of the correlation of two cleaned series.

    Bartlett's correction (1946; Afyouni et al. 2019, NeuroImage 199: 609) divides the number of
    frames by the sum over lags of the product of two series' autocorrelations. Cleaning makes
    autocorrelation too, which the residual degrees of freedom have paid for already; so that sum
    is compared with the one that white noise has after the same cleaning:
    ``residual * B(white noise) / B(series)``, residual at most.

    Parameters
    ----------
    series
        (frames kept, series) cleaned ROI series; the product of autocorrelations is the mean over
        pairs of them. Those that are 0 throughout count for nothing.
    design
        By which they were cleaned.

    Returns
    -------
    NaN where the residual degrees of freedom are not known, or no series varies.

    Examples
    --------
    Of 400 frames of white noise minus their mean, 399 are free; of an AR(1) process with
    coefficient a, about (1 - a^2) / (1 + a^2) of these (Quenouille 1948, Biometrika 35: 261).

    >>> import numpy as np
    >>> design = TemporalDesign.build(None, [], np.ones(400, dtype=bool), tr_seconds=2.0)
    >>> white = np.random.default_rng(0).standard_normal((400, 50))
    >>> 0.98 < effective_dof(white - white.mean(axis=0), design) / design.residual_dof() <= 1
    True
    """
    residual = design.residual_dof()
    varying = np.asarray(series, np.float64)[:, (series != 0).any(axis=0)]
    if not residual > 0 or not varying.shape[1]:
        return float("nan")
    places, frames = np.flatnonzero(design.keep), len(design.keep)
    lags = max(2, int(LONGEST_LAG * frames))
    pairs = _products(np.ones((len(places), 1)), places, frames)[:lags, 0]
    rounded = np.rint(pairs)  # of frames, both kept, that lie so far apart
    weights = np.where(rounded > 0, 2.0 / np.maximum(rounded, 1), 0.0)
    weights[0] /= 2
    of_series = _products(varying, places, frames)[:lags]
    of_series = of_series / of_series[0]
    of_noise = _products_of_noise(design, places)[:lags]
    of_noise = of_noise / of_noise[0]
    share = weights @ of_noise**2 / (weights @ _mean_over_pairs(of_series))
    return float(residual * min(share, 1.0)) if share > 0 else float(residual)


def _mean_over_pairs(autocorrelations: Float) -> Float:
    """Return the mean product (lags,) of two of the series' autocorrelations (lags, series).

    Pairs of different series: their chance parts cancel, which those of a square would not.
    """
    count = autocorrelations.shape[1]
    sums, squares = autocorrelations.sum(axis=1), (autocorrelations**2).sum(axis=1)
    mean: Float = squares if count == 1 else (sums**2 - squares) / (count * (count - 1))
    return mean


def _products(courses: Float, places: NDArray[np.intp], frames: int) -> Float:
    """Sum products of frames that lie 0, 1, … frames apart: (frames, courses).

    `courses` (frames kept, courses) are put where they were measured; dropped frames count 0.
    """
    whole = np.zeros((2 * frames, courses.shape[1]))
    whole[places] = courses
    power = np.abs(np.fft.rfft(whole, axis=0)) ** 2
    products: Float = np.fft.irfft(power, n=2 * frames, axis=0)[:frames]
    return products


def _products_of_noise(design: TemporalDesign, places: NDArray[np.intp]) -> Float:
    """Return the expected `_products` of cleaned white noise of variance 1."""
    (courses, weights), products = design.removal(), np.zeros(len(design.keep))
    # Cleaned noise, (1 - Z L Z') e, has the covariance 1 - Z K Z' with K = L + L' - L L'.
    values, vectors = np.linalg.eigh(weights + weights.T - weights @ weights.T)
    columns = courses @ vectors
    products[0] = len(places)
    for low in range(0, columns.shape[1], _AT_A_TIME):
        some = slice(low, low + _AT_A_TIME)
        products -= _products(columns[:, some], places, len(products)) @ values[some]
    return products


def segment_weight(seconds: float, residual_dof: float, *, by_dof: bool) -> float:
    """Return the weight of a segment in an average.

    Parameters
    ----------
    seconds, residual_dof
        Time of the segment in seconds, and its residual degrees of freedom.
    by_dof
        Whether the residual degrees of freedom of all segments of the average are known.

    Raises
    ------
    ValueError
        They are not known of this one.

    Examples
    --------
    >>> segment_weight(432.0, 61.5, by_dof=True), segment_weight(432.0, 61.5, by_dof=False)
    (61.5, 432.0)
    """
    if not by_dof:
        return seconds
    if not residual_dof >= 0:
        raise ValueError(f"a segment's degrees of freedom are {residual_dof}")
    return max(residual_dof, _LEAST_WEIGHT)


def _fill_and_centre(
    table: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Fill missing values, centre, scale to norm 1; list which were filled and are constant."""
    finite = np.isfinite(table)
    known = np.where(finite, table, 0.0)
    means = known.sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
    centred = np.where(finite, table - means, 0.0)
    size = np.abs(known).max(axis=0, initial=0.0)
    # Scaled first: a sum of squares of 1e200 would overflow.
    scaled = centred / np.where(size > 0, size, 1.0)
    constant: NDArray[np.bool_] = np.abs(scaled).max(axis=0, initial=0.0) <= CONSTANT_TOLERANCE
    norms = np.linalg.norm(scaled, axis=0)
    filled: NDArray[np.bool_] = ~np.all(finite, axis=0)
    return scaled / np.where(constant, 1.0, norms), filled, constant


def _require_dof(frames: int, columns: int, filtering: int, noise: int) -> None:
    least = columns + noise + 1 + LEAST_DOF
    if frames >= least:
        return
    parts = {
        "confound columns": columns - filtering,
        "columns of frequencies to remove": filtering,
        "noise components": noise,
    }
    columns_of = ", ".join(f"{count} {what}" for what, count in parts.items() if count)
    needed = f"{columns_of} and an intercept" if columns_of else "an intercept"
    raise ValueError(f"{frames} frames are kept, too few for {needed}: at least {least}")


def _span(columns: NDArray[np.floating]) -> NDArray[np.float64]:
    """Orthonormal basis (frames, rank) of what columns (frames, columns) span once centred."""
    if not columns.shape[1]:
        return np.zeros(columns.shape)
    # Here, as most runs have no frequencies to remove, and the import takes 0.2 s.
    from scipy.linalg import qr

    # Over the frames that are kept, cosines are neither orthogonal nor centred any more.
    basis, triangle, _ = qr(columns - columns.mean(axis=0), mode="economic", pivoting=True)
    rank = int(np.count_nonzero(np.abs(np.diag(triangle)) > RANK_TOLERANCE))
    spanned: NDArray[np.float64] = basis[:, :rank]
    return spanned


def _orthonormal(
    columns: NDArray[np.float64], given: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Gram-Schmidt in the order given, beside columns that are orthonormal already.

    Returns which columns are independent, and the basis of both.
    """
    independent = np.zeros(columns.shape[1], dtype=bool)
    basis = np.hstack([given, np.empty_like(columns)])
    rank = given.shape[1]
    for position, column in enumerate(columns.T):
        if rank == len(columns) - 1:  # centred columns span no more
            break
        rest = column.copy()
        for _ in range(2):  # the second turn removes the first one's rounding
            rest -= basis[:, :rank] @ (basis[:, :rank].T @ rest)
        norm = np.linalg.norm(rest)
        if norm > RANK_TOLERANCE:
            basis[:, rank] = rest / norm
            independent[position] = True
            rank += 1
    return independent, basis[:, :rank]


def _beside(basis: Float, both: Float) -> Float:
    """Orthonormal columns that span others (frames, columns) beside an orthonormal basis."""
    norms = np.linalg.norm(both, axis=0)
    both = both[:, norms > 0] / norms[norms > 0]
    for _ in range(2):  # the second turn removes the first one's rounding
        both = both - basis @ (basis.T @ both)
    spanning, sizes, _ = np.linalg.svd(both, full_matrices=False)
    return spanning[:, sizes > RANK_TOLERANCE]
