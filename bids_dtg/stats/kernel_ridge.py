"""Kernel ridge: whole maps from whole connectomes, by how alike people's connectomes are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # to choose from


class KernelRidge:
    """Ridge regression of maps on connectomes in its dual form, with a linear kernel.

    It is principal-component regression with soft shrinkage: the whole brain informs
    every voxel, and the number of coefficients is that of the people.

    Parameters
    ----------
    connectomes
        Of training people, each (rois, voxels); memory-mapped, if large.
    maps
        Measured, each (contrasts, voxels), without NaN.
    penalty
        Relative to the mean of the kernel's diagonal.
    """

    def __init__(
        self, connectomes: Sequence[NDArray[Any]], maps: Sequence[NDArray[Any]], penalty: float
    ) -> None:
        if len(connectomes) != len(maps) or len(maps) < 2:
            raise ValueError("kernel ridge needs connectomes and maps of 2 people or more")
        self._connectomes, self._maps = connectomes, maps
        total = np.zeros(maps[0].shape)
        for own in maps:
            total += own
        self.mean_maps: Array = (total / len(maps)).astype(np.float32)
        self._dual = _Dual(inner_products(connectomes, connectomes), penalty)

    def predict(self, connectome: NDArray[np.floating[Any]]) -> Array:
        """Predict the maps (contrasts, voxels) of a connectome (rois, voxels)."""
        weights = self._dual.weights(inner_products(self._connectomes, [connectome])[:, 0])
        maps = self.mean_maps * np.float32(1 - weights.sum())
        for weight, own in zip(weights, self._maps, strict=True):
            maps += np.float32(weight) * own
        return maps


class _Dual:
    """The solved dual form: from inner products with training people to their weights."""

    def __init__(self, gram: NDArray[np.float64], penalty: float) -> None:
        self._means, self._total = gram.mean(axis=0), float(gram.mean())
        kernel = gram - self._means - self._means[:, None] + self._total
        ridge = penalty * np.trace(kernel) / len(kernel)
        self._inverse = np.linalg.inv(kernel + ridge * np.eye(len(kernel)))

    def weights(self, products: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weights of training people's deviations from their mean maps."""
        weights: NDArray[np.float64] = (
            products - self._means - products.mean() + self._total
        ) @ self._inverse
        return weights


def choose_penalty(
    gram: NDArray[np.float64],
    map_products: NDArray[np.float64],
    families: NDArray[np.integer[Any]] | None = None,
    penalties: Sequence[float] = PENALTIES,
) -> float:
    """Choose the penalty by the error for people, or families, who are left out of the fit.

    Closed form: nothing is fitted again.

    Parameters
    ----------
    gram
        (people, people), `inner_products` of the connectomes of two people or more.
    map_products
        (people, people), `inner_products` of their maps, or of what these deviate from any map.
    families
        A number for each person; people of one number are left out together. None, or one family
        alone: each person is.
    penalties
        To choose from, as of `KernelRidge`.

    Returns
    -------
    The penalty with the smallest squared error; of equal ones the largest.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((30, 5))
    >>> choose_penalty(x @ x.T, x[:, :1] @ x[:, :1].T)  # the maps are known from rest
    0.01
    """
    people = len(gram)
    if families is None or len(np.unique(families)) < 2:
        families = np.arange(people)
    means = gram.mean(axis=0)
    values, vectors = np.linalg.eigh(gram - means - means[:, None] + gram.mean())
    groups = [np.flatnonzero(families == family) for family in np.unique(families)]
    errors = []
    for penalty in penalties:
        ridge = penalty * values.sum() / people
        # What the fit on everybody leaves of the maps, (people, people).
        left = (vectors * (ridge / (np.maximum(values, 0.0) + ridge))) @ vectors.T - 1 / people
        error = 0.0
        for group in groups:
            own = np.linalg.solve(left[np.ix_(group, group)], left[group])
            error += float(np.einsum("ij,jk,ik->", own, map_products, own))
        errors.append(error)
    least = min(errors) + 1e-9 * abs(min(errors))
    return max(p for p, error in zip(penalties, errors, strict=True) if error <= least)


def leave_one_out_weights(
    gram: NDArray[np.float64],
    penalty: float | Sequence[float],
    families: NDArray[np.integer[Any]] | None = None,
) -> NDArray[np.float64]:
    """Return the weights of people's maps in the prediction for each, fitted on all the others.

    Parameters
    ----------
    gram
        (people, people), `inner_products` of three people or more with each other.
    penalty
        As of `KernelRidge`; or one for each predicted person.
    families
        (people,), number of each person's family, two or more: relatives are left out together.
        None: everybody is of a family of their own.

    Returns
    -------
    (people, people), a row a predicted person; rows add up to 1, those of one family are 0.

    Examples
    --------
    >>> import numpy as np
    >>> weights = leave_one_out_weights(np.eye(3) + 1.0, 1.0)
    >>> bool(np.allclose(np.diag(weights), 0.0))
    True
    """
    people = len(gram)
    penalties = np.broadcast_to(penalty, people)
    of = np.arange(people) if families is None else families
    found = np.zeros((people, people))
    for n in range(people):
        others = np.flatnonzero(of != of[n])
        own = _Dual(gram[np.ix_(others, others)], penalties[n]).weights(gram[others, n])
        found[n, others] = own + (1 - own.sum()) / len(others)
    return found


def inner_products(
    some: Sequence[Any] | NDArray[Any],
    others: Sequence[Any] | NDArray[Any],
    *,
    slab_bytes: int = 1 << 26,
) -> NDArray[np.float64]:
    """Return the inner products of people's connectomes or maps, a slab of voxels at a time.

    Parameters
    ----------
    some, others
        People's connectomes, each (rois, voxels), or maps; memory-mapped, if large, or anything
        with a shape that gives an array for `[:, start:stop]`.
    slab_bytes
        Memory for what is worked on at once.

    Returns
    -------
    (some, others)

    Examples
    --------
    >>> import numpy as np
    >>> people = np.eye(2, dtype=np.float32)[:, None]  # (people, rois, voxels)
    >>> inner_products(people, people)
    array([[1., 0.],
           [0., 1.]])
    """
    rois, voxels = some[0].shape
    step = max(1, slab_bytes // (4 * rois * (len(some) + len(others))))
    total = np.zeros((len(some), len(others)))
    for start in range(0, voxels, step):
        slab = slice(start, start + step)
        a, b = (
            np.stack([np.asarray(person[:, slab], np.float32).ravel() for person in people])
            for people in (some, others)
        )
        total += a @ b.T
    return total
