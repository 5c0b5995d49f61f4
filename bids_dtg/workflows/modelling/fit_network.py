"""Training the network on people's arrays, with the recipe that was asked for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.contrasts.blend import MapModel
from bids_dtg.contrasts.samples import PersonSamples
from bids_dtg.errors import DatasetError, RunError, SettingsError
from bids_dtg.notices import counted, named
from bids_dtg.settings import Settings
from bids_dtg.stats.splits import Split
from bids_dtg.workflows.modelling.cohort_plan import CohortPlan
from bids_dtg.workflows.modelling.person_arrays import Person

if TYPE_CHECKING:
    from bids_dtg.contrasts.plan import TrainingPlan

Tell = Callable[[str], None]


def fit_network(
    settings: Settings,
    bundle: ModelBundle,
    training: Sequence[Person],
    validation: Sequence[Person],
    folder: Path,
    tell: Tell,
    *,
    start: Mapping[str, Any] | None = None,
    frozen: tuple[str, ...] = (),
) -> tuple[dict[str, NDArray[Any]], MapModel, dict[str, Any]]:
    """Train the network; its weights, the network ready to predict, and the record."""
    from bids_dtg.bundles.checkpoint import network_from_tensors
    from bids_dtg.contrasts.network.prepared import prepare
    from bids_dtg.contrasts.plan import TrainingPlan
    from bids_dtg.contrasts.samples import Sampling
    from bids_dtg.contrasts.train import train
    from bids_dtg.training.loop import Workplace
    from bids_dtg.workflows.participant.model import resolve_device

    published = settings.modelling.recipe == "published"
    if published:
        people = (*training, *validation)
        _require_all_contrasts(
            [p.label for p in people if not np.isfinite(p.maps).any(axis=1).all()]
        )
    device = resolve_device(settings.resources.device)
    plan = TrainingPlan(
        features=settings.modelling.features
        if start is None
        else len(start["in_block.conv.0.weight"]),
        loss="crr" if published else "mse",
        choose_by=settings.modelling.choose_by or ("r" if published else "residual_r"),
        learning_rate=settings.modelling.learning_rate,
        epochs=settings.modelling.epochs,
        stop_after=settings.modelling.stop_after,
        part=settings.modelling.batch_part,
        frozen=frozen,
        seed=settings.modelling.seed,
        sampling=Sampling(people=_batch_people(settings, len(training))),
    )

    def samples(people: Sequence[Person]) -> PersonSamples:
        return PersonSamples(
            [person.connectomes for person in people],
            [person.maps for person in people],
            bundle.mask,
            # 0 outside the measured brain, as the published training had it.
            zero_for_nan=published,
        )

    # Other options, people or data never go on with these checkpoints; more epochs do.
    folder = folder / _fingerprint(plan, bundle, training, validation, start)
    try:
        trained = train(
            samples(training),
            samples(validation),
            plan,
            Workplace(folder, device, settings.modelling.gpus),
            start=start,
            report=tell,
        )
    except RuntimeError as err:
        # torch has a class for a GPU's memory only.
        if not any(words in str(err) for words in ("out of memory", "can't allocate memory")):
            raise
        raise RunError(
            f"there is too little memory to train on {plan.part or plan.sampling.people} "
            "participants at once",
            remedy="use --batch-part with fewer; finished epochs are kept",
        ) from err
    network = network_from_tensors(dict(trained.state), source=str(folder))
    state = {name: tensor.numpy() for name, tensor in trained.state.items()}
    return state, prepare(network, bundle.mask, device), dict(trained.card)


def _fingerprint(
    plan: TrainingPlan,
    bundle: ModelBundle,
    training: Sequence[Person],
    validation: Sequence[Person],
    start: Mapping[str, Any] | None,
) -> str:
    """Name all that a training depends on but for how long it lasts."""
    facts = {
        "plan": dataclasses.asdict(dataclasses.replace(plan, epochs=0, stop_after=None)),
        "model": bundle.identity,
        "people": [
            [(person.label, person.fingerprint()) for person in people]
            for people in (training, validation)
        ],
        "shape": list(training[0].maps.shape),
        "start": None if start is None else [float(tensor.sum()) for tensor in start.values()],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _batch_people(settings: Settings, training: int) -> int:
    """Return how many people a batch has: as many for each GPU."""
    people = (
        min(settings.modelling.batch_size, training)
        // settings.modelling.gpus
        * settings.modelling.gpus
    )
    if not people:
        raise DatasetError(
            f"{counted(training, 'training participant')} cannot be shared by --gpus "
            f"{settings.modelling.gpus}",
            expected=f"{settings.modelling.gpus} or more",
        )
    return people


def require_network_people(settings: Settings, plan: CohortPlan, split: Split) -> None:
    """Check, before anything is read, that the network can be trained on these people.

    Raises
    ------
    DatasetError
        There are too few for the GPUs, or the loss needs contrasts that somebody lacks.
    """
    _batch_people(settings, len(split.training))
    if settings.modelling.recipe == "published":
        people = (*split.training, *split.validation)
        _require_all_contrasts(sorted(set(people) - set(plan.complete(people))))


def _require_all_contrasts(lacking: Sequence[str]) -> None:
    if lacking:
        raise DatasetError(
            f"{counted(len(lacking), 'participant')} without all contrasts, which the CR-R loss "
            f"cannot leave out: {named(lacking)}",
            remedy="choose contrasts that all have with --contrast, or use --recipe default",
        )


def require_network_training(settings: Settings) -> None:
    """Check that this machine can train the network as it was asked for.

    Raises
    ------
    SettingsError
        Lightning or GPUs are missing.
    """
    import importlib.util

    if importlib.util.find_spec("lightning") is None:
        raise SettingsError(
            "training a network needs the package lightning, which is not installed",
            remedy="pip install 'bids-dtg[train]', or --architecture local-ridge, which needs none",
        )
    if settings.modelling.gpus == 1:
        return
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count < settings.modelling.gpus:
        raise SettingsError(
            f"--gpus {settings.modelling.gpus} was given, but torch finds {count} CUDA devices",
            remedy="use fewer, or check the driver and how the GPUs are passed on (docker --gpus "
            "all, apptainer --nv)",
        )
