"""Training samples of a model, one box of the grid at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# Slices along i, j, k.
Box = tuple[slice, slice, slice]
# Numbers of voxels of a mask, in C order; a slice of all of them needs no copy.
Voxels = NDArray[np.intp] | slice
Space = Callable[[tuple[int, ...]], NDArray[np.float32]]  # makes an array of a shape, not filled


class Samples(Protocol):
    """People with connectomes of rest and measured maps, on one grid."""

    @property
    def people(self) -> int:
        """How many people there are."""
        ...

    @property
    def segments(self) -> int:
        """How many segments of rest each of them has."""
        ...

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Where connectomes and maps are defined, (i, j, k)."""
        ...

    @property
    def numbers(self) -> NDArray[np.intp]:
        """Each voxel's number among those of the mask, (i, j, k); any number outside."""
        ...

    def segment(self, person: int, segment: int, voxels: Voxels) -> NDArray[np.float32]:
        """Return a connectome at voxels of the mask, (rois, voxels)."""
        ...

    def maps(self, person: int, voxels: Voxels) -> NDArray[np.float32]:
        """Return the measured maps at voxels of the mask, (contrasts, voxels)."""
        ...


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
        self.mask, self._zero_for_nan = mask, zero_for_nan
        self._connectomes, self._maps = connectomes, maps

    @cached_property
    def numbers(self) -> NDArray[np.intp]:
        """Each voxel's number among those of the mask, (i, j, k); any number outside."""
        return np.cumsum(self.mask).reshape(self.mask.shape) - 1

    def segment(self, person: int, segment: int, voxels: Voxels) -> NDArray[np.float32]:
        """Return a connectome at voxels of the mask, (rois, voxels)."""
        own = self._connectomes[person]
        rows: NDArray[np.float32] = own[segment % len(own)][:, voxels].astype("f4", copy=False)
        return rows

    def maps(self, person: int, voxels: Voxels) -> NDArray[np.float32]:
        """Return the measured maps at voxels of the mask, (contrasts, voxels)."""
        maps: NDArray[np.float32] = self._maps[person][:, voxels].astype(np.float32)
        if self._zero_for_nan:
            maps[np.isnan(maps)] = 0
        return maps


@dataclass(frozen=True)
class Sampling:
    """How batches are put together."""

    people: int = 10  # people in a batch, all different
    crop: int | None = None  # voxels along each edge of a box; None: the whole grid
    boxes: int = 1  # boxes in a batch; each person of the batch gives all of them
    margin: int = 0  # voxels at a box's faces that do not count (not at the grid's own faces)
    batches: int | None = None  # batches an epoch; None: until each person was in one
    align: int = 4  # boxes start at multiples of this, as the network's pooling does

    def __post_init__(self) -> None:
        if self.people < 1 or self.boxes < 1 or self.align < 1:
            raise ValueError(f"people, boxes and align are 1 or more, found {self}")
        if self.crop is not None and not 0 <= 2 * (self.margin + self.align) <= self.crop:
            raise ValueError(
                f"a box of {self.crop} voxels is too small for a margin of {self.margin} and "
                f"starts at multiples of {self.align}"
            )


@dataclass(frozen=True, eq=False)
class Batch:
    """Some people at one box of the grid.

    Only voxels of the mask are in it, about a third of a grid: what trains puts them on the grid.
    """

    connectomes: NDArray[np.float32]  # (people, rois, voxels inside)
    maps: NDArray[np.float32]  # (people, contrasts, voxels that count)
    inside: NDArray[np.intp]  # voxels of the mask, as numbers of the box's voxels in C order
    counted: NDArray[np.intp]  # voxels that count in the loss, likewise
    shape: tuple[int, ...]  # of the box


def memory(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Make an array of a shape in the process's memory, not filled."""
    return np.empty(shape, np.float32)


def training_batches(
    samples: Samples,
    sampling: Sampling,
    seed: Sequence[int],
    *,
    space: Space = memory,
) -> Iterator[list[Batch]]:
    """Yield the batches of an epoch: a random segment of each person, at random boxes.

    Parameters
    ----------
    samples, sampling
        People to draw from, and how batches are composed.
    seed
        The same numbers give the same batches; include the epoch's number.
    space
        Makes the arrays of a batch.

    Yields
    ------
    list of Batch
        One a box, with the same people in the same order.

    Raises
    ------
    ValueError
        If a batch asks for more people than there are.
    """
    if sampling.people > samples.people:
        raise ValueError(f"batches of {sampling.people} people, but there are {samples.people}")
    rng = np.random.default_rng(list(seed))
    full = max(1, samples.people // sampling.people)
    wanted = full if sampling.batches is None else sampling.batches
    for number in range(wanted):
        if number % full == 0:
            order = rng.permutation(samples.people)
        start = number % full * sampling.people
        people = order[start : start + sampling.people]
        segments = rng.integers(samples.segments, size=len(people))
        yield [
            read_batch(
                samples,
                people,
                segments,
                random_box(samples.mask, sampling, rng),
                margin=sampling.margin,
                space=space,
            )
            for _ in range(sampling.boxes)
        ]


def validation_batches(
    samples: Samples,
    sampling: Sampling,
    seed: Sequence[int],
    *,
    space: Space = memory,
) -> Iterator[list[Batch]]:
    """Yield batches that are the same in every epoch; each person is in one of them."""
    rng = np.random.default_rng(list(seed))
    parts = -(-samples.people // sampling.people)
    # Parts of nearly equal size: a loss that compares people cannot use a single person.
    for people in np.array_split(np.arange(samples.people), parts):
        segments = rng.integers(samples.segments, size=len(people))
        boxes = [random_box(samples.mask, sampling, rng) for _ in range(sampling.boxes)]
        yield [
            read_batch(samples, people, segments, box, margin=sampling.margin, space=space)
            for box in boxes
        ]


def random_box(mask: NDArray[np.bool_], sampling: Sampling, rng: np.random.Generator) -> Box:
    """Draw a box around a random voxel of the mask; the whole grid where there is no crop."""
    if sampling.crop is None:
        i, j, k = (slice(0, n) for n in mask.shape)
        return i, j, k
    voxels = np.flatnonzero(mask)
    centre = np.unravel_index(voxels[rng.integers(len(voxels))], mask.shape)
    slices = []
    for middle, size in zip(centre, mask.shape, strict=True):
        last = max(0, size - sampling.crop)
        start = int(middle) - sampling.crop // 2 + int(rng.integers(sampling.align))
        start = min(max(0, start), last) // sampling.align * sampling.align
        stop = start + sampling.crop
        # The last voxels of the grid belong to its last box.
        slices.append(slice(start, size if size - stop < sampling.align else stop))
    i, j, k = slices
    return i, j, k


def read_batch(
    samples: Samples,
    people: NDArray[np.integer[Any]],
    segments: NDArray[np.integer[Any]],
    box: Box,
    *,
    margin: int,
    space: Space = memory,
) -> Batch:
    """Read one segment of each person, and the person's maps, inside a box.

    `margin` is the number of voxels at the box's faces that do not count.
    """
    mask, inside = samples.mask, samples.mask[box]
    counted = np.zeros(inside.shape, bool)
    core = tuple(
        slice(
            0 if part.start == 0 else margin,
            part.stop - part.start - (0 if part.stop == size else margin),
        )
        for part, size in zip(box, mask.shape, strict=True)
    )
    counted[core] = inside[core]
    read, compared = (_voxels(samples, box, wanted) for wanted in (inside, counted))
    pairs = list(zip(people.tolist(), segments.tolist(), strict=True))
    return Batch(
        connectomes=_stacked((samples.segment(p, s, read) for p, s in pairs), len(pairs), space),
        maps=_stacked((samples.maps(p, compared) for p, _ in pairs), len(pairs), space),
        inside=np.flatnonzero(inside),
        counted=np.flatnonzero(counted),
        shape=inside.shape,
    )


def _voxels(samples: Samples, box: Box, wanted: NDArray[np.bool_]) -> Voxels:
    """Return which of the mask's voxels are wanted of a box."""
    voxels = samples.numbers[box][wanted]
    return slice(None) if len(voxels) == samples.numbers.flat[-1] + 1 else voxels


def _stacked(
    arrays: Iterator[NDArray[np.float32]], number: int, space: Space
) -> NDArray[np.float32]:
    """Put a number of arrays into one, each as it is read."""
    first = next(arrays)
    stacked = space((number, *first.shape))
    for place, array in zip(stacked, chain([first], arrays), strict=True):
        place[:] = array
    return stacked
