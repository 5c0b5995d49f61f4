"""Comparisons of two models over the same people: intervals, tests, effect sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bids_dtg.array_types import Float64, Floats

_DRAWS_AT_ONCE = 1000
DRAWS = 10_000  # samples of people for an interval, and sign flips of a test


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval; the ends are NaN where too few people have a value."""

    mean: float = np.nan
    low: float = np.nan
    high: float = np.nan

    def within(self, least: float, most: float) -> Interval:
        """Return the interval with its ends inside the range that the score can have.

        Examples
        --------
        >>> Interval(0.9, 0.7, 1.1).within(0.0, 1.0)
        Interval(mean=0.9, low=0.7, high=1.0)
        """
        low, high = np.clip([self.low, self.high], least, most).tolist()
        return Interval(self.mean, low, high)


def t_interval(values: Floats) -> Interval:
    """Return the mean over people and its interval by Student's t.

    Parameters
    ----------
    values
        (people,); NaN is left out. With fewer than three people the ends are NaN.

    Examples
    --------
    >>> import numpy as np
    >>> interval = t_interval(np.array([0.1, 0.2, 0.3, 0.4]))
    >>> round(interval.low, 3), round(interval.mean, 3), round(interval.high, 3)
    (0.045, 0.25, 0.455)
    """
    from scipy.special import stdtrit

    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    n = len(finite)
    mean = float(finite.mean()) if n else np.nan
    if n < 3:
        return Interval(mean)
    t = float(stdtrit(n - 1, 0.975))
    half_width = t * float(finite.std(ddof=1)) / np.sqrt(n)
    return Interval(mean, float(mean - half_width), float(mean + half_width))


def bootstrap_interval(
    values: Floats, *, seed: int = 0, draws: int = DRAWS
) -> Interval:
    """Return the mean over people and its 95 % interval by the bootstrap.

    Parameters
    ----------
    values
        (people,); NaN is left out. With fewer than three people the ends are NaN.
    seed, draws
        Seed and number of the bootstrap samples of people.

    Notes
    -----
    Percentiles (Efron 1979, Ann. Stat. 7: 1), which are slightly too narrow for few people.

    Examples
    --------
    >>> import numpy as np
    >>> interval = bootstrap_interval(np.arange(20.0))
    >>> interval.mean, 6.5 < interval.low < 7.5, 11.5 < interval.high < 12.5
    (9.5, True, True)
    """
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    n = len(finite)
    if n < 3:
        return Interval(float(finite.mean()) if n else np.nan)
    samples = np.random.default_rng(seed).integers(n, size=(draws, n))  # of people
    low, high = np.percentile(finite[samples].mean(axis=1), [2.5, 97.5])
    return Interval(float(finite.mean()), float(low), float(high))


def jackknife_shares(score: float, without: Floats) -> Float64:
    """Return each person's share in a score (jackknife pseudo-values).

    Their mean is the score, and the standard error of that mean is the score's own.

    Parameters
    ----------
    score
        Score computed from all people.
    without
        (people,), the score when each was left out.

    Returns
    -------
    numpy.ndarray
        (people,); with fewer than three people, the score itself. The jackknife's standard error
        is on average too large rather than too small if people are identically distributed.

    Notes
    -----
    Efron & Stein 1981, Ann. Stat. 9: 586.

    Examples
    --------
    >>> import numpy as np
    >>> jackknife_shares(3.0, np.array([4.0, 3.5, 1.5]))  # means of the other two
    array([1., 2., 6.])
    """
    n = len(without)
    if n < 3:
        return np.full(n, score)
    return score + (n - 1) * (without.mean() - without)


def wilson_interval(share: float, people: int) -> Interval:
    """Return a share of people and its 95 % interval.

    Parameters
    ----------
    share
        Observed share of people, 0 to 1.
    people
        Number of people in the sample.

    Notes
    -----
    Wilson 1927, J. Am. Stat. Assoc. 22: 209. A share averaged over contrasts varies less than
    a share of yes-or-no answers; its interval is then too wide, not too narrow.

    Examples
    --------
    >>> interval = wilson_interval(0.0, 10)
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.0, 0.278)
    """
    if not people or not np.isfinite(share):
        return Interval()
    z2 = 1.959964**2 / people
    middle = (share + z2 / 2) / (1 + z2)
    # For a share of 0 or 1, rounding can make this negative.
    variance = max(share * (1 - share) + z2 / 4, 0.0)
    half_width = np.sqrt(z2 * variance) / (1 + z2)
    low = max(0.0, float(middle - half_width))
    high = min(1.0, float(middle + half_width))
    return Interval(float(share), low, high)


def sign_flip_test(
    differences: Floats, *, seed: int = 0, permutations: int = DRAWS
) -> Float64:
    """Test paired differences against 0 by flipping the signs of people.

    Parameters
    ----------
    differences
        (tests, people), one model's score minus the other's; the same people in all tests are
        flipped together. NaN is left out.
    seed, permutations
        Seed of the draws, and the number of sign flips.

    Returns
    -------
    (tests,) two-sided p of the t statistic, (1 + number at least as large) / (1 + permutations);
    NaN where fewer than two people have a value.

    Examples
    --------
    >>> import numpy as np
    >>> sign_flip_test(np.array([[1.0, 2.0, 1.5]]))
    array([0.24877512])
    """
    d = np.asarray(differences, np.float64)
    finite = np.isfinite(d)
    d = np.where(finite, d, 0.0)
    # Flipping signs leaves Σd² unchanged, so |t| grows with |Σd| and sums can be compared.
    observed = np.abs(d.sum(axis=1)) * (1 - 1e-12)
    rng = np.random.default_rng(seed)
    larger = np.zeros(len(d))
    for start in range(0, permutations, _DRAWS_AT_ONCE):
        count = min(_DRAWS_AT_ONCE, permutations - start)
        signs = rng.choice([-1.0, 1.0], size=(d.shape[1], count))
        larger += (np.abs(d @ signs) >= observed[:, None]).sum(axis=1)
    p = (1.0 + larger) / (1.0 + permutations)
    return np.where(finite.sum(axis=1) >= 2, p, np.nan)


def false_discovery_rate(p: Floats) -> Float64:
    """Adjust p values (tests,) for multiple tests by the false discovery rate; NaN is left out.

    Notes
    -----
    Benjamini & Hochberg 1995, J. R. Stat. Soc. B 57: 289.

    Examples
    --------
    >>> import numpy as np
    >>> false_discovery_rate(np.array([0.01, 0.02, 0.6])).round(3)
    array([0.03, 0.03, 0.6 ])
    """
    from scipy.stats import false_discovery_control

    values = np.asarray(p, np.float64)
    adjusted = np.full(values.shape, np.nan)
    finite = np.isfinite(values)
    adjusted[finite] = false_discovery_control(values[finite])
    return adjusted


def cliffs_delta(first: Floats, second: Floats) -> float:
    """Return Cliff's delta, -1 to 1; above 0 where values of `first` tend to be larger.

    Notes
    -----
    Cliff 1993, Psychol. Bull. 114: 494.

    Examples
    --------
    >>> import numpy as np
    >>> cliffs_delta(np.array([3.0, 4.0]), np.array([1.0, 2.0]))
    1.0
    >>> cliffs_delta(np.array([3.0, 4.0]), np.array([np.nan]))
    nan
    """
    a = np.sort(np.asarray(first, float)[np.isfinite(first)])
    b = np.sort(np.asarray(second, float)[np.isfinite(second)])
    if not len(a) or not len(b):
        return np.nan
    # Pairs in which b is smaller, and in which it is larger.
    pairs = len(a) * len(b)
    below = int(np.searchsorted(b, a, side="left").sum())
    above = pairs - int(np.searchsorted(b, a, side="right").sum())
    return float(below - above) / pairs
