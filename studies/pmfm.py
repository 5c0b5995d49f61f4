"""The parametric mean-field model that validates the network model: sigma and G are known.

Each region has a synaptic gating variable S that noise may switch between a low and a high state
(Deco et al., 2013, J. Neurosci. 33: 11239; Kong et al., 2021, Nat. Commun. 12: 6373; with the
values of Sip et al., 2023, doi 10.1126/sciadv.abq7547).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import exprel

from bids_dtg.connectome.edges import fc_strength
from bids_dtg.dynamics.measures import connectivity
from bids_dtg.dynamics.networks import Networks, normalised
from bids_dtg.dynamics.phantom.people import SimulatedPeople
from bids_dtg.dynamics.phantom.steps import Array, NoiseScaling, noise_factor, unit_noise
from bids_dtg.phantom.regions import region_names
from bids_dtg.phantom.streams import Purpose, stream

PUBLISHED_STEP_SECONDS = 0.01

_INITIAL_GATING = (0.2, 0.8)
_SIGMA_MEAN, _SIGMA_SD, _SIGMA_LEAST = 0.04, 0.01, 0.001  # in a step of 10 ms
_SWEEP_RUN = 2**32 - 1  # the number of the run in which each person's G is chosen

_DECAY_SECONDS = 0.1  # tau_s
_KINETICS = 0.641  # gamma, of rates in Hz and time in s
_SYNAPTIC_COUPLING = 0.2609  # J, nA
_INPUT = 0.295  # I_0, nA
_RECURRENT = 1.0  # w_rec
# From the input current in nA to the population's firing rate in Hz.
_GAIN, _THRESHOLD, _CURVATURE = 270.0, 108.0, 0.154  # a in 1/nC, b in Hz, d in s


@dataclass(frozen=True)
class PmfmRecipe:
    """How the mean-field model is simulated; by default as the published code does it.

    Examples
    --------
    >>> PmfmRecipe().steps, PmfmRecipe().kept, PUBLISHED_PAPER.kept
    (98400, 1199, 1200)
    """

    step_seconds: float = PUBLISHED_STEP_SECONDS
    frame_seconds: float = 0.72  # over which S is averaged
    seconds: float = 984.0  # simulated
    dropped_seconds: float = 120.0  # of these, at the start
    noise_scaling: NoiseScaling = "step"  # of sigma, which is that of a published step
    coupling_times_j: bool = True  # whether J multiplies the coupling; not in the published text
    # Which frames lie after `dropped_seconds`. "evenly": the published code gives the frames times
    # from 0 to `seconds`, evenly spaced; "ends": the times at which the frames end.
    frame_times: Literal["evenly", "ends"] = "evenly"
    least_coupling: float = 0.16  # of the G among which each person's is chosen
    most_coupling: float = 0.22
    couplings: int = 31  # how many
    sweep_seconds: float = 240.0  # simulated with each of them
    sweep_dropped_seconds: float = 120.0  # of these, at the start

    @property
    def steps_a_frame(self) -> int:
        """How many steps are averaged."""
        return round(self.frame_seconds / self.step_seconds)

    @property
    def steps(self) -> int:
        """How many states are simulated, with the initial one."""
        return round(self.seconds / self.step_seconds)

    @property
    def frames(self) -> int:
        """How many frames are simulated, with the dropped ones; the last may be incomplete."""
        return self.steps // self.steps_a_frame

    @property
    def kept(self) -> int:
        """How many frames are kept."""
        times: Array
        if self.frame_times == "evenly":
            times = np.linspace(0.0, self.seconds, self.frames)
        else:
            times = np.arange(1.0, self.frames + 1) * self.frame_seconds
        return int((times > self.dropped_seconds).sum())

    @property
    def sweep(self) -> PmfmRecipe:
        """How the simulations are made in which G is chosen."""
        return replace(self, seconds=self.sweep_seconds, dropped_seconds=self.sweep_dropped_seconds)

    @property
    def candidates(self) -> Array:
        """Those G among which each person's is chosen."""
        spaced: Array = np.linspace(self.least_coupling, self.most_coupling, self.couplings)
        return spaced


PUBLISHED_PAPER = PmfmRecipe(coupling_times_j=False, frame_times="ends", least_coupling=0.17)


@dataclass(frozen=True, eq=False)
class Pmfm:
    """Networks of mean-field models, one a person.

    S' = -S / tau_s + (1 - S) gamma H(x), H(x) = (ax - b) / (1 - exp(-d (ax - b))) and
    x = w_rec J S + I_0 + G J Σ_j W_ij S_j.
    """

    weights: Array  # (people, regions, regions), W_ij from region j to i
    coupling: Array  # G, (people, runs) or (people, 1)
    sigma: Array  # standard deviation of the noise in a step of the published length
    recipe: PmfmRecipe = PmfmRecipe()

    def states(self, initial: Array, noise: Iterable[Array]) -> Iterator[Array]:
        """Yield the state at the start and after each step, as long as there is noise.

        Parameters
        ----------
        initial
            S, (people, runs, regions) or, for all runs the same, (people, 1, regions).
        noise
            Standard normal noise for each step, of one of these shapes. The
            step from k to k + 1 adds that with the number k. S is not kept within 0 and 1.
        """
        recipe = self.recipe
        state, _ = np.broadcast_arrays(np.asarray(initial, np.float64), self.coupling[:, :, None])
        scale = self.sigma[:, None] * noise_factor(
            recipe.noise_scaling, recipe.step_seconds, PUBLISHED_STEP_SECONDS
        )
        yield state
        for unit in noise:
            state = state + recipe.step_seconds * self.velocity(state) + scale * unit
            yield state

    def velocity(self, state: Array) -> Array:
        """Return S' without noise, for a state (people, runs, regions), per second."""
        arriving = self.coupling[:, :, None] * (state @ self.weights.transpose(0, 2, 1))
        if self.recipe.coupling_times_j:
            arriving = _SYNAPTIC_COUPLING * arriving
        current = _RECURRENT * _SYNAPTIC_COUPLING * state + _INPUT + arriving
        excess = _GAIN * current - _THRESHOLD
        rate = 1.0 / (_CURVATURE * exprel(-_CURVATURE * excess))  # Hz; H, also where ax = b
        velocity: Array = -state / _DECAY_SECONDS + _KINETICS * (1.0 - state) * rate
        return velocity


def block_means(states: Iterable[Array], steps: int, frames: int) -> Array:
    """Return the means of so many states in a row; frames become the last axis."""
    ahead = iter(states)
    blocks = (list(islice(ahead, steps)) for _ in range(frames))
    means = [np.mean(block, axis=0) for block in blocks if len(block) == steps]
    if len(means) < frames:
        raise ValueError(f"the noise is enough for {len(means)} frames of {frames}")
    return np.stack(means, axis=-1)


def simulate_pmfm(network: Pmfm, initial: Array, noise: Iterable[Array]) -> Array:
    """Simulate mean-field models and return S in the kept frames, (people, runs, regions, frames).

    `initial` and `noise` are those of `Pmfm.states`.

    Examples
    --------
    >>> weights = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    >>> recipe = PmfmRecipe(seconds=7.2, dropped_seconds=0.72)
    >>> network = Pmfm(weights, np.array([[0.2]]), np.full((1, 2), 0.01), recipe)
    >>> noise = np.random.default_rng(0).standard_normal((recipe.steps, 1, 1, 2))
    >>> simulate_pmfm(network, np.full((1, 1, 2), 0.5), noise).shape
    (1, 1, 2, 9)
    """
    recipe = network.recipe
    states = block_means(network.states(initial, noise), recipe.steps_a_frame, recipe.frames)
    return states[..., -recipe.kept :]


def strongest_coupling(network: Pmfm, initial: Array, noise: Iterable[Array]) -> Array:
    """Return, for each person, the run's G at which mean functional connectivity is largest.

    `initial` and `noise` are those of `Pmfm.states`; those of all runs may be the same.

    Examples
    --------
    >>> weights = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    >>> recipe = PmfmRecipe(seconds=30.0, dropped_seconds=6.0)
    >>> network = Pmfm(weights, np.array([[0.0, 0.3]]), np.full((1, 2), 0.04), recipe)
    >>> noise = np.random.default_rng(0).standard_normal((recipe.steps, 1, 1, 2))
    >>> strongest_coupling(network, np.full((1, 1, 2), 0.5), noise)
    array([0.3])
    """
    strength = fc_strength(connectivity(simulate_pmfm(network, initial, noise)))
    return np.take_along_axis(network.coupling, strength.argmax(axis=1)[:, None], axis=1)[:, 0]


def simulate_pmfm_people(
    weights: NDArray[np.number], *, seed: int = 42, recipe: PmfmRecipe | None = None
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
    recipe = PmfmRecipe() if recipe is None else recipe
    people, count, _ = weights.shape
    rngs = [stream(seed, Purpose.REGIONS, person=person) for person in range(people)]
    drawn = np.stack([rng.normal(_SIGMA_MEAN, _SIGMA_SD, count) for rng in rngs])
    sigma = np.maximum(drawn, _SIGMA_LEAST)
    scaled = normalised(weights)
    candidates = np.broadcast_to(recipe.candidates, (people, recipe.couplings))
    swept = Pmfm(scaled.astype(np.float64), candidates, sigma, recipe.sweep)
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


def _runs(network: Pmfm, seed: int, runs: Sequence[int]) -> Array:
    return simulate_pmfm(network, *_chance(network, seed, runs))


def _chance(network: Pmfm, seed: int, runs: Sequence[int]) -> tuple[Array, Iterator[Array]]:
    """Draw initial states, and open the noise."""
    people, regions = network.sigma.shape

    def streams(purpose: Purpose) -> list[list[np.random.Generator]]:
        return [
            [stream(seed, purpose, person=p, session=run) for run in runs] for p in range(people)
        ]

    initial = [
        [rng.uniform(*_INITIAL_GATING, regions) for rng in row]
        for row in streams(Purpose.INITIAL_STATE)
    ]
    return np.array(initial), unit_noise(streams(Purpose.SYSTEM_NOISE), (regions,))
