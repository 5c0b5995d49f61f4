"""Mean and spread of everybody's maps, in one pass over the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    while chosen:
        try:
            first = whole(chosen[0]).maps
            volumes = [_read_map(file.path) for file in first]
            break
        except RunError as err:
            left_out.append((chosen.pop(0).title, str(err)))
    else:
        raise RunError(f"no average of maps can be read: {left_out[0][1]}")
    mask, affine = (
        np.any([values != 0 for values, _ in volumes], axis=0),
        volumes[0][1],
    )  # NaN: none
    i, j, k = mask.shape
    grid = Grid((i, j, k), affine, parse_name(first[0].path.name).get("space") or "")
    shape = (len(first), int(mask.sum()))
    mean, squares, known = (np.zeros(shape, np.float32) for _ in range(3))
    compared = np.linspace(0, shape[1] - 1, min(_COMPARED_VOXELS, shape[1]), dtype=np.intp)
    titles, whose, samples = list[str](), list[int](), list[NDArray[np.float16]]()
    by_person: dict[str, list[AverageFiles]] = {}
    for files in chosen:
        by_person.setdefault(_person(files), []).append(files)
    people = 0
    # Sums over people (Welford): memory does not grow with their number.
    for position, own_averages in enumerate(by_person.values()):
        progress(own_averages[0].title, position / len(by_person))
        total, read = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for files in own_averages:
            paths = {found.label: found.path for found in files.maps}
            try:
                # All are read before any is added: an average is added completely or not at all.
                maps = np.stack([_values_of(paths[file.label], grid, mask) for file in first])
            except RunError as err:
                left_out.append((files.title, str(err)))
                continue
            titles.append(files.title)
            if len(titles) <= MOST_COMPARED:
                # Scaled by the largest value, so that half precision can hold any unit.
                picked = np.nan_to_num(maps[:, compared])
                top = np.abs(picked).max(axis=1, keepdims=True)
                samples.append((picked / np.where(top > 0, top, 1)).astype(np.float16))
                whose.append(position)
            total += np.nan_to_num(maps)
            read += ~np.isnan(maps)
        if read.any():
            people += 1
            known += read > 0
            own = total / np.maximum(read, 1)
            deviation = np.where(read > 0, own - mean, np.float32(0))
            mean += deviation / np.maximum(known, 1)
            deviation *= own - mean
            squares += deviation
    if not titles:
        raise RunError(f"no average of maps can be read: {left_out[0][1]}")
    to_mean = np.full(len(titles), np.nan)
    if people > 2:
        to_mean[: len(samples)] = _to_mean(np.stack(samples), np.array(whose))
    return GroupMaps(
        averages=tuple(titles),
        people=people,
        left_out=tuple(left_out),
        first=first,
        mask=mask,
        affine=affine,
        mean=mean,
        sd=np.sqrt(squares / np.maximum(known - 1, 1)) if people > 1 else None,
        to_mean=to_mean,
    )


def _to_mean(samples: NDArray[np.float16], whose: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return each average's r with the mean of the other people, (averages,), over all contrasts.

    Parameters
    ----------
    samples
        Values at some voxels, (averages, contrasts, voxels).
    whose
        Number of each average's person, (averages,).
    """
    _, whose = np.unique(whose, return_inverse=True)
    found: NDArray[np.float64] = np.zeros(len(samples))
    for contrast in range(samples.shape[1]):
        maps = samples[:, contrast].astype(np.float32)
        own = np.zeros((whose.max() + 1, maps.shape[1]), np.float32)
        np.add.at(own, whose, maps)
        own /= np.bincount(whose)[:, None]  # a person counts once
        others = (own.sum(axis=0) - own)[whose]  # up to a factor, which r ignores
        found += np.einsum("sv,sv->s", _normalised(maps), _normalised(others))
    found /= samples.shape[1]
    return found


def choose_averages(
    averages: Sequence[AverageFiles],
) -> tuple[list[AverageFiles], list[tuple[str, str]]]:
    """Choose the sets to average: one model, one cleaning, and each run of a person once.

    Returns
    -------
    Averages to take the mean of, and title and reason of the others. Of a person's averages that
    were made with different `--combine`, and contain the same runs, those made like most are kept.
    """
    left_out: list[tuple[str, str]] = []

    def keep(those: Sequence[AverageFiles], why: Callable[[AverageFiles], str]) -> Any:
        reasons = [(files, why(files)) for files in those]
        left_out.extend((files.title, reason) for files, reason in reasons if reason)
        return [files for files, reason in reasons if not reason]

    usual = _most_common([_kind(files) for files in averages])
    kept = keep(averages, lambda files: _unlike(_kind(files), usual))
    way = _most_common([_cleaning(files) for files in kept])
    kept = keep(kept, lambda files: _cleaned_otherwise(_cleaning(files), way))
    combined = _most_common([_combine(files) for files in kept])
    ways: dict[str, list[str]] = {}
    for files in kept:
        ways.setdefault(_person(files), []).append(_combine(files))

    def counted_twice(files: AverageFiles) -> str:
        own, ways_of = _combine(files), ways[_person(files)]
        stays = combined if combined in ways_of else ways_of[0]
        return (
            ""
            if own == stays
            else (
                f"made with --combine {own}, as averages of the same participant made with {stays} "
                "are used: a person counts once"
            )
        )

    return keep(kept, counted_twice), left_out


def _kind(files: AverageFiles) -> tuple[object, ...]:
    labels = tuple(sorted(found.label for found in files.maps))
    return (files.common.get("ModelSHA256"), files.common.get("Resolution"), labels)


def _unlike(kind: tuple[object, ...], usual: tuple[object, ...]) -> str:
    """Return how an average differs from most, each as `_kind` gives them; empty: in nothing."""
    if kind == usual:
        return ""
    if any(own is None and most is not None for own, most in zip(kind, usual, strict=True)):
        return "the sidecar of its maps is missing or damaged"
    if kind[0] != usual[0]:
        return "made by another model"
    return "has other maps than most" if kind[1] == usual[1] else "made at another resolution"


def _cleaning(files: AverageFiles) -> dict[str, str]:
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
    return {name: str(value) for name, value in found.items()}


def _cleaned_otherwise(own: Mapping[str, str], way: Mapping[str, str]) -> str:
    differing = [name for name in own if name in way and own[name] != way[name]]
    if not differing:
        return ""
    name = differing[0]
    return f"cleaned with --{name.replace('_', '-')} {own[name]}, most with {way[name]}"


def _combine(files: AverageFiles) -> str:
    recorded = files.record.get("Options")
    return str(recorded.get("combine")) if isinstance(recorded, dict) else "unknown"


def _person(files: AverageFiles) -> str:
    return files.title.partition("_")[0]


def _most_common(values: Sequence[Any]) -> Any:
    return max(values, key=values.count, default={})


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


def _values_of(path: Path, grid: Grid, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    values, affine = _read_map(path)
    require_grid(path, values.shape, affine, grid)
    return np.asarray(values, np.float32)[mask]


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
