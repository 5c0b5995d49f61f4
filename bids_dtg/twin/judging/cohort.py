"""People with known responses, and their figures that a twin has to predict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.decoding import Decoded
from bids_dtg.twin.judging.baselines import Known, Training
from bids_dtg.twin.judging.behaviour import Answers, condition_effect, decoded, figures
from bids_dtg.twin.tasks import Task
from bids_dtg.twin.trial_series import Segments, TaskSet, TrialRows

Values = NDArray[np.float64]
RT, EFFECT = "rt", "effect"  # kinds of target: the mean response time, the condition effect


@dataclass(frozen=True, eq=False)
class Cohort:
    """People with known responses, and their features.

    Raises
    ------
    ValueError
        Numbers of people differ, or a label is given twice.
    """

    labels: tuple[str, ...]
    segments: Segments  # what they saw and did, with an axis of people
    connectomes: NDArray[np.floating[Any]] | None = None  # (people, edges); None: not known
    taken_out: Values | None = None  # (people, columns): covariates that connectomes are less
    numbers: Values | None = None  # (people, covariates), as age; NaN: not known
    categories: NDArray[np.str_] | None = None  # (people, covariates), as site; "": not known
    families: Mapping[str, str] = field(default_factory=dict)  # by label, of those who have one

    def __post_init__(self) -> None:
        people = len(self.labels)
        sizes = {
            "segments": len(self.segments.action),
            **{name: len(values) for name, values in self._described.items()},
        }
        if wrong := {name: size for name, size in sizes.items() if size != people}:
            raise ValueError(f"{people} labels, and other numbers of people: {wrong}")
        if len(set(self.labels)) < people:
            raise ValueError("a label is given twice")

    @property
    def _described(self) -> dict[str, NDArray[Any]]:
        values = {
            "connectomes": self.connectomes,
            "taken_out": self.taken_out,
            "numbers": self.numbers,
            "categories": self.categories,
        }
        return {name: found for name, found in values.items() if found is not None}

    @property
    def people(self) -> int:
        """Number of people."""
        return len(self.labels)

    def of(self, rows: NDArray[np.integer]) -> Cohort:
        """Return some of the people, by row."""
        return Cohort(
            tuple(self.labels[row] for row in rows),
            self.segments.people(rows),
            **{name: values[rows] for name, values in self._described.items()},
            families=self.families,
        )

    def known(self) -> Known:
        """Return the features of the people for baselines."""
        return Known(
            self.people,
            connectome=self.connectomes,
            taken_out=self.taken_out,
            numbers=self.numbers,
            categories=self.categories,
        )

    def training(self) -> Training:
        """Return the people as a training set of baselines, with targets of all their trials."""
        return Training(self.known(), targets_of_people(self.segments))


@dataclass(frozen=True)
class Target:
    """A figure of each person."""

    task: str
    what: str  # `RT` or `EFFECT`

    @property
    def name(self) -> str:
        """Name in columns, for example ``stroop_rt``."""
        return f"{self.task}_{self.what}"


def targets_of(tasks: TaskSet) -> tuple[Target, ...]:
    """Return the figures of tasks: the mean response time, and the condition effect if any.

    Examples
    --------
    >>> from bids_dtg.twin.tasks import find_task
    >>> [target.name for target in targets_of(TaskSet((find_task("stroop"),)))]
    ['stroop_rt', 'stroop_effect']
    """
    return tuple(
        Target(task.name, what)
        for task in tasks.tasks
        for what in (RT, EFFECT)
        if what == RT or len(task.conditions) > 1
    )


@dataclass(frozen=True, eq=False)
class TaskAnswers:
    """People's answers to the trials of one task, and the trials' columns in the table."""

    task: Task
    columns: NDArray[np.intp]  # of the table of trials
    answers: Answers

    def decoded(self, of: Decoded) -> Answers:
        """Return a model's answers to the same trials; a single row stands for all people."""
        return self._of(of, of.rt_seconds)

    def decoded_means(self, of: Decoded) -> Answers:
        """Return a model's answers, each at the mean of its distribution of response times.

        People's mean response times are compared with means of these: the medians of `decoded` are
        shorter, as distributions of response times are skewed.
        """
        return self._of(of, of.mean_seconds)

    def _of(self, of: Decoded, seconds: NDArray[Any]) -> Answers:
        rt, button, miss = (self.part(values) for values in (seconds, of.button, of.miss))
        return decoded(self.answers, rt, button, miss)

    def part(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the task's trials of values (1 or people, trials, ...)."""
        return values[:, self.columns]


def answers_of(segments: Segments, task: int) -> TaskAnswers:
    """Return people's answers to the trials of one task.

    Parameters
    ----------
    segments
        Segments with an axis of people.
    task
        Index of the task in the segments' tasks.
    """
    rows = segments.trials
    chosen = _all_people(rows.task, rows) == task
    # Where people saw different things, a column of the table may have another task in each.
    shared = len(rows.task) == 1
    columns = np.flatnonzero(rows.task[0] == task) if shared else np.arange(rows.task.shape[1])

    def part(values: NDArray[Any]) -> NDArray[Any]:
        return _all_people(values, rows)[:, columns]

    return TaskAnswers(
        segments.tasks.tasks[task],
        columns,
        Answers(
            condition=part(rows.condition),
            correct_button=part(rows.correct_button),
            button=part(rows.button),
            rt_seconds=part(rows.rt_seconds),
            correct=part(rows.correct),
            scored=part(rows.scored & chosen),
        ),
    )


def _all_people(values: NDArray[Any], rows: TrialRows) -> NDArray[Any]:
    return np.broadcast_to(values, rows.scored.shape)


def figures_of(answers: Answers, task: Task) -> list[Values]:
    """Return the targets of a task, (people,) each, in the order of `targets_of`.

    Parameters
    ----------
    answers
        Answers of people, observed or decoded.
    task
        The task that the answers belong to.
    """
    found = [figures(answers).mean_rt_seconds[:, 0]]
    if len(task.conditions) > 1:
        by_condition = figures(answers, len(task.conditions)).mean_rt_seconds
        found.append(condition_effect(by_condition))
    return found


def targets_of_people(segments: Segments) -> Values:
    """Return people's observed targets, (people, targets).

    Parameters
    ----------
    segments
        Segments with an axis of people.
    """
    columns: list[Values] = []
    for number, task in enumerate(segments.tasks.tasks):
        columns += figures_of(answers_of(segments, number).answers, task)
    return np.stack(columns, axis=1)


def checked_truth(truth: Mapping[str, Values], tasks: TaskSet, people: int) -> dict[str, Values]:
    """Return true figures of people as arrays, by the name of their target.

    Raises
    ------
    ValueError
        A name is not that of a target, or the number of people differs.
    """
    names = [target.name for target in targets_of(tasks)]
    found = {name: np.asarray(values, np.float64) for name, values in truth.items()}
    for name, values in found.items():
        if name not in names:
            raise ValueError(f"the truth has {name!r}; targets are {', '.join(names)}")
        if values.shape != (people,):
            raise ValueError(
                f"the truth of {name} is of shape {values.shape}, expected ({people},)"
            )
    return found
