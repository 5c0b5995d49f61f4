"""A person's effects against slow computations of the same."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_trials_people import TASK, simulated, with_times

from bids_dtg.twin.judging.behaviour import Answers
from bids_dtg.twin.own_trials import BEST, ROWS, FirstTrials
from bids_dtg.twin.own_trials.curves import log_seconds
from bids_dtg.twin.own_trials.group import TrialMeans
from bids_dtg.twin.own_trials.person_effects import (
    Effects,
    PersonEffects,
    effect_covariance,
    posterior_mean,
)

S = np.array([[0.05, 0.01, 0.0], [0.01, 0.02, 0.0], [0.0, 0.0, 0.01]])


def slow_covariance(rows, residual):
    """Fit S to the product of each pair of trials of each person, one equation a pair."""
    left, right = [], []
    for x, r in zip(rows, residual, strict=True):
        known = np.flatnonzero(np.isfinite(r))
        for one in known:
            for other in known:
                if one != other:
                    left.append(np.outer(x[one], x[other]).ravel())
                    right.append(r[one] * r[other])
    found = np.linalg.lstsq(np.array(left), np.array(right), rcond=None)[0].reshape(3, 3)
    values, vectors = np.linalg.eigh((found + found.T) / 2)
    return vectors @ np.diag(np.maximum(values, 1e-5)) @ vectors.T


def slow_effects(x, value, noise, covariance, rounds=4):
    """Return one person's effects by the covariance of all values, with weights of a t."""
    weight = np.ones(len(value))
    for _ in range(rounds):
        whole = x @ covariance @ x.T + np.diag(noise / weight)
        effects = covariance @ x.T @ np.linalg.solve(whole, value)
        weight = 6 / (5 + (value - x @ effects) ** 2 / noise)
    return effects


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), shared=st.booleans())
def test_the_covariance_of_effects_is_that_of_the_pairs_of_trials(seed, shared):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((1 if shared else 8, 7, 3))
    rows = np.broadcast_to(rows, (8, 7, 3))
    residual = rng.standard_normal((8, 7))
    residual[rng.random((8, 7)) < 0.1] = np.nan
    assert effect_covariance(rows, residual) == pytest.approx(
        slow_covariance(rows, residual), abs=1e-8
    )


def test_the_covariance_of_effects_is_found_again():
    rng = np.random.default_rng(0)
    rows = np.broadcast_to(rng.standard_normal((40, 3)), (3000, 40, 3))
    effects = rng.multivariate_normal(np.zeros(3), S, 3000)
    residual = np.einsum("pti,pi->pt", rows, effects) + 0.3 * rng.standard_normal((3000, 40))
    assert effect_covariance(rows, residual) == pytest.approx(S, abs=0.004)


@given(seed=st.integers(0, 1000))
def test_effects_are_the_mean_of_a_normal_distribution_given_the_values(seed):
    rng = np.random.default_rng(seed)
    rows, value = rng.standard_normal((1, 6, 3)), rng.standard_normal((1, 6))
    noise = rng.uniform(0.05, 0.5, 6)
    found = posterior_mean(rows, value, 1 / noise[None], S)[0]
    assert found == pytest.approx(slow_effects(rows[0], value[0], noise, S, rounds=1))


def test_effects_with_weights_and_own_spread_are_those_of_one_person_at_a_time():
    people = simulated(25, seed=3)
    values = log_seconds(people.answers.rt_seconds)
    mean = TrialMeans.learn(people, values, (2, 3)).of(people)
    effects = Effects.learn(people, values - mean, 2)
    found = effects.predict(people, values - mean)
    rows = effects.design.of(people)
    for person in range(people.people):
        used = people.own[person] & np.isfinite(values[person])
        x, value = rows[person, used], (values - mean)[person, used]
        noise = effects.noise[people.answers.condition[person, used]]
        first = slow_effects(x, value, noise, effects.covariance)
        left = (value - x @ first) ** 2 / noise
        spread = np.sqrt((left.sum() + 2) / (used.sum() + 2)) ** 0.5
        own = slow_effects(x, value, noise * spread**2, effects.covariance)
        assert found[person] == pytest.approx(rows[person] @ own)


def test_levels_effects_and_slopes_of_people_are_predicted():
    people = simulated(300, 60, own=30)
    of = PersonEffects.learn(people, TASK).effects
    assert np.sqrt(np.diag(of.covariance)) == pytest.approx([0.2, 0.08, 0.05], abs=0.02)
    assert np.sqrt(of.noise) == pytest.approx([0.25, 0.25], abs=0.03)


def test_one_wild_response_moves_a_person_little():
    people = simulated(100)
    fitted = PersonEffects.learn(people, TASK)
    values = log_seconds(people.answers.rt_seconds)
    mean = fitted.means.of(people)
    wild = values.copy()
    wild[:, 3] = mean[:, 3] + 2.5
    before, after = (fitted.effects.predict(people, of - mean) for of in (values, wild))
    wilder = values.copy()
    wilder[:, 3] = mean[:, 3] + 5.0
    last = fitted.effects.predict(people, wilder - mean)
    assert np.abs(after - before).mean() < 0.12
    assert np.abs(last - after).mean() < np.abs(after - before).mean()


def test_people_without_the_task_change_nothing():
    people = simulated(20)
    nobody = replace(
        simulated(20, seed=1),
        place=np.full((20, 40), -1),
        own=np.zeros((20, 40), bool),
        later=np.zeros((20, 40), bool),
    )
    nobody = with_times(nobody, np.full((20, 40), np.nan))
    nobody = replace(nobody, answers=replace(nobody.answers, scored=nobody.own))
    answers = {
        name: np.concatenate([values, getattr(nobody.answers, name)])
        for name, values in vars(people.answers).items()
    }
    both = FirstTrials(
        Answers(**answers),
        *(
            np.concatenate([getattr(people, name), getattr(nobody, name)])
            for name in ("place", "own", "later")
        ),
        one_sequence=True,
    )
    alone, together = (
        next(row for row in ROWS if row.name == BEST).fit(which, TASK).predict(people)
        for which in (people, both)
    )
    assert np.allclose(alone.answered, together.answered, equal_nan=True)
    assert np.allclose(alone.shares, together.shares, equal_nan=True)
