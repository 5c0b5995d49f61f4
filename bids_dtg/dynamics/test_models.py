"""Simulators with known parameters, on which the network model is tested (Sip et al., 2023).

Hopf oscillators return to a fixed point below a = 0 and oscillate with frequency f above it (Deco
et al., 2017, Sci. Rep. 7: 3095). Reduced Wong-Wang mean-field models have a synaptic gating
variable S, which noise switches between a low and a high state (Deco et al., 2013, J. Neurosci. 33:
11239; Kong et al., 2021, Nat. Commun. 12: 6373). Constants are those of Sip et al. (2023, doi
10.1126/sciadv.abq7547). The noise of a step is proportional to the square root of its length, as in
a diffusion, and equals the published noise at the published length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HOPF_STEP_SECONDS, WONG_WANG_STEP_SECONDS = 0.02, 0.01  # as published
INITIAL_GATING = (0.2, 0.8)  # range of S at the start

# Steps whose noise is drawn together, to save time with little memory.
_DRAWN_AT_ONCE = 100
_DECAY_SECONDS = 0.1  # tau_s
_KINETICS = 0.641  # gamma, of rates in Hz and time in s
_SYNAPTIC_COUPLING = 0.2609  # J, nA
_INPUT = 0.295  # I_0, nA
_RECURRENT = 1.0  # w_rec
# The population's firing rate in Hz as a function of its input current in nA.
_GAIN = 270.0  # a, 1/nC
_THRESHOLD = 108.0  # b, Hz
_CURVATURE = 0.154  # d, s


@dataclass(frozen=True)
class HopfRecipe:
    """Settings for simulating the oscillators; defaults are those of the published code.

    Examples
    --------
    >>> recipe = HopfRecipe()
    >>> recipe.steps, recipe.frames, recipe.kept
    (10250, 205, 180)
    """

    step_seconds: float = HOPF_STEP_SECONDS
    frame_seconds: float = 1.0  # between the states that are kept
    seconds: float = 205.0  # simulated
    dropped_seconds: float = 25.0  # removed at the start
    # Standard deviation of x and y at the start, as in the published code.
    initial_sd: float = 0.3
    # Standard deviation of the noise in a step of the published length.
    noise: float = 0.02

    @property
    def steps_a_frame(self) -> int:
        """Number of steps between two frames."""
        return round(self.frame_seconds / self.step_seconds)

    @property
    def steps(self) -> int:
        """Number of simulated states, including the initial one."""
        return round(self.seconds / self.step_seconds)

    @property
    def frames(self) -> int:
        """Number of simulated frames, including dropped ones."""
        return self.steps // self.steps_a_frame

    @property
    def kept(self) -> int:
        """Number of kept frames, those from `dropped_seconds` on."""
        return self.frames - round(self.dropped_seconds / self.frame_seconds)


@dataclass(frozen=True, eq=False)
class Hopf:
    """Networks of oscillators, one for each person.

    x' = (a - x² - y²) x - 2πf y + G Σ_j W_ij (x_j - x_i) and
    y' = (a - x² - y²) y + 2πf x + G Σ_j W_ij (y_j - y_i), observed as x.
    """

    weights: Array  # (people, regions, regions), W_ij from region j to i
    coupling: Array  # G, (people, runs) or (people, 1)
    bifurcation: Array  # a, (people, regions)
    frequency: Array  # f, (people, regions), Hz
    recipe: HopfRecipe = HopfRecipe()

    def states(self, initial: Array, noise: Iterable[Array]) -> Iterator[Array]:
        """Yield the state at the start and after each step, as long as there is noise.

        Parameters
        ----------
        initial
            x and y, (people, runs, 2, regions), or (people, 1, 2, regions) if all runs start alike.
        noise
            Standard normal noise for each state, in one of these shapes. The step from k to k + 1
            adds the noise numbered k + 1, as in the published code.
        """
        recipe = self.recipe
        state, _ = np.broadcast_arrays(initial, self.coupling[:, :, None, None])
        factor = np.sqrt(recipe.step_seconds / HOPF_STEP_SECONDS)
        yield state
        for unit in islice(noise, 1, None):
            state = state + recipe.step_seconds * self.velocity(state)
            state = state + factor * recipe.noise * unit
            yield state

    def velocity(self, state: Array) -> Array:
        """Return x' and y' per second, without noise, at a state (people, runs, 2, regions)."""
        people, runs, _, regions = state.shape
        a = self.bifurcation[:, None, None]
        speed = 2 * np.pi * self.frequency[:, None, None]
        growth = a - np.square(state).sum(axis=2, keepdims=True)
        turned = state[:, :, ::-1] * np.array([[-1.0], [1.0]])  # (-y, x)
        rows = state.reshape(people, 2 * runs, regions)
        arriving = (rows @ self.weights.transpose(0, 2, 1)).reshape(state.shape)
        leaving = self.weights.sum(axis=2)[:, None, None] * state
        coupling = self.coupling[:, :, None, None]
        rotation = growth * state + speed * turned
        velocity: Array = rotation + coupling * (arriving - leaving)
        return velocity


def simulate_hopf(network: Hopf, initial: Array, noise: Iterable[Array]) -> Array:
    """Simulate oscillators and return x of the kept frames, (people, runs, regions, frames).

    `initial` and `noise` are those of `Hopf.states`.

    Examples
    --------
    >>> weights = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    >>> network = Hopf(weights, np.array([[0.5]]), np.full((1, 2), 1.0), np.full((1, 2), 0.05))
    >>> noise = np.random.default_rng(0).standard_normal((network.recipe.steps, 1, 1, 2, 2))
    >>> series = simulate_hopf(network, np.full((1, 1, 2, 2), 0.1), noise)
    >>> series.shape, float(series.std().round(1))  # oscillations with amplitude 1
    ((1, 1, 2, 180), 0.7)
    """
    recipe = network.recipe
    steps = recipe.steps_a_frame
    states = islice(network.states(initial, noise), 0, steps * recipe.frames, steps)
    return np.stack(list(states), axis=-1)[:, :, 0, :, -recipe.kept :]


@dataclass(frozen=True)
class WongWangRecipe:
    """Settings for simulating the mean-field model; defaults are those of the published code.

    Examples
    --------
    >>> WongWangRecipe().steps, WongWangRecipe().kept
    (98400, 1199)
    """

    step_seconds: float = WONG_WANG_STEP_SECONDS
    frame_seconds: float = 0.72  # over which S is averaged
    seconds: float = 984.0  # simulated
    dropped_seconds: float = 120.0  # removed at the start

    @property
    def steps_a_frame(self) -> int:
        """Number of steps that are averaged into a frame."""
        return round(self.frame_seconds / self.step_seconds)

    @property
    def steps(self) -> int:
        """Number of simulated states, including the initial one."""
        return round(self.seconds / self.step_seconds)

    @property
    def frames(self) -> int:
        """Number of complete frames, including dropped ones."""
        return self.steps // self.steps_a_frame

    @property
    def kept(self) -> int:
        """Number of kept frames; as in the published code, frame times run from 0 to `seconds`."""
        times = np.linspace(0.0, self.seconds, self.frames)
        return int((times > self.dropped_seconds).sum())


@dataclass(frozen=True, eq=False)
class WongWang:
    """Networks of mean-field models, one for each person.

    S' = -S / tau_s + (1 - S) gamma H(x), H(x) = (ax - b) / (1 - exp(-d (ax - b))) and
    x = w_rec J S + I_0 + G J Σ_j W_ij S_j. J multiplies the coupling in the published code, but not
    in the published text.
    """

    weights: Array  # (people, regions, regions), W_ij from region j to i
    coupling: Array  # G, (people, runs) or (people, 1)
    sigma: Array  # (people, regions), sd of the noise in a step of the published length
    recipe: WongWangRecipe = WongWangRecipe()

    def states(self, initial: Array, noise: Iterable[Array]) -> Iterator[Array]:
        """Yield the state at the start and after each step, as long as there is noise.

        Parameters
        ----------
        initial
            S, (people, runs, regions), or (people, 1, regions) if all runs start alike.
        noise
            Standard normal noise for each step, in one of these shapes. The step from k to k + 1
            adds the noise numbered k. S is not confined to the range from 0 to 1.
        """
        recipe = self.recipe
        state, _ = np.broadcast_arrays(initial, self.coupling[:, :, None])
        factor = np.sqrt(recipe.step_seconds / WONG_WANG_STEP_SECONDS)
        scale = self.sigma[:, None] * factor
        yield state
        for unit in noise:
            state = state + recipe.step_seconds * self.velocity(state) + scale * unit
            yield state

    def velocity(self, state: Array) -> Array:
        """Return S' per second, without noise, at a state (people, runs, regions)."""
        from scipy.special import exprel

        arriving = self.coupling[:, :, None] * (state @ self.weights.transpose(0, 2, 1))
        arriving = _SYNAPTIC_COUPLING * arriving
        current = _RECURRENT * _SYNAPTIC_COUPLING * state + _INPUT + arriving
        excess = _GAIN * current - _THRESHOLD
        # Hz; H, also where ax = b.
        rate = 1.0 / (_CURVATURE * exprel(-_CURVATURE * excess))
        velocity: Array = -state / _DECAY_SECONDS + _KINETICS * (1.0 - state) * rate
        return velocity


def simulate_wong_wang(
    network: WongWang, initial: Array, noise: Iterable[Array]
) -> Array:
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
    states = network.states(initial, noise)
    blocks = (list(islice(states, recipe.steps_a_frame)) for _ in range(recipe.frames))
    means = np.stack([np.mean(block, axis=0) for block in blocks], axis=-1)
    return means[..., -recipe.kept :]


def unit_noise(
    rngs: Sequence[Sequence[np.random.Generator]], shape: tuple[int, ...]
) -> Iterator[Array]:
    """Yield standard normal noise, one step at a time, without end.

    Parameters
    ----------
    rngs
        A generator for each person and run, (people, runs), so that the noise of one run does not
        depend on the others.
    shape
        Shape of the noise of one step of one run.

    Yields
    ------
    numpy.ndarray
        (people, runs, *shape).

    Examples
    --------
    >>> next(unit_noise([[np.random.default_rng(0)]], (3,))).round(2)
    array([[[ 0.13, -0.13,  0.64]]])
    """
    while True:
        drawn = [
            [rng.standard_normal((_DRAWN_AT_ONCE, *shape)) for rng in row]
            for row in rngs
        ]
        yield from np.moveaxis(np.array(drawn), 2, 0)
