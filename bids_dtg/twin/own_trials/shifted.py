"""The group's distribution of each trial, moved by the person's mean log ratio to the group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.own_trials.curves import Shape, curves, grid, log_seconds
from bids_dtg.twin.own_trials.first_trials import FirstTrials
from bids_dtg.twin.own_trials.group import TrialMeans
from bids_dtg.twin.own_trials.shares import shapes_of, trial_groups
from bids_dtg.twin.tasks import Task

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shifted:
    """The group's distribution of each trial, stretched by one number a person.

    The number is the mean log ratio of the person's own response times to the group's, shrunk by
    the best linear predictor of the same in later trials. The distribution is that of the group: it
    holds how people differ, too, although the person is known.
    """

    log_grid: Values
    means: TrialMeans
    shrinkage: Shrinkage
    shapes: tuple[Shape, ...]  # of the difference to the trial's mean
    by_trial: bool

    @classmethod
    def learn(cls, training: FirstTrials, task: Task) -> Shifted:
        """Learn means, shrinkage and shapes from training people."""
        values = log_seconds(training.answers.rt_seconds, 0.0)
        means = TrialMeans.learn(training, values, (len(task.conditions), len(task.buttons)))
        residual = values - means.of(training)
        by_trial = training.one_sequence
        group = trial_groups(training, by_trial=by_trial)
        count = group.shape[1] if by_trial else len(task.conditions)
        return cls(
            log_seconds(grid(task.window_seconds), 0.0),
            means,
            Shrinkage.learn(residual, training),
            shapes_of(residual, group, count),
            by_trial,
        )

    def times(self, people: FirstTrials) -> Values:
        """Return how likely a response is by each time if there is one."""
        means = self.means.of(people)
        level = self.shrinkage.level(log_seconds(people.answers.rt_seconds, 0.0) - means)
        group = trial_groups(people, by_trial=self.by_trial)
        location = means + level[:, None]
        return curves(self.log_grid, location, np.ones(location.shape), group, self.shapes)


@dataclass(frozen=True)
class Shrinkage:
    """Best linear predictor of a person's level from the mean of n own differences."""

    between: float  # variance of levels over people, shared by own and later trials
    within: float  # variance of a mean of own differences, times their number

    @classmethod
    def learn(cls, residual: Values, training: FirstTrials) -> Shrinkage:
        """Learn from training people's differences (people, trials) to the group's means.

        The covariance of own and later means is the variance of what stays; what own means vary by
        beyond it is noise.
        """
        own, count = _means(residual, training.own)
        later, others = _means(residual, training.later)
        both = (count > 0) & (others > 0)
        if both.sum() < 2:
            return cls(0.0, 1.0)
        between = max(float(np.cov(own[both], later[both])[0, 1]), 0.0)
        noise = float(np.var(own[both], ddof=1)) - between
        return cls(between, max(noise, 0.0) * float(count[both].mean()))

    def level(self, residual: Values) -> Values:
        """Return the level of each person, (people,), from differences; 0 where there is none."""
        mean, count = _means(residual, np.isfinite(residual))
        total = self.between * count + self.within
        found: Values = np.where(
            (count > 0) & (total > 0),
            self.between * count * mean / np.where(total > 0, total, 1),
            0.0,
        )
        return found


def _means(residual: Values, used: NDArray[np.bool_]) -> tuple[Values, Values]:
    used = used & np.isfinite(residual)
    count = used.sum(axis=1).astype(np.float64)
    total = np.where(used, residual, 0.0).sum(axis=1)
    return total / np.maximum(count, 1.0), count
