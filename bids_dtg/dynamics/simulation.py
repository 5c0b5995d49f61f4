"""Whole-network simulations by a fitted model, over people and simulations in one tensor.

Columns of a tensor are people, then simulations, then regions; rows are the inputs of a region's
transition. So a frame takes a handful of operations for any number of simulations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bids_dtg.dynamics.inference import Belief, Inferred
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.networks import Networks

Array = NDArray[np.floating[Any]]
First = Literal["posterior", "prior"]
Inputs = Literal["both", "external", "network", "none"]

# Dropped frames before those that are kept, as a share of these.
DROPPED = {"posterior": 1 / 2, "prior": 1 / 3}


@dataclass(frozen=True, eq=False)
class Drawn:
    """Draws behind simulations: parameters, first states, external input and noise.

    Noise has mean 0 and variance 1; that of a frame is added to the change to the next frame.
    """

    region: Array  # (people, simulations, regions, region parameters)
    person: Array  # (people, simulations, person parameters)
    first: Array  # (people, simulations, regions, states)
    external: Array  # (frames, people, simulations, external inputs), the inputs themselves
    system: Array  # (frames, states, people, simulations, regions), noise
    observed: Array  # (frames, people, simulations, regions), noise


def simulate(
    model: NetworkModel,
    networks: Networks,
    inferred: Inferred,
    *,
    simulations: int = 50,
    seed: int = 0,
    first: First = "posterior",
    inputs: Inputs = "both",
) -> Iterator[NDArray[np.float32]]:
    """Simulate sessions of people, as Sip et al. (2023) do [1]_: one person after the other.

    Each simulation draws parameters from the posterior, an external input from its prior, and
    noise. The regions are simulated together: each region's network input is computed from the
    expected observations of the others, without observation noise.

    Parameters
    ----------
    model
        Fitted model.
    networks
        The people to simulate, with their structural connectomes.
    inferred
        The model's inference from the same people.
    simulations
        Number of simulations of each person.
    seed
        Seed of all random draws. A simulation depends on it, the person's label and its own number,
        not on other people or the number of simulations.
    first
        Distribution of the first state; posterior: that of the session's first frame.
        Then half as many frames as are kept are dropped before them, else a third.
    inputs
        Inputs of the regions; an absent input is 0 throughout.

    Yields
    ------
    numpy.ndarray
        (simulations, regions, frames) of a person, in the series' unit, with the frames of the
        networks; not finite from the frame where a simulation diverged.

    References
    ----------
    .. [1] Sip V, et al. Science Advances 9, eabq7547 (2023). doi:10.1126/sciadv.abq7547

    Examples
    --------
    >>> from bids_dtg.dynamics.inference import infer
    >>> from bids_dtg.dynamics.model import NetworkModel
    >>> from bids_dtg.dynamics.recipe import Recipe
    >>> rng = np.random.default_rng(0)
    >>> networks = Networks(
    ...     people=("01", "02"),
    ...     regions=("A", "B", "C"),
    ...     series=rng.standard_normal((2, 3, 40)).astype("f4"),
    ...     weights=np.ones((2, 3, 3), "f4") - np.eye(3, dtype="f4"),
    ...     tr_seconds=2.0,
    ... )
    >>> model = NetworkModel(Recipe(), people=2, regions=3, frames=40)
    >>> inferred = infer(model, networks, known=("01", "02"))
    >>> [person.shape for person in simulate(model, networks, inferred, simulations=5)]
    [(5, 3, 40), (5, 3, 40)]
    """
    drop = int(DROPPED[first] * networks.frames)
    frames = networks.frames + drop
    for number, label in enumerate(networks.people):
        person, believed = networks.of([label]), _only(inferred, number)
        drawn = draw(model, person, believed, simulations, frames, seed, first=first)
        yield run(model, drawn, person.weights, inputs=inputs, drop=drop)[0]


def _only(inferred: Inferred, number: int) -> Inferred:
    """Return the inference for one of the people."""

    def of(beliefs: Belief) -> Belief:
        return Belief(beliefs.mean[[number]], beliefs.sd[[number]])

    return Inferred(of(inferred.region), of(inferred.person), of(inferred.first_state))


def draw(
    model: NetworkModel,
    networks: Networks,
    inferred: Inferred,
    simulations: int,
    frames: int,
    seed: int,
    *,
    first: First = "posterior",
) -> Drawn:
    """Draw the parameters, states, inputs and noise of simulations; `run` steps them.

    Parameters
    ----------
    model, networks, inferred, simulations, seed, first
        As for `simulate`.
    frames
        Number of frames of each simulation, including those to drop.
    """
    recipe, regions = model.recipe, len(networks.regions)
    size, every = (len(networks.people), simulations), slice(None)
    drawn = Drawn(
        region=np.empty((*size, regions, recipe.region_parameters)),
        person=np.empty((*size, recipe.person_parameters)),
        first=np.empty((*size, regions, recipe.states)),
        external=np.empty((frames, *size, recipe.external_inputs)),
        system=np.empty((frames, recipe.states, *size, regions), np.float32),
        observed=np.empty((frames, *size, regions), np.float32),
    )
    for person, label in enumerate(networks.people):
        for simulation in range(simulations):
            rng, at = _stream(seed, label, simulation), (person, simulation)
            drawn.region[at] = _of(inferred.region, person).draw(rng)
            drawn.person[at] = _of(inferred.person, person).draw(rng)
            drawn.first[at] = _first_state(model, _of(inferred.first_state, person), rng, first)
            noise = rng.standard_normal((frames, max(1, recipe.external_inputs)))
            drawn.external[(every, *at)] = external_path(model, noise)
            drawn.system[(every, every, *at)] = _normal(rng, frames, recipe.states, regions)
            drawn.observed[(every, *at)] = _normal(rng, frames, regions)
    return drawn


def _of(beliefs: Belief, person: int) -> Belief:
    return Belief(beliefs.mean[person], beliefs.sd[person])


def _stream(seed: int, label: str, simulation: int) -> np.random.Generator:
    """Return the random numbers of a simulation."""
    whose = int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big")
    # A quarter faster than NumPy's default; noise takes half of a simulation's time.
    return np.random.Generator(np.random.SFC64((seed, whose, simulation)))


def _normal(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return rng.standard_normal(shape, np.float32)


def _first_state(
    model: NetworkModel, posterior: Belief, rng: np.random.Generator, first: First
) -> Array:
    drawn: Array = posterior.draw(rng)
    if first == "posterior":
        return drawn
    prior: Array = np.exp(0.5 * model.recipe.first_state_log_variance) * rng.standard_normal(
        drawn.shape
    )
    return prior


def external_path(model: NetworkModel, noise: Array) -> Array:
    """Return a path of the external inputs' prior, AR(1) processes, from given noise.

    Parameters
    ----------
    model
        Fitted model with the AR(1) coefficients.
    noise
        (frames, external inputs), of mean 0 and variance 1.

    Returns
    -------
    numpy.ndarray
        (frames, external inputs); of a model without them, (frames, 0).

    Examples
    --------
    >>> from bids_dtg.dynamics.model import NetworkModel
    >>> from bids_dtg.dynamics.recipe import Recipe
    >>> model = NetworkModel(Recipe(), people=1, regions=1, frames=10)
    >>> path = external_path(model, np.array([[1.0], [0.0], [0.0]]))
    >>> path[:, 0].round(3)  # what stays after 1/10 of tau
    array([1.   , 0.905, 0.819])
    """
    from scipy.signal import lfilter

    if not model.recipe.external_inputs:
        return noise[:, :0]
    alpha = np.atleast_1d(model.alpha.detach().cpu().double().numpy())
    innovations = noise * np.sqrt(1.0 - alpha**2)
    innovations[:1] = noise[:1]
    paths = [
        lfilter([1.0], [1.0, -keep], own) for keep, own in zip(alpha, innovations.T, strict=True)
    ]
    return np.stack(paths, 1)


@torch.inference_mode()
def run(
    model: NetworkModel,
    drawn: Drawn,
    weights: Array | None,
    *,
    inputs: Inputs = "both",
    drop: int = 0,
    network: Array | None = None,
) -> NDArray[np.float32]:
    """Simulate all regions of all simulations together.

    Parameters
    ----------
    model
        The fitted model; computed on its device, in the precision of its weights.
    drawn
        Draws behind the simulations.
    weights
        Structural connectomes, (people, regions, regions); None: regions are not connected.
    inputs
        Inputs of the regions; an absent input is 0 throughout.
    drop
        Number of frames at the start that are not returned.
    network
        (frames,), a network input for all regions, if they are not connected.

    Returns
    -------
    numpy.ndarray
        (people, simulations, regions, frames - drop), in the series' unit.
    """
    state = _State(model, drawn)
    expected = model.observation.weight.new_empty(drawn.observed.shape)
    given = _inputs(model, state, drawn, weights, inputs, network)
    for _ in _frames(state, drawn, expected, given):
        pass
    kept = expected[drop:]
    kept.addcmul_(state.tensor(drawn.observed[drop:]), _sd(model.observation_log_variance))
    return kept.permute(1, 2, 3, 0).float().contiguous().cpu().numpy()


def _frames(state: _State, drawn: Drawn, expected: Tensor, give: Sequence[_Give]) -> Iterator[int]:
    """Yield the number of each frame, between its expected observations and the next step."""
    noise = state.tensor(drawn.system).flatten(2)
    for frame, (of_frame, of_change) in enumerate(zip(expected, noise, strict=True)):
        state.observe(of_frame)
        for each in give:
            each(frame, of_frame)
        yield frame
        state.step(of_change)


_Give = Callable[[int, Tensor], object]


def _inputs(
    model: NetworkModel,
    state: _State,
    drawn: Drawn,
    weights: Array | None,
    inputs: Inputs,
    network: Array | None,
) -> list[_Give]:
    """Return a function that writes the inputs of a frame from expected observations.

    An input that is absent is never written: it stays 0.
    """
    give: list[_Give] = []
    if inputs in ("both", "network"):
        if weights is not None:
            transposed = state.tensor(weights).transpose(1, 2)
            give.append(lambda _, expected: torch.bmm(expected, transposed, out=state.network))
        if network is not None:
            series = state.tensor(network)
            give.append(lambda frame, _: state.network.copy_(series[frame]))
    if inputs in ("both", "external") and state.external is not None:
        row, paths = state.external, state.tensor(drawn.external).movedim(-1, 1).unsqueeze(-1)
        give.append(lambda frame, _: row.copy_(paths[frame]))
    return give


class _State:
    """Inputs of the transition as rows of one tensor, and weights of the model.

    Parameters are rows, too: one product for all inputs of the transition is less work than one
    for the changing inputs and a sum.
    """

    def __init__(self, model: NetworkModel, drawn: Drawn) -> None:
        transition, self._like = model.transition, model.observation.weight
        shape = drawn.first.shape[:3]
        self._rows = torch.zeros(sum(transition.sizes) + 1, int(np.prod(shape))).to(self._like)
        blocks = torch.split(self._rows, [*transition.sizes, 1])
        person = drawn.person[:, :, None].repeat(shape[2], axis=2)
        for block, array in zip(blocks, (drawn.first, drawn.region, person), strict=False):
            block.copy_(self.tensor(array).flatten(0, 2).T)
        self._state, self.network = blocks[0], blocks[3].view(shape)
        self.states = self._state.view(-1, *shape)  # (states, people, simulations, regions)
        inputs = model.recipe.external_inputs
        self.external = blocks[4].view(inputs, *shape) if inputs else None
        blocks[5].fill_(1.0)  # multiplies the bias
        self._first_layer = torch.cat(
            (transition.hidden.weight, transition.hidden.bias[:, None]), 1
        )
        self._hidden = self._rows.new_empty(len(self._first_layer), self._rows.shape[1])
        self._second_layer, self._offset = transition.out.weight, transition.out.bias[:, None]
        self._sd = _sd(model.state_log_variance)[:, None]
        self._observation = model.observation

    def tensor(self, array: Array) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array)).to(self._like)

    def observe(self, out: Tensor) -> None:
        """Write the expected observations."""
        observation = self._observation
        torch.addmm(observation.bias, observation.weight, self._state, out=out.view(1, -1))

    def step(self, noise: Tensor) -> None:
        """Advance to the next frame."""
        torch.mm(self._first_layer, self._rows, out=self._hidden)
        self._state.addmm_(self._second_layer, self._hidden.relu_())
        self._state.addcmul_(noise, self._sd).add_(self._offset)


def _sd(log_variance: Tensor) -> Tensor:
    return torch.exp(0.5 * log_variance)
