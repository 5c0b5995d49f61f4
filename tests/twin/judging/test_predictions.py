"""Predictions of twins and simple models, against scikit-learn, and joined over folds."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV
from twin_runs import ONSET, QUICK, a_cohort, a_run, fitted_quickly

from bids_dtg.twin.fitting import fit
from bids_dtg.twin.judging.predictions import (
    GROUP,
    GROUP_MEAN,
    RIDGE,
    STRETCHED,
    TWIN,
    Cohort,
    cross_losses,
    join_folds,
    own_losses,
    predict_people,
)
from bids_dtg.twin.times import PENALTIES, observed_times
from bids_dtg.twin.trial_series import stack_people


@dataclass
class Given:
    """Twins whose outputs are given, as functions of connectomes."""

    of: object
    seen: int = 0

    def perform(self, connectomes, segments):
        self.seen += 1
        return self.of(connectomes)

    def perform_group(self, segments):
        return None


def halves(people):
    return Given(
        lambda edges: np.full((len(edges), *people.segments.action.shape[1:]), 0.5)
    )


def test_the_matrix_of_losses_is_that_of_each_pair():
    people = a_cohort(5)
    rng = np.random.default_rng(1)
    outputs = rng.uniform(0.01, 0.99, people.segments.action.shape).astype(np.float32)
    losses = cross_losses(outputs, people.segments)
    for person in range(5):
        data = people.segments.people(np.full(5, person))
        np.testing.assert_allclose(
            losses[:, person], own_losses(outputs, data), rtol=1e-5
        )


def test_people_who_saw_other_things_get_each_twin_on_each_ones_sequence():
    runs = [
        [a_run(ONSET + 0.5 * n * (np.arange(len(ONSET)) % 2), seed=n)] for n in range(4)
    ]
    people = Cohort(tuple("abcd"), stack_people(runs), np.zeros((4, 3)))
    assert len(people.segments.inputs) == 4
    twins = halves(people)
    np.testing.assert_allclose(
        predict_people(twins, people).losses, np.log(2), rtol=1e-5
    )
    assert twins.seen == 5
    with pytest.raises(ValueError, match=r"of \[3, 4\] people"):
        replace(people, labels=("a", "b", "c"))


def test_the_ridge_is_scikit_learns_and_the_mean_the_training_people_s():
    training, people = a_cohort(40, seed=3, name="t"), a_cohort(30)
    models = predict_people(halves(people), people, training).models
    assert {*models} == {TWIN, GROUP_MEAN, RIDGE, STRETCHED}
    times = observed_times(training.segments)
    np.testing.assert_allclose(
        models[GROUP_MEAN].times, np.tile(times.mean(axis=0), (30, 1))
    )
    edges = training.connectomes.astype(float)
    scale = edges.var(axis=0).sum()
    for column, time in enumerate(times.T):
        expected = (
            RidgeCV(PENALTIES * scale).fit(edges, time).predict(people.connectomes)
        )
        np.testing.assert_allclose(models[RIDGE].times[:, column], expected, atol=1e-6)
    assert {
        *predict_people(halves(people), people, training.of(np.arange(2))).models
    } == {TWIN}


def test_distributions_are_the_training_people_s_stretched_by_the_ridge():
    training, people = a_cohort(40, seed=3, name="t"), a_cohort(30)
    models = predict_people(halves(people), people, training).models
    mean, stretched = models[GROUP_MEAN], models[STRETCHED]
    rows, trial = training.segments.trials, 2
    condition = people.segments.trials.condition[0, trial]
    rt = rows.rt_seconds[rows.scored & (rows.condition == condition)]
    for step in (5, 12, 20):
        at = mean.seconds[0, trial, step]
        assert mean.answered[0, trial, step] == pytest.approx((rt <= at).mean())
    stretch = models[RIDGE].times[:, 0] / mean.times[:, 0]
    for person in (int(stretch.argmax()), int(stretch.argmin())):
        seconds, share = mean.seconds[person, trial], mean.answered[person, trial]
        knots = np.append(0.0, seconds), np.append(0.0, share)
        expected = np.interp(seconds / stretch[person], *knots)
        np.testing.assert_allclose(stretched.answered[person, trial], expected)


@pytest.mark.slow
def test_two_folds_are_each_judged_by_its_own_fit():
    fitted, *_ = fitted_quickly()
    people = a_cohort(10)
    rows = np.array([7, 0, 3, 4]), np.array([1, 2, 5, 6, 8, 9])
    parts = [(fold, predict_people(fitted, people.of(fold), people)) for fold in rows]
    parts[1][1].models.pop(GROUP)
    joined, whole = join_folds(parts), predict_people(fitted, people, people)
    assert {*joined.models} == {*whole.models} - {GROUP}
    for name, model in joined.models.items():
        for part, values in vars(model).items():
            whole_values = getattr(whole.models[name], part)
            assert (values is None) == (whole_values is None)
            if values is not None:
                np.testing.assert_allclose(values, whole_values, atol=1e-5)
    assert joined.folds.tolist() == [0, 1, 1, 0, 0, 1, 1, 0, 1, 1]
    same = joined.folds[:, None] == joined.folds
    np.testing.assert_allclose(joined.losses[same], whole.losses[same], rtol=1e-5)
    assert np.isnan(joined.losses[~same]).all()
    for wrong in (parts[:1], [*parts, parts[0]]):
        with pytest.raises(ValueError, match="each once"):
            join_folds(wrong)


@pytest.mark.slow
def test_a_fit_knows_nothing_of_responses_of_those_it_predicts():
    people = a_cohort(14)
    rows, training = np.arange(5), np.arange(5, 14)
    shuffled = np.arange(14)
    shuffled[rows] = rows[::-1]
    moved = replace(people, segments=people.segments.people(shuffled))
    first, second = (
        predict_people(
            fit(of.connectomes[training], of.segments.people(training), recipe=QUICK),
            of.of(rows),
            of.of(training),
        ).models
        for of in (people, moved)
    )
    for name in (TWIN, RIDGE, GROUP_MEAN):
        np.testing.assert_array_equal(first[name].times, second[name].times)
