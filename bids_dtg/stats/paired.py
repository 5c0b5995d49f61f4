"""Comparisons of two models over the same people: intervals, permutation tests, effect sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
_DRAWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def bootstrap_mean(values: Values, *, seed: int = 0, resamples: int = 2000) -> Interval:
    """Return the mean over people and its percentile interval.

    Parameters
    ----------
    values
        (people,); NaN is left out.
    seed, resamples
        Of the bootstrap.

    Examples
    --------
    >>> import numpy as np
    >>> interval = bootstrap_mean(np.array([0.1, 0.2, 0.3, 0.4]))
    >>> interval.low < 0.25 < interval.high
    True
    """
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return Interval(float("nan"), float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    draws = known[rng.integers(len(known), size=(resamples, len(known)))].mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(float(known.mean()), float(low), float(high))


def sign_flip_test(
    differences: Values, *, seed: int = 0, permutations: int = 10_000
) -> NDArray[np.float64]:
    """Test paired differences against 0 by flipping the signs of people.

    Parameters
    ----------
    differences
        (tests, people), one model's score minus the other's; the same people in all tests are
        flipped together. NaN is left out.
    seed, permutations
        Of the draws.

    Returns
    -------
    (tests,) two-sided p of the t statistic, (1 + at least as large) / (1 + permutations); NaN
    where fewer than two people are known.

    Examples
    --------
    >>> import numpy as np
    >>> sign_flip_test(np.array([[1.0, 2.0, 1.5]]))
    array([0.24877512])
    """
    d = np.asarray(differences, np.float64)
    if d.ndim != 2:
        raise ValueError(f"differences are (tests, people), found {d.shape}")
    known = np.isfinite(d)
    d, n = np.where(known, d, 0.0), known.sum(axis=1)
    # With signs flipped Σd² stays: t grows with |Σd| alone, so sums can be compared.
    observed = np.abs(d.sum(axis=1)) * (1 - 1e-12)
    rng, larger = np.random.default_rng(seed), np.zeros(len(d))
    for start in range(0, permutations, _DRAWS_AT_ONCE):
        count = min(_DRAWS_AT_ONCE, permutations - start)
        signs = rng.choice([-1.0, 1.0], size=(d.shape[1], count))
        larger += (np.abs(d @ signs) >= observed[:, None]).sum(axis=1)
    p = (1.0 + larger) / (1.0 + permutations)
    return np.where(n >= 2, p, np.nan)


def false_discovery_rate(p: Values) -> NDArray[np.float64]:
    """Adjust p values (tests,) for their number; NaN stays and does not count.

    Notes
    -----
    Benjamini & Hochberg 1995, J. R. Stat. Soc. B 57: 289.

    Examples
    --------
    >>> import numpy as np
    >>> false_discovery_rate(np.array([0.01, 0.02, 0.6])).round(3)
    array([0.03, 0.03, 0.6 ])
    """
    values = np.asarray(p, np.float64)
    adjusted = np.full(values.shape, np.nan)
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known])]
    scaled = values[order] * len(order) / np.arange(1, len(order) + 1)
    # From the largest p down, none is above the one after it.
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted


def cliffs_delta(one: Values, other: Values) -> float:
    """Return how much more often a value of `one` is above one of `other` than below, -1 to 1.

    Notes
    -----
    Cliff 1993, Psychol. Bull. 114: 494.

    Examples
    --------
    >>> import numpy as np
    >>> cliffs_delta(np.array([3.0, 4.0]), np.array([1.0, 2.0]))
    1.0
    """
    a, b = (np.sort(x[np.isfinite(x)]) for x in (np.asarray(one, float), np.asarray(other, float)))
    if not len(a) or not len(b):
        return float("nan")
    below = np.searchsorted(b, a, side="left").sum()
    above = (len(b) - np.searchsorted(b, a, side="right")).sum()
    return float(int(below) - int(above)) / (len(a) * len(b))
