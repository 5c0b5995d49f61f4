"""Runs of tasks with any timing, of simulated people, for tests of the twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from hypothesis import strategies as st

from bids_dtg.twin.recipe import Recipe
from bids_dtg.twin.tasks import ResponseRule, Task
from bids_dtg.twin.trial_series import Segments, stack_people
from bids_dtg.twin.trials import Trials


def a_task(name="stroop", buttons=3, channels=8, window_seconds=2.0) -> Task:
    """Return a task; its rules on tables of events stay empty."""
    return Task(
        name=name,
        bids_tasks=(name,),
        buttons=tuple(f"button{number}" for number in range(buttons)),
        channels=channels,
        conditions=("easy", "hard"),
        display_seconds=1.5,
        window_seconds=window_seconds,
        correct_column="answer",
        response=ResponseRule("rt"),
        inputs=(),
    )


def a_run(
    onset,
    *,
    task=None,
    rt=None,
    button=None,
    cut=None,
    cues=(),
    run_seconds=None,
    seed=0,
) -> Trials:
    """Return a run with trials at given onsets; what is not given is random."""
    rng, task = np.random.default_rng(seed), task or a_task()
    onset = np.asarray(onset, np.float64)
    count, buttons = len(onset), len(task.buttons)
    rt = rng.uniform(0.3, 1.9, count) if rt is None else np.asarray(rt, np.float64)
    right = np.random.default_rng(1).integers(0, buttons, count).astype(np.int8)
    if button is None:
        pressed = np.where(rng.random(count) < 0.8, right, (right + 1) % buttons)
        button = np.where(np.isfinite(rt), pressed, -1)
    return Trials(
        task=task,
        onset_seconds=onset,
        display_seconds=np.full(count, 1.5),
        stimulus=np.random.default_rng(2)
        .random((count, task.channels))
        .astype(np.float32),
        cues=np.reshape(np.asarray(cues, np.float64), (-1, 3)),
        condition=np.random.default_rng(3).integers(0, 2, count).astype(np.int8),
        correct_button=right,
        button=np.asarray(button, np.int8),
        rt_seconds=rt,
        correct=np.isfinite(rt) & (np.asarray(button) == right),
        cut=np.ones(count, bool) if cut is None else np.asarray(cut, bool),
        run_seconds=float(onset[-1] + 10.0) if run_seconds is None else run_seconds,
    )


def answered_by(run: Trials, seed: int, late: float = 0.0) -> Trials:
    """Return the run as another person does it, who sees everything a little later."""
    second = a_run(run.onset_seconds, task=run.task, seed=seed)
    moved = run.cues + late * np.array([0.0, 1.0, 1.0])
    return replace(
        run,
        onset_seconds=run.onset_seconds + late,
        cues=moved,
        run_seconds=run.run_seconds + late,
        rt_seconds=second.rt_seconds,
        button=second.button,
        correct=second.correct,
    )


@st.composite
def runs(draw, shortest_gap=0.5, task=None) -> Trials:
    """Draw a run: gaps, cuts, cues, misses and late responses of any kind."""
    count = draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    gaps = rng.uniform(shortest_gap, draw(st.floats(shortest_gap, 9.0)), count)
    onset = draw(st.floats(0.0, 12.0)) + np.cumsum(gaps)
    led = rng.random(count) < draw(st.floats(0.0, 1.0))
    before = np.append(draw(st.floats(0.1, 30.0)), 0.9 * gaps[1:])
    cues = np.column_stack([led % 2, onset - before, onset - 0.05 * gaps])[led]
    rt = np.where(rng.random(count) < 0.2, np.nan, rng.uniform(0.0, 2.4, count))
    return a_run(onset, task=task, rt=rt, cut=led | draw(st.booleans()), cues=cues)


ONSET = np.arange(2.0, 40.0, 3.0)


def slow_and_quick(people=12, seed=0):
    """Return segments of people who differ in how long they take, and how long."""
    rng = np.random.default_rng(seed)
    takes = rng.uniform(0.5, 1.3, people)
    runs = [
        [a_run(ONSET, rt=mean_rt + rng.normal(0.0, 0.1, len(ONSET)), button=_correct())]
        for mean_rt in takes
    ]
    return stack_people(runs), takes


def connectomes_of(takes, edges=45, seed=7):
    """Return connectomes (people, edges) whose first 9 are larger in who takes longer."""
    loadings = np.where(np.arange(edges) < 9, 1.0, 0.0)
    noise = np.random.default_rng(seed).normal(0.0, 0.1, (len(takes), edges))
    return (np.outer(takes - 0.9, loadings) + noise).astype(np.float32)


QUICK = Recipe(
    units=12,
    rank=2,
    group_epochs=8,
    group_updates=10,
    times_epochs=2,
    times_updates=10,
    hyper_units=6,
    hyper_epochs=3,
    hyper_updates=3,
    hyper_people=6,
    hyper_segments=2,
    batch_people=6,
    batch_segments=2,
)


@cache
def fitted_quickly(architecture="lowrank", people=30):
    """Return a twin of people, their connectomes, segments and how long each takes."""
    from bids_dtg.twin.fitting import fit

    segments, takes = slow_and_quick(people=people)
    edges = connectomes_of(takes)
    fitted = fit(edges, segments, architecture=architecture, recipe=QUICK)
    return fitted, edges, segments, takes


def a_cohort(people=24, seed=0, name="p"):
    """Return people with connectomes, as judges of twins take them."""
    from bids_dtg.twin.judging.predictions import Cohort

    segments, takes = slow_and_quick(people=people, seed=seed)
    labels = tuple(f"{name}{number}" for number in range(people))
    return Cohort(labels, segments, connectomes_of(takes, seed=seed + 1))


def judged_by(people, buttons, group=None, **baselines):
    """Return predictions of people by networks with given outputs, and by others."""
    from bids_dtg.twin.judging.predictions import (
        GROUP,
        TWIN,
        Judged,
        cross_losses,
        predict_by_network,
    )

    models = {TWIN: predict_by_network(buttons, people.segments), **baselines}
    if group is not None:
        models[GROUP] = predict_by_network(group, people.segments)
    return Judged(models, cross_losses(buttons, people.segments))


def _correct():
    return a_run(ONSET).correct_button


def make_segments(runs: Sequence[Trials], **options) -> Segments:
    """Return one person's runs as segments; the options are those of `stack_people`."""
    return stack_people([runs], **options).person(0)
