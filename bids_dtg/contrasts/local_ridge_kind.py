"""The kind local-ridge: solved from sums over people, or read from tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.site_sums import SumsFile, hidden
from bids_dtg.contrasts.kind import RIDGE_SUMS, FitPlan, FitTask, Fitted, ModelSpace, Processor
from bids_dtg.contrasts.local_ridge import LocalRidge, LocalRidgeSums
from bids_dtg.contrasts.people import MapModel, Person
from bids_dtg.contrasts.site_sums import OVER, identities, space_facts
from bids_dtg.errors import BundleError, DatasetError
from bids_dtg.files.tensors import TensorFile
from bids_dtg.imaging.places import Places
from bids_dtg.settings import ModellingOptions

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # candidates, chosen on the validation people
LATTICE_MM, POOLING_MM = 6.0, 10.0
_PREFIX = "ridge."  # of the tensors' names
_SUMS = SumsFile(
    kind="local ridge",
    name=RIDGE_SUMS,
    arrays=(
        *("connectome_sum", "map_sum", "cross"),
        *("group", "measured", "measured_sum", "gram"),
    ),
    over=OVER,
    outdated={"products": "which used the mean map for maps that a person lacks"},
)
_SAVE_EVERY = 50  # people: as many are lost at most when a call is killed


@dataclass(frozen=True)
class RidgeRecord:
    """How local ridge was fitted."""

    penalty: float  # the one with the smallest error on the validation people
    validation_errors: Mapping[str, float]  # mean squared errors, by penalty
    pooling_mm: float  # standard deviation of the Gaussian over the voxels around
    cell_mm: float  # edge of the blocks that coefficients are solved for
    participants: int  # of this site
    participants_of_other_sites: int  # people of the added sums

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


def rest_minutes(weights: TensorFile) -> tuple[float, ...]:
    """Return nothing: the model is the same for rest of any length."""
    return ()


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
    """Read the model; it computes on the CPU, whatever the device."""
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
    """Sum over training people, including other sites' sums, and solve with the best penalty.

    Raises
    ------
    DatasetError
        There are too few people.
    """
    own, whose = _own_sums(task)
    sums = own
    for other in _other_sums(task.options, task.space, task.contrasts, whose):
        sums = sums + other
    if sums.people < 2:
        raise DatasetError(
            f"{sums.people} training participant is too few to solve local ridge for",
            expected="2 or more",
            remedy=f"the sums are kept in {task.folder / RIDGE_SUMS}: another site can --add-sums "
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
    return Fitted(
        model=solved[best],
        tensors=tensors_of(solved[best]),
        record=record,
        of_other_sites=record.participants_of_other_sites,
    )


def _mean_squared_error(model: LocalRidge, people: Sequence[Person]) -> float:
    """Return the mean over people of each one's mean over measured values."""
    return float(
        np.mean(
            [
                np.nanmean(np.square(model.predict(person.mean_connectome()) - person.maps))
                for person in people
            ]
        )
    )


def _own_sums(task: FitTask) -> tuple[LocalRidgeSums, list[str]]:
    """Sum over the training people, continuing from an earlier call; also return their hashes."""
    facts = SumsFacts.of(task.space, task.contrasts)
    path = task.folder / RIDGE_SUMS
    # The hashes include the data: sums of other maps or another cleaning are not continued.
    names = identities(task.training)
    own = hidden(names)
    sums = LocalRidgeSums(task.space.places.lattice(facts.edge))
    with suppress(BundleError):  # damaged, or of other contrasts: started anew, as it is our own
        if path.exists():
            earlier, whose = read_sums(path, facts, task.space)
            # People cannot be removed from sums: sums of other people are started anew.
            if list(whose) == own[: len(whose)]:
                sums = earlier
    for number in range(sums.people, len(names)):
        person = task.training[number]
        sums.fit_person(person.mean_connectome(), person.maps)
        if (number + 1) % _SAVE_EVERY == 0 or number + 1 == len(names):
            _SUMS.write(path, sums, facts.to_json(), names[: number + 1])
            task.report(f"local ridge: {number + 1}/{len(names)} people added up")
    return sums, own


def _other_sums(
    options: ModellingOptions,
    space: ModelSpace,
    contrasts: Sequence[str],
    own: Sequence[str] = (),
) -> Iterator[LocalRidgeSums]:
    """Read other sites' sums one by one; refuse people who are in `own` or in two files."""
    facts, known = SumsFacts.of(space, contrasts), list(own)
    for path in options.add_sums:
        sums, whose = read_sums(Path(path), facts, space)
        _SUMS.require_others(Path(path), whose, known)
        known += whose
        yield sums


def _block(space: ModelSpace) -> int:
    """Return the places along the edge of a block."""
    return max(1, round(LATTICE_MM / space.places.spacing_mm))


@dataclass(frozen=True)
class SumsFacts:
    """Facts that sums must share to be added."""

    of_space: Mapping[str, Any]  # mask, ROI maps, contrasts and form, as `space_facts` has them
    edge: int  # of a block, counted in places

    @classmethod
    def of(cls, space: ModelSpace, contrasts: Sequence[str]) -> SumsFacts:
        """Return the facts of sums for maps of these contrasts."""
        return cls(space_facts(space, contrasts), _block(space))

    def to_json(self) -> dict[str, Any]:
        """Return the facts as stored in the file."""
        return {**self.of_space, "block": self.edge}


def read_sums(
    path: Path, facts: SumsFacts, space: ModelSpace
) -> tuple[LocalRidgeSums, tuple[str, ...]]:
    """Read a file of sums, and the hashes of its people.

    Raises
    ------
    BundleError
        The file is damaged, its sums belong to another mask, other ROI maps, contrasts or another
        form, or they cannot be those of its people.
    """
    arrays, people = _SUMS.read(path, facts.to_json())
    sums = LocalRidgeSums(space.places.lattice(facts.edge))
    sums.people = len(people)
    contrasts, places = len(facts.of_space["contrasts"]), len(sums.lattice.block_of)
    blocks, groups = len(sums.blocks), len(np.atleast_1d(arrays["gram"]))
    shapes = {
        "connectome_sum": ("f", (space.rois, places)),
        "map_sum": ("f", (contrasts, places)),
        "cross": ("f", (blocks, space.rois, contrasts)),
        "group": ("i", (contrasts,)),
        "measured": ("i", (groups, places)),
        "measured_sum": ("f", (groups, space.rois, places)),
        "gram": ("f", (groups, blocks, space.rois, space.rois)),
    }
    _SUMS.check_shapes(path, arrays, shapes)
    _SUMS.check_counts(path, arrays, {"group": groups - 1, "measured": sums.people})
    if np.diagonal(arrays["gram"], axis1=2, axis2=3).min(initial=0) < 0:
        raise _SUMS.error(path, "gram has sums of squares below 0")
    for name in _SUMS.arrays:
        setattr(sums, name, arrays[name])
    return sums, people
