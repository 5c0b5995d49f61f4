"""The temporal design of a run: frames kept, columns projected out, residual degrees of freedom."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bids_dtg.array_types import Float64, Floats, Indices, Mask

# Length of the segments that the published model was trained on (600 frames of 0.72 s).
SECONDS_PER_SEGMENT = 432.0
SECONDS_PER_RUN = 86_400.0  # segment length that leaves runs whole, as no run is longer
# A column that varies by less than this fraction of its size is constant except for rounding.
CONSTANT_TOLERANCE = 1e-9
# A column of norm 1 is dependent if less than this remains after projecting out earlier columns.
# Confounds tables are text with six or more digits.
RANK_TOLERANCE = 1e-6
# How a confound column may be treated, in words.
_UNUSUAL = {
    "filled": "filled with their mean where n/a",
    "constant": "left out as constant",
    "dependent": "left out as combinations of earlier columns",
}
# With fewer residual degrees of freedom, any two series correlate.
LEAST_DOF = 3
# Least weight of a segment, so that an average does not fail if a segment has no dof left.
_LEAST_WEIGHT = 1.0


@dataclass(frozen=True, eq=False)
class TemporalDesign:
    """Which frames of a run are kept, and what is regressed out of them.

    Noise components, if any, are first removed as y - N W y, which is ICA-AROMA's non-aggressive
    denoising (Pruim et al. 2015) as implemented by fsl_regfilt. Then the projection I - C C' is
    applied to the kept frames. Censored frames are removed before, so they have no influence.
    """

    keep: Mask  # (frames,), False for censored frames and dummy scans
    basis: Float64  # C, (frames kept, rank), orthonormal columns, intercept first
    tr_seconds: float  # time between frames
    # Names of confound columns. given: all, in order; filled: had n/a in kept frames, replaced by
    # the mean of the other values; constant: left out, as constant or without values over the kept
    # frames; dependent: left out, as linear combinations of earlier columns.
    columns: Mapping[str, tuple[str, ...]]
    # Independent columns of the stop band, which come before the confounds.
    filtering: int
    noise: Float64  # N, (frames kept, noise components), mean 0
    # W, (noise components, frames kept), their rows in the pseudo-inverse of all components
    noise_weights: Float64
    # Degrees of freedom used by earlier cleaning; NaN if unknown.
    lost_before: float = 0.0

    @classmethod
    def build(
        cls,
        confounds: Floats | None,
        names: Sequence[str],
        keep: Mask,
        tr_seconds: float,
        *,
        stop_band: Floats | None = None,
        mixing: Floats | None = None,
        noise: Mask | None = None,
    ) -> TemporalDesign:
        """Turn confound columns into an orthonormal basis over the kept frames.

        Parameters
        ----------
        confounds
            (frames, columns); values that are not finite are replaced by the mean of the column's
            finite values in kept frames. None means the intercept alone.
        names
            A name for each column.
        keep
            (frames,), False for frames to remove.
        tr_seconds
            Time between frames, in seconds.
        stop_band
            (frames, columns), unnamed columns of frequencies to remove.
        mixing, noise
            (frames, components) finite time courses of all components of an ICA, and
            (components,) which of them are noise; these are removed non-aggressively.

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
        table = np.zeros((len(keep), 0))
        if confounds is not None:
            table = np.asarray(confounds, np.float64)
        values, filled, constant = _fill_and_centre(table[keep])
        frames_kept = len(values)
        usable = np.flatnonzero(~constant)
        filtering = np.zeros((frames_kept, 0))
        if stop_band is not None:
            filtering = _span(stop_band[keep])
        independent, basis = _orthonormal(values[:, usable], filtering)
        noise_courses = np.zeros((frames_kept, 0))
        noise_weights = np.zeros((0, frames_kept))
        if mixing is not None and noise is not None and noise.any():
            noise_courses, noise_weights = _noise(mixing[keep], noise)
        removed = basis.shape[1] + noise_courses.shape[1]
        least = removed + 1 + LEAST_DOF
        if frames_kept < least:
            raise ValueError(
                f"{frames_kept} frames are kept, too few for {removed} columns and an intercept: "
                f"at least {least}"
            )
        intercept = np.full((frames_kept, 1), frames_kept**-0.5)
        labels = np.asarray(names, dtype=object)
        columns = {
            "given": tuple(names),
            "filled": tuple(labels[filled & ~constant]),
            "constant": tuple(labels[constant]),
            "dependent": tuple(labels[usable[~independent]]),
        }
        return cls(
            keep=keep,
            basis=np.hstack([intercept, basis]),
            tr_seconds=float(tr_seconds),
            columns=columns,
            filtering=filtering.shape[1],
            noise=noise_courses,
            noise_weights=noise_weights,
        )

    @property
    def frames_kept(self) -> int:
        """Number of frames that are not censored."""
        return len(self.basis)

    @property
    def seconds_kept(self) -> float:
        """Duration of the kept frames."""
        return self.frames_kept * self.tr_seconds

    @property
    def rank(self) -> int:
        """Number of dimensions that cleaning removes: columns, noise components, intercept."""
        return int(self.basis.shape[1] + self.noise.shape[1])

    def residual_dof(self, rows: Indices | None = None) -> float:
        """Return the residual degrees of freedom: kept frames minus those used by cleaning.

        Parameters
        ----------
        rows
            Positions among the kept frames; all of them by default.

        Returns
        -------
        For all frames, their number minus the rank of the design. For some frames, the trace of
        the residual projection over them, so that a column counts where it acts and the parts of a
        run add up to the whole. NaN if earlier cleaning is unknown.

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
        used = np.einsum("tc,tc->", self.basis[rows], self.basis[rows])
        used += np.einsum("tn,nt->", self.noise[rows], self.noise_weights[:, rows])
        share = len(rows) / self.frames_kept
        return float(max(len(rows) - used, 0.0) - share * self.lost_before)

    def clean(self, series: Floats) -> Float64:
        """Clean time series.

        Parameters
        ----------
        series
            (frames kept, series), one column per series.

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
        cleaned: Float64 = np.asarray(series, np.float64)
        cleaned = cleaned - self.noise @ (self.noise_weights @ cleaned)
        return cleaned - self.basis @ (self.basis.T @ cleaned)

    def removal(self) -> tuple[Float64, Float64]:
        """Return the matrices of cleaning in the form y - Z L Z'y.

        Returns
        -------
        Z, (frames kept, columns), orthonormal, the intercept first; and L, (columns, columns).
        """
        basis = self.basis
        if not self.noise.shape[1]:
            return basis, np.eye(basis.shape[1])
        noise_span = np.hstack([self.noise, self.noise_weights.T])
        columns = np.hstack([basis, _extension(basis, noise_span)])
        projected = columns.T @ basis
        noise_residual = self.noise - basis @ (basis.T @ self.noise)
        noise_products = (columns.T @ noise_residual) @ (self.noise_weights @ columns)
        return columns, projected @ projected.T + noise_products

    def remainder(self) -> tuple[Float64, Float64]:
        """Return the matrices of cleaning in the form E T'y.

        Both are (frames kept, remaining dimensions), and E is orthonormal.
        """
        complete, _ = np.linalg.qr(self.basis, mode="complete")
        courses = complete[:, self.basis.shape[1] :]
        return courses, courses - self.noise_weights.T @ (self.noise.T @ courses)

    @property
    def decisions(self) -> dict[str, object]:
        """Plain values for a sidecar."""
        unusual = {
            f"columns_{treatment}": list(self.columns[treatment])
            for treatment in _UNUSUAL
        }
        return {
            "columns": list(self.columns["given"]),
            **unusual,
            "columns_filtering": self.filtering,
            "rank": self.rank,
            "frames": len(self.keep),
            "frames_kept": self.frames_kept,
            "frames_censored": len(self.keep) - self.frames_kept,
            "seconds_kept": round(self.seconds_kept, 3),
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on unusual columns, for a log."""
        return tuple(
            f"Columns {words}: {', '.join(self.columns[treatment])}."
            for treatment, words in _UNUSUAL.items()
            if self.columns[treatment]
        )

    def segments(self, seconds_per_segment: float = SECONDS_PER_SEGMENT) -> Segments:
        """Cut the kept frames into equal segments of about `seconds_per_segment`.

        Parameters
        ----------
        seconds_per_segment
            Desired length of segments.

        Examples
        --------
        >>> import numpy as np
        >>> design = TemporalDesign.build(None, (), np.ones(200, dtype=bool), tr_seconds=2.0)
        >>> cut = design.segments()
        >>> cut.edges, cut.odd, cut.even
        (array([  0, 100, 200]), (0,), (1,))
        """
        count = max(1, round(self.seconds_kept / seconds_per_segment))
        # The halves of a segment have at least two frames.
        count = min(count, max(1, self.frames_kept // 4))
        even_edges = np.linspace(0, self.frames_kept, 2 * count + 1)
        half_edges = np.rint(even_edges).astype(np.intp)
        # Every second edge separates two segments; if their number is odd, the middle one is cut.
        is_edge = np.arange(2 * count + 1) % 2 == 0
        is_edge[count] = True
        sets = []
        first = 0
        for segment in range(count):
            is_cut = 2 * segment + 1 == count
            end = first + (2 if is_cut else 1)
            sets.append(tuple(range(first, end)))
            first = end
        return Segments(half_edges[is_edge], tuple(sets))


@dataclass(frozen=True, eq=False)
class Segments:
    """Equal segments of a run's kept frames, made of pieces that also form two equal halves.

    Each segment is one piece, except that the middle one of an odd number is cut into two pieces.
    So the number of pieces is even: odd and even pieces form two halves, and there are hardly more
    sums than segments.
    """

    edges: Indices  # (pieces + 1,), positions among the kept frames
    sets: tuple[tuple[int, ...], ...]  # the pieces (from 0) of each segment

    @property
    def pieces(self) -> int:
        """Number of pieces."""
        return len(self.edges) - 1

    @property
    def whole(self) -> tuple[int, ...]:
        """All pieces."""
        return tuple(range(self.pieces))

    def rows(self, pieces: Sequence[int]) -> Indices:
        """Return the positions of the pieces' frames among the kept frames."""
        rows = [
            np.arange(self.edges[piece], self.edges[piece + 1], dtype=np.intp)
            for piece in pieces
        ]
        return np.concatenate(rows)

    @property
    def odd(self) -> tuple[int, ...]:
        """The first, third, ... piece."""
        return self.whole[::2]

    @property
    def even(self) -> tuple[int, ...]:
        """The second, fourth, ... piece."""
        return self.whole[1::2]


def segment_weight(seconds: float, residual_dof: float, *, by_dof: bool) -> float:
    """Return the weight of a segment in an average.

    Parameters
    ----------
    seconds, residual_dof
        Duration of the segment in seconds, and its residual degrees of freedom.
    by_dof
        Whether the residual degrees of freedom of all segments of the average are known, and are
        the weights; otherwise the durations are.

    Examples
    --------
    >>> segment_weight(432.0, 61.5, by_dof=True), segment_weight(432.0, 61.5, by_dof=False)
    (61.5, 432.0)
    """
    return max(residual_dof, _LEAST_WEIGHT) if by_dof else seconds


def _fill_and_centre(table: Float64) -> tuple[Float64, Mask, Mask]:
    """Fill missing values, centre, scale to norm 1; return also which were filled, and constant."""
    finite = np.isfinite(table)
    zero_filled = np.where(finite, table, 0.0)
    means = zero_filled.sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
    centred = np.where(finite, table - means, 0.0)
    size = np.abs(zero_filled).max(axis=0, initial=0.0)
    # Scale first, as the sum of squares of 1e200 would overflow.
    scaled = centred / np.where(size > 0, size, 1.0)
    largest = np.abs(scaled).max(axis=0, initial=0.0)
    constant: Mask = largest <= CONSTANT_TOLERANCE
    norms = np.linalg.norm(scaled, axis=0)
    filled: Mask = ~np.all(finite, axis=0)
    return scaled / np.where(constant, 1.0, norms), filled, constant


def _noise(mixing: Floats, noise: Mask) -> tuple[Float64, Float64]:
    """Return N and W of `TemporalDesign` from the time courses of all components."""
    courses = np.asarray(mixing, np.float64)
    courses = courses - courses.mean(axis=0)
    return courses[:, noise], np.linalg.pinv(courses)[noise]


def _span(columns: Floats) -> Float64:
    """Return an orthonormal basis (frames, rank) of the span of centred columns."""
    if not columns.shape[1]:
        return np.zeros(columns.shape)
    # Imported here, as it takes 0.2 s and most runs have no frequencies to remove.
    from scipy.linalg import qr

    # After censoring, cosines are neither orthogonal nor centred.
    centred = columns - columns.mean(axis=0)
    basis, triangle, _ = qr(centred, mode="economic", pivoting=True)
    rank = int(np.count_nonzero(np.abs(np.diag(triangle)) > RANK_TOLERANCE))
    return basis[:, :rank]


def _orthonormal(columns: Float64, first: Float64) -> tuple[Mask, Float64]:
    """Apply Gram-Schmidt to columns in order, after columns that are already orthonormal.

    Returns which columns are independent, and the basis of all.
    """
    independent = np.zeros(columns.shape[1], dtype=bool)
    basis = np.hstack([first, np.empty_like(columns)])
    rank = first.shape[1]
    for position, column in enumerate(columns.T):
        if rank == len(columns) - 1:  # the largest rank of centred columns
            break
        residual = column.copy()
        for _ in range(2):  # the second round removes rounding errors of the first
            residual -= basis[:, :rank] @ (basis[:, :rank].T @ residual)
        norm = math.sqrt(residual @ residual)
        if norm > RANK_TOLERANCE:
            basis[:, rank] = residual / norm
            independent[position] = True
            rank += 1
    return independent, basis[:, :rank]


def _extension(basis: Float64, columns: Float64) -> Float64:
    """Return orthonormal columns that extend an orthonormal basis by the span of columns."""
    norms = np.linalg.norm(columns, axis=0)
    nonzero = norms > 0
    residuals = columns[:, nonzero] / norms[nonzero]
    for _ in range(2):  # the second round removes rounding errors of the first
        residuals = residuals - basis @ (basis.T @ residuals)
    spanning, sizes, _ = np.linalg.svd(residuals, full_matrices=False)
    return spanning[:, sizes > RANK_TOLERANCE]
