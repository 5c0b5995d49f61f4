"""People with simulated series and structural connectomes, and known parameters.

By default they are the oscillators on which Sip et al. validated their model (2023, doi
10.1126/sciadv.abq7547), with other random numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float32, Float64, Floats
from bids_dtg.dynamics.networks import Networks, normalised
from bids_dtg.dynamics.simulators import (
    INITIAL_SD,
    Hopf,
    SimulatedTime,
    simulate_hopf,
    unit_noise,
)
from bids_dtg.files.text import write_tsv
from bids_dtg.phantom.regions import (
    draw_positions,
    region_names,
    write_arrays,
    write_participants,
)
from bids_dtg.phantom.streams import Purpose, stream

_HOPF_COUPLING = (0.0, 0.7)  # of the first and the last person, evenly spaced between
_BIFURCATION = (-1.0, 1.0)
_FREQUENCY_HZ = (0.03, 0.07)
# Chosen to resemble 40 people's measured connectomes of 68 regions, in which 52 % of the pairs are
# connected, a region's weights sum to 1.2 on average, the logarithms of weights have a standard
# deviation of 2.3, and two people's weights correlate by 0.94. Here: 0.9, 1.7 and 0.88.
_CONNECTED = 0.52
_FALL_MM = 14.0  # distance over which weights fall by a factor e
# Sd of log weights between pairs, common to all people, besides distance.
_GROUP_SD = 0.5
_OWN_SD = 0.35  # sd of log weights between people


@dataclass(frozen=True, eq=False)
class SimulatedPeople:
    """Simulated series, and the parameters that a model should recover."""

    networks: Networks  # all series together have mean 0 and variance 1
    regional: Mapping[str, Float64]  # parameters of regions by name, (people, regions)
    personal: Mapping[str, Float64]  # parameters of people by name, (people,)
    mean: float  # of all series, before they were normalised
    sd: float
    # Returns the series of runs before normalisation, (people, runs, regions, frames).
    simulation: Callable[[Sequence[int]], Float64]

    @classmethod
    def of(
        cls,
        weights: Float32,
        regions: Sequence[str],
        simulation: Callable[[Sequence[int]], Float64],
        *,
        frame_seconds: float,
        regional: Mapping[str, Float64],
        personal: Mapping[str, Float64],
    ) -> SimulatedPeople:
        """Simulate run 0 of everybody, from structural connectomes and the other fields."""
        series = simulation([0])[:, 0]
        mean, sd = float(series.mean()), float(series.std())
        networks = Networks(
            tuple(f"sim{number:02d}" for number in range(1, len(weights) + 1)),
            tuple(regions),
            np.asarray((series - mean) / sd, np.float32),
            frame_seconds,
            weights=weights,
        )
        return cls(networks, regional, personal, mean, sd, simulation)

    def again(self, runs: Sequence[int]) -> Float32:
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
    time: SimulatedTime | None = None,
) -> SimulatedPeople:
    """Simulate people whose regions are Hopf oscillators.

    The regional parameters are ``a``, between -1 and 1, and ``f``, between 0.03 and 0.07 Hz. The
    person parameter is ``G``, evenly spaced from 0 to 0.7 over people (0 for a single person).

    Parameters
    ----------
    weights
        Structural connectomes, (people, regions, regions); each is divided by its largest weight.
    seed
        Seed of all parameters, initial states and noise. Except for G, a person's values do not
        depend on other people.
    regions
        Names of the regions; by default, names in two hemispheres.
    time
        Steps and frames; by default the published ones, with 180 frames, 1 s apart.

    Raises
    ------
    ValueError
        No names are given for an odd number of regions.

    Examples
    --------
    >>> people = simulate_hopf_people(np.ones((3, 4, 4)))
    >>> people.networks.series.shape, people.regional["a"].shape, people.personal["G"]
    ((3, 4, 180), (3, 4), array([0.  , 0.35, 0.7 ]))
    """
    time = time or SimulatedTime()
    people, count, _ = weights.shape
    rngs = [stream(seed, Purpose.REGIONS, person=person) for person in range(people)]
    a = np.stack([rng.uniform(*_BIFURCATION, count) for rng in rngs])
    f = np.stack([rng.uniform(*_FREQUENCY_HZ, count) for rng in rngs])
    coupling = np.linspace(*_HOPF_COUPLING, people)
    scaled = normalised(weights)
    network = Hopf(scaled.astype(np.float64), coupling[:, None], a, f, time)
    return SimulatedPeople.of(
        scaled,
        regions or region_names(count),
        partial(_hopf_runs, network, seed),
        frame_seconds=time.frame_seconds,
        regional={"a": a, "f": f},
        personal={"G": coupling},
    )


def _hopf_runs(network: Hopf, seed: int, runs: Sequence[int]) -> Float64:
    people, regions = network.bifurcation.shape
    shape = (2, regions)
    initial = [
        [rng.normal(0.0, INITIAL_SD, shape) for rng in row]
        for row in streams_of_runs(seed, Purpose.INITIAL_STATE, people, runs)
    ]
    noise = unit_noise(streams_of_runs(seed, Purpose.SYSTEM_NOISE, people, runs), shape)
    return simulate_hopf(network, np.array(initial), noise)


def streams_of_runs(
    seed: int, purpose: Purpose, people: int, runs: Sequence[int]
) -> list[list[np.random.Generator]]:
    """Open a stream of each person for each run."""
    return [
        [stream(seed, purpose, person=person, session=run) for run in runs]
        for person in range(people)
    ]


def simulate_weights(
    people: int, regions: int, rng: np.random.Generator
) -> tuple[Float32, Float64, tuple[str, ...]]:
    """Draw people's structural connectomes, for regions in two mirrored hemispheres.

    Weights decrease with the distance between regions, and vary between pairs and between people by
    log-normal factors. Each person's weakest pairs are not connected.

    Returns
    -------
    weights
        (people, regions, regions), symmetric, with a zero diagonal; each person's largest is 1.
    positions
        (regions, 3), mm, x from left to right; the left hemisphere comes first.
    names
        Names of the regions: ``lh-r01``, …, ``rh-r01``, ….

    Raises
    ------
    ValueError
        The number of regions is odd, or smaller than 4.

    Examples
    --------
    >>> weights, positions, names = simulate_weights(3, 20, np.random.default_rng(0))
    >>> weights.shape, positions.shape, names[9:11]
    ((3, 20, 20), (20, 3), ('lh-r10', 'rh-r01'))
    """
    names, positions = region_names(regions), draw_positions(regions // 2, rng)
    distance = np.linalg.norm(positions[:, None] - positions, axis=-1)
    group = -distance / _FALL_MM + _symmetric(rng, (regions, regions), _GROUP_SD)
    log_weights = group + _symmetric(rng, (people, regions, regions), _OWN_SD)
    rows, columns = np.triu_indices(regions, 1)
    upper = log_weights[:, rows, columns]
    least = np.quantile(upper, 1.0 - _CONNECTED, axis=1)[:, None, None]
    return normalised(np.exp(log_weights) * (log_weights >= least)), positions, names


def _symmetric(rng: np.random.Generator, shape: tuple[int, ...], sd: float) -> Float64:
    drawn = np.triu(rng.normal(0.0, sd, shape), 1)
    return drawn + np.swapaxes(drawn, -1, -2)


def write_people(folder: Path, people: SimulatedPeople) -> None:
    """Write simulated people for ``--input-arrays``, and their true parameters.

    Parameters
    ----------
    folder
        Output folder. It gets ``networks.npz``, ``truth.tsv`` (a row for each region of each
        person) and ``people.tsv`` (a row for each person).
    people
        The simulated people.
    """
    networks = people.networks
    write_arrays(
        folder / "networks.npz",
        networks.people,
        networks.regions,
        rest=networks.series,
        tr_seconds=np.array(networks.tr_seconds),
        structural=networks.weights,
    )
    write_regional(folder / "truth.tsv", networks, people.regional)
    write_participants(folder / "people.tsv", networks.people, people.personal)


def write_regional(
    path: Path, networks: Networks, columns: Mapping[str, Floats]
) -> None:
    """Write a table with a row for each region of each person, of arrays (people, regions)."""
    participants = [f"sub-{label}" for label in networks.people]
    places = itertools.product(participants, networks.regions)
    values = zip(*(column.ravel() for column in columns.values()), strict=True)
    rows = [(*place, *row) for place, row in zip(places, values, strict=True)]
    write_tsv(path, ["participant_id", "region", *columns], rows)
