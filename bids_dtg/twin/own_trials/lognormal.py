"""A hierarchical shifted log-normal: each person has a level, a spread and a shift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.own_trials.curves import grid, in_window, log_seconds
from bids_dtg.twin.own_trials.first_trials import FirstTrials
from bids_dtg.twin.own_trials.group import TrialMeans
from bids_dtg.twin.tasks import Task

Values = NDArray[np.float64]
SHIFTS = tuple(np.arange(0.0, 0.45, 0.05).round(2).tolist())  # seconds that a person may have
_ROUNDS = 4  # of people's shares in shifts, and of the priors given them
_LEAST_SHARE = 1e-3  # of a shift among people
_SIZES = (-7.0, 7.0)  # limits of the logarithms of a prior's numbers


@dataclass(frozen=True)
class Prior:
    """Normal-inverse-gamma distribution of people's levels and variances, for one shift."""

    mean: float
    strength: float  # of the mean, in trials
    shape: float
    rate: float

    def evidence(self, count: Values, mean: Values, squares: Values) -> Values:
        """Return the log density of people's values, (people,).

        Parameters
        ----------
        count, mean, squares
            (people,): number of values, their mean, and the sum of squares about it.
        """
        from scipy.special import gammaln

        strength, _, shape, rate = self._posterior(count, mean, squares)
        found: Values = (
            gammaln(shape)
            - gammaln(self.shape)
            + self.shape * np.log(self.rate)
            - shape * np.log(rate)
            + 0.5 * (np.log(self.strength) - np.log(strength))
            - 0.5 * count * np.log(2 * np.pi)
        )
        return found

    def predictive(
        self, count: Values, mean: Values, squares: Values
    ) -> tuple[Values, Values, Values]:
        """Return degrees of freedom, centre and scale of the next value's t distribution."""
        strength, centre, shape, rate = self._posterior(count, mean, squares)
        return 2 * shape, centre, np.sqrt(rate * (strength + 1) / (shape * strength))

    def _posterior(
        self, count: Values, mean: Values, squares: Values
    ) -> tuple[Values, Values, Values, Values]:
        strength = self.strength + count
        centre = (self.strength * self.mean + count * mean) / strength
        apart = self.strength * count * (mean - self.mean) ** 2 / strength
        return strength, centre, self.shape + count / 2, self.rate + 0.5 * (squares + apart)

    @classmethod
    def learn(cls, count: Values, mean: Values, squares: Values, weight: Values) -> Prior:
        """Return the prior under which people's values are likeliest, each weighted."""
        from scipy.optimize import minimize

        total = np.maximum((weight * count).sum(), 1.0)
        centre = float((weight * count * mean).sum() / total)
        variance = max(float((weight * squares).sum() / total), 1e-4)
        spread = max(float(np.average((mean - centre) ** 2, weights=weight + 1e-9)), 1e-4)

        def of(numbers: Values) -> Prior:
            strength, shape, rate = np.exp(np.clip(numbers[1:], *_SIZES))
            return cls(float(numbers[0]), float(strength), float(shape) + 1.0, float(rate))

        start = np.log([variance / spread, 4.0, 4.0 * variance])
        found = minimize(
            lambda numbers: -float((weight * of(numbers).evidence(count, mean, squares)).sum()),
            np.append(centre, start),
            method="L-BFGS-B",
            bounds=[(None, None), _SIZES, _SIZES, _SIZES],
        )
        return of(np.asarray(found.x))


@dataclass(frozen=True, eq=False)
class LogNormal:
    """Priors of people for each shift; predictions average over shifts by own trials."""

    seconds: Values
    means: tuple[TrialMeans, ...]  # of each shift
    priors: tuple[Prior, ...]
    shares: Values  # (shifts,): of people

    @classmethod
    def learn(cls, training: FirstTrials, task: Task) -> LogNormal:
        """Learn the priors from training people, by rounds of expectation and maximization."""
        sizes, rt = (len(task.conditions), len(task.buttons)), training.answers.rt_seconds
        means = tuple(TrialMeans.learn(training, log_seconds(rt, shift), sizes) for shift in SHIFTS)
        sums = [_sums(rt, shift, of.of(training)) for shift, of in zip(SHIFTS, means, strict=True)]
        shares = np.full(len(SHIFTS), 1 / len(SHIFTS))
        own = np.tile(shares, (training.people, 1))
        for _ in range(_ROUNDS):
            priors = tuple(
                Prior.learn(*found[:3], weight) for found, weight in zip(sums, own.T, strict=True)
            )
            own = _shares(sums, priors, shares)
            shares = np.maximum(own.mean(axis=0), _LEAST_SHARE)
            shares /= shares.sum()
        return cls(grid(task.window_seconds), means, priors, shares)

    def times(self, people: FirstTrials) -> Values:
        """Return how likely a response is by each time if there is one."""
        from scipy.special import stdtr

        rt = people.answers.rt_seconds
        means = [of.of(people) for of in self.means]
        sums = [_sums(rt, shift, of) for shift, of in zip(SHIFTS, means, strict=True)]
        own = _shares(sums, self.priors, self.shares)
        found = np.zeros((*rt.shape, len(self.seconds)))
        for number, shift in enumerate(SHIFTS):
            degrees, centre, scale = self.priors[number].predictive(*sums[number][:3])
            location = means[number] + centre[:, None]
            z = (log_seconds(self.seconds, shift) - location[..., None]) / scale[:, None, None]
            share = stdtr(degrees[:, None, None], z) * (self.seconds > shift)
            found += own[:, number, None, None] * share
        return in_window(found)


Sums = tuple[Values, Values, Values, Values]


def _sums(rt: Values, shift: float, mean: Values) -> Sums:
    """Return number, mean and squares of people's values, and the log of the Jacobian."""
    values, used = log_seconds(rt, shift), np.isfinite(rt)
    left = np.where(used, values - mean, 0.0)
    count = used.sum(axis=1).astype(np.float64)
    centre = left.sum(axis=1) / np.maximum(count, 1.0)
    squares = (np.where(used, left - centre[:, None], 0.0) ** 2).sum(axis=1)
    return count, centre, squares, -np.where(used, values, 0.0).sum(axis=1)


def _shares(sums: list[Sums], priors: tuple[Prior, ...], shares: Values) -> Values:
    """Return how likely each shift is of each person, (people, shifts)."""
    log = np.stack(
        [prior.evidence(*of[:3]) + of[3] for prior, of in zip(priors, sums, strict=True)], axis=1
    ) + np.log(shares)
    own = np.exp(log - log.max(axis=1, keepdims=True))
    found: Values = own / own.sum(axis=1, keepdims=True)
    return found
