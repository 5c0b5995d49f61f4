"""A blend: the weighed sum of two models' maps, a weight a contrast and model.

Local ridge and a network know partly different things of a person; what each is worth is a
regression of measured on predicted deviations over people whom neither was fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Maps = NDArray[np.floating[Any]]


class MapModel(Protocol):
    """Anything that turns a connectome into maps."""

    def predict(self, connectome: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn a connectome (rois, voxels) into maps (contrasts, voxels)."""
        ...


@dataclass(frozen=True, eq=False)
class Blend:
    """Models and what each is worth; their mean maps are left to re-centring."""

    models: tuple[MapModel, ...]
    weights: NDArray[np.float32]  # (models, contrasts)

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or len(self.weights) != len(self.models):
            raise ValueError(
                f"weights are ({len(self.models)}, contrasts), found {self.weights.shape}"
            )

    def predict(self, connectome: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn a connectome (rois, voxels) into the weighed sum of the models' maps."""
        return blended([model.predict(connectome) for model in self.models], self.weights)


def blended(maps: Sequence[Maps], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sum of maps (contrasts, voxels), one a model, times weights.

    Examples
    --------
    >>> import numpy as np
    >>> maps = [np.ones((2, 3)), np.zeros((2, 3))]
    >>> blended(maps, np.array([[0.5, 1.0], [0.5, 0.0]]))
    array([[0.5, 0.5, 0.5],
           [1. , 1. , 1. ]], dtype=float32)
    """
    total: NDArray[np.float32] = np.zeros(maps[0].shape, np.float32)
    for one, weight in zip(maps, weights, strict=True):
        total += weight[:, None] * one
    return total


class BlendSums:
    """What the weights need of the held-out people, added up person by person."""

    def __init__(self) -> None:
        self.people = 0
        self._sums: NDArray[np.float64] = np.zeros(0)  # (models + 1, contrasts, voxels)
        self._products: NDArray[np.float64] = np.zeros(0)  # (contrasts, models + 1, models + 1)

    def add(self, predicted: Sequence[Maps], measured: Maps) -> None:
        """Add a person whom no model was fitted on.

        Parameters
        ----------
        predicted
            Maps of each model, (contrasts, voxels).
        measured
            (contrasts, voxels).

        Raises
        ------
        ValueError
            If the shapes differ, from each other or from those of earlier people.
        """
        shapes = {np.shape(one) for one in (*predicted, measured)}
        stacked = (
            np.stack([np.asarray(one, np.float64) for one in (*predicted, measured)])
            if (len(shapes) == 1)
            else np.zeros(0)
        )
        if stacked.ndim != 3 or (self.people and stacked.shape != self._sums.shape):
            raise ValueError(f"maps are (contrasts, voxels), the same for all; found {shapes}")
        if not self.people:
            self._sums = np.zeros_like(stacked)
            self._products = np.zeros((stacked.shape[1], len(stacked), len(stacked)))
        self.people += 1
        self._sums += stacked
        self._products += np.einsum("aqv,bqv->qab", stacked, stacked, optimize=True)

    def weights(self) -> NDArray[np.float32]:
        """Return the weights, (models, contrasts): least squares, none below 0.

        Raises
        ------
        ValueError
            If there are fewer than two people.
        """
        if self.people < 2:
            raise ValueError(f"a blend needs at least 2 people, found {self.people}")
        means = np.einsum("aqv,bqv->qab", self._sums, self._sums, optimize=True) / self.people
        covariance = self._products - means
        return np.stack([_not_negative(one) for one in covariance], axis=1).astype(np.float32)


def _not_negative(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve for weights (models,), leaving out whichever model would get one below 0."""
    gram, cross = covariance[:-1, :-1], covariance[:-1, -1]
    weights = np.zeros(len(cross))
    kept = np.flatnonzero(np.diagonal(gram) > 0)
    while len(kept):
        found = np.linalg.lstsq(gram[np.ix_(kept, kept)], cross[kept], rcond=None)[0]
        if (found >= 0).all():
            weights[kept] = found
            break
        kept = np.delete(kept, np.argmin(found))
    return weights
