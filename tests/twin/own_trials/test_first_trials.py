"""People's answers, split into first trials that are known and trials to come."""

from dataclasses import replace

import numpy as np
import pytest
from own_trials_people import simulated
from twin_runs import a_run, a_task, slow_and_quick

from bids_dtg.twin.own_trials.first_trials import first_trials
from bids_dtg.twin.trial_series import TaskSet, stack_people


@pytest.mark.parametrize("own", [0, 1, 7])
def test_the_first_trials_by_onset_are_known(own):
    segments, _ = slow_and_quick(people=4)
    found = first_trials(segments, 0, own)
    assert (found.own.sum(axis=1) == own).all()
    assert found.place[:, :own].tolist() == [list(range(own))] * 4
    assert (found.own ^ found.later).all()


def test_the_first_half_is_known():
    run = a_run([10.0, 100.0, 190.0, 200.0, 300.0])
    found = first_trials(stack_people([[run]]), 0, "half")
    assert found.own.tolist() == [[True, True, True, False, False]]


def test_trials_of_a_second_run_of_the_task_come_later():
    task = a_task()
    runs = [a_run([1.0, 5.0, 9.0], task=task), a_run([1.0, 5.0], task=task, seed=5)]
    found = first_trials(stack_people([runs]), 0, 4)
    order = np.argsort(found.place[0])
    assert found.answers.rt_seconds[0, order].tolist() == pytest.approx(
        [*runs[0].rt_seconds, *runs[1].rt_seconds]
    )
    assert found.own[0, order].tolist() == [True] * 4 + [False]


def test_people_without_the_task_have_no_trial_of_it():
    one, other = a_task("stroop"), a_task("faces")
    both = [a_run([1.0, 5.0], task=one), a_run([1.0, 5.0], task=other)]
    segments = stack_people([both, both[:1], both], tasks=TaskSet((one, other)))
    found = first_trials(segments, 1, 1)
    assert found.place.tolist() == [[0, 1], [-1, -1], [0, 1]]
    assert not found.own[1].any()
    assert not found.later[1].any()


def test_answers_to_later_trials_are_removed():
    people = simulated(3, missed=0.0, wrong=0.0)
    known = people.known().answers
    assert np.isfinite(known.rt_seconds).tolist() == people.own.tolist()
    assert known.correct.tolist() == known.scored.tolist() == people.own.tolist()
    assert ((known.button >= 0) == people.own).all()
    assert np.array_equal(known.condition, people.answers.condition)
    assert np.isfinite(people.rest.rt_seconds).tolist() == people.later.tolist()


@pytest.mark.parametrize("own", [20, 21, 1000])
def test_more_own_trials_than_leave_one_to_predict_are_refused(own):
    segments, _ = slow_and_quick(people=3)
    trials = segments.trials.scored.shape[1]
    with pytest.raises(
        ValueError,
        match=f"{max(own, trials)} own trials of stroop leave none to predict: people"
        f" have up to {trials}; ask for fewer",
    ):
        first_trials(segments, 0, max(own, trials))


@pytest.mark.parametrize("own", [-1, 2.5, True, "all"])
def test_other_numbers_of_own_trials_are_refused(own):
    segments, _ = slow_and_quick(people=3)
    with pytest.raises(ValueError, match="own trials are a number from 0 or 'half', found"):
        first_trials(segments, 0, own)


def test_a_trial_is_not_both_known_and_predicted():
    people = simulated(2)
    with pytest.raises(ValueError, match="both known and to be predicted"):
        replace(people, later=people.own)
    with pytest.raises(ValueError, match="own of answers"):
        replace(people, own=people.own[:, 1:])
