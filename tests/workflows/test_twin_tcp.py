"""Parts of the study on real people's behaviour, on simulated people."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from twin_runs import slow_and_quick

from bids_dtg.twin.fitting import fit
from bids_dtg.twin.phantom.people import simulate_twin_people
from bids_dtg.twin.phantom.sequences import trial_sequence
from bids_dtg.twin.recipe import Recipe, find_architecture
from bids_dtg.twin.trial_series import stack_people

ROOT = Path(__file__).parents[2]
SMALL = find_architecture("lowrank", Recipe(units=10, codes=3, group_epochs=4, group_updates=3))


@pytest.fixture(scope="module")
def command():
    """Load the study that makes the figures of the docs."""
    spec = importlib.util.spec_from_file_location("twin_tcp", ROOT / "studies/twin_tcp.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["twin_tcp"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def runs():
    people = simulate_twin_people(30, "hard", regions=10, seed=3)
    return people.runs([trial_sequence("hammerAP"), trial_sequence("stroopAP")], seed=3)


def test_answers_of_segments_are_those_of_runs(command, runs):
    segments = stack_people(runs, tasks=command.TASKS)
    for place in range(2):
        found = command.answers_of(segments, place)
        wanted = command.observed([own[place] for own in runs])
        for name in ("condition", "correct_button", "scored", "correct"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
        late = wanted.rt_seconds > 2.0
        np.testing.assert_array_equal(
            np.isnan(found.rt_seconds), np.isnan(wanted.rt_seconds) | late
        )


def test_others_answers_tell_their_own_distribution(command, runs):
    own = command.answers_of(stack_people(runs, tasks=command.TASKS), 1)
    trials = np.arange(own.condition.shape[1])
    forecast = command.Forecast.like(own, (trials, trials), own)
    of_trials = np.nanmean(own.rt_seconds, axis=0)
    np.testing.assert_allclose(forecast.mean_seconds()[0], of_trials, atol=0.005)
    median = np.median(np.nan_to_num(own.rt_seconds, nan=9.0), axis=0)
    assert np.abs(forecast.rt_seconds[0] - median).max() < 0.06  # people are few
    np.testing.assert_allclose(forecast.outcomes[0, :, 0], own.correct.mean(axis=0))
    np.testing.assert_allclose(forecast.outcomes.sum(axis=-1), 1.0)


def test_forecasts_of_folds_are_put_together_by_person(command, runs):
    own = command.answers_of(stack_people(runs, tasks=command.TASKS), 1)
    groups = own.condition[0], own.condition[0]
    parts = []
    for rows in (np.arange(0, 30, 2), np.arange(1, 29, 2)):
        some = command.rows_of(own, rows)
        parts.append((rows, command.Forecast.like(some, groups, some)))
    both = command.Forecast.joined(parts, 30)
    np.testing.assert_array_equal(both.answered[3], parts[1][1].answered[1])
    assert np.isnan(both.answered[29]).all()
    assert (both.button[29] == -1).all()


@pytest.mark.slow
def test_features_take_the_place_of_a_connectome(command):
    segments, takes = slow_and_quick(people=12)
    rng = np.random.default_rng(0)
    features = np.column_stack([takes, rng.standard_normal(12)])
    twin, scaled = command.with_features(
        fit(None, segments, architecture=SMALL), features, np.arange(12), segments
    )
    whole = fit(scaled, segments, architecture=SMALL)
    np.testing.assert_allclose(
        twin.perform(scaled, segments).buttons, whole.perform(scaled, segments).buttons, atol=1e-5
    )


@pytest.mark.slow
def test_who_lacks_a_feature_is_left_out_of_the_map(command):
    segments, takes = slow_and_quick(people=14)
    fitted = fit(None, segments, architecture=SMALL)
    features = np.column_stack([takes, takes**2])
    features[5] = np.nan
    twin, scaled = command.with_features(fitted, features, np.arange(14), segments)
    assert np.isfinite(twin.twin.edge_weights.numpy()).all()
    assert np.isnan(scaled[5]).all()
