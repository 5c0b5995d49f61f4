"""Prediction equals a plain loop over folds in scikit-learn, and nothing leaks."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, GroupKFold

from bids_dtg.stats.permutation import permuted_orders
from bids_dtg.stats.prediction import (
    Prediction,
    Target,
    family_folds,
    interval,
    judge,
    predict,
    rotated,
)

PEOPLE, COLUMNS = 60, 90


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(0)
    values, age = (
        rng.standard_normal((PEOPLE, COLUMNS)),
        rng.standard_normal((PEOPLE, 1)),
    )
    values += age
    tested = values[:, :10].sum(axis=1) + age[:, 0] + rng.standard_normal(PEOPLE)
    return values, age, tested, np.arange(PEOPLE) // 2


def plain(values, age, tested, folds, ridge, families):
    """Return predicted and measured deviations of everybody, column by column."""
    residuals = tested - LinearRegression().fit(age, tested).predict(age)
    predicted, measured = np.empty(PEOPLE), np.empty(PEOPLE)
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        columns = np.column_stack([values, residuals])
        columns = columns - LinearRegression().fit(age[train], columns[train]).predict(
            age
        )
        x, y = columns[:, :-1], columns[:, -1]
        size = np.square(x[train] - x[train].mean(axis=0)).sum()
        alpha = size / len(train) ** 2
        if ridge == "nested":
            search = GridSearchCV(
                Ridge(),
                {"alpha": np.logspace(-3, 3, 13) * size / len(train)},
                scoring=lambda model, *scored: (
                    -np.square(scored[1] - model.predict(scored[0])).sum()
                ),
                cv=GroupKFold(5),
            ).fit(x[train], y[train], groups=families[train])
            alpha = search.best_params_["alpha"]
        predicted[test] = Ridge(alpha).fit(x[train], y[train]).predict(x[test])
        measured[test] = y[test]
    return predicted, measured


@pytest.mark.slow
@pytest.mark.parametrize("ridge", ["nested", "published"])
def test_r_is_that_of_a_plain_loop(people, ridge):
    values, age, tested, families = people
    folds = family_folds(families, 5, seed=1)
    orders = permuted_orders(families, 3)
    target = Target(tested, families, age, orders)
    prediction = predict(rotated(values), target, folds, ridge=ridge)
    residuals = tested - LinearRegression().fit(age, tested).predict(age)
    several = [
        plain(values, age, phenotype, folds, ridge, families)
        for phenotype in (tested, *residuals[orders])
    ]
    r = [np.corrcoef(*pair)[0, 1] for pair in several]
    np.testing.assert_allclose([prediction.r, *prediction.null], r, atol=1e-8)
    predicted, measured = several[0]
    r2 = 1 - np.square(measured - predicted).sum() / np.square(measured).sum()
    assert prediction.r2 == pytest.approx(r2, abs=1e-8)


def test_scores_of_levels_are_those_of_scikit_learn(people):
    values, age, tested, families = people
    second = tested > np.median(tested)
    target = Target(second.astype(float), families, age, permuted_orders(families, 0))
    prediction = predict(rotated(values), target, family_folds(families, 5, seed=1))
    auc = interval(prediction, target)
    assert auc.mean == pytest.approx(roc_auc_score(second, prediction.predicted))
    assert auc.low < auc.mean < auc.high
    assert prediction.balanced_accuracy(second) == pytest.approx(
        balanced_accuracy_score(second, prediction.predicted > 0)
    )
    assert np.isnan(prediction.p)


def test_a_set_that_knows_more_is_better(people):
    values, age, tested, families = people
    folds = family_folds(families, 5, seed=1)
    target = Target(tested, families, age, np.empty((0, PEOPLE), int))
    informed, uninformed = (
        predict(rotated(features), target, folds)
        for features in (values[:, :12], values[:, 12:])
    )
    assert judge(informed, uninformed, target).word == "better"
    assert judge(uninformed, informed, target).word == "worse"


def test_families_are_in_one_fold_and_few_are_refused():
    families = np.repeat(np.arange(12), 3)
    folds = family_folds(families, 4, seed=0)
    assert all(len(set(folds[families == family])) == 1 for family in range(12))
    with pytest.raises(ValueError, match="3 families cannot be divided into 5 folds"):
        family_folds(np.array([0, 0, 1, 1, 2]), 5, seed=0)


def test_a_constant_prediction_has_no_r(people):
    """Columns that differ between sites alone say nothing within them, whatever rounding leaves."""
    _, age, tested, families = people
    sites = families % 3
    values = np.random.default_rng(1).standard_normal((3, 7))[sites]
    target = Target(tested, families, age[:, :0], permuted_orders(families, 9))
    prediction = predict(values, target, sites, within=True)
    assert np.isnan([prediction.r, prediction.p]).all()
    assert prediction.r2 == 0


def test_the_interval_of_an_auc_ends_at_1():
    tested = np.arange(40) < 5
    predicted = np.linspace(1, -1, 40)
    predicted[4] = 0.5
    prediction = Prediction(predicted, tested - 0.5, np.empty(0))
    target = Target(
        tested.astype(float), np.arange(40), np.empty((40, 0)), np.empty((0, 40))
    )
    auc = interval(prediction, target)
    assert 0.3 < auc.low < auc.mean < auc.high <= 1
    reversed_prediction = Prediction(-predicted, tested - 0.5, np.empty(0))
    assert judge(prediction, reversed_prediction, target).difference.high <= 1
