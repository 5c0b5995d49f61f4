from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.stats.prediction.comparison import compare_outcomes
from bids_dtg.stats.prediction.folds import repeated_folds
from bids_dtg.stats.prediction.phenotypes import Target, predict_equally
from bids_dtg.stats.prediction.ridge import Features

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 12))
Y = X[:, :6].sum(axis=1) + RNG.standard_normal(120)
FOLDS = repeated_folds(np.arange(120), repeats=4)
SETS = {"good": Features.of(X[:, :6]), "bad": Features.of(X[:, 6:])}
NUMBERS = Target.numbers(Y)


def levels(rarer: int) -> Target:
    """Return two levels: the second of the people with the highest values."""
    return Target.two_levels(np.where(np.sort(Y)[-rarer] <= Y, "second", "first").tolist())


@pytest.mark.parametrize("target", [NUMBERS, levels(60)], ids=["r", "auc"])
def test_the_set_that_predicts_more_is_better(target):
    found = predict_equally(SETS, target, FOLDS)
    good, bad = found["good"], found["bad"]
    better = compare_outcomes(good, bad, target, FOLDS)
    assert (better.word, better.people) == ("better", 120)
    assert compare_outcomes(bad, good, target, FOLDS).word == "worse"
    score = target.headline
    assert better.difference.mean == pytest.approx(good.mean(score) - bad.mean(score), abs=1e-9)
    same = compare_outcomes(good, good, target, FOLDS)
    assert (same.word, same.p, same.difference.mean) == ("interval holds 0", 1.0, 0.0)


def test_few_people_and_few_of_a_level_get_no_verdict():
    few = repeated_folds(np.arange(7), folds=2, repeats=4)
    sets = {name: features.of_people(np.arange(7)) for name, features in SETS.items()}
    target = Target.numbers(Y[:7])
    found = predict_equally(sets, target, few)
    assert compare_outcomes(found["good"], found["bad"], target, few).word == "too few people"
    for rarer, word in ((15, "better"), (14, "too few of a level")):
        target = levels(rarer)
        found = predict_equally(SETS, target, FOLDS)
        verdict = compare_outcomes(found["good"], found["bad"], target, FOLDS)
        assert (verdict.word, verdict.rarer) == (word, rarer)
    with pytest.raises(ValueError, match="other folds"):
        compare_outcomes(found["good"], found["bad"], target, few)


def test_relatives_do_not_count_as_if_they_were_unrelated():
    twins = np.repeat(np.arange(60), 2)
    folds = repeated_folds(twins, repeats=2)
    sets = {name: features.of_people(twins) for name, features in SETS.items()}
    target = Target.numbers(Y[twins])
    found = predict_equally(sets, target, folds)
    kin = compare_outcomes(found["good"], found["bad"], target, folds)
    apart = repeated_folds(np.arange(120), repeats=2)
    strangers = compare_outcomes(found["good"], found["bad"], target, apart)
    assert (kin.people, strangers.people) == (60, 120)
    lengths = [one.difference.high - one.difference.low for one in (kin, strangers)]
    assert lengths[0] > 1.2 * lengths[1]


@pytest.mark.slow
def test_sets_that_know_as_much_are_rarely_called_different():
    """Others might have been trained on: by predictions as given it would be 10 %."""
    wrong = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        trait = rng.standard_normal(100)
        x = trait[:, None] + 2 * rng.standard_normal((100, 20))
        y = Target.numbers(trait + rng.standard_normal(100))
        folds = repeated_folds(np.arange(100), repeats=4, seed=seed)
        sets = {"one": Features.of(x[:, :10]), "other": Features.of(x[:, 10:])}
        found = predict_equally(sets, y, folds)
        wrong += compare_outcomes(found["one"], found["other"], y, folds, seed=seed).decided
    assert wrong <= 11  # 99 % of a binomial of 100 at 0.05


def null_verdict(seed: int):
    """Compare two sets of noise by which 15 of 48 people are patients."""
    rng = np.random.default_rng([1, seed])
    target = Target.two_levels(["patient"] * 15 + ["control"] * 33)
    folds = repeated_folds(
        np.arange(48), repeats=1, seed=seed, levels=(target.values > 0).astype(np.intp)
    )
    sets = {name: Features.of(rng.standard_normal((48, 12))) for name in ("one", "other")}
    found = predict_equally(sets, target, folds)
    return compare_outcomes(found["one"], found["other"], target, folds)


def test_noise_is_judged_as_it_was():
    found = [null_verdict(seed) for seed in range(4)]
    assert [own.p for own in found] == pytest.approx([0.1092, 0.9687, 0.4502, 0.4789], abs=0.003)
    assert {own.word for own in found} == {"interval holds 0"}


@pytest.mark.slow
def test_noise_has_a_verdict_as_rarely_as_the_level_says():
    """People are tested and trained on: by predictions as given it would be 15 %."""
    words = [null_verdict(seed).word for seed in range(150)]
    for word in ("better", "worse"):
        assert words.count(word) <= 9  # 99 % of a binomial of 150 at 0.025
