"""One phenotype asked of several sets of features, beside a baseline."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.stats.prediction.comparison import compare_outcomes
from bids_dtg.stats.prediction.folds import repeated_folds
from bids_dtg.stats.prediction.phenotypes import Target, predict_phenotype
from bids_dtg.stats.prediction.question import Question
from bids_dtg.stats.prediction.ridge import Features, join_features

PEOPLE = 80


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((PEOPLE, 10))
    return x, x[:, :5].sum(axis=1) + rng.standard_normal(PEOPLE)


def ask(y, baseline=None, **more) -> Question:
    folds = repeated_folds(np.arange(PEOPLE), repeats=2)
    return Question(Target.numbers(y), folds, baseline=baseline, **more)


def test_predictions_are_those_of_the_procedure(people):
    x, y = people
    orders = np.stack([np.random.default_rng(n).permutation(PEOPLE) for n in range(19)])
    question = ask(y, confounds=x[:, 9:], orders=orders, seed=3)
    wanted = predict_phenotype(
        Features.of(x),
        question.target,
        question.folds,
        confounds=x[:, 9:],
        permutations=orders,
        seed=3,
    )
    for found, penalty in zip(
        question.predict(Features.of(x)), ("published", "nested"), strict=True
    ):
        np.testing.assert_array_equal(found.predicted, wanted[penalty].predicted)
        np.testing.assert_array_equal(found.null["r"], wanted[penalty].null["r"])


@pytest.mark.slow
def test_what_the_baseline_lacks_adds_to_it_and_what_it_has_does_not(people):
    x, y = people
    question = ask(y, Features.of(x[:, :3]))
    for columns, verdict in ((slice(3, 5), "better"), (slice(5, 10), "worse")):
        features = Features.of(x[:, columns])
        beside = question.beside_baseline(features, question.predict(features)[1])
        assert set(beside) == {"over", "over_equal", "added"}
        assert (beside["added"].word == "better") == (verdict == "better")
        if verdict == "worse":
            assert beside["over"].word == beside["over_equal"].word == "worse"


@pytest.mark.slow
def test_adding_is_the_sum_of_both_less_the_baseline_alone(people):
    x, y = people
    baseline, features = Features.of(x[:, :3]), Features.of(x[:, 3:])
    question = ask(y, baseline)
    both, alone = (
        predict_phenotype(own, question.target, question.folds, penalties=("nested",))["nested"]
        for own in (join_features([baseline, features]), baseline)
    )
    found = question.beside_baseline(features, question.predict(features)[1])["added"]
    assert found == compare_outcomes(both, alone, question.target, question.folds)


def test_without_a_baseline_nothing_is_compared(people):
    x, y = people
    question = ask(y)
    assert question.beside_baseline(Features.of(x), question.predict(Features.of(x))[1]) == {}


def test_points_are_measured_and_predicted_values(people):
    x, y = people
    question = ask(y)
    points = question.points(question.predict(Features.of(x))[1])
    np.testing.assert_array_equal(points[:, 0], y)
    assert np.abs(points[:, 1] - y).mean() < np.abs(y - y.mean()).mean()
