"""People's responses, observed or decoded, and their figures for each person and condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
MISS = -1  # of `Answers.button`: none, or not known


@dataclass(frozen=True, eq=False)
class Answers:
    """People's answers to the trials of a task, observed or decoded from a model.

    People may have seen different sequences: condition and correct button are each person's own.
    """

    condition: NDArray[np.integer[Any]]  # (people, trials): index; -1: none
    correct_button: NDArray[np.integer[Any]]  # (people, trials)
    button: NDArray[np.integer[Any]]  # (people, trials); -1: none, or not known
    rt_seconds: Values  # (people, trials), from onset; NaN: none, or the curve never crosses
    correct: NDArray[np.bool_]  # (people, trials); misses are False
    scored: NDArray[np.bool_]  # (people, trials); False: no such trial, or one that is left out

    def __post_init__(self) -> None:
        shapes = {name: np.shape(values) for name, values in vars(self).items()}
        if len(set(shapes.values())) > 1 or len(self.condition.shape) != 2:
            raise ValueError(f"answers need the shape (people, trials), found {shapes}")


def decoded(
    people: Answers, rt_seconds: Values, button: NDArray[np.integer[Any]], missed: Values
) -> Answers:
    """Return a model's answers to the trials that people were given.

    Parameters
    ----------
    people
        People's own answers, which describe the trials.
    rt_seconds, button, missed
        (people, trials), or (trials,) of a model that is the same for everybody: where the curve
        crosses 0.5 (NaN: never), the largest button at the window's end, and the share of misses.

    Returns
    -------
    Answers
        A model that misses more often than not presses nothing; a curve that never crosses has no
        response time, and `Figures.unanswered` counts it.

    Examples
    --------
    >>> one = np.zeros((1, 2), int)
    >>> people = Answers(one, one, one, one + 0.8, one == 0, one == 0)
    >>> own = decoded(people, np.array([0.7, np.nan]), np.array([0, 0]), np.array([0.1, 0.6]))
    >>> own.button.tolist(), own.correct.tolist()
    ([[0, -1]], [[True, False]])
    """
    shape = people.condition.shape
    pressed = np.broadcast_to(np.where(missed > 0.5, MISS, button), shape)
    return replace(
        people,
        button=pressed,
        rt_seconds=np.broadcast_to(rt_seconds, shape),
        correct=(pressed == people.correct_button) & (pressed != MISS),
    )


@dataclass(frozen=True, eq=False)
class Figures:
    """Figures of each person and condition; NaN where there is no trial, or no response time."""

    trials: NDArray[np.int64]  # (people, conditions), scored
    median_rt_seconds: Values  # (people, conditions), of trials with a response time
    mean_rt_seconds: Values  # (people, conditions), likewise
    correct: Values  # (people, conditions), share of the trials; misses are errors
    unanswered: Values  # (people, conditions), share of the trials without a response time


def figures(answers: Answers, conditions: int | None = None) -> Figures:
    """Return the figures of each person in each condition.

    Parameters
    ----------
    answers
        Answers of people, observed or decoded.
    conditions
        Number of conditions of the task. None: all trials together count as one condition, also
        trials without a condition.

    Returns
    -------
    Figures
        Arrays with a column for each condition.

    Examples
    --------
    >>> condition = np.array([[0, 0, 1, 1]])
    >>> rt = np.array([[0.6, 0.8, 1.0, np.nan]])
    >>> own = Answers(condition, condition, condition, rt, np.isfinite(rt), rt != 0)
    >>> of = figures(own, 2)
    >>> of.median_rt_seconds, of.correct
    (array([[0.7, 1. ]]), array([[1. , 0.5]]))
    """
    groups = [answers.condition == number for number in range(conditions or 0)]
    chosen = [answers.scored & group for group in groups] if groups else [answers.scored]
    timed = [group & np.isfinite(answers.rt_seconds) for group in chosen]

    def table(values: Sequence[Values]) -> Values:
        return np.stack(values, axis=1)

    return Figures(
        trials=np.stack([group.sum(axis=1) for group in chosen], axis=1),
        median_rt_seconds=table([_medians(answers.rt_seconds, group) for group in timed]),
        mean_rt_seconds=table([means(answers.rt_seconds, group) for group in timed]),
        correct=table([means(answers.correct, group) for group in chosen]),
        unanswered=table([means(~np.isfinite(answers.rt_seconds), group) for group in chosen]),
    )


def condition_effect(by_condition: Values) -> Values:
    """Return the second condition less the first, (people, conditions) to (people,).

    Examples
    --------
    >>> condition_effect(np.array([[0.75, 1.0]]))
    array([0.25])
    """
    effect: Values = by_condition[:, 1] - by_condition[:, 0]
    return effect


def means(values: NDArray[Any], used: NDArray[np.bool_]) -> Values:
    """Return the mean over the last axis of the values that are used; NaN where none is.

    Examples
    --------
    >>> means(np.array([1.0, 2.0, 9.0]), np.array([True, True, False]))
    array(1.5)
    """
    count = used.sum(axis=-1)
    total = np.where(used, values, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _medians(values: Values, used: NDArray[np.bool_]) -> Values:
    found = np.full(len(values), np.nan)
    some = used.any(axis=1)
    if some.any():
        found[some] = np.nanmedian(np.where(used, values, np.nan)[some], axis=1)
    return found
