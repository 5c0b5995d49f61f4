"""The evidence lower bound (ELBO) of series, term by term, and the training loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bids_dtg.dynamics.model import Gaussian, Items, NetworkModel, Posterior

_LOG_2_PI = math.log(2 * math.pi)


@dataclass(frozen=True, eq=False)
class Noise:
    """Gaussian noise of mean 0 and variance 1, from which posterior samples are computed."""

    states: Tensor  # (frames, samples, items, states)
    region: Tensor  # (samples, items, region parameters)
    person: Tensor  # (samples, items, person parameters)
    external: Tensor | None  # (frames, samples, items); None for a model without it

    @classmethod
    def draw(cls, model: NetworkModel, items: Items, samples: int) -> Noise:
        """Draw noise for some samples of each item, from PyTorch's own stream."""
        frames, count = items.series.shape
        recipe = model.recipe

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, dtype=items.series.dtype, device=items.series.device)

        return cls(
            states=normal(frames, samples, count, recipe.states),
            region=normal(samples, count, recipe.region_parameters),
            person=normal(samples, count, recipe.person_parameters),
            external=normal(frames, samples, count) if recipe.external_inputs else None,
        )


@dataclass(frozen=True, eq=False)
class Terms:
    """The terms of the ELBO, each (samples, items); in closed form (1, items)."""

    observation: Tensor  # log p(y | x)
    state_prior: Tensor  # log p(x | parameters, inputs)
    state_entropy: Tensor  # -log q(x)
    region_kl: Tensor  # KL of the region parameters
    person_kl: Tensor  # KL of the person parameters, divided among the person's regions
    external: Tensor  # log p - log q of the external input, divided among regions
    state_squares: Tensor  # sum of squares of the states, penalised by the loss

    def elbo(self, state_weight: float = 1.0, region_weight: float = 1.0) -> Tensor:
        """Return the ELBO, (samples, items).

        Parameters
        ----------
        state_weight, region_weight
            Weights of the terms that training ramps.
        """
        return (
            self.observation
            + state_weight * (self.state_prior + self.state_entropy)
            - region_weight * self.region_kl
            - self.person_kl
            + self.external
        )


def terms_of(model: NetworkModel, items: Items, posterior: Posterior, noise: Noise) -> Terms:
    """Return the terms of the ELBO of some series.

    Parameters
    ----------
    model
        Network model that generates states and observations.
    items
        Series and persons of the items.
    posterior
        Result of `NetworkModel.infer` for them.
    noise
        Noise of the posterior samples.
    """
    states = posterior.states.at(noise.states, samples=1)
    external = None
    if posterior.external is not None and noise.external is not None:
        external = posterior.external.at(noise.external, samples=1)
    person_kl = posterior.person.kl().sum(-1)
    part = _closed_form if model.recipe.closed_form else _sampled
    observation, prior, entropy, of_external, squares = part(
        model, items, posterior, noise, _Sampled(states, external)
    )
    return Terms(
        observation=observation,
        state_prior=prior,
        state_entropy=entropy,
        region_kl=posterior.region.kl().sum(-1).unsqueeze(0),
        person_kl=(model.recipe.person_penalty / model.regions) * person_kl.unsqueeze(0),
        external=of_external / model.regions,
        state_squares=squares,
    )


def loss_of(
    model: NetworkModel, terms: Terms, state_weight: float = 1.0, region_weight: float = 1.0
) -> Tensor:
    """Return the training loss: a mean over samples and items, plus the penalties."""
    recipe = model.recipe
    penalised = recipe.state_penalty * terms.state_squares
    bound = terms.elbo(state_weight, region_weight)
    squares = torch.stack([p.square().sum() for p in model.transition.parameters()]).sum()
    return (penalised - bound).mean() + recipe.transition_penalty * squares


@dataclass(frozen=True, eq=False)
class _Sampled:
    """Samples of the posterior."""

    states: Tensor  # (frames, samples, items, states)
    external: Tensor | None  # (frames, samples, items)


_Parts = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def _sampled(
    model: NetworkModel, items: Items, posterior: Posterior, noise: Noise, drawn: _Sampled
) -> _Parts:
    """Return the terms as in the original: all from the same samples."""
    first, steps = _changes(model, items, posterior, noise, drawn)
    expected = model.observation(drawn.states).squeeze(-1)
    observation = _log_normal(items.series.unsqueeze(1) - expected, model.observation_log_variance)
    prior = first.sum(-1) + _log_normal(steps, model.state_log_variance).sum((0, -1))
    log_q = posterior.states.log_variance.sum((0, -1)) + noise.states.square().sum((0, -1))
    entropy = 0.5 * (log_q + _LOG_2_PI * posterior.states.mean[:, 0].numel())
    return (
        observation.sum(0),
        prior,
        entropy,
        _external_sampled(model, posterior.external, noise.external, drawn.external, prior),
        drawn.states.square().sum((0, -1)),
    )


def _closed_form(
    model: NetworkModel, items: Items, posterior: Posterior, noise: Noise, drawn: _Sampled
) -> _Parts:
    """Return the terms with closed-form expectations where there are any.

    Only the transition needs samples, and for two neighbouring frames only those of the earlier.
    """
    q = posterior.states
    _, steps = _changes(model, items, posterior, noise, drawn, to=q.mean)
    weight, bias = model.observation.weight[0], model.observation.bias
    missed = items.series - (q.mean @ weight + bias)
    spread = q.variance @ weight.square()
    observation = _log_normal_of_squares(
        missed.square() + spread, model.observation_log_variance
    ).sum(0)
    first = _log_normal_of_squares(
        q.mean[0].square() + q.variance[0],
        torch.full_like(q.mean[0, 0], model.recipe.first_state_log_variance),
    ).sum(-1)
    squares = steps.square() + q.variance[1:].unsqueeze(1)
    prior = first + _log_normal_of_squares(squares, model.state_log_variance).sum((0, -1))
    return (
        observation.unsqueeze(0),
        prior,
        q.entropy_terms().sum((0, -1)).unsqueeze(0),
        _external_closed(model, posterior.external, first),
        (q.mean.square() + q.variance).sum((0, -1)).unsqueeze(0),
    )


def _changes(
    model: NetworkModel,
    items: Items,
    posterior: Posterior,
    noise: Noise,
    drawn: _Sampled,
    to: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return log p of the first state by dimension, and the transition's error at each frame.

    `to` are the next states, (frames, items, states), if they are not the samples themselves.
    """
    states = drawn.states
    change = model.transition(
        states[:-1],
        posterior.region.at(noise.region),
        posterior.person.at(noise.person),
        items.network[:-1].unsqueeze(1),
        None if drawn.external is None else drawn.external[:-1],
    )
    later = states[1:] if to is None else to[1:].unsqueeze(1)
    log_variance = torch.full_like(states[0, 0, 0], model.recipe.first_state_log_variance)
    return _log_normal(states[0], log_variance), later - states[:-1] - change


def _external_sampled(
    model: NetworkModel,
    q: Gaussian | None,
    noise: Tensor | None,
    drawn: Tensor | None,
    like: Tensor,
) -> Tensor:
    """Return log p - log q of the external input, (samples, items); 0 without one."""
    if q is None or noise is None or drawn is None:
        return torch.zeros_like(like)
    log_p = _log_normal(drawn[0], torch.zeros_like(drawn[0])) + _log_normal(
        drawn[1:] - model.alpha * drawn[:-1], _innovation(model)
    ).sum(0)
    log_q = -0.5 * (_LOG_2_PI + q.log_variance.unsqueeze(1) + noise.square()).sum(0)
    return log_p - log_q


def _external_closed(model: NetworkModel, q: Gaussian | None, like: Tensor) -> Tensor:
    if q is None:
        return torch.zeros_like(like).unsqueeze(0)
    first = q.mean[0].square() + q.variance[0]
    steps = (q.mean[1:] - model.alpha * q.mean[:-1]).square()
    steps = steps + q.variance[1:] + model.alpha.square() * q.variance[:-1]
    log_p = _log_normal_of_squares(first, torch.zeros_like(first))
    log_p = log_p + _log_normal_of_squares(steps, _innovation(model)).sum(0)
    return (log_p + q.entropy_terms().sum(0)).unsqueeze(0)


def _innovation(model: NetworkModel) -> Tensor:
    """Return the log variance of the external input's innovation at each frame."""
    return torch.log1p(-model.alpha.square())


def _log_normal(deviations: Tensor, log_variance: Tensor) -> Tensor:
    return _log_normal_of_squares(deviations.square(), log_variance)


def _log_normal_of_squares(squares: Tensor, log_variance: Tensor) -> Tensor:
    return -0.5 * (_LOG_2_PI + log_variance + squares * torch.exp(-log_variance))
