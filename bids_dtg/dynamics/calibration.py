"""Whether posteriors can be trusted: simulation-based calibration, coverage and recovery.

Parameters are drawn from the prior, and sessions simulated by them. Where posteriors are right, the
ranks of true values among draws are uniform (Talts et al., 2018, arXiv 1804.06788), and 90 %
intervals hold 90 % of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from bids_dtg.dynamics.posterior import LEVEL
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.paired import wilson_interval

Array = NDArray[np.float64]

CHECKS = 200  # simulations that judge posteriors
RANKED = 99  # draws that a true value is ranked among
BINS = 10  # of ranks
_RECOVERED = 0.5  # least Spearman's rho of a parameter that is recovered
_UNIFORM = 0.01  # least p of ranks that are uniform
_NORMAL = 1.96
FIGURES = 6  # fields of a `Calibration`


@dataclass(frozen=True)
class Calibration:
    """What simulations showed of a parameter's posteriors."""

    simulations: int  # that were judged
    rho: float  # Spearman's, of true values and posterior means
    rho_low: float  # 95 % interval
    rho_high: float
    coverage: float  # share of true values in their 90 % interval
    uniform_p: float  # of the ranks, by chi-squared over 10 bins

    @classmethod
    def of_card(cls, rows: Iterable[Sequence[float]]) -> tuple[Calibration, ...]:
        """Return what a bundle's card holds: the fields of each parameter's."""
        return tuple(cls(int(own[0]), *own[1:]) for own in rows)

    @property
    def fault(self) -> str:
        """Say why the parameter cannot be trusted; empty: it can.

        Examples
        --------
        >>> Calibration(200, 0.95, 0.93, 0.96, 0.905, 0.4).fault
        ''
        >>> Calibration(200, 0.2, 0.06, 0.33, 0.9, 0.4).fault
        'not recovered: in 200 simulations, true values and estimates had a rank correlation of \
0.20 (0.06 to 0.33)'
        """
        of = f"in {self.simulations} simulations, "
        if self.rho_low < _RECOVERED:
            return (
                f"not recovered: {of}true values and estimates had a rank correlation of "
                f"{self.rho:.2f} ({self.rho_low:.2f} to {self.rho_high:.2f})"
            )
        held = wilson_interval(self.coverage, self.simulations)
        if not held.low <= LEVEL <= held.high:
            return f"not calibrated: {of}90 % intervals held {self.coverage:.0%} of true values"
        if self.uniform_p < _UNIFORM:
            return (
                f"not calibrated: {of}ranks of true values among draws were not uniform "
                f"(p {self.uniform_p:.1g})"
            )
        return ""


def ranks(truth: Array, draws: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the ranks of true values among draws of their posteriors, 0 to the draws' number.

    Parameters
    ----------
    truth
        (simulations,).
    draws
        (simulations, draws).
    rng
        Breaks ties.

    Examples
    --------
    >>> ranks(np.array([0.5, 2.0]), np.array([[0.0, 1.0], [0.0, 1.0]]), np.random.default_rng(0))
    array([1, 2])
    """
    below = (draws < truth[:, None]).sum(axis=1)
    equal = (draws == truth[:, None]).sum(axis=1)
    found: NDArray[np.int64] = below + rng.integers(0, equal + 1)
    return found


def histogram(found: NDArray[np.int64], draws: int) -> NDArray[np.int64]:
    """Return how many ranks are in each of 10 bins.

    Parameters
    ----------
    found
        Ranks, 0 to `draws`.
    draws
        Of a posterior; one more is a multiple of 10, so that bins are alike.
    """
    return np.bincount(found * BINS // (draws + 1), minlength=BINS)


def calibration(truth: Array, draws: Array, rng: np.random.Generator) -> Calibration:
    """Judge the posteriors of one parameter.

    Parameters
    ----------
    truth
        (simulations,), drawn from the prior.
    draws
        (simulations, draws), of each one's posterior; one more draw is a multiple of 10.
    rng
        Breaks ties of ranks.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = calibration(rng.random(200), rng.random((200, 99)), rng)  # the prior itself
    >>> found.fault[:13], found.coverage > 0.8, found.uniform_p > 0.01
    ('not recovered', True, True)
    """
    number = len(truth)
    rho = float(correlation(_order(truth), _order(draws.mean(axis=1))))
    # Of Fisher's z (Bonett and Wright, 2000).
    reach = _NORMAL * np.sqrt((1.0 + rho**2 / 2.0) / (number - 3))
    z = np.arctanh(np.clip(rho, -0.9999, 0.9999))
    tail = 100 * (1.0 - LEVEL) / 2
    low, high = np.percentile(draws, (tail, 100 - tail), axis=1)
    bins = histogram(ranks(truth, draws, rng), draws.shape[1])
    return Calibration(
        simulations=number,
        rho=rho,
        rho_low=float(np.tanh(z - reach)),
        rho_high=float(np.tanh(z + reach)),
        coverage=float(((low <= truth) & (truth <= high)).mean()),
        uniform_p=float(chdtrc(BINS - 1, np.square(bins - number / BINS).sum() * BINS / number)),
    )


def _order(values: Array) -> Array:
    """Return the place of each value, from 0; values differ."""
    return np.argsort(np.argsort(values)).astype(np.float64)
