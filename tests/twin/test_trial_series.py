"""Trials as inputs and targets on the model's step, of one person and of several."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from twin_runs import a_run, a_task, answered_by, make_segments, runs

from bids_dtg.twin import trial_series
from bids_dtg.twin.trial_series import STEP_SECONDS, TaskSet, cut_run, stack_people

few = settings(max_examples=25)
FACES = a_task("faces", buttons=2)


def test_tasks_of_other_sizes_work_together():
    tasks = TaskSet((a_task("a", 2, 5), a_task("b", 4, 3), a_task("c", 1, 8)))
    assert (tasks.inputs, tasks.buttons, tasks.window_steps) == (10, 4, 25)
    people = [[a_run([2.0, 5.0], task=task) for task in tasks.tasks]]
    segments = stack_people(people, tasks=tasks)
    assert segments.inputs.shape == (1, 3, 262, 10)
    assert segments.action.shape == (1, 3, 262, 4)
    np.testing.assert_array_equal(
        segments.inputs[0, :, 1, 8:], [[0, 0], [1, 0], [0, 1]]
    )
    assert not segments.inputs[0, 0, :, 5:].any()
    np.testing.assert_array_equal(segments.task, [[0, 1, 2]])


def test_inputs_come_one_step_after_what_was_shown():
    run = a_run([2.0, 5.04], cues=[(3, 1.6, 1.9)])
    segments = make_segments([run])
    inputs = segments.inputs[0]
    assert segments.start_seconds[0] == 1.6
    assert not inputs[0].any()
    np.testing.assert_allclose(inputs[1:4], np.eye(8)[[3, 3, 3]], atol=1e-6)
    np.testing.assert_allclose(inputs[4, 3], 0.75, atol=1e-6)  # of the step to 1.92 s
    assert not inputs[5].any()
    on = slice(6, 6 + 18)  # step 5 is shown at step 6, for 1.5 s: 18.75 steps
    np.testing.assert_allclose(inputs[on], np.tile(run.stimulus[0], (18, 1)), atol=1e-6)
    np.testing.assert_allclose(inputs[24], 0.75 * run.stimulus[0], atol=1e-6)
    np.testing.assert_allclose(
        inputs[44:62], np.tile(run.stimulus[1], (18, 1)), atol=1e-6
    )


def test_targets_are_held_from_the_press_to_the_end_of_the_window():
    run = a_run([2.0, 6.0], rt=[0.72, 0.75], button=[2, 0])
    held = make_segments([run]).action[0]
    np.testing.assert_array_equal(np.flatnonzero(held[:, 2]), np.arange(9, 26))
    np.testing.assert_array_equal(np.flatnonzero(held[:, 0]), np.arange(60, 76))


def test_an_unknown_wrong_button_is_an_expectation():
    run = replace(
        a_run([2.0], rt=[0.72], button=[-1]), correct_button=np.array([1], np.int8)
    )
    np.testing.assert_array_equal(make_segments([run]).action[0, 9], [0.5, 0.0, 0.5])
    correct = replace(run, correct=np.array([True]))
    np.testing.assert_array_equal(
        make_segments([correct]).action[0, 9], [0.0, 1.0, 0.0]
    )


@pytest.mark.parametrize("rt", [2.01, 6.6, np.nan])
def test_late_responses_are_misses(rt):
    segments = make_segments([a_run([2.0], rt=[rt])])
    rows = segments.trials
    assert not segments.action.any()
    assert np.isnan(rows.rt_seconds[0])
    assert (rows.button[0], rows.correct[0], rows.scored[0]) == (-1, False, True)


def test_a_press_after_the_next_onset_is_a_miss():
    segments = make_segments([a_run([2.0, 3.2], rt=[1.3, 0.5])])
    np.testing.assert_array_equal(np.isnan(segments.trials.rt_seconds), [True, False])
    np.testing.assert_allclose(segments.trials.window_seconds, [1.2, 2.0])


def test_early_presses_are_not_scored():
    run = a_run([2.0, 5.0, 8.0], rt=[0.7, -0.1, 0.9])
    segments = make_segments([replace(run, unscored=(2,))])
    np.testing.assert_array_equal(segments.trials.scored, [True, False, False])
    rows = segments.trials
    for trial in range(3):
        window = slice(rows.first_step[trial], rows.last_step[trial] + 1)
        assert (segments.scored[0, window] == rows.scored[trial]).all()
        assert segments.action[0, window].any() == rows.scored[trial]


@few
@given(runs(task=FACES), runs())
def test_every_trial_is_in_one_segment_where_it_is_scored(faces, stroop):
    segments = make_segments([faces, stroop])
    rows = segments.trials
    for number, run in enumerate((faces, stroop)):
        of_run = rows.task == number
        np.testing.assert_array_equal(
            rows.trial[of_run], np.arange(len(run.onset_seconds))
        )
        start = segments.start_seconds[rows.segment[of_run]]
        onset = start + STEP_SECONDS * rows.onset_step[of_run]
        np.testing.assert_allclose(onset, run.onset_seconds)
        np.testing.assert_array_equal(segments.run[rows.segment[of_run]], number)
    assert segments.scored[rows.segment, rows.first_step].all()
    assert segments.scored[rows.segment, rows.last_step].all()
    assert not segments.scored[:, 0].any()
    assert not segments.action[~segments.scored].any()
    # Windows do not overlap: no step of a segment is in two of them.
    steps = [
        (segment, step)
        for segment, first, last in zip(
            rows.segment, rows.first_step, rows.last_step, strict=True
        )
        for step in range(first, last + 1)
    ]
    assert len(steps) == len(set(steps))


def people_of(count):
    faces = a_run(np.arange(8.0, 60.0, 3.0), task=FACES)
    stroop = a_run(np.arange(2.0, 70.0, 4.5))
    return [
        [
            answered_by(run, 10 * seed + n, late=0.01 * seed)
            for n, run in enumerate((faces, stroop))
        ]
        for seed in range(count)
    ]


def test_people_who_saw_the_same_share_what_was_shown():
    people = people_of(4)
    stacked = stack_people(people)
    assert stacked.inputs.shape == (1, 7, 262, 9)
    assert stacked.action.shape == (4, 7, 262, 3)
    assert stacked.trials.onset_step.shape == (1, 34)
    for number, runs_of in enumerate(people):
        alone, of_person = make_segments(runs_of), stacked.person(number)
        for name in ("inputs", "action", "scored", "task", "run", "start_seconds"):
            np.testing.assert_allclose(
                getattr(of_person, name), getattr(alone, name), atol=1e-4
            )
        np.testing.assert_array_equal(
            of_person.trials.rt_seconds, alone.trials.rt_seconds
        )
        np.testing.assert_array_equal(of_person.trials.button, alone.trials.button)


def test_people_without_a_run_are_not_scored_in_it():
    people = people_of(4)
    people[1], people[2] = people[1][1:], people[2][::-1]
    stacked = stack_people(people)
    assert stacked.inputs.shape[0] == 1
    lacks = stacked.run[1] < 0
    np.testing.assert_array_equal(lacks, stacked.task[0] == 0)
    assert not stacked.scored[1, lacks].any()
    assert not stacked.action[1, lacks].any()
    assert not stacked.trials.scored[1, stacked.trials.task[0] == 0].any()
    np.testing.assert_array_equal(stacked.run[2], [1, 1, 1, 0, 0, 0, 0])


def test_a_stretch_begins_at_its_cue(monkeypatch):
    blocks = 8.0 + 21.0 * np.arange(3)
    onset = (blocks[:, None] + 3.0 + 3.0 * np.arange(6)).ravel()
    cues = np.column_stack([np.arange(3) % 2, blocks, blocks + 2.9])
    run = a_run(onset, cut=np.arange(18) % 6 == 0, cues=cues)
    stretches = [(s.first, s.stop, s.start_seconds) for s in cut_run(run)]
    assert stretches == [(0, 6, 8.0), (6, 12, 29.0), (12, 18, 50.0)]
    # Where the next stretch begins, the one before it ends.
    assert cut_run(run)[0].length == 262
    monkeypatch.setattr(trial_series, "SEGMENT_STEPS", 600)
    longer = [(s.first, s.stop) for s in cut_run(run)]
    assert longer == [(0, 12), (12, 18)]


def test_a_window_longer_than_a_segment_is_refused():
    run = a_run([2.0], task=a_task(window_seconds=30.0))
    with pytest.raises(
        ValueError, match="a response window of 30 s does not fit into 262 steps"
    ):
        cut_run(run)
