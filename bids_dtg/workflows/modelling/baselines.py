"""Simple models that a model is printed beside: group average, linear model, kernel ridge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.people import Person, filled
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.stats.kernel_ridge import KernelRidge, inner_products, leave_one_out_weights
from bids_dtg.stats.linear import LinearBaseline

GROUP_AVERAGE = "group average"
LINEAR, KERNEL_RIDGE = "linear (Tavor)", "kernel ridge"
KERNEL_PENALTY = 3.0
# People; each prediction of kernel ridge reads the maps of all of them.
_MOST_FOR_KERNELS, _MOST_LEFT_OUT = 400, 60
Array = NDArray[np.float32]
Predict = Callable[[Person], NDArray[np.floating[Any]]]  # (contrasts, voxels)


def baselines(training: Sequence[Person], mean: Array, store: ArrayStore) -> dict[str, Predict]:
    """Fit the group average, the linear model and, where people are not too many, kernel ridge.

    Mean connectomes are kept in the store: memory does not grow with people.
    """
    shape = (len(training), *training[0].connectomes.shape[1:])
    connectomes = store.create("work/mean_connectomes", shape, np.float32)
    for number, person in enumerate(training):
        connectomes[number] = person.mean_connectome()
    maps = _FilledMaps(training, mean)
    linear = LinearBaseline().fit(connectomes, maps)
    models: dict[str, Predict] = {
        GROUP_AVERAGE: lambda person: mean,
        LINEAR: lambda person: linear.predict([person.mean_connectome()])[0],
    }
    if 1 < len(training) <= _MOST_FOR_KERNELS:
        kernel = KernelRidge(list(connectomes), maps, KERNEL_PENALTY)
        models[KERNEL_RIDGE] = lambda person: kernel.predict(person.mean_connectome())
    return models


def leave_one_out(people: Sequence[Person], mean: Array, store: ArrayStore) -> dict[str, Predict]:
    """Return simple models of each person that are fitted on all the others.

    Mean connectomes are kept in the store: memory does not grow with people.
    """
    n = len(people)
    # Σ over people of how many values are known.
    known = np.zeros(mean.shape, np.int32)
    connectomes = store.create(
        "work/mean_connectomes", (n, *people[0].connectomes.shape[1:]), np.float32
    )
    fits, place = {}, {}
    for number, person in enumerate(people):
        known += np.isfinite(person.maps)
        connectomes[number] = person.mean_connectome()
        fitted = LinearBaseline().fit([connectomes[number]], [filled(person, mean)])
        fits[person.label] = fitted.coef, fitted.intercept
        place[person.label] = number
    coef = np.mean([slopes for slopes, _ in fits.values()], axis=0)
    intercept = np.mean([constant for _, constant in fits.values()], axis=0)

    def average(person: Person) -> Array:
        own = np.isfinite(person.maps)
        others = known - own
        total = mean * known - np.where(own, person.maps, 0.0)
        maps: Array = (total / np.maximum(others, 1)).astype(np.float32)
        return maps

    def linear(person: Person) -> Array:
        model = LinearBaseline()
        own_coef, own_intercept = fits[person.label]
        model.coef = (n * coef - own_coef) / (n - 1)
        model.intercept = (n * intercept - own_intercept) / (n - 1)
        maps: Array = model.predict([connectomes[place[person.label]]])[0]
        return maps

    models: dict[str, Predict] = {GROUP_AVERAGE: average, LINEAR: linear}
    if n <= _MOST_LEFT_OUT:
        weights = leave_one_out_weights(inner_products(connectomes, connectomes), KERNEL_PENALTY)

        def kernel(person: Person) -> Array:
            maps = np.zeros_like(mean)
            for weight, other in zip(weights[place[person.label]], people, strict=True):
                if other is not person:
                    maps += np.float32(weight) * filled(other, mean)
            return maps

        models[KERNEL_RIDGE] = kernel
    return models


class _FilledMaps(Sequence[Array]):
    """The maps of people without gaps, made as they are asked for."""

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
