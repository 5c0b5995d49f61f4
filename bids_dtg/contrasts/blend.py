"""A blend: the weighed sum of two models' maps, a weight a contrast and model.

Local ridge and a network know partly different things of a person; what each is worth is a
regression of measured on predicted deviations over people whom neither was fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts import local_ridge_kind
from bids_dtg.contrasts.kind import FitPlan, FitRecord, FitTask, Fitted, Processor
from bids_dtg.contrasts.network import kind as network_kind
from bids_dtg.contrasts.people import MapModel, predicted_maps
from bids_dtg.files.tensors import TensorFile
from bids_dtg.imaging.places import Places
from bids_dtg.settings import ModellingOptions

Maps = NDArray[np.floating[Any]]

NETWORK_PREFIX = "network."  # of the network's tensors; those of local ridge have their own
_WEIGHTS = "blend.weights"


@dataclass(frozen=True, eq=False)
class BlendRecord:
    """How the models of a blend were fitted, and what each is worth."""

    ridge: FitRecord  # of local ridge
    network: FitRecord  # of the network
    weights: NDArray[np.float32]  # (2, contrasts), of local ridge and the network

    def to_json(self) -> dict[str, Any]:
        """Return both models' keys of a card's record, and the key `blend`."""
        ridge, network = self.weights.tolist()
        worth = {"blend": {"local_ridge": ridge, "network": network}}
        return self.ridge.to_json() | self.network.to_json() | worth


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
    for model_maps, weight in zip(maps, weights, strict=True):
        total += weight[:, None] * model_maps
    return total


class BlendSums:
    """What the weights need of the held-out people, added up person by person.

    A measured value that is NaN counts nowhere, and no model's prediction of it does.
    """

    def __init__(self) -> None:
        self.people = 0
        self._count: NDArray[np.int32] = np.zeros(0, np.int32)  # (contrasts, voxels)
        self._sums: NDArray[np.float64] = np.zeros(0)  # (models + 1, contrasts, voxels)
        self._products: NDArray[np.float64] = np.zeros(0)  # (contrasts, models + 1, models + 1)

    def add(self, predicted: Sequence[Maps], measured: Maps) -> None:
        """Add a person whom no model was fitted on.

        Parameters
        ----------
        predicted
            Maps of each model, (contrasts, voxels).
        measured
            (contrasts, voxels), NaN where nothing was measured.

        Raises
        ------
        ValueError
            If the shapes differ, from each other or from those of earlier people.
        """
        everything = (*predicted, measured)
        shapes = {np.shape(maps) for maps in everything}
        stacked = (
            np.stack([np.asarray(maps, np.float64) for maps in everything])
            if (len(shapes) == 1)
            else np.zeros(0)
        )
        if stacked.ndim != 3 or (self.people and stacked.shape != self._sums.shape):
            raise ValueError(f"maps are (contrasts, voxels), the same for all; found {shapes}")
        known = np.isfinite(stacked[-1])
        stacked = np.where(known, stacked, 0.0)
        if not self.people:
            self._count = np.zeros(known.shape, np.int32)
            self._sums = np.zeros_like(stacked)
            self._products = np.zeros((stacked.shape[1], len(stacked), len(stacked)))
        self.people += 1
        self._count += known
        self._sums += stacked
        self._products += np.einsum("aqv,bqv->qab", stacked, stacked, optimize=True)

    def weights(self) -> NDArray[np.float32]:
        """Return the weights, (models, contrasts): least squares, none below 0.

        Deviations are from the means of the people who have a voxel. A contrast that nobody has
        gets 0 for all models.

        Raises
        ------
        ValueError
            If there are fewer than two people.
        """
        if self.people < 2:
            raise ValueError(f"a blend needs at least 2 people, found {self.people}")
        means = self._sums / np.maximum(self._count, 1)
        covariance = self._products - np.einsum("aqv,bqv->qab", means, self._sums, optimize=True)
        # What rounding leaves of equal predictions is no deviation.
        squares = np.diagonal(self._products, axis1=1, axis2=2)
        varies = np.diagonal(covariance, axis1=1, axis2=2) > 1e-12 * squares
        covariance *= varies[:, :, None] & varies[:, None, :]
        weights = [_not_negative(of_contrast) for of_contrast in covariance]
        return np.stack(weights, axis=1).astype(np.float32)


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


def tensors_of(
    ridge: Mapping[str, NDArray[Any]],
    network: Mapping[str, NDArray[Any]],
    weights: NDArray[np.float32],
) -> dict[str, NDArray[Any]]:
    """Return the tensors of a bundle from those of both models; weights are (2, contrasts)."""
    named = {NETWORK_PREFIX + name: tensor for name, tensor in network.items()}
    return {**ridge, **named, _WEIGHTS: np.asarray(weights, np.float32)}


def channels(weights: TensorFile) -> tuple[int, int]:
    """Return how many ROIs both models read and how many maps they predict."""
    network = network_kind.channels(weights.below(NETWORK_PREFIX))
    ridge = local_ridge_kind.channels(weights)
    if network != ridge:
        raise weights.error(f" blends models of {network} and {ridge} ROIs and maps")
    return network


def read_blend_weights(weights: TensorFile, contrasts: int) -> NDArray[np.float32]:
    """Read what local ridge and the network are worth, (2, contrasts)."""
    found = weights.below(_WEIGHTS).read().get("", np.zeros(0))
    if found.shape != (2, contrasts):
        raise weights.error(f": {_WEIGHTS} is {found.shape}", expected=f"{(2, contrasts)} numbers")
    return found.astype(np.float32)


def check(weights: TensorFile, places: Places) -> None:
    """Read both models and their weights."""
    network_kind.check(weights.below(NETWORK_PREFIX), places)
    read_blend_weights(weights, len(local_ridge_kind.read_ridge(weights, places).mean_maps))


def prepare(weights: TensorFile, places: Places, processor: Processor) -> MapModel:
    """Read both models and prepare the network."""
    network = network_kind.prepare(weights.below(NETWORK_PREFIX), places, processor)
    ridge = local_ridge_kind.read_ridge(weights, places)
    return Blend((ridge, network), read_blend_weights(weights, len(ridge.mean_maps)))


def check_machine(options: ModellingOptions) -> None:
    """Check what both models need."""
    local_ridge_kind.check_machine(options)
    network_kind.check_machine(options)


def check_plan(plan: FitPlan) -> None:
    """Check that both models can be fitted to these people."""
    network_kind.check_plan(plan)
    local_ridge_kind.check_plan(plan)


def fit(task: FitTask) -> Fitted:
    """Fit local ridge, train the network, and find on the validation people what each is worth."""
    ridge, network = local_ridge_kind.fit(task), network_kind.fit(task)
    sums = BlendSums()
    for person in task.validation:
        both = [predicted_maps(fitted.model, person) for fitted in (ridge, network)]
        sums.add(both, person.maps)
    weights = sums.weights()
    return Fitted(
        model=Blend((ridge.model, network.model), weights),
        tensors=tensors_of(ridge.tensors, network.tensors, weights),
        record=BlendRecord(ridge.record, network.record, weights),
    )
