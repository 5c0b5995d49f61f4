"""Parcel means of maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def parcel_means(
    maps: NDArray[np.floating], labels: NDArray[np.integer], parcels: Sequence[int]
) -> NDArray[np.float64]:
    """Average maps within parcels.

    Parameters
    ----------
    maps
        (contrasts, voxels).
    labels
        (voxels,) parcel of each voxel; labels that are not asked for are left out.
    parcels
        Labels that are asked for.

    Returns
    -------
    (contrasts, parcels); NaN for a parcel without a voxel.

    Examples
    --------
    >>> import numpy as np
    >>> maps = np.array([[1.0, 3.0, 5.0, 9.0]], dtype=np.float32)
    >>> parcel_means(maps, np.array([1, 1, 2, 0]), np.array([1, 2]))
    array([[2., 5.]])
    """
    if labels.shape != maps.shape[1:]:
        raise ValueError(f"labels {labels.shape} do not fit maps {maps.shape}")
    wanted = np.asarray(parcels)
    order = np.argsort(wanted)
    nearest = np.searchsorted(wanted, labels, sorter=order).clip(max=len(wanted) - 1)
    position = np.where(wanted[order[nearest]] == labels, order[nearest], len(wanted))
    counts = np.bincount(position, minlength=len(wanted) + 1)
    sums = np.stack([np.bincount(position, row, minlength=len(wanted) + 1) for row in maps])
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = sums[:, : len(wanted)] / counts[: len(wanted)]
    return means
