"""Steps of stochastic simulations: their unit noise, its scaling, and frames from states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# How the noise depends on the step. "step": the published code adds noise of the same standard
# deviation in every step, however long. "root-time": it grows with the square root of the step,
# as a diffusion does; at the published step, both are the same.
NoiseScaling = Literal["step", "root-time"]

_DRAWN_AT_ONCE = 100  # steps: few calls of the generators, and little memory


def noise_factor(scaling: NoiseScaling, step_seconds: float, published_seconds: float) -> float:
    """Return the factor of the noise that the published code adds in a step.

    Raises
    ------
    ValueError
        The scaling is unknown.

    Examples
    --------
    >>> noise_factor("step", 0.01, 0.02), round(noise_factor("root-time", 0.01, 0.02), 3)
    (1.0, 0.707)
    """
    if scaling == "step":
        return 1.0
    if scaling == "root-time":
        return float(np.sqrt(step_seconds / published_seconds))
    raise ValueError(f"noise is scaled by step or root-time, not {scaling!r}")


def unit_noise(
    rngs: Sequence[Sequence[np.random.Generator]], shape: tuple[int, ...]
) -> Iterator[Array]:
    """Yield standard normal noise, one step at a time, without end.

    Parameters
    ----------
    rngs
        A generator for each person and run, (people, runs): the noise of one does not depend on
        how many others are simulated.
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
        drawn = [[rng.standard_normal((_DRAWN_AT_ONCE, *shape)) for rng in row] for row in rngs]
        yield from np.moveaxis(np.array(drawn), 2, 0)


def every(states: Iterable[Array], steps: int, frames: int) -> Array:
    """Return every n-th state, from the first; frames become the last axis.

    Raises
    ------
    ValueError
        There are too few states.

    Examples
    --------
    >>> every(iter(np.arange(10.0)), steps=3, frames=3)
    array([0., 3., 6.])
    """
    kept = list(islice(states, 0, steps * frames, steps))
    _check_length(len(kept), frames)
    return np.stack(kept, axis=-1)


def _check_length(found: int, wanted: int) -> None:
    if found < wanted:
        raise ValueError(f"the noise is enough for {found} frames of {wanted}")
