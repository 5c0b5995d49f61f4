"""Networks of Hopf oscillators.

Below a = 0, a region returns to a fixed point; above, it oscillates with frequency f (Deco et
al., 2017, Sci. Rep. 7: 3095; with the values of Sip et al., 2023, doi 10.1126/sciadv.abq7547).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np

from bids_dtg.dynamics.steps import Array, NoiseScaling, every, noise_factor

PUBLISHED_STEP_SECONDS = 0.02


@dataclass(frozen=True)
class HopfRecipe:
    """Simulation of the oscillators; defaults are those of the published code.

    Examples
    --------
    >>> recipe = HopfRecipe()
    >>> recipe.steps, recipe.frames, recipe.kept
    (10250, 205, 180)
    """

    step_seconds: float = PUBLISHED_STEP_SECONDS
    frame_seconds: float = 1.0  # between the states that are kept
    seconds: float = 205.0  # simulated
    dropped_seconds: float = 25.0  # removed at the start
    initial_sd: float = 0.3  # of x and y at the start: a standard deviation in the published code
    noise: float = 0.02  # standard deviation added in a step of the published length
    noise_scaling: NoiseScaling = "step"
    # Index of the noise of the step from k to k + 1: k + 1 in the published code, or k. It matters
    # only where noise is replayed.
    noise_of: Literal["arrival", "departure"] = "arrival"
    precision: type[np.floating[Any]] = np.float64  # of states, where all arrays have it

    @property
    def steps_a_frame(self) -> int:
        """Number of steps between two frames."""
        return round(self.frame_seconds / self.step_seconds)

    @property
    def frames(self) -> int:
        """Number of simulated frames, including dropped ones."""
        return self.steps // self.steps_a_frame

    @property
    def steps(self) -> int:
        """Number of simulated states, including the initial one."""
        return round(self.seconds / self.step_seconds)

    @property
    def kept(self) -> int:
        """Number of kept frames, those from `dropped_seconds` on."""
        return self.frames - round(self.dropped_seconds / self.frame_seconds)


@dataclass(frozen=True, eq=False)
class Hopf:
    """Networks of oscillators, one a person.

    x' = (a - x² - y²) x - 2πf y + G Σ_j W_ij (x_j - x_i) and
    y' = (a - x² - y²) y + 2πf x + G Σ_j W_ij (y_j - y_i), observed as x.
    """

    weights: Array  # (people, regions, regions), W_ij from region j to i
    coupling: Array  # G, (people, runs) or (people, 1)
    bifurcation: Array  # a, (people, regions), or of each run (people, runs, 1 or regions)
    frequency: Array  # f, (people, regions), Hz
    recipe: HopfRecipe = HopfRecipe()
    # (people, runs), standard deviation added in a step of the published length; None: the recipe's
    noise: Array | None = None

    def states(self, initial: Array, noise: Iterable[Array]) -> Iterator[Array]:
        """Yield the state at the start and after each step, as long as there is noise.

        Parameters
        ----------
        initial
            x and y, (people, runs, 2, regions) or, for all runs the same, (people, 1, 2, regions).
        noise
            Standard normal noise for each step, of one of these shapes.
        """
        recipe, runs = self.recipe, self.coupling[:, :, None, None]
        state, _ = np.broadcast_arrays(np.asarray(initial, recipe.precision), runs)
        factor = noise_factor(recipe.noise_scaling, recipe.step_seconds, PUBLISHED_STEP_SECONDS)
        own = None if self.noise is None else self.noise[:, :, None, None]
        scale = factor * (recipe.noise if own is None else own)
        yield state
        for unit in islice(noise, 1 if recipe.noise_of == "arrival" else 0, None):
            state = state + recipe.step_seconds * self.velocity(state) + scale * unit
            yield state

    def velocity(self, state: Array) -> Array:
        """Return x' and y' without noise, for a state (people, runs, 2, regions), per second."""
        people, runs, _, regions = state.shape
        a, speed = self.bifurcation, 2 * np.pi * self.frequency[:, None, None]
        a = a[:, None, None] if a.ndim == 2 else a[:, :, None]
        growth = a - np.square(state).sum(axis=2, keepdims=True)
        turned = state[:, :, ::-1] * np.array([[-1.0], [1.0]], state.dtype)  # (-y, x)
        rows = state.reshape(people, 2 * runs, regions)
        arriving = (rows @ self.weights.transpose(0, 2, 1)).reshape(state.shape)
        leaving = self.weights.sum(axis=2)[:, None, None] * state
        coupling = self.coupling[:, :, None, None]
        velocity: Array = growth * state + speed * turned + coupling * (arriving - leaving)
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
    >>> series.shape, float(series.std().round(1))  # of an oscillation of amplitude 1
    ((1, 1, 2, 180), 0.7)
    """
    recipe = network.recipe
    states = every(network.states(initial, noise), recipe.steps_a_frame, recipe.frames)
    return states[:, :, 0, :, -recipe.kept :]
