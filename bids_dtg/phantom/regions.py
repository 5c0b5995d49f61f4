"""Names and places of simulated regions, in two mirrored hemispheres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_RADII_MM = np.array([62.0, 82.0, 58.0])  # of the ellipsoid on which regions lie
_LEAST_X_MM = 6.0  # from the plane between the hemispheres


def region_names(regions: int) -> tuple[str, ...]:
    """Return names of regions in two hemispheres.

    Raises
    ------
    ValueError
        The number of regions is odd, or smaller than 4.

    Examples
    --------
    >>> region_names(4)
    ('lh-r01', 'lh-r02', 'rh-r01', 'rh-r02')
    """
    if regions % 2 or regions < 4:
        raise ValueError(f"two hemispheres need an even number of regions from 4, not {regions}")
    return tuple(f"{side}-r{r:02d}" for side in ("lh", "rh") for r in range(1, regions // 2 + 1))


def draw_positions(hemisphere: int, rng: np.random.Generator) -> Array:
    """Draw places on the left half of an ellipsoid, and mirror them.

    Parameters
    ----------
    hemisphere
        How many regions each half has.
    rng
        Random generator of the phantom: the same state draws the same positions.

    Returns
    -------
    numpy.ndarray
        (regions, 3), mm around the centre of the brain, x from left to right: the left hemisphere
        first, then the right one.

    Examples
    --------
    >>> left, right = draw_positions(1, np.random.default_rng(0))
    >>> bool(left[0] < 0), (left + right)[0]
    (True, np.float64(0.0))
    """
    direction = rng.standard_normal((hemisphere, 3))
    left = _RADII_MM * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    left[:, 0] = -np.maximum(np.abs(left[:, 0]), _LEAST_X_MM)
    return np.concatenate([left, left * [-1.0, 1.0, 1.0]])
