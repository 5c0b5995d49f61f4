"""Training samples of a network: batches of people's connectomes and maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Numbers of voxels of a mask, in C order; a slice of all of them needs no copy.
Voxels = NDArray[np.intp] | slice
Numbers = NDArray[np.integer[Any]]
Space = Callable[[tuple[int, ...]], NDArray[np.float32]]  # makes an array of a shape, not filled


@dataclass(frozen=True, eq=False)
class Batch:
    """Some people on a grid, which may be a box of the model's.

    Only voxels of the mask are in it, about a third of a grid: what trains puts them on the grid.
    """

    connectomes: NDArray[np.float32]  # (people, rois, voxels inside)
    maps: NDArray[np.float32]  # (people, contrasts, voxels that count)
    inside: NDArray[np.intp]  # voxels of the mask, as numbers of the grid's voxels in C order
    counted: NDArray[np.intp]  # voxels that count in the loss, likewise
    shape: tuple[int, ...]  # of the grid


class PersonSamples:
    """People in arrays of their own, in memory or memory-mapped.

    A person with fewer segments than others has them drawn more often. Maps may be NaN: everywhere
    for a contrast that was not measured, else outside the measured brain. Losses ignore NaN.

    Parameters
    ----------
    connectomes
        One array for each person, (segments, rois, voxels), of any real type; or one for all.
    maps
        One array for each person, (contrasts, voxels); or one for all.
    mask
        (i, j, k); voxels are in C order.
    zero_for_nan
        Whether NaN in maps become 0, for a loss that cannot ignore values.

    Raises
    ------
    ValueError
        If people, ROIs, contrasts or voxels do not match.
    """

    def __init__(
        self,
        connectomes: Sequence[NDArray[Any]] | NDArray[Any],
        maps: Sequence[NDArray[Any]] | NDArray[Any],
        mask: NDArray[np.bool_],
        *,
        zero_for_nan: bool = False,
    ) -> None:
        voxels = int(np.count_nonzero(mask))
        if len(connectomes) != len(maps) or len(maps) == 0:
            raise ValueError(
                f"connectomes and maps of the same people, found {len(connectomes)} and {len(maps)}"
            )
        inputs = {segments.shape[1:] for segments in connectomes}
        outputs = {own.shape for own in maps}
        if len(inputs) != 1 or len(outputs) != 1 or {s[-1] for s in inputs | outputs} != {voxels}:
            raise ValueError(
                f"connectomes are (segments, rois, {voxels}) and maps (contrasts, {voxels}), "
                f"found {sorted(inputs)} and {sorted(outputs)}"
            )
        self.people, self.segments = len(maps), max(map(len, connectomes))
        self.rois, self.contrasts = next(iter(inputs))[0], next(iter(outputs))[0]
        self.mask, self._zero_for_nan = mask, zero_for_nan
        self._connectomes, self._maps = connectomes, maps

    def segment(
        self, person: int, segment: int, voxels: Voxels = slice(None)
    ) -> NDArray[np.float32]:
        """Return a connectome at voxels of the mask, (rois, voxels)."""
        own = self._connectomes[person]
        rows: NDArray[np.float32] = own[segment % len(own)][:, voxels].astype("f4", copy=False)
        return rows

    def maps(self, person: int, voxels: Voxels = slice(None)) -> NDArray[np.float32]:
        """Return the measured maps at voxels of the mask, (contrasts, voxels)."""
        maps: NDArray[np.float32] = self._maps[person][:, voxels].astype(np.float32)
        if self._zero_for_nan:
            maps[np.isnan(maps)] = 0
        return maps

    def read(
        self, people: Numbers, segments: Numbers, rng: np.random.Generator, space: Space
    ) -> list[Batch]:
        """Read one segment of each of some people, and their maps, on the whole grid.

        Parameters
        ----------
        people, segments
            Their numbers, one segment a person.
        rng
            For classes that draw boxes of the grid.
        space
            Makes the arrays.
        """
        pairs = list(zip(people.tolist(), segments.tolist(), strict=True))
        connectomes = stacked((self.segment(p, s) for p, s in pairs), len(pairs), space)
        maps = stacked((self.maps(p) for p, _ in pairs), len(pairs), space)
        voxels = np.flatnonzero(self.mask)
        return [Batch(connectomes, maps, voxels, voxels, self.mask.shape)]


def memory(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Make an array of a shape in the process's memory, not filled."""
    return np.empty(shape, np.float32)


def training_batches(
    samples: PersonSamples,
    size: int,
    seed: Sequence[int],
    *,
    number: int | None = None,
    space: Space = memory,
) -> Iterator[list[Batch]]:
    """Yield the batches of an epoch: a random segment of each of so many different people.

    Parameters
    ----------
    samples
        People to draw from.
    size
        People in a batch.
    seed
        The same numbers give the same batches; include the epoch's number.
    number
        Of batches; None: until each person was in one.
    space
        Makes the arrays of a batch.

    Raises
    ------
    ValueError
        If a batch asks for more people than there are.
    """
    if size > samples.people:
        raise ValueError(f"batches of {size} people, but there are {samples.people}")
    rng = np.random.default_rng(list(seed))
    full = samples.people // size
    for batch in range(full if number is None else number):
        if batch % full == 0:
            order = rng.permutation(samples.people)
        start = batch % full * size
        people = order[start : start + size]
        yield samples.read(people, rng.integers(samples.segments, size=size), rng, space)


def validation_batches(
    samples: PersonSamples, size: int, seed: Sequence[int], *, space: Space = memory
) -> Iterator[list[Batch]]:
    """Yield batches that are the same in every epoch; each person is in one of them."""
    rng = np.random.default_rng(list(seed))
    parts = -(-samples.people // size)
    # Parts of nearly equal size: a loss that compares people cannot use a single person.
    for people in np.array_split(np.arange(samples.people), parts):
        yield samples.read(people, rng.integers(samples.segments, size=len(people)), rng, space)


def stacked(
    arrays: Iterator[NDArray[np.float32]], number: int, space: Space
) -> NDArray[np.float32]:
    """Put a number of arrays into one, each as it is read."""
    first = next(arrays)
    made = space((number, *first.shape))
    for place, array in zip(made, chain([first], arrays), strict=True):
        place[:] = array
    return made
