"""Drift diffusion by moments of own trials (EZ), shrunk to the group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.judging.behaviour import means
from bids_dtg.twin.own_trials.curves import grid, in_window
from bids_dtg.twin.own_trials.first_trials import FirstTrials
from bids_dtg.twin.own_trials.group import TrialMeans
from bids_dtg.twin.tasks import Task

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
_LEAST_VARIANCE = 1e-3  # of response times, s²: a person's SD is 32 ms at least
_TERMS = np.arange(1, 62, 2)  # of the series of first passage
_PENALTY = 1.0  # of slopes from own to later parameters, in people
# Where a person's parameters are clipped: drift, log boundary, non-decision time (s); unit noise.
_LIMITS = np.array([[0.2, np.log(0.4), 0.0], [8.0, np.log(4.0), 1.5]])
_FEWEST_TRIALS = 3  # answered, for a variance
_DRAWS = 32  # of a person's parameters
_FINE_SECONDS = 0.005  # between steps of a first passage


def ez(correct: Values, mean: Values, variance: Values, count: Values) -> Values:
    """Return drift, log boundary and non-decision time of unit noise from three moments, (..., 3).

    Parameters
    ----------
    correct
        Share of correct answers. At 0.5 and below, or 1, it is moved by half a trial.
    mean, variance
        Of response times, s and s².
    count
        Number of trials.

    Notes
    -----
    Wagenmakers, van der Maas & Grasman 2007, Psychon. Bull. Rev. 14: 3.

    Examples
    --------
    >>> of = ez(np.array(0.802), np.array(0.723), np.array(0.112), np.array(100.0))
    >>> (of * [0.1, 1, 1]).round(3)[[0, 2]], (0.1 * np.exp(of[1])).round(3)  # noise 0.1 as there
    (array([0.1, 0.3]), np.float64(0.14))
    """
    edge = 0.5 / np.maximum(count, 1.0)
    share = np.clip(correct, 0.5 + np.minimum(edge, 0.25), 1 - np.minimum(edge, 0.2))
    logit = np.log(share / (1 - share))
    variance = np.maximum(variance, _LEAST_VARIANCE)
    drift = (logit * (share**2 * logit - share * logit + share - 0.5) / variance) ** 0.25
    boundary = logit / drift
    decision = boundary / (2 * drift) * np.tanh(drift * boundary / 2)
    return np.stack([drift, np.log(boundary), mean - decision], axis=-1)


def first_passage(seconds: Values, drift: float, boundary: float) -> Values:
    """Return how likely a diffusion from the middle has left by times from 0, (times,).

    Parameters
    ----------
    seconds
        Times since the start.
    drift, boundary
        Of a diffusion of unit noise, that starts halfway between 0 and the boundary.

    Examples
    --------
    >>> first_passage(np.array([0.0, 0.1, 10.0]), 2.0, 1.5).round(3)
    array([0.   , 0.071, 1.   ])
    """
    rate = 0.5 * (drift**2 + (_TERMS * np.pi / boundary) ** 2)
    sign = np.where(_TERMS % 4 == 1, 1.0, -1.0)
    weight = 2 * np.cosh(drift * boundary / 2) * np.pi / boundary**2 * sign * _TERMS / rate
    stays = np.exp(-np.outer(seconds, rate)) @ weight
    # The series is exact but for the first milliseconds, before which nothing has left.
    stays = np.where(seconds < 1e-3 * boundary**2, 1.0, np.clip(stays, 0.0, 1.0))
    return np.maximum.accumulate(1.0 - stays)


@dataclass(frozen=True, eq=False)
class Diffusion:
    """Parameters of people from own trials by the best linear predictor, and those of the group."""

    seconds: Values
    means: TrialMeans  # of response times, s
    overall: float  # mean of later trials' means, s
    level: Values  # (conditions,): the same of each condition, s
    drift: Values  # (conditions,): the group's drift less its mean over conditions
    centre: Values  # (2, 3): mean own and later parameters
    slopes: Values  # (3, 3): from own to later parameters
    apart: Values  # (draws, 3): of later parameters from their prediction

    @classmethod
    def learn(cls, training: FirstTrials, task: Task) -> Diffusion:
        """Learn the group's parameters and how own parameters last, from training people."""
        rt, conditions = training.answers.rt_seconds, len(task.conditions)
        trials = TrialMeans.learn(training, rt, (conditions, len(task.buttons)))
        mean = trials.of(training)
        later = training.later & (training.answers.condition >= 0)
        each = [later & (training.answers.condition == number) for number in range(conditions)]
        overall = mean[later].mean() if later.any() else mean.mean()
        level = np.array([mean[here].mean() if here.any() else overall for here in each])
        left = rt - mean
        group = [_moments(training, left + overall, here) for here in each]
        drift = np.array(
            [_of_group(moments, size) for moments, size in zip(group, level, strict=True)]
        )
        own = _parameters(_moments(training, left + overall, training.own))
        wanted = _parameters(_moments(training, left + overall, later))
        centre, slopes, spread = _predictor(own, wanted)
        drawn = np.random.default_rng(0).multivariate_normal(np.zeros(3), spread, _DRAWS)
        apart = drift - drift.mean()
        seconds = grid(task.window_seconds)
        return cls(seconds, trials, float(overall), level, apart, centre, slopes, drawn)

    def times(self, people: FirstTrials) -> Values:
        """Return how likely a response is by each time if there is one."""
        mean = self.means.of(people)
        left = people.answers.rt_seconds - mean
        own = _parameters(_moments(people, left + self.overall, people.own))
        own = np.where(np.isfinite(own), own, self.centre[0])
        parameters = np.clip((own - self.centre[0]) @ self.slopes + self.centre[1], *_LIMITS)
        since = np.arange(0.0, self.seconds[-1] + _FINE_SECONDS, _FINE_SECONDS)
        found = np.full((*mean.shape, len(self.seconds)), np.nan)
        for person, centre in enumerate(parameters):
            drawn = np.clip(centre + self.apart, *_LIMITS)
            for number, faster in enumerate(self.drift):
                here = people.answers.condition[person] == number
                moved = mean[person, here] - self.level[number]
                passed = _passed(since, drawn + np.array([faster, 0.0, 0.0]))
                share = np.interp(self.seconds - moved[:, None], since, passed, left=0.0)
                found[person, here] = in_window(share)
        return found


def _passed(since: Values, parameters: Values) -> Values:
    """Return how likely a response is by each time, on average over parameters (draws, 3)."""
    each = []
    for drift, boundary, rest in parameters:
        left = first_passage(since, max(drift, _LIMITS[0, 0]), float(np.exp(boundary)))
        each.append(np.interp(since - rest, since, left, left=0.0))
    return np.asarray(np.mean(each, axis=0))


Moments = tuple[Values, Values, Values, Values]


def _moments(people: FirstTrials, seconds: Values, used: Flags) -> Moments:
    """Return share correct, mean, variance and number of each person's answered trials."""
    used = used & np.isfinite(seconds)
    centre = means(seconds, used)
    variance = means((seconds - centre[:, None]) ** 2, used)
    count = used.sum(axis=1).astype(np.float64)
    # Of few trials, the mean square is too small by one of them.
    variance = variance * count / np.maximum(count - 1, 1.0)
    return means(people.answers.correct, used), centre, variance, count


def _parameters(moments: Moments) -> Values:
    """Return people's parameters, (people, 3); NaN of fewer than three answered trials."""
    found = np.clip(ez(*moments), *_LIMITS)
    return np.where((moments[3] >= _FEWEST_TRIALS)[:, None], found, np.nan)


def _of_group(moments: Moments, level: float) -> float:
    """Return the drift of a group in a condition, from the means of people's moments."""
    correct, _, variance, count = moments
    some = count >= _FEWEST_TRIALS
    if not some.any():
        return float(_LIMITS[:, 0].mean())
    share, spread = correct[some].mean(), variance[some].mean()
    own = ez(share, np.array(level), spread, count[some].sum())
    return float(np.clip(own, *_LIMITS)[0])


def _predictor(own: Values, later: Values) -> tuple[Values, Values, Values]:
    """Return mean own and later parameters, slopes, and the covariance of what is left."""
    both = np.isfinite(own).all(axis=1) & np.isfinite(later).all(axis=1)
    if not both.any():
        middle = _LIMITS.mean(axis=0)
        return np.stack([middle, middle]), np.zeros((3, 3)), np.zeros((3, 3))
    centre = np.stack([own[both].mean(axis=0), later[both].mean(axis=0)])
    left, right = own[both] - centre[0], later[both] - centre[1]
    # A penalty in units of each parameter's variance keeps slopes of few people small.
    square = left.T @ left + _PENALTY * np.diag(left.var(axis=0) + 1e-6)
    slopes = np.asarray(np.linalg.solve(square, left.T @ right))
    missed = right - left @ slopes
    return centre, slopes, missed.T @ missed / len(missed)
