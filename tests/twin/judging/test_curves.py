"""Curves of the mean trial over people, of what they did and of networks."""

from __future__ import annotations

import numpy as np
import pytest
from twin_runs import ONSET, a_run, slow_and_quick

from bids_dtg.twin.trial_series import STEP_SECONDS
from bids_dtg.twin.judging.curves import PEOPLE, curves_of_people
from bids_dtg.twin.trial_series import stack_people


def test_networks_that_do_what_people_do_have_their_curves() -> None:
    segments, _ = slow_and_quick()
    average = segments.action.mean(axis=0, keepdims=True)
    found = curves_of_people(segments, {"twin": segments.action, "group": average})
    assert list(found) == [PEOPLE, "twin", "group"]
    assert sum(mean.trials for mean in found[PEOPLE]) == 12 * len(ONSET)
    for own, twin, group in zip(*found.values(), strict=True):
        assert (own.task, own.condition, own.trials) == (twin.task, twin.condition, twin.trials)
        # Targets begin at the end of the step of the press: curves agree within a step.
        early, late = (np.interp(own.seconds + by, own.seconds, own.answered) for by in (0, 0.16))
        assert (twin.answered <= late + 1e-6).all()
        assert (twin.answered >= np.interp(own.seconds - 0.16, own.seconds, early) - 1e-6).all()
        # The mean of curves is the curve of the mean.
        assert np.allclose(group.answered, twin.answered, atol=1e-5)
        assert np.allclose(own.correct, own.answered)
        assert own.seconds[1] == STEP_SECONDS


def test_each_person_counts_the_same() -> None:
    always = a_run(ONSET, rt=np.full(len(ONSET), 0.6), button=a_run(ONSET).correct_button)
    never = a_run(ONSET[:6], rt=np.full(6, np.nan), button=np.full(6, -1))
    segments = stack_people([[always], [never]])
    for mean in curves_of_people(segments, {})[PEOPLE]:
        assert mean.answered[-1] == pytest.approx(0.5)


def test_what_was_pressed_stays_pressed() -> None:
    segments, _ = slow_and_quick()
    rows, falling = segments.trials, segments.action.copy()
    falling[:, rows.segment[0], rows.last_step[0]] = 0.0  # the network lets go at the end
    for mean in curves_of_people(segments, {"twin": falling})["twin"]:
        assert (np.diff(mean.correct) >= -1e-9).all()
        assert np.allclose(mean.correct, mean.answered)
