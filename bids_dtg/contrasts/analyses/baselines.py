"""Simple models that a model is compared with: group average, linear models, kernel ridge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.analyses.analysis import Analysis
from bids_dtg.contrasts.people import Person, filled, predicted_maps
from bids_dtg.errors import DatasetError
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.notices import counted
from bids_dtg.stats.kernel_ridge import (
    PENALTIES,
    KernelRidge,
    choose_penalty,
    inner_products,
    leave_one_out_weights,
)
from bids_dtg.stats.linear import LinearBaseline, ParcelLinearBaseline, roi_parcels
from bids_dtg.stats.splits import family_numbers

GROUP_AVERAGE = "group average"
LINEAR, WHOLE_BRAIN = "linear (Tavor)", "linear, whole brain"
KERNEL_RIDGE = "kernel ridge"
_FEW_FITS = "linear, one fit for"  # how the name of `LINEAR` begins on pages, with few parcels
# Most people: each prediction of kernel ridge reads the maps of all of them.
_FEWEST_PARCELS = 25  # with fewer, the published model is not one by parcel
_MOST_FOR_KERNELS, _MOST_LEFT_OUT = 400, 60
Array = NDArray[np.float32]
Predict = Callable[[Person], NDArray[np.floating[Any]]]  # (contrasts, voxels)
_Linear = TypeVar("_Linear", LinearBaseline, ParcelLinearBaseline)


@dataclass(frozen=True, eq=False)
class SimplePlan:
    """Settings of the simple models."""

    store: ArrayStore  # of mean connectomes: memory does not grow with people
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
    people: int  # how many people each was fitted on
    # How each was fitted, by name, for JSON; lists where it was fitted several times.
    record: Mapping[str, Any]

    @property
    def linear(self) -> str:
        """Name of the published linear model on pages: with few parcels, how many fits it is.

        Examples
        --------
        >>> SimpleModels({}, 15, {LINEAR: [{"parcels": 3}, {"parcels": 4}]}).linear
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


def is_linear(name: str) -> bool:
    """Return whether a name in tables is that of the published linear model.

    Examples
    --------
    >>> is_linear(LINEAR), is_linear("linear, one fit for all parcels"), is_linear(WHOLE_BRAIN)
    (True, True, False)
    """
    return name == LINEAR or name.startswith(_FEW_FITS)


def baselines(training: Sequence[Person], mean: Array, plan: SimplePlan) -> SimpleModels:
    """Fit group average, linear models and, where people are not too many, kernel ridge.

    Of connectomes of several sets of ROIs they read the set nearest to 50.
    """
    training = [person.of_one_set() for person in training]
    connectomes = _mean_connectomes(training, plan.store)
    maps = [person.maps for person in training]
    segments = _drawn_segments(training, plan.seed)
    linear = ParcelLinearBaseline(plan.parcels).fit(segments, maps)
    whole = LinearBaseline().fit(connectomes, maps)
    models: dict[str, Predict] = {
        GROUP_AVERAGE: lambda person: mean,
        LINEAR: lambda person: predicted_maps(_OfSegments(linear), person.of_one_set()),
        WHOLE_BRAIN: lambda person: whole.predict([person.of_one_set().mean_connectome()])[0],
    }
    record = {LINEAR: _record(linear, plan.seed)}
    if 1 < len(training) <= _MOST_FOR_KERNELS:
        penalty = choose_penalty(
            inner_products(connectomes, connectomes),
            _deviation_products(training, mean),
            family_numbers([person.label for person in training], plan.families),
        )
        kernel = KernelRidge(list(connectomes), _FilledMaps(training, mean), penalty)
        models[KERNEL_RIDGE] = lambda person: kernel.predict(person.of_one_set().mean_connectome())
        record[KERNEL_RIDGE] = _choice([penalty])
    return SimpleModels(models, len(training), record)


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
    connectomes = _mean_connectomes(people, plan.store)
    maps = [person.maps for person in people]
    segments = _drawn_segments(people, plan.seed)
    of_parcels = ParcelLinearBaseline(plan.parcels).fit(segments, maps)
    of_whole = LinearBaseline().fit(connectomes, maps)

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
        model = _without(of_parcels, segments, maps, relatives(person))
        return predicted_maps(_OfSegments(model), person.of_one_set())

    def whole(person: Person) -> Array:
        model = _without(of_whole, connectomes, maps, relatives(person))
        found: Array = model.predict([connectomes[place[person.label]]])[0]
        return found

    models: dict[str, Predict] = {GROUP_AVERAGE: average, LINEAR: linear, WHOLE_BRAIN: whole}
    record = {LINEAR: _record(of_parcels, plan.seed)}
    fewest = (families[:, None] != families).sum(axis=1).min()  # that a prediction is fitted on
    if fewest > 1 and len(people) <= _MOST_LEFT_OUT:
        gram = inner_products(connectomes, connectomes)
        penalties = _penalties(gram, _deviation_products(people, mean), families)
        weights = leave_one_out_weights(gram, penalties, families)

        def kernel(person: Person) -> Array:
            found, gap = np.zeros_like(mean), average(person)
            for weight, other in zip(weights[place[person.label]], people, strict=True):
                if weight:  # relatives have none
                    found += np.float32(weight) * filled(other, gap)
            return found

        models[KERNEL_RIDGE] = kernel
        record[KERNEL_RIDGE] = _choice(penalties)
    return SimpleModels(models, len(people) - 1, record)


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


def _without(
    model: _Linear, connectomes: Sequence[Any] | Array, maps: Sequence[Any], numbers: Sequence[int]
) -> _Linear:
    """Return a linear model without some of the people that it was fitted on."""
    for number in numbers:
        model = model.without(connectomes[number], maps[number])
    return model


def _penalties(
    gram: NDArray[np.float64], products: NDArray[np.float64], families: NDArray[np.intp]
) -> list[float]:
    """Choose the penalty for each person by all people of other families."""
    found = []
    for own in families:
        others = np.flatnonzero(families != own)
        grid = np.ix_(others, others)
        found.append(choose_penalty(gram[grid], products[grid], families[others]))
    return found


class _OfSegments:
    """A linear model of one person's segments of rest."""

    def __init__(self, model: ParcelLinearBaseline) -> None:
        self._model = model

    def predict(self, connectome: Array) -> Array:
        """Turn a connectome (rois, voxels) into maps (contrasts, voxels)."""
        maps: Array = self._model.predict([connectome])[0]
        return maps


class _Deviations:
    """One person's deviations from the mean maps, 0 where nothing was measured, read in parts."""

    def __init__(self, person: Person, mean: Array) -> None:
        self._maps, self._mean, self.shape = person.maps, mean, person.maps.shape

    def __getitem__(self, part: tuple[slice, slice]) -> Array:
        found: Array = np.nan_to_num(self._maps[part] - self._mean[part], copy=False)
        return found


class _FilledMaps(Sequence[Array]):
    """People's maps with the mean in place of missing values, computed at each access."""

    def __init__(self, people: Sequence[Person], mean: Array) -> None:
        self._people, self._mean = people, mean

    def __len__(self) -> int:
        return len(self._people)

    @overload
    def __getitem__(self, number: int) -> Array: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Array]: ...
    def __getitem__(self, number: int | slice) -> Array | Sequence[Array]:
        if isinstance(number, slice):
            return _FilledMaps(self._people[number], self._mean)
        return filled(self._people[number], self._mean)


def _mean_connectomes(people: Sequence[Person], store: ArrayStore) -> NDArray[np.float32]:
    shape = (len(people), *people[0].connectomes.shape[1:])
    connectomes: Array = store.create("work/mean_connectomes", shape, np.float32)
    for number, person in enumerate(people):
        connectomes[number] = person.mean_connectome()
    return connectomes


def _drawn_segments(people: Sequence[Person], seed: int) -> list[NDArray[np.float16]]:
    """Draw one segment of rest for each person; the segments stay on disk."""
    rng = np.random.default_rng(seed)
    return [person.connectomes[rng.integers(len(person.connectomes))] for person in people]


def _deviation_products(people: Sequence[Person], mean: Array) -> NDArray[np.float64]:
    deviations = [_Deviations(person, mean) for person in people]
    return inner_products(deviations, deviations)


def _record(linear: ParcelLinearBaseline, seed: int) -> dict[str, Any]:
    _, parcels, rois = linear.coef.shape
    return {"parcels": parcels, "coefficients": 1 + rois, "segments": "one drawn", "seed": seed}


def _choice(penalties: Sequence[float]) -> dict[str, Any]:
    """Record a chosen penalty, or how many people have each penalty."""
    chosen = {f"{penalty:g}": penalties.count(penalty) for penalty in sorted(set(penalties))}
    return {
        "penalty": penalties[0] if len(penalties) == 1 else chosen,
        "tried": list(PENALTIES),
        "chosen_by": "squared error for each training family, fitted on all other families",
    }
