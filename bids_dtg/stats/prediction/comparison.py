"""Two sets of features on the same folds: an interval and a verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bids_dtg.stats.paired import FEWEST_PEOPLE, Interval, Verdict, verdict
from bids_dtg.stats.prediction.folds import Folds
from bids_dtg.stats.prediction.phenotypes import SCORES, Outcome

_FEWEST_FOLDS = 3  # with a score, of all repeats: fewer have no spread to judge by


@dataclass(frozen=True)
class Comparison:
    """How one set of features scores beside another."""

    score: str
    difference: Interval  # of the score, one set less the other, with its 95 % interval
    p: float  # two-sided; NaN where there is none
    verdict: Verdict  # of the first set: better is a smaller error, too


def compare_outcomes(one: Outcome, other: Outcome, folds: Folds, score: str) -> Comparison:
    """Compare two sets of features by the corrected resampled t test.

    Parameters
    ----------
    one, other
        Of the same people and folds. At equal degrees of freedom (`predict_equally`) the sets
        differ in what they know alone; with nested penalties in how they would be used.
    folds
        That both were tested in.
    score
        Of `SCORES`, taken in each fold of each repeat; a fold where one has none is left out.

    Returns
    -------
    Comparison
        "too few people" with fewer than 8, or with fewer than three folds that have a score.

    Notes
    -----
    Nadeau & Bengio 2003, doi:10.1023/A:1024068626366: the variance of J differences is
    multiplied by 1/J + n_test/n_train, for training sets overlap; repeated folds after
    Bouckaert & Frank 2004, doi:10.1007/978-3-540-24775-3_3.

    Raises
    ------
    ValueError
        If the outcomes are not of these folds.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.stats.prediction.folds import repeated_folds
    >>> from bids_dtg.stats.prediction.phenotypes import Target, predict_equally
    >>> from bids_dtg.stats.prediction.ridge import Features
    >>> x = np.random.default_rng(0).standard_normal((100, 8))
    >>> folds = repeated_folds(np.arange(100), repeats=2)
    >>> sets = {"good": Features.of(x[:, :4]), "bad": Features.of(x[:, 4:])}
    >>> found = predict_equally(sets, Target.numbers(x[:, :4].sum(axis=1)), folds)
    >>> compare_outcomes(found["good"], found["bad"], folds, "r").verdict
    'better'
    """
    from scipy.special import stdtr, stdtrit

    shape = folds.repeats, folds.count
    if one.by_fold[score].shape != shape or other.by_fold[score].shape != shape:
        raise ValueError(f"outcomes are of other folds than these {shape}")
    differences = (one.by_fold[score] - other.by_fold[score]).ravel()
    differences = differences[np.isfinite(differences)]
    people, count = folds.fold.shape[1], len(differences)
    if people < FEWEST_PEOPLE or count < _FEWEST_FOLDS:
        nothing = float("nan")
        mean = float(differences.mean()) if count else nothing
        return Comparison(score, Interval(mean, nothing, nothing), nothing, "too few people")
    ratio = np.mean([len(split.test) / len(split.train) for split in folds.splits()])
    mean = float(differences.mean())
    error = float(np.sqrt(differences.var(ddof=1) * (1 / count + ratio)))
    half = float(stdtrit(count - 1, 0.975)) * error
    # Sets that never differ have no error, and nothing to tell apart.
    p = 2 * float(stdtr(count - 1, -abs(mean) / error)) if error > 0 else 1.0
    interval = Interval(mean, mean - half, mean + half)
    return Comparison(score, interval, p, _verdict(interval, p, people, score))


def _verdict(difference: Interval, p: float, people: int, score: str) -> Verdict:
    if SCORES[score].larger_is_better:
        return verdict(difference, p, people)
    turned = Interval(-difference.mean, -difference.high, -difference.low)
    return verdict(turned, p, people)
