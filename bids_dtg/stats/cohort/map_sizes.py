"""Whether the size of people's maps goes with what is tested: no permutation is fair then.

A group whose maps are twice as large as the others' has larger means by chance: permutations, which
spread the large maps over both groups, do not show it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.cohort.exchangeability import permutation_p

Floats = NDArray[np.float64]

LEVEL = 0.05  # p at which sizes count as going with what is tested
_VOXELS = 20_000  # at once
_FULL = 1e-9  # a person whose own column takes all of their map has no size


def residual_sizes(values: NDArray[np.floating[Any]], columns: Floats) -> Floats:
    """Return the log of the root mean square of what covariates leave of each person's map.

    What is tested stays in the maps: so sizes can be permuted like them. A strong effect over much
    of the map in the rarer of two groups counts as size, too.

    Parameters
    ----------
    values
        (people, voxels); a voxel with a value that is not finite does not count.
    columns
        (people, columns) of the covariates, with a constant.

    Returns
    -------
    (people,), each as if covariates had not been fitted to that person; NaN of one who has a
    column alone.

    Examples
    --------
    >>> maps = np.random.default_rng(0).standard_normal((6, 5000))
    >>> maps[3:] *= 2
    >>> np.exp(residual_sizes(maps, np.ones((6, 1)))).round(1)
    array([1.1, 1.1, 1.1, 1.9, 1.9, 1.9])
    """
    basis = _basis(columns)
    squares, voxels = np.zeros(len(values)), 0
    for start in range(0, values.shape[1], _VOXELS):
        block = np.asarray(values[:, start : start + _VOXELS], np.float64)
        block = block[:, np.isfinite(block).all(axis=0)]
        voxels += block.shape[1]
        squares += np.square(block - basis @ (basis.T @ block)).sum(axis=1)
    left = 1 - np.square(basis).sum(axis=1)
    known = (left > _FULL) & (squares > 0)
    mean = np.where(known, squares, 1.0) / (np.where(known, left, 1.0) * max(voxels, 1))
    return np.where(known, np.log(mean) / 2, np.nan)


def _basis(columns: Floats) -> Floats:
    """Return an orthonormal basis of columns that may depend on each other."""
    vectors, values, _ = np.linalg.svd(columns, full_matrices=False)
    basis: Floats = vectors[:, values > _FULL * values.max(initial=0.0)]
    return basis


def sizes_p(
    sizes: Floats, tested: Floats, others: Floats, orders: NDArray[np.integer[Any]]
) -> float:
    """Return the permuted p of sizes with a tested column, or with how far it is from its mean.

    Parameters
    ----------
    sizes
        (people,), from `residual_sizes`; who has none counts as a person of mean size.
    tested
        (people,), the tested column.
    others
        (people, columns), what else is in the model, with the constant.
    orders
        (draws, people), as `Permutations.orders`.

    Examples
    --------
    >>> from bids_dtg.stats.cohort.exchangeability import permutations
    >>> patient = np.repeat([1.0, 0.0], [10, 30])
    >>> orders = permutations(199, np.arange(40)).orders
    >>> sizes = patient + 0.5 * np.random.default_rng(0).standard_normal(40)
    >>> sizes_p(sizes, patient, np.ones((40, 1)), orders)
    0.005
    """
    # Sizes may go with how far covariates are from their means, too: that is the covariates' part.
    far = np.abs(others - others.mean(axis=0))
    basis = _basis(np.column_stack([others, far]))
    known = np.where(np.isnan(sizes), np.nanmean(sizes), sizes)
    left = known - basis @ (basis.T @ known)
    columns = [tested, np.abs(tested - tested.mean())]

    def largest(some: Floats) -> Floats:
        """Return the larger |r| of permuted sizes, (draws, people), with a column."""
        found = np.zeros(len(some))
        for column in columns:
            own = column - basis @ (basis.T @ column)
            length = float(np.linalg.norm(own))
            # Of two groups of one size everybody is as far from the mean: a column of nothing.
            if length > _FULL * max(float(np.linalg.norm(column)), 1.0):
                found = np.maximum(found, np.abs(some @ own) / length)
        return found

    return float(permutation_p(largest(left[None]), largest(left[orders]))[0])
