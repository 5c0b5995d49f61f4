"""Read a measured map at given places; maps of several runs are combined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import UnusableMapError
from bids_dtg.inputs.statmaps import Statistic, StatMap
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


Array = NDArray[np.float32]


def inverse_variance(effects: Sequence[Array], variances: Sequence[Array]) -> tuple[Array, Array]:
    """Weight the effects of runs by their inverse variance, as a fixed-effects analysis does.

    Parameters
    ----------
    effects, variances
        (places,) each, a run each; variances in the squared unit of the effects.

    Returns
    -------
    Effect and its variance, (places,); NaN where a run has no effect or no positive variance.

    Examples
    --------
    >>> import numpy as np
    >>> effect, variance = inverse_variance(
    ...     [np.float32([1.0]), np.float32([4.0])], [np.float32([1.0]), np.float32([2.0])])
    >>> round(float(effect[0]), 3), round(float(variance[0]), 3)
    (2.0, 0.667)
    """
    values, spread = np.stack(effects).astype(np.float64), np.stack(variances).astype(np.float64)
    weights = 1.0 / np.where((spread > 0) & np.isfinite(values), spread, np.nan)
    total = weights.sum(axis=0)
    effect = (weights * values).sum(axis=0) / total
    return effect.astype(np.float32), (1.0 / total).astype(np.float32)


def sum_of_z(values: Sequence[Array]) -> Array:
    """Add up the z of n independent runs and divide by √n (Stouffer): a z again.

    Parameters
    ----------
    values
        (places,) each, a run each; t of many degrees of freedom are as good as z.

    Returns
    -------
    (places,); NaN where a run has no value.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(sum_of_z([np.float32([3.0]), np.float32([1.0])])[0]), 3)
    2.828
    """
    combined: Array = (np.sum(values, axis=0) / np.sqrt(len(values))).astype(np.float32)
    return combined
