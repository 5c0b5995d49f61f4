"""The evidence lower bound (ELBO), term by term, and the training loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bids_dtg.dynamics.model import (
    FIRST_STATE_LOG_VARIANCE,
    Items,
    NetworkModel,
    Posterior,
    Transition,
)

# Weights of sums of squares, as published.
STATE_PENALTY = TRANSITION_PENALTY = 0.01
_BLOCK = 64  # frames
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
        """Draw noise for some samples of each item, from PyTorch's global generator."""
        frames, count = items.series.shape
        recipe = model.recipe

        def normal(*shape: int) -> Tensor:
            return torch.randn(
                shape, dtype=items.series.dtype, device=items.series.device
            )

        return cls(
            states=normal(frames, samples, count, recipe.states),
            region=normal(samples, count, recipe.region_parameters),
            person=normal(samples, count, recipe.person_parameters),
            external=normal(frames, samples, count) if recipe.external_inputs else None,
        )


@dataclass(frozen=True, eq=False)
class Terms:
    """The terms of the ELBO, each (samples, items) or (1, items)."""

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
            Weights of the terms that rise during training.
        """
        return (
            self.observation
            + state_weight * (self.state_prior + self.state_entropy)
            - region_weight * self.region_kl
            - self.person_kl
            + self.external
        )


def terms_of(
    model: NetworkModel,
    items: Items,
    posterior: Posterior,
    noise: Noise,
    *,
    compiled: bool = False,
) -> Terms:
    """Return the terms of the ELBO of some series.

    Parameters
    ----------
    model
        Network model that generates states and observations.
    items
        Series of regions, each with its person.
    posterior
        Result of `NetworkModel.infer` for these items.
    noise
        Noise of the posterior samples.
    compiled
        Whether transitions run by the compiled kernel, on the CPU and in single precision.
    """
    states = posterior.states.at(noise.states, samples=1)
    external = None
    if posterior.external is not None and noise.external is not None:
        external = posterior.external.at(noise.external, samples=1)
    expected = model.observation(states).squeeze(-1)
    observed = _log_normal(
        items.series.unsqueeze(1) - expected, model.observation_log_variance
    )
    first_log_variance = torch.full_like(states[0, 0, 0], FIRST_STATE_LOG_VARIANCE)
    first = _log_normal(states[:1], first_log_variance)
    may_compile = not states.is_cuda and states.dtype == torch.float32
    squares_of = _squares_by_kernel if compiled and may_compile else _squares
    squares = squares_of(
        model.transition,
        states,
        region=posterior.region.at(noise.region),
        person=posterior.person.at(noise.person),
        network=items.network.unsqueeze(1),
        external=external,
    )
    later = _log_normal_of(squares, len(states) - 1, model.state_log_variance).sum(-1)
    noise_squares = noise.states.square().sum((0, -1))
    log_q = posterior.states.log_variance.sum((0, -1)) + noise_squares
    external_term = _external(model, posterior, noise, external)
    return Terms(
        observation=observed,
        state_prior=first.sum(-1) + later,
        state_entropy=0.5 * (log_q + _LOG_2_PI * posterior.states.mean[:, 0].numel()),
        region_kl=posterior.region.kl().sum(-1).unsqueeze(0),
        person_kl=(model.recipe.person_penalty / model.regions)
        * posterior.person.kl().sum(-1).unsqueeze(0),
        external=external_term / model.regions,
        state_squares=states.square().sum((0, -1)),
    )


def loss_of(
    model: NetworkModel,
    terms: Terms,
    state_weight: float = 1.0,
    region_weight: float = 1.0,
) -> Tensor:
    """Return the training loss: the mean negative ELBO, plus the penalties."""
    penalised = STATE_PENALTY * terms.state_squares
    bound = terms.elbo(state_weight, region_weight)
    squares = [p.square().sum() for p in model.transition.parameters()]
    return (penalised - bound).mean() + TRANSITION_PENALTY * torch.stack(squares).sum()


def _external(
    model: NetworkModel, posterior: Posterior, noise: Noise, drawn: Tensor | None
) -> Tensor:
    """Return log p - log q of the external input, (samples, items); 0 without one."""
    q, unit_noise = posterior.external, noise.external
    if q is None or unit_noise is None or drawn is None:
        return torch.zeros_like(noise.states[0, ..., 0])
    first = _log_normal(drawn[:1], torch.zeros_like(drawn[0]))
    # The prior is an AR(1) process of variance 1.
    innovation = torch.log1p(-model.alpha.square())
    later = _log_normal(drawn[1:] - model.alpha * drawn[:-1], innovation)
    squares = unit_noise.square()
    log_q = -0.5 * (_LOG_2_PI + q.log_variance.unsqueeze(1) + squares).sum(0)
    return first + later - log_q


def _squares(
    transition: Transition,
    states: Tensor,
    *,
    region: Tensor,
    person: Tensor,
    network: Tensor,
    external: Tensor | None,
) -> Tensor:
    """Return squares of the transitions' errors, summed over frames, (samples, items, states).

    Frames are taken in blocks, so that the hidden layer of one stays in the processor's cache.
    """
    # The gradient of a split is one tensor; that of a slice would be as long as the series.
    before = torch.split(states[:-1], _BLOCK)
    after = torch.split(states[1:], _BLOCK)
    arriving = torch.split(network[:-1], _BLOCK)
    driving: Sequence[Tensor | None] = [None] * len(before)
    if external is not None:
        driving = torch.split(external[:-1], _BLOCK)
    squares = []
    for block, state in enumerate(before):
        change = transition(state, region, person, arriving[block], driving[block])
        squares.append((after[block] - state - change).square().sum(0))
    return torch.stack(squares).sum(0)


def _squares_by_kernel(
    transition: Transition,
    states: Tensor,
    *,
    region: Tensor,
    person: Tensor,
    network: Tensor,
    external: Tensor | None,
) -> Tensor:
    """Return what `_squares` returns."""
    from bids_dtg.dynamics.kernels import transition_squares

    _, samples, items, _ = states.shape
    inputs = [states.movedim(-1, 1), network.expand(-1, samples, -1).unsqueeze(1)]
    if external is not None:
        inputs.append(external.unsqueeze(1))
    state_weight, _, _, *input_weights = transition.columns
    total = transition_squares(
        torch.cat(inputs, 1).flatten(2),
        torch.cat((state_weight, *input_weights), 1),
        transition.constant(region, person).flatten(0, 1).T,
        transition.out.weight,
        transition.out.bias,
    )
    return total.T.reshape(samples, items, -1)


def _log_normal(deviations: Tensor, log_variance: Tensor) -> Tensor:
    """Return the log density of deviations, summed over the first axis."""
    return _log_normal_of(deviations.square().sum(0), len(deviations), log_variance)


def _log_normal_of(squares: Tensor, number: int, log_variance: Tensor) -> Tensor:
    """Return the log density of deviations, given their number and the sum of their squares."""
    return -0.5 * (
        number * (_LOG_2_PI + log_variance) + squares * torch.exp(-log_variance)
    )
