"""The posterior of people's effects from some of their trials, in closed form.

A time is log(rt − 0.2 s), less the mean of training people. It is the basis of its trial (what a
unit of each effect adds) times the person's effects, plus noise. The effects' covariance and the
noise are those under which training people's trials are likeliest (expectation-maximisation:
Dempster et al., 1977, doi:10.1111/j.2517-6161.1977.tb01600.x). A person's far trials count less, as
under the Student's t that training people's noise is likeliest under (Lange et al., 1989,
doi:10.1080/01621459.1989.10478852).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Groups = NDArray[np.intp]

_ROUNDS = 300  # of expectation-maximisation, at most
_CONVERGED = 1e-4  # change of the covariance, relative to its largest value
# Of Student's t: in models of earlier versions, and where training people have too few trials to
# learn it.
USUAL_FREEDOM = 5.0
_FREEDOMS = (3.0, 100.0)  # the least and the most
_FEWEST_OWN = 20  # trials of a person, by whose median noise is measured
_FEWEST_TRIALS = 200  # of such people together
_WEIGHTINGS = 4  # rounds of weights
_FAR = 2.5  # SD, at which residuals are cut
_SCALE_TRIALS = 2.0  # that the prior of a person's own noise is worth
_SCALE_SHARE = 0.5  # of the logarithm of own noise that counts
_LEAST = 1e-8  # of a variance


@dataclass(frozen=True, eq=False)
class Posterior:
    """What people's own trials say of their effects."""

    mean: Values  # (people, effects)
    covariance: Values  # (people, effects, effects)
    noise: Values  # (people,): SD of the own noise, relative to that of training people

    def added(self, basis: Values) -> Values:
        """Return what the mean effects add to the log times of trials, (people, trials).

        Parameters
        ----------
        basis
            (1 or people, trials, effects).
        """
        return _added(basis, self.mean)

    def draws(self, number: int, seed: int) -> Values:
        """Return effects (draws, people, effects) as likely as the posterior says."""
        rng = np.random.default_rng(seed)
        roots = np.linalg.cholesky(self.covariance)
        steps = rng.normal(size=(number, *self.mean.shape))
        return np.asarray(self.mean + (roots @ steps[..., None])[..., 0])


@dataclass(frozen=True, eq=False)
class EffectsPrior:
    """How training people's effects vary, and how noisy trials are; the prior of a new person."""

    covariance: Values  # (effects, effects)
    noise: Values  # (groups,): variance in trials of each group, for example a condition
    freedom: float = USUAL_FREEDOM  # of Student's t: the fewer, the less far trials count

    @classmethod
    def learn(cls, residual: Values, basis: Values, groups: Groups, count: int) -> EffectsPrior:
        """Learn the prior from training people.

        Parameters
        ----------
        residual
            (people, trials): log times less what is already predicted of them; NaN: no time.
        basis
            (1 or people, trials, effects): what a unit of each effect adds.
        groups
            (people, trials): number of each trial's group, whose trials are as noisy; -1: no trial.
        count
            How many groups there are.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> times = 0.3 * rng.normal(size=(300, 1)) + 0.1 * rng.normal(size=(300, 60))
        >>> one = np.zeros((300, 60), int)
        >>> prior = EffectsPrior.learn(times, np.ones((1, 60, 1)), one, 1)
        >>> bool(0.07 < prior.covariance[0, 0] < 0.11), bool(0.009 < prior.noise[0] < 0.011)
        (True, True)
        """
        known = np.isfinite(residual) & (groups >= 0)
        some = known.any(axis=1)
        residual, known, groups = residual[some], known[some], groups[some]
        basis = basis if len(basis) == 1 else basis[some]
        filled = _cut(np.where(known, residual, np.nan), groups, count)
        covariance, noise = _likeliest(filled, known, basis, groups, count)
        each = noise[np.maximum(groups, 0)]
        whole = np.where(known, residual, 0.0)
        mean = _given(whole, known / each, basis, covariance)[0]
        freedom = _freedom((whole - _added(basis, mean)) / np.sqrt(each), known)
        return cls(covariance, noise, freedom)

    def posterior(self, residual: Values, basis: Values, groups: Groups) -> Posterior:
        """Return people's effects, given some of their trials.

        Parameters
        ----------
        residual
            (people, trials): log times less what is predicted without them; NaN: not known.
        basis, groups
            As in `learn`.
        """
        known = np.isfinite(residual) & (groups >= 0)
        filled = np.where(known, residual, 0.0)
        variance, own = self.noise[np.maximum(groups, 0)], np.ones(len(residual))
        for last in (False, True):
            each = variance * own[:, None] ** 2
            weight = known / each
            for _ in range(_WEIGHTINGS):
                mean, covariance = _given(filled, weight, basis, self.covariance)
                left = filled - _added(basis, mean)
                far = left**2 / each
                weight = known / each * (self.freedom + 1) / (self.freedom + far)
            if not last:
                own = _own_noise(left**2 / variance, known)
        return Posterior(mean, covariance, own)


def _freedom(left: Values, known: NDArray[np.bool_]) -> float:
    """Return the freedom of the Student's t that noise (people, trials) is likeliest under.

    Noise counts in units of the person's own median: people whose trials all are noisier would
    look like far trials. Medians of few trials are noisy, so with fewer than about 100 trials a
    person freedom is underrated, and far trials count somewhat less than they could.
    """
    from scipy.stats import t

    enough = known.sum(axis=1) >= _FEWEST_OWN
    left, known = left[enough], known[enough]
    own = np.nanmedian(np.where(known, np.abs(left), np.nan), axis=1, keepdims=True)
    values = (left / np.where(own > 0, own, np.inf))[known & (own > 0)]
    if len(values) < _FEWEST_TRIALS:
        return USUAL_FREEDOM
    return float(np.clip(t.fit(values, floc=0.0)[0], *_FREEDOMS))


def _given(filled: Values, weight: Values, basis: Values, prior: Values) -> tuple[Values, Values]:
    """Return mean (people, effects) and covariance of effects, given weighted trials."""
    if len(basis) == 1:  # one sequence: products of effects are the same for everybody
        one, effects = basis[0], basis.shape[-1]
        products = (one[:, :, None] * one[:, None, :]).reshape(len(one), -1)
        precision = (weight @ products).reshape(-1, effects, effects)
        pull = (weight * filled) @ one
    else:
        turned = basis.swapaxes(-1, -2)
        precision = turned @ (weight[..., None] * basis)
        pull = (turned @ (weight * filled)[..., None])[..., 0]
    covariance = np.linalg.inv(precision + np.linalg.inv(prior))
    covariance = (covariance + covariance.swapaxes(-1, -2)) / 2
    return (covariance @ pull[..., None])[..., 0], covariance


def _added(basis: Values, effects: Values) -> Values:
    """Return what effects (people, effects) add in each trial, (people, trials)."""
    if len(basis) == 1:
        return np.asarray(effects @ basis[0].T)
    return np.asarray((basis @ effects[..., None])[..., 0])


def _variance(basis: Values, covariance: Values) -> Values:
    """Return the variance of what effects add in each trial, (people, trials)."""
    if len(basis) == 1:
        one, effects = basis[0], basis.shape[-1]
        products = (one[:, :, None] * one[:, None, :]).reshape(len(one), -1)
        return np.asarray(covariance.reshape(-1, effects * effects) @ products.T)
    return np.asarray(((basis @ covariance) * basis).sum(axis=-1))


def _own_noise(power: Values, known: NDArray[np.bool_]) -> Values:
    # Cut, as one very slow trial would decide it.
    power, count = np.minimum(power, _FAR**2) * known, known.sum(axis=1)
    share = (power.sum(axis=1) + _SCALE_TRIALS) / (count + _SCALE_TRIALS)
    return np.asarray(share ** (_SCALE_SHARE / 2))


def _cut(residual: Values, groups: Groups, count: int) -> Values:
    """Cut residuals at 2.5 robust SD of their group; 0 where there is none."""
    found = np.zeros(residual.shape)
    for group in range(count):
        here = (groups == group) & np.isfinite(residual)
        if here.any():
            middle = np.median(residual[here])
            far = _FAR * 1.4826 * np.median(np.abs(residual[here] - middle))
            found[here] = np.clip(residual[here], middle - far, middle + far)
    return found


def _likeliest(
    filled: Values, known: NDArray[np.bool_], basis: Values, groups: Groups, count: int
) -> tuple[Values, Values]:
    """Return the covariance of effects and the noise of groups, by expectation-maximisation."""
    effects = basis.shape[-1]
    power = float((filled[known] ** 2).mean()) if known.any() else 1.0
    noise = np.full(count, max(0.5 * power, _LEAST))
    size = np.maximum((basis**2).mean(axis=(0, 1)), 1e-12)
    covariance = np.diag(max(0.5 * power, _LEAST) / size / effects)
    for _ in range(_ROUNDS):
        mean, spread = _given(filled, known / noise[np.maximum(groups, 0)], basis, covariance)
        before = covariance
        covariance = (mean.T @ mean + spread.sum(axis=0)) / max(len(mean), 1)
        covariance = covariance + np.diag(1e-6 * np.diag(covariance) + 1e-12 / size)
        left = (filled - _added(basis, mean)) ** 2 + _variance(basis, spread)
        for group in range(count):
            here = known & (groups == group)
            if here.any():
                noise[group] = max(float(left[here].mean()), _LEAST)
        scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        if (np.abs(covariance - before) / scale).max() < _CONVERGED:
            break
    return covariance, noise
