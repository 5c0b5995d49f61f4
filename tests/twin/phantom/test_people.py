"""Simulated people: connectome, parameters, and what an intervention truly does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import RidgeCV

from bids_dtg.phantom.streams import Cohort
from bids_dtg.twin.phantom.people import simulate_twin_people
from bids_dtg.twin.phantom.world import MEANS, SDS, SEQUENCES, TASKS, trial_sequence


def arrays(people):
    return people.connectomes, people.parameters, people.lapses


def test_people_are_the_same_however_many_there_are():
    few = simulate_twin_people(3, "hard", regions=12, seed=4)
    many = simulate_twin_people(9, "hard", regions=12, seed=4)
    for mine, theirs in zip(arrays(few), arrays(many.select([0, 1, 2])), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    assert few.labels == many.labels[:3]


def test_cohorts_are_other_people_of_the_same_world():
    fitted = simulate_twin_people(5, "hard", regions=12, seed=4)
    unseen = simulate_twin_people(5, "hard", regions=12, seed=4, cohort=Cohort.TEST)
    np.testing.assert_array_equal(fitted.world.loadings, unseen.world.loadings)
    np.testing.assert_array_equal(fitted.world.weights, unseen.world.weights)
    assert abs(fitted.traits - unseen.traits).min() > 1e-6
    assert not set(fitted.labels) & set(unseen.labels)


@pytest.mark.parametrize(("regime", "shared"), [("easy", 1.0), ("hard", 0.4), ("images", 1.0)])
def test_traits_decide_the_regimes_share_of_the_parameters(regime, shared):
    people = simulate_twin_people(1500, regime, regions=8, seed=2)
    kept = people.traits @ people.world.weights
    off = (people.parameters - MEANS) / SDS
    for column in range(5):
        r = np.corrcoef(kept[:, column], off[:, column])[0, 1]
        assert r**2 == pytest.approx(shared, abs=0.05)


@pytest.mark.parametrize(("regime", "least", "most"), [("easy", 0.975, 1.0), ("hard", 0.88, 0.96)])
def test_ridge_recovers_traits_as_well_as_the_regime_says(regime, least, most):
    people = simulate_twin_people(400, regime, regions=100, seed=3)
    ridge = RidgeCV(np.logspace(0, 3, 7)).fit(people.connectomes[:200], people.traits[:200])
    found = ridge.predict(people.connectomes[200:])
    r = [np.corrcoef(found[:, k], people.traits[200:, k])[0, 1] for k in range(6)]
    assert least < np.mean(r) < most


def test_mean_times_are_those_of_many_responses():
    people = simulate_twin_people(40, "easy", regions=8, seed=2)
    sequence = trial_sequence("stroopAP")
    sessions = [people.runs([sequence], seed=seed) for seed in range(12)]
    condition = sequence.trials.condition
    rt = np.array([[run.rt_seconds for (run,) in runs] for runs in sessions])
    correct = np.array([[run.correct for (run,) in runs] for runs in sessions])
    for column in range(2):
        # Late responses are lost, so that means of people who have some are a little lower.
        found = np.nanmean(rt[..., condition == column], axis=(0, 2))
        off = found - people.mean_rt_seconds("stroop")[:, column]
        assert abs(np.median(off)) < 0.02
        answered = np.isfinite(rt[..., condition == column])
        share = correct[..., condition == column].sum((0, 2)) / answered.sum((0, 2))
        off = share - people.share_correct("stroop")[:, column]
        assert abs(off.mean()) < 0.01


@settings(max_examples=20)
@given(steps=st.lists(st.floats(-2, 2), min_size=6, max_size=6))
def test_a_change_along_loadings_changes_the_traits_by_as_much(steps):
    people = simulate_twin_people(2, "hard", regions=20, seed=5)
    changed = people.after(np.array(steps) @ people.world.loadings)
    np.testing.assert_allclose(changed.traits - people.traits, [steps, steps], atol=1e-8)
    np.testing.assert_array_equal(changed.own, people.own)


def test_a_change_of_nuisance_or_beside_everything_changes_no_behaviour():
    people = simulate_twin_people(3, "easy", regions=20, seed=5)
    basis = np.concatenate([people.world.loadings, people.world.nuisance])
    rng = np.random.default_rng(0)
    beside = rng.standard_normal(basis.shape[1])
    beside -= np.linalg.pinv(basis) @ basis @ beside
    for delta in (beside, people.world.nuisance.sum(axis=0)):
        changed = people.after(delta)
        for task in TASKS:
            np.testing.assert_allclose(
                changed.mean_rt_seconds(task), people.mean_rt_seconds(task), atol=1e-8
            )
        assert abs(changed.connectomes - people.connectomes).max() > 0.01


@pytest.fixture(scope="module")
def people():
    return simulate_twin_people(60, "hard", regions=8, seed=3)


@pytest.mark.parametrize("name", sorted(SEQUENCES))
def test_a_run_agrees_with_itself(people, name):
    sequence = trial_sequence(name)
    for (run,) in people.runs([sequence], seed=1):
        missed = np.isnan(run.rt_seconds)
        np.testing.assert_array_equal(missed, run.button < 0)
        np.testing.assert_array_equal(run.correct, run.button == run.correct_button)
        assert (run.rt_seconds[~missed] <= run.task.window_seconds).all()
        assert run.rt_seconds[~missed].min() >= 0.2
        np.testing.assert_array_equal(run.onset_seconds, sequence.trials.onset_seconds)


def test_wrong_answers_to_incongruent_words_take_the_words_colour(people):
    sequence = trial_sequence("stroopAP")
    sessions = [people.runs([sequence], seed=seed) for seed in range(5)]
    button = np.array([run.button for runs in sessions for (run,) in runs])
    trials, lure = sequence.trials, sequence.lure
    wrong = (button >= 0) & (button != trials.correct_button)
    lured = wrong & (lure != trials.correct_button)
    assert (button == lure)[lured].mean() == pytest.approx(0.8, abs=0.05)
    plain = wrong & (lure == trials.correct_button)
    after = (button - trials.correct_button) % 3
    assert (after == 1)[plain].mean() == pytest.approx(0.5, abs=0.15)


def test_a_run_does_not_depend_on_who_and_what_is_beside(people):
    both = people.runs([trial_sequence("hammerAP"), trial_sequence("stroopPA")], seed=1)
    (alone,) = people.select([5]).runs([trial_sequence("stroopPA")], seed=1)
    np.testing.assert_allclose(both[5][1].rt_seconds, alone[0].rt_seconds, atol=1e-9)
    np.testing.assert_array_equal(both[5][1].button, alone[0].button)
