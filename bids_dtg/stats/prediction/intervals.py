"""Intervals of scores of predictions, and p-values of many predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bids_dtg.stats.paired import Interval
from bids_dtg.stats.prediction.phenotypes import Target

_Z = 1.959964  # 95 %


def score_interval(target: Target, score: float, families: int) -> Interval:
    """Return the headline score and its 95 % interval.

    Parameters
    ----------
    target
        What was predicted: of numbers the score is a correlation, of two levels an AUC.
    score
        Over people who were not trained on.
    families
        How many families the people are of: relatives are not counted as if they were unrelated.

    Returns
    -------
    Interval
        With NaN ends of fewer than 5 families, and where a level has nobody.

    Notes
    -----
    By Fisher's transform (Fisher 1915, doi:10.2307/2331838) or by Hanley & McNeil 1982,
    doi:10.1148/radiology.143.1.7063747, as if predictions came from elsewhere: those of people of
    one fold share what was learnt, so that the true interval is a little wider.

    Examples
    --------
    >>> found = score_interval(Target.numbers(np.arange(100.0)), 0.3, 100)
    >>> round(found.low, 2), round(found.high, 2)
    (0.11, 0.47)
    >>> found = score_interval(Target.two_levels(["a", "b"] * 50), 0.7, 100)
    >>> round(found.low, 2), round(found.high, 2)
    (0.6, 0.8)
    """
    unknown = Interval(score, float("nan"), float("nan"))
    if families < 5 or not np.isfinite(score):
        return unknown
    if not target.levels:
        middle = np.arctanh(np.clip(score, -1 + 1e-12, 1 - 1e-12))
        half = _Z / np.sqrt(families - 3)
        return Interval(score, float(np.tanh(middle - half)), float(np.tanh(middle + half)))
    half = _Z * _auc_error(score, families * float((target.values > 0).mean()), families)
    return Interval(score, max(0.0, score - half), min(1.0, score + half))


def _auc_error(auc: float, second: float, people: float) -> float:
    """Return the standard error of an AUC (Hanley & McNeil 1982, equation 1)."""
    first = people - second
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (second - 1) * (one - auc**2) + (first - 1) * (two - auc**2)
    return float(np.sqrt(max(variance, 0.0) / (first * second)))


def corrected_p(p: Sequence[float]) -> list[float]:
    """Correct p-values of several predictions; NaN stays, and does not count.

    Parameters
    ----------
    p
        (tests,) p-values, 0 to 1.

    Notes
    -----
    Benjamini & Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x.

    Examples
    --------
    >>> corrected_p([0.01, 0.04, float("nan")])
    [0.02, 0.04, nan]
    """
    from scipy.stats import false_discovery_control

    values = np.array(p, np.float64)
    known = np.isfinite(values)
    if known.any():
        values[known] = false_discovery_control(values[known])
    return [float(value) for value in values]
