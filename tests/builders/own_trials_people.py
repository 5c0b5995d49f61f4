"""People with first trials that are known, simulated from levels, spreads and trial means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from twin_runs import a_task

from bids_dtg.twin.judging.behaviour import Answers
from bids_dtg.twin.own_trials import FirstTrials

TASK = a_task(window_seconds=2.0)


def simulated(
    people=30, trials=40, *, own=10, seed=0, missed=0.05, wrong=0.1, one_sequence=True
) -> FirstTrials:
    """Return people whose log times have a level, an effect and a slope of their own."""
    rng = np.random.default_rng(seed)
    shown = np.random.default_rng(99)  # the same for all seeds, where all saw one sequence
    rows = 1 if one_sequence else people
    source = shown if one_sequence else rng
    condition = np.broadcast_to(source.integers(0, 2, (rows, trials)), (people, trials))
    button = np.broadcast_to(source.integers(0, 3, (rows, trials)), (people, trials))
    place = np.broadcast_to(np.arange(trials), (people, trials))
    offset = 0.1 * shown.standard_normal(trials) if one_sequence else 0.0
    mean = -0.4 + 0.25 * condition - 0.05 * np.log1p(place) + offset
    level, effect, slope = rng.standard_normal((3, people, 1)) * [[[0.2]], [[0.08]], [[0.05]]]
    centred = (place - place.mean()) / place.std()
    noise = 0.25 * np.exp(0.2 * rng.standard_normal((people, 1)))
    log = mean + level + effect * (condition - 0.5) + slope * centred
    rt = 0.2 + np.exp(log + noise * rng.standard_normal((people, trials)))
    gone = (rng.random((people, trials)) < missed) | (rt > TASK.window_seconds)
    right = ~gone & (rng.random((people, trials)) >= wrong)
    answers = Answers(
        condition=condition,
        correct_button=button,
        button=np.where(gone, -1, np.where(right, button, (button + 1) % 3)),
        rt_seconds=np.where(gone, np.nan, rt),
        correct=right,
        scored=np.ones((people, trials), bool),
    )
    return FirstTrials(answers, place, place < own, place >= own, one_sequence)


def with_times(people: FirstTrials, rt_seconds) -> FirstTrials:
    """Return people with other response times, all correct; NaN: a miss."""
    answered = np.isfinite(rt_seconds)
    answers = replace(
        people.answers,
        rt_seconds=rt_seconds,
        correct=answered,
        button=np.where(answered, people.answers.correct_button, -1),
    )
    return replace(people, answers=answers)
