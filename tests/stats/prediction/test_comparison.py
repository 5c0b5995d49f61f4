from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import t as student

from bids_dtg.stats.prediction.comparison import compare_outcomes
from bids_dtg.stats.prediction.folds import repeated_folds
from bids_dtg.stats.prediction.phenotypes import Target, predict_equally
from bids_dtg.stats.prediction.ridge import Features

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 12))
Y = X[:, :6].sum(axis=1) + RNG.standard_normal(120)
FOLDS = repeated_folds(np.arange(120), repeats=4)
SETS = {"good": Features.of(X[:, :6]), "bad": Features.of(X[:, 6:])}
FOUND = predict_equally(SETS, Target.numbers(Y), FOLDS)


@pytest.mark.parametrize("score", ["r", "r2", "mae"])
def test_verdicts_say_which_set_is_better_whatever_the_score(score):
    good, bad = FOUND["good"], FOUND["bad"]
    assert compare_outcomes(good, bad, FOLDS, score).verdict == "better"
    assert compare_outcomes(bad, good, FOLDS, score).verdict == "worse"
    same = compare_outcomes(good, good, FOLDS, score)
    assert (same.verdict, same.p, same.difference.mean) == ("not told apart", 1.0, 0.0)


def test_the_variance_is_corrected_for_training_sets_that_overlap():
    found = compare_outcomes(FOUND["good"], FOUND["bad"], FOLDS, "r")
    d = (FOUND["good"].by_fold["r"] - FOUND["bad"].by_fold["r"]).ravel()
    error = np.sqrt(d.var(ddof=1) * (1 / 20 + 24 / 96))
    assert found.p == pytest.approx(2 * student.sf(abs(d.mean()) / error, 19))
    low, high = student.interval(0.95, 19, d.mean(), error)
    assert (found.difference.low, found.difference.high) == pytest.approx((low, high))


def test_few_people_and_few_folds_get_no_verdict():
    few = repeated_folds(np.arange(7), folds=2, repeats=4)
    sets = {name: features.of_people(np.arange(7)) for name, features in SETS.items()}
    found = predict_equally(sets, Target.numbers(Y[:7]), few)
    assert compare_outcomes(found["good"], found["bad"], few, "r").verdict == "too few people"
    nothing = {"r": np.full((4, 5), np.nan)}
    unknown = dataclasses.replace(FOUND["good"], by_fold=nothing)
    found = compare_outcomes(unknown, FOUND["bad"], FOLDS, "r")
    assert found.verdict == "too few people"
    assert np.isnan(found.p)
    with pytest.raises(ValueError, match="other folds"):
        compare_outcomes(FOUND["good"], FOUND["bad"], few, "r")


@pytest.mark.slow
def test_sets_that_know_as_much_are_told_apart_as_rarely_as_the_level_says():
    wrong = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        trait = rng.standard_normal(100)
        x = trait[:, None] + 2 * rng.standard_normal((100, 20))
        y = Target.numbers(trait + rng.standard_normal(100))
        folds = repeated_folds(np.arange(100), repeats=4, seed=seed)
        sets = {"one": Features.of(x[:, :10]), "other": Features.of(x[:, 10:])}
        found = predict_equally(sets, y, folds)
        verdict = compare_outcomes(found["one"], found["other"], folds, "r").verdict
        wrong += verdict != "not told apart"
    assert wrong <= 11  # 99 % of a binomial of 100 at 0.05
