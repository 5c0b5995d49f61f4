"""Misses and errors of people."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_trials_people import simulated, with_times
from scipy.stats import betabinom

from bids_dtg.twin.own_trials.rates import Outcomes, PersonRate


def learnt(happened, possible=None, condition=None):
    possible = np.ones(happened.shape, bool) if possible is None else possible
    condition = np.zeros(happened.shape, int) if condition is None else condition
    return PersonRate.learn(happened, possible, condition, possible, int(condition.max()) + 1)


def test_people_s_rates_are_those_of_the_likeliest_beta_distribution():
    rng = np.random.default_rng(0)
    rate = rng.beta(0.5, 8.0, 300)[:, None]
    happened = rng.random((300, 60)) < rate
    found = learnt(happened)
    count = happened.sum(axis=1)
    grid = [
        (betabinom.logpmf(count, 60, a, b).sum(), a, b)
        for a in np.linspace(0.2, 1.2, 41)
        for b in np.linspace(3.0, 16.0, 53)
    ]
    best, a, b = max(grid)
    assert betabinom.logpmf(count, 60, found.a, found.b).sum() > best - 0.01
    assert (found.a, found.b) == (pytest.approx(a, abs=0.06), pytest.approx(b, abs=1.0))


@pytest.mark.slow
@given(
    people=st.integers(1, 6),
    trials=st.integers(1, 30),
    chance=st.sampled_from([0.0, 0.1, 0.9, 1.0]),
    seed=st.integers(0, 20),
)
def test_probabilities_are_inside_0_and_1_and_rise_with_events(people, trials, chance, seed):
    rng = np.random.default_rng(seed)
    happened = rng.random((people, trials)) < chance
    found = learnt(happened, rng.random((people, trials)) < 0.8, rng.integers(0, 3, happened.shape))
    possible, condition = np.ones((1, 10), bool), np.zeros((1, 10), int)
    of = [
        found.predict(np.arange(10)[None] < events, possible, condition)[0, 0]
        for events in range(11)
    ]
    assert (np.diff(of) >= 0).all()
    assert 0 < of[0] <= of[-1] < 1


def test_without_own_trials_the_probability_is_the_condition_s():
    rng = np.random.default_rng(0)
    condition = np.tile([0, 1], (200, 20))
    happened = rng.random((200, 40)) < np.where(condition == 1, 0.2, 0.05)
    found = learnt(happened, condition=condition)
    nothing = np.zeros((1, 40), bool)
    own = found.predict(nothing, nothing, condition[:1])[0]
    assert own[:2] == pytest.approx([0.05, 0.2], abs=0.02)


def test_a_person_who_misses_is_expected_to_miss():
    people = simulated(60, missed=np.random.default_rng(0).beta(0.4, 6.0, (60, 1)))
    rt = people.answers.rt_seconds[:2].copy()
    rt[0, :8], rt[1, :10] = np.nan, 0.8
    unseen = with_times(people.of([0, 1]), rt)
    shares = Outcomes.learn(people, 2).shares(unseen)
    assert (shares[0, 10:, 2] > 2 * shares[1, 10:, 2]).all()
