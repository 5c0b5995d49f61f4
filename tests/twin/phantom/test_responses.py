"""Responses of simulated people to real sequences of trials."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_dtg.twin.phantom.people import simulate_twin_people
from bids_dtg.twin.phantom.people import respond
from bids_dtg.twin.phantom.world import SEQUENCES
from bids_dtg.twin.phantom.world import trial_sequence


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


def test_responses_repeat_and_another_seed_gives_others(people):
    sequence = trial_sequence("hammerAP")
    first, again, other = (people.runs([sequence], seed=seed)[7][0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.rt_seconds, again.rt_seconds)
    assert np.nanmax(abs(first.rt_seconds - other.rt_seconds)) > 0.1


def test_a_run_does_not_depend_on_who_and_what_is_beside(people):
    both = people.runs([trial_sequence("hammerAP"), trial_sequence("stroopPA")], seed=1)
    (alone,) = people.select([5]).runs([trial_sequence("stroopPA")], seed=1)
    np.testing.assert_allclose(both[5][1].rt_seconds, alone[0].rt_seconds, atol=1e-9)
    np.testing.assert_array_equal(both[5][1].button, alone[0].button)


def test_those_who_always_lapse_never_respond(people):
    sequence = trial_sequence("stroopAP")
    rng = np.random.default_rng(0)
    uniforms = rng.random((2, len(sequence.rows), 4))
    never, always = respond(
        sequence, people.parameters[:2], np.array([1.0, 0.0]), np.zeros((2, 2)), uniforms
    )
    assert np.isnan(never.rt_seconds).all()
    assert not never.correct.any()
    assert np.isfinite(always.rt_seconds).mean() > 0.9


def test_a_sequence_of_another_task_is_refused(people):
    sequence = trial_sequence("stroopAP")
    task = replace(sequence.trials.task, name="flanker")
    other = replace(sequence, trials=replace(sequence.trials, task=task))
    with pytest.raises(ValueError, match="simulated tasks are faces and stroop, not 'flanker'"):
        people.runs([other], seed=1)
