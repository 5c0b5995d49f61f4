"""The group's distribution without how people differ, moved and stretched for the person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.own_trials.curves import curves, grid, log_seconds
from bids_dtg.twin.own_trials.first_trials import FirstTrials
from bids_dtg.twin.own_trials.group import TrialMeans
from bids_dtg.twin.own_trials.shares import trial_groups
from bids_dtg.twin.own_trials.shifted import Shrinkage
from bids_dtg.twin.own_trials.spread import Spread
from bids_dtg.twin.tasks import Task

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ShiftedScale:
    """One level a person, as in `shifted`; the spread is the person's own, shrunk."""

    log_grid: Values
    means: TrialMeans
    shrinkage: Shrinkage
    spread: Spread

    @classmethod
    def learn(cls, training: FirstTrials, task: Task) -> ShiftedScale:
        """Learn means, shrinkage and spreads from training people."""
        values, conditions = log_seconds(training.answers.rt_seconds, 0.0), len(task.conditions)
        means = TrialMeans.learn(training, values, (conditions, len(task.buttons)))
        mean = means.of(training)
        shrinkage = Shrinkage.learn(values - mean, training)
        own = np.where(training.own, values - mean, np.nan)
        location = mean + shrinkage.level(own)[:, None]
        spread = Spread.learn(training, values - location, location, conditions)
        return cls(log_seconds(grid(task.window_seconds), 0.0), means, shrinkage, spread)

    def times(self, people: FirstTrials) -> Values:
        """Return how likely a response is by each time if there is one."""
        values, mean = log_seconds(people.answers.rt_seconds, 0.0), self.means.of(people)
        location = mean + self.shrinkage.level(values - mean)[:, None]
        scale = self.spread.of(people, values - location, location)
        group = trial_groups(people, by_trial=False)
        return curves(self.log_grid, location, scale, group, self.spread.shapes)
