"""Factors on half-widths: by how far a prediction is from others', and by the amount of rest.

Half-widths are learned place by place. What differs from person to person multiplies them: the
bin of |predicted deviation| that a place of the person's map is in, and the number of segments of
rest that the map is the mean of. Both are ratios of root mean squares of errors, over all contrasts
and places together, which few people are enough for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# |predicted deviation| between bins, in spreads between people; the last bin is open.
EDGES = (0.5, 1.0, 1.5, 2.0)
BINS = len(EDGES) + 1
MEASURED, TRUE = 0, 1  # rows: of a new measurement, and of the person's true map
# Factors that differ less than this from one another are one: half-widths are the same for all.
_LEAST_RANGE = 1.1
_LEAST_CHANGE = 0.02  # by the number of segments; a smaller one is none
_LEAST = 0.2  # of a factor
_PRIOR = 1000.0  # places of a usual error that are added to each bin

Array = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bins = NDArray[np.int8]


def deviation_bins(deviations: Array) -> Bins:
    """Return the bin of each deviation, in spreads; the first one where there is none (NaN).

    Examples
    --------
    >>> deviation_bins(np.array([0.1, -0.7, 3.0, np.nan], np.float32))
    array([0, 1, 4, 0], dtype=int8)
    """
    size = np.nan_to_num(np.abs(deviations))
    return np.asarray(np.digitize(size, EDGES), np.int8)


@dataclass(frozen=True, eq=False)
class WidthFactors:
    """Factors on half-widths of both kinds.

    Examples
    --------
    >>> factors = WidthFactors(np.ones((2, 5), np.float32), np.array([[1.2, 1], [1.1, 1]]))
    >>> factors.segments, f"{factors.of_segments(TRUE, 1):.2f}", factors.of_segments(TRUE, 3)
    (2, '1.10', None)
    """

    by_deviation: Array  # (2, bins)
    by_segments: Array  # (2, segments): maps from one segment, two and so on; the last is 1

    def __post_init__(self) -> None:
        if self.by_deviation.shape != (2, BINS) or self.by_segments.ndim != 2:
            raise ValueError(f"factors are (2, {BINS}), found {self.by_deviation.shape}")
        if self.by_segments.shape[0] != 2 or not self.by_segments.shape[1]:
            raise ValueError(f"factors are (2, segments), found {self.by_segments.shape}")
        for found in (self.by_deviation, self.by_segments):
            if not (np.isfinite(found).all() and (found > 0).all()):
                raise ValueError("factors are above 0")

    @property
    def segments(self) -> int:
        """The largest number of segments that has a factor."""
        return int(self.by_segments.shape[1])

    def of_segments(self, row: int, segments: int) -> np.float32 | None:
        """Return the factor of maps from so many segments; None: there is none."""
        if not 1 <= segments <= self.segments:
            return None
        return np.float32(self.by_segments[row, segments - 1])

    def personal(self, row: int) -> bool:
        """Return whether half-widths of a kind differ between places of a person's map."""
        return bool((self.by_deviation[row] != 1).any())

    @property
    def change(self) -> bool:
        """Whether half-widths of anybody are not the usual ones."""
        return bool((self.by_deviation != 1).any() or (self.by_segments != 1).any())


class BinSums:
    """Mean squares of scores, error / usual error, in the bins of |predicted deviation|."""

    def __init__(self) -> None:
        self.squares: Float64 = np.zeros(BINS)
        self.values: NDArray[np.int64] = np.zeros(BINS, np.int64)

    def add(self, squares: NDArray[np.floating], bins: Bins) -> None:
        """Add a person's squared scores, (contrasts, places); NaN: none."""
        known = np.isfinite(squares)
        where = bins[known].astype(np.intp)
        self.squares += np.bincount(where, squares[known], minlength=BINS)
        self.values += np.bincount(where, minlength=BINS)

    def factors(self) -> Array:
        """Return factors on the usual error, (bins,); 1 throughout where they differ little."""
        ones = np.ones(BINS, np.float32)
        whole = self.squares.sum() / max(int(self.values.sum()), 1)
        if not whole > 0:
            return ones
        own = (self.squares / whole + _PRIOR) / (self.values + _PRIOR)
        found = np.sqrt(np.maximum(own, _LEAST**2)).astype(np.float32)
        return found if found.max() >= _LEAST_RANGE * found.min() else ones


class SegmentSums:
    """Mean squares of errors of maps from the first segments of rest, by how many.

    Parameters
    ----------
    segments
        The most that are compared.
    contrasts
        How many maps there are.
    """

    def __init__(self, segments: int, contrasts: int) -> None:
        self.squares: Float64 = np.zeros((2, segments, contrasts))

    def add(self, segments: int, first: Array, second: Array | None) -> None:
        """Add a person's errors of maps from so many segments; None: there is no second session."""
        self.squares[MEASURED, segments - 1] += np.nansum(np.square(first, dtype=float), axis=1)
        if second is not None:
            self.squares[TRUE, segments - 1] += np.nansum(first.astype(float) * second, axis=1)

    def factors(self) -> Array:
        """Return factors on the usual error of maps from all segments, (2, segments)."""
        last = self.squares[:, -1:]
        known = np.asarray((last > 0).all(axis=1))
        ratios = np.where(last > 0, self.squares / np.where(last > 0, last, 1.0), 1.0)
        found = np.ones(self.squares.shape[:2])
        for row in (MEASURED, TRUE):
            if known[row].any():
                found[row] = ratios[row][:, known[row]].mean(axis=1)
        factors = np.sqrt(np.maximum(found, _LEAST**2))
        factors[np.abs(factors - 1) < _LEAST_CHANGE] = 1.0
        return np.asarray(factors, np.float32)
