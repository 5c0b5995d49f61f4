"""Whole-network simulations by a fitted model, all people and simulations in one tensor."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from bids_dtg.array_types import Float32, Floats
from bids_dtg.dynamics.inference import Inferred
from bids_dtg.dynamics.model import FIRST_STATE_LOG_VARIANCE, NetworkModel
from bids_dtg.dynamics.networks import Networks

First = Literal["posterior", "prior"]
Inputs = Literal["both", "external", "network", "none"]

# Frames dropped at the start, as a share of the frames that are kept.
DROPPED = {"posterior": 1 / 2, "prior": 1 / 3}


@dataclass(frozen=True, eq=False)
class Drawn:
    """Random draws for simulations: parameters, first states, external input and noise.

    Noise has mean 0 and variance 1. The noise of a frame is added to the step to the next frame.
    """

    region: Floats  # (people, simulations, regions, region parameters)
    person: Floats  # (people, simulations, person parameters)
    first: Floats  # (people, simulations, regions, states)
    # (frames, people, simulations, external inputs): the inputs themselves, not noise
    external: Floats
    system: Floats  # (frames, states, people, simulations, regions), noise
    observed: Floats  # (frames, people, simulations, regions), noise


def simulate(
    model: NetworkModel,
    networks: Networks,
    inferred: Inferred,
    *,
    simulations: int = 50,
    seed: int = 0,
    first: First = "posterior",
    inputs: Inputs = "both",
) -> Iterator[Float32]:
    """Simulate sessions of people, one person after the other, as Sip et al. (2023) do [1]_.

    Each simulation draws parameters from the posterior, an external input from its prior, and
    noise. The regions are simulated together; each region's network input is computed from the
    expected observations of the others, without observation noise.

    Parameters
    ----------
    model
        Fitted model.
    networks
        The people to simulate, with their structural connectomes.
    inferred
        Posteriors of the same people.
    simulations
        Number of simulations of each person.
    seed
        Seed of all random draws. A simulation depends on the seed, the person's label and its own
        number, not on other people or the number of simulations.
    first
        Distribution of the first state. "posterior" is that of the session's first frame, and
        frames half as many as those kept are dropped at the start; with "prior", a third as many.
    inputs
        Inputs of the regions; an input that is left out is 0 throughout.

    Yields
    ------
    numpy.ndarray
        (simulations, regions, frames) of a person, in the unit of the series and as long as these;
        not finite from the frame where a simulation diverged.

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
    >>> inferred = infer(model, networks, row_labels=("01", "02"))
    >>> [person.shape for person in simulate(model, networks, inferred, simulations=5)]
    [(5, 3, 40), (5, 3, 40)]
    """
    drop = int(DROPPED[first] * networks.frames)
    frames = networks.frames + drop
    for number, label in enumerate(networks.people):
        person = inferred.of(number)
        drawn = draw(model, person, label, simulations, frames, seed, first=first)
        weights = networks.weights[[number]]
        yield run(model, drawn, weights, inputs=inputs, drop=drop)[0]


def draw(
    model: NetworkModel,
    inferred: Inferred,
    label: str,
    simulations: int,
    frames: int,
    seed: int,
    *,
    first: First = "posterior",
) -> Drawn:
    """Draw parameters, first states, inputs and noise of a person's simulations, for `run`.

    Parameters
    ----------
    model, simulations, seed, first
        As for `simulate`.
    inferred, label
        Posteriors of the person, and the label.
    frames
        Number of frames of each simulation, including dropped ones.
    """
    recipe = model.recipe
    _, regions, _ = inferred.region_mean.shape
    size = (1, simulations)
    drawn = Drawn(
        region=np.empty((*size, regions, recipe.region_parameters)),
        person=np.empty((*size, recipe.person_parameters)),
        first=np.empty((*size, regions, recipe.states)),
        external=np.empty((frames, *size, recipe.external_inputs)),
        system=np.empty((frames, recipe.states, *size, regions), np.float32),
        observed=np.empty((frames, *size, regions), np.float32),
    )
    for simulation in range(simulations):
        rng = _stream(seed, label, simulation)
        at = (0, simulation)
        drawn.region[at] = inferred.draw_region(rng)[0]
        drawn.person[at] = inferred.draw_person(rng)[0]
        drawn.first[at] = inferred.draw_first(rng)[0]
        if first == "prior":
            sd = np.exp(0.5 * FIRST_STATE_LOG_VARIANCE)
            drawn.first[at] = sd * rng.standard_normal(drawn.first[at].shape)
        noise = rng.standard_normal((frames, max(1, recipe.external_inputs)))
        drawn.external[:, 0, simulation] = external_path(model, noise)
        system = _normal(rng, frames, recipe.states, regions)
        drawn.system[:, :, 0, simulation] = system
        drawn.observed[:, 0, simulation] = _normal(rng, frames, regions)
    return drawn


def _stream(seed: int, label: str, simulation: int) -> np.random.Generator:
    """Return the generator of a simulation's random numbers."""
    digest = int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big")
    # A quarter faster than NumPy's default generator; drawing noise takes half of the time.
    return np.random.Generator(np.random.SFC64((seed, digest, simulation)))


def _normal(rng: np.random.Generator, *shape: int) -> Float32:
    return rng.standard_normal(shape, np.float32)


def external_path(model: NetworkModel, noise: Floats) -> Floats:
    """Return external inputs drawn from their prior, AR(1) processes, using given noise.

    Parameters
    ----------
    model
        Fitted model with the AR(1) coefficients.
    noise
        (frames, external inputs), of mean 0 and variance 1.

    Returns
    -------
    numpy.ndarray
        (frames, external inputs); (frames, 0) if the model has no external input.

    Examples
    --------
    >>> from bids_dtg.dynamics.model import NetworkModel
    >>> from bids_dtg.dynamics.recipe import Recipe
    >>> model = NetworkModel(Recipe(), people=1, regions=1, frames=10)
    >>> path = external_path(model, np.array([[1.0], [0.0], [0.0]]))
    >>> path[:, 0].round(3)  # each frame is 1/10 of tau
    array([1.   , 0.905, 0.819])
    """
    from scipy.signal import lfilter

    if not model.recipe.external_inputs:
        return noise[:, :0]
    alpha = np.atleast_1d(model.alpha.detach().cpu().double().numpy())
    innovations = noise * np.sqrt(1.0 - alpha**2)
    innovations[:1] = noise[:1]
    paths = [
        lfilter([1.0], [1.0, -coefficient], innovation)
        for coefficient, innovation in zip(alpha, innovations.T, strict=True)
    ]
    return np.stack(paths, 1)


@torch.inference_mode()
def run(
    model: NetworkModel,
    drawn: Drawn,
    weights: Floats | None,
    *,
    inputs: Inputs = "both",
    drop: int = 0,
    network: Floats | None = None,
) -> Float32:
    """Simulate all regions of all simulations together.

    Parameters
    ----------
    model
        The fitted model; its device and the precision of its weights are used.
    drawn
        Random draws for the simulations.
    weights
        Structural connectomes, (people, regions, regions); None: regions are not connected.
    inputs
        Inputs of the regions; an input that is left out is 0 throughout.
    drop
        Number of frames dropped at the start.
    network
        (frames,), a network input for all regions, used if they are not connected.

    Returns
    -------
    numpy.ndarray
        (people, simulations, regions, frames - drop), in the unit of the series.
    """

    def tensor(array: Floats) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array)).to(model.observation.weight)

    shape = drawn.first.shape[:3]  # people, simulations, regions
    state = tensor(drawn.first)
    person = tensor(drawn.person)[:, :, None]
    constant = model.transition.constant(tensor(drawn.region), person)
    noise = tensor(drawn.system).movedim(1, -1)
    noise_sd = _sd(model.state_log_variance)
    external = None
    if model.recipe.external_inputs:
        external = state.new_zeros(len(noise), 1, 1)
        if inputs in ("both", "external"):
            external = tensor(drawn.external[..., 0])
    no_input = state.new_zeros(1, 1, 1)
    connections = None if weights is None else tensor(weights).transpose(1, 2)
    course = None if network is None else tensor(network)
    series = state.new_empty(drawn.observed.shape)
    for frame, noise_of_frame in enumerate(noise):
        series[frame] = model.observation(state)[..., 0]
        arriving = no_input
        if inputs in ("both", "network"):
            if connections is not None:
                arriving = series[frame] @ connections
            elif course is not None:
                arriving = course[frame].expand(1, 1, 1)
        shared = None if external is None else external[frame][..., None].expand(shape)
        active = model.transition.activity(state, constant, arriving, shared).relu_()
        state = model.transition.out(active).add_(state)
        state = state.addcmul_(noise_of_frame, noise_sd)
    series = series[drop:]
    series.addcmul_(tensor(drawn.observed[drop:]), _sd(model.observation_log_variance))
    return series.permute(1, 2, 3, 0).float().contiguous().cpu().numpy()


def _sd(log_variance: Tensor) -> Tensor:
    return torch.exp(0.5 * log_variance)
