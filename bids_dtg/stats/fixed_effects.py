"""Maps of several runs of a person put together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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
