"""The kind local-ridge: solved for people, whose sums are kept, or read from tensors."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.kind import FitPlan, FitTask, Fitted, ModelSpace, Processor
from bids_dtg.contrasts.local_ridge import LocalRidge, LocalRidgeSums
from bids_dtg.contrasts.people import MapModel, Person
from bids_dtg.errors import BundleError, DatasetError, ForeignFileError
from bids_dtg.files.foreign import parse_json
from bids_dtg.files.tensors import TensorFile, read_arrays, write_arrays
from bids_dtg.imaging.places import Places
from bids_dtg.settings import ModellingOptions

PENALTIES = (0.3, 1.0, 3.0, 10.0)  # chosen from, on the validation people
CELL_MM, POOLING_MM = 6.0, 10.0
SUMS_FILE = "local-ridge_sums.safetensors"
_PREFIX = "ridge."  # of the tensors' names
_ARRAYS = (
    *("connectome_sum", "map_sum", "cross"),
    *("group", "measured", "measured_sum", "gram"),
)
_OF_FILLED_MAPS = "products"  # an array of files by versions that took a gap for the mean map
_HASH = re.compile(r"[0-9a-f]{16}")  # of a person
_SAVE_EVERY = 50  # people whose sums are lost at most when a call is killed


@dataclass(frozen=True)
class RidgeRecord:
    """How local ridge was fitted."""

    penalty: float  # the one with the least error on the validation people
    validation_errors: Mapping[str, float]  # mean squared errors, by penalty
    pooling_mm: float  # standard deviation of the Gaussian over the voxels around
    cell_mm: float  # edge of the cells that coefficients are solved for
    participants: int  # of this site
    participants_of_other_sites: int  # whose sums were added

    def to_json(self) -> dict[str, Any]:
        """Return the key `local_ridge` of a card's record."""
        return {"local_ridge": asdict(self)}


def tensors_of(model: LocalRidge) -> dict[str, NDArray[Any]]:
    """Return the tensors of a bundle."""
    return {_PREFIX + name: tensor for name, tensor in model.tensors().items()}


def channels(weights: TensorFile) -> tuple[int, int]:
    """Return how many ROIs the model reads and how many maps it predicts."""
    tensors = weights.below(_PREFIX)
    _, rois, contrasts = tensors.shape("coefficients", axes=3)
    tensors.shape("block", axes=0)
    means = (tensors.shape(name, axes=2)[0] for name in ("mean_connectome", "mean_maps"))
    if (found := tuple(means)) != (rois, contrasts):
        raise weights.error(f" has coefficients of {(rois, contrasts)} and means of {found} rows")
    return rois, contrasts


def read_ridge(weights: TensorFile, places: Places) -> LocalRidge:
    """Read the model for the places that it was solved for."""
    try:
        return LocalRidge.from_tensors(weights.below(_PREFIX).read(), places)
    except KeyError as err:
        raise weights.error(f" has no tensor {_PREFIX}{err.args[0]}") from err
    except ValueError as err:
        raise weights.error(f" does not fit the mask: {err}") from err


def check(weights: TensorFile, places: Places) -> None:
    """Read the model."""
    read_ridge(weights, places)


def prepare(weights: TensorFile, places: Places, processor: Processor) -> MapModel:
    """Read the model; it computes on the CPU, whatever the processor."""
    return read_ridge(weights, places)


def check_machine(options: ModellingOptions) -> None:
    """Do nothing: any machine can solve local ridge."""


def check_plan(plan: FitPlan) -> None:
    """Check that the sums of other sites can be read.

    Raises
    ------
    BundleError
        A file is damaged, or is of another model or other contrasts.
    """
    for _ in _other_sums(plan.options, plan.space, plan.contrasts):
        pass


def fit(task: FitTask) -> Fitted:
    """Add up training people, those of other sites too, and solve with the best penalty.

    Raises
    ------
    DatasetError
        There are too few people.
    """
    own = _own_sums(task)
    sums = own
    for other in _other_sums(task.options, task.space, task.contrasts):
        sums = sums + other
    if sums.people < 2:
        raise DatasetError(
            f"{sums.people} training participant is too few to solve local ridge for",
            expected="2 or more",
            remedy=f"the sums are kept in {task.folder / SUMS_FILE}: another site can --add-sums "
            "them",
        )
    solved = sums.solve_each(PENALTIES, POOLING_MM)
    measured = [person for person in task.validation if np.isfinite(person.maps).any()]
    errors = {
        penalty: _mean_squared_error(model, measured)
        for penalty, model in solved.items()
        if measured
    }
    best = min(errors, key=lambda penalty: errors[penalty]) if errors else 1.0
    record = RidgeRecord(
        penalty=best,
        validation_errors={str(key): round(value, 6) for key, value in errors.items()},
        pooling_mm=POOLING_MM,
        cell_mm=own.lattice.spacing_mm,
        participants=own.people,
        participants_of_other_sites=sums.people - own.people,
    )
    return Fitted(solved[best], tensors_of(solved[best]), record)


def _mean_squared_error(model: LocalRidge, people: Sequence[Person]) -> float:
    """Return the mean over people, and over what was measured of each."""
    return float(
        np.mean(
            [
                np.nanmean(np.square(model.predict(person.mean_connectome()) - person.maps))
                for person in people
            ]
        )
    )


def _own_sums(task: FitTask) -> LocalRidgeSums:
    """Add up the training people, going on with what an earlier call has kept."""
    facts = SumsFacts.of(task.space, task.contrasts)
    path = task.folder / SUMS_FILE
    # Their data too: sums of other maps or other cleaning are not gone on with.
    names = tuple(f"{person.label} {person.fingerprint()}" for person in task.training)
    sums = LocalRidgeSums(task.space.places.lattice(facts.block))
    with suppress(BundleError):  # damaged, or of other contrasts: begun anew, as it is our own
        if path.exists():
            earlier, whose = read_sums(path, facts, task.space)
            # Sums cannot be taken apart: those of other people are begun anew.
            if _is_beginning(whose, names):
                sums = earlier
    for number in range(sums.people, len(names)):
        person = task.training[number]
        sums.fit_person(person.mean_connectome(), person.maps)
        if (number + 1) % _SAVE_EVERY == 0 or number + 1 == len(names):
            write_sums(path, sums, facts, names[: number + 1])
            task.report(f"local ridge: {number + 1}/{len(names)} people added up")
    return sums


def _other_sums(
    options: ModellingOptions, space: ModelSpace, contrasts: Sequence[str]
) -> Iterator[LocalRidgeSums]:
    """Read other sites' sums, one after the other."""
    facts = SumsFacts.of(space, contrasts)
    for path in options.add_sums:
        yield read_sums(Path(path), facts, space)[0]


def _block(space: ModelSpace) -> int:
    """Return the places along the edge of a cell."""
    return max(1, round(CELL_MM / space.places.spacing_mm))


@dataclass(frozen=True)
class SumsFacts:
    """What sums must have in common to be added."""

    mask: str  # SHA-256 of the bundle's mask
    roi_maps: str  # SHA-256 of its ROI maps
    contrasts: tuple[str, ...]  # labels of the maps' rows
    block: int  # edge of a cell, counted in places

    @classmethod
    def of(cls, space: ModelSpace, contrasts: Sequence[str]) -> SumsFacts:
        """Return the facts of sums for maps of these contrasts."""
        return cls(space.mask_sha256, space.roi_maps_sha256, tuple(contrasts), _block(space))

    def text(self) -> str:
        """Return the facts as the file has them."""
        return json.dumps(vars(self) | {"contrasts": list(self.contrasts)}, sort_keys=True)


def write_sums(path: Path, sums: LocalRidgeSums, facts: SumsFacts, labels: Sequence[str]) -> None:
    """Write sums, what they belong to, and whose they are.

    They hold means and products over people, no person's maps. Labels, and whatever else of
    people is in the same strings, are there as hashes.
    """
    notes = {"facts": facts.text(), "people": json.dumps([_hidden(label) for label in labels])}
    write_arrays(path, {name: getattr(sums, name) for name in _ARRAYS}, notes)


def read_sums(
    path: Path, facts: SumsFacts, space: ModelSpace
) -> tuple[LocalRidgeSums, tuple[str, ...]]:
    """Read sums, and hashes of whose they are.

    Raises
    ------
    BundleError
        The file is damaged, its sums belong to another mask, other ROI maps or contrasts, or they
        cannot be those of its people.
    """
    try:
        arrays, notes = read_arrays(path)
        found = notes["facts"]
        people, theirs = (parse_json(text, str(path)) for text in (notes["people"], found))
    except ForeignFileError as err:
        raise _no_sums(path, err.found) from err
    except (OSError, ValueError, KeyError) as err:
        raise _no_sums(path, str(err)) from err
    if _OF_FILLED_MAPS in arrays:
        raise BundleError(
            f"{path} has sums of an earlier version, which took maps that a person lacks for the "
            "mean map",
            expected="sums that count what was measured",
            remedy="add them up again with this version",
        )
    if found != facts.text():
        ours = json.loads(facts.text())
        if not isinstance(theirs, dict):
            raise _no_sums(path, f"its facts are {found[:40]!r}")
        other = [name for name in ours if ours[name] != theirs.get(name)]
        raise BundleError(
            f"{path} has sums of another {' and another '.join(other)}",
            expected="sums over the same mask, ROI maps, contrasts and cells",
        )
    if not isinstance(people, list) or not people or not all(map(_is_hidden, people)):
        raise _no_sums(path, "its people are no list of hashes")
    if missing := [name for name in _ARRAYS if name not in arrays]:
        raise _no_sums(path, f"{', '.join(missing)} are missing")
    sums = LocalRidgeSums(space.places.lattice(facts.block))
    sums.people = len(people)
    for name in _ARRAYS:
        setattr(sums, name, arrays[name])
    if fault := _fault(sums, space.rois, len(facts.contrasts)):
        raise _no_sums(path, fault)
    return sums, tuple(people)


def _no_sums(path: Path, fault: str) -> BundleError:
    return BundleError(
        f"{path} holds no sums of local ridge: {fault}",
        expected=f"a file {SUMS_FILE}, as another site's training writes it",
    )


def _fault(sums: LocalRidgeSums, rois: int, contrasts: int) -> str:
    """Return what is wrong with sums of so many ROIs and contrasts; nothing where all is well."""
    places, cells, groups = len(sums.lattice.cell), len(sums.cells), len(np.atleast_1d(sums.gram))
    expected = {
        "connectome_sum": ("f", (rois, places)),
        "map_sum": ("f", (contrasts, places)),
        "cross": ("f", (cells, rois, contrasts)),
        "group": ("i", (contrasts,)),
        "measured": ("i", (groups, places)),
        "measured_sum": ("f", (groups, rois, places)),
        "gram": ("f", (groups, cells, rois, rois)),
    }
    for name, (kind, shape) in expected.items():
        found = getattr(sums, name)
        if found.dtype.kind != kind or found.shape != shape:
            words = {"f": "real", "i": "whole"}[kind]
            return f"{name} is {found.dtype} {found.shape}, not {words} numbers {shape}"
        if not np.isfinite(found).all():
            return f"{name} has values that are not finite"
    for name, most in (("group", groups - 1), ("measured", sums.people)):
        found = getattr(sums, name)
        if found.min(initial=0) < 0 or found.max(initial=0) > most:
            return f"{name} has numbers beyond 0 to {most}"
    if np.diagonal(sums.gram, axis1=2, axis2=3).min(initial=0) < 0:
        return "gram has sums of squares below 0"
    return ""


def _is_hidden(found: object) -> bool:
    return isinstance(found, str) and _HASH.fullmatch(found) is not None


def _is_beginning(hidden: Sequence[str], labels: Sequence[str]) -> bool:
    """Return whether the people of a file, as `read_sums` names them, are the first of these."""
    return list(hidden) == [_hidden(label) for label in labels[: len(hidden)]]


def _hidden(label: str) -> str:
    return hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:16]
