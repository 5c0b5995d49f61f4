"""Networks of reduced Wong–Wang mean-field models.

Each region has a synaptic gating variable S that noise may switch between a low and a high state
(Deco et al., 2013, J. Neurosci. 33: 11239; Kong et al., 2021, Nat. Commun. 12: 6373; with the
values of Sip et al., 2023, doi 10.1126/sciadv.abq7547).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import numpy as np

from bids_dtg.dynamics.steps import Array, NoiseScaling, noise_factor

PUBLISHED_STEP_SECONDS = 0.01

INITIAL_GATING = (0.2, 0.8)  # range of S at the start

_DECAY_SECONDS = 0.1  # tau_s
_KINETICS = 0.641  # gamma, of rates in Hz and time in s
_SYNAPTIC_COUPLING = 0.2609  # J, nA
_INPUT = 0.295  # I_0, nA
_RECURRENT = 1.0  # w_rec
# From the input current in nA to the population's firing rate in Hz.
_GAIN, _THRESHOLD, _CURVATURE = 270.0, 108.0, 0.154  # a in 1/nC, b in Hz, d in s


@dataclass(frozen=True)
class WongWangRecipe:
    """How the mean-field model is simulated; by default as the published code does it.

    Examples
    --------
    >>> WongWangRecipe().steps, WongWangRecipe().kept, PUBLISHED_PAPER.kept
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
    precision: type[np.floating[Any]] = np.float64  # of states, where all arrays have it

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
    def sweep(self) -> WongWangRecipe:
        """How the simulations are made in which G is chosen."""
        return replace(self, seconds=self.sweep_seconds, dropped_seconds=self.sweep_dropped_seconds)

    @property
    def candidates(self) -> Array:
        """Those G among which each person's is chosen."""
        spaced: Array = np.linspace(self.least_coupling, self.most_coupling, self.couplings)
        return spaced


PUBLISHED_PAPER = WongWangRecipe(coupling_times_j=False, frame_times="ends", least_coupling=0.17)


@dataclass(frozen=True, eq=False)
class WongWang:
    """Networks of mean-field models, one a person.

    S' = -S / tau_s + (1 - S) gamma H(x), H(x) = (ax - b) / (1 - exp(-d (ax - b))) and
    x = w_rec J S + I_0 + G J Σ_j W_ij S_j.
    """

    weights: Array  # (people, regions, regions), W_ij from region j to i
    coupling: Array  # G, (people, runs) or (people, 1)
    # Standard deviation of the noise in a step of the published length, (people, regions), or of
    # each run (people, runs, 1 or regions).
    sigma: Array
    recipe: WongWangRecipe = WongWangRecipe()

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
        state, _ = np.broadcast_arrays(
            np.asarray(initial, recipe.precision), self.coupling[:, :, None]
        )
        sigma = self.sigma[:, None] if self.sigma.ndim == 2 else self.sigma
        scale = sigma * noise_factor(
            recipe.noise_scaling, recipe.step_seconds, PUBLISHED_STEP_SECONDS
        )
        yield state
        for unit in noise:
            state = state + recipe.step_seconds * self.velocity(state) + scale * unit
            yield state

    def velocity(self, state: Array) -> Array:
        """Return S' without noise, for a state (people, runs, regions), per second."""
        from scipy.special import exprel

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


def simulate_wong_wang(network: WongWang, initial: Array, noise: Iterable[Array]) -> Array:
    """Simulate mean-field models and return S in the kept frames, (people, runs, regions, frames).

    `initial` and `noise` are those of `WongWang.states`.

    Examples
    --------
    >>> weights = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    >>> recipe = WongWangRecipe(seconds=7.2, dropped_seconds=0.72)
    >>> network = WongWang(weights, np.array([[0.2]]), np.full((1, 2), 0.01), recipe)
    >>> noise = np.random.default_rng(0).standard_normal((recipe.steps, 1, 1, 2))
    >>> simulate_wong_wang(network, np.full((1, 1, 2), 0.5), noise).shape
    (1, 1, 2, 9)
    """
    recipe = network.recipe
    states = block_means(network.states(initial, noise), recipe.steps_a_frame, recipe.frames)
    return states[..., -recipe.kept :]
