"""A blend: the weighted sum of several models' maps, with a weight for each contrast and model.

Models of several kinds predict partly different things about a person. Their weights come from a
regression of measured on predicted deviations, over people outside all training sets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts import linear_kind, local_ridge_kind
from bids_dtg.contrasts.kind import FitPlan, FitRecord, FitTask, Fitted, KindModule, Processor
from bids_dtg.contrasts.network import kind as network_kind
from bids_dtg.contrasts.people import MapModel, predicted_maps
from bids_dtg.errors import DatasetError
from bids_dtg.files.tensors import TensorFile
from bids_dtg.imaging.places import Places, VoxelPlaces
from bids_dtg.notices import counted
from bids_dtg.settings import ModellingOptions

Maps = NDArray[np.floating[Any]]

NETWORK_PREFIX = "network."  # of the network's tensors; those of the others have their own
_WEIGHTS = "blend.weights"


@dataclass(frozen=True)
class Part:
    """A kind of model that may be part of a blend."""

    name: str  # in records
    module: KindModule  # what fits, reads and prepares it
    begins: str  # prefix of its tensors' names in a blend
    prefix: str = ""  # prefix that a blend adds to its own names
    needs_grid: bool = False  # whether it predicts only at voxels of a grid
    fewest: int = 1  # people that it can be fitted to

    def fits(self, places: Places, people: int) -> bool:
        """Return whether it can be fitted to so many people at places."""
        return people >= self.fewest and (isinstance(places, VoxelPlaces) or not self.needs_grid)


# In the order of the weights' rows.
PARTS = (
    Part("local_ridge", local_ridge_kind, "ridge."),
    Part("network", network_kind, NETWORK_PREFIX, prefix=NETWORK_PREFIX, needs_grid=True),
    Part("linear", linear_kind.WHOLE_BRAIN, "linear.", fewest=linear_kind.FEWEST_PEOPLE),
)


@dataclass(frozen=True, eq=False)
class BlendRecord:
    """How the models of a blend were fitted, and their weights."""

    models: Mapping[str, FitRecord]  # by name of the part
    weights: NDArray[np.float32]  # (models, contrasts)

    def to_json(self) -> dict[str, Any]:
        """Return the keys of all models' records, and the key `blend`."""
        record: dict[str, Any] = {}
        for model in self.models.values():
            record |= model.to_json()
        return record | {"blend": dict(zip(self.models, self.weights.tolist(), strict=True))}


@dataclass(frozen=True, eq=False)
class Blend:
    """Models and their weights; re-centring handles the mean maps."""

    models: tuple[MapModel, ...]
    weights: NDArray[np.float32]  # (models, contrasts)

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or len(self.weights) != len(self.models):
            raise ValueError(
                f"weights are ({len(self.models)}, contrasts), found {self.weights.shape}"
            )

    def predict(self, connectome: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn a connectome (rois, voxels) into the weighted sum of the models' maps."""
        return blended([model.predict(connectome) for model in self.models], self.weights)


def blended(maps: Sequence[Maps], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weighted sum of maps (contrasts, voxels), one of each model.

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
    """Sums over held-out people from which the weights are solved, added up person by person.

    Values that were not measured (NaN) are not counted, nor are the predictions there.
    """

    def __init__(self) -> None:
        self.people = 0
        self._count: NDArray[np.int32] = np.zeros(0, np.int32)  # (contrasts, voxels)
        self._sums: NDArray[np.float64] = np.zeros(0)  # (models + 1, contrasts, voxels)
        self._products: NDArray[np.float64] = np.zeros(0)  # (contrasts, models + 1, models + 1)

    def add(self, predicted: Sequence[Maps], measured: Maps) -> None:
        """Add a person outside the training sets of all models.

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

        Deviations are from the mean over people measured at a voxel. A contrast that nobody has
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
        # Rounding errors of equal predictions do not count as deviations.
        squares = np.diagonal(self._products, axis1=1, axis2=2)
        varies = np.diagonal(covariance, axis1=1, axis2=2) > 1e-12 * squares
        covariance *= varies[:, :, None] & varies[:, None, :]
        weights = [_not_negative(of_contrast) for of_contrast in covariance]
        return np.stack(weights, axis=1).astype(np.float32)


def _not_negative(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve for non-negative weights (models,): leave out models with negative ones."""
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
    models: Mapping[str, Mapping[str, NDArray[Any]]], weights: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """Return the tensors of a bundle.

    Parameters
    ----------
    models
        Tensors of each model, by the name of its part, in the order of `PARTS`.
    weights
        Weights of the models' maps, (models, contrasts).
    """
    prefixes = {part.name: part.prefix for part in PARTS}
    named = {
        prefixes[model] + name: tensor
        for model, tensors in models.items()
        for name, tensor in tensors.items()
    }
    return {**named, _WEIGHTS: np.asarray(weights, np.float32)}


def parts_of(weights: TensorFile) -> tuple[Part, ...]:
    """Return the models in a file of weights, in the order of the weights' rows.

    Raises
    ------
    BundleError
        It has fewer than two.
    """
    names = weights.names()
    found = [part for part in PARTS if any(name.startswith(part.begins) for name in names)]
    if len(found) < 2:
        known = ", ".join(part.name for part in found) or "none"
        raise weights.error(f" blends too few models ({known})", expected="2 or more")
    return tuple(found)


def channels(weights: TensorFile) -> tuple[int, int]:
    """Return the numbers of ROIs and of maps, which all models share."""
    found = {
        part.name: part.module.channels(weights.below(part.prefix)) for part in parts_of(weights)
    }
    if len(set(found.values())) > 1:
        models = " and ".join(map(str, dict.fromkeys(found.values())))
        raise weights.error(f" blends models of {models} ROIs and maps")
    return next(iter(found.values()))


def rest_minutes(weights: TensorFile) -> tuple[float, ...]:
    """Return nothing: the model is the same for rest of any length."""
    return ()


def read_blend_weights(weights: TensorFile) -> NDArray[np.float32]:
    """Read the weights of the models, (models, contrasts)."""
    models, (_, contrasts) = len(parts_of(weights)), channels(weights)
    found = weights.below(_WEIGHTS).read().get("", np.zeros(0))
    if found.shape != (models, contrasts):
        raise weights.error(
            f": {_WEIGHTS} is {found.shape}", expected=f"{(models, contrasts)} numbers"
        )
    return found.astype(np.float32)


def check(weights: TensorFile, places: Places) -> None:
    """Read all models and their weights."""
    for part in parts_of(weights):
        part.module.check(weights.below(part.prefix), places)
    read_blend_weights(weights)


def prepare(weights: TensorFile, places: Places, processor: Processor) -> MapModel:
    """Read all models and prepare them."""
    models = tuple(
        part.module.prepare(weights.below(part.prefix), places, processor)
        for part in parts_of(weights)
    )
    return Blend(models, read_blend_weights(weights))


def check_machine(options: ModellingOptions) -> None:
    """Do nothing: the places decide which models are blended, and `check_plan` knows them."""


def check_plan(plan: FitPlan) -> None:
    """Check that all models can be fitted to these people on this machine."""
    for part in _parts_for(plan.space.places, plan.training):
        part.module.check_machine(plan.options)
        part.module.check_plan(dataclasses.replace(plan, options=_options(part, plan.options)))


def fit(task: FitTask) -> Fitted:
    """Fit each kind that the places allow, and solve for the weights on the validation people."""
    fitted = {
        part.name: part.module.fit(dataclasses.replace(task, options=_options(part, task.options)))
        for part in _parts_for(task.space.places, len(task.training))
    }
    sums = BlendSums()
    for person in task.validation:
        sums.add([predicted_maps(each.model, person) for each in fitted.values()], person.maps)
    weights = sums.weights()
    worth = ", ".join(
        f"{name} {of_contrasts.mean():.2f}"
        for name, of_contrasts in zip(fitted, weights, strict=True)
    )
    people = counted(sums.people, "validation participant")
    task.report(f"blend: weights of the models, mean over contrasts, from {people}: {worth}")
    return Fitted(
        model=Blend(tuple(each.model for each in fitted.values()), weights),
        tensors=tensors_of({name: one.tensors for name, one in fitted.items()}, weights),
        record=BlendRecord({name: one.record for name, one in fitted.items()}, weights),
    )


def _parts_for(places: Places, people: int) -> tuple[Part, ...]:
    """Return the models that can be blended at these places with so many people.

    Raises
    ------
    DatasetError
        There are fewer than two.
    """
    found = tuple(part for part in PARTS if part.fits(places, people))
    if len(found) < 2:
        raise DatasetError(
            f"{counted(people, 'training participant')}: too few for two models to be blended of",
            expected=f"{max(part.fewest for part in PARTS)} or more",
            remedy="train another --architecture",
        )
    return found


def _options(part: Part, options: ModellingOptions) -> ModellingOptions:
    """Return the options for a part's fit: sums of other sites are of local ridge."""
    if part.module is local_ridge_kind or not options.add_sums:
        return options
    return dataclasses.replace(options, add_sums=())
