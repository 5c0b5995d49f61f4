"""How typical each person's map is: against the mean of all other people's.

There are two figures. The distance says how far a map lies from the others' mean, and grows with a
larger amplitude as with another pattern; r compares the pattern alone. What is far is found by the
spread of the other people's figures (median and median absolute deviation, after Iglewicz &
Hoaglin 1993, How to detect and handle outliers): that describes a group, and tests nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.cohort.point_cloud import Table, column_blocks
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.paired import Interval

Values = NDArray[np.float64]
MOST_DEVIATIONS = 3.5  # from the median, in scaled median absolute deviations
_TO_SD = 1.4826  # of a normal distribution, the sd over the median absolute deviation
_SAME = 1e-6  # of a figure's size: a smaller deviation is rounding


@dataclass(frozen=True, eq=False)
class Typicality:
    """Each person's map against the mean of the others', (people,) each."""

    distance: Values  # root mean square over places, in units of the maps
    r: Values  # Pearson, over places; NaN where one of both is constant


def typicality(table: Table) -> Typicality:
    """Compare each person's map with the mean of the other people's.

    Parameters
    ----------
    table
        (people, places), memory-mapped, if large; places where somebody has no value are left
        out.

    Raises
    ------
    ValueError
        If there are fewer than two people.

    Examples
    --------
    >>> found = typicality(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [4.0, 2.0, 3.0]]))
    >>> found.distance.round(2), found.r.round(2)
    (array([0.87, 0.87, 1.73]), array([ 0.5,  0.5, -0.5]))
    """
    n = len(table)
    if n < 2:
        raise ValueError(f"a person is compared with others, found {n}")
    sums = _sums(table)
    # With m the mean of all and d a person's deviation: the map is m + d, and the mean of the
    # others m - d / (n - 1). All that r needs follows from sums of their products.
    share, count = 1 / (n - 1), max(sums.count, 1)
    own = sums.mean_square + 2 * sums.with_mean + sums.squares
    others = sums.mean_square - 2 * share * sums.with_mean + share**2 * sums.squares
    products = sums.mean_square + (1 - share) * sums.with_mean - share * sums.squares
    own_sum, others_sum = sums.mean_sum + sums.sums, sums.mean_sum - share * sums.sums
    own_size, others_size = own - own_sum**2 / count, others - others_sum**2 / count
    varied = (own_size > _SAME**2 * own) & (others_size > _SAME**2 * others)
    length = np.sqrt(np.where(varied, own_size * others_size, 1.0))
    r = np.clip((products - own_sum * others_sum / count) / length, -1, 1)
    distance = (1 + share) * np.sqrt(sums.squares / count)
    return Typicality(distance, np.where(varied, r, np.nan))


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over places of the mean map and of people's deviations from it."""

    count: int  # of places
    mean_square: float
    mean_sum: float
    squares: Values  # (people,), of the deviations
    with_mean: Values  # (people,), products of deviation and mean
    sums: Values  # (people,), of the deviations


def _sums(table: Table) -> _Sums:
    count, mean_square, mean_sum = 0, 0.0, 0.0
    squares, with_mean, sums = np.zeros((3, len(table)))
    for (block,) in column_blocks([table], len(table)):
        values = block[:, np.isfinite(block).all(axis=0)].astype(np.float64)
        mean = values.mean(axis=0)
        values -= mean
        count += len(mean)
        mean_square, mean_sum = mean_square + float(mean @ mean), mean_sum + float(mean.sum())
        squares += np.einsum("pv,pv->p", values, values)
        with_mean += values @ mean
        sums += values.sum(axis=1)
    return _Sums(count, mean_square, mean_sum, squares, with_mean, sums)


def deviations_from_median(values: Values) -> Values:
    """Return how far each value lies from the median, in scaled median absolute deviations.

    Parameters
    ----------
    values
        (people,); NaN stays and does not count.

    Returns
    -------
    numpy.ndarray
        (people,); NaN for all where most values are the same, and with fewer than three people.

    Examples
    --------
    >>> deviations_from_median(np.array([1.0, 2.0, 3.0, 4.0, 50.0])).round(1)
    array([-1.3, -0.7,  0. ,  0.7, 31.7])
    """
    values = np.asarray(values, np.float64)
    known = values[np.isfinite(values)]
    if len(known) < 3:
        return np.full(values.shape, np.nan)
    median = np.median(known)
    spread = _TO_SD * float(np.median(np.abs(known - median)))
    if spread <= _SAME * float(np.abs(known).max()):
        return np.full(values.shape, np.nan)
    deviations: Values = (values - median) / spread
    return deviations


def rank_correlation(values: Values, others: Values) -> Interval:
    """Return Spearman's correlation over people and its 95 % interval.

    Parameters
    ----------
    values, others
        (people,); people with a value that is not finite are left out.

    Returns
    -------
    Interval
        Its `mean` is the correlation: NaN with fewer than three people or where one side is
        constant. The ends are NaN with fewer than five people.

    Notes
    -----
    The interval is that of Bonett & Wright 2000, Psychometrika 65: 23.

    Examples
    --------
    >>> found = rank_correlation(np.arange(20.0), np.arange(20.0) ** 2 + 50 * (np.arange(20) % 2))
    >>> 0.8 < found.low < found.mean < found.high < 1
    True
    """
    from scipy.stats import rankdata

    x, y = np.asarray(values, np.float64), np.asarray(others, np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    rho = float(correlation(rankdata(x), rankdata(y))) if len(x) else float("nan")
    if len(x) < 5 or not np.isfinite(rho):
        return Interval(rho, float("nan"), float("nan"))
    # Of ranks in one order the transformed value has no end.
    middle = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
    half = 1.959964 * np.sqrt((1 + rho**2 / 2) / (len(x) - 3))
    return Interval(rho, float(np.tanh(middle - half)), float(np.tanh(middle + half)))


def unusual(values: Any, *, low: bool = False) -> NDArray[np.bool_]:
    """Return the people beyond the limit: above it, or below where `low` values are unusual.

    Examples
    --------
    >>> unusual([1.0, 2.0, 3.0, 4.0, 50.0])
    array([False, False, False, False,  True])
    """
    found = deviations_from_median(np.asarray(values, np.float64))
    beyond: NDArray[np.bool_] = (-found if low else found) > MOST_DEVIATIONS
    return beyond
