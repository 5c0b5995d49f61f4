"""Decision times and choices of a drift-diffusion process: means, distribution and samples.

Evidence starts halfway between two boundaries, drifts at a constant rate towards the correct one,
and has unit noise (standard deviation 1 after a second). Because the start is in the middle, the
time of a decision is independent of its choice.

Means are those of Bogacz et al. (2006, doi:10.1037/0033-295X.113.4.700). The distribution is one of
two series, which converge fast for short and for long times, as in Navarro and Fuss (2009,
doi:10.1016/j.jmp.2009.02.003). With time in units of the squared boundary separation it depends
only on drift times boundary; all computations use these units.
"""

from __future__ import annotations

import numpy as np

from bids_dtg.array_types import Float64

# Below this time, in units of the squared separation, the series for short times is used. At this
# time, 4 terms of either series are exact to 1e-15.
_SHORT = 0.25
_TERMS = 4
_GRID = 2048  # points of each distribution that is inverted
_TAIL = 30.0  # the grid ends where about e^-30 of the decisions are left


def mean_decision_seconds(drift: Float64, boundary: Float64) -> Float64:
    """Return the mean decision time, a / (2v) tanh(av / 2).

    Parameters
    ----------
    drift
        v, per second; positive or negative.
    boundary
        a, the distance of the boundaries, positive.

    Returns
    -------
    numpy.ndarray
        Seconds, of the shape that drift and boundary broadcast to.

    Examples
    --------
    >>> seconds = mean_decision_seconds(np.array([0.0, 2.5]), np.array([1.6]))
    >>> seconds.round(3)  # a²/4 without a drift
    array([0.64 , 0.308])
    """
    v = np.maximum(np.abs(drift), 1e-6)  # the limit at 0: tanh(x) is x there
    return np.asarray(boundary / (2.0 * v) * np.tanh(boundary * v / 2.0))


def share_correct(drift: Float64, boundary: Float64) -> Float64:
    """Return the probability of the correct choice, 1 / (1 + exp(-av)).

    Examples
    --------
    >>> share_correct(np.array([0.0, 2.5]), np.array([1.6])).round(3)
    array([0.5  , 0.982])
    """
    from scipy.special import expit

    return np.asarray(expit(drift * boundary))


def share_decided(u: Float64, m: Float64) -> Float64:
    """Return the share of decisions made by a time: the distribution function.

    It is the same for correct and wrong decisions.

    Parameters
    ----------
    u
        Time since the start, not negative, in units of the squared boundary separation.
    m
        Drift times boundary, not negative, of the same shape or one that broadcasts to it.

    Returns
    -------
    numpy.ndarray
        From 0 to 1, of the shape of the times.

    Examples
    --------
    >>> seconds, drift, boundary = np.array([0.0, 0.25, 1.0, 4.0]), 2.5, 1.6
    >>> share_decided(seconds / boundary**2, np.array(drift * boundary)).round(3)
    array([0.   , 0.491, 0.988, 1.   ])
    """
    m = np.broadcast_to(m, u.shape)
    short, long = u < _SHORT, u >= _SHORT
    share = np.zeros(u.shape)
    started = short & (u > 0.0)
    share[started] = _decided_early(u[started], m[started])
    share[long] = 1.0 - _undecided_late(u[long], m[long])
    return np.clip(share, 0.0, 1.0)


def _decided_early(u: Float64, m: Float64) -> Float64:
    """Sum over mirrored images of the boundary: inverse Gaussian distributions."""
    from scipy.special import log_ndtr

    root = np.sqrt(u)
    log_cosh = np.logaddexp(m / 2.0, -m / 2.0)  # log(2 cosh(m / 2))
    share = np.zeros_like(u)
    for image in range(_TERMS):
        c = image + 0.5  # distance of the image of the boundary
        along = np.exp(log_cosh - m * c + log_ndtr((m * u - c) / root))
        against = np.exp(log_cosh + m * c + log_ndtr(-(m * u + c) / root))
        share += (-1) ** image * (along + against)
    return share


def _undecided_late(u: Float64, m: Float64) -> Float64:
    """Sum over the odd standing waves between the boundaries."""
    log_cosh = np.logaddexp(m / 2.0, -m / 2.0)
    share = np.zeros_like(u)
    for wave in range(_TERMS):
        k = 2 * wave + 1
        rate = (m**2 + (k * np.pi) ** 2) / 2.0
        share += (-1) ** wave * np.pi * k / rate * np.exp(log_cosh - rate * u)
    return share


def decision_quantiles(shares: Float64, drift: Float64, boundary: Float64) -> Float64:
    """Return the times by which given shares of the decisions are made.

    Each row's distribution is computed on a grid of 2,048 times and inverted linearly; an
    inversion of uniform shares is a sample.

    Parameters
    ----------
    shares
        (rows, n), from 0 to 1.
    drift, boundary
        (rows,) each.

    Returns
    -------
    numpy.ndarray
        (rows, n): times in seconds.

    Examples
    --------
    >>> shares, boundary = np.array([[0.1, 0.5, 0.9]] * 2), np.full(2, 1.6)
    >>> decision_quantiles(shares, np.array([1.0, 2.5]), boundary).round(3)
    array([[0.151, 0.409, 1.073],
           [0.114, 0.254, 0.575]])
    """
    m = np.abs(drift) * boundary
    grid = _grid(m)
    decided = share_decided(grid, m[:, None])
    # All rows in one inversion: row r's shares lie between r and r + 1.
    row = np.arange(len(drift))[:, None]
    u = np.interp((shares + row).ravel(), (decided + row).ravel(), grid.ravel())
    return u.reshape(shares.shape) * boundary[:, None] ** 2


def _grid(m: Float64) -> Float64:
    """Return times (rows, points) from 0 until all is decided, denser at the start."""
    end = 1.0 / (2.0 * np.maximum(m, 1.0)) + 2.0 * _TAIL / (m**2 + np.pi**2)
    return end[:, None] * np.linspace(0.0, 1.0, _GRID) ** 2
