"""Simple models that a model is compared with: the group average and that of Tavor et al. 2016."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float32, Floats, Indices
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.judging.scores import GROUP_AVERAGE, LINEAR
from bids_dtg.contrasts.people import MeanMaps, Person, mean_maps, predicted_maps
from bids_dtg.errors import DatasetError
from bids_dtg.notices import counted
from bids_dtg.stats.linear import ParcelLinearBaseline, roi_parcels
from bids_dtg.stats.splits import family_numbers

Predict = Callable[[Person], Floats]  # (contrasts, voxels)


@dataclass(frozen=True, eq=False)
class SimpleModels:
    """Simple models of the same people."""

    models: Mapping[str, Predict]  # by name of the model
    # How each was fitted, by name, for JSON; lists if it was fitted several times.
    record: Mapping[str, Any]
    people: int  # number of people they were fitted on; if numbers differ, the group average's
    # Mean map of the training people, (contrasts, voxels); None: it differs between people.
    mean: Float32 | None = None
    # Models that were fitted for each person on all others; they have no scores of individuality.
    leave_one_out: tuple[str, ...] = ()
    words: str = ""  # what they were fitted on

    def with_average(self, mean: Float32, people: int) -> SimpleModels:
        """Return these with the mean map (contrasts, voxels) of a model's training people."""
        in_turn = tuple(name for name in self.leave_one_out if name != GROUP_AVERAGE)
        words = (
            f"The group average is over the {counted(people, 'participant')} that the model "
            f"was trained on; the linear model was fitted on {self.people} of the people scored."
        )
        return dataclasses.replace(
            self,
            models={**self.models, GROUP_AVERAGE: lambda person: mean},
            people=people,
            mean=mean,
            leave_one_out=in_turn,
            words=words,
        )


def linear_parcels(bundle: ModelBundle) -> Indices:
    """Return the parcel of each voxel, (voxels,), for the linear model on a bundle's ROIs."""
    maps = bundle.place_roi_maps
    return roi_parcels(maps[bundle.part.connectome.one_set(len(maps))])


def baselines(training: Sequence[Person], parcels: Indices, seed: int) -> SimpleModels:
    """Fit the group average and the linear model.

    The linear model reads one random segment of rest per person and, if there are several sets of
    ROIs, the set nearest to 50.
    """
    mean = mean_maps(training)
    training = [person.with_one_set() for person in training]
    maps = [person.maps for person in training]
    linear = ParcelLinearBaseline(parcels).fit(_drawn_segments(training, seed), maps)
    models: dict[str, Predict] = {
        GROUP_AVERAGE: lambda person: mean,
        LINEAR: lambda person: _predicted(linear, person),
    }
    words = f"Simple models were fitted on {counted(training, 'participant')}."
    record = {LINEAR: _record(linear, seed)}
    return SimpleModels(models, record, len(training), mean, words=words)


def leave_one_out(
    people: Sequence[Person],
    parcels: Indices,
    seed: int,
    families: Mapping[str, str],
) -> SimpleModels:
    """Return simple models that are fitted, for each person, on all people of other families.

    Raises
    ------
    DatasetError
        Everybody is of one family.
    """
    everybody = MeanMaps.of(people)
    people = [person.with_one_set() for person in people]
    family = family_numbers([person.label for person in people], families)  # (people,)
    if np.ptp(family) == 0:
        raise DatasetError(
            f"all {counted(people, 'participant')} are of one family, or have the same rest",
            expected="people of two families or more, or --split-file with people to fit simple "
            "models on",
        )
    numbers = {person.label: number for number, person in enumerate(people)}
    maps = [person.maps for person in people]
    segments = _drawn_segments(people, seed)
    fitted_on_all = ParcelLinearBaseline(parcels).fit(segments, maps)

    def relatives_of(person: Person) -> list[int]:
        """Return the numbers of the person and of all relatives."""
        return np.flatnonzero(family == family[numbers[person.label]]).tolist()

    def average(person: Person) -> Float32:
        relatives = MeanMaps.of([people[number] for number in relatives_of(person)])
        total = everybody.total - relatives.total
        count = everybody.count - relatives.count
        return (total / np.maximum(count, 1)).astype(np.float32)

    def linear(person: Person) -> Float32:
        model = fitted_on_all
        for number in relatives_of(person):
            model = model.without(segments[number], maps[number])
        return _predicted(model, person)

    models: dict[str, Predict] = {GROUP_AVERAGE: average, LINEAR: linear}
    record = {LINEAR: _record(fitted_on_all, seed)}
    fitted_on = len(people) - 1
    words = f"Simple models were fitted on {counted(fitted_on, 'participant')}."
    return SimpleModels(models, record, fitted_on, None, tuple(models), words)


def _predicted(model: ParcelLinearBaseline, person: Person) -> Float32:
    """Predict a person's maps, the mean over segments of rest."""
    return predicted_maps(
        lambda connectome: model.predict([connectome])[0], person.with_one_set()
    )


def _drawn_segments(people: Sequence[Person], seed: int) -> list[NDArray[np.float16]]:
    """Draw one segment of rest for each person; the segments stay on disk."""
    rng = np.random.default_rng(seed)
    return [
        person.connectomes[rng.integers(len(person.connectomes))] for person in people
    ]


def _record(linear: ParcelLinearBaseline, seed: int) -> dict[str, Any]:
    _, parcels, rois = linear.coef.shape
    return {
        "parcels": parcels,
        "coefficients": 1 + rois,
        "segments": "one drawn",
        "seed": seed,
    }
