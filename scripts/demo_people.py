"""Simulated people for the demo model, stored on disk in 8 bits and read when needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from rich.progress import track

from bids_dtg.contrasts.phantom.model import Person, Phantom
from bids_dtg.contrasts.phantom.parameters import NETWORKS
from bids_dtg.contrasts.train import Batch, PersonSamples, Voxels, stacked
from bids_dtg.phantom.streams import Cohort, Purpose
from bids_dtg.stats.linear import ParcelLinearBaseline, roi_parcels

# Steps between stored values, far below the noise of a segment (0.08) and of a map (1).
CONNECTOME_STEP = 1.0 / 127.0
MAP_STEP = 0.1
KNOWABLE_DRAWS = 8  # draws of the shift between rest and tasks

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class StoredPeople:
    """Connectomes and measured maps of a cohort in grey matter, memory-mapped."""

    # (people, segments, rois, voxels), in CONNECTOME_STEP
    connectomes: NDArray[np.int8]
    maps: NDArray[np.int8]  # (people, contrasts, voxels), in MAP_STEP

    def mean_connectome(self, person: int) -> NDArray[np.float32]:
        """Return a person's connectome averaged over segments, (rois, voxels)."""
        total = self.connectomes[person].sum(axis=0, dtype=np.int32)
        scale = np.float32(CONNECTOME_STEP / self.connectomes.shape[1])
        mean: Array = total.astype(np.float32) * scale
        return mean

    def segment(self, person: int, number: int) -> NDArray[np.float32]:
        """Return a person's connectome in one segment, (rois, voxels)."""
        segment: Array = self.connectomes[person, number].astype(np.float32)
        return segment * np.float32(CONNECTOME_STEP)

    def measured(self, person: int) -> NDArray[np.float32]:
        """Return a person's measured maps, (contrasts, voxels)."""
        maps: Array = self.maps[person].astype(np.float32) * np.float32(MAP_STEP)
        return maps


@dataclass(frozen=True)
class Boxes:
    """Boxes around random voxels of the mask, the same for all people of a batch."""

    number: int  # boxes in a batch
    crop: int = 24  # voxels along each edge
    # Voxels at a box's faces that the loss ignores, except at the grid's faces.
    margin: int = 2
    align: int = 4  # boxes start at multiples of this, as the network's pooling does

    def draw(
        self, mask: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[slice, ...]:
        """Draw a box."""
        voxels = np.flatnonzero(mask)
        centre = np.unravel_index(voxels[rng.integers(len(voxels))], mask.shape)
        slices = []
        for middle, size in zip(centre, mask.shape, strict=True):
            last = max(0, size - self.crop)
            start = int(middle) - self.crop // 2 + int(rng.integers(self.align))
            start = min(max(0, start), last) // self.align * self.align
            stop = start + self.crop
            # The last voxels of the grid belong to its last box.
            slices.append(slice(start, size if size - stop < self.align else stop))
        return tuple(slices)

    def core(self, box: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
        """Return the part of a box that the loss uses."""
        return tuple(
            slice(
                0 if part.start == 0 else self.margin,
                part.stop - part.start - (0 if part.stop == size else self.margin),
            )
            for part, size in zip(box, shape, strict=True)
        )


class StoredSamples(PersonSamples):
    """Samples of stored people, whose values are multiples of a step, in boxes of the grid."""

    def __init__(
        self, people: StoredPeople, mask: NDArray[np.bool_], boxes: Boxes
    ) -> None:
        super().__init__(people.connectomes, people.maps, mask)
        self._boxes = boxes

    def read(
        self,
        people: NDArray[np.integer[Any]],
        segments: NDArray[np.integer[Any]],
        rng: np.random.Generator,
        pinned: bool,
    ) -> list[Batch]:
        """Read one segment and the maps of each person, in randomly drawn boxes."""
        boxes = [self._boxes.draw(self.mask, rng) for _ in range(self._boxes.number)]
        pairs = list(zip(people.tolist(), segments.tolist(), strict=True))
        numbers = np.cumsum(self.mask).reshape(self.mask.shape) - 1
        batches = []
        for box in boxes:
            inside = self.mask[box]
            counted = np.zeros(inside.shape, bool)
            core = self._boxes.core(box, self.mask.shape)
            counted[core] = inside[core]
            of_box, of_loss = (numbers[box][wanted] for wanted in (inside, counted))
            connectomes = [self.segment(p, s, of_box) for p, s in pairs]
            maps = [self.maps(p, of_loss) for p, _ in pairs]
            batches.append(
                Batch(
                    stacked(iter(connectomes), len(pairs), pinned),
                    stacked(iter(maps), len(pairs), pinned),
                    torch.from_numpy(np.flatnonzero(inside)),
                    torch.from_numpy(np.flatnonzero(counted)),
                    inside.shape,
                )
            )
        return batches

    def segment(
        self, person: int, segment: int, voxels: Voxels = slice(None)
    ) -> NDArray[np.float32]:
        """Return a connectome at voxels of the mask, in its units."""
        return super().segment(person, segment, voxels) * np.float32(CONNECTOME_STEP)

    def maps(self, person: int, voxels: Voxels = slice(None)) -> NDArray[np.float32]:
        """Return the measured maps at voxels of the mask, in their units."""
        return super().maps(person, voxels) * np.float32(MAP_STEP)


class OneByOne(Sequence[Array]):
    """People's arrays, read when they are needed."""

    def __init__(self, read: Callable[[int], Array], people: int) -> None:
        self._read, self._people = read, people

    def __len__(self) -> int:
        return self._people

    @overload
    def __getitem__(self, person: int) -> Array: ...
    @overload
    def __getitem__(self, person: slice) -> Sequence[Array]: ...
    def __getitem__(self, person: int | slice) -> Array | Sequence[Array]:
        if isinstance(person, slice):
            return [self._read(n) for n in range(self._people)[person]]
        return self._read(range(self._people)[person])


@dataclass(frozen=True, eq=False)
class SegmentModel:
    """The published linear model, fitted to one random resting-state segment per person."""

    fitted: ParcelLinearBaseline

    @classmethod
    def fit(
        cls, people: StoredPeople, maps: Sequence[Array], roi_maps: Array, seed: int = 0
    ) -> SegmentModel:
        """Fit the model to the first people, as many as there are maps."""
        segments = people.connectomes.shape[1]
        drawn = np.random.default_rng(seed).integers(segments, size=len(maps))
        connectomes = OneByOne(lambda n: people.segment(n, int(drawn[n])), len(maps))
        return cls(ParcelLinearBaseline(roi_parcels(roi_maps)).fit(connectomes, maps))

    def predict(self, people: StoredPeople, person: int) -> Array:
        """Return the mean prediction over a person's segments, (contrasts, voxels)."""
        segments = range(people.connectomes.shape[1])
        parts = [self.fitted.predict([people.segment(person, k)])[0] for k in segments]
        maps: Array = np.mean(parts, axis=0)
        return maps


@dataclass(frozen=True, eq=False)
class Answers:
    """Maps with which test people's predictions are compared, (people, contrasts, voxels)."""

    retest: NDArray[np.float16]  # measured in a second session
    true: NDArray[np.float16]  # without noise
    knowable: NDArray[np.float16]  # the best that rest could predict


def simulate_people(
    folder: Path,
    phantom: Phantom,
    cohort: Cohort,
    people: int,
    segments: int,
    processes: int = 1,
) -> StoredPeople:
    """Simulate a cohort, or resume an interrupted run.

    Parameters
    ----------
    folder
        Where to store the arrays; one folder for each cohort.
    phantom
        The population; its seed and voxel size are stored beside the arrays.
    cohort, people, segments
        The cohort, the number of people, and the number of resting-state segments of each.
    processes
        Number of parallel processes.
    """
    voxels = int(phantom.anatomy.grey.sum())
    store = _Store.open(
        folder,
        {"cohort": int(cohort), "people": people, "segments": segments},
        phantom,
        np.int8,
        {
            "connectomes": (people, segments, NETWORKS, voxels),
            "maps": (people, len(phantom.design), voxels),
        },
    )
    numbers = range(store.done, people)
    simulated = Parallel(processes, return_as="generator")(
        delayed(_simulated)(phantom, cohort, index, segments) for index in numbers
    )
    words = f"Simulating {cohort.name.lower()} people"
    for index, arrays in zip(
        numbers, track(simulated, words, total=len(numbers)), strict=True
    ):
        store.arrays["connectomes"][index], store.arrays["maps"][index] = arrays
        store.mark(index + 1)
    return StoredPeople(**store.arrays)


def _simulated(
    phantom: Phantom, cohort: Cohort, index: int, segments: int
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Simulate a person's connectomes and measured maps, in steps."""
    person = phantom.person(cohort, index)
    connectomes = [
        _steps(person.connectome(0, segment), CONNECTOME_STEP)
        for segment in range(segments)
    ]
    return np.stack(connectomes), _steps(person.measured_maps(0), MAP_STEP)


def knowable_maps(person: Person) -> NDArray[np.float32]:
    """Return the best possible prediction of the maps from rest, (contrasts, voxels).

    It is the mean of the true maps, given the person's networks and traits, over components that
    rest does not determine: the person's own maps, and the shift between rest and tasks.
    """
    rng = person.stream(Purpose.POSSIBLE_SHIFTS)
    total = sum(person.stable(rng) for _ in range(KNOWABLE_DRAWS))
    return person.phantom.design @ (total / np.float32(KNOWABLE_DRAWS))


def simulate_answers(
    folder: Path, phantom: Phantom, cohort: Cohort, people: int
) -> Answers:
    """Simulate the maps that only test people need, or resume an interrupted run."""
    shape = people, len(phantom.design), int(phantom.anatomy.grey.sum())
    facts = {"cohort": int(cohort), "people": people, "draws": KNOWABLE_DRAWS}
    shapes = dict.fromkeys(Answers.__annotations__, shape)
    store = _Store.open(folder, facts, phantom, np.float16, shapes)
    for index in track(range(store.done, people), "Simulating retest and ceilings"):
        person = phantom.person(cohort, index)
        store.arrays["retest"][index] = person.measured_maps(1)
        store.arrays["true"][index] = person.true_maps()
        store.arrays["knowable"][index] = knowable_maps(person)
        store.mark(index + 1)
    return Answers(**store.arrays)


def predict_people(
    folder: Path, people: StoredPeople, predict: Callable[[Array], Array]
) -> NDArray[np.float16]:
    """Predict people's maps, each the mean over segments, (people, contrasts, voxels).

    An interrupted run is resumed if the first person's maps have not changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, record = folder / "predicted.npy", folder / "done.json"
    first = _sha256(_predict_person(people, 0, predict))
    facts = {"shape": list(people.maps.shape), "first": first}
    earlier = {}
    if record.exists() and path.exists():
        earlier = json.loads(record.read_text())
    done = earlier.pop("done", 0)
    if earlier != facts:
        done, predicted = 0, open_memmap(path, "w+", np.float16, people.maps.shape)
    else:
        predicted = open_memmap(path, "r+")
    for index in track(range(done, len(predicted)), "Predicting"):
        predicted[index] = _predict_person(people, index, predict)
        predicted.flush()
        record.write_text(json.dumps(facts | {"done": index + 1}))
    return predicted


def _predict_person(
    people: StoredPeople, index: int, predict: Callable[[Array], Array]
) -> NDArray[np.float16]:
    segments = people.connectomes[index].astype(np.float32)
    segments *= np.float32(CONNECTOME_STEP)
    maps = np.mean([predict(segment) for segment in segments], axis=0)
    return maps.astype(np.float16)


def _sha256(values: NDArray[np.float16]) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()


@dataclass(eq=False)
class _Store:
    """Arrays on disk with a row for each person, and the number of finished rows."""

    path: Path  # JSON file with the facts
    facts: dict[str, object]  # everything that the rows depend on
    arrays: dict[str, np.memmap[Any, Any]]  # by name
    done: int  # number of finished rows

    @classmethod
    def open(
        cls,
        folder: Path,
        facts: Mapping[str, object],
        phantom: Phantom,
        dtype: type[np.number[Any]],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> _Store:
        """Open the arrays; make new ones if the facts have changed."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "people.json"
        wanted = {
            "seed": phantom.seed,
            "block": phantom.block,
            **facts,
        }
        earlier = json.loads(path.read_text()) if path.exists() else {}
        done = earlier.pop("done", 0)
        fresh = earlier != wanted
        arrays = {
            name: open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
            if fresh
            else open_memmap(folder / f"{name}.npy", "r+")
            for name, shape in shapes.items()
        }
        return cls(path, wanted, arrays, 0 if fresh else done)

    def mark(self, done: int) -> None:
        """Record the number of finished rows, after every tenth row and at the end."""
        if done % 10 == 0 or done == len(next(iter(self.arrays.values()))):
            for array in self.arrays.values():
                array.flush()
            self.path.write_text(json.dumps(self.facts | {"done": done}))


def _steps(values: NDArray[np.float32], step: float) -> NDArray[np.int8]:
    steps = np.rint(values / np.float32(step))
    return np.clip(steps, -127, 127).astype(np.int8)
