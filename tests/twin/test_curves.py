"""The mean trial of a condition: of a network that answers as a person did, and of the person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from twin_runs import a_run, a_task, make_segments, runs

from bids_dtg.twin.curves import observed_curves, predicted_curves
from bids_dtg.twin.trial_series import STEP_SECONDS
from bids_dtg.twin.decoding import decode

ONSET = np.arange(2.0, 62.0, 3.0)


def both(segments, used):
    rows, tasks = segments.trials, segments.tasks
    decoded = decode(segments.action, segments)
    return predicted_curves(decoded, rows, tasks, used), observed_curves(rows, tasks, used)


@settings(max_examples=25)
@given(runs(task=a_task("faces", buttons=2)), runs())
def test_a_network_that_answers_as_the_person_did_has_the_persons_curves(faces, stroop):
    segments = make_segments([faces, stroop])
    used = segments.trials.scored
    predicted, observed = both(segments, used)
    assert sum(mean.trials for mean in observed) == used.sum()
    for mean, own in zip(predicted, observed, strict=True):
        assert (mean.task, mean.condition, mean.trials) == (own.task, own.condition, own.trials)
        for name in ("answered", "correct"):
            curve, steps = getattr(mean, name), getattr(own, name)
            # Presses count from the step after them, and curves are linear between steps; the last
            # step stands for the window's end, which is up to a step later.
            late, early = np.append([0.0] * 2, steps[:-2]), np.append(steps[2:], [steps[-1]] * 2)
            assert (curve >= late - 1e-6).all()
            assert (curve <= early + 1e-6).all()
            assert curve[-1] == pytest.approx(steps[-1], abs=1e-6)


def test_a_persons_curve_is_the_share_of_trials_answered_by_then():
    rt = np.full(len(ONSET), 0.5)
    rt[:5] = np.nan
    run = a_run(ONSET, rt=rt)
    one = replace(run, condition=np.zeros(len(ONSET), np.int8))
    segments = make_segments([one])
    (mean,) = observed_curves(segments.trials, segments.tasks, segments.trials.scored)
    assert (mean.seconds[0], mean.seconds[1]) == (0.0, STEP_SECONDS)
    assert mean.answered[mean.seconds < 0.5].max() == 0.0
    assert mean.answered[mean.seconds >= 0.5] == pytest.approx(0.75)
    share = (one.correct & np.isfinite(rt)).mean()
    assert mean.correct[-1] == pytest.approx(share)


def test_only_trials_that_are_used_count():
    segments = make_segments([a_run(ONSET)])
    used = segments.trials.scored & (segments.trials.condition == 1)
    predicted, observed = both(segments, used)
    assert [mean.condition for mean in predicted] == [1]
    assert observed[0].trials == used.sum()


def test_trials_without_a_correct_button_have_no_curve_of_it():
    run = replace(a_run(ONSET), correct_button=np.full(len(ONSET), -1, np.int8))
    segments = make_segments([run])
    for means in both(segments, segments.trials.scored):
        assert all(np.isnan(mean.correct).all() for mean in means)


def test_curves_of_several_networks_are_refused():
    segments = make_segments([a_run(ONSET)])
    decoded = decode(np.stack([segments.action, segments.action]), segments)
    with pytest.raises(ValueError, match=r"20 trials of one person .* found \(2, 20, "):
        predicted_curves(decoded, segments.trials, segments.tasks, segments.trials.scored)
