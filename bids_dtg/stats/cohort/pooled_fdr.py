"""False discovery rate over many tests, counted in the permutations that they share.

A p of each test is not needed, so neither normal data nor unrelated people are supposed: only that
the draws (orders, or signs) are as likely as the data if nothing is to be found.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Tests are counted in bins of u, -log10 of Student's p of their t: a scale that tests of different
# degrees of freedom share, and no p value. Below the first bin (p > 0.05) no q is 0.05 or less.
LEAST_U = 1.3
_STEP, _MOST_U = 0.005, 40.0
# Fewer draws, and fewer that can differ, leave q no steps to take.
FEWEST_DRAWS, FEWEST_POSSIBLE = 199, 100
_TIE = 1e-6  # what two equal figures may differ by, as a share


@lru_cache(maxsize=16)
def bins_of_t(dof: float) -> Floats:
    """Return the lower edges of the bins as |t|, (bins,), ascending.

    Parameters
    ----------
    dof
        Degrees of freedom of t.

    Examples
    --------
    >>> float(bins_of_t(20)[0].round(2))
    2.08
    """
    from scipy.special import stdtrit

    u = np.arange(LEAST_U, _MOST_U, _STEP)
    return np.asarray(-stdtrit(dof, 10.0**-u / 2), np.float64)


@lru_cache(maxsize=16)
def bins_of_squared_r(dof: float) -> Floats:
    """Return the lower edges of the bins as squared partial correlations, (bins,), ascending.

    Parameters
    ----------
    dof
        Degrees of freedom of t of the correlation.

    Examples
    --------
    >>> float(bins_of_squared_r(20)[0].round(2))
    0.18
    """
    squared = np.square(bins_of_t(dof))
    return np.asarray(squared / (squared + dof), np.float64)


def why_no_q(draws: int, possible: int) -> str:
    """Return why draws are too few for a false discovery rate, in words; empty where they are not.

    Parameters
    ----------
    draws
        Number of permutations that were drawn.
    possible
        Number of different ones.

    Examples
    --------
    >>> why_no_q(999, 32)
    'families and sites leave 32 permutations, fewer than 100'
    """
    if not draws:
        return "no permutation was asked for"
    if draws < FEWEST_DRAWS:
        return f"{draws} permutations are fewer than {FEWEST_DRAWS}"
    if possible < FEWEST_POSSIBLE:
        return f"families and sites leave {possible} permutations, fewer than {FEWEST_POSSIBLE}"
    return ""


@dataclass(frozen=True, eq=False)
class FalseDiscoveryRates:
    """What follows from the counts of all tests."""

    by_bin: Floats  # (bins,) q of the data
    p_anything: float  # of there being anything at all: draws with a smallest q as small

    def q(self, sizes: NDArray[np.floating[Any]], edges: Floats) -> Floats:
        """Return q of tests that were counted as draw 0.

        Parameters
        ----------
        sizes
            (tests,), as given to `PooledCounts.add`.
        edges
            (bins,), as given with them.

        Returns
        -------
        (tests,), 1 below the first bin (p of t above 0.05); NaN where the size is NaN.
        """
        counted = sizes >= edges[0] * (1 - _TIE)
        q = np.where(np.isnan(sizes), np.nan, 1.0)
        q[counted] = self.by_bin[_bins(sizes[counted], edges)]
        return q


@dataclass(eq=False)
class PooledCounts:
    """How many tests reach each bin, in the data and in each draw; memory does not grow with tests.

    Parameters
    ----------
    draws
        Number of permutations; all tests share them.

    Notes
    -----
    Significance analysis of microarrays (Tusher et al. 2001, PNAS 98: 5116) with all tests taken
    for null. The expected number of false discoveries is the mean count over the data and all
    draws. No q is below the share of draws whose own smallest q is as small, which is an exact
    permutation test of whether there is anything at all.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> edges = bins_of_t(30)
    >>> found = np.abs(rng.standard_t(30, size=500))
    >>> found[:20] += 6
    >>> counts = PooledCounts(199)
    >>> counts.add(found[None], edges)
    >>> counts.add(np.abs(rng.standard_t(30, size=(199, 500))), edges, first=1)
    >>> bool((counts.rates().q(found, edges)[:20] < 0.05).all())
    True
    """

    draws: int
    _found: NDArray[np.int32] = field(init=False)  # (bins,) of the data
    # (draws, bins) up to the last that any draw reaches: few come to a fifth of those of the data.
    _drawn: NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        self._found = np.zeros(len(np.arange(LEAST_U, _MOST_U, _STEP)), np.int32)
        self._drawn = np.zeros((self.draws, 0), np.int32)

    def add_all(self, other: PooledCounts) -> None:
        """Add the counts of other tests in the same draws.

        Raises
        ------
        ValueError
            The draws are of another number.
        """
        if other.draws != self.draws:
            raise ValueError(f"counts of {other.draws} draws, expected {self.draws}")
        self._found += other._found
        self._widen(other._drawn.shape[1])
        self._drawn[:, : other._drawn.shape[1]] += other._drawn

    def add(self, sizes: NDArray[np.floating[Any]], edges: Floats, *, first: int = 0) -> None:
        """Count tests.

        Parameters
        ----------
        sizes
            (draws, tests), |t| or squared r, as `edges`; NaN does not count. The data are one
            draw, given alone.
        edges
            (bins,), from `bins_of_t` or `bins_of_squared_r` with the tests' degrees of freedom.
        first
            Number of the first draw; 0 is the data.
        """
        rows, columns = np.nonzero(sizes >= edges[0] * (1 - _TIE))
        bins = _bins(sizes[rows, columns], edges)
        if first == 0:
            self._found += np.bincount(bins, minlength=len(self._found)).astype(np.int32)
            return
        self._widen(int(bins.max(initial=-1)) + 1)
        width = self._drawn.shape[1]
        found = np.bincount(rows * width + bins, minlength=len(sizes) * width)
        self._drawn[first - 1 : first - 1 + len(sizes)] += found.reshape(len(sizes), width)

    def _widen(self, width: int) -> None:
        more = max(0, width - self._drawn.shape[1])
        self._drawn = np.pad(self._drawn, ((0, 0), (0, more)))

    def rates(self) -> FalseDiscoveryRates:
        """Return the rates of all tests that were counted."""
        drawn = self._drawn[:, ::-1].cumsum(axis=1)[:, ::-1].astype(np.float64)
        found = self._found[::-1].cumsum()[::-1].astype(np.float64)
        width = drawn.shape[1]
        expected = found.copy()
        expected[:width] += drawn.sum(axis=0)
        expected /= self.draws + 1
        with np.errstate(divide="ignore", invalid="ignore"):
            # From the smallest bin up, none is above the one before it.
            own = np.minimum.accumulate(np.where(found > 0, expected / found, np.inf))
            others = np.where(drawn > 0, expected[:width] / drawn, np.inf)
        smallest = np.minimum(np.append(others.min(axis=1, initial=1.0), own.min()), 1.0)
        limit = (smallest <= own[:, None] * (1 + _TIE)).mean(axis=1)
        return FalseDiscoveryRates(
            by_bin=np.minimum(np.maximum(own, limit), 1.0),
            p_anything=float((smallest <= smallest[-1] * (1 + _TIE)).mean()),
        )


def _bins(sizes: NDArray[np.floating[Any]], edges: Floats) -> NDArray[np.intp]:
    found = np.searchsorted(edges, sizes * (1 + _TIE), side="right") - 1
    return np.asarray(np.clip(found, 0, len(edges) - 1))
