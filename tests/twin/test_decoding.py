"""Decoding of known outputs: the targets themselves, and curves of a known shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid
from scipy.stats import lognorm
from twin_runs import a_run, a_task, answered_by, make_segments, runs

from bids_dtg.inputs.events import read_events
from bids_dtg.twin.decoding import decode
from bids_dtg.twin.tasks import find_task
from bids_dtg.twin.trial_series import STEP_SECONDS, TaskSet, stack_people
from bids_dtg.twin.trials import read_trials

few = settings(max_examples=25)


def assert_decodes_itself(segments) -> None:
    """The segments' own targets give their response times and buttons."""
    rows, decoded = segments.trials, decode(segments.action, segments)
    scored = rows.scored
    np.testing.assert_array_equal(decoded.button[scored], rows.button[scored])
    wrong = np.abs(decoded.rt_seconds - rows.rt_seconds)[
        scored & np.isfinite(rows.rt_seconds)
    ]
    assert wrong.max(initial=0.0) <= STEP_SECONDS + 1e-6
    missed = np.isnan(rows.rt_seconds)
    assert np.isnan(decoded.rt_seconds[missed]).all()
    np.testing.assert_allclose(decoded.miss, missed, atol=1e-6)


@few
@given(runs(task=a_task("faces", buttons=2)), runs())
def test_targets_of_several_people_are_decoded(faces, stroop):
    people = [
        [faces, stroop],
        [answered_by(stroop, 7, late=0.03)],
        [answered_by(faces, 8)],
    ]
    assert_decodes_itself(stack_people(people))


def test_targets_of_real_people_are_decoded(shared):
    """Of some, in both tasks; they saw the same, but for a few segments with times of their own."""
    tasks = TaskSet((find_task("faces"), find_task("stroop")))
    places = [("hammerAP", 0), ("stroopAP", 1), ("stroopPA", 1)]
    folders = sorted((shared / "twin/data/bids").glob("sub-*"))[::50]
    people = [
        [
            read_trials(tasks.tasks[number], read_events(path))
            for name, number in places
            for path in folder.rglob(f"*_task-{name}_*events.tsv")
        ]
        for folder in folders
    ]
    segments = stack_people(people, tasks=tasks)
    assert segments.inputs.shape[0] == 1
    assert segments.trials.scored.sum() == sum(
        run.scored.sum() for runs_of_person in people for run in runs_of_person
    )
    assert_decodes_itself(segments)


@few
@given(
    st.floats(0.3, 1.5), st.floats(0.2, 0.4), st.floats(0.0, 1.0), st.floats(0.2, 0.8)
)
def test_the_quantiles_of_a_distribution_are_found(median, spread, offset, share):
    """The best outputs for held targets are the distribution of response times."""
    segments = make_segments([a_run([2.0, 5.0 + offset, 9.0])])
    trials = segments.trials
    since = (np.arange(262) - trials.onset_step[1]) * STEP_SECONDS
    outputs = np.zeros((1, 262, 3))
    outputs[0, :, 2] = lognorm.cdf(since, spread, scale=median) * 0.95
    decoded = decode(outputs, segments)
    true = lognorm.ppf(0.5 / 0.95, spread, scale=median)
    assert decoded.rt_seconds[1] == pytest.approx(true, abs=0.02)
    assert decoded.button[1] == 2
    end = lognorm.cdf(since[trials.last_step[1]], spread, scale=median)
    assert decoded.miss[1] == pytest.approx(1 - 0.95 * end, abs=1e-6)
    times = np.linspace(0.0, since[trials.last_step[1]], 2000)
    mean = trapezoid(1 - lognorm.cdf(times, spread, scale=median) / end, times)
    assert decoded.mean_seconds[1] == pytest.approx(mean, abs=0.02)
    given_by = lognorm.ppf(share * end, spread, scale=median)
    assert decoded.quantile(share)[1] == pytest.approx(given_by, abs=0.02)


def test_other_tasks_buttons_do_not_count():
    faces = a_run([2.0, 5.0], task=a_task("faces", buttons=2))
    segments = make_segments([faces, a_run([2.0, 5.0])])
    outputs = np.zeros((2, 262, 3))
    outputs[..., 2], outputs[..., 1] = 1.0, 0.1
    decoded = decode(outputs, segments)
    np.testing.assert_array_equal(decoded.button, [1, 1, 2, 2])
    np.testing.assert_allclose(decoded.miss, [0.9, 0.9, 0.0, 0.0], atol=1e-6)


def test_an_unknown_wrong_button_is_shared_by_the_wrong_ones():
    run = a_run([2.0, 5.0], button=[-1, -1], rt=[0.7, 1.1])
    decoded = decode(make_segments([run]).action, make_segments([run]))
    np.testing.assert_allclose(decoded.rt_seconds, [0.7, 1.1], atol=STEP_SECONDS)
    expected = np.where(np.arange(3) == run.correct_button[:, None], 0.0, 0.5)
    np.testing.assert_allclose(decoded.ends, expected)
    np.testing.assert_array_equal(decoded.button, -1)


def test_letting_go_before_the_window_ends_is_no_miss():
    segments = make_segments([a_run([1.0], rt=[0.5], button=[1])])
    outputs = segments.action.copy()
    down = np.flatnonzero(outputs[0, :, 1])
    outputs[0, down[-3:], 1] *= [0.8, 0.4, 0.1]
    outcomes = decode(outputs, segments)
    assert outcomes.miss == pytest.approx(0)
    assert outcomes.ends == pytest.approx(np.eye(outputs.shape[-1])[[1]])
    nothing = decode(np.zeros_like(outputs), segments)
    assert nothing.ends == pytest.approx(0)
