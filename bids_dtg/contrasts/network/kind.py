"""The kind attention-unet: DeepTaskGen's network, trained on people or read from tensors.

torch and Lightning are imported only to train the network or to run it on a GPU.

Fine-tuning has three schedules; the first two are published (Serin et al. 2025):

- `known`, for one of the model's contrasts: its row of the output layer is kept and frozen, all
  earlier layers learn, and afterwards the whole output layer is restored
- `new`, for new contrasts: the output layer is new, and all layers learn
- `all`, for contrasts of the model: all layers learn, and the output layer starts from its old rows
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bids_dtg.array_types import Mask, Values
from bids_dtg.contrasts.network.parameters import FIRST_WEIGHT, LAST_WEIGHT, Parameters
from bids_dtg.contrasts.network.prepared import lacks_memory
from bids_dtg.contrasts.network.prepared import prepare as prepare_network
from bids_dtg.contrasts.options import ContrastsOptions
from bids_dtg.contrasts.people import FitData, FittedModel, MapModel, Person
from bids_dtg.contrasts.plan import CHECKPOINTS, TrainingPlan, find_recipe
from bids_dtg.engine.machine import training_device
from bids_dtg.errors import DatasetError, RunError, SettingsError
from bids_dtg.extras import require
from bids_dtg.files.tensors import TensorFile
from bids_dtg.imaging.places import Places, VoxelPlaces
from bids_dtg.notices import counted, named
from bids_dtg.settings import NETWORK_BATCH, NETWORK_EPOCHS, NETWORK_RATE, Settings

if TYPE_CHECKING:
    from torch import Tensor

    from bids_dtg.contrasts.network.unet import AttentionUNet

# The last layer has a weight and a bias per contrast; all other layers are shared by contrasts.
OUTPUT = "out_block.1"
_WEIGHT, _BIAS = f"{OUTPUT}.weight", f"{OUTPUT}.bias"


def channels(weights: TensorFile) -> tuple[int, int]:
    """Return how many ROIs the network reads and how many maps it predicts."""
    first = weights.shape(FIRST_WEIGHT, axes=5)
    last = weights.shape(LAST_WEIGHT, axes=5)
    return first[1], last[0]


def read(weights: TensorFile, places: Places) -> Parameters:
    """Read the network's parameters, without torch; they suit any voxel mask."""
    _mask(places)
    return Parameters.from_arrays(weights.read(), source=str(weights.path))


def _mask(places: Places) -> Mask:
    """Return the mask (i, j, k) of voxels on a grid.

    Raises
    ------
    SettingsError
        The places are not voxels.
    """
    if not isinstance(places, VoxelPlaces):
        raise SettingsError(
            "the network (attention-unet) needs voxels on a grid, and this model has none",
            expected="--architecture linear",
        )
    return places.mask


def prepare(
    weights: TensorFile,
    places: Places,
    device: str,
    threads: int | None,
    report: Callable[[str], None],
) -> MapModel:
    """Read the network and prepare it for a mask; torch is imported only for a GPU."""
    return prepare_network(
        read(weights, places), _mask(places), device, threads=threads, report=report
    )


def network(weights: TensorFile, places: Places) -> AttentionUNet:
    """Read the network as a torch module: in eval mode, float32, on the CPU."""
    from bids_dtg.contrasts.network.unet import AttentionUNet

    return AttentionUNet.from_parameters(read(weights, places))


def of_tensors(tensors: Mapping[str, Values], places: Places, source: str) -> MapModel:
    """Prepare a network for the CPU from tensors; messages name their source, such as a path."""
    parameters = Parameters.from_arrays(tensors, source=source)
    return prepare_network(parameters, _mask(places), "cpu")


def require_packages() -> None:
    """Check that the packages that train a network are installed.

    Raises
    ------
    SettingsError
        torch or Lightning is missing.
    """
    otherwise = "--architecture linear, which needs none"
    require(
        "training a network", "torch", "lightning", extra="train", otherwise=otherwise
    )


def check(
    settings: Settings,
    training: int,
    validation: int,
    incomplete: Collection[str],
    places: Places,
) -> None:
    """Check, before any data are read, that the network can be trained on these people.

    Parameters
    ----------
    settings
        Options of the run.
    training, validation
        Numbers of people.
    incomplete
        Labels of the people who lack a contrast.
    places
        The model's voxels.

    Raises
    ------
    DatasetError
        There are fewer than two people for re-centring or the CR-R loss, which compare people; or
        somebody lacks a contrast that this loss needs.
    SettingsError
        The places are not voxels.
    """
    _mask(places)
    if validation < 2:
        raise DatasetError(
            f"only {counted(validation, 'validation participant')}, too few to choose the epoch "
            "and re-centre",
            expected="2 or more",
            remedy="give a --split-file, or remove the split of an earlier run",
        )
    modelling = settings.modelling
    if find_recipe(modelling.recipe).loss != "crr":
        return
    batch = modelling.batch_size or NETWORK_BATCH
    if min(training, batch) < 2:
        raise DatasetError(
            f"only {counted(training, 'training participant')} in batches of "
            f"{batch}, too few for the CR-R loss, which compares people",
            expected="2 or more",
        )
    if incomplete:
        raise DatasetError(
            f"{counted(incomplete, 'participant')} without all contrasts, which the CR-R loss "
            f"needs: {named(sorted(incomplete))}",
            remedy="choose contrasts that everybody has with --contrast, or use --recipe default",
        )


# Long, as it prepares the people, trains and reads the weights.
def fit(
    data: FitData,
    settings: Settings,
    folder: Path,
    report: Callable[[str], None],
    start: Mapping[str, Tensor] | None = None,
    frozen: tuple[str, ...] = (),
) -> FittedModel:
    """Train the network with the recipe asked for, or continue an interrupted training.

    Parameters
    ----------
    data, settings
        People and their voxels, and options of the run.
    folder
        Folder of checkpoints, from which a later run continues.
    report
        Receives lines on the progress.
    start
        Weights to start from, in fine-tuning; None: random ones.
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

    training, validation = data.training, data.validation
    mask = _mask(data.places)
    incomplete = []
    for person in (*training, *validation):
        if not np.isfinite(person.maps).any(axis=1).all():
            incomplete.append(person.label)
    check(settings, len(training), len(validation), incomplete, data.places)
    plan = _plan(settings, len(training), start, frozen)

    def samples(people: Sequence[Person]) -> train.PersonSamples:
        return train.PersonSamples(
            [person.connectomes for person in people],
            [person.maps for person in people],
            mask,
            # 0 outside the measured brain, as in the published training.
            zero_for_nan=plan.loss == "crr",
        )

    device = training_device(settings.resources.device, report)
    # A training continues only with the same options, people and data, but may have more epochs.
    recipe_folder = f"recipe-{_fingerprint(plan, data, start)}"
    place = Workplace(folder / CHECKPOINTS / recipe_folder, device)
    try:
        trained = train.train(
            samples(training),
            samples(validation),
            plan,
            place,
            start=start,
            report=report,
        )
    except RuntimeError as err:
        if not lacks_memory(err):
            raise
        raise RunError(
            f"there is too little memory to train on {plan.batch} participants at once",
            remedy="use a smaller --batch-size; finished epochs of the same size are kept",
        ) from err
    parameters = Parameters.from_tensors(trained.state, source=str(place.folder))
    return FittedModel(
        model=prepare_network(parameters, mask, device),
        tensors=parameters.arrays,
        record={"network": dict(trained.card)},
    )


def _plan(
    settings: Settings,
    people: int,
    start: Mapping[str, Tensor] | None,
    frozen: tuple[str, ...],
) -> TrainingPlan:
    """Return how the network is trained on so many people."""
    modelling = settings.modelling
    recipe = find_recipe(modelling.recipe)
    features = settings.part(ContrastsOptions).features
    return TrainingPlan(
        features=features if start is None else len(start[FIRST_WEIGHT]),
        loss=recipe.loss,
        choose_by=recipe.choose_by,
        learning_rate=modelling.learning_rate or NETWORK_RATE,
        epochs=modelling.epochs or NETWORK_EPOCHS,
        seed=modelling.seed,
        batch=min(modelling.batch_size or NETWORK_BATCH, people),
        frozen=frozen,
    )


def _fingerprint(
    plan: TrainingPlan, data: FitData, start: Mapping[str, Tensor] | None
) -> str:
    """Return a hash of everything that a training depends on, except the number of epochs."""

    def prints(people: Sequence[Person]) -> list[tuple[str, str]]:
        return [(person.label, person.fingerprint()) for person in people]

    facts: dict[str, object] = {
        "plan": dataclasses.asdict(dataclasses.replace(plan, epochs=0)),
        "people": [prints(data.training), prints(data.validation)],
        "shape": list(data.training[0].maps.shape),
        "start": None,
    }
    if start is not None:
        facts["start"] = [float(tensor.sum()) for tensor in start.values()]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def with_rows(state: Mapping[str, Tensor], rows: Sequence[int]) -> dict[str, Tensor]:
    """Return the weights of a network that predicts only some contrasts, in the given order."""
    import torch

    chosen = torch.tensor(list(rows))
    return {
        name: tensor[chosen].clone() if name in (_WEIGHT, _BIAS) else tensor.clone()
        for name, tensor in state.items()
    }


def with_outputs_of(
    tuned: Mapping[str, Values], original: Mapping[str, Values], rows: Sequence[int]
) -> dict[str, Values]:
    """Return tuned weights with an output layer of all contrasts, the others with old rows."""
    whole = dict(tuned)
    for name in (_WEIGHT, _BIAS):
        whole[name] = original[name].copy()
        whole[name][list(rows)] = tuned[name]
    return whole


def with_new_outputs(
    state: Mapping[str, Tensor], contrasts: int, seed: int
) -> dict[str, Tensor]:
    """Return weights with a random output layer for new contrasts, initialised as in torch."""
    import torch

    channels = state[_WEIGHT].shape[1]
    with torch.random.fork_rng([]):  # only the CPU's state; no GPU is touched
        torch.manual_seed(seed)
        layer = torch.nn.Conv3d(channels, contrasts, kernel_size=1)
    assert layer.bias is not None
    weights = {name: tensor.clone() for name, tensor in state.items()}
    return {**weights, _WEIGHT: layer.weight.detach(), _BIAS: layer.bias.detach()}
