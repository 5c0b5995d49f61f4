"""Correlations over the last axis with missing values; across people, with an interval."""

from __future__ import annotations

import numpy as np

from bids_dtg.array_types import Float64, Floats, Mask
from bids_dtg.stats.paired import DRAWS, Interval

_FEWEST_PAIRS = 3  # with fewer pairs of values, a correlation means nothing
_DRAWS_AT_ONCE = 500
_CONSTANT = 1e-12  # for values of variance 1, a smaller variance is rounding error


def correlation(x: Floats, y: Floats) -> Floats:
    """Return Pearson r over the last axis; pairs with a value that is not finite are left out.

    Parameters
    ----------
    x, y
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
    x, y = np.broadcast_arrays(x, y)
    finite = np.isfinite(x) & np.isfinite(y)
    used = None if finite.all() else finite
    r = np.einsum("...v,...v->...", unit_length(x, used), unit_length(y, used))
    enough = finite.sum(axis=-1) >= _FEWEST_PAIRS
    return np.where(enough, np.clip(r, -1.0, 1.0), np.nan)


def correlation_interval(
    x: Floats, y: Floats, *, seed: int = 0, draws: int = DRAWS
) -> Interval:
    """Return Pearson r over people and its 95 % interval by resampling people.

    Parameters
    ----------
    x, y
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
    >>> x, noise = np.random.default_rng(0).standard_normal((2, 200))
    >>> interval = correlation_interval(x, x + noise)
    >>> bool(0.5 < interval.low < interval.mean < interval.high < 0.9)
    True
    """
    finite = np.isfinite(x) & np.isfinite(y)
    x = np.asarray(x, np.float64)[finite]
    y = np.asarray(y, np.float64)[finite]
    r = float(correlation(x, y))
    if not np.isfinite(r):
        return Interval(r)
    rng = np.random.default_rng(seed)
    sampled_r = []
    for start in range(0, draws, _DRAWS_AT_ONCE):
        count = min(_DRAWS_AT_ONCE, draws - start)
        people = rng.integers(len(x), size=(count, len(x)))
        sampled_r.append(correlation(x[people], y[people]))
    low, high = np.nanpercentile(np.concatenate(sampled_r), [2.5, 97.5])
    return Interval(r, float(low), float(high))


def weighted_correlation(x: Floats, y: Floats, counts: Float64) -> Float64:
    """Return Pearson r over people, given how often each counts.

    Parameters
    ----------
    x, y
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
    x, y = np.broadcast_arrays(_standardized(x), _standardized(y))
    people = counts.sum(axis=1)

    def mean(values: Floats) -> Float64:
        return np.asarray(values @ counts.T / people)

    mean_x = mean(x)
    mean_y = mean(y)
    variance_x = mean(np.square(x)) - np.square(mean_x)
    variance_y = mean(np.square(y)) - np.square(mean_y)
    covariance = mean(x * y) - mean_x * mean_y
    differs = (variance_x > _CONSTANT) & (variance_y > _CONSTANT)
    with np.errstate(invalid="ignore"):
        size = np.sqrt(np.where(differs, variance_x * variance_y, np.nan))
        r: Float64 = np.clip(covariance / size, -1.0, 1.0)
    return r


def _standardized(values: Floats) -> Float64:
    centred = np.asarray(values, np.float64)
    centred = centred - centred.mean(axis=-1, keepdims=True)
    sd = centred.std(axis=-1, keepdims=True)
    return centred / np.where(sd > 0, sd, 1.0)


def unit_length(values: Floats, used: Mask | None = None) -> Floats:
    """Centre values and scale them to length 1 over the last axis; NaN where constant.

    Parameters
    ----------
    values
        (..., values), scaled along the last axis.
    used
        (..., values), which values count; those that do not become 0. None: all count.

    Examples
    --------
    >>> unit_length(np.array([1.0, 3.0, 1.0, 3.0]))
    array([-0.5,  0.5, -0.5,  0.5])
    """
    floats = np.asarray(values, np.result_type(values, np.float32))
    dtype = floats.dtype
    if used is None:
        used = np.ones(1, np.bool_)
    else:
        floats = np.where(used, floats, 0.0)
    count = np.broadcast_to(used, floats.shape).sum(axis=-1, keepdims=True)
    count = np.maximum(count, 1).astype(dtype)
    # Values that are not finite give NaN here, as intended.
    with np.errstate(invalid="ignore", over="ignore"):
        centred = (floats - floats.sum(axis=-1, keepdims=True) / count) * used
        length = np.sqrt(np.einsum("...v,...v->...", centred, centred))[..., None]
        # What rounding leaves of a constant has no meaningful direction.
        largest = np.abs(floats).max(axis=-1, keepdims=True, initial=0.0)
        rounding = 8 * np.finfo(dtype).eps * largest
        has_direction = np.isfinite(length) & (length > rounding * np.sqrt(count))
        unit: Floats = centred / np.where(has_direction, length, np.nan)
    return unit
