"""Nothing of the person but misses: response times of the same condition, or the same trial."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.own_trials.curves import Shape, curves, grid, log_seconds
from bids_dtg.twin.own_trials.first_trials import FirstTrials
from bids_dtg.twin.tasks import Task

Values = NDArray[np.float64]
_FEWEST = 5  # values that have a distribution of their own


@dataclass(frozen=True, eq=False)
class GroupTimes:
    """Training people's response times by condition, or by trial."""

    log_grid: Values
    shapes: tuple[Shape, ...]
    by_trial: bool

    @classmethod
    def by_condition(cls, training: FirstTrials, task: Task) -> GroupTimes:
        """Learn the distribution of each condition."""
        return cls._learn(training, task, by_trial=False)

    @classmethod
    def by_trials(cls, training: FirstTrials, task: Task) -> GroupTimes:
        """Learn the distribution of each trial; of each condition where sequences differ."""
        return cls._learn(training, task, by_trial=training.one_sequence)

    @classmethod
    def _learn(cls, training: FirstTrials, task: Task, *, by_trial: bool) -> GroupTimes:
        values = log_seconds(training.answers.rt_seconds, 0.0)
        group = trial_groups(training, by_trial=by_trial)
        count = group.shape[1] if by_trial else len(task.conditions)
        return cls(
            log_seconds(grid(task.window_seconds), 0.0), shapes_of(values, group, count), by_trial
        )

    def times(self, people: FirstTrials) -> Values:
        """Return how likely a response is by each time if there is one."""
        group = trial_groups(people, by_trial=self.by_trial)
        zeros = np.zeros(group.shape)
        return curves(self.log_grid, zeros, zeros + 1.0, group, self.shapes)


def trial_groups(people: FirstTrials, *, by_trial: bool) -> NDArray[np.intp]:
    """Return the number of each trial's column or condition, (people, trials); -1: no trial."""
    condition = np.where(people.place >= 0, people.answers.condition, -1).astype(np.intp)
    if not by_trial:
        return condition
    return np.where(condition >= 0, np.arange(condition.shape[1]), -1)


def shapes_of(values: Values, group: NDArray[np.intp], count: int) -> tuple[Shape, ...]:
    """Return the distribution of the finite values of each group, or of all where it has few."""
    used = np.isfinite(values) & (group >= 0)
    found = []
    for number in range(count):
        here = used & (group == number)
        found.append(Shape.smooth(values[here if here.sum() >= _FEWEST else used]))
    return tuple(found)
