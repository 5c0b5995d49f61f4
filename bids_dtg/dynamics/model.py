"""The network model: transition, observation and encoders, as a module of PyTorch.

Axes of all tensors: frames, samples of the posterior, items (an item is one region of one person),
dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from bids_dtg.dynamics.encoders import Encoder, Gaussian, encode
from bids_dtg.dynamics.recipe import Recipe

if TYPE_CHECKING:
    from bids_dtg.dynamics.kernels import Memory

# Initial values.
_FIRST_OBSERVATION_SD = 0.3
_FIRST_TABLE_SD = 0.01
_FIRST_EXTERNAL_SD = 0.1
_FIRST_NOISE_LOG_VARIANCE = -2.0
_FIRST_TAU = 10.0
# Log variance of the prior of a session's first state, as in the public code; the paper has 0.
FIRST_STATE_LOG_VARIANCE = 1.0


class Transition(nn.Module):
    """How a region's state changes from one frame to the next: one hidden layer, ReLU.

    Inputs are in the published order: state, region parameters, person parameters, network
    input, external input.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.sizes = (
            recipe.states,
            recipe.region_parameters,
            recipe.person_parameters,
            1,
            recipe.external_inputs,
        )
        self.hidden = nn.Linear(sum(self.sizes), recipe.hidden)
        self.out = nn.Linear(recipe.hidden, recipe.states)
        for layer in (self.hidden, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        state: Tensor,
        region: Tensor,
        person: Tensor,
        network: Tensor,
        external: Tensor | None,
    ) -> Tensor:
        """Return the change of the state.

        Parameters
        ----------
        state
            State of each region, (frames, samples, items, states).
        region, person
            (samples, items, parameters): the same at all frames.
        network
            (frames, samples or 1, items).
        external
            (frames, samples, items); None for a model without it.

        Returns
        -------
        Tensor
            (frames, samples, items, states).
        """
        constant = self.constant(region, person)
        hidden = self.activity(state, constant, network, external).relu_()
        return self.out(hidden)

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """Weights of the hidden layer, (hidden, dimensions) for each input."""
        return torch.split(self.hidden.weight, list(self.sizes), dim=1)

    def constant(self, region: Tensor, person: Tensor) -> Tensor:
        """Return the contribution of parameters to the hidden layer, (samples, items, hidden).

        Parameters are constant over frames, so this is computed once.
        """
        _, region_weight, person_weight, *_ = self.columns
        constant = functional.linear(region, region_weight, self.hidden.bias)
        if not self.sizes[2]:
            return constant
        return constant + functional.linear(person, person_weight)

    def activity(
        self, state: Tensor, constant: Tensor, network: Tensor, external: Tensor | None
    ) -> Tensor:
        """Return the hidden layer's activity before the ReLU, (..., items, hidden).

        `constant` is the result of the method `constant`; the other arguments are those of
        `forward`, with any number of frames.
        """
        state_weight, _, _, network_weight, external_weight = self.columns
        changing = [state, network.expand(state.shape[:-1]).unsqueeze(-1)]
        weights = [state_weight, network_weight]
        if external is not None:
            changing.append(external.unsqueeze(-1))
            weights.append(external_weight)
        activity = functional.linear(torch.cat(changing, -1), torch.cat(weights, 1))
        return activity.add_(constant)


@dataclass(frozen=True, eq=False)
class Items:
    """Series that are processed together: each is one region of one person."""

    series: Tensor  # (frames, items)
    network: Tensor  # (frames, items), the network input
    person: Tensor  # (items,), number of the person


@dataclass(frozen=True, eq=False)
class Posterior:
    """Posterior of some series."""

    states: Gaussian  # (frames, items, states)
    region: Gaussian  # (items, region parameters)
    person: Gaussian  # (items, person parameters)
    external: Gaussian | None  # (frames, items); None for a model without it


class NetworkModel(nn.Module):
    """The data-driven model of Sip et al. (2023) [1]_: one for all regions of its training people.

    Parameters
    ----------
    recipe
        Architecture of the model.
    people, regions, frames
        Sizes of the training data.

    References
    ----------
    .. [1] Sip V, et al. Science Advances 9, eabq7547 (2023). doi:10.1126/sciadv.abq7547

    Examples
    --------
    >>> model = NetworkModel(Recipe(), people=2, regions=4, frames=30)
    >>> items = Items(torch.zeros(30, 5), torch.zeros(30, 5), torch.tensor([0, 0, 1, 1, 1]))
    >>> model.infer(items).region.mean.shape
    torch.Size([5, 3])
    >>> model.transition.sizes, round(model.alpha.item(), 2)
    ((3, 3, 0, 1, 1), 0.9)
    """

    def __init__(self, recipe: Recipe, people: int, regions: int, frames: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.people = people
        self.regions = regions
        self.frames = frames
        # The order of the layers decides which initial weights a seed gives: keep it.
        self.transition = Transition(recipe)
        inputs = 2 + people
        self.state_encoder = Encoder(inputs, recipe.encoder_units, recipe.states)
        self.region_encoder = Encoder(
            inputs, recipe.encoder_units, recipe.region_parameters
        )
        self.observation = nn.Linear(recipe.states, 1)
        nn.init.normal_(self.observation.weight, std=_FIRST_OBSERVATION_SD)
        nn.init.zeros_(self.observation.bias)
        self.state_log_variance = nn.Parameter(
            torch.full((recipe.states,), _FIRST_NOISE_LOG_VARIANCE)
        )
        self.observation_log_variance = nn.Parameter(torch.zeros(1))
        if recipe.external_inputs:
            self.log_tau = nn.Parameter(torch.full((), math.log(_FIRST_TAU)))
        self.person_table = nn.Parameter(
            _FIRST_TABLE_SD * torch.randn(people, recipe.person_parameters, 2)
        )
        if recipe.external_inputs:
            self.external_table = nn.Parameter(
                _FIRST_EXTERNAL_SD * torch.randn(people, frames, 2)
            )

    @property
    def alpha(self) -> Tensor:
        """AR(1) coefficient of the external input."""
        return torch.exp(-torch.exp(-self.log_tau))

    def infer(self, items: Items, memory: Memory | None = None) -> Posterior:
        """Return the approximate posterior of the states and parameters of some series.

        Each series goes through the encoders once, however many samples are drawn. A training on
        the CPU gives the `memory` of compiled kernels (see `encode`).
        """
        signals = torch.stack((items.series, items.network), 1)
        one_hot = functional.one_hot(items.person, self.people).to(items.series.dtype)
        states, region = encode(
            self.state_encoder, self.region_encoder, signals, one_hot, memory
        )
        return Posterior(
            states=states,
            region=region,
            person=self.person_posterior(items.person),
            external=self.external_posterior(items.person),
        )

    def person_posterior(self, person: Tensor) -> Gaussian:
        """Return the posterior of people's parameters, (items, person parameters)."""
        return Gaussian(*self.person_table[person].unbind(-1))

    def external_posterior(self, person: Tensor) -> Gaussian | None:
        """Return the posterior of the external input, (frames, items)."""
        if not self.recipe.external_inputs:
            return None
        return Gaussian(*self.external_table[person].permute(2, 1, 0).unbind(0))


def restored(
    recipe: Recipe, shape: tuple[int, int, int], state: Mapping[str, Tensor]
) -> NetworkModel:
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
    with torch.device("meta"):  # no initial weights are drawn, as all are given
        model = NetworkModel(recipe, *shape)
    model.load_state_dict(dict(state), assign=True)
    return model.eval()
