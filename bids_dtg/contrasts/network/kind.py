"""The kind attention-unet: DeepTaskGen's network, trained on people or read from tensors.

torch and Lightning are imported only to train the network or to run it on a GPU.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.kind import CHECKPOINTS, FitPlan, FitTask, Fitted, Processor
from bids_dtg.contrasts.network.parameters import FIRST_WEIGHT, LAST_WEIGHT, Parameters
from bids_dtg.contrasts.network.prepared import lacks_memory
from bids_dtg.contrasts.network.prepared import prepare as prepare_network
from bids_dtg.contrasts.people import MapModel, Person
from bids_dtg.contrasts.plan import TrainingPlan, find_recipe, hinge_weight
from bids_dtg.contrasts.samples import PersonSamples, Sampling
from bids_dtg.errors import DatasetError, RunError, SettingsError
from bids_dtg.extras import require
from bids_dtg.files.tensors import TensorFile
from bids_dtg.imaging.places import Places, VoxelPlaces
from bids_dtg.notices import counted, named
from bids_dtg.settings import ModellingOptions

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class NetworkRecord:
    """How a network was trained: plan, people, learning curves, versions."""

    training: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the key `network` of a card's record."""
        return {"network": dict(self.training)}


def channels(weights: TensorFile) -> tuple[int, int]:
    """Return how many ROIs the network reads and how many maps it predicts."""
    first = weights.shape(FIRST_WEIGHT, axes=5)
    last = weights.shape(LAST_WEIGHT, axes=5)
    return first[1], last[0]


def read_parameters(weights: TensorFile) -> Parameters:
    """Read the network's parameters, without torch."""
    return Parameters.from_arrays(weights.read(), source=str(weights.path))


def check(weights: TensorFile, places: Places) -> None:
    """Read the network's parameters; they fit any voxels."""
    _mask(places)
    read_parameters(weights)


def _mask(places: Places) -> NDArray[np.bool_]:
    """Return the mask (i, j, k) of places, which must be voxels of a grid.

    Raises
    ------
    SettingsError
        They are not voxels.
    """
    if not isinstance(places, VoxelPlaces):
        raise SettingsError(
            "the network (attention-unet) needs voxels of a grid, and these places have none",
            expected="--architecture linear",
        )
    return places.mask


def prepare(weights: TensorFile, places: Places, processor: Processor) -> MapModel:
    """Read the network and prepare it for the places; torch is imported only for a GPU."""
    return prepare_network(
        read_parameters(weights),
        _mask(places),
        processor.device,
        threads=processor.threads,
        report=processor.report,
    )


def check_machine(options: ModellingOptions) -> None:
    """Check that torch and Lightning are present.

    Raises
    ------
    SettingsError
        One of them is missing.
    """
    require(
        "training a network",
        *("torch", "lightning"),
        extra="train",
        otherwise="--architecture linear, which needs none",
    )


def check_plan(plan: FitPlan) -> None:
    """Check that there are the contrasts that the loss needs.

    Raises
    ------
    DatasetError
        Somebody lacks a contrast that the loss needs.
    SettingsError
        The places are no voxels.
    """
    _mask(plan.space.places)
    if find_recipe(plan.options.recipe).loss == "crr":
        _require_all_contrasts(sorted(plan.incomplete))


def fit(
    task: FitTask,
    *,
    start: Mapping[str, Tensor] | None = None,
    frozen: tuple[str, ...] = (),
) -> Fitted:
    """Train the network with the recipe asked for.

    Parameters
    ----------
    task
        People to train on, and options.
    start
        Weights to begin with; None: random ones.
    frozen
        Parameters whose names start with one of these are not trained.

    Raises
    ------
    DatasetError
        There are too few people, or somebody lacks contrasts that the loss needs.
    RunError
        There is too little memory.
    """
    from bids_dtg.contrasts import train
    from bids_dtg.training.loop import Workplace

    options = task.options
    if find_recipe(options.recipe).loss == "crr":
        people = (*task.training, *task.validation)
        _require_all_contrasts(
            [p.label for p in people if not np.isfinite(p.maps).any(axis=1).all()]
        )
    plan = _training_plan(options, len(task.training), start=start, frozen=frozen)
    # Checkpoints of other options, people or data are never continued; more epochs are.
    found = _fingerprint(plan, task, start)
    folder = task.folder / CHECKPOINTS / f"recipe-{found}"
    try:
        trained = train.train(
            _samples(task, task.training),
            _samples(task, task.validation),
            plan,
            Workplace(folder, task.device),
            start=start,
            report=task.report,
        )
    except RuntimeError as err:
        if not lacks_memory(err):
            raise
        raise RunError(
            f"there is too little memory to train on {plan.sampling.people} participants at once",
            remedy="use a smaller --batch-size; finished epochs of the same size are kept",
        ) from err
    parameters = Parameters.of_tensors(trained.state, source=str(folder))
    return Fitted(
        model=prepare_network(parameters, _mask(task.space.places), task.device),
        tensors=parameters.arrays,
        record=NetworkRecord(trained.card),
    )


def _training_plan(
    options: ModellingOptions,
    people: int,
    *,
    start: Mapping[str, Tensor] | None,
    frozen: tuple[str, ...],
) -> TrainingPlan:
    recipe = find_recipe(options.recipe)
    return TrainingPlan(
        features=options.features if start is None else len(start[FIRST_WEIGHT]),
        loss=recipe.loss,
        alpha=hinge_weight(options.recipe, options.alpha),
        choose_by=recipe.choose_by,
        learning_rate=options.network_rate,
        epochs=options.network_epochs,
        frozen=frozen,
        seed=options.seed,
        sampling=Sampling(people=min(options.network_batch, people)),
    )


def _samples(task: FitTask, people: Sequence[Person]) -> PersonSamples:
    return PersonSamples(
        [person.connectomes for person in people],
        [person.maps for person in people],
        _mask(task.space.places),
        # 0 outside the measured brain, as the published training had it.
        zero_for_nan=find_recipe(task.options.recipe).loss == "crr",
    )


def _fingerprint(plan: TrainingPlan, task: FitTask, start: Mapping[str, Tensor] | None) -> str:
    """Return all facts that a training depends on, except its duration."""
    facts = {
        "plan": dataclasses.asdict(dataclasses.replace(plan, epochs=0)),
        "model": task.space.model,
        "people": [
            [(person.label, person.fingerprint()) for person in people]
            for people in (task.training, task.validation)
        ],
        "shape": list(task.training[0].maps.shape),
        "start": None if start is None else [float(tensor.sum()) for tensor in start.values()],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _require_all_contrasts(lacking: Sequence[str]) -> None:
    if lacking:
        raise DatasetError(
            f"{counted(len(lacking), 'participant')} without all contrasts, which the CR-R loss "
            f"cannot leave out: {named(lacking)}",
            remedy="choose contrasts that all have with --contrast, or use --recipe default",
        )
