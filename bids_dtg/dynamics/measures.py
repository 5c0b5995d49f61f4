"""Measures of series: functional connectivity, its dynamics, spectra, zero-crossings.

Series are (..., regions, frames); leading axes, such as people or simulations, are kept. A region
whose series is constant or not finite has the correlation NaN, which comparisons and means leave
out.
"""

from __future__ import annotations

import numpy as np

from bids_dtg.array_types import Floats, Mask
from bids_dtg.connectome.parcels import upper_edges
from bids_dtg.stats.correlation import correlation, unit_length

FCD_FRAMES = 82  # of a sliding window
# Frames from the start of one window to the start of the next. A stride above 1 saves time: windows
# still share 74 frames, and KS distances differ by less than 0.01 from those at stride 1.
FCD_STRIDE = 8
# At which the distribution of an FCD is evaluated.
FCD_GRID = np.linspace(-1.0, 1.0, 2001)
LOW_HZ = 0.1  # upper end of the band of low frequencies
WELCH_FRAMES = 128  # of a segment; segments overlap by half
_WINDOWS_AT_ONCE = 128
_FEWEST_PAIRS = 3  # smallest number of values that are correlated
# Of simulated series, in SD of the measured ones, which rarely exceed 10.
_LARGEST = 1000.0


def bounded(simulated: Floats) -> Mask:
    """Return which simulations (simulations, regions, frames), in SD, have not diverged.

    Examples
    --------
    >>> simulated = np.zeros((3, 2, 4))
    >>> simulated[1, 0, 3], simulated[2, 0, 3] = np.inf, 1e18
    >>> bounded(simulated).tolist()
    [True, False, False]
    """
    inside = np.isfinite(simulated) & (np.abs(simulated) <= _LARGEST)
    return np.asarray(inside.all(axis=(1, 2)))


def connectivity(series: Floats) -> Floats:
    """Return functional connectivity: the correlation of every two regions' series.

    Parameters
    ----------
    series
        Series, (..., regions, frames).

    Returns
    -------
    numpy.ndarray
        Pearson r, (..., regions, regions), in the precision of the series, at least float32; NaN
        in the rows and columns of regions that are constant or not finite.

    Examples
    --------
    >>> connectivity(np.array([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]])).round(3)
    array([[ 1. , -0.5],
           [-0.5,  1. ]])
    """
    unit = unit_length(series)
    return np.clip(unit @ np.swapaxes(unit, -1, -2), -1.0, 1.0)


def fc_fit(connectivities: Floats, references: Floats) -> Floats:
    """Return the similarity of functional connectivities: Pearson r of their upper triangles.

    Parameters
    ----------
    connectivities, references
        (..., regions, regions); leading axes are broadcast.

    Returns
    -------
    numpy.ndarray
        (...), the score of simulations in Sip et al. 2023 (doi 10.1126/sciadv.abq7547).

    Examples
    --------
    >>> series = np.random.default_rng(0).standard_normal((2, 5, 100))
    >>> first, second = connectivity(series)
    >>> fc_fit(first, np.stack([first, -first, 0.5 * first + 0.1])).round(3)
    array([ 1., -1.,  1.])
    """
    return correlation(upper_edges(connectivities), upper_edges(references))


def fcd(series: Floats, *, stride: int = FCD_STRIDE) -> Floats:
    """Return functional connectivity dynamics (FCD): similarity of connectivity between windows.

    Parameters
    ----------
    series
        (regions, frames), of one session.
    stride
        Frames from the start of a window to the start of the next one.

    Returns
    -------
    numpy.ndarray
        (windows, windows), Pearson r between the functional connectivities of any two windows of
        82 frames. Pairs of regions that are NaN in some window are left out; with fewer than three
        pairs, all is NaN. As in the published code, no window includes the last frame: 1,200
        frames have 1,118 windows at stride 1.

    Raises
    ------
    ValueError
        The series has room for fewer than two windows.

    Examples
    --------
    >>> series = np.random.default_rng(0).standard_normal((10, 120))
    >>> fcd(series).shape, fcd(series, stride=1).shape
    ((5, 5), (38, 38))
    """
    starts = np.arange(0, series.shape[-1] - FCD_FRAMES, stride)
    if len(starts) < 2:
        raise ValueError(
            f"FCD compares windows of {FCD_FRAMES} frames, {stride} apart: {series.shape[-1]} "
            "frames hold fewer than two"
        )
    windows = np.lib.stride_tricks.sliding_window_view(series, FCD_FRAMES, axis=-1)
    batches = np.array_split(starts, -(-len(starts) // _WINDOWS_AT_ONCE))
    edges_of_batches = [
        upper_edges(connectivity(windows[:, batch].swapaxes(0, 1))) for batch in batches
    ]
    edges = np.concatenate(edges_of_batches)  # (windows, pairs of regions)
    finite = np.isfinite(edges).all(axis=0)
    if finite.sum() < _FEWEST_PAIRS:
        return np.full((len(starts), len(starts)), np.nan, edges.dtype)
    unit = unit_length(edges[:, finite])
    return np.clip(unit @ unit.T, -1.0, 1.0)


def fcd_shares(series: Floats) -> Floats:
    """Return the distribution of the values above the diagonal of `fcd`.

    Parameters
    ----------
    series
        (..., regions, frames); sessions are processed one by one.

    Returns
    -------
    numpy.ndarray
        (..., 2001), float32: the share of values up to each value of `FCD_GRID`, from -1 to 1 in
        steps of 0.001; NaN for a session without values, such as one with fewer than two windows.

    Examples
    --------
    >>> series = np.random.default_rng(0).standard_normal((2, 10, 200))
    >>> shares = fcd_shares(series)
    >>> shares.shape, shares[:, -1]
    ((2, 2001), array([1., 1.], dtype=float32))
    """
    sessions = series.reshape(-1, *series.shape[-2:])
    shares = np.full((len(sessions), len(FCD_GRID)), np.nan, np.float32)
    if series.shape[-1] > FCD_FRAMES + FCD_STRIDE:
        for row, session in zip(shares, sessions, strict=True):
            values = upper_edges(fcd(session))
            values = values[np.isfinite(values)]
            if len(values):
                row[:] = _shares(values)
    return shares.reshape(*series.shape[:-2], len(FCD_GRID))


def ks_distance(shares: Floats, references: Floats) -> Floats:
    """Return the Kolmogorov–Smirnov distance of two distributions.

    Parameters
    ----------
    shares, references
        (..., grid), as `fcd_shares` returns them; leading axes are broadcast.

    Returns
    -------
    numpy.ndarray
        (...), 0 to 1, the largest difference in share. The grid makes it smaller than the exact
        distance by at most the share of values within one grid step.

    Examples
    --------
    >>> float(ks_distance(np.array([0.0, 0.5, 1.0]), np.array([0.2, 0.9, 1.0])))
    0.4
    """
    return np.abs(shares - references).max(axis=-1)


def spectra(series: Floats, tr_seconds: float) -> tuple[Floats, Floats]:
    """Return power spectra by Welch's method: Hann window, segments of 128 frames, half overlap.

    Parameters
    ----------
    series
        (..., regions, frames); fewer than 128 frames are one segment.
    tr_seconds
        Time between frames in seconds.

    Returns
    -------
    frequencies
        (bins,), Hz.
    power
        (..., regions, bins), squared units of the series per Hz.

    Examples
    --------
    >>> wave = np.sin(2 * np.pi * 0.05 * 2.0 * np.arange(512))[None]
    >>> frequencies, power = spectra(wave, 2.0)
    >>> round(float(frequencies[power[0].argmax()]), 3)
    0.051
    """
    from scipy.signal import welch

    segment = min(WELCH_FRAMES, series.shape[-1])
    frequencies, power = welch(series, fs=1.0 / tr_seconds, nperseg=segment, axis=-1)
    return frequencies, power


def low_power(series: Floats, tr_seconds: float) -> Floats:
    """Return the power below 0.1 Hz, (..., regions); for z-scored series a share of the variance.

    The published measure is the sum of the spectrum's bins. Here the sum is multiplied by their
    width, so it does not depend on the number of frames or the TR.

    Examples
    --------
    >>> series = np.random.default_rng(0).standard_normal((1, 4000))
    >>> low_power(series, 1.0).round(1)  # of 0.5 Hz
    array([0.2])
    """
    frequencies, power = spectra(series, tr_seconds)
    return power[..., frequencies < LOW_HZ].sum(axis=-1) * frequencies[1]


def zero_crossings(series: Floats) -> Floats:
    """Return the number of sign changes of each series, (..., regions).

    Examples
    --------
    >>> zero_crossings(np.array([[1.0, -1.0, -2.0, 3.0]]))
    array([2.])
    """
    negative = np.signbit(series)
    crossings = np.count_nonzero(negative[..., 1:] != negative[..., :-1], axis=-1)
    return np.where(np.isfinite(series).all(axis=-1), crossings, np.nan)


def autocorrelation(series: Floats) -> Floats:
    """Return the correlation of each series with itself a frame later, (..., regions).

    Parameters
    ----------
    series
        Series, (..., regions, frames).

    Returns
    -------
    numpy.ndarray
        The sum of products over pairs of frames, divided by the sum of squares over all frames, so
        that a process fitted to it is stationary. NaN if a series is constant.

    Examples
    --------
    >>> autocorrelation(np.array([[1.0, -1.0, 1.0, -1.0]]))
    array([-0.75])
    """
    unit = unit_length(series)
    return np.einsum("...t,...t->...", unit[..., 1:], unit[..., :-1])


def _shares(values: Floats) -> Floats:
    """Return the share of values up to each value of `FCD_GRID`."""
    step = FCD_GRID[1] - FCD_GRID[0]
    steps = (values.astype(np.float64) - FCD_GRID[0]) / step
    bins = np.ceil(steps - 1e-9).astype(np.intp)
    counts = np.bincount(np.clip(bins, 0, len(FCD_GRID) - 1), minlength=len(FCD_GRID))
    return np.cumsum(counts) / len(values)
