"""People whose regions' series are simulated, with known parameters.

Defaults are the oscillators that validate the model of Sip et al. (2023, doi
10.1126/sciadv.abq7547); random numbers differ from theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.networks import Networks, normalised
from bids_dtg.dynamics.test_models import (
    Array,
    Hopf,
    HopfRecipe,
    simulate_hopf,
    unit_noise,
)
from bids_dtg.phantom.regions import region_names
from bids_dtg.phantom.streams import Purpose, stream

_HOPF_COUPLING = (0.0, 0.7)  # of the first and the last person
_BIFURCATION = (-1.0, 1.0)
_FREQUENCY_HZ = (0.03, 0.07)


class _Simulation(Protocol):
    def __call__(self, runs: Sequence[int]) -> Array:
        """Simulate these runs of each person, (people, runs, regions, frames)."""


@dataclass(frozen=True, eq=False)
class SimulatedPeople:
    """Simulated series, and the parameters that a model should recover."""

    networks: Networks  # series are of one unit: their common mean is 0, and common variance 1
    regional: Mapping[str, Array]  # parameters of regions by name, (people, regions)
    personal: Mapping[str, Array]  # parameters of people by name, (people,)
    mean: float  # of all series, before they were normalised
    sd: float
    simulation: _Simulation

    def again(self, runs: Sequence[int]) -> NDArray[np.float32]:
        """Simulate further runs of everybody, with the same parameters and units.

        Each run has its own noise and initial state. Run 0 is `networks.series`.

        Returns
        -------
        numpy.ndarray
            (people, runs, regions, frames).

        Examples
        --------
        >>> weights = np.array([[[0, 1], [1, 0]], [[0, 2], [3, 0]]])
        >>> people = simulate_hopf_people(weights, regions=("a", "b"))
        >>> runs = people.again([0, 1, 2])
        >>> runs.shape, np.allclose(runs[:, 0], people.networks.series, atol=1e-5)
        ((2, 3, 2, 180), True)
        """
        return np.asarray((self.simulation(runs) - self.mean) / self.sd, np.float32)


def simulate_hopf_people(
    weights: NDArray[np.number],
    *,
    seed: int = 42,
    regions: Sequence[str] | None = None,
    recipe: HopfRecipe | None = None,
) -> SimulatedPeople:
    """Simulate people whose regions are Hopf oscillators.

    The regional parameters are ``a``, between -1 and 1, and ``f``, between 0.03 and 0.07 Hz; the
    person's is ``G``, evenly spaced from 0 to 0.7 over people (0 for a single person).

    Parameters
    ----------
    weights
        Structural connectomes, (people, regions, regions); each is divided by its largest weight.
    seed
        Seed of all parameters, initial states and noise; those of a person do not depend on other
        people, except G.
    regions
        Names of the regions; by default for two hemispheres.
    recipe
        Simulation of the oscillators; by default the published one: 180 frames, 1 s apart.

    Raises
    ------
    ValueError
        Regions have no names, and their number is odd.

    Examples
    --------
    >>> people = simulate_hopf_people(np.ones((3, 4, 4)))
    >>> people.networks.series.shape, people.regional["a"].shape, people.personal["G"]
    ((3, 4, 180), (3, 4), array([0.  , 0.35, 0.7 ]))
    """
    recipe = HopfRecipe() if recipe is None else recipe
    people, count, _ = weights.shape
    rngs = [stream(seed, Purpose.REGIONS, person=person) for person in range(people)]
    a = np.stack([rng.uniform(*_BIFURCATION, count) for rng in rngs])
    f = np.stack([rng.uniform(*_FREQUENCY_HZ, count) for rng in rngs])
    coupling = np.linspace(*_HOPF_COUPLING, people)
    scaled = normalised(weights)
    network = Hopf(scaled.astype(np.float64), coupling[:, None], a, f, recipe)
    return _people(
        scaled,
        tuple(regions or region_names(count)),
        recipe.frame_seconds,
        ({"a": a, "f": f}, {"G": coupling}),
        partial(_hopf_runs, network, seed),
    )


def _people(
    weights: NDArray[np.float32],
    regions: tuple[str, ...],
    tr_seconds: float,
    truth: tuple[Mapping[str, Array], Mapping[str, Array]],
    simulation: _Simulation,
) -> SimulatedPeople:
    """Simulate the people's run 0 and scale all series to one common unit."""
    series = simulation([0])
    mean, sd = float(series.mean()), float(series.std())
    networks = Networks(
        tuple(f"sim{number:02d}" for number in range(1, len(weights) + 1)),
        regions,
        np.asarray((series[:, 0] - mean) / sd, np.float32),
        tr_seconds,
        weights=weights,
    )
    regional, personal = truth
    return SimulatedPeople(networks, regional, personal, mean, sd, simulation)


def _hopf_runs(network: Hopf, seed: int, runs: Sequence[int]) -> Array:
    people, regions = network.bifurcation.shape
    shape, sd = (2, regions), network.recipe.initial_sd
    initial = [
        [rng.normal(0.0, sd, shape) for rng in row]
        for row in _streams(seed, Purpose.INITIAL_STATE, people, runs)
    ]
    noise = unit_noise(_streams(seed, Purpose.SYSTEM_NOISE, people, runs), shape)
    return simulate_hopf(network, np.array(initial), noise)


def _streams(
    seed: int, purpose: Purpose, people: int, runs: Sequence[int]
) -> list[list[np.random.Generator]]:
    return [
        [stream(seed, purpose, person=person, session=run) for run in runs]
        for person in range(people)
    ]
