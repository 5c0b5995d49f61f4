"""A person's level, condition effect and practice, predicted from the first trials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.own_trials.curves import curves, grid, log_seconds
from bids_dtg.twin.own_trials.first_trials import FirstTrials
from bids_dtg.twin.own_trials.group import TrialMeans
from bids_dtg.twin.own_trials.shares import trial_groups
from bids_dtg.twin.own_trials.spread import Spread, log_rms
from bids_dtg.twin.tasks import Task

Values = NDArray[np.float64]
_OUTLIER_SDS = 2.5  # of a trial's residuals over people: what is beyond counts as much
_LEAST_VARIANCE = 1e-5  # of an effect over people, and of a residual
_DEGREES = 5.0  # of freedom of the residuals' t distribution
_ROUNDS = 4  # of weights by residuals
_OWN_SPREAD = 0.5  # power of the own residuals' spread by which own trials are weighed


@dataclass(frozen=True, eq=False)
class PersonEffects:
    """The mean of each trial, plus a person's effects as far as own trials show them."""

    log_grid: Values
    means: TrialMeans
    effects: Effects
    spread: Spread

    @classmethod
    def learn(cls, training: FirstTrials, task: Task) -> PersonEffects:
        """Learn means, effects' variances and spreads from training people."""
        values = log_seconds(training.answers.rt_seconds)
        conditions = len(task.conditions)
        means = TrialMeans.learn(training, values, (conditions, len(task.buttons)))
        mean = means.of(training)
        effects = Effects.learn(training, values - mean, conditions)
        location = mean + effects.predict(training, values - mean)
        spread = Spread.learn(training, values - location, location, conditions)
        return cls(log_seconds(grid(task.window_seconds)), means, effects, spread)

    def times(self, people: FirstTrials) -> Values:
        """Return how likely a response is by each time if there is one."""
        values, mean = log_seconds(people.answers.rt_seconds), self.means.of(people)
        location = mean + self.effects.predict(people, values - mean)
        scale = self.spread.of(people, values - location, location)
        group = trial_groups(people, by_trial=False)
        return curves(self.log_grid, location, scale, group, self.spread.shapes)


@dataclass(frozen=True, eq=False)
class Design:
    """Regressors of a person's effects: 1, the condition, and the place in the run."""

    conditions: int
    centre: Values  # of the regressors but the first
    scale: Values

    @classmethod
    def learn(cls, training: FirstTrials, conditions: int) -> Design:
        """Learn what conditions and places are on average."""
        shown = (training.answers.condition >= 0) & (training.place >= 0)
        raw = _raw(training, conditions)[shown]
        place_spread = float(raw[:, -1].std())
        scale = np.ones(raw.shape[1])
        scale[-1] = place_spread if place_spread > 0 else 1.0
        return cls(conditions, raw.mean(axis=0), scale)

    def of(self, people: FirstTrials) -> Values:
        """Return the regressors of each trial, (people, trials, effects)."""
        rest = (_raw(people, self.conditions) - self.centre) / self.scale
        return np.concatenate([np.ones((*rest.shape[:-1], 1)), rest], axis=-1)


def _raw(people: FirstTrials, conditions: int) -> Values:
    condition = people.answers.condition[..., None] == np.arange(1, conditions)
    return np.concatenate([condition, people.place[..., None]], axis=-1).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Effects:
    """How effects vary over people, and the noise about them."""

    design: Design
    covariance: Values  # (effects, effects)
    noise: Values  # (conditions,): variance of a trial about the person's effects

    @classmethod
    def learn(cls, training: FirstTrials, residual: Values, conditions: int) -> Effects:
        """Learn from residuals to the trials' means, (people, trials); NaN where there is none."""
        design = Design.learn(training, conditions)
        rows, kept = design.of(training), _winsorised(residual)
        covariance = effect_covariance(rows, kept)
        each = np.einsum("pti,ij,ptj->pt", rows, covariance, rows)
        noise = np.empty(conditions)
        overall = np.nanmean(kept**2 - each)
        for number in range(conditions):
            here = np.isfinite(kept) & (training.answers.condition == number)
            found = (kept**2 - each)[here].mean() if here.any() else overall
            noise[number] = max(float(found), _LEAST_VARIANCE)
        return cls(design, covariance, noise)

    def predict(self, people: FirstTrials, residual: Values) -> Values:
        """Return what a person's effects add to each trial's mean, from own residuals.

        Parameters
        ----------
        people
            The people; only own trials are used.
        residual
            (people, trials): log response times less the trials' means.
        """
        rows, used = self.design.of(people), people.own & np.isfinite(residual)
        noise = self.noise[np.maximum(people.answers.condition, 0)]
        found = self._robust(rows, residual, used, noise)
        left = residual - np.einsum("pti,pi->pt", rows, found)
        own = np.exp(2 * _OWN_SPREAD * log_rms(left / np.sqrt(noise), used))
        found = self._robust(rows, residual, used, noise * own[:, None])
        return np.asarray(np.einsum("pti,pi->pt", rows, found))

    def _robust(
        self, rows: Values, residual: Values, used: NDArray[np.bool_], noise: Values
    ) -> Values:
        """Return effects, (people, effects), with weights of residuals that are t distributed."""
        weight = used.astype(np.float64)
        value = np.where(used, residual, 0.0)
        for _ in range(_ROUNDS):
            found = posterior_mean(rows, value, weight / noise, self.covariance)
            left = value - np.einsum("pti,pi->pt", rows, found)
            weight = np.where(used, (_DEGREES + 1) / (_DEGREES + left**2 / noise), 0.0)
        return found


def posterior_mean(rows: Values, value: Values, precision: Values, covariance: Values) -> Values:
    """Return the best linear prediction of effects, (people, effects).

    Parameters
    ----------
    rows
        (people, trials, effects): regressors.
    value
        (people, trials): what is observed.
    precision
        (people, trials): one over the variance of its noise; 0: not observed.
    covariance
        (effects, effects): of effects over people.
    """
    square = np.einsum("pti,pt,ptj->pij", rows, precision, rows)
    right = np.einsum("pti,pt,pt->pi", rows, precision, value)
    found: Values = np.linalg.solve(np.linalg.inv(covariance) + square, right[..., None])[..., 0]
    return found


def effect_covariance(rows: Values, residual: Values) -> Values:
    """Return the covariance of effects by least squares on products of two trials of a person.

    Parameters
    ----------
    rows
        (people, trials, effects): regressors.
    residual
        (people, trials): NaN where there is none.

    Returns
    -------
    numpy.ndarray
        (effects, effects): S with x_t' S x_u closest to the products of trials t and u, t ≠ u: the
        covariances of trials weighted by people, where all saw one sequence. Its eigenvalues are
        0.00001 at least.
    """
    used = np.isfinite(residual)
    x, r = np.where(used[..., None], rows, 0.0), np.where(used, residual, 0.0)
    size = x.shape[-1]
    gram = np.einsum("pti,ptj->pij", x, x)
    pairs = np.einsum("pti,ptj->ptij", x, x).reshape(len(x), -1, size * size)
    square = np.einsum("pik,pjl->ijkl", gram, gram).reshape(size**2, size**2)
    square -= np.einsum("pta,ptb->ab", pairs, pairs)
    own = np.einsum("pti,pt->pi", x, r)
    right = np.einsum("pi,pj->ij", own, own).ravel() - np.einsum("pta,pt->a", pairs, r**2)
    found = np.linalg.lstsq(square, right, rcond=1e-8)[0].reshape(size, size)
    values, vectors = np.linalg.eigh((found + found.T) / 2)
    return np.asarray((vectors * np.maximum(values, _LEAST_VARIANCE)) @ vectors.T)


def _winsorised(residual: Values) -> Values:
    """Pull residuals to 2.5 SD of their trial, by the median absolute deviation."""
    found = residual.copy()
    for column in found.T:
        known = column[np.isfinite(column)]
        if len(known):
            middle = np.median(known)
            most = _OUTLIER_SDS * 1.4826 * np.median(np.abs(known - middle))
            if most > 0:
                np.clip(column, middle - most, middle + most, out=column)
    return found
