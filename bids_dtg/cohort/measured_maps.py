"""Read a measured map at given places; maps of several runs are combined."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import UnusableMapError
from bids_dtg.imaging.places import Places
from bids_dtg.inputs.statmaps import Statistic, StatMap
from bids_dtg.stats.fixed_effects import inverse_variance, sum_of_z
from bids_dtg.stats.map_checks import LARGEST_VALUE, largest_value, too_large


def read_measured(statmap: StatMap, statistic: Statistic, places: Places) -> NDArray[np.float32]:
    """Read a measured map, combined over its runs at places where all of them have a value.

    Returns
    -------
    (places,), NaN where a file has no value.

    Raises
    ------
    RunError
        A file cannot be used.
    """
    paths, combination = statmap.sources(statistic), statmap.combination(statistic)
    read = [places.read(path) for path in paths]
    for number, (path, values) in enumerate(zip(paths, read, strict=True)):
        # The second half are variances, which are squares.
        squared = combination == "inverse variance" and number >= len(paths) // 2
        if why := too_large(largest_value(values), LARGEST_VALUE ** (1 + squared)):
            raise UnusableMapError(f"of {path.name}: {why}")
    match combination:
        case "inverse variance":
            half = len(read) // 2
            effect, variance = inverse_variance(read[:half], read[half:])
            if statistic == "effect":
                return effect
            z: NDArray[np.float32] = (effect / np.sqrt(variance)).astype(np.float32)
            return z
        case "sum of z":
            return sum_of_z(read)
        case _:
            mean: NDArray[np.float32] = np.mean(read, axis=0)
            return mean
