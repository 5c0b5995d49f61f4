"""Mean and spread of everybody's maps, in one pass over the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.files.names import parse_name
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.report.contents import AverageFiles, MapFile
from bids_dtg.settings import OPTIONS

# Most averages whose maps are compared with each other, as memory grows with their square.
MOST_COMPARED = 400
# Voxels, evenly spread, at which maps are compared: maps are far smoother than that.
_COMPARED_VOXELS = 3000
_SAME_MM = 1e-3  # affines that differ by less are equal: headers are of single precision


@dataclass(frozen=True, eq=False)
class GroupMaps:
    """Mean and spread of many sets of maps."""

    averages: tuple[str, ...]  # titles of the averages, in order
    people: int  # number of people; each counts once in mean and spread
    left_out: tuple[tuple[str, str], ...]  # title and reason
    first: tuple[MapFile, ...]  # maps of the first set, which give names, sidecars and grid
    mask: NDArray[np.bool_]  # (i, j, k), where the first average has values
    affine: NDArray[np.float64]
    mean: NDArray[np.float32]  # (contrasts, voxels)
    sd: NDArray[np.float32] | None  # (contrasts, voxels), with n - 1 people; None of one
    # (averages,), r with the mean of the other people; NaN if not known
    to_mean: NDArray[np.float64]


def mean_of_averages(
    averages: Sequence[AverageFiles],
    progress: Callable[[str, float], None],
    whole: Callable[[AverageFiles], AverageFiles] = lambda made: made,
) -> GroupMaps:
    """Read every average of maps once.

    Parameters
    ----------
    averages
        Sets of another model, grid or list of contrasts than most are left out, as are those
        cleaned in another way; a person's averages are averaged first.
    progress
        Receives the title of the average being read, and the share that is done.
    whole
        Given the first average, returns it with the sidecars of all its maps, in their order. It is
        called for that one alone: thousands of averages need not have theirs in memory.

    Raises
    ------
    RunError
        No average of maps is given.
    """
    chosen, left_out = choose_averages(averages)
    if not chosen:
        raise RunError("there are no maps to average")
    sums, unread = _start(chosen, whole)
    left_out += unread
    by_person: dict[str, list[AverageFiles]] = {}
    for files in chosen[len(unread) :]:
        by_person.setdefault(_person(files), []).append(files)
    for position, own_averages in enumerate(by_person.values()):
        progress(own_averages[0].title, position / len(by_person))
        left_out += sums.add(own_averages)
    return sums.result(tuple(left_out))


def _start(
    chosen: Sequence[AverageFiles], whole: Callable[[AverageFiles], AverageFiles]
) -> tuple[_MapSums, list[tuple[str, str]]]:
    """Return sums of the first average that can be read, and those before it with the reason."""
    unread: list[tuple[str, str]] = []
    for files in chosen:
        try:
            return _MapSums(whole(files)), unread
        except RunError as err:
            unread.append((files.title, str(err)))
    raise _none_readable(unread)


def _none_readable(left_out: Sequence[tuple[str, str]]) -> RunError:
    return RunError(f"no average of maps can be read: {left_out[0][1]}")


def choose_averages(
    averages: Sequence[AverageFiles],
) -> tuple[list[AverageFiles], list[tuple[str, str]]]:
    """Choose the sets to average: one model, one cleaning, and each run of a person once.

    Returns
    -------
    Averages to take the mean of, and title and reason of the others. Of a person's averages that
    were made with different `--combine`, and contain the same runs, those made like most are kept.
    """
    left_out = []
    usual = _most_common([_kind(files) for files in averages])
    chosen = []
    for files in averages:
        if _kind(files) == usual:
            chosen.append(files)
        else:
            left_out.append((files.title, _unlike(_kind(files), usual)))
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
    by_person: dict[str, list[AverageFiles]] = {}
    for files in kept:
        by_person.setdefault(_person(files), []).append(files)
    once = []
    for own_averages in by_person.values():
        ways = [(_combine(files),) for files in own_averages]
        stays = combined if combined in ways else ways[0]
        for files, own_way in zip(own_averages, ways, strict=True):
            if own_way == stays:
                once.append(files)
            else:
                reason = (
                    f"made with --combine {own_way[0]}, as averages of the same participant "
                    f"made with {stays[0]} are used: a person counts once"
                )
                left_out.append((files.title, reason))
    return once, left_out


def _kind(files: AverageFiles) -> tuple[object, ...]:
    labels = tuple(sorted(found.label for found in files.maps))
    return (files.common.get("ModelSHA256"), files.common.get("Resolution"), labels)


def _unlike(kind: tuple[object, ...], usual: tuple[object, ...]) -> str:
    """Return how an average differs from most, each as `_kind` gives them."""
    if any(own is None and most is not None for own, most in zip(kind, usual, strict=True)):
        return "the sidecar of its maps is missing or damaged"
    if kind[0] != usual[0]:
        return "made by another model"
    return "has other maps than most" if kind[1] == usual[1] else "made at another resolution"


def _cleaning(files: AverageFiles) -> tuple[tuple[str, str], ...]:
    """Return how the runs of an average were cleaned: options and value, the strategy first."""
    found = {"denoise_strategy": files.common.get("DenoiseStrategy")}
    recorded = files.record.get("Options")
    if isinstance(recorded, dict):
        # The least time and degrees of freedom of a run do not change its cleaning.
        found |= {
            name: recorded[name]
            for name, option in OPTIONS.items()
            if option.part == "cleaning" and name in recorded and not name.startswith("min_")
        }
    return tuple((name, str(value)) for name, value in found.items())


def _combine(files: AverageFiles) -> str:
    recorded = files.record.get("Options")
    return str(recorded.get("combine")) if isinstance(recorded, dict) else "unknown"


def _person(files: AverageFiles) -> str:
    return files.title.partition("_")[0]


def _most_common(kinds: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    return max(dict.fromkeys(kinds), key=kinds.count) if kinds else ()


def require_grid(
    path: Path, shape: tuple[int, ...], affine: NDArray[np.floating[Any]], grid: Grid
) -> None:
    """Refuse a map of another grid or space than the first one.

    Raises
    ------
    RunError
        Sizes, affine or the space in its name differ.
    """
    remedy = "call the participant level again for this participant"
    if shape != grid.shape:
        raise RunError(f"{path} has sizes {shape}", expected=f"{grid.shape}", remedy=remedy)
    if not np.allclose(affine, grid.affine, atol=_SAME_MM):
        apart = np.abs(affine - grid.affine).max()
        raise RunError(
            f"{path} has another affine than the first map: numbers differ by up to {apart:.3g}",
            expected="one grid for all maps",
            remedy=remedy,
        )
    name = parse_name(path.name)
    space = name.get("space") or name.get("tpl") or ""  # of what is the same for all people
    if space != grid.space:
        raise RunError(f"{path} is in the space {space}", expected=grid.space, remedy=remedy)


class _MapSums:
    """Running sums (Welford) over people; memory does not grow with their number."""

    def __init__(self, first: AverageFiles) -> None:
        self._first = first.maps
        volumes = [_read_map(file.path) for file in first.maps]
        self.mask = np.any([values != 0 for values, _ in volumes], axis=0)  # NaN: no data
        self.affine = volumes[0][1]
        i, j, k = self.mask.shape
        space = parse_name(first.maps[0].path.name).get("space") or ""
        self._grid = Grid((i, j, k), self.affine, space)
        shape = (len(first.maps), int(self.mask.sum()))
        self._mean, self._squares = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._compared = np.linspace(
            0, shape[1] - 1, min(_COMPARED_VOXELS, shape[1]), dtype=np.intp
        )
        self._samples: list[NDArray[np.float16]] = []
        self._titles: list[str] = []
        self._of: list[str] = []  # participant of each set
        self._people = 0
        self._known = np.zeros(shape, np.float32)  # people who have data there

    def add(self, own_averages: Sequence[AverageFiles]) -> list[tuple[str, str]]:
        """Add the mean of a person's averages; return averages that cannot be read, and why."""
        total: Any = 0
        read, unread = np.zeros_like(self._known), []
        for files in own_averages:
            by_label = {found.label: found for found in files.maps}
            try:
                # All are read before any is added: an average is added completely or not at all.
                maps = np.stack([self._read(by_label[found.label]) for found in self._first])
            except RunError as err:
                unread.append((files.title, str(err)))
                continue
            self._sample(files, maps)
            total = total + np.nan_to_num(maps)
            read += ~np.isnan(maps)
        if read.any():
            self._people += 1
            self._known += read > 0
            mean = total / np.maximum(read, 1)
            deviation = np.where(read > 0, mean - self._mean, np.float32(0))
            self._mean += deviation / np.maximum(self._known, 1)
            deviation *= mean - self._mean
            self._squares += deviation
        return unread

    def _sample(self, files: AverageFiles, maps: NDArray[np.float32]) -> None:
        self._titles.append(files.title)
        self._of.append(_person(files))
        if len(self._titles) <= MOST_COMPARED:
            # Scaled by the largest value, so that half precision can hold any unit.
            picked = np.nan_to_num(maps[:, self._compared])
            top = np.abs(picked).max(axis=1, keepdims=True)
            self._samples.append((picked / np.where(top > 0, top, 1)).astype(np.float16))

    def result(self, left_out: tuple[tuple[str, str], ...]) -> GroupMaps:
        count = len(self._titles)
        if not count:
            raise _none_readable(left_out)
        people = self._people
        sd = np.sqrt(self._squares / np.maximum(self._known - 1, 1)) if people > 1 else None
        to_mean = np.full(count, np.nan)
        if people > 2:
            to_mean[: len(self._samples)] = self._to_mean()
        return GroupMaps(
            averages=tuple(self._titles),
            people=people,
            left_out=left_out,
            first=self._first,
            mask=self.mask,
            affine=self.affine,
            mean=self._mean,
            sd=sd,
            to_mean=to_mean,
        )

    def _read(self, found: MapFile) -> NDArray[np.float32]:
        values, affine = _read_map(found.path)
        require_grid(found.path, values.shape, affine, self._grid)
        return np.asarray(values, np.float32)[self.mask]

    def _to_mean(self) -> NDArray[np.float64]:
        total = np.zeros(len(self._samples))
        _, whose = np.unique(self._of[: len(total)], return_inverse=True)
        for contrast in range(len(self._first)):
            maps = self._contrast(contrast)
            own = np.zeros((whose.max() + 1, maps.shape[1]), np.float32)
            np.add.at(own, whose, maps)
            own /= np.bincount(whose)[:, None]  # a person counts once
            others = (own.sum(axis=0) - own)[whose]  # up to a factor, which r ignores
            normalised = _normalised(maps)
            total += np.einsum("sv,sv->s", normalised, _normalised(others))
        return total / len(self._first)

    def _contrast(self, contrast: int) -> NDArray[np.float32]:
        return np.stack([sample[contrast] for sample in self._samples]).astype(np.float32)


def _read_map(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """Read a map and its affine; a map without a value, as none is predicted, is refused."""
    values, affine = read_volume(path)
    if not np.nan_to_num(values).any():
        raise RunError(f"{path} has no value but 0 or NaN")
    return values, affine


def _normalised(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = maps - maps.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: NDArray[np.float32] = centred / np.where(norm > 0, norm, np.float32(1))
    return unit
