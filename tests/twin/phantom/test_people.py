"""Simulated people: connectome, parameters, and what an intervention truly does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.twin.phantom.people import simulate_twin_people
from bids_dtg.twin.phantom.world import MEANS, SDS, trial_sequence


@pytest.mark.parametrize(
    ("regime", "shared"), [("easy", 1.0), ("hard", 0.4), ("images", 1.0)]
)
def test_traits_decide_the_regimes_share_of_the_parameters(regime, shared):
    people = simulate_twin_people(1500, regime, regions=8, seed=2)
    explained = people.traits @ people.world.weights
    off = (people.parameters - MEANS) / SDS
    for column in range(5):
        r = np.corrcoef(explained[:, column], off[:, column])[0, 1]
        assert r**2 == pytest.approx(shared, abs=0.05)


def test_mean_times_are_those_of_many_responses():
    people = simulate_twin_people(40, "easy", regions=8, seed=2)
    sequence = trial_sequence("stroopAP")
    sessions = [people.runs([sequence], seed=seed) for seed in range(12)]
    condition = sequence.trials.condition
    rt = np.array([[run.rt_seconds for (run,) in runs] for runs in sessions])
    correct = np.array([[run.correct for (run,) in runs] for runs in sessions])
    for column in range(2):
        # Late responses are lost, so that means of people who have some are a little lower.
        mean_times = np.nanmean(rt[..., condition == column], axis=(0, 2))
        off = mean_times - people.mean_rt_seconds("stroop")[:, column]
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
    np.testing.assert_allclose(
        changed.traits - people.traits, [steps, steps], atol=1e-8
    )
    np.testing.assert_array_equal(changed.independent, people.independent)
