"""Parts of the study on real people's behaviour, on simulated people."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from bids_dtg.twin.phantom.people import simulate_twin_people
from bids_dtg.twin.phantom.world import trial_sequence
from bids_dtg.twin.trial_series import stack_people

ROOT = Path(__file__).parents[2]


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
