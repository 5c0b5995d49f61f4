"""What training people share: the mean log response time of each trial."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.own_trials.first_trials import FirstTrials

Values = NDArray[np.float64]
_FEWEST_PEOPLE = 3  # whose mean stands for a trial; else regressors predict it
_PENALTY = 1e-3  # of regressors, by trials: only keeps them solvable


@dataclass(frozen=True, eq=False)
class TrialMeans:
    """Mean of each trial over training people, and regressors for people of other sequences."""

    weights: Values  # of `_regressors`
    columns: Values | None  # (trials,): of the sequence that all saw; NaN: too few; None: many
    conditions: int
    buttons: int

    @classmethod
    def learn(
        cls, training: FirstTrials, values: Values, task_sizes: tuple[int, int]
    ) -> TrialMeans:
        """Learn means of values (people, trials), NaN where there is none.

        Parameters
        ----------
        training
            The people.
        values
            (people, trials): log response times.
        task_sizes
            Numbers of conditions and of buttons.
        """
        conditions, buttons = task_sizes
        used = np.isfinite(values)
        rows = _regressors(training, conditions, buttons)[used]
        square = rows.T @ rows + _PENALTY * np.eye(rows.shape[1])
        weights: Values = np.asarray(np.linalg.solve(square, rows.T @ values[used]))
        columns = None
        if training.one_sequence:
            count = used.sum(axis=0)
            total = np.where(used, values, 0.0).sum(axis=0)
            columns = np.where(count >= _FEWEST_PEOPLE, total / np.maximum(count, 1), np.nan)
        return cls(weights, columns, conditions, buttons)

    def of(self, people: FirstTrials) -> Values:
        """Return the mean of each trial of each person, (people, trials)."""
        found: Values = _regressors(people, self.conditions, self.buttons) @ self.weights
        if self.columns is None or not people.one_sequence:
            return found
        return np.where(np.isfinite(self.columns), self.columns, found)


def _regressors(people: FirstTrials, conditions: int, buttons: int) -> Values:
    """Return condition, correct button and place in the run of each trial, (people, trials, n)."""
    answers, place = people.answers, np.maximum(people.place, 0)[..., None]
    return np.concatenate(
        [
            answers.condition[..., None] == np.arange(conditions),
            answers.correct_button[..., None] == np.arange(buttons),
            np.log1p(place),
            place / 100.0,
        ],
        axis=-1,
    ).astype(np.float64)
