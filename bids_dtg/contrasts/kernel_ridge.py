"""Kernel ridge: whole maps from whole connectomes, by how alike people's connectomes are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
_SLAB = 1 << 13  # voxels that are worked on at once


class KernelRidge:
    """Ridge regression of maps on connectomes in its dual form, with a linear kernel.

    It is principal-component regression with soft shrinkage: the whole brain tells about
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
        for one in maps:
            total += one
        self.mean_maps: Array = (total / len(maps)).astype(np.float32)
        gram = self._products(connectomes)
        self._means = gram.mean(axis=0)
        self._total = float(gram.mean())
        kernel = gram - self._means - self._means[:, None] + self._total
        ridge = penalty * np.trace(kernel) / len(kernel)
        self._inverse = np.linalg.inv(kernel + ridge * np.eye(len(kernel)))

    def predict(self, connectome: NDArray[np.floating[Any]]) -> Array:
        """Predict the maps (contrasts, voxels) of a connectome (rois, voxels)."""
        products = self._products([connectome])[:, 0]
        own = products - self._means - products.mean() + self._total
        weights = own @ self._inverse
        maps = self.mean_maps * np.float32(1 - weights.sum())
        for weight, one in zip(weights, self._maps, strict=True):
            maps += np.float32(weight) * one
        return maps

    def _products(self, others: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """Return the inner products of the training connectomes with others, a slab at a time."""
        total = np.zeros((len(self._connectomes), len(others)))
        for start in range(0, self._connectomes[0].shape[1], _SLAB):
            slab = slice(start, start + _SLAB)
            a, b = (
                np.stack([np.asarray(one[:, slab], np.float32).ravel() for one in people])
                for people in (self._connectomes, others)
            )
            total += a @ b.T
        return total
