"""The simulator with known parameters on which the network model is tested (Sip et al., 2023).

Hopf oscillators return to a fixed point below a = 0 and oscillate with frequency f above it (Deco
et al., 2017, Sci. Rep. 7: 3095). Constants are those of Sip et al. (2023, doi
10.1126/sciadv.abq7547). The noise of a step is proportional to the square root of its length, as in
a diffusion, and equals the published noise at the published length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from bids_dtg.array_types import Float64

STEP_SECONDS = 0.02  # as published
# Standard deviation of x and y at the start, as in the published code.
INITIAL_SD = 0.3
_NOISE = 0.02  # standard deviation in a step of the published length

# Steps whose noise is drawn together, to save time with little memory.
_DRAWN_AT_ONCE = 100


@dataclass(frozen=True)
class SimulatedTime:
    """Steps and frames of a simulation; defaults are those of the published oscillators.

    Examples
    --------
    >>> time = SimulatedTime()
    >>> time.steps, time.frames, time.kept
    (10250, 205, 180)
    """

    step_seconds: float = STEP_SECONDS
    frame_seconds: float = 1.0  # between the states that are kept
    seconds: float = 205.0  # simulated
    dropped_seconds: float = 25.0  # removed at the start

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

    weights: Float64  # (people, regions, regions), W_ij from region j to i
    coupling: Float64  # G, (people, runs) or (people, 1)
    bifurcation: Float64  # a, (people, regions)
    frequency: Float64  # f, (people, regions), Hz
    time: SimulatedTime = SimulatedTime()

    def states(self, initial: Float64, noise: Iterable[Float64]) -> Iterator[Float64]:
        """Yield the state at the start and after each step, as long as there is noise.

        Parameters
        ----------
        initial
            x and y, (people, runs, 2, regions), or (people, 1, 2, regions) if all runs start alike.
        noise
            Standard normal noise for each state, in one of these shapes. The step from k to k + 1
            adds the noise numbered k + 1, as in the published code.
        """
        step_seconds = self.time.step_seconds
        state, _ = np.broadcast_arrays(initial, self.coupling[:, :, None, None])
        scale = np.sqrt(step_seconds / STEP_SECONDS) * _NOISE
        yield state
        for unit in islice(noise, 1, None):
            state = state + step_seconds * self.velocity(state)
            state = state + scale * unit
            yield state

    def velocity(self, state: Float64) -> Float64:
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
        return rotation + coupling * (arriving - leaving)


def simulate_hopf(network: Hopf, initial: Float64, noise: Iterable[Float64]) -> Float64:
    """Simulate oscillators and return x of the kept frames, (people, runs, regions, frames).

    `initial` and `noise` are those of `Hopf.states`.

    Examples
    --------
    >>> weights = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    >>> network = Hopf(weights, np.array([[0.5]]), np.full((1, 2), 1.0), np.full((1, 2), 0.05))
    >>> noise = np.random.default_rng(0).standard_normal((network.time.steps, 1, 1, 2, 2))
    >>> series = simulate_hopf(network, np.full((1, 1, 2, 2), 0.1), noise)
    >>> series.shape, float(series.std().round(1))  # oscillations with amplitude 1
    ((1, 1, 2, 180), 0.7)
    """
    time = network.time
    steps = time.steps_a_frame
    states = islice(network.states(initial, noise), 0, steps * time.frames, steps)
    return np.stack(list(states), axis=-1)[:, :, 0, :, -time.kept :]


def unit_noise(
    rngs: Sequence[Sequence[np.random.Generator]], shape: tuple[int, ...]
) -> Iterator[Float64]:
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
