"""Read a measured map at given places; maps of several runs are combined."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import UnusableMapError
from bids_dtg.inputs.statmaps import Statistic, StatMap
from bids_dtg.stats.fixed_effects import inverse_variance, sum_of_z
from bids_dtg.stats.map_checks import LARGEST_VALUE, largest_value, too_large


def read_measured(
    statmap: StatMap, statistic: Statistic, read: Callable[[Path], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Read a measured map, combined over its runs at places where all of them have a value.

    Parameters
    ----------
    statmap, statistic
        The map, and what is wanted of it.
    read
        Reads a file at the places, as `Places.read`.

    Returns
    -------
    (places,), NaN where a file has no value.

    Raises
    ------
    RunError
        A file cannot be used.
    """
    paths, combination = statmap.sources(statistic), statmap.combination(statistic)
    found = [read(path) for path in paths]
    for number, (path, values) in enumerate(zip(paths, found, strict=True)):
        # The second half are variances, which are squares.
        squared = combination == "inverse variance" and number >= len(paths) // 2
        if why := too_large(largest_value(values), LARGEST_VALUE ** (1 + squared)):
            raise UnusableMapError(f"of {path.name}: {why}")
    match combination:
        case "inverse variance":
            half = len(found) // 2
            effect, variance = inverse_variance(found[:half], found[half:])
            if statistic == "effect":
                return effect
            z: NDArray[np.float32] = (effect / np.sqrt(variance)).astype(np.float32)
            return z
        case "sum of z":
            return sum_of_z(found)
        case _:
            mean: NDArray[np.float32] = np.mean(found, axis=0)
            return mean
