"""Simple models that a model is compared with: group average and the linear model of Tavor 2016."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.analyses.analysis import Analysis
from bids_dtg.contrasts.people import Person, predicted_maps
from bids_dtg.errors import DatasetError
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.notices import counted
from bids_dtg.stats.linear import ParcelLinearBaseline, roi_parcels
from bids_dtg.stats.splits import family_numbers

GROUP_AVERAGE = "group average"
LINEAR = "linear (Tavor)"
_FEW_FITS = "linear, one fit for"  # how the name of `LINEAR` begins on pages, with few parcels
_FEWEST_PARCELS = 25  # with fewer, the published model is not one by parcel
Array = NDArray[np.float32]
Predict = Callable[[Person], NDArray[np.floating[Any]]]  # (contrasts, voxels)


@dataclass(frozen=True, eq=False)
class SimplePlan:
    """Settings of the simple models."""

    store: ArrayStore  # of predictions: memory does not grow with people
    parcels: NDArray[np.intp]  # (voxels,), of the published linear model
    seed: int  # of the one segment of rest of each person that it is fitted on
    families: Mapping[str, str]  # label -> family

    @classmethod
    def of(cls, analysis: Analysis) -> SimplePlan:
        """Take the settings from an analysis."""
        maps = analysis.bundle.place_roi_maps
        one_set = analysis.bundle.card.part.connectome.one_set(len(maps))
        return cls(
            analysis.store,
            roi_parcels(maps[one_set]),
            analysis.settings.modelling.seed,
            analysis.families.by_label,
        )


@dataclass(frozen=True, eq=False)
class SimpleModels:
    """Simple models of the same people."""

    models: Mapping[str, Predict]  # by name of the model
    # How each was fitted, by name, for JSON; lists where it was fitted several times.
    record: Mapping[str, Any]
    people: int  # how many people each was fitted on; of several numbers, the group average's
    # Models that were fitted for each person on all others, whom their maps resemble more.
    leave_one_out: tuple[str, ...] = ()
    words: str = ""  # what they were fitted on, where that is not all the same people

    @property
    def linear(self) -> str:
        """Name of the published linear model on pages: with few parcels, how many fits it is.

        Examples
        --------
        >>> SimpleModels({}, {LINEAR: [{"parcels": 3}, {"parcels": 4}]}, 15).linear
        'linear, one fit for each of 3 to 4 parcels'
        """
        fitted = self.record[LINEAR]
        fits = [one["parcels"] for one in (fitted if isinstance(fitted, list) else [fitted])]
        fewest, most = min(fits), max(fits)
        if fewest >= _FEWEST_PARCELS:
            return LINEAR
        if most == 1:
            return f"{_FEW_FITS} all parcels"
        parcels = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        return f"{_FEW_FITS} each of {parcels} parcels"

    def with_average(self, mean: Array, people: int) -> SimpleModels:
        """Return the same with the mean map (contrasts, places) of a model's training people."""
        return dataclasses.replace(
            self,
            models={**self.models, GROUP_AVERAGE: lambda person: mean},
            people=people,
            leave_one_out=tuple(name for name in self.leave_one_out if name != GROUP_AVERAGE),
            words=f"The group average is that of the {counted(people, 'participant')} that the "
            f"model was trained on; the linear model was fitted on {self.people} of those judged.",
        )


def is_linear(name: str) -> bool:
    """Return whether a name in tables is that of the published linear model.

    Examples
    --------
    >>> is_linear(LINEAR), is_linear("linear, one fit for all parcels"), is_linear(GROUP_AVERAGE)
    (True, True, False)
    """
    return name == LINEAR or name.startswith(_FEW_FITS)


def baselines(training: Sequence[Person], mean: Array, plan: SimplePlan) -> SimpleModels:
    """Fit group average and linear model.

    Of connectomes of several sets of ROIs it reads the set nearest to 50.
    """
    training = [person.of_one_set() for person in training]
    maps = [person.maps for person in training]
    linear = ParcelLinearBaseline(plan.parcels).fit(_drawn_segments(training, plan.seed), maps)
    models: dict[str, Predict] = {
        GROUP_AVERAGE: lambda person: mean,
        LINEAR: lambda person: predicted_maps(_OfSegments(linear), person.of_one_set()),
    }
    return SimpleModels(models, {LINEAR: _record(linear, plan.seed)}, len(training))


def leave_one_out(people: Sequence[Person], mean: Array, plan: SimplePlan) -> SimpleModels:
    """For each person, return simple models fitted on all people of other families.

    Raises
    ------
    DatasetError
        All are of one family.
    """
    people = [person.of_one_set() for person in people]
    families = _several_families(people, plan.families)
    known = np.zeros(mean.shape, np.int32)  # people who have a value
    for person in people:
        known += np.isfinite(person.maps)
    place = {person.label: number for number, person in enumerate(people)}
    maps = [person.maps for person in people]
    segments = _drawn_segments(people, plan.seed)
    of_parcels = ParcelLinearBaseline(plan.parcels).fit(segments, maps)

    def relatives(person: Person) -> list[int]:
        """Return the numbers of the person and of all relatives."""
        return np.flatnonzero(families == families[place[person.label]]).tolist()

    def average(person: Person) -> Array:
        others, total = known.copy(), mean * known
        for number in relatives(person):
            own = np.isfinite(maps[number])
            others -= own
            total -= np.where(own, maps[number], 0.0)
        found: Array = (total / np.maximum(others, 1)).astype(np.float32)
        return found

    def linear(person: Person) -> Array:
        model = of_parcels
        for number in relatives(person):
            model = model.without(segments[number], maps[number])
        return predicted_maps(_OfSegments(model), person.of_one_set())

    models: dict[str, Predict] = {GROUP_AVERAGE: average, LINEAR: linear}
    return SimpleModels(
        models, {LINEAR: _record(of_parcels, plan.seed)}, len(people) - 1, tuple(models)
    )


def _several_families(people: Sequence[Person], families: Mapping[str, str]) -> NDArray[np.intp]:
    """Return numbers of people's families; refuse people of one family."""
    found = family_numbers([person.label for person in people], families)
    if np.ptp(found) == 0:
        raise DatasetError(
            f"{counted(len(people), 'participant')} are of one family, or have the same rest",
            expected="people of two families or more, or --split-file with people to fit simple "
            "models on",
        )
    return found


class _OfSegments:
    """A linear model of one person's segments of rest."""

    def __init__(self, model: ParcelLinearBaseline) -> None:
        self._model = model

    def predict(self, connectome: Array) -> Array:
        """Turn a connectome (rois, voxels) into maps (contrasts, voxels)."""
        maps: Array = self._model.predict([connectome])[0]
        return maps


def _drawn_segments(people: Sequence[Person], seed: int) -> list[NDArray[np.float16]]:
    """Draw one segment of rest for each person; the segments stay on disk."""
    rng = np.random.default_rng(seed)
    return [person.connectomes[rng.integers(len(person.connectomes))] for person in people]


def _record(linear: ParcelLinearBaseline, seed: int) -> dict[str, Any]:
    _, parcels, rois = linear.coef.shape
    return {"parcels": parcels, "coefficients": 1 + rois, "segments": "one drawn", "seed": seed}
