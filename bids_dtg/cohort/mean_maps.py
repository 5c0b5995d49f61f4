"""Mean and standard deviation of participants' maps: computed online, and written as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Float32, Float64, Indices
from bids_dtg.cohort.maps import (
    by_participant,
    choose_averages,
    parcels_of,
    places_of,
    read_map,
    with_details,
)
from bids_dtg.errors import RunError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import build_name, parse_name
from bids_dtg.files.sidecars import sidecar_of
from bids_dtg.files.text import write_json
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces, read_parcel_maps
from bids_dtg.notices import counted, say
from bids_dtg.report.contents import NOT_MEASURED, AverageFiles, MapFile
from bids_dtg.stats.correlation import correlation
from bids_dtg.version import __version__

# Largest number of averages whose maps are compared with each other, as memory grows with it.
MOST_COMPARED = 400
# Number of evenly spaced voxels at which maps are compared; maps are smooth enough for that.
_COMPARED_VOXELS = 3000
_MEAN = "groupMean"
SPREAD = "groupSd"  # desc- of their standard deviation
# Keys that a mean map's sidecar copies from the participants' maps.
_COMMON = (
    "Task",
    "Contrast",
    "SpatialReference",
    "Resolution",
    "Density",
    "Units",
    "Synthetic",
    "ModelName",
    "ModelVersion",
    "ModelKind",
    "ModelSHA256",
    "ModelNotice",
    "NotForScience",
    "Individual",
    "IndividualNote",
)
# Those of a single contrast.
_ONE_CONTRAST = ("Task", "Contrast", "Individual", "IndividualNote")
_ENTITIES = ("space", "res", "den", "seg", "contrast", "stat")  # of files of mean maps


@dataclass(frozen=True, eq=False)
class GroupMaps:
    """Mean and standard deviation of many sets of maps."""

    averages: tuple[str, ...]  # titles of the averages, in order
    people: int  # number of people; each counts once in mean and standard deviation
    left_out: tuple[tuple[str, str], ...]  # title and reason
    first: tuple[MapFile, ...]  # maps of the first set, which give names and sidecars
    # Voxels where the first average has values, or its parcels.
    places: VoxelPlaces | ParcelPlaces
    mean: Float32  # (contrasts, places)
    # (contrasts, places), over n - 1; None for a single person.
    sd: Float32 | None
    # (averages,), correlation with the mean of the other people; NaN if unknown
    r_with_others: Float64


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
    if chosen[0].maps[0].has_parcels:
        readable, places = parcels_of(chosen)
    else:
        readable, places = places_of(chosen)
    first_maps = with_details(output, readable).maps
    labels = [file.label for file in first_maps]
    sums = _RunningSums((len(first_maps), places.number))
    by_person = by_participant(chosen)
    titles: list[str] = []
    for person, averages_of_person in enumerate(by_person.values()):
        say(f"{person + 1} of {len(by_person)}: {averages_of_person[0].title}")
        total = np.zeros_like(sums.mean)
        count = np.zeros_like(sums.mean)  # averages with a value
        for average in averages_of_person:
            try:
                # All are read before any is added, so that an average is added whole or not at all.
                maps = _read_set(average.maps, labels, places)
            except RunError as err:
                left_out.append((average.title, str(err)))
                continue
            titles.append(average.title)
            sums.sample(maps, person)
            total += np.nan_to_num(maps)
            count += ~np.isnan(maps)
        sums.add(total, count)
    people = len({title.partition("_")[0] for title in titles})
    r_with_others = np.full(len(titles), np.nan)
    if people > 2:
        samples = np.stack(sums.samples)
        people_of_samples = np.array(sums.person_of_sample)
        r_with_others[: len(samples)] = _r_with_others(samples, people_of_samples)
    return GroupMaps(
        averages=tuple(titles),
        people=people,
        left_out=tuple(left_out),
        first=first_maps,
        places=places,
        mean=sums.mean,
        sd=sums.sd if people > 1 else None,
        r_with_others=r_with_others,
    )


def _read_set(
    maps: Sequence[MapFile], labels: Sequence[str], places: VoxelPlaces | ParcelPlaces
) -> Float32:
    """Read the maps of an average, (labels, places)."""
    paths = {shown.label: shown.path for shown in maps}
    if isinstance(places, VoxelPlaces):
        return np.stack([read_map(paths[label], places) for label in labels])
    path = maps[0].path
    parcels, names, values = read_parcel_maps(path)
    lacking = [label for label in labels if label not in names]
    if lacking:
        raise RunError(
            f"{path} has no map {lacking[0]}", expected="the maps of its sidecar"
        )
    if parcels.names != places.names:
        raise RunError(
            f"{path} has other parcels than the first map", expected="the same for all"
        )
    return values[[names.index(label) for label in labels]]


class _RunningSums:
    """Mean and squares over people (Welford), so that memory does not grow with their number.

    `shape` is that of a set of maps, (contrasts, places).
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.mean = np.zeros(shape, np.float32)
        self.squares = np.zeros(shape, np.float32)  # of deviations from the mean
        self.people = np.zeros(shape, np.float32)  # how many have a value
        # At which maps are compared with each other.
        number = min(_COMPARED_VOXELS, shape[1])
        self.sampled_places = np.linspace(0, shape[1] - 1, number, dtype=np.intp)
        self.samples: list[Float32] = []
        self.person_of_sample: list[int] = []

    def sample(self, maps: Float32, person: int) -> None:
        """Keep some places of an average of a person, for comparing averages."""
        if len(self.samples) < MOST_COMPARED:
            self.samples.append(np.nan_to_num(maps[:, self.sampled_places]))
            self.person_of_sample.append(person)

    def add(self, total: Float32, count: Float32) -> None:
        """Add a person's mean over averages, from their sum and number at each place."""
        self.people += count > 0
        person_mean = total / np.maximum(count, 1)
        deviation = np.where(count > 0, person_mean - self.mean, np.float32(0))
        self.mean += deviation / np.maximum(self.people, 1)
        self.squares += deviation * (person_mean - self.mean)

    @property
    def sd(self) -> Float32:
        """The standard deviation over people, over n - 1."""
        return np.sqrt(self.squares / np.maximum(self.people - 1, 1))


def _r_with_others(samples: Float32, people: Indices) -> Float64:
    """Return each average's r with the mean of the other people, (averages,), mean over contrasts.

    Parameters
    ----------
    samples
        Values at some voxels, (averages, contrasts, voxels).
    people
        Number of each average's person, (averages,).
    """
    _, person = np.unique(people, return_inverse=True)
    r: Float64 = np.zeros(len(samples))
    for contrast in range(samples.shape[1]):
        maps = samples[:, contrast]
        person_means = np.zeros((person.max() + 1, maps.shape[1]), np.float32)
        np.add.at(person_means, person, maps)
        person_means /= np.bincount(person)[:, None]  # a person counts once
        # Up to a factor, which r ignores.
        mean_of_others = (person_means.sum(axis=0) - person_means)[person]
        r += np.nan_to_num(correlation(maps, mean_of_others))
    r /= samples.shape[1]
    return r


def write_means(
    output: DerivativeDataset, group: GroupMaps
) -> tuple[list[MapFile], dict[str, Path]]:
    """Write the mean and the spread of each contrast.

    Returns
    -------
    The mean maps, and the image of the spread by the contrast's label, if there are several people.
    """
    means: list[MapFile] = []
    spreads: dict[str, Path] = {}
    are_voxels = isinstance(group.places, VoxelPlaces)
    paths: dict[str, Path] = {}
    for number, contrast in enumerate(group.first):
        # One file of parcels has all contrasts.
        if are_voxels or number == 0:
            paths = _write_statistics(output, group, number)
        description = contrast.description.removeprefix(NOT_MEASURED)
        sidecar = {**contrast.sidecar, "Description": description}
        means.append(MapFile(contrast.label, paths[_MEAN], sidecar))
        if SPREAD in paths:
            spreads[contrast.label] = paths[SPREAD]
    return means, spreads


def _write_statistics(
    output: DerivativeDataset, group: GroupMaps, number: int
) -> dict[str, Path]:
    """Write mean and spread of a contrast, or of all contrasts of parcels; return their paths."""
    places, contrast = group.places, group.first[number]
    name = parse_name(contrast.path.name)
    entities = {key: name.get(key) for key in _ENTITIES}
    statistics = {
        _MEAN: ("Mean", group.mean),
        SPREAD: ("Standard deviation", group.sd),
    }
    paths: dict[str, Path] = {}
    for desc, (word, values) in statistics.items():
        if values is None:
            continue
        if isinstance(places, VoxelPlaces):
            extension = ".nii.gz"
            text = f"bids_dtg {__version__} group"
            image = places.encode(values[number], description=text)
            subject = contrast.description.removeprefix(NOT_MEASURED)
        else:
            extension = places.extension
            labels = [contrast.label for contrast in group.first]
            image = places.encode_maps(values, labels)
            subject = counted(labels, "contrast")
        file = build_name({**entities, "desc": desc}, "statmap", extension)
        paths[desc] = output.path(f"group/{file}")
        output.write(f"group/{file}", image)
        facts = _group_facts(group, f"{word} over", subject, contrast)
        write_json(sidecar_of(paths[desc]), facts)
    return paths


def remove_earlier_means(output: DerivativeDataset, current: set[Path]) -> None:
    """Remove mean maps of an earlier run, of other people."""
    for path in output.path("group").glob("*_desc-group*_statmap.*nii*"):
        if path not in current:
            path.unlink()
            sidecar_of(path).unlink(missing_ok=True)


def _group_facts(
    group: GroupMaps, word: str, subject: str, contrast: MapFile
) -> dict[str, Any]:
    """Return the sidecar of a mean map, or of the spread."""
    are_voxels = isinstance(group.places, VoxelPlaces)
    copied = [key for key in _COMMON if are_voxels or key not in _ONE_CONTRAST]
    return {
        "Description": f"{word} {counted(group.people, 'participant')} "
        f"({counted(group.averages, 'average')} of predicted maps): {subject}",
        **{key: contrast.sidecar[key] for key in copied if key in contrast.sidecar},
        **({"SkullStripped": True} if are_voxels else {}),
        "NParticipants": group.people,
        "NSets": len(group.averages),
    }
