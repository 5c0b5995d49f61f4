"""The kind linear: fitted to people, or read from tensors.

It needs no validation people: gains are found with each training person left out in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.fields import finite_or_none
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.half_width import block_edge
from bids_dtg.contrasts.linear import LinearModel, fit_people
from bids_dtg.contrasts.people import FittedModel, MapModel, Person
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.errors import DatasetError
from bids_dtg.files.tensors import TensorFile
from bids_dtg.imaging.places import Places
from bids_dtg.notices import counted
from bids_dtg.settings import ModellingOptions, Settings

FEWEST_PEOPLE = 5
_PREFIX = "linear."  # of the tensors' names
_MAPPED = ("means", "weights")  # large tensors, which stay in the file


def channels(weights: TensorFile) -> tuple[int, int]:
    """Return how many ROIs the model reads and how many maps it predicts."""
    contrasts, rois = weights.below(_PREFIX).shape("coefficients", axes=2)
    return rois, contrasts


def read(weights: TensorFile, places: Places) -> LinearModel:
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


def prepare(weights: TensorFile, places: Places, *_processor: object) -> MapModel:
    """Read the model; it computes on the CPU, whatever the device."""
    return read(weights, places)


def check(options: ModellingOptions, training: int, *_others: object) -> None:
    """Check, before anybody's data are read, that there are enough people.

    Raises
    ------
    DatasetError
        There are too few.
    """
    if training < FEWEST_PEOPLE:
        raise DatasetError(
            f"{counted(training, 'training participant')}: too few for a linear model",
            expected=f"{FEWEST_PEOPLE} or more",
            remedy="scan more people",
        )


def fit(
    people: tuple[Sequence[Person], Sequence[Person]],
    places: Places,
    form: Form,
    settings: Settings,
    folder: Path,
    report: Callable[[str], None],
) -> FittedModel:
    """Fit training people one after the other, and find gains with each left out in turn.

    Raises
    ------
    DatasetError
        There are too few people.
    """
    training, _ = people
    check(settings.modelling, len(training))
    lattice = places.lattice(block_edge(places.spacing_mm))
    sets = form.sets or (training[0].connectomes.shape[1],)
    found = fit_people(training, sets, lattice)
    report(
        f"linear: {counted(len(training), 'participant')} fitted, each left out in turn; "
        f"shrinkage {found.strength:.3g}"
    )
    minutes, strength = round(found.minutes, 2), round(found.strength, 4)
    facts = {"sets": sets, "participants": len(training), "minutes": finite_or_none(minutes)}
    return FittedModel(
        kind="linear",
        model=found.model,
        tensors=tensors_of(found.model),
        record={"linear": facts | {"strength": strength}},
        correction=Correction(found.gains.astype(np.float32), found.mean_maps.astype(np.float32)),
        left_out_in_turn=True,
        half_widths=found.half_widths,
        words=_words(sets, minutes, strength),
    )


def tensors_of(model: LinearModel) -> dict[str, NDArray[Any]]:
    """Return the tensors of a bundle."""
    return {_PREFIX + name: tensor for name, tensor in model.tensors().items()}


def _words(sets: Collection[int], minutes: float, strength: float) -> str:
    """Describe the fit for the page, in a sentence.

    Examples
    --------
    >>> _words((15, 50), 90.0, 6.4)
    'The model is the mean over sets of 15 and 50 ROIs; 90 minutes of rest, shrinkage 6.4.'
    """
    *first, last = map(str, sets)
    of_sets = f"the mean over sets of {', '.join(first)} and {last}" if first else f"of {last}"
    return f"The model is {of_sets} ROIs; {minutes:.4g} minutes of rest, shrinkage {strength:.3g}."
