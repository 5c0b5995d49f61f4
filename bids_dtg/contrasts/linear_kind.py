"""The kind linear: fitted to people, or read from tensors.

It needs no validation people: gains are found with each training person left out in turn.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.fields import finite_or_none
from bids_dtg.contrasts.kind import FitPlan, FitTask, Fitted, Processor
from bids_dtg.contrasts.linear import LinearModel, fit_people
from bids_dtg.contrasts.people import MapModel
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.errors import DatasetError
from bids_dtg.files.tensors import TensorFile
from bids_dtg.imaging.places import Places
from bids_dtg.notices import counted
from bids_dtg.settings import ModellingOptions
from bids_dtg.stats.half_width import block_edge

FEWEST_PEOPLE = 5
_PREFIX = "linear."  # of the tensors' names
_MAPPED = ("means", "weights")  # large tensors, which stay in the file


@dataclass(frozen=True)
class LinearRecord:
    """How a linear model was fitted."""

    sets: tuple[int, ...]  # numbers of ROIs
    participants: int  # each was left out in turn to find the last gains
    minutes: float  # of rest of all of them
    strength: float  # of the shrinkage of coefficients on all people's deviations

    def to_json(self) -> dict[str, Any]:
        """Return the key `linear` of a card's record."""
        facts = asdict(self) | {"minutes": finite_or_none(self.minutes)}
        return {"linear": facts}

    @property
    def words(self) -> str:
        """Describe the fit for the page, in a sentence.

        Examples
        --------
        >>> LinearRecord((15, 50), 9, 90.0, 6.4).words
        'The model is the mean over sets of 15 and 50 ROIs; 90 minutes of rest, shrinkage 6.4.'
        """
        *first, last = map(str, self.sets)
        sets = f"sets of {', '.join(first)} and {last}" if first else f"a set of {last}"
        mean = "the mean over " if first else "of "
        return (
            f"The model is {mean}{sets} ROIs; {self.minutes:.4g} minutes of rest, shrinkage "
            f"{self.strength:.3g}."
        )


def channels(weights: TensorFile) -> tuple[int, int]:
    """Return how many ROIs the model reads and how many maps it predicts."""
    contrasts, rois = weights.below(_PREFIX).shape("coefficients", axes=2)
    return rois, contrasts


def check(weights: TensorFile, places: Places) -> None:
    """Read the model."""
    read_linear(weights, places)


def prepare(weights: TensorFile, places: Places, processor: Processor) -> MapModel:
    """Read the model; it computes on the CPU, whatever the device."""
    return _OneThread(read_linear(weights, places))


def check_machine(options: ModellingOptions) -> None:
    """Do nothing: any machine can fit a linear model."""


def check_plan(plan: FitPlan) -> None:
    """Check that there are enough people.

    Raises
    ------
    DatasetError
        There are too few.
    """
    _require_enough(plan.training)


def fit(task: FitTask) -> Fitted:
    """Fit training people one after the other, and find gains with each left out in turn.

    Raises
    ------
    DatasetError
        There are too few people.
    """
    people, space = task.training, task.space
    _require_enough(len(people))
    lattice = space.places.lattice(block_edge(space.places.spacing_mm))
    found = fit_people(people, space.form.sets or (space.rois,), lattice)
    task.report(
        f"linear: {counted(len(people), 'participant')} fitted, each left out in turn; "
        f"shrinkage {found.strength:.3g}"
    )
    record = LinearRecord(
        found.model.sets, len(people), round(found.minutes, 2), round(found.strength, 4)
    )
    return Fitted(
        model=found.model,
        tensors=tensors_of(found.model),
        record=record,
        correction=Correction(found.gains.astype(np.float32), found.mean_maps.astype(np.float32)),
        half_widths=found.half_widths,
        words=record.words,
    )


@dataclass(frozen=True, eq=False)
class _OneThread:
    """A model that predicts by many small products, beside a process that reads."""

    model: LinearModel

    def predict(self, connectome: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn a connectome (rois, places) into deviations of maps (contrasts, places)."""
        with one_blas_thread():
            return self.model.predict(connectome)


def tensors_of(model: LinearModel) -> dict[str, NDArray[Any]]:
    """Return the tensors of a bundle."""
    return {_PREFIX + name: tensor for name, tensor in model.tensors().items()}


def read_linear(weights: TensorFile, places: Places) -> LinearModel:
    """Read the model for the places that it was fitted over.

    Raises
    ------
    BundleError
        Tensors are missing, damaged, or do not fit each other or the places.
    """
    held = weights.below(_PREFIX)
    try:
        return LinearModel.from_tensors(held.read(mapped=_MAPPED), places.number)
    except KeyError as err:
        raise weights.error(f" has no tensor {_PREFIX}{err.args[0]}") from err
    except ValueError as err:
        raise weights.error(f" does not fit the mask: {err}") from err


def _require_enough(training: int) -> None:
    if training < FEWEST_PEOPLE:
        raise DatasetError(
            f"{counted(training, 'training participant')}: too few for a linear model",
            expected=f"{FEWEST_PEOPLE} or more",
            remedy="scan more people",
        )
