"""Participants' maps: which ones are used, and reading them at voxels or parcels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from statistics import mode
from typing import Any, TypeVar

import numpy as np

from bids_dtg.array_types import Float32
from bids_dtg.errors import DatasetError, RunError, UnusableMapError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import FileKind, parse_name
from bids_dtg.files.provenance import DAMAGED, file_fingerprint
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces, read_parcel_maps
from bids_dtg.imaging.surfaces.painting import read_over_parcels
from bids_dtg.inputs.anatomy import SURFACE_TEMPLATES
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
from bids_dtg.stats.map_checks import map_figures

PlacesRead = TypeVar("PlacesRead", VoxelPlaces, ParcelPlaces)
# Keys that are used of sidecars; memory could not hold all those of thousands of participants.
_USED = (
    "ModelSHA256",
    "Resolution",
    "DenoiseStrategy",
    "SpatialReference",
    "ModelNotice",
    "NotForScience",
    "ExcludedRuns",
    "Notes",
)
# Affines that differ by less are equal, as headers have single precision.
_SAME_MM = 1e-3


def find_without_details(
    output: DerivativeDataset,
    label: str,
    run_files: Sequence[FileKind] = (),
    results: Sequence[FileKind] = (),
) -> ParticipantFiles:
    """Find a participant's files, with shortened sidecars (50 kB of memory each, not 630).

    Files named after another participant, as in a copied folder, are ignored.
    """
    files = find_participant(output, label, run_files, results=results)

    def shortened(facts: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in facts.items() if key in _USED}

    def without_details(average: AverageFiles) -> AverageFiles:
        return replace(
            average,
            record=short_record(average.record),
            maps=tuple(
                replace(file, sidecar=shortened(file.sidecar)) for file in average.maps
            ),
            common=shortened(average.common),
        )

    prefix = f"sub-{label}_"
    averages = [
        without_details(average)
        for average in files.averages
        if average.title.startswith(prefix)
    ]
    runs = [
        replace(run, facts=shortened(run.facts))
        for run in files.runs
        if run.title.startswith(prefix)
    ]
    return replace(files, averages=tuple(averages), runs=tuple(runs))


def short_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `choose_averages` needs of a completion record."""
    return {key: record.get(key) for key in ("Options", DAMAGED)}


def with_details(output: DerivativeDataset, average: AverageFiles) -> AverageFiles:
    """Return an average with the full sidecars of all its maps, in the order of the model."""
    files = find_participant(output, average.participant)
    for with_sidecars in files.averages:
        if with_sidecars.title == average.title:
            return with_sidecars
    # Results other than maps have only one sidecar, which is in memory.
    return average


def by_participant(
    averages: Iterable[AverageFiles],
) -> dict[str, tuple[AverageFiles, ...]]:
    """Return each participant's averages, by the participant's label."""
    grouped: dict[str, tuple[AverageFiles, ...]] = {}
    for average in averages:
        label = average.participant
        grouped[label] = (*grouped.get(label, ()), average)
    return grouped


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
    # While an average is made again, its files are not those that its record describes.
    again = "it is damaged or half replaced; run the participant level again"
    left_out: list[tuple[str, str]] = []
    whole: list[AverageFiles] = []
    for average in averages:
        if _is_damaged(average):
            left_out.append((average.title, again))
        else:
            whole.append(average)
    chosen = _with_same_combine(whole, combine)
    processing = {average.title: _processing_of(average) for average in chosen}
    names = dict.fromkeys(name for facts in processing.values() for name in facts)
    for name in names:
        facts = [processing[average.title] for average in chosen]
        values = [made_with[name] for made_with in facts if name in made_with]
        usual = mode(values) if values else None
        for average in tuple(chosen):
            value = processing[average.title].get(name, usual)
            if value == usual:
                continue
            chosen.remove(average)
            reason = f"made with {name} {value}, most with {usual}"
            if not name.startswith("--"):
                reason = f"its {name} differs from that of most"
            if value is None:
                reason = "the sidecar of its maps is missing or damaged"
            left_out.append((average.title, reason))
    return chosen, left_out


def _is_damaged(average: AverageFiles) -> bool:
    """Return whether the record of an average names one of its results as damaged or replaced."""
    damaged = average.record.get(DAMAGED) or ()
    names = {PurePosixPath(str(path)).name for path in damaged}
    return any(file.path.name in names for file in average.maps)


def _with_same_combine(
    averages: Sequence[AverageFiles], combine: str | None
) -> list[AverageFiles]:
    """Return the averages of a single ``--combine``; those without a record fit to any."""
    titles: dict[str, list[str]] = {}
    for average in averages:
        value = combination(average.record)
        if value:
            titles.setdefault(value, []).append(average.title)
    if combine is None and len(titles) < 2:
        return list(averages)
    present = [
        f"--combine {value}: {counted(sets, 'set')} ({named(sets)})"
        for value, sets in sorted(titles.items())
    ]
    if combine is None:
        raise DatasetError(
            f"OUTPUT_DIR has results of {len(titles)} kinds: {'; '.join(present)}",
            expected="one kind, as they are made from the same runs",
            remedy=f"choose with --combine {' or '.join(sorted(titles))}",
        )
    if titles and combine not in titles:
        raise DatasetError(
            f"OUTPUT_DIR has no results of --combine {combine}, but of {'; '.join(present)}",
            remedy=f"run the participant level with --combine {combine}",
        )
    unused = [value for value in sorted(titles) if value != combine]
    if unused:
        say(f"of --combine {combine}; not used: those of {' and '.join(unused)}")
    return [
        average
        for average in averages
        if combination(average.record) in (None, combine)
    ]


def _processing_of(average: AverageFiles) -> dict[str, object]:
    """Return what averages must have in common: model, resolution, maps and cleaning."""
    recorded = average.record.get("Options")
    options = recorded if isinstance(recorded, dict) else {}
    # Minimum duration and degrees of freedom of a run do not change its cleaning.
    names = [
        name
        for name, option in OPTIONS.items()
        if option.part is CleaningOptions and not name.startswith("min_")
    ]
    return {
        "model": average.common.get("ModelSHA256"),
        "resolution": average.common.get("Resolution"),
        "set of maps": tuple(sorted(file.label for file in average.maps)),
        "--denoise-strategy": str(average.common.get("DenoiseStrategy")),
        **{flag(name): str(options[name]) for name in names if name in options},
    }


def places_of(averages: Iterable[AverageFiles]) -> tuple[AverageFiles, VoxelPlaces]:
    """Return the first average whose maps can be read, and the voxels where they have values.

    These include voxels of the model's mask where the run has no data, which are NaN.

    Raises
    ------
    RunError
        No average can be read; the message says why for the first one.
    """
    return _first_readable(averages, _places)


def parcels_of(averages: Iterable[AverageFiles]) -> tuple[AverageFiles, ParcelPlaces]:
    """Return the first average whose maps can be read, and its parcels, as `places_of` does."""
    return _first_readable(averages, lambda maps: read_parcel_maps(maps[0].path)[0])


def _first_readable(
    averages: Iterable[AverageFiles],
    read_places: Callable[[Sequence[MapFile]], PlacesRead],
) -> tuple[AverageFiles, PlacesRead]:
    errors = list[RunError]()
    for average in averages:
        try:
            return average, read_places(average.maps)
        except RunError as err:
            errors.append(err)
    raise errors[0]


def _places(maps: Sequence[MapFile]) -> VoxelPlaces:
    path = maps[0].path
    values, affine = read_volume(path)
    if values.ndim != 3:
        raise RunError(
            f"{path} has the shape {values.shape}", expected="three dimensions"
        )
    name = parse_name(path.name)
    i, j, k = values.shape
    grid = Grid((i, j, k), affine, name.get("space") or "", name.get("res"))
    has_value = [_volume(file.path, grid) != 0 for file in maps]
    return VoxelPlaces.within(grid, np.any(has_value, axis=0))


def read_map(path: Path, places: VoxelPlaces) -> Float32:
    """Read a map that the program wrote on the grid of the voxels, (voxels,).

    Raises
    ------
    RunError
        The map cannot be read, has only 0 and NaN, or has another grid.
    """
    voxels = _volume(path, places.grid).reshape(-1)
    return voxels[places.positions]


def _volume(path: Path, grid: Grid) -> Float32:
    values, affine = read_volume(path)
    name = parse_name(path.name)
    # tpl- is for maps that all people share.
    space = name.get("space") or name.get("tpl") or ""
    same_affine = np.allclose(affine, grid.affine, atol=_SAME_MM)
    if (values.shape, space) != (grid.shape, grid.space) or not same_affine:
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
    statmaps, _ = find_statmaps(place)
    in_model_space, space_note = in_space(statmaps, space)
    targets, task_note = name_targets(in_model_space, tasks)
    maps = people_maps(filter(is_wanted, targets), sessions)
    say(*filter(None, (space_note, task_note)))
    statistic, run_note = choose_statistic(maps)
    say(*filter(None, (run_note,)))
    return maps, statistic


def map_reader(
    places: VoxelPlaces | ParcelPlaces, space: str | None
) -> Callable[[Path], Float32]:
    """Return how a measured map of a space is read at voxels or parcels.

    For parcels, volumes are read at a template's vertices.
    """
    if isinstance(places, ParcelPlaces) and space in SURFACE_TEMPLATES:
        return partial(read_over_parcels, places, space)
    return places.read


def read_measured(
    statmap: StatMap,
    statistic: Statistic,
    read_file: Callable[[Path], Float32],
) -> Float32:
    """Read a measured map at voxels or parcels, (places,), NaN where the file has no value.

    Parameters
    ----------
    statmap, statistic
        The map, and the statistic to read.
    read_file
        Reads a file, as those of `map_reader` do.

    Raises
    ------
    RunError
        The file cannot be used.
    """
    path = statmap.files[statistic]
    values = read_file(path)
    reason = map_figures(values).unusable
    if reason:
        raise UnusableMapError(f"of {path.name}: {reason}")
    return values
