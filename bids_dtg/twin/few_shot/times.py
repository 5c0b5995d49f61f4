"""Distributions of people's response times from their effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.few_shot.posterior import EffectsPrior, Posterior
from bids_dtg.twin.own_trials.curves import Shape, curves
from bids_dtg.twin.own_trials.shares import shapes_of

Values = NDArray[np.float64]
Groups = NDArray[np.intp]
Flags = NDArray[np.bool_]
_LEAST = 1e-4  # of a mean square


@dataclass(frozen=True, eq=False)
class Trials:
    """Trials of people: what each effect changes, and what is known of them."""

    residual: Values  # (people, trials): log times less what else is predicted; NaN: none
    basis: Values  # (1 or people, trials, effects)
    groups: Groups  # (people, trials): condition; -1: no trial
    start: Values | None = None  # (people, trials): what connectomes add; None: nothing

    def beside(self, other: Trials, groups: int) -> Trials:
        """Return these trials and those of another task of the same people, whose effects differ.

        What connectomes add is not kept.

        Parameters
        ----------
        other
            Trials of the other task.
        groups
            How many groups these trials have: those of the other task are numbered after them.
        """
        people = max(len(self.basis), len(other.basis))
        mine, others = (
            np.broadcast_to(each, (people, *each.shape[1:])) for each in (self.basis, other.basis)
        )
        mine = np.pad(mine, ((0, 0), (0, 0), (0, others.shape[-1])))
        others = np.pad(others, ((0, 0), (0, 0), (mine.shape[-1] - others.shape[-1], 0)))
        later = np.where(other.groups >= 0, other.groups + groups, -1)
        return Trials(
            np.concatenate([self.residual, other.residual], axis=1),
            np.concatenate([mine, others], axis=1),
            np.concatenate([self.groups, later], axis=1),
        )

    def level(self, added: Values, later: Flags) -> Values:
        """Return what effects and connectomes add to later trials on average, (people,).

        Parameters
        ----------
        added
            (people, trials): what effects add.
        later
            (people, trials): the trials that count.
        """
        every = added if self.start is None else added + self.start
        return mean_of(every, later & (self.groups >= 0))


@dataclass(frozen=True, eq=False)
class Spread:
    """How far people's times are from their predicted locations, and in which shape."""

    of_group: Values  # (groups,): SD
    slopes: Values  # (3,): of log relative SD on 1, the own noise's logarithm and the level
    shapes: tuple[Shape, ...]  # of residuals over SD

    @classmethod
    def learn(
        cls, left: Values, posterior: Posterior, level: Values, groups: Groups, count: int
    ) -> Spread:
        """Learn spreads from training people, predicted from as few own trials.

        Parameters
        ----------
        left
            (people, trials): log times of later trials less the predicted ones; NaN: none.
        posterior
            What the first trials said of the same people.
        level
            (people,): what was predicted of their later trials, over the group's mean, by effects
            and connectomes.
        groups
            (people, trials).
        count
            How many groups there are.
        """
        known = np.isfinite(left) & (groups >= 0)
        every = float(np.sqrt(max((left[known] ** 2).mean(), _LEAST)))
        of_group = np.full(count, every)
        for group in range(count):
            here = known & (groups == group)
            if here.any():
                of_group[group] = np.sqrt(max(float((left[here] ** 2).mean()), _LEAST))
        scaled = np.where(known, left, 0.0) / of_group[np.maximum(groups, 0)]
        trials = known.sum(axis=1)
        power = np.maximum((np.minimum(scaled**2, 9.0) * known).sum(axis=1), _LEAST)
        target = 0.5 * np.log(power / np.maximum(trials, 1))
        design = _design(posterior, level)
        weighted = design * trials[:, None]
        penalty = np.diag([1e-6, 1.0, 1.0]) * trials.mean()
        slopes = np.linalg.solve(weighted.T @ design + penalty, weighted.T @ target)
        spread = of_group[np.maximum(groups, 0)] * np.exp(design @ slopes)[:, None]
        shapes = shapes_of(np.where(known, left / spread, np.nan), groups, count)
        return cls(of_group, slopes, shapes)

    def scale(self, posterior: Posterior, level: Values, groups: Groups) -> Values:
        """Return the SD of log times about their location, (people, trials)."""
        own = np.exp(_design(posterior, level) @ self.slopes)
        return np.asarray(self.of_group[np.maximum(groups, 0)] * own[:, None])


def _design(posterior: Posterior, level: Values) -> Values:
    return np.stack([np.ones(len(level)), np.log(posterior.noise), level], axis=1)


@dataclass(frozen=True, eq=False)
class PersonTimes:
    """Prior of effects and spread of times, both of training people."""

    prior: EffectsPrior
    spreads: Mapping[int, Spread]  # by the number of own trials of the training people

    @classmethod
    def learn(cls, trials: Trials, known: Mapping[int, tuple[Flags, Flags]], count: int) -> Self:
        """Learn from training people who are predicted from own trials.

        Parameters
        ----------
        trials
            All trials of the training people.
        known
            By numbers of own trials: which are own, and which are to come, (people, trials) each.
        count
            How many groups trials have.
        """
        prior = EffectsPrior.learn(trials.residual, trials.basis, trials.groups, count)
        spreads = {}
        for number, (own, later) in known.items():
            first = np.where(own, trials.residual, np.nan)
            posterior = prior.posterior(first, trials.basis, trials.groups)
            added = posterior.added(trials.basis)
            left = np.where(later, trials.residual - added, np.nan)
            level = trials.level(added, later)
            spreads[number] = Spread.learn(left, posterior, level, trials.groups, count)
        return cls(prior, spreads)

    def posterior(self, trials: Trials) -> Posterior:
        """Return what known trials say of people's effects."""
        return self.prior.posterior(trials.residual, trials.basis, trials.groups)

    def curves(self, log_grid: Values, means: Values, trials: Trials, later: Flags) -> Values:
        """Return how likely a response is by each time, if there is one.

        Parameters
        ----------
        log_grid
            (steps,): log times of the steps.
        means
            (people, trials): what else is predicted of log times.
        trials
            What is known of the people: all finite residuals count as own trials.
        later
            (people, trials): those to predict.
        """
        posterior = self.posterior(trials)
        return self.of_effects(log_grid, means, trials, later, posterior)

    def of_effects(
        self, log_grid: Values, means: Values, trials: Trials, later: Flags, effects: Posterior
    ) -> Values:
        """Return the same for given effects of the people."""
        added = effects.added(trials.basis)
        level = trials.level(added, later)
        spread = self._spread(trials)
        scale = spread.scale(effects, level, trials.groups)
        groups = np.where(later, trials.groups, -1)
        return curves(log_grid, means + added, scale, groups, spread.shapes)

    def _spread(self, trials: Trials) -> Spread:
        """Return the spread after about as many own trials."""
        known = float(np.median(np.isfinite(trials.residual).sum(axis=1)))
        nearest = min(self.spreads, key=lambda number: abs(np.log1p(number) - np.log1p(known)))
        return self.spreads[nearest]


def mean_of(values: Values, used: Flags) -> Values:
    """Return people's means over used trials, (people,); 0 where there is none."""
    return np.asarray((values * used).sum(axis=1) / np.maximum(used.sum(axis=1), 1))
