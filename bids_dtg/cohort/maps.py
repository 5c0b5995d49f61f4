"""Participants' maps: which ones are used, reading them at voxels, mean and standard deviation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.region_people import most_common
from bids_dtg.errors import DatasetError, RunError, UnusableMapError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import FileKind, parse_name, plain_label
from bids_dtg.files.provenance import file_fingerprint
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces, read_parcel_maps
from bids_dtg.inputs.statmaps import (
    PersonMaps,
    Statistic,
    StatMap,
    choose_statistic,
    find_statmaps,
    in_space,
    name_targets,
    people_maps,
)
from bids_dtg.notices import counted, named, say
from bids_dtg.option import flag
from bids_dtg.report.contents import (
    AverageFiles,
    MapFile,
    ParticipantFiles,
    combination,
    find_participant,
)
from bids_dtg.settings import OPTIONS, CleaningOptions
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.map_checks import map_figures

PlacesRead = TypeVar("PlacesRead", VoxelPlaces, ParcelPlaces)
# Keys kept of sidecars; memory could not hold all those of thousands of participants.
_KEPT = (
    *("ModelSHA256", "Resolution", "DenoiseStrategy", "SpatialReference"),
    *("ModelNotice", "NotForScience", "ExcludedRuns", "Notes"),
)
# Largest number of averages whose maps are compared with each other, as memory grows with it.
MOST_COMPARED = 400
# Number of evenly spaced voxels at which maps are compared; maps are smooth enough for that.
_COMPARED_VOXELS = 3000
# Affines that differ by less are equal, as headers have single precision.
_SAME_MM = 1e-3


@dataclass(frozen=True, eq=False)
class GroupMaps:
    """Mean and standard deviation of many sets of maps."""

    averages: tuple[str, ...]  # titles of the averages, in order
    people: int  # number of people; each counts once in mean and standard deviation
    left_out: tuple[tuple[str, str], ...]  # title and reason
    first: tuple[MapFile, ...]  # maps of the first set, which give names and sidecars
    places: (
        VoxelPlaces | ParcelPlaces
    )  # voxels where the first average has values, or its parcels
    mean: NDArray[np.float32]  # (contrasts, places)
    sd: (
        NDArray[np.float32] | None
    )  # (contrasts, places), over n - 1; None for a single person
    # (averages,), correlation with the mean of the other people; NaN if unknown
    to_mean: NDArray[np.float64]


def find_without_details(
    output: DerivativeDataset,
    label: str,
    of_runs: Sequence[FileKind] = (),
    results: Sequence[FileKind] = (),
) -> ParticipantFiles:
    """Find a participant's files, with shortened sidecars (50 kB of memory each, not 630).

    Files named after another participant, as in a copied folder, are ignored.
    """
    found = find_participant(output, label, of_runs, results=results)

    def kept(facts: Mapping[str, Any]) -> dict[str, Any]:
        return {key: own for key, own in facts.items() if key in _KEPT}

    def average(made: AverageFiles) -> AverageFiles:
        maps = (replace(one, sidecar=kept(one.sidecar)) for one in made.maps)
        record = {"Options": made.record.get("Options")}
        return replace(made, record=record, maps=tuple(maps), common=kept(made.common))

    own = f"sub-{label}_"
    return replace(
        found,
        averages=tuple(
            average(made) for made in found.averages if made.title.startswith(own)
        ),
        runs=tuple(
            replace(run, facts=kept(run.facts))
            for run in found.runs
            if run.title.startswith(own)
        ),
    )


def with_details(output: DerivativeDataset, made: AverageFiles) -> AverageFiles:
    """Return an average with the full sidecars of all its maps, in the order of pages."""
    found = find_participant(output, _person(made).removeprefix("sub-")).averages
    # Results other than maps have only one sidecar, which is in memory.
    return next((own for own in found if own.title == made.title), made)


def mean_of_averages(
    output: DerivativeDataset,
    averages: Sequence[AverageFiles],
    combine: str | None = None,
) -> GroupMaps:
    """Compute mean and standard deviation of maps, reading each average once; print the progress.

    Parameters
    ----------
    output
        Dataset of the averages.
    averages
        The averages; `choose_averages` decides which are used. Those of a person are averaged
        first.
    combine
        As for `choose_averages`.

    Raises
    ------
    RunError
        No average can be read.
    DatasetError
        There are averages of several ``--combine``.
    """
    chosen, left_out = choose_averages(averages, combine)
    places: VoxelPlaces | ParcelPlaces
    if chosen[0].maps[0].of_parcels:
        made, places = _first_readable(chosen, _parcels)
    else:
        made, places = places_of(chosen)
    first = with_details(output, made).maps
    shape = (len(first), places.number)
    mean, squares, known = (np.zeros(shape, np.float32) for _ in range(3))
    compared = np.linspace(
        0, shape[1] - 1, min(_COMPARED_VOXELS, shape[1]), dtype=np.intp
    )
    titles, whose, samples = list[str](), list[int](), list[NDArray[np.float32]]()
    by_person: dict[str, list[AverageFiles]] = {}
    for files in chosen:
        by_person.setdefault(_person(files), []).append(files)
    # Running sums over people (Welford), so that memory does not grow with their number.
    for number, own_averages in enumerate(by_person.values()):
        say(f"{number + 1} of {len(by_person)}: {own_averages[0].title}")
        total, read = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for files in own_averages:
            try:
                # All are read before any is added, so that an average is added whole or not at all.
                maps = _read_set(files.maps, [file.label for file in first], places)
            except RunError as err:
                left_out.append((files.title, str(err)))
                continue
            titles.append(files.title)
            if len(titles) <= MOST_COMPARED:
                samples.append(np.nan_to_num(maps[:, compared]))
                whose.append(number)
            total += np.nan_to_num(maps)
            read += ~np.isnan(maps)
        known += read > 0
        own = total / np.maximum(read, 1)
        deviation = np.where(read > 0, own - mean, np.float32(0))
        mean += deviation / np.maximum(known, 1)
        squares += deviation * (own - mean)
    people = len({title.partition("_")[0] for title in titles})
    to_mean = np.full(len(titles), np.nan)
    if people > 2:
        to_mean[: len(samples)] = _to_mean(np.stack(samples), np.array(whose))
    sd = np.sqrt(squares / np.maximum(known - 1, 1)) if people > 1 else None
    return GroupMaps(
        tuple(titles), people, tuple(left_out), first, places, mean, sd, to_mean
    )


def _to_mean(
    samples: NDArray[np.float32], whose: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return each average's r with the mean of the other people, (averages,), mean over contrasts.

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
        maps = samples[:, contrast]
        own = np.zeros((whose.max() + 1, maps.shape[1]), np.float32)
        np.add.at(own, whose, maps)
        own /= np.bincount(whose)[:, None]  # a person counts once
        others = (own.sum(axis=0) - own)[whose]  # up to a factor, which r ignores
        found += np.nan_to_num(correlation(maps, others))
    found /= samples.shape[1]
    return found


def choose_averages(
    averages: Sequence[AverageFiles], combine: str | None = None
) -> tuple[list[AverageFiles], list[tuple[str, str]]]:
    """Choose the averages to use: one model, one cleaning, and each run of a person once.

    Parameters
    ----------
    averages
        The averages.
    combine
        Value of ``--combine``, by which they are chosen; None: there must be one kind.

    Returns
    -------
    The averages that were made like most others, and title and reason for the rest.

    Raises
    ------
    DatasetError
        There are averages of several ``--combine`` and none was chosen, or none of the chosen one.
    """
    kept, left_out = _of_one_combine(averages, combine), list[tuple[str, str]]()
    made_with = {made.title: _made_with(made) for made in kept}
    for name in dict.fromkeys(name for facts in made_with.values() for name in facts):
        known = [
            made_with[made.title][name]
            for made in kept
            if name in made_with[made.title]
        ]
        usual = most_common(known) if known else None
        for made in tuple(kept):
            if (own := made_with[made.title].get(name, usual)) != usual:
                kept.remove(made)
                why = f"made with {name} {own}, most with {usual}"
                if not name.startswith("--"):
                    why = f"its {name} differs from that of most"
                if own is None:
                    why = "the sidecar of its maps is missing or damaged"
                left_out.append((made.title, why))
    return kept, left_out


def _of_one_combine(
    averages: Sequence[AverageFiles], combine: str | None
) -> list[AverageFiles]:
    """Return the averages of one ``--combine``; those without a record fit to any."""
    titles: dict[str, list[str]] = {}
    for made in averages:
        if own := combination(made.record):
            titles.setdefault(own, []).append(made.title)
    there = [
        f"--combine {name}: {counted(len(own), 'set')} ({named(own)})"
        for name, own in sorted(titles.items())
    ]
    if combine is None and len(titles) < 2:
        return list(averages)
    if combine is None:
        raise DatasetError(
            f"OUTPUT_DIR has results of {len(titles)} kinds: {'; '.join(there)}",
            expected="one kind, as they are made from the same runs",
            remedy=f"choose with --combine {' or '.join(sorted(titles))}",
        )
    if titles and combine not in titles:
        raise DatasetError(
            f"OUTPUT_DIR has no results of --combine {combine}, but of {'; '.join(there)}",
            remedy=f"run the participant level with --combine {combine}",
        )
    if others := [name for name in sorted(titles) if name != combine]:
        say(f"of --combine {combine}; not used: those of {' and '.join(others)}")
    return [made for made in averages if combination(made.record) in (None, combine)]


def _made_with(made: AverageFiles) -> dict[str, object]:
    """Return what averages must have in common: model, resolution, maps and cleaning."""
    recorded = made.record.get("Options")
    options = recorded if isinstance(recorded, dict) else {}
    # Minimum duration and degrees of freedom of a run do not change its cleaning.
    names = (
        name
        for name, option in OPTIONS.items()
        if option.part is CleaningOptions and not name.startswith("min_")
    )
    return {
        "model": made.common.get("ModelSHA256"),
        "resolution": made.common.get("Resolution"),
        "set of maps": tuple(sorted(found.label for found in made.maps)),
        "--denoise-strategy": str(made.common.get("DenoiseStrategy")),
        **{flag(name): str(options[name]) for name in names if name in options},
    }


def _person(made: AverageFiles) -> str:
    return made.title.partition("_")[0]


def places_of(averages: Iterable[AverageFiles]) -> tuple[AverageFiles, VoxelPlaces]:
    """Return the first average whose maps can be read, and the voxels where they have values.

    These include voxels of the model's mask where the run has no data, which are NaN.

    Raises
    ------
    RunError
        No average can be read; the message says why for the first one.
    """
    return _first_readable(averages, _places)


def _first_readable(
    averages: Iterable[AverageFiles], read: Callable[[Sequence[MapFile]], PlacesRead]
) -> tuple[AverageFiles, PlacesRead]:
    damaged = list[RunError]()
    for made in averages:
        try:
            return made, read(made.maps)
        except RunError as err:
            damaged.append(err)
    raise damaged[0]


def _parcels(maps: Sequence[MapFile]) -> ParcelPlaces:
    return read_parcel_maps(maps[0].path)[0]


def _read_set(
    maps: Sequence[MapFile], labels: Sequence[str], places: VoxelPlaces | ParcelPlaces
) -> NDArray[np.float32]:
    """Read the maps of an average, (labels, places)."""
    paths = {shown.label: shown.path for shown in maps}
    if isinstance(places, VoxelPlaces):
        return np.stack([read_map(paths[label], places) for label in labels])
    path = maps[0].path
    parcels, names, values = read_parcel_maps(path)
    if lacking := [label for label in labels if label not in names]:
        raise RunError(
            f"{path} has no map {lacking[0]}", expected="the maps of its sidecar"
        )
    if parcels.names != places.names:
        raise RunError(
            f"{path} has other parcels than the first map", expected="the same for all"
        )
    chosen: NDArray[np.float32] = values[[names.index(label) for label in labels]]
    return chosen


def _places(maps: Sequence[MapFile]) -> VoxelPlaces:
    path = maps[0].path
    values, affine = read_volume(path)
    if values.ndim != 3:
        raise RunError(
            f"{path} has the shape {values.shape}", expected="three dimensions"
        )
    name, (i, j, k) = parse_name(path.name), values.shape
    grid = Grid((i, j, k), affine, name.get("space") or "", name.get("res"))
    known = [_volume(made.path, grid) != 0 for made in maps]
    return VoxelPlaces.within(grid, np.any(known, axis=0))


def read_map(path: Path, places: VoxelPlaces) -> NDArray[np.float32]:
    """Read a map that the program wrote on the grid of the voxels, (voxels,).

    Raises
    ------
    RunError
        The map cannot be read, has only 0 and NaN, or has another grid.
    """
    values: NDArray[np.float32] = _volume(path, places.grid).reshape(-1)[
        places.positions
    ]
    return values


def _volume(path: Path, grid: Grid) -> NDArray[np.float32]:
    values, affine = read_volume(path)
    name = parse_name(path.name)
    space = (
        name.get("space") or name.get("tpl") or ""
    )  # tpl- for maps shared by all people
    if (values.shape, space) != (grid.shape, grid.space) or not np.allclose(
        affine, grid.affine, atol=_SAME_MM
    ):
        raise RunError(
            f"{path} has other voxels than the first map: {values.shape} in {space or 'no space'}",
            expected=f"one grid for all maps, {grid.shape} in {grid.space or 'no space'}",
            remedy="run the participant level again for this participant",
        )
    if not np.nan_to_num(values).any():
        raise RunError(f"{path} has only 0 and NaN")
    return np.asarray(values, np.float32)


def facts_of_files(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return names and fingerprints of files, which change when the files do."""
    return [{"name": path.name, **file_fingerprint(path)} for path in paths]


def choose_measured(
    place: Path,
    space: str,
    tasks: Mapping[str, str],
    sessions: Sequence[str],
    is_wanted: Callable[[StatMap], bool],
) -> tuple[dict[str, PersonMaps], Statistic]:
    """Choose one measured map per person and contrast, and one statistic; print what was decided.

    Parameters
    ----------
    place
        Folder of the maps.
    space
        Template space that they must be in.
    tasks
        The task of each known contrast, as for `name_targets`.
    sessions
        Labels of sessions to prefer, in this order.
    is_wanted
        Whether a map's person and contrast are requested.

    Raises
    ------
    DatasetError
        Maps are in other spaces or ambiguous, or no statistic exists for everybody.
    """
    maps, of_space = in_space(find_statmaps(place)[0], space)
    maps, of_tasks = name_targets(maps, tasks)
    preferred = [plain_label(label, "ses") for label in sessions]
    chosen = people_maps(filter(is_wanted, maps), preferred)
    say(*filter(None, (of_space, of_tasks)))
    statistic, of_runs = choose_statistic(chosen)
    say(*filter(None, (of_runs,)))
    return chosen, statistic


def read_measured(
    statmap: StatMap, statistic: Statistic, read: Callable[[Path], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Read a measured map at voxels or parcels, (places,), NaN where the file has no value.

    Parameters
    ----------
    statmap, statistic
        The map, and the statistic to read.
    read
        Reads a file, as `Places.read` does.

    Raises
    ------
    RunError
        The file cannot be used.
    """
    path = statmap.files[statistic]
    values = read(path)
    if why := map_figures(values).unusable:
        raise UnusableMapError(f"of {path.name}: {why}")
    return values
