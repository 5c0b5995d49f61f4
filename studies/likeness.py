"""How alike simulated and original series are, region by region, beside controls.

Series are (..., frames), of one unit for all regions. The features are those by which Sip et al.
(2023, doi 10.1126/sciadv.abq7547) judge models of simulated oscillators (periodogram and variance)
and of regions that switch between two states (histogram and switches).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.floating[Any]]
Values = NDArray[np.float64]

SMOOTHED_BINS = 3  # of a periodogram
HISTOGRAM_BINS, HISTOGRAM_LIMITS = 20, (-2.0, 2.0)
SEPARATING_MASS = 0.1  # share of all values that lie between the limits of two modes
_DENSITY_BINS, _DENSITY_SMOOTHING = 100, 2.0  # of the density in which modes are looked for


def periodogram_similarity(series: Series, others: Series) -> Values:
    """Return the cosine between smoothed periodograms of two series, 0 to 1.

    Parameters
    ----------
    series, others
        (..., frames); leading axes are broadcast.

    Returns
    -------
    numpy.ndarray
        (...); NaN where a series is constant.

    Examples
    --------
    >>> phase = 0.3 * np.arange(200)
    >>> periodogram_similarity(np.sin(phase), np.cos(np.stack([phase, 3 * phase]))).round(2)
    array([1., 0.])
    """
    first, second = _periodogram(series), _periodogram(others)
    norms = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    products = (first * second).sum(axis=-1)
    return _ratio(products, norms)


def _periodogram(series: Series) -> Values:
    from scipy.ndimage import uniform_filter1d
    from scipy.signal import periodogram

    _, power = periodogram(np.asarray(series, np.float64), axis=-1)
    power[np.ptp(series, axis=-1) == 0] = 0.0  # not what is left by rounding
    smooth: Values = uniform_filter1d(power, SMOOTHED_BINS, axis=-1, mode="nearest")
    return smooth


def _ratio(numerator: Values, denominator: Values) -> Values:
    """Divide; NaN where the denominator is 0."""
    nothing = np.full_like(numerator, np.nan)
    ratio: Values = np.divide(numerator, denominator, out=nothing, where=denominator > 0)
    return ratio


def variance_difference(series: Series, others: Series) -> Values:
    """Return the absolute difference of variances over frames, (..., frames) to (...).

    Examples
    --------
    >>> float(variance_difference(np.array([1.0, -1.0]), np.array([3.0, -3.0])))
    8.0
    """
    variances = (np.var(each, axis=-1, dtype=np.float64) for each in (series, others))
    difference: Values = np.abs(np.subtract(*variances))
    return difference


def histogram_distance(series: Series, others: Series) -> Values:
    """Return the Wasserstein distance of histograms: 20 bins from -2 to 2.

    Values outside are not counted.

    Parameters
    ----------
    series, others
        (..., frames); leading axes are broadcast.

    Returns
    -------
    numpy.ndarray
        (...); NaN where all values of a series are outside.

    Examples
    --------
    >>> float(histogram_distance(np.full(9, 0.5), np.full(9, 1.5)).round(2))
    1.0
    """
    low, high = HISTOGRAM_LIMITS
    difference = _shares(series).cumsum(axis=-1) - _shares(others).cumsum(axis=-1)
    distance: Values = np.abs(difference).sum(axis=-1) * (high - low) / HISTOGRAM_BINS
    return distance


def _shares(series: Series) -> Values:
    low, high = HISTOGRAM_LIMITS
    rows = np.asarray(series).reshape(-1, series.shape[-1])
    counts = np.array([np.histogram(row, HISTOGRAM_BINS, (low, high))[0] for row in rows], float)
    shares = _ratio(counts, counts.sum(axis=-1, keepdims=True))
    return shares.reshape(*series.shape[:-1], HISTOGRAM_BINS)


def mode_limits(series: Series) -> tuple[float, float]:
    """Return where the lower of two modes ends and the upper one begins.

    Of all values together, a tenth lies between the limits, half of it on each side of the value
    that is rarest between the two most prominent peaks of their smoothed histogram.

    Parameters
    ----------
    series
        Of any shape: all regions, people and frames.

    Raises
    ------
    ValueError
        The values have a single mode.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> low, high = mode_limits(np.concatenate([rng.normal(m, 0.3, 5000) for m in (-1, 1)]))
    >>> round(low, 1), round(high, 1)
    (-0.6, 0.6)
    """
    values = np.sort(np.asarray(series, np.float64), axis=None)
    trough = np.searchsorted(values, _trough(values)) / len(values)
    low, high = np.quantile(values, np.clip(trough + np.array([-0.5, 0.5]) * SEPARATING_MASS, 0, 1))
    return float(low), float(high)


def _trough(values: Values) -> float:
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    counts, edges = np.histogram(values, _DENSITY_BINS)
    density = gaussian_filter1d(counts.astype(float), _DENSITY_SMOOTHING, mode="constant")
    peaks, found = find_peaks(np.pad(density, 1), prominence=0.02 * density.max())
    if len(peaks) < 2:
        raise ValueError("the values have a single mode: there is nothing to switch between")
    first, last = np.sort(peaks[np.argsort(found["prominences"])[-2:]]) - 1
    rarest = first + int(density[first : last + 1].argmin())
    return float(edges[rarest : rarest + 2].mean())


def switches(series: Series, limits: tuple[float, float]) -> Values:
    """Return how often each series goes from one mode to the other, (..., frames) to (...).

    Parameters
    ----------
    series
        (..., frames).
    limits
        As `mode_limits` returns them: below the first is one mode, above the second the other. A
        value between them belongs to the mode that the series was in before.

    Returns
    -------
    numpy.ndarray
        (...); NaN where a series is not finite.

    Examples
    --------
    >>> switches(np.array([[-1.0, 0.0, 2.0, 0.0, 2.0, -3.0]]), (-0.5, 0.5))
    array([2.])
    """
    low, high = limits
    mode = (series > high).astype(np.int8) - (series < low).astype(np.int8)
    frame = np.where(mode != 0, np.arange(series.shape[-1]), 0)
    kept = np.take_along_axis(mode, np.maximum.accumulate(frame, axis=-1), axis=-1)
    changes = np.count_nonzero(kept[..., 1:] * kept[..., :-1] == -1, axis=-1)
    return np.where(np.isfinite(series).all(axis=-1), changes, np.nan)


def switch_difference(series: Series, others: Series, limits: tuple[float, float]) -> Values:
    """Return the absolute difference of log(1 + number of switches), (..., frames) to (...).

    `limits` are those of `switches`.

    Examples
    --------
    >>> first, second = np.array([-1.0, 1.0, -1.0, 1.0]), np.array([1.0, 1.0, 1.0, 1.0])
    >>> float(switch_difference(first, second, (-0.5, 0.5)).round(3))  # 3 switches, and none
    1.386
    """
    first, second = (np.log1p(switches(each, limits)) for each in (series, others))
    difference: Values = np.abs(first - second)
    return difference


def controls(
    series: Series, again: Series, rng: np.random.Generator
) -> Mapping[str, NDArray[np.float32]]:
    """Return what a model's simulations are compared with, each (people, regions, frames).

    Parameters
    ----------
    series
        The original series, (people, regions, frames).
    again
        As series: those of the original model with its true parameters and new noise.
    rng
        For the other controls.

    Returns
    -------
    Mapping
        By name: ``new noise``, what `again` is, the best that a model can do; ``reshuffled``, the
        original series with each person's regions in another order; ``white noise``, with the mean
        and variance of all series together.

    Raises
    ------
    ValueError
        The two have other shapes, or series are of a single region.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> series, again = rng.standard_normal((2, 3, 5, 100))
    >>> {name: values.shape for name, values in controls(series, again, rng).items()}
    {'new noise': (3, 5, 100), 'reshuffled': (3, 5, 100), 'white noise': (3, 5, 100)}
    """
    if series.shape != again.shape or series.ndim != 3 or series.shape[1] < 2:
        raise ValueError(
            "series and again are (people, regions, frames) of at least two regions, "
            f"found {series.shape} and {again.shape}"
        )
    noise = rng.normal(series.mean(), series.std(), series.shape)
    moved = np.stack([person[_moved(len(person), rng)] for person in series])
    found = {"new noise": again, "reshuffled": moved, "white noise": noise}
    return {name: np.asarray(values, np.float32) for name, values in found.items()}


def _moved(count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw an order in which nothing is at its own place: along one random cycle."""
    cycle = rng.permutation(count)
    moved = np.empty(count, np.intp)
    moved[cycle] = np.roll(cycle, 1)
    return moved
