"""ROI maps of several sets that are combinations of those of one set.

Spatial ICA of more components turns more of the same principal components, so that maps of a
smaller set are combinations of the largest set's: sums with these are enough for all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Root mean square, and largest value, of what combinations leave of a map, as share of the map's.
_LEFT, _MOST_LEFT = 1e-5, 1e-4
_DEPENDENT = 1e-10  # an eigenvalue below this share of the largest is rounding
_PLACES = 4096  # at a time
_EVERY = 8  # of so many such parts, one serves to find the combinations


def combination(
    maps: NDArray[np.floating], sets: Sequence[int]
) -> tuple[slice, NDArray[np.float64]] | None:
    """Find the largest set of ROI maps, and how its maps make all others.

    Parameters
    ----------
    maps
        (rois, places), one set after the other.
    sets
        Numbers of ROIs of the sets.

    Returns
    -------
    Rows of the largest set, and (rois, rois of it): maps are these combinations of its maps, up to
    rounding. None: they are not, or there is one set.

    Examples
    --------
    >>> maps = np.random.default_rng(0).standard_normal((3, 50))
    >>> rows, combine = combination(np.vstack([maps[:1] - maps[2:], maps]), (1, 3))
    >>> rows, combine[0].round(6) + 0.0
    (slice(1, 4, None), array([ 1.,  0., -1.]))
    """
    if len(sets) < 2:
        return None
    largest = int(np.argmax(sets))
    first = sum(sets[:largest])
    rows = slice(first, first + sets[largest])
    products = np.zeros((len(maps), sets[largest]))
    for low in range(0, maps.shape[1], _EVERY * _PLACES):
        part = maps[:, low : low + _PLACES].astype(np.float64)
        products += part @ part[rows].T
    combine: NDArray[np.float64] = products @ np.linalg.pinv(
        products[rows], rcond=_DEPENDENT, hermitian=True
    )
    combine[rows] = np.eye(sets[largest])
    return (rows, combine) if _are_combined(maps, rows, combine) else None


def _are_combined(maps: NDArray[np.floating], rows: slice, combine: NDArray[np.float64]) -> bool:
    others = [number for number in range(len(maps)) if not rows.start <= number < rows.stop]
    weights = combine[others].astype(np.float32)
    total, left, largest, most = np.zeros((4, len(others)))
    for low in range(0, maps.shape[1], _PLACES):
        part = maps[:, low : low + _PLACES].astype(np.float32, copy=False)
        own = part[others]
        rest = own - weights @ part[rows]
        total += np.einsum("rv,rv->r", own, own)
        left += np.einsum("rv,rv->r", rest, rest)
        np.maximum(largest, np.abs(own, out=own).max(axis=1), out=largest)
        np.maximum(most, np.abs(rest, out=rest).max(axis=1), out=most)
    return bool((left <= _LEFT**2 * total).all() and (most <= _MOST_LEFT * largest).all())
