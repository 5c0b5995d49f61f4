"""Training loss of an amortised model: the evidence lower bound, forecasts, generation.

With the bound alone, a model may follow measured series frame by frame. Forecasts require it to
predict several frames from a person's parameters alone; generation requires covariances of
simulated sessions to match measured ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bids_dtg.dynamics.amortised import AmortisedModel, Sessions, StatePath, lagged_covariances
from bids_dtg.dynamics.model import Gaussian
from bids_dtg.dynamics.objective import Terms

FORECASTS, GENERATED = 8, 4  # simulations of each person in a training step
_GENERATED_PEOPLE = 4  # in a training step, at most
_SETTLING = 40  # frames of a generated session before those that are compared
_COMPARED_LAGS = {0: 1.0, 1: 0.5, 3: 0.5}  # weights by the lag of covariances, in frames
_LOG_2_PI = math.log(2 * math.pi)


@dataclass(frozen=True, eq=False)
class Drawn:
    """One draw from the posterior of several people."""

    terms: Terms  # of the bound, each (1, people * regions)
    region: Tensor  # (people, regions, region parameters)
    person: Tensor  # (people, person parameters)
    path: StatePath  # states and external inputs


def draw_terms(model: AmortisedModel, sessions: Sessions) -> Drawn:
    """Draw all variables of people once, and return the terms of the bound.

    Parameters
    ----------
    model
        Model whose encoders give the posterior of each session.
    sessions
        Sessions of the people, or windows of them; the divergence of their parameters is weighted
        by the share of frames.
    """
    of_regions, of_people = model.parameters_of(sessions)
    region, person = _drawn(of_regions), _drawn(of_people)
    path = model.path(sessions, of_regions.mean, region, person)
    missed = sessions.series.movedim(-1, 0) - model.expected(path.states)
    log_variance = model.observation_log_variance
    observation = -0.5 * (_LOG_2_PI + log_variance + missed.square() * torch.exp(-log_variance))
    share, regions = sessions.series.shape[-1] / sessions.frames, sessions.series.shape[1]

    def spread(of_person: Tensor) -> Tensor:
        """Return the terms divided among the person's regions."""
        return (of_person / regions).unsqueeze(-1).expand(-1, regions).reshape(1, -1)

    terms = Terms(
        observation=observation.sum(0).reshape(1, -1),
        state_prior=-path.state_kl.reshape(1, -1),
        state_entropy=torch.zeros_like(path.state_kl).reshape(1, -1),
        region_kl=share * of_regions.kl().sum(-1).reshape(1, -1),
        person_kl=spread(share * model.recipe.person_penalty * of_people.kl().sum(-1)),
        external=spread(-path.external_kl),
        state_squares=path.states.square().sum((0, -1)).reshape(1, -1),
    )
    return Drawn(terms, region, person, path)


@torch.no_grad()
def elbo_of_sessions(model: AmortisedModel, sessions: Sessions, samples: int) -> Tensor:
    """Return the ELBO of each region, all terms in full: a mean over samples of the posterior.

    Parameters
    ----------
    model, sessions
        The model, and sessions of people, who may be outside its training set.
    samples
        Number of samples for each person.

    Returns
    -------
    Tensor
        (people, regions).
    """
    drawn = draw_terms(model, sessions.repeated(samples))
    elbo = drawn.terms.elbo().view(samples, *sessions.series.shape[:2])
    return elbo.mean(0)


def forecast_loss(model: AmortisedModel, sessions: Sessions, drawn: Drawn, later: Tensor) -> Tensor:
    """Return the forecast loss of the frames after a window: nats per region and frame.

    Simulations continue from the window's last states; the forecast is a Gaussian with their mean
    and variance plus the observation noise.

    Parameters
    ----------
    model, sessions
        The model, and windows of people.
    drawn
        Result of `draw_terms` for them.
    later
        (people, regions, frames), measured after the windows.
    """
    weights, region, person = (
        _repeated(tensor, FORECASTS) for tensor in (sessions.weights, drawn.region, drawn.person)
    )
    states, external = (_repeated(tensor, FORECASTS) for tensor in drawn.path.last)
    seen = model.rollout(weights, region, person, (states, external), later.shape[-1])
    seen = seen.view(len(seen), FORECASTS, *later.shape[:2])
    variance = seen.var(1) + torch.exp(model.observation_log_variance)
    missed = later.movedim(-1, 0) - seen.mean(1)
    return 0.5 * (_LOG_2_PI + variance.log() + missed.square() / variance).mean()


def generation_loss(model: AmortisedModel, sessions: Sessions, drawn: Drawn) -> Tensor:
    """Return the mean squared error of covariances of simulated sessions.

    Errors of two halves of the simulations are multiplied: a square of one would include the
    sampling error of short sessions.

    Parameters
    ----------
    model, sessions, drawn
        As for `forecast_loss`; the first people are simulated.
    """
    people = min(_GENERATED_PEOPLE, len(sessions.weights))
    weights, region, person = (
        _repeated(tensor[:people], GENERATED)
        for tensor in (sessions.weights, drawn.region, drawn.person)
    )
    first = torch.randn_like(_repeated(drawn.path.states[0, :people], GENERATED))
    outside = torch.randn_like(_repeated(drawn.path.external[0, :people], GENERATED))
    frames = _SETTLING + model.recipe.generation_frames
    seen = model.rollout(weights, region, person, (first, outside), frames)[_SETTLING:]
    noise = torch.exp(0.5 * model.observation_log_variance) * torch.randn_like(seen)
    series = (seen + noise).permute(1, 2, 0)
    series = series - series.mean(-1, keepdim=True)
    made = lagged_covariances(series, max(_COMPARED_LAGS))
    errors = made.view(GENERATED, people, *made.shape[1:])
    errors = errors - sessions.covariances[:people, : max(_COMPARED_LAGS) + 1]
    one, other = (half.mean(0) for half in torch.split(errors, GENERATED // 2))
    product = (one * other).mean((0, 2, 3))
    return torch.stack([weight * product[lag] for lag, weight in _COMPARED_LAGS.items()]).sum()


def _drawn(posterior: Gaussian) -> Tensor:
    drawn: Tensor = posterior.mean + posterior.sd * torch.randn_like(posterior.mean)
    return drawn


def _repeated(tensor: Tensor, times: int) -> Tensor:
    return tensor.repeat(times, *(1,) * (tensor.ndim - 1))
