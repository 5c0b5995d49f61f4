"""Mean and spread of everybody's maps, and how alike the maps are, in one pass over the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.report.contents import MapFile, SetFiles
from bids_dtg.settings import OPTIONS

# Of so many sets the maps are compared with each other; memory would grow without a bound.
MOST_COMPARED = 400
# Voxels, evenly spread, by which maps are compared: maps are far smoother than that.
_COMPARED_VOXELS = 3000


@dataclass(frozen=True, eq=False)
class GroupMaps:
    """What many sets of maps have in common."""

    sets: tuple[str, ...]  # titles of those that went in, in order
    people: int  # how many they are of; each counts once in mean and spread
    left_out: tuple[tuple[str, str], ...]  # title and reason
    first: tuple[MapFile, ...]  # maps of the first set: names, sidecars and grid of all
    mask: NDArray[np.bool_]  # (i, j, k), where the first set has values
    affine: NDArray[np.float64]
    mean: NDArray[np.float32]  # (contrasts, voxels)
    sd: NDArray[np.float32] | None  # (contrasts, voxels), with n - 1 people; None of one
    similarity: NDArray[np.float64] | None  # (sets, sets), mean r over contrasts; None if too many
    to_mean: NDArray[
        np.float64
    ]  # (sets,), r with the mean of the other people; NaN where it is not known


def average_sets(
    sets: Sequence[SetFiles],
    progress: Callable[[str, float], None],
    whole: Callable[[SetFiles], SetFiles] = lambda made: made,
) -> GroupMaps:
    """Read every set of maps once.

    Parameters
    ----------
    sets
        Those of another model, grid or list of contrasts than most are left out, and so are those
        that were cleaned in another way; a person's sets are averaged first.
    progress
        Is given the title of the set that is read, and the share that is done.
    whole
        Returns a set with the sidecars of all its maps, in their order: of the first one, which
        stands for all. Thousands of sets need not have theirs in memory.

    Raises
    ------
    RunError
        There is no set to average.
    """
    chosen, left_out = choose_sets(sets)
    if not chosen:
        raise RunError("there are no maps to average")
    sums = _MapSums(whole(chosen[0]))
    by_person: dict[str, list[SetFiles]] = {}
    for files in chosen:
        by_person.setdefault(_person(files), []).append(files)
    for position, own_sets in enumerate(by_person.values()):
        progress(own_sets[0].title, position / len(by_person))
        left_out += sums.add(own_sets)
    return sums.result(tuple(left_out))


def choose_sets(
    sets: Sequence[SetFiles],
) -> tuple[list[SetFiles], list[tuple[str, str]]]:
    """Choose what can be averaged: one model, one cleaning, and each run of a person once.

    Returns
    -------
    Sets to average, and title and reason of the others. Of a person's sets that were made with
    different `--combine`, which hold the same runs, those made as most sets are stay.
    """
    left_out = []
    usual = _most_common([_kind(files) for files in sets])
    chosen = []
    for files in sets:
        if _kind(files) == usual:
            chosen.append(files)
        else:
            left_out.append((files.title, "made by another model"))
    way = dict(_most_common([_cleaning(files) for files in chosen]))
    kept = []
    for files in chosen:
        own = dict(_cleaning(files))
        if differing := [name for name in own if name in way and own[name] != way[name]]:
            name = differing[0].replace("_", "-")
            reason = f"cleaned with --{name} {own[differing[0]]}, most with {way[differing[0]]}"
            left_out.append((files.title, reason))
        else:
            kept.append(files)
    combined = _most_common([(_combine(files),) for files in kept])
    by_person: dict[str, list[SetFiles]] = {}
    for files in kept:
        by_person.setdefault(_person(files), []).append(files)
    once = []
    for own_sets in by_person.values():
        ways = [(_combine(files),) for files in own_sets]
        stays = combined if combined in ways else ways[0]
        for files, own_way in zip(own_sets, ways, strict=True):
            if own_way == stays:
                once.append(files)
            else:
                reason = (
                    f"made with --combine {own_way[0]}, beside sets of the same participant made "
                    f"with {stays[0]}: a person counts once"
                )
                left_out.append((files.title, reason))
    return once, left_out


def _kind(files: SetFiles) -> tuple[object, ...]:
    labels = tuple(sorted(found.label for found in files.maps))
    return (files.common.get("ModelSHA256"), files.common.get("Resolution"), labels)


def _cleaning(files: SetFiles) -> tuple[tuple[str, str], ...]:
    """Return how the runs of a set were cleaned: option and value; the strategy comes first."""
    found = {"denoise_strategy": files.common.get("DenoiseStrategy")}
    recorded = files.record.get("Options")
    if isinstance(recorded, dict):
        # What a run must have left at least does not change it.
        found |= {
            name: recorded[name]
            for name, option in OPTIONS.items()
            if option.part == "cleaning" and name in recorded and not name.startswith("min_")
        }
    return tuple((name, str(value)) for name, value in found.items())


def _combine(files: SetFiles) -> str:
    recorded = files.record.get("Options")
    return str(recorded.get("combine")) if isinstance(recorded, dict) else "unknown"


def _person(files: SetFiles) -> str:
    return files.title.partition("_")[0]


def _most_common(kinds: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    return max(dict.fromkeys(kinds), key=kinds.count) if kinds else ()


class _MapSums:
    """Running sums (Welford) over people; memory does not depend on how many are added."""

    def __init__(self, first: SetFiles) -> None:
        self._first = first.maps
        volumes = [read_volume(file.path) for file in first.maps]
        self.mask = np.any([values != 0 for values, _ in volumes], axis=0)
        self.affine = volumes[0][1]
        shape = (len(first.maps), int(self.mask.sum()))
        self._mean, self._squares = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._compared = np.linspace(
            0, shape[1] - 1, min(_COMPARED_VOXELS, shape[1]), dtype=np.intp
        )
        self._samples: list[NDArray[np.float16]] = []
        self._titles: list[str] = []
        self._of: list[str] = []  # whose each set is
        self._people = 0

    def add(self, own_sets: Sequence[SetFiles]) -> list[tuple[str, str]]:
        """Add the mean of a person's sets; return those that cannot be read, and why."""
        total, read, unread = None, 0, []
        for files in own_sets:
            by_label = {found.label: found for found in files.maps}
            try:
                # All are read before any is added: a set counts as a whole or not at all.
                maps = np.stack([self._read(by_label[found.label]) for found in self._first])
            except RunError as err:
                unread.append((files.title, str(err)))
                continue
            self._sample(files, maps)
            total = maps if total is None else total + maps
            read += 1
        if total is not None:
            self._people += 1
            mean = total / np.float32(read)
            deviation = mean - self._mean
            self._mean += deviation / np.float32(self._people)
            deviation *= mean - self._mean
            self._squares += deviation
        return unread

    def _sample(self, files: SetFiles, maps: NDArray[np.float32]) -> None:
        self._titles.append(files.title)
        self._of.append(_person(files))
        if len(self._titles) <= MOST_COMPARED:
            # Scaled by the largest value: half precision holds any unit then.
            picked = maps[:, self._compared]
            top = np.abs(picked).max(axis=1, keepdims=True)
            self._samples.append((picked / np.where(top > 0, top, 1)).astype(np.float16))

    def result(self, left_out: tuple[tuple[str, str], ...]) -> GroupMaps:
        count = len(self._titles)
        if not count:
            raise RunError(f"no set of maps can be read: {left_out[0][1]}")
        people = self._people
        sd = np.sqrt(self._squares / np.float32(people - 1)) if people > 1 else None
        similarity = self._similarity()
        all_compared = len(self._samples) == count
        to_mean = np.full(count, np.nan)
        if people > 2:
            to_mean[: len(self._samples)] = self._to_mean()
        return GroupMaps(
            sets=tuple(self._titles),
            people=people,
            left_out=left_out,
            first=self._first,
            mask=self.mask,
            affine=self.affine,
            mean=self._mean,
            sd=sd,
            similarity=similarity if all_compared and count > 1 else None,
            to_mean=to_mean,
        )

    def _read(self, found: MapFile) -> NDArray[np.float32]:
        values, _ = read_volume(found.path)
        if values.shape != self.mask.shape:
            raise RunError(f"{found.path} has sizes {values.shape}", expected=f"{self.mask.shape}")
        return np.nan_to_num(np.asarray(values, np.float32)[self.mask])

    def _similarity(self) -> NDArray[np.float64]:
        total = np.zeros((len(self._samples),) * 2)
        for contrast in range(len(self._first)):
            total += _rows_r(self._contrast(contrast))
        return total / len(self._first)

    def _to_mean(self) -> NDArray[np.float64]:
        total = np.zeros(len(self._samples))
        _, whose = np.unique(self._of[: len(total)], return_inverse=True)
        for contrast in range(len(self._first)):
            maps = self._contrast(contrast)
            own = np.zeros((whose.max() + 1, maps.shape[1]), np.float32)
            np.add.at(own, whose, maps)
            own /= np.bincount(whose)[:, None]  # a person counts once
            others = (own.sum(axis=0) - own)[whose]  # times a number, which r does not see
            normalised = _normalised(maps)
            total += np.einsum("sv,sv->s", normalised, _normalised(others))
        return total / len(self._first)

    def _contrast(self, contrast: int) -> NDArray[np.float32]:
        return np.stack([sample[contrast] for sample in self._samples]).astype(np.float32)


def _normalised(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = maps - maps.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: NDArray[np.float32] = centred / np.where(norm > 0, norm, np.float32(1))
    return unit


def _rows_r(maps: NDArray[np.float32]) -> NDArray[np.float64]:
    unit = _normalised(maps)
    return (unit @ unit.T).astype(np.float64)
