"""Mean and spread of everybody's maps, and how alike the maps are, in one pass over the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.report.contents import MapFile, SetFiles

# Of so many sets the maps are compared with each other; memory would grow without a bound.
MOST_COMPARED = 400
# Voxels, evenly spread, by which maps are compared: maps are far smoother than that.
_COMPARED_VOXELS = 3000


@dataclass(frozen=True, eq=False)
class GroupMaps:
    """What many sets of maps have in common."""

    sets: tuple[str, ...]  # titles of those that went in, in order
    left_out: tuple[tuple[str, str], ...]  # title and reason
    first: tuple[MapFile, ...]  # maps of the first set: names, sidecars and grid of all
    mask: NDArray[np.bool_]  # (i, j, k), where the first set has values
    affine: NDArray[np.float64]
    mean: NDArray[np.float32]  # (contrasts, voxels)
    sd: NDArray[np.float32] | None  # (contrasts, voxels), with n - 1; None of a single set
    similarity: NDArray[np.float64] | None  # (sets, sets), mean r over contrasts; None if too many
    to_mean: NDArray[
        np.float64
    ]  # (sets,), r with the mean of the others; NaN where it is not known


def average_sets(sets: Sequence[SetFiles], progress: Callable[[str, float], None]) -> GroupMaps:
    """Read every set of maps once.

    Parameters
    ----------
    sets
        Those of another model, grid or list of contrasts than most are left out.
    progress
        Is given the title of the set that is read, and the share that is done.

    Raises
    ------
    RunError
        There is no set to average.
    """
    usual = _most_common([_kind(files) for files in sets])
    left_out = [(files.title, "made by another model") for files in sets if _kind(files) != usual]
    chosen = [files for files in sets if _kind(files) == usual]
    if not chosen:
        raise RunError("there are no maps to average")
    sums = _MapSums(chosen[0])
    for position, files in enumerate(chosen):
        progress(files.title, position / len(chosen))
        try:
            sums.add(files)
        except RunError as err:
            left_out.append((files.title, str(err)))
    return sums.result(tuple(left_out))


def _kind(files: SetFiles) -> tuple[object, ...]:
    labels = tuple(sorted(found.label for found in files.maps))
    return (files.common.get("ModelSHA256"), files.common.get("Resolution"), labels)


def _most_common(kinds: Sequence[tuple[object, ...]]) -> tuple[object, ...]:
    return max(dict.fromkeys(kinds), key=kinds.count) if kinds else ()


class _MapSums:
    """Running sums (Welford) of maps; memory does not depend on how many are added."""

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

    def add(self, one: SetFiles) -> None:
        by_label = {found.label: found for found in one.maps}
        # All are read before any is added: a set counts as a whole or not at all.
        maps = np.stack([self._read(by_label[found.label]) for found in self._first])
        self._titles.append(one.title)
        deviation = maps - self._mean
        self._mean += deviation / np.float32(len(self._titles))
        deviation *= maps - self._mean
        self._squares += deviation
        if len(self._titles) <= MOST_COMPARED:
            # Scaled by the largest value: half precision holds any unit then.
            picked = maps[:, self._compared]
            top = np.abs(picked).max(axis=1, keepdims=True)
            self._samples.append((picked / np.where(top > 0, top, 1)).astype(np.float16))

    def result(self, left_out: tuple[tuple[str, str], ...]) -> GroupMaps:
        count = len(self._titles)
        if not count:
            raise RunError(f"no set of maps can be read: {left_out[0][1]}")
        sd = np.sqrt(self._squares / np.float32(count - 1)) if count > 1 else None
        similarity = self._similarity()
        all_compared = len(self._samples) == count
        to_mean = np.full(count, np.nan)
        if count > 2:
            to_mean[: len(self._samples)] = self._to_mean()
        return GroupMaps(
            sets=tuple(self._titles),
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
        for contrast in range(len(self._first)):
            maps = self._contrast(contrast)
            others = maps.sum(axis=0) - maps  # times a number, which r does not see
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
