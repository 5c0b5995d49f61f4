"""Curves of the mean trial: the probability that a trial of a condition is answered by a time.

A network's outputs are such a curve for each trial (`decoding`). A person's curve is the share of
trials of the condition that were answered by each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.cuts import STEP_SECONDS
from bids_dtg.twin.decoding import Decoded
from bids_dtg.twin.tasks import Task
from bids_dtg.twin.trial_series import TaskSet, TrialRows

Values = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]

_BIN_STEPS = 2  # of a distribution of response times


@dataclass(frozen=True, eq=False)
class MeanTrial:
    """The mean over trials of one task and condition, on the networks' time step."""

    task: int  # number in the tasks
    condition: int  # number in the task's conditions
    trials: int  # how many
    seconds: Values  # (w,) since the onset: 0, one step, ... up to the task's response window
    answered: Values  # (w,) share that is answered by then, 0 to 1
    correct: Values  # (w,) the same with the correct button; NaN where no trial has one


def per_second(seconds: Values, answered: Values) -> tuple[Values, Values]:
    """Return the density of response times: shares of trials answered per second.

    Bins are two steps wide: narrower ones hold few responses of a person.

    Parameters
    ----------
    seconds, answered
        Times since the onset and shares answered by then, (w,), as of a `MeanTrial`.

    Returns
    -------
    tuple
        Centres of the bins in seconds, and shares of trials per second; empty if no bin is full.

    Examples
    --------
    >>> at, share = per_second(np.arange(5) * 0.1, np.array([0.0, 0.0, 0.2, 0.4, 0.5]))
    >>> at.round(2), share.round(2)
    (array([0.1, 0.3]), array([1. , 1.5]))
    """
    edges, heights = seconds[::_BIN_STEPS], answered[::_BIN_STEPS]
    widths = np.diff(edges)
    shares = np.divide(np.diff(heights), widths, out=np.full(len(widths), np.nan), where=widths > 0)
    return (edges[1:] + edges[:-1]) / 2, shares


def predicted_curves(
    decoded: Decoded, rows: TrialRows, tasks: TaskSet, used: Flags
) -> tuple[MeanTrial, ...]:
    """Return the mean trial of each task and condition that a network performed.

    Parameters
    ----------
    decoded
        Decoded outputs of one network, trials at the front: (trials, w) and (trials, w, buttons).
    rows
        The same trials, of one person: (trials,).
    tasks
        Tasks of the network, in its order.
    used
        Which trials are averaged, (trials,): the scored ones, as for `observed_curves`.

    Raises
    ------
    ValueError
        The rows are not the decoded trials.

    Examples
    --------
    >>> from bids_dtg.twin.decoding import decode
    >>> from bids_dtg.twin.tasks import CorrectRule, ResponseRule, Task
    >>> from bids_dtg.twin.trial_series import stack_people
    >>> from bids_dtg.twin.trials import Trials
    >>> task = Task("go", ("go",), ("yes", "no"), 1, ("all",), 0.5, 2.0,
    ...     CorrectRule("answer"), ResponseRule("rt"), ())
    >>> zeros = np.zeros(2, np.int8)
    >>> run = Trials(task, np.array([1.0, 4.0]), np.full(2, 0.5), np.ones((2, 1), np.float32),
    ...     np.zeros((0, 3)), zeros, zeros, zeros, np.array([0.64, np.nan]), zeros == 0,
    ...     zeros == 0, 8.0)
    >>> segments = stack_people([[run]]).person(0)
    >>> rows = segments.trials
    >>> decoded = decode(segments.action, segments)  # as a network that knew all would answer
    >>> mean, = predicted_curves(decoded, rows, segments.tasks, rows.scored)
    >>> own, = observed_curves(rows, segments.tasks, rows.scored)
    >>> float(mean.answered[-1]), float(own.answered[-1]), own.trials
    (0.5, 0.5, 2)
    """
    _require_trials(decoded.answered, rows)
    button = np.clip(rows.correct_button, 0, None).astype(np.intp)
    correct = np.take_along_axis(decoded.curve, button[:, None, None], axis=2)[..., 0]
    # As in `Decoded.answered`, a press counts from its time on, although networks release a button
    # before the response window ends.
    correct = np.minimum(np.maximum.accumulate(correct, axis=-1), decoded.answered)

    def at(values: Values, trial: int, grid: Values) -> Values:
        # The curve starts at 0 at the onset, before the first step.
        seconds = np.concatenate([[0.0], decoded.seconds[trial]])
        found: Values = np.interp(grid, seconds, np.concatenate([[0.0], values[trial]]))
        return found

    return tuple(
        _mean(key, trials, grid, rows, lambda n, g: (at(decoded.answered, n, g), at(correct, n, g)))
        for key, trials, grid in _groups(rows, tasks, used)
    )


def observed_curves(rows: TrialRows, tasks: TaskSet, used: Flags) -> tuple[MeanTrial, ...]:
    """Return the mean trial of each task and condition of one person's responses.

    Parameters
    ----------
    rows
        Trials of the person, (trials,) each.
    tasks
        Tasks to which the trials' numbers refer.
    used
        Which trials are averaged, (trials,): the scored ones.

    Examples
    --------
    `predicted_curves` has one.
    """

    def at(trial: int, grid: Values) -> tuple[Values, Values]:
        pressed = grid >= np.nan_to_num(rows.rt_seconds[trial], nan=np.inf)
        return pressed.astype(float), (pressed & rows.correct[trial]).astype(float)

    return tuple(
        _mean(key, trials, grid, rows, at) for key, trials, grid in _groups(rows, tasks, used)
    )


def _require_trials(values: Values, rows: TrialRows) -> None:
    if values.ndim != 2 or values.shape[:1] != rows.task.shape:
        raise ValueError(
            f"{len(rows.task)} trials of one person have curves (trials, steps), found "
            f"{values.shape}"
        )


def times_of(task: Task) -> Values:
    """Return the times of a task's curves: steps from the onset to the end of its window."""
    return np.arange(0.0, task.window_seconds + STEP_SECONDS / 2, STEP_SECONDS)


_Group = tuple[tuple[int, int], NDArray[np.intp], Values]


def _groups(rows: TrialRows, tasks: TaskSet, used: Flags) -> Iterator[_Group]:
    """Yield task and condition, the numbers of their trials, and the times of their curves."""
    for number, task in enumerate(tasks.tasks):
        grid = times_of(task)
        for condition in range(len(task.conditions)):
            mine = used & (rows.task == number) & (rows.condition == condition)
            if mine.any():
                yield (number, condition), np.flatnonzero(mine), grid


def _mean(
    key: tuple[int, int],
    trials: NDArray[np.intp],
    grid: Values,
    rows: TrialRows,
    at: Any,
) -> MeanTrial:
    both = np.array([at(trial, grid) for trial in trials])  # trials (answered, correct) times
    known = rows.correct_button[trials] >= 0
    correct = both[known, 1].mean(axis=0) if known.any() else np.full(len(grid), np.nan)
    return MeanTrial(*key, len(trials), grid, both[:, 0].mean(axis=0), correct)
