"""A person's own spread about predicted log response times, and its shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.own_trials.curves import Shape
from bids_dtg.twin.own_trials.first_trials import FirstTrials
from bids_dtg.twin.own_trials.shares import shapes_of, trial_groups

Values = NDArray[np.float64]
_PRIOR_TRIALS = 2.0  # of spread 1, beside a person's own
_LEAST_SPREAD = 1e-3  # of log response times
_FEWEST_PEOPLE = 8  # to learn from how own spreads last
_MOST = 1.0  # of a log factor: no person's spread is beyond 2.7 times the group's


@dataclass(frozen=True, eq=False)
class Spread:
    """Spread of each condition, a factor for each person, and the shape of what is left."""

    of_condition: Values  # (conditions,): SD of later trials about their prediction
    weights: Values  # of 1, the log spread of own trials and the mean prediction
    shapes: tuple[Shape, ...]  # by condition, of later differences over their spread

    @classmethod
    def learn(cls, training: FirstTrials, residual: Values, location: Values, count: int) -> Spread:
        """Learn from training people.

        Parameters
        ----------
        training
            The people.
        residual
            (people, trials): log response times less their prediction from own trials.
        location
            (people, trials): the predictions.
        count
            Number of conditions.
        """
        group = trial_groups(training, by_trial=False)
        later = np.where(training.later & (group >= 0), residual, np.nan)
        known = np.isfinite(later)
        overall = _spread(later[known])
        of_condition = np.array(
            [_spread(later[known & (group == number)], overall) for number in range(count)]
        )
        scaled = residual / of_condition[group]
        features = _features(scaled, training, location)
        weights = _weights(features, np.where(known, scaled, np.nan))
        found = cls(of_condition, weights, ())
        shape_values = np.where(known, residual / found.of(training, residual, location), np.nan)
        return cls(of_condition, weights, shapes_of(shape_values, group, count))

    def of(self, people: FirstTrials, residual: Values, location: Values) -> Values:
        """Return the spread of each trial, (people, trials), from the residuals of own trials."""
        each = self.of_condition[np.maximum(people.answers.condition, 0)]
        features = _features(residual / each, people, location)
        own = np.exp(np.clip(features @ self.weights, -_MOST, _MOST))
        return np.asarray(each * own[:, None])


def log_rms(scaled: Values, used: NDArray[np.bool_]) -> Values:
    """Return the log root mean square of scaled residuals, beside two trials of spread 1.

    Examples
    --------
    >>> log_rms(np.array([[2.0, 2.0]]), np.array([[True, False]])).round(3)
    array([0.347])
    """
    used = used & np.isfinite(scaled)
    total = np.where(used, scaled**2, 0.0).sum(axis=1) + _PRIOR_TRIALS
    found: Values = 0.5 * np.log(total / (used.sum(axis=1) + _PRIOR_TRIALS))
    return found


def _features(scaled: Values, people: FirstTrials, location: Values) -> Values:
    """Return 1, log spread of own trials, and mean prediction of later ones, (people, 3)."""
    used = people.later & np.isfinite(location)
    mean = np.where(used, location, 0.0).sum(axis=1) / np.maximum(used.sum(axis=1), 1)
    return np.stack([np.ones(len(mean)), log_rms(scaled, people.own), mean], axis=1)


def _weights(features: Values, later: Values) -> Values:
    """Regress the log spread of later trials on features, weighted by their number."""
    count = np.isfinite(later).sum(axis=1)
    some = count > 1
    if some.sum() < _FEWEST_PEOPLE:
        return np.zeros(features.shape[1])
    squares = np.where(np.isfinite(later), later**2, 0.0).sum(axis=1)[some] / count[some]
    wanted = 0.5 * np.log(np.maximum(squares, _LEAST_SPREAD**2))
    rows = features[some] * np.sqrt(count[some])[:, None]
    found: Values = np.linalg.lstsq(rows, wanted * np.sqrt(count[some]), rcond=1e-8)[0]
    return found


def _spread(values: Values, otherwise: float = 1.0) -> float:
    if not len(values):
        return otherwise
    return max(float(np.sqrt(np.mean(values**2))), _LEAST_SPREAD)
