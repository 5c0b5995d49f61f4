"""People whose regions are mean-field models that noise switches: sigma and G are known.

The models validate the network model, with the values of Sip et al. (2023, doi
10.1126/sciadv.abq7547).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.edges import fc_strength
from bids_dtg.dynamics.measures import connectivity
from bids_dtg.dynamics.networks import Networks, normalised
from bids_dtg.dynamics.phantom.people import SimulatedPeople
from bids_dtg.dynamics.steps import Array, unit_noise
from bids_dtg.dynamics.wong_wang import INITIAL_GATING, WongWang, WongWangRecipe, simulate_wong_wang
from bids_dtg.phantom.regions import region_names
from bids_dtg.phantom.streams import Purpose, stream

_SIGMA_MEAN, _SIGMA_SD, _SIGMA_LEAST = 0.04, 0.01, 0.001  # in a step of 10 ms
_SWEEP_RUN = 2**32 - 1  # the number of the run in which each person's G is chosen


def strongest_coupling(network: WongWang, initial: Array, noise: Iterable[Array]) -> Array:
    """Return, for each person, the run's G at which mean functional connectivity is largest.

    `initial` and `noise` are those of `WongWang.states`; those of all runs may be the same.

    Examples
    --------
    >>> weights = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    >>> recipe = WongWangRecipe(seconds=30.0, dropped_seconds=6.0)
    >>> network = WongWang(weights, np.array([[0.0, 0.3]]), np.full((1, 2), 0.04), recipe)
    >>> noise = np.random.default_rng(0).standard_normal((recipe.steps, 1, 1, 2))
    >>> strongest_coupling(network, np.full((1, 1, 2), 0.5), noise)
    array([0.3])
    """
    strength = fc_strength(connectivity(simulate_wong_wang(network, initial, noise)))
    return np.take_along_axis(network.coupling, strength.argmax(axis=1)[:, None], axis=1)[:, 0]


def simulate_pmfm_people(
    weights: NDArray[np.number], *, seed: int = 42, recipe: WongWangRecipe | None = None
) -> SimulatedPeople:
    """Simulate people whose regions are mean-field models, switched by noise.

    The regional parameter is ``sigma``, drawn from N(0.04, 0.01²); the person's is ``G``: of the
    recipe's candidates, that with the largest mean functional connectivity in the second half of
    240 s, always with the same noise. The candidates suit measured connectomes of 68 regions: with
    weaker ones, regions stay in the low state, and a larger `most_coupling` is needed.

    Parameters
    ----------
    weights
        Structural connectomes, (people, regions, regions); each is divided by its largest weight.
    seed
        Fixes all parameters, initial states and noise.
    recipe
        By default the published one: 1199 frames, 0.72 s apart. Eight people take 20 s.
    """
    recipe = WongWangRecipe() if recipe is None else recipe
    people, count, _ = weights.shape
    rngs = [stream(seed, Purpose.REGIONS, person=person) for person in range(people)]
    drawn = np.stack([rng.normal(_SIGMA_MEAN, _SIGMA_SD, count) for rng in rngs])
    sigma = np.maximum(drawn, _SIGMA_LEAST)
    scaled = normalised(weights)
    candidates = np.broadcast_to(recipe.candidates, (people, recipe.couplings))
    swept = WongWang(scaled.astype(np.float64), candidates, sigma, recipe.sweep)
    coupling = strongest_coupling(swept, *_chance(swept, seed, [_SWEEP_RUN]))
    runs = partial(_runs, replace(swept, coupling=coupling[:, None], recipe=recipe), seed)
    series = runs([0])
    mean, sd = float(series.mean()), float(series.std())
    networks = Networks(
        tuple(f"sim{number:02d}" for number in range(1, people + 1)),
        region_names(count),
        np.asarray((series[:, 0] - mean) / sd, np.float32),
        recipe.frame_seconds,
        weights=scaled,
    )
    return SimulatedPeople(networks, {"sigma": sigma}, {"G": coupling}, mean, sd, runs)


def _runs(network: WongWang, seed: int, runs: Sequence[int]) -> Array:
    return simulate_wong_wang(network, *_chance(network, seed, runs))


def _chance(network: WongWang, seed: int, runs: Sequence[int]) -> tuple[Array, Iterator[Array]]:
    """Draw initial states, and open the noise."""
    people, regions = network.sigma.shape

    def streams(purpose: Purpose) -> list[list[np.random.Generator]]:
        return [
            [stream(seed, purpose, person=p, session=run) for run in runs] for p in range(people)
        ]

    initial = [
        [rng.uniform(*INITIAL_GATING, regions) for rng in row]
        for row in streams(Purpose.INITIAL_STATE)
    ]
    return np.array(initial), unit_noise(streams(Purpose.SYSTEM_NOISE), (regions,))
