"""The amortised network model: encoders infer all parameters and inputs, also of new people.

Sip et al. (2023) [1]_ use tables of people, and an encoder input for the person. Here, a person's
parameters are inferred from the lagged covariances of the person's series; states and external
inputs come from convolutions over the series. States are inferred sequentially [2]_: the
posterior of each is the transition from the one before, corrected by the
series.

References
----------
.. [1] Sip V, et al. Science Advances 9, eabq7547 (2023). doi:10.1126/sciadv.abq7547
.. [2] Krishnan RG, Shalit U, Sontag D. Structured inference networks for nonlinear state space
   models. AAAI 31 (2017). doi:10.1609/aaai.v31i1.10779
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bids_dtg.dynamics.model import Gaussian, GenerativeModel, NetworkModel
from bids_dtg.dynamics.parameters import Alignment
from bids_dtg.dynamics.recipe import (
    CROSS_LAGS,
    FEATURE_UNITS,
    KERNEL,
    LAGS,
    Recipe,
    feature_count,
)
from bids_dtg.training.chance import borrowed_chance

_TYPICAL_FRAMES = 400.0
_FIRST_REGION_LOG_VARIANCE, _FIRST_POOLING_SD = -2.0, 0.3
_LEAST, _LARGEST = -8.0, 4.0  # of log variances, relative to those of the prior


@dataclass(frozen=True, eq=False)
class Sessions:
    """Sessions of several people, or windows of them, over the same regions."""

    series: Tensor  # (people, regions, frames)
    weights: Tensor  # (people, regions, regions), structural connectomes
    covariances: Tensor  # (people, lags + 1, regions, regions), of the whole session
    frames: int  # of the whole session

    @classmethod
    def whole(cls, series: Tensor, weights: Tensor) -> Sessions:
        """Return sessions that are not cut into windows.

        Parameters
        ----------
        series
            Series of all frames, (people, regions, frames).
        weights
            Structural connectomes, (people, regions, regions).
        """
        return cls(series, weights, lagged_covariances(series), series.shape[-1])

    def repeated(self, times: int) -> Sessions:
        """Return all people, followed by all people again."""
        series, weights, covariances = (
            tensor.repeat(times, *(1,) * (tensor.ndim - 1))
            for tensor in (self.series, self.weights, self.covariances)
        )
        return Sessions(series, weights, covariances, self.frames)


def lagged_covariances(series: Tensor, lags: int = LAGS) -> Tensor:
    """Return covariances of regions with lagged regions, (people, lags + 1, regions, regions).

    Parameters
    ----------
    series
        (people, regions, frames), each of mean 0.
    lags
        Largest lag, in frames.

    Examples
    --------
    >>> series = torch.tensor([[[1.0, -1.0, 1.0, -1.0]]])
    >>> lagged_covariances(series, lags=1).flatten()
    tensor([ 1., -1.])
    """
    frames = series.shape[-1]
    return torch.stack(
        [
            series[..., lag:] @ series[..., : frames - lag].transpose(-1, -2) / (frames - lag)
            for lag in range(lags + 1)
        ],
        1,
    )


class Convolutions(nn.Module):
    """Two layers of convolutions over frames, and a linear layer."""

    def __init__(self, inputs: int, units: int, outputs: int) -> None:
        super().__init__()
        self.near = nn.Conv1d(inputs, units, KERNEL, padding=KERNEL // 2)
        self.far = nn.Conv1d(units, units, KERNEL, padding=KERNEL - 1, dilation=2)
        self.out = nn.Linear(units, outputs)

    def forward(self, values: Tensor) -> Tensor:
        """Return (items, frames, outputs) of (items, inputs, frames)."""
        found: Tensor = self.out(self.far(self.near(values).relu()).relu().transpose(1, 2))
        return found


@dataclass(frozen=True, eq=False)
class Corrections:
    """The encoder's estimate of the next value: target, weight of the target, and noise."""

    target: Tensor  # (frames, …), value suggested by the series
    share: Tensor  # as target, weight of the target against the prior's mean
    log_variance: Tensor  # as target

    @classmethod
    def of(cls, values: Tensor, prior: Tensor, *, structured: bool) -> Corrections:
        """Split an encoder's output, (frames, 3, …); variances are relative to the prior's."""
        target, share, log_variance = values.unbind(1)
        share = torch.sigmoid(share) if structured else torch.ones_like(share)
        return cls(target, share, log_variance.clamp(_LEAST, _LARGEST) + prior)

    def drawn(self) -> tuple[Tensor, Tensor]:
        """Draw values, as a constant plus a factor of the prior's mean."""
        noise = torch.exp(0.5 * self.log_variance) * torch.randn_like(self.target)
        return torch.addcmul(noise, self.share, self.target), 1.0 - self.share

    def kl(self, priors: Tensor, first: Tensor, log_variance: Tensor) -> Tensor:
        """Return the divergence from the prior, summed over frames.

        Parameters
        ----------
        priors
            Means of the prior, as `target`.
        first, log_variance
            Log variance of the prior in the first frame, and in later ones.
        """
        moved = self.share * (self.target - priors)
        of_first = _gaussian_kl(moved[0], self.log_variance[0], first)
        return of_first + _gaussian_kl(moved[1:], self.log_variance[1:], log_variance).sum(0)


@dataclass(frozen=True, eq=False)
class StatePath:
    """States and inputs drawn sequentially from the posterior."""

    states: Tensor  # (frames, people, regions, states)
    external: Tensor  # (frames, people, external inputs)
    state_kl: Tensor  # (people, regions), divergence of the states from their prior
    external_kl: Tensor  # (people,)

    @property
    def last(self) -> tuple[Tensor, Tensor]:
        """States and external inputs of the last frame."""
        return self.states[-1], self.external[-1]


class Step:
    """The transition of all regions of several people; constant parts are computed once.

    Parameters
    ----------
    model
        Trained or new model, whose transition is stepped.
    weights
        Structural connectomes, (people, regions, regions).
    region, person
        (people, regions, region parameters) and (people, person parameters).
    external
        External inputs, (frames, people, external inputs).
    """

    def __init__(
        self,
        model: AmortisedModel,
        weights: Tensor,
        region: Tensor,
        person: Tensor,
        external: Tensor,
    ) -> None:
        transition, self._weights = model.transition, weights
        of_state, of_region, of_person, of_network, of_external = torch.split(
            transition.hidden.weight, list(transition.sizes), dim=1
        )
        fixed = functional.linear(region, of_region, transition.hidden.bias)
        fixed = fixed + functional.linear(person, of_person).unsqueeze(-2)
        self._fixed = fixed.flatten(0, 1)
        self._of_changing = torch.cat((of_state, of_network, of_external), 1).T
        self._external = external.unsqueeze(2).expand(-1, -1, weights.shape[1], -1)
        self._out = transition.out

    def network(self, seen: Tensor) -> Tensor:
        """Return the network input, (people, regions, 1), from the regions' observations."""
        return torch.bmm(self._weights, seen)

    def next(self, frame: int, states: Tensor, network: Tensor) -> Tensor:
        """Return the mean of the next states, (people, regions, states).

        Parameters
        ----------
        frame
            Index of the frame of `states` in `external`, from 0.
        states
            Present states, (people, regions, states).
        network
            Network input, (people, regions, 1).
        """
        changing = torch.cat((states, network, self._external[frame]), -1).flatten(0, 1)
        hidden = torch.addmm(self._fixed, changing, self._of_changing).relu_()
        start = states.flatten(0, 1) + self._out.bias
        return torch.addmm(start, hidden, self._out.weight.T).view_as(states)


class AmortisedModel(GenerativeModel):
    """The network model whose encoders infer all parameters, also of new people.

    Parameters
    ----------
    recipe
        Architecture of the model.
    regions
        Number of regions of each person: pooled signals are weighted means over them.

    Examples
    --------
    >>> from bids_dtg.dynamics.recipe import Recipe
    >>> model = AmortisedModel(Recipe(amortised=True), regions=4)
    >>> sessions = Sessions.whole(torch.randn(2, 4, 60), torch.rand(2, 4, 4))
    >>> region, person = model.parameters_of(sessions)
    >>> region.mean.shape, person.mean.shape
    (torch.Size([2, 4, 3]), torch.Size([2, 0]))
    """

    def __init__(self, recipe: Recipe, regions: int) -> None:
        self.regions = regions
        super().__init__(recipe)

    def _add_encoders(self) -> None:
        recipe, regions = self.recipe, self.regions
        features = feature_count(recipe.pooled)
        self.pooling = nn.Parameter(
            _FIRST_POOLING_SD / regions**0.5 * torch.randn(recipe.pooled, regions)
        )
        self.features = nn.Linear(features, FEATURE_UNITS)
        self.region_encoder = nn.Linear(FEATURE_UNITS, 2 * recipe.region_parameters)
        self.person_encoder = nn.Linear(FEATURE_UNITS, 2 * recipe.person_parameters)
        with torch.no_grad():
            self.region_encoder.bias[recipe.region_parameters :] = _FIRST_REGION_LOG_VARIANCE
        read = 2 + recipe.pooled + recipe.region_parameters
        units = recipe.encoder_units
        self.state_encoder = Convolutions(read, units, 3 * recipe.states)
        self.external_encoder = Convolutions(recipe.pooled, units, 3 * recipe.external_inputs)

    def begin_at(self, covariance: Tensor) -> None:
        """Initialise pooled signals as principal components of variance 1.

        Parameters
        ----------
        covariance
            (regions, regions), covariance of series, a mean over people.
        """
        values, vectors = torch.linalg.eigh(covariance)
        count = min(self.recipe.pooled, self.regions)
        largest = vectors.flip(1)[:, :count] / values.flip(0)[:count].clamp_min(1e-6).sqrt()
        with torch.no_grad():
            self.pooling[:count] = largest.T

    @torch.no_grad()
    def take_order(self, alignment: Alignment) -> None:
        """Reorder region parameters and change their signs; predictions stay the same.

        Parameters
        ----------
        alignment
            New order and signs of the parameters.
        """
        order = torch.as_tensor(alignment.order)
        signs = torch.as_tensor(alignment.signs).to(self.region_encoder.weight)
        states, parameters = self.transition.sizes[:2]
        count = parameters + self.recipe.pooled + 2
        read = slice(count - parameters, count)  # parameters among the inputs of the state encoder
        rows = torch.cat((order, order + parameters))
        both = torch.cat((signs, torch.ones_like(signs)))  # variances keep their sign
        hidden = self.transition.hidden.weight[:, states : states + parameters]
        hidden.copy_(hidden[:, order] * signs)
        near = self.state_encoder.near.weight[:, read]
        near.copy_(near[:, order] * signs.unsqueeze(-1))
        self.region_encoder.weight.copy_(self.region_encoder.weight[rows] * both.unsqueeze(-1))
        self.region_encoder.bias.copy_(self.region_encoder.bias[rows] * both)

    def parameters_of(self, sessions: Sessions) -> tuple[Gaussian, Gaussian]:
        """Return the posterior of the regions' and of the people's parameters.

        Returns
        -------
        tuple
            (people, regions, region parameters) and (people, person parameters).
        """
        hidden = self.features(self.statistics(sessions)).relu()
        return (
            _gaussian(self.region_encoder(hidden)),
            _gaussian(self.person_encoder(hidden.mean(-2))),
        )

    def statistics(self, sessions: Sessions) -> Tensor:
        """Return what a region's parameters are inferred from.

        Returns
        -------
        Tensor
            (people, regions, statistics): lagged covariances of the region with itself, with its
            network input and with pooled signals; standard deviation of the network input, strength
            of the region's connections, and length of the session.
        """
        cov, weights = sessions.covariances, sessions.weights
        own = torch.diagonal(cov[:, 1:], dim1=2, dim2=3).transpose(1, 2)
        to_both = [
            cov[:, 0],
            *(side for lag in range(1, CROSS_LAGS + 1) for side in _both(cov[:, lag])),
        ]
        of_network = torch.stack([(lag * weights).sum(-1) for lag in to_both], -1)
        variance = torch.einsum("pij,pjk,pik->pi", weights, cov[:, 0], weights)
        of_pooled = torch.cat([lag @ self.pooling.T for lag in to_both], -1)
        strength = weights.sum(-1)
        length = torch.full_like(strength, math.log(sessions.frames / _TYPICAL_FRAMES))
        figures = torch.stack((torch.sqrt(variance.clamp_min(0) + 1e-6), strength, length), -1)
        return torch.cat((own, of_network, of_pooled, figures), -1)

    def path(
        self, sessions: Sessions, region_mean: Tensor, region: Tensor, person: Tensor
    ) -> StatePath:
        """Draw states and external inputs from the posterior, frame by frame.

        Parameters
        ----------
        sessions
            Series and structural connectomes of people.
        region_mean
            (people, regions, region parameters), posterior means, inputs of the encoders.
        region, person
            Parameters of the transition, for as many people.
        """
        recipe = self.recipe
        of_states, of_external = self._corrections(sessions, region_mean)
        external, external_kl = self._external_path(of_external)
        step = Step(self, sessions.weights, region, person, external)
        measured = sessions.series.movedim(-1, 0).unsqueeze(-1)
        there, kept = of_states.drawn()
        states, priors = [], [torch.zeros_like(there[0])]
        for frame in range(len(there)):
            states.append(torch.addcmul(there[frame], kept[frame], priors[-1]))
            network = step.network(
                self.gain * self.observation(states[-1])
                if recipe.sampled_coupling
                else measured[frame]
            )
            prior = step.next(frame, states[-1], network)
            priors.append(self.limited(prior))
        first = torch.full_like(self.state_log_variance, recipe.first_state_log_variance)
        state_kl = of_states.kl(torch.stack(priors[:-1]), first, self.state_log_variance)
        return StatePath(torch.stack(states), external, state_kl.sum(-1), external_kl)

    def _external_path(self, corrections: Corrections) -> tuple[Tensor, Tensor]:
        """Return external inputs (frames, people, inputs), and their divergence (people,)."""
        there, kept = corrections.drawn()
        if not self.recipe.external_inputs:
            return there, there.new_zeros(there.shape[1])
        values, priors, alpha = [], [torch.zeros_like(there[0])], self.alpha
        for frame in range(len(there)):
            values.append(torch.addcmul(there[frame], kept[frame], priors[-1]))
            priors.append(alpha * values[-1])
        first = torch.zeros_like(self.log_tau)
        kl = corrections.kl(torch.stack(priors[:-1]), first, self._innovation)
        return torch.stack(values), kl.sum(-1)

    def first_state(self, sessions: Sessions, region: Tensor) -> Gaussian:
        """Return the posterior of the first state, (people, regions, states).

        Parameters
        ----------
        sessions
            Series and structural connectomes of people.
        region
            (people, regions, region parameters), posterior means.
        """
        of_states, _ = self._corrections(sessions, region)
        return Gaussian(of_states.share[0] * of_states.target[0], of_states.log_variance[0])

    @property
    def _innovation(self) -> Tensor:
        """(external inputs,): log variance of the innovation, for a stationary variance of 1."""
        return torch.log1p(-self.alpha.square())

    def _corrections(self, sessions: Sessions, region: Tensor) -> tuple[Corrections, Corrections]:
        series, recipe = sessions.series, self.recipe
        people, regions, frames = series.shape
        pooled = self.pooling @ series
        read = torch.cat(
            (
                series.unsqueeze(2),
                (sessions.weights @ series).unsqueeze(2),
                pooled.unsqueeze(1).expand(-1, regions, -1, -1),
                region.unsqueeze(-1).expand(-1, -1, -1, frames),
            ),
            2,
        )
        of_states = self.state_encoder(read.flatten(0, 1))
        of_states = of_states.view(people, regions, frames, 3, recipe.states).permute(2, 3, 0, 1, 4)
        outside = self.external_encoder(pooled)
        outside = outside.view(people, frames, 3, recipe.external_inputs).permute(1, 2, 0, 3)
        innovation = self._innovation if recipe.external_inputs else outside.new_zeros(0)
        structured = recipe.structured
        return (
            Corrections.of(of_states, self.state_log_variance, structured=structured),
            Corrections.of(outside, innovation, structured=structured),
        )

    def expected(self, states: Tensor) -> Tensor:
        """Return the expected observation of states (…, states), without noise."""
        seen: Tensor = self.observation(states).squeeze(-1)
        return seen

    def rollout(
        self,
        weights: Tensor,
        region: Tensor,
        person: Tensor,
        last: tuple[Tensor, Tensor],
        frames: int,
    ) -> Tensor:
        """Simulate the frames after a given one, all regions of several people together.

        Parameters
        ----------
        weights
            Structural connectomes, (people, regions, regions).
        region, person
            Parameters of as many people.
        last
            States and external inputs of the last frame, see `StatePath.last`.
        frames
            Number of frames to simulate, one repetition time each.

        Returns
        -------
        Tensor
            (frames, people, regions): expected observations, without observation noise.
        """
        states, outside = last
        external = self._external_ahead(outside, frames)
        step, seen = Step(self, weights, region, person, external), []
        noise = torch.exp(0.5 * self.state_log_variance) * torch.randn(
            (frames, *states.shape), dtype=states.dtype, device=states.device
        )
        expected = self.observation(states)
        for frame in range(frames):
            states = step.next(frame, states, step.network(self.gain * expected)) + noise[frame]
            states = self.limited(states)
            expected = self.observation(states)
            seen.append(expected)
        return torch.stack(seen).squeeze(-1)

    def _external_ahead(self, last: Tensor, frames: int) -> Tensor:
        """Draw external inputs from their prior after the last one, (frames, people, inputs)."""
        if not self.recipe.external_inputs:
            return last.expand(frames, *last.shape)
        values, alpha, sd = [last], self.alpha, torch.exp(0.5 * self._innovation)
        noise = torch.randn((frames, *last.shape), dtype=last.dtype, device=last.device)
        for own in sd * noise[1:]:
            values.append(torch.addcmul(own, alpha, values[-1]))
        return torch.stack(values)


def make_model(
    recipe: Recipe, people: int, regions: int, frames: int
) -> NetworkModel | AmortisedModel:
    """Return an untrained model: of these people if the recipe keeps tables, else amortised.

    Parameters
    ----------
    recipe
        Architecture of the model.
    people, regions, frames
        Sizes of the training data.

    Examples
    --------
    >>> from bids_dtg.dynamics.recipe import find_recipe
    >>> type(make_model(find_recipe("published-code"), 2, 4, 60)).__name__
    'NetworkModel'
    """
    if recipe.amortised:
        return AmortisedModel(recipe, regions)
    return NetworkModel(recipe, people, regions, frames)


def restored(
    recipe: Recipe, shape: tuple[int, int, int], state: Mapping[str, Tensor]
) -> NetworkModel | AmortisedModel:
    """Return a model with given weights.

    Parameters
    ----------
    recipe
        Architecture of the model.
    shape
        Numbers of people, regions and frames of the training data.
    state
        Tensors of the weights, by name.
    """
    with borrowed_chance():  # initial weights are drawn, and replaced
        model = make_model(recipe, *shape)
    model.load_state_dict(dict(state))
    return model.eval()


def _both(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return covariances of values with earlier and with later ones."""
    return covariance, covariance.transpose(1, 2)


def _gaussian(values: Tensor) -> Gaussian:
    mean, log_variance = values.chunk(2, -1)
    return Gaussian(mean, log_variance.clamp(-10.0, 5.0))


def _gaussian_kl(moved: Tensor, log_variance: Tensor, prior: Tensor) -> Tensor:
    apart = (moved.square() + torch.exp(log_variance)) * torch.exp(-prior)
    return 0.5 * (apart - 1.0 - log_variance + prior)
