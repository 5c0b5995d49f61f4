"""Simple predictions of unseen people, against scikit-learn, and of the open TCP people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from tcp_people import BUTTONS, tcp_answers, tcp_covariates, tcp_folder

from bids_dtg.stats.splits import fold_people
from bids_dtg.twin.judging.baselines import (
    BASELINES,
    Known,
    Training,
    predict,
    usable,
)
from bids_dtg.twin.judging.behaviour import figures
from bids_dtg.twin.judging.scores import people_fit

BY_NAME = {baseline.name: baseline for baseline in BASELINES}
NAMES = sorted(BY_NAME)
PEOPLE = 40
LABELS = [f"person{number:02d}" for number in range(PEOPLE)]


def people(seed: int = 0) -> Training:
    """Return people whose targets follow from all that is known of them."""
    rng = np.random.default_rng(seed)
    connectome = rng.standard_normal((PEOPLE, 60)) + 3
    age, site = rng.uniform(18, 70, (PEOPLE, 1)), rng.integers(2, size=(PEOPLE, 1))
    level = connectome[:, :5].sum(axis=1, keepdims=True) + 0.05 * age + site
    targets = level + 0.5 * rng.standard_normal((PEOPLE, 4))
    known = Known(
        PEOPLE,
        connectome=connectome,
        numbers=age,
        categories=np.where(site == 1, "one", "other"),
    )
    return Training(known, targets)


def cross_predict(baseline, everybody, labels, folds=10, seed=0):
    """Predict each person by a fit on the people of the other folds."""
    found = np.full(everybody.targets.shape, np.nan)
    for fold in fold_people(labels, folds, seed=seed):
        inside = np.isin(labels, fold)
        training = Training(everybody.known.of(~inside), everybody.targets[~inside])
        found[inside] = predict(baseline, training, everybody.known.of(inside))
    return found


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=3)
@given(seed=st.integers(0, 100))
def test_nobody_is_predicted_from_the_own_targets_or_by_order(name, seed):
    """Each other's targets count, the own do not; people keep their predictions in any order."""
    baseline, everybody = BY_NAME[name], people(seed)
    found = cross_predict(baseline, everybody, LABELS, folds=5)
    assert np.isfinite(found).all()
    targets = everybody.targets.copy()
    targets[3] = 999.0
    changed = cross_predict(baseline, replace(everybody, targets=targets), LABELS, folds=5)
    np.testing.assert_array_equal(changed[3], found[3])
    assert not np.allclose(changed, found)
    order = np.random.default_rng(seed).permutation(PEOPLE)
    moved = Training(everybody.known.of(order), everybody.targets[order])
    other = cross_predict(baseline, moved, [LABELS[number] for number in order], folds=5)
    np.testing.assert_allclose(other, found[order], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"group_mean"}))
def test_each_explains_what_follows_from_what_it_knows(name):
    everybody = people()
    found = cross_predict(BY_NAME[name], everybody, LABELS, folds=10)
    r = np.corrcoef(found[:, 0], everybody.targets[:, 0])[0, 1]
    assert r > (0.15 if name == "covariates" else 0.3)


@pytest.mark.slow
def test_ridge_is_scikit_learns_at_the_best_penalty_of_leaving_one_out():
    everybody, new = people(), people(1).known
    found = predict(BY_NAME["connectome_ridge"], everybody, new)
    x, y = everybody.known.connectome, everybody.targets
    scale = ((x - x.mean(axis=0)) ** 2).sum() / len(x)
    penalties = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)

    def left_out_error(alpha: float, column: int) -> float:
        errors = []
        for person in range(len(x)):
            rest = np.arange(len(x)) != person
            fit = Ridge(alpha=alpha).fit(x[rest], y[rest, column])
            errors.append(fit.predict(x[person : person + 1])[0] - y[person, column])
        return float(np.square(errors).sum())

    for column in (0, 3):
        best = min((scale * p for p in penalties), key=lambda alpha: left_out_error(alpha, column))
        expected = Ridge(alpha=best).fit(x, y[:, column]).predict(new.connectome)
        np.testing.assert_allclose(found[:, column], expected, atol=1e-3)


def test_people_with_gaps_are_predicted_where_it_can_be():
    everybody = people()
    numbers, categories = everybody.known.numbers.copy(), everybody.known.categories.copy()
    connectome, targets = everybody.known.connectome.copy(), everybody.targets.copy()
    numbers[:5], categories[5:8], connectome[8], targets[9:15, 0] = np.nan, "", np.nan, np.nan
    known = replace(everybody.known, numbers=numbers, categories=categories, connectome=connectome)
    gaps = Training(known, targets)
    assert np.isfinite(cross_predict(BY_NAME["covariates"], gaps, LABELS)).all()
    found = cross_predict(BY_NAME["connectome_ridge"], gaps, LABELS)
    assert np.isnan(found[8]).all()
    assert np.isfinite(np.delete(found, 8, axis=0)).all()


def test_a_category_that_nobody_was_trained_with_counts_as_not_known():
    everybody = people()
    blank, new = (
        replace(everybody.known.of(np.arange(3)), categories=np.full((3, 1), label))
        for label in ("", "elsewhere")
    )
    covariates = BY_NAME["covariates"]
    np.testing.assert_array_equal(
        predict(covariates, everybody, blank), predict(covariates, everybody, new)
    )


def test_equal_features_give_the_mean():
    everybody = people()
    same = replace(everybody.known, numbers=np.full((PEOPLE, 1), 30.0), categories=None)
    found = predict(BY_NAME["covariates"], replace(everybody, known=same), same)
    np.testing.assert_allclose(found, np.tile(everybody.targets.mean(axis=0), (PEOPLE, 1)))


def test_what_is_not_known_leaves_baselines_out():
    everybody = people()
    bare = Training(Known(PEOPLE), everybody.targets)
    assert [row.name for row in usable(bare.known)] == ["group_mean"]
    assert {row.name for row in usable(everybody.known)} == set(NAMES)
    with pytest.raises(ValueError, match="'covariates' needs numbers or categories of the unseen"):
        predict(BY_NAME["covariates"], everybody, Known(3))
    few = replace(everybody, targets=np.full((PEOPLE, 4), np.nan))
    with pytest.raises(ValueError, match=r"3 training people .* found \[0, 0, 0, 0\]"):
        predict(BY_NAME["group_mean"], few, everybody.known)
    with pytest.raises(ValueError, match=r"numbers of 4 people .* found \(3, 1\)"):
        Known(4, numbers=np.zeros((3, 1)))


@pytest.mark.parametrize(
    ("task", "run", "of_all", "least", "most"),
    [
        # Ten folds; of all 228 people 0.37, 0.23 and 0.19; bounds are over draws of the folds.
        ("faces", "AP", 0.37, 0.25, 0.45),
        # The open people alone give about 0.35, 0.15 and 0.07, by any light penalty.
        ("stroop", "AP", 0.23, 0.08, 0.25),
        ("stroop", "PA", 0.19, 0.0, 0.2),
    ],
)
def test_covariates_of_the_open_people(shared, task, run, of_all, least, most):
    folder = tcp_folder(shared)
    labels, own, _ = tcp_answers(folder, task, run)
    kept = figures(own).correct[:, 0] >= 1 / len(BUTTONS[task])
    rt = figures(own).mean_rt_seconds[kept]
    labels = [label for label, is_kept in zip(labels, kept, strict=True) if is_kept]
    age, categories = tcp_covariates(folder, labels)
    known = Known(len(labels), numbers=age, categories=categories)
    everybody = Training(known, rt)
    r = [
        people_fit(
            cross_predict(BY_NAME["covariates"], everybody, labels, seed=seed)[:, 0],
            rt[:, 0],
            draws=10,
        ).r.mean
        for seed in range(3)
    ]
    print(task, run, of_all, np.round(r, 3))
    assert least < np.mean(r) < most


def confounded(people: int, seed: int = 0):
    """Return edges, times that age rules and edges differ in by little, and ages."""
    rng = np.random.default_rng(seed)
    age, edges = rng.normal(size=(people, 1)), rng.normal(size=(people, 50))
    times = edges[:, :10].sum(axis=1, keepdims=True) + 20 * age + rng.normal(size=(people, 1))
    return edges, times, age


def test_covariates_that_connectomes_are_less_are_no_noise_of_targets():
    ridge = BY_NAME["connectome_ridge"]
    edges, times, age = confounded(200)
    own, others = np.arange(150), np.arange(150, 200)
    known = Known(200, connectome=edges, taken_out=age)
    given, alone = (
        predict(ridge, Training(each.of(own), times[own]), each.of(others))[:, 0]
        for each in (known, Known(200, connectome=edges))
    )
    rest = (times - 20 * age)[others, 0]
    assert np.corrcoef(given, rest)[0, 1] > 0.8
    assert np.corrcoef(given, rest)[0, 1] > np.corrcoef(alone, rest)[0, 1] + 0.1
    assert given.mean() == pytest.approx(rest.mean(), abs=1.5)


@pytest.mark.parametrize("shift", [0.0, 0.4, -1 / 3])
def test_a_covariate_that_is_the_same_for_all_training_people_changes_nothing(shift):
    edges, times, age = confounded(60)
    same = np.full((60, 1), shift)
    columns = np.hstack([age + shift, same, same + 1 / 3])
    unseen = Known(9, connectome=np.random.default_rng(1).normal(size=(9, 50)))
    found = [
        predict(
            BY_NAME["connectome_ridge"],
            Training(Known(60, connectome=edges, taken_out=fixed), times),
            unseen,
        )
        for fixed in (age, columns)
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-4)
