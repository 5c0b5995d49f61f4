"""Effective degrees of freedom of cleaned series, and weights of segments in an average."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.design import Removal, TemporalDesign

# Correlations beyond this share of the run's length rest on few pairs of frames.
LONGEST_LAG = 0.25
# Courses transformed at a time: memory stays small beside a run's sums.
_AT_A_TIME = 64
# Least weight of a segment: one without dof left must not make an average fail.
_LEAST_DOF = 1.0

Float = NDArray[np.float64]


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
    Of 400 frames of white noise less their mean, 399 are free; of an AR(1) process with
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
    frames, removal = len(design.keep), Removal.of(design)
    # Cleaned noise, (1 - Z L Z') e, has the covariance 1 - Z K Z' with K = L + L' - L L'.
    weights = removal.weights + removal.weights.T - removal.weights @ removal.weights.T
    values, vectors = np.linalg.eigh(weights)
    columns = removal.columns @ vectors
    products = np.zeros(frames)
    products[0] = len(places)
    for low in range(0, columns.shape[1], _AT_A_TIME):
        some = slice(low, low + _AT_A_TIME)
        products -= _products(columns[:, some], places, frames) @ values[some]
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
    return max(residual_dof, _LEAST_DOF)
