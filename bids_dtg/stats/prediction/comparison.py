"""Two sets of features on the same folds: which predicts better, over people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.correlation import weighted_correlation
from bids_dtg.stats.prediction.folds import Folds
from bids_dtg.stats.prediction.phenotypes import Outcome, Target
from bids_dtg.stats.verdict import Verdict, Weighted, judge_scores

Array = NDArray[np.float64]


def compare_outcomes(
    one: Outcome, other: Outcome, target: Target, folds: Folds, *, seed: int = 0
) -> Verdict:
    """Compare two sets of features by the headline score of what they predict.

    Parameters
    ----------
    one, other
        Of the same people and folds. At equal degrees of freedom (`predict_equally`) the sets
        differ in what they know alone; with nested penalties in how they would be used.
    target
        What was predicted: of numbers the score is r over people, of two levels the AUC.
    folds
        That both were tested in; families are drawn and left out whole.
    seed
        Of samples of people and of sign flips.

    Returns
    -------
    Verdict
        Better where the first scores higher. The score is taken over all people in each repeat,
        then averaged over repeats, as `Outcome.mean` has it. Its interval counts people as tested
        and as trained on.

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
    >>> target = Target.numbers(x[:, :4].sum(axis=1))
    >>> found = predict_equally(sets, target, folds)
    >>> compare_outcomes(found["good"], found["bad"], target, folds).word
    'better'
    """
    shape = folds.fold.shape
    if one.predicted.shape != shape or other.predicted.shape != shape:
        raise ValueError(f"outcomes are of other folds than these {shape}")
    people = len(target.values)
    second = target.values > 0
    rarer = target.rarer
    score = _auc(one, other, second) if target.levels else _correlation(one, other)
    found = judge_scores(
        score, people, rarer=rarer, families=folds.families, cross_validated=True, seed=seed
    )
    # An AUC is not defined without the one person of a level, and of so few there is no verdict.
    return found or Verdict.unknown(people, rarer)


def _correlation(one: Outcome, other: Outcome) -> Weighted:
    """Return by how much r of the first is larger; 0 where a set predicts the same for all."""

    def difference(counts: Array) -> Array:
        r, r_other = (
            np.nan_to_num(weighted_correlation(own.predicted, own.measured, counts))
            for own in (one, other)
        )
        mean: Array = (r - r_other).mean(axis=0)
        return mean

    return difference


def _auc(one: Outcome, other: Outcome, second: NDArray[np.bool_]) -> Weighted:
    """Return by how much the AUC of the first is larger; NaN where a level counts for nothing."""
    # (second, first): how much more often a pair is in the right order, the mean over repeats.
    pairs = np.zeros((int(second.sum()), int((~second).sum())))
    for sign, own in ((1, one), (-1, other)):
        for values in own.predicted:
            above = np.sign(values[second][:, None] - values[~second])
            pairs += sign * above / (2 * len(own.predicted))

    def difference(counts: Array) -> Array:
        ours, theirs = counts[:, second], counts[:, ~second]
        number = ours.sum(axis=1) * theirs.sum(axis=1)
        total = np.einsum("sf,sf->s", ours @ pairs, theirs)
        shares = np.full(len(counts), np.nan)
        np.divide(total, number, out=shares, where=number > 0)
        return shares

    return difference
