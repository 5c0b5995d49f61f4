"""Simulated people for `interval_calibration.py`: who trains, tunes, calibrates and tests.

People of a seed are simulated once, and kept in a folder: predicted maps from one segment of rest
to four, measured maps of two sessions, and true maps.
"""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.analyses.fit import FittedModel, fit_model
from bids_dtg.contrasts.bundle.kinds import find_kind
from bids_dtg.contrasts.kind import FitTask, ModelSpace
from bids_dtg.contrasts.people import Person
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.tasks import CONTRASTS
from bids_dtg.phantom.streams import Cohort
from bids_dtg.settings import ModellingOptions

Array = NDArray[np.float32]
SEGMENTS = 4  # of rest of a person who is not trained on; of 7.2 minutes each
MINUTES = 7.2
TRAINING_SEGMENTS = 2


@dataclass(frozen=True)
class Sizes:
    """How many people there are of each use."""

    train: int
    tune: int
    calibrate: int
    test: int


@dataclass(frozen=True, eq=False)
class Group:
    """People as arrays."""

    predicted: NDArray[np.float16]  # (people, segments, contrasts, places): of the first n segments
    measured: NDArray[np.float16]  # (people, sessions, contrasts, places)
    true: NDArray[np.float16]  # (people, contrasts, places)

    def __len__(self) -> int:
        return len(self.true)


def read_groups(
    work: Path, phantom: Phantom, sizes: Sizes, kind: str
) -> tuple[Group, Group, tuple[Array, Array]]:
    """Return who calibrates, who tests, and mean and spread of the training predictions."""
    name = f"seed-{phantom.seed}_{kind}_{'-'.join(map(str, dataclasses.astuple(sizes)))}"
    path = work / f"{name}_{phantom.parameters.hash[:8]}.npz"
    if not path.exists():
        arrays = _simulate(phantom, sizes, kind)
        work.mkdir(parents=True, exist_ok=True)
        hidden = path.with_suffix(".tmp.npz")
        np.savez(hidden, **arrays)
        hidden.rename(path)
    found = np.load(path)
    groups = [
        Group(*(found[f"{use}_{field.name}"] for field in dataclasses.fields(Group)))
        for use in ("calibrate", "test")
    ]
    # Pooled over places, as `bids_dtg.stats.deviation` has it.
    spread = np.sqrt(np.square(found["spread"]).mean(axis=1, keepdims=True))
    return groups[0], groups[1], (found["mean"], spread)


def _simulate(phantom: Phantom, sizes: Sizes, kind: str) -> dict[str, NDArray]:
    people = [_person(phantom, Cohort.TRAINING, n) for n in range(sizes.train)]
    tuning = [_person(phantom, Cohort.VALIDATION, n) for n in range(sizes.tune)]
    model = _fitted(phantom, kind, people, tuning)
    arrays: dict[str, NDArray] = {}
    maps = [model.predict(person) for person in people]
    arrays["mean"] = np.mean(maps, axis=0)
    arrays["spread"] = np.std(maps, axis=0, ddof=1)
    for use, cohort, count in (
        ("calibrate", Cohort.CALIBRATION, sizes.calibrate),
        ("test", Cohort.TEST, sizes.test),
    ):
        rows = [_maps(phantom, model, cohort, n) for n in range(count)]
        names = ("predicted", "measured", "true")
        for name, values in zip(names, zip(*rows, strict=True), strict=True):
            arrays[f"{use}_{name}"] = np.stack(values).astype(np.float16)
        print(f"seed {phantom.seed}: {count} people {use}", flush=True)
    return arrays


def _person(phantom: Phantom, cohort: int, index: int, segments: int = TRAINING_SEGMENTS) -> Person:
    made = phantom.person(cohort, index)
    return Person(
        label=f"{cohort}x{index}",
        connectomes=made.segments(segments).astype(np.float16),
        weights=(1.0,) * segments,
        sessions=(made.measured_maps(0),),
    )


def _maps(phantom: Phantom, model: FittedModel, cohort: int, index: int) -> tuple[Array, ...]:
    person, made = _person(phantom, cohort, index, SEGMENTS), phantom.person(cohort, index)
    predicted = [
        model.predict(
            dataclasses.replace(person, connectomes=person.connectomes[:n], weights=(1.0,) * n)
        )
        for n in range(1, SEGMENTS + 1)
    ]
    measured = np.stack([made.measured_maps(session) for session in (0, 1)])
    return np.stack(predicted), measured, made.true_maps()


def _fitted(phantom: Phantom, kind: str, people: list[Person], tuning: list[Person]) -> FittedModel:
    with tempfile.TemporaryDirectory() as folder:
        return fit_model(
            find_kind(kind),
            FitTask(
                options=ModellingOptions(),
                space=ModelSpace(phantom.anatomy.places, phantom.roi_maps, "phantom", "", ""),
                contrasts=tuple(contrast.label for contrast in CONTRASTS),
                training=people,
                validation=tuning,
                device="cpu",
                folder=Path(folder),
                report=lambda line: None,
            ),
        )
