"""Latent factors: the few numbers by which people's networks differ, predicted from connectomes.

The directions of modulation that change the likelihood of responses most become latent factors:
they are the largest eigenvectors of the Fisher information, along which the natural gradient goes
(Amari, 1998, doi:10.1162/089976698300017746). Each person's factors maximise the penalised
likelihood of the person's own responses.

Connectomes predict few of the directions in which people differ, and one penalty for all factors
suits none of them. So ridge regression predicts people's mean response times from connectomes, as
observed, with a penalty for each that leave-one-out chooses; a person then gets the factors that
people have whose networks respond in such times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import orth
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from bids_dtg.twin.adjustment import standardised
from bids_dtg.twin.decoding import decode
from bids_dtg.twin.network.main import AT_ONCE, perform
from bids_dtg.twin.network.modulated import ModulatedNetwork
from bids_dtg.twin.trial_series import Segments

Array = NDArray[np.float64]
Report = Callable[[str], None]

_STEP = 0.02  # of a modulation, for central differences in single precision
_STEPS = 7  # towards each person's factors
_GOOD, _POOR = 0.75, 0.25  # of the gain that a step promised: then steps get longer, shorter
_LESS, _MORE = 3.0, 4.0  # times the damping
_SAFE = 1e-8  # of a correction's largest possible denominator; smaller ones correct nothing
_FLATTEST = 1e-3  # least curvature, in trials
_REPORTED = 10  # people between lines of progress
_SAMPLED = 8  # people whose sequences decide which directions are informative
_FOLDS = 5  # of people, by which a regression is judged
LEAST_Z = 2.326  # of predictions and left-out people: one in a hundred by chance
_LEAST_LEFT = 1e-9  # of a person; less where nobody else has the person's site, and all is fixed
_ROUNDING = 1e-9  # of a column's size: no more is left where it is all fixed
PENALTIES = np.logspace(-2, 4, 37)  # of the ridge, relative to the mean eigenvalue of the kernel


@dataclass(frozen=True, eq=False)
class PersonFactors:
    """Latent factors of people, and what each factor changes in a network."""

    factors: Array  # (people, factors): mean 0, uncorrelated
    directions: Array  # (modulations, factors)
    observed: Array  # (people, times), seconds (`mean_times`)
    performed: Array  # (people, times): the same of networks with people's own factors
    covariates: Array | None = None  # (people, columns), finite: their part is no connectome's
    # (people,), number of each person's family; None: nobody has relatives.
    families: NDArray[np.intp] | None = None

    @property
    def fixed(self) -> Array:
        """What a regression on connectomes takes out first: ones and covariates, (people, n)."""
        ones = np.ones((len(self.factors), 1))
        if self.covariates is None:
            return ones
        return np.hstack([ones, standardised(self.covariates)])

    def of_rows(self, rows: NDArray[np.integer]) -> PersonFactors:
        """Return some of the people, by row."""
        return replace(
            self,
            factors=self.factors[rows],
            observed=self.observed[rows],
            performed=self.performed[rows],
            covariates=None if self.covariates is None else self.covariates[rows],
            families=None if self.families is None else self.families[rows],
        )


@dataclass(frozen=True, eq=False)
class FactorMap:
    """Regression of latent factors on connectomes, judged by people it has not seen."""

    edge_mean: Array  # (edges,): mean over the people of the fit
    ridge: Array  # (edges, factors): weights of the regression
    penalties: Array  # (times,): of each ridge, relative to the kernel's mean eigenvalue
    z: float  # of predicted with observed mean times, over people left out of all choices

    @property
    def weights(self) -> Array:
        """Weights (edges, factors), 0 where connectomes do not predict left-out people."""
        return self.ridge if self.z > LEAST_Z else np.zeros(self.ridge.shape)

    def predict(self, connectomes: NDArray[np.floating]) -> Array:
        """Predict factors (people, factors) from connectomes (people, edges)."""
        return np.asarray((connectomes - self.edge_mean) @ self.weights)


def map_factors(connectomes: NDArray[np.floating], people: PersonFactors) -> FactorMap:
    """Fit a regression of latent factors on connectomes, if these predict left-out people.

    A ridge regression predicts each mean time, with the penalty that leave-one-out chooses. Factors
    follow by least squares from the times of networks with people's own factors. People are left
    out in folds, and all of this is chosen by the others. Where predicted times do not go with
    those of left-out people, all weights are 0: otherwise noise would make people differ.

    What is linear in covariates is taken out of connectomes and times alike, and covariates count
    as parameters where people are left out: else what they explain of times would be noise, and
    people's residuals would give one another away (Frisch & Waugh 1933, doi:10.2307/1907330).

    Parameters
    ----------
    connectomes
        (people, edges), Fisher z or any other features.
    people
        Their latent factors, mean times as observed and as their networks respond, and covariates.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> traits = np.linalg.qr(rng.normal(size=(40, 2)))[0]
    >>> people = PersonFactors(traits, np.eye(2), observed=traits, performed=traits)
    >>> found = map_factors(traits @ rng.normal(size=(2, 300)), people)
    >>> found.z > 4
    True
    >>> bool(map_factors(rng.normal(size=(40, 300)), people).weights.any())
    False
    """
    values = np.asarray(connectomes, np.float64)
    centred = values - values.mean(axis=0)
    products = centred @ centred.T
    fit = _Fit.of(products, people)
    return FactorMap(
        edge_mean=values.mean(axis=0),
        ridge=centred.T @ fit.dual,
        penalties=fit.penalties,
        z=_left_out_z(products, people),
    )


def _free(times: Array, fixed: Array) -> Array:
    """Return times less what is fixed of those that are known; 0 where a person has none."""
    found = np.zeros(times.shape)
    for column, time in enumerate(times.T):
        known = np.isfinite(time)
        if known.any():
            found[known, column] = _out_of(time[known, None], orth(fixed[known]))[:, 0]
    return found


def _out_of(values: Array, basis: Array) -> Array:
    """Return values of people less their part in a basis (people, n) of what is fixed."""
    left = values - basis @ (basis.T @ values)
    some = np.linalg.norm(left, axis=0) > _ROUNDING * np.linalg.norm(values, axis=0)
    return np.asarray(np.where(some, left, 0.0))


@dataclass(frozen=True, eq=False)
class _Fit:
    """A regression of factors on connectomes, by dual weights of people."""

    dual: Array  # (people, factors): sums connectomes to the coefficients
    of_times: Array  # (people, times): the same of times, in standard deviations
    predictable: NDArray[np.bool_]  # (times,): whether leave-one-out predicts it
    penalties: Array  # (times,)

    @classmethod
    def of(cls, products: Array, people: PersonFactors) -> _Fit:
        """Fit to products of the same people's connectomes, (people, people)."""
        basis = orth(people.fixed)
        kernel = _Kernel.of(_out_of(_out_of(products, basis).T, basis), basis)
        observed, performed = (
            _free(times, people.fixed) for times in (people.observed, people.performed)
        )
        to_factors = np.linalg.lstsq(performed, _out_of(people.factors, basis), rcond=None)[0]
        penalties = np.array([kernel.best(time[:, None]) for time in observed.T])
        dual, left_out = np.zeros(observed.shape), np.zeros(observed.shape)
        for column, penalty in enumerate(penalties):
            time = observed[:, [column]]
            dual[:, [column]] = kernel.dual(time, penalty)
            left_out[:, [column]] = kernel.left_out(time, penalty)
        spread = observed.std(axis=0)
        return cls(
            dual=dual @ to_factors,
            of_times=dual / np.where(spread > 0, spread, np.inf),
            predictable=((observed - left_out) ** 2).sum(axis=0) < (observed**2).sum(axis=0),
            penalties=penalties,
        )


def _left_out_z(products: Array, people: PersonFactors) -> float:
    """Return z of times predicted by others, who choose the penalty, too, with observed ones.

    `products` are those of connectomes, (people, people). Times count where the others predict
    each other's.
    """
    number_of_people, fixed = len(people.factors), people.fixed
    agreement = np.zeros(number_of_people)
    observed = standardised(_free(people.observed, fixed))
    order = np.random.default_rng(0).permutation(number_of_people)
    fold = order % min(_FOLDS, number_of_people)
    if people.families is not None:  # each family is in the fold of its first person
        _, first, of = np.unique(people.families, return_index=True, return_inverse=True)
        fold = fold[first][of]
    for number in np.unique(fold) if number_of_people > 2 and np.ptp(fold) else ():
        own, others = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        among, across = products[np.ix_(others, others)], products[np.ix_(own, others)]
        fit = _Fit.of(among, people.of_rows(others))
        # What is fixed, as the others have it, instead of everybody's.
        as_others = fixed[own] @ np.linalg.pinv(fixed[others], rcond=_ROUNDING)
        times = observed[own] - as_others @ observed[others]
        predicted = (across - as_others @ among) @ fit.of_times
        agreement[own] = (predicted * times * fit.predictable).sum(axis=1)
    spread = np.sqrt((agreement**2).sum())
    return float(agreement.sum() / spread) if spread > 0 else 0.0


@dataclass(frozen=True, eq=False)
class _Kernel:
    """Eigenvectors and eigenvalues of the products of people's connectomes."""

    modes: Array  # (people, people)
    strengths: Array  # (people,)
    leverage: Array  # (people,): of what is fixed

    @classmethod
    def of(cls, products: Array, basis: Array) -> _Kernel:
        strengths, modes = np.linalg.eigh(products)
        return cls(modes, np.maximum(strengths, 0.0), (basis**2).sum(axis=1))

    @property
    def scale(self) -> float:
        return float(self.strengths.mean()) or 1.0  # 0 where connectomes have no edges

    def dual(self, target: Array, penalty: float) -> Array:
        """Return the dual weights of people, which sum their connectomes to the coefficients."""
        return np.asarray(
            self.modes
            @ ((self.modes.T @ target) / (self.strengths + penalty * self.scale)[:, None])
        )

    def best(self, target: Array) -> float:
        """Return the best penalty by leave-one-out."""
        left = [((target - self.left_out(target, each)) ** 2).sum() for each in PENALTIES]
        # Without any gain the first of equals would be the smallest penalty.
        gains = min(left) < (target**2).sum()
        return float(PENALTIES[int(np.argmin(left)) if gains else -1])

    def left_out(self, target: Array, penalty: float) -> Array:
        """Return the prediction of each person by a fit to the others, of what is fixed, too."""
        share = self.strengths / (self.strengths + penalty * self.scale)
        leverage = (self.modes**2 @ share) + self.leverage
        residual = target - self.modes @ (share[:, None] * (self.modes.T @ target))
        return np.asarray(target - residual / np.maximum(1 - leverage, _LEAST_LEFT)[:, None])


@torch.no_grad()
def find_factors(
    network: ModulatedNetwork,
    segments: Segments,
    *,
    number: int,
    prior: float,
    report: Report = lambda line: None,
) -> PersonFactors:
    """Find the directions with the most information on people's responses, and people's factors.

    Parameters
    ----------
    network
        The trained group network; it is not changed.
    segments
        Stimuli and responses of the people, with an axis of people.
    number
        Largest number of factors.
    prior
        Weight of the squared modulation in the penalised likelihood, in trials.
    report
        Gets lines on the progress: with a sequence of trials a person this takes minutes.

    Returns
    -------
    PersonFactors
        At most as many factors as there are informative directions.
    """
    strengths, modes = torch.linalg.eigh(_fisher(network, segments).double())
    kept = min(number, int((strengths > 1e-6 * strengths[-1]).sum()))
    # (modulations, factors), along which the Fisher information is 1
    directions = (modes[:, -kept:] / strengths[-kept:].sqrt()).float().contiguous()
    found = _modes(network, segments, directions, prior, report).double().numpy()
    factors, modes = _principal(found)
    return timed_factors(network, segments, factors, directions.double().numpy() @ modes)


@torch.no_grad()
def timed_factors(
    network: ModulatedNetwork, segments: Segments, factors: Array, directions: Array
) -> PersonFactors:
    """Return people's factors with mean times: observed, and of networks with these factors.

    Parameters
    ----------
    network
        The group's network.
    segments
        Stimuli and responses of the people, with an axis of people.
    factors, directions
        (people, factors) and (modulations, factors).
    """
    modulations = torch.as_tensor(factors @ directions.T, dtype=torch.float32)
    performed = []
    for some in torch.split(torch.arange(len(factors)), AT_ONCE):
        own = segments.people(some.numpy())
        inputs = torch.from_numpy(own.inputs)
        outputs = torch.sigmoid(perform(network.weights(modulations[some]), inputs)).numpy()
        performed.append(mean_times(decode(outputs, own).given_seconds, own))
    return PersonFactors(factors, directions, observed_times(segments), np.concatenate(performed))


def _principal(values: Array) -> tuple[Array, Array]:
    """Return uncorrelated values, by variance, and the matrix that makes them of those given."""
    centred = values - values.mean(axis=0)
    modes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]
    return centred @ modes, modes


def _tangents(
    network: ModulatedNetwork, segments: Segments, person: int, axes: Tensor
) -> tuple[Tensor, Tensor]:
    """Return derivatives of the group network's logits along axes, and the logits, in windows.

    Returns
    -------
    tuple
        Derivatives (axes, n, steps, buttons) and logits (n, steps, buttons).
    """
    window = _Windows.of(segments, [person])
    inputs = torch.from_numpy(segments.inputs[_rows(segments.inputs, [person])])

    def at(modulation: Tensor) -> Tensor:
        outputs = perform(network.weights(modulation), inputs)
        return window.of_outputs(outputs)

    parts = torch.split(axes, AT_ONCE)
    tangents = [(at(_STEP * some) - at(-_STEP * some)) / (2 * _STEP) for some in parts]
    return torch.cat(tangents), at(torch.zeros(1, network.modulations))[0]


def _information(tangents: Tensor, logits: Tensor, weight: Tensor) -> Tensor:
    """Return the Fisher information of axes, (axes, axes), summed over weighted steps."""
    chance = torch.sigmoid(logits)
    flat = tangents.flatten(1)
    return (flat * (chance * (1 - chance) * weight[..., None]).flatten()) @ flat.T


def _fisher(network: ModulatedNetwork, segments: Segments) -> Tensor:
    """Return the Fisher information of modulations, from a sample of people's sequences."""
    axes = torch.eye(network.modulations)
    shared = len(segments.inputs) == 1
    sampled = [0] if shared else list(range(min(len(segments.action), _SAMPLED)))
    total = torch.zeros(len(axes), len(axes))
    for person in sampled:
        even = _Windows.of(segments, [person]).even[0]
        total += _information(*_tangents(network, segments, person, axes), even) / len(sampled)
    return total


def _modes(
    network: ModulatedNetwork,
    segments: Segments,
    directions: Tensor,
    prior: float,
    report: Report,
) -> Tensor:
    """Return the factors of each person's largest penalised likelihood, by quasi-Newton steps.

    The gradient is exact. The curvature is at first that of a network linear in the factors, and
    each step corrects it (symmetric rank one). Steps are damped as the last one went (Levenberg and
    Marquardt): where the network bends, whole steps make the loss larger in most people. Source:
    Nocedal & Wright, 2006, Numerical Optimization, sections 6.2 and 10.3.
    """
    penalty = prior * directions.T @ directions
    curvature = _curvature(network, segments, directions, report).double() + penalty
    found = torch.zeros(len(curvature), directions.shape[1])
    losses, slopes = _losses(network, segments, directions, penalty, found)
    damping = torch.ones(len(found))
    for number in range(_STEPS):
        steps = _damped_steps(curvature, slopes, damping)
        tried = found + steps
        new_losses, new_slopes = _losses(network, segments, directions, penalty, tried)
        new_losses = new_losses.nan_to_num(torch.inf)
        expected = -(slopes * steps).sum(1) - 0.5 * _along(curvature, steps)
        kept_promise = (losses - new_losses) / expected
        damping = torch.where(kept_promise > _GOOD, damping / _LESS, damping)
        damping = torch.where(kept_promise < _POOR, damping * _MORE, damping)
        curvature = _corrected(curvature, steps, new_slopes - slopes)
        better = new_losses < losses
        found = torch.where(better[:, None], tried, found)
        slopes = torch.where(better[:, None], new_slopes, slopes)
        losses = torch.where(better, new_losses, losses)
        report(f"latent factors: step {number + 1} of {_STEPS}")
    return found


def _curvature(
    network: ModulatedNetwork, segments: Segments, directions: Tensor, report: Report
) -> Tensor:
    """Return the Fisher information of each person's factors, at the group's network.

    Returns
    -------
    Tensor
        (people, factors, factors).
    """
    people = len(segments.action)
    seen = [0] if len(segments.inputs) == 1 else list(range(people))
    weight = _Windows.of(segments, list(range(people))).weight
    found: list[Tensor] = []
    for person in seen:
        changes, logits = _tangents(network, segments, person, directions.T)
        of_sequence = range(people) if len(seen) == 1 else [person]
        found += [_information(changes, logits, weight[each]) for each in of_sequence]
        if len(found) % _REPORTED == 0 and len(seen) > 1:
            report(f"sequences of {len(found)} of {people} participants")
    return torch.stack(found)


def _damped_steps(curvature: Tensor, slopes: Tensor, damping: Tensor) -> Tensor:
    """Return each person's step towards a smaller loss, (people, factors)."""
    scale = damping[:, None] * torch.diagonal(curvature, dim1=1, dim2=2)
    damped = curvature + torch.diag_embed(scale)
    steps: Tensor = torch.linalg.solve(damped, -slopes.double()[..., None])[..., 0].float()
    return steps


def _along(curvature: Tensor, steps: Tensor) -> Tensor:
    """Return the curvature along each person's step, (people,)."""
    own = steps.double()
    return torch.einsum("pi,pij,pj->p", own, curvature, own).float()


def _corrected(curvature: Tensor, steps: Tensor, changes: Tensor) -> Tensor:
    """Return the curvature by which slopes change along steps as they did, positive definite."""
    own = steps.double()
    missed = changes.double() - torch.einsum("pij,pj->pi", curvature, own)
    missed = torch.where(missed.isfinite().all(1, keepdim=True), missed, 0.0)
    along = (missed * own).sum(1)
    safe = along.abs() > _SAFE * missed.norm(dim=1) * own.norm(dim=1)
    share = torch.where(safe, 1 / torch.where(safe, along, 1.0), 0.0)
    corrected = curvature + share[:, None, None] * missed[:, :, None] * missed[:, None, :]
    values, modes = torch.linalg.eigh(corrected)
    positive: Tensor = modes @ torch.diag_embed(values.abs().clamp(min=_FLATTEST)) @ modes.mT
    return positive


def _losses(
    network: ModulatedNetwork,
    segments: Segments,
    directions: Tensor,
    penalty: Tensor,
    factors: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return each person's penalised loss in trials, (people,), and slope, (people, factors)."""
    losses, slopes = [], []
    for some in torch.split(torch.arange(len(factors)), AT_ONCE):
        window = _Windows.of(segments, some.tolist())
        inputs = torch.from_numpy(segments.inputs[_rows(segments.inputs, some.tolist())])
        own = factors[some].requires_grad_()
        with torch.enable_grad():
            outputs = perform(network.weights(own @ directions.T), inputs)
            logits = window.of_outputs(outputs)
            loss = binary_cross_entropy_with_logits(logits, window.action, reduction="none")
            each = (loss * window.weight[..., None]).sum((1, 2, 3))
            each = each + 0.5 * ((own @ penalty) * own).sum(1)
            (slope,) = torch.autograd.grad(each.sum(), own)
        losses.append(each.detach())
        slopes.append(slope)
    return torch.cat(losses), torch.cat(slopes)


@dataclass(frozen=True, eq=False)
class _Windows:
    """Response windows of people, (people, n) trials."""

    segment: Tensor  # (1 or people, n, steps)
    step: Tensor  # (1 or people, n, steps)
    even: Tensor  # (1 or people, n, steps): weight of the step; a trial has 1
    weight: Tensor  # (people, n, steps): the same, 0 where the person's trial is not scored
    action: Tensor  # (people, n, steps, buttons)

    @classmethod
    def of(cls, segments: Segments, people: list[int]) -> _Windows:
        trials = segments.trials.people(np.array(people))
        steps = trials.first_step[..., None] + np.arange(segments.tasks.window_steps)
        within = (steps <= trials.last_step[..., None]) & (trials.task >= 0)[..., None]
        steps = np.minimum(steps, segments.action.shape[2] - 1)
        even = torch.from_numpy(within / np.maximum(within.sum(-1, keepdims=True), 1)).float()
        segment = torch.from_numpy(np.broadcast_to(trials.segment[..., None], steps.shape).copy())
        empty = cls(segment, torch.from_numpy(steps), even, even, even)
        return replace(
            empty,
            weight=even * torch.from_numpy(trials.scored)[..., None],
            action=empty.of_outputs(torch.from_numpy(segments.action[people])),
        )

    def of_outputs(self, outputs: Tensor) -> Tensor:
        """Return the outputs within the windows: (people, n, steps, buttons)."""
        if len(self.segment) == 1:
            return outputs[:, self.segment[0], self.step[0]]
        rows = torch.arange(len(self.segment))[:, None, None]
        return outputs[rows, self.segment, self.step]


def _rows(array: NDArray[np.generic], people: list[int]) -> list[int]:
    return people if len(array) > 1 else [0]


def observed_times(segments: Segments) -> Array:
    """Return the mean times of people's own responses, as `mean_times`."""
    return mean_times(segments.trials.rt_seconds, segments)


def mean_times(seconds: NDArray[np.floating], segments: Segments) -> Array:
    """Return the mean response time of each task, and the differences of its conditions.

    Parameters
    ----------
    seconds
        Response times, (people, trials), of people or of networks that performed the segments; NaN:
        no response.
    segments
        What the people saw; trials that are not scored do not count.

    Returns
    -------
    numpy.ndarray
        (people, times): for each task the mean over its trials, then each later condition less the
        first one. NaN where a person has no such response.
    """
    rows = segments.trials
    timed = rows.scored & np.isfinite(seconds)

    def mean(chosen: NDArray[np.bool_]) -> Array:
        used = timed & chosen
        count = used.sum(axis=1)
        total = np.where(used, seconds, 0.0).sum(axis=1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    found = []
    for number, task in enumerate(segments.tasks.tasks):
        own = rows.task == number
        found.append(mean(own))
        levels = [mean(own & (rows.condition == level)) for level in range(len(task.conditions))]
        found += [level - levels[0] for level in levels[1:]]
    return np.stack(found, axis=1)
