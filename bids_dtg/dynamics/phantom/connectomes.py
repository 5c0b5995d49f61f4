"""Synthetic structural connectomes for simulations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.networks import normalised
from bids_dtg.phantom.regions import draw_positions, region_names

Array = NDArray[np.float32]
_Exact = NDArray[np.float64]

# Chosen to resemble 40 people's measured connectomes of 68 regions, in which 52 % of the pairs are
# connected, a region's weights sum to 1.2 on average, the logarithms of weights have a standard
# deviation of 2.3, and two people's weights correlate by 0.94. Here: 0.9, 1.7 and 0.88.
_CONNECTED = 0.52
_FALL_MM = 14.0  # distance over which weights fall by a factor e
_GROUP_SD = 0.5  # of log weights: common to all people, besides the distance
_OWN_SD = 0.35  # of log weights: between people


def simulate_weights(
    people: int, regions: int, rng: np.random.Generator
) -> tuple[Array, _Exact, tuple[str, ...]]:
    """Draw structural connectomes of people, over regions in two mirrored hemispheres.

    Weights fall with the distance between regions, and vary between pairs and between people by
    log-normal factors. Each person's weakest pairs are not connected.

    Returns
    -------
    weights
        (people, regions, regions), each person's largest 1: symmetric, with zeros in the diagonal.
    positions
        (regions, 3), mm, x from left to right: the left hemisphere first, then the right one.
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


def _symmetric(rng: np.random.Generator, shape: tuple[int, ...], sd: float) -> _Exact:
    drawn = np.triu(rng.normal(0.0, sd, shape), 1)
    symmetric: _Exact = drawn + np.swapaxes(drawn, -1, -2)
    return symmetric
