"""Read a measured map at given places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import UnusableMapError
from bids_dtg.inputs.statmaps import Statistic, StatMap
from bids_dtg.stats.map_checks import LARGEST_VALUE, largest_value, too_large


def read_measured(
    statmap: StatMap, statistic: Statistic, read: Callable[[Path], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Read a measured map.

    Parameters
    ----------
    statmap, statistic
        The map, and what is wanted of it.
    read
        Reads a file at the places, as `Places.read`.

    Returns
    -------
    (places,), NaN where the file has no value.

    Raises
    ------
    RunError
        The file cannot be used.
    """
    path = statmap.files[statistic]
    values = read(path)
    if why := too_large(largest_value(values), LARGEST_VALUE):
        raise UnusableMapError(f"of {path.name}: {why}")
    return values
