"""Correlations over the last axis with missing values; across people, with an interval."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.paired import DRAWS, Interval

Values = NDArray[np.floating[Any]]

_FEWEST_PAIRS = 3  # with fewer pairs of values, a correlation means nothing
_DRAWS_AT_ONCE = 500
_CONSTANT = 1e-12  # for values of variance 1, a smaller variance is rounding error


def correlation(values: Values, others: Values) -> Values:
    """Return Pearson r over the last axis; pairs with a value that is not finite are left out.

    Parameters
    ----------
    values, others
        (..., values); leading axes are broadcast.

    Returns
    -------
    numpy.ndarray
        (...); NaN where fewer than three pairs are left or one side is constant.

    Examples
    --------
    >>> r = correlation(np.array([1.0, 2.0, 3.0, np.nan]), np.array([1.0, 3.0, 2.0, 9.0]))
    >>> round(float(r), 3)
    0.5
    """
    x, y = np.broadcast_arrays(values, others)
    known = np.isfinite(x) & np.isfinite(y)
    if known.all():
        r = np.einsum("...v,...v->...", unit_length(x), unit_length(y))
    else:
        r = np.einsum("...v,...v->...", unit_length(x, known), unit_length(y, known))
    return np.where(known.sum(axis=-1) >= _FEWEST_PAIRS, np.clip(r, -1.0, 1.0), np.nan)


def correlation_interval(
    values: Values, others: Values, *, seed: int = 0, draws: int = DRAWS
) -> Interval:
    """Return Pearson r over people and its 95 % interval by resampling people.

    Parameters
    ----------
    values, others
        (people,); people with a value that is not finite are left out.
    seed, draws
        Seed and number of the bootstrap samples of people.

    Returns
    -------
    Interval
        Its `mean` is the r of all people. The ends are NaN with fewer than three people, or
        where r is not defined.

    Notes
    -----
    Percentiles (Efron 1979, Ann. Stat. 7: 1). Samples in which one side is constant have no r
    and are left out.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((2, 200))
    >>> found = correlation_interval(x[0], x[0] + x[1])
    >>> bool(0.5 < found.low < found.mean < found.high < 0.9)
    True
    """
    x, y = np.asarray(values, np.float64), np.asarray(others, np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    r = float(correlation(x, y)) if len(x) else float("nan")
    if not np.isfinite(r):
        return Interval(r, float("nan"), float("nan"))
    rng, found = np.random.default_rng(seed), []
    for start in range(0, draws, _DRAWS_AT_ONCE):
        people = rng.integers(len(x), size=(min(_DRAWS_AT_ONCE, draws - start), len(x)))
        found.append(correlation(x[people], y[people]))
    low, high = np.nanpercentile(np.concatenate(found), [2.5, 97.5])
    return Interval(r, float(low), float(high))


def weighted_correlation(
    values: Values, others: Values, counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return Pearson r over people, given how often each counts.

    Parameters
    ----------
    values, others
        (..., people), finite values in any unit.
    counts
        (samples, people), whole numbers, as in bootstrap samples; not all 0.

    Returns
    -------
    numpy.ndarray
        (..., samples); NaN where one side is constant.

    Examples
    --------
    >>> x, y = np.array([1.0, 2.0, 3.0, 7.0]), np.array([1.0, 3.0, 2.0, 9.0])
    >>> weighted_correlation(x, y, np.array([[1.0, 1.0, 1.0, 0.0]])).round(3)
    array([0.5])
    """
    # Standardised values keep the sums of squares precise.
    x, y = np.broadcast_arrays(*(_standardized(own) for own in (values, others)))
    people = counts.sum(axis=1)
    mean_x, mean_y, xx, yy, xy = (
        own @ counts.T / people for own in (x, y, np.square(x), np.square(y), x * y)
    )
    power_x, power_y = xx - np.square(mean_x), yy - np.square(mean_y)
    differs = (power_x > _CONSTANT) & (power_y > _CONSTANT)
    with np.errstate(invalid="ignore"):
        r = (xy - mean_x * mean_y) / np.sqrt(
            np.where(differs, power_x * power_y, np.nan)
        )
    found: NDArray[np.float64] = np.clip(r, -1.0, 1.0)
    return found


def _standardized(values: Values) -> NDArray[np.float64]:
    own = np.asarray(values, np.float64)
    own = own - own.mean(axis=-1, keepdims=True)
    size = own.std(axis=-1, keepdims=True)
    found: NDArray[np.float64] = own / np.where(size > 0, size, 1.0)
    return found


def unit_length(values: Values, known: NDArray[np.bool_] | None = None) -> Values:
    """Centre values and scale them to length 1 over the last axis; NaN where constant.

    Parameters
    ----------
    values
        (..., values), scaled along the last axis.
    known
        (..., values), which values count; the others become 0. None: all count.

    Examples
    --------
    >>> unit_length(np.array([1.0, 3.0, 1.0, 3.0]))
    array([-0.5,  0.5, -0.5,  0.5])
    """
    own = np.asarray(values, np.result_type(values, np.float32))
    used = np.ones(1, np.bool_) if known is None else known
    count = np.broadcast_to(used, own.shape).sum(axis=-1, keepdims=True)
    count = np.maximum(count, 1).astype(own.dtype)
    counted = own if known is None else np.where(known, own, 0.0)
    # Values that are not finite give NaN here, as intended.
    with np.errstate(invalid="ignore", over="ignore"):
        centred = (counted - counted.sum(axis=-1, keepdims=True) / count) * used
        length = np.sqrt(np.einsum("...v,...v->...", centred, centred))[..., None]
        # What rounding leaves of a constant has no meaningful direction.
        rounding = (
            8 * np.finfo(own.dtype).eps * np.abs(counted).max(axis=-1, keepdims=True)
        )
        has_direction = np.isfinite(length) & (length > rounding * np.sqrt(count))
        unit: Values = centred / np.where(has_direction, length, np.nan)
    return unit
