"""Deviations of people's maps from the mean of all others, for models without mean and spread.

Each person's maps are compared with the mean and the spread of all others' maps. Everybody's maps
are read twice, one person at a time: sums over all come first, and leave-one-out sums follow from
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.people import counting_sets, places_of, read_map
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import DatasetError, RunError
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.names import bids_uri
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.notices import counted, named, say, show
from bids_dtg.report.contents import (
    DEVIATION,
    NOT_MEASURED,
    SYNTHETIC,
    AverageFiles,
    MapFile,
)
from bids_dtg.settings import Settings
from bids_dtg.stats.conformal import block_edge
from bids_dtg.stats.deviation import LEAST_PEOPLE, UNITS, Deviation, PeopleSums
from bids_dtg.version import __version__

Array = NDArray[np.float32]
FOLDER = PurePosixPath("group/deviation")
_TABLE = "desc-deviation_distances"
_CAN_WRITE = (_TABLE, "dataset_description", f"sub-*/*_desc-{DEVIATION}_statmap")
# Keys that a deviation's sidecar copies from the map's sidecar.
_COMMON = (
    *("Task", "Contrast", "SpatialReference", "Resolution", "Synthetic", "NSegments"),
    *("ModelName", "ModelVersion", "ModelKind", "ModelSHA256", "ModelNotice", "NotForScience"),
)


def run_deviation(settings: Settings) -> int:
    """Write everybody's deviations from the others; return how many participants were left out.

    Parameters
    ----------
    settings
        Options of the call; ``--participant-label`` names the cohort.

    Raises
    ------
    DatasetError
        The output folder holds no results, those of another dataset, or of too few people.
    """
    found = counting_sets(settings, each_sidecar=True)
    output, people = found.output, found.averages
    _require_enough(len(people))
    if settings.behaviour.dry_run:
        show(f"would write deviations of {counted(len(people), 'participant')} to {FOLDER}")
        return 0
    results = ResultFolder(settings, output, FOLDER.name, _CAN_WRITE)
    with results.begun() as locks:
        locks.require(
            "group", what=f"{output.root / 'group'}", remedy="end it, if it is not wanted"
        )
        cohort = _Cohort.of(results, next(iter(people.values()))[0])
        return cohort.write(people)


def _require_enough(people: int) -> None:
    if people <= LEAST_PEOPLE:
        raise DatasetError(
            f"only {counted(people, 'participant')} with maps of one model: too few for a "
            "person's deviation from the group mean",
            expected=f"{LEAST_PEOPLE + 1} or more, each compared with all others",
        )


@dataclass(frozen=True, eq=False)
class _Cohort:
    """People whose maps are compared, all on one grid."""

    results: ResultFolder
    places: VoxelPlaces
    labels: tuple[str, ...]  # of the contrasts, in the order of the rows

    @classmethod
    def of(cls, results: ResultFolder, first: AverageFiles) -> _Cohort:
        """Read grid and places from a set's maps: voxels where one of them has a value."""
        places = places_of(first)
        return cls(results, places, tuple(found.label for found in first.maps))

    def write(self, people: Mapping[str, Sequence[AverageFiles]]) -> int:
        """Write all deviations and the table; return how many people could not be read."""
        sums = PeopleSums(self.places.lattice(block_edge(self.places.spacing_mm)))
        kept = {}
        for person, averages in people.items():
            try:
                sums.add(self._mean(averages))
                kept[person] = averages
            except RunError as err:
                say(f"sub-{person} is left out: {err}")
        _require_enough(sums.people)
        rows = []
        for position, (person, averages) in enumerate(kept.items()):
            say(f"{position / len(kept):4.0%} sub-{person}")
            others = self._others(sums, averages)
            for made in averages:
                values = others.deviations(self._read(made))
                rows.append((made.title, _distances(values)))
                self._write_average(made, values, others)
        self._write_table(rows, sums.people)
        alike = [label for label, none in zip(self.labels, others.has_none, strict=True) if none]
        if alike:
            say(f"no deviations of {named(alike)}: the same map for everybody")
        folder = self.results.path
        say(f"deviations of {counted(len(kept), 'participant')}, each from the others: {folder}")
        return len(people) - len(kept)

    def _others(self, sums: PeopleSums, averages: Sequence[AverageFiles]) -> Deviation:
        segments = [made.common.get("NSegments") for made in averages]
        known = [number for number in segments if isinstance(number, int)]
        mean = round(float(np.mean(known))) if known else 0
        return sums.without(self._mean(averages)).deviation(segments=mean, of="cohort")

    def _mean(self, averages: Sequence[AverageFiles]) -> Array:
        """Return the mean of a person's averages: each person counts once."""
        total = self._read(averages[0])
        for made in averages[1:]:
            total += self._read(made)
        return total / np.float32(len(averages))

    def _read(self, made: AverageFiles) -> Array:
        by_label = {found.label: found.path for found in made.maps}
        maps = np.empty((len(self.labels), self.places.number), np.float32)
        for row, label in zip(maps, self.labels, strict=True):
            row[:] = read_map(by_label[label], self.places)
        return maps

    def _write_average(self, made: AverageFiles, values: Array, others: Deviation) -> None:
        by_label = {found.label: found for found in made.maps}
        for label, row, none in zip(self.labels, values, others.has_none, strict=True):
            if none:
                continue
            found = by_label[label]
            inside = PurePosixPath(found.path.relative_to(self.results.output.root).as_posix())
            name = inside.name.replace(f"_desc-{SYNTHETIC}_", f"_desc-{DEVIATION}_")
            path = inside.with_name(name).as_posix()
            text = f"bids_dtg {__version__} {label} {DEVIATION}"
            write_atomic(self.results.add(path), self.places.encode(row, description=text))
            sidecar = _sidecar(found, inside, others.people)
            self.results.json(path.removesuffix(".nii.gz"), sidecar)

    def _write_table(self, rows: Sequence[tuple[str, NDArray[np.float64]]], people: int) -> None:
        columns = (
            Column("participant_id", "Participant"),
            Column("average", "Session average of the maps: the beginning of their names"),
            *Column(
                "{}", "Distance of the average's map of this contrast from the mean of the others'"
            ).each(self.labels),
        )
        table = ResultTable(
            columns,
            [
                {
                    "participant_id": title.partition("_")[0],
                    "average": title,
                    **dict(zip(self.labels, row, strict=True)),
                }
                for title, row in rows
            ],
            "Root mean square over places of each deviation, in units of the spread between the "
            f"other {people - 1} participants: a row an average, a column a contrast",
        )
        self.results.table(_TABLE, table)
        self.results.dataset("Deviations of participants from each other (bids_dtg)")


def _distances(values: Array) -> NDArray[np.float64]:
    known = np.isfinite(values)
    total = np.square(np.where(known, values, 0), dtype=np.float64).sum(axis=1)
    count = known.sum(axis=1)
    return np.where(count > 0, np.sqrt(total / np.maximum(count, 1)), np.nan)


def _sidecar(found: MapFile, source: PurePosixPath, others: int) -> dict[str, Any]:
    return {
        "Description": "Deviation of the predicted map from the mean of those of "
        f"{others} other participants, in units of the spread between these: "
        f"{found.description.removeprefix(NOT_MEASURED)}",
        **{key: found.sidecar[key] for key in _COMMON if key in found.sidecar},
        "SkullStripped": True,
        "Units": UNITS,
        "Sources": [bids_uri("", str(source))],
        "DeviationsFrom": "cohort",
        "DeviationsFromParticipants": others,
    }
