"""The person's own part of maps whose model knows nobody else's mean: against the cohort's others.

Each person's maps are compared with the mean of all others and the others' spread. Everybody's maps
are read twice, one person at a time: sums over all come first, and those without a person follow
from them.
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
    MapFile,
    SetFiles,
)
from bids_dtg.settings import Settings
from bids_dtg.stats.conformal import cell_block
from bids_dtg.stats.deviation import LEAST_PEOPLE, UNITS, Deviation, PeopleSums
from bids_dtg.version import __version__

Array = NDArray[np.float32]
FOLDER = PurePosixPath("group/deviation")
_TABLE = "desc-deviation_distances"
_CAN_WRITE = (_TABLE, f"sub-*/*_desc-{DEVIATION}_statmap")
# What the sidecar of a deviation takes from the map behind it.
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
    output, people = found.output, found.sets
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
            f"only {counted(people, 'participant')} with maps of one model: too few to tell a "
            "person's own part from",
            expected=f"{LEAST_PEOPLE + 1} or more, each of whom is compared with the others",
        )


@dataclass(frozen=True, eq=False)
class _Cohort:
    """Whose maps are compared: they all lie on one grid."""

    results: ResultFolder
    places: VoxelPlaces
    labels: tuple[str, ...]  # of the contrasts, in the order of rows

    @classmethod
    def of(cls, results: ResultFolder, first: SetFiles) -> _Cohort:
        """Take grid and places from the maps of a set: where one of them has a value."""
        places = places_of(first)
        return cls(results, places, tuple(found.label for found in first.maps))

    def write(self, people: Mapping[str, Sequence[SetFiles]]) -> int:
        """Write all deviations and the table; return how many people could not be read."""
        sums = PeopleSums(self.places.lattice(cell_block(self.places.spacing_mm)))
        kept = {}
        for person, sets in people.items():
            try:
                sums.add(self._mean(sets))
                kept[person] = sets
            except RunError as err:
                say(f"sub-{person} is left out: {err}")
        _require_enough(sums.people)
        rows = []
        for position, (person, sets) in enumerate(kept.items()):
            say(f"{position / len(kept):4.0%} sub-{person}")
            others = self._others(sums, sets)
            for made in sets:
                values = others.deviations(self._read(made))
                rows.append((made.title, _distances(values)))
                self._write_set(made, values, others)
        self._write_table(rows, sums.people)
        alike = [label for label, none in zip(self.labels, others.has_none, strict=True) if none]
        if alike:
            say(f"no deviations of {named(alike)}: the same map for everybody")
        folder = self.results.path
        say(f"deviations of {counted(len(kept), 'participant')}, each from the others: {folder}")
        return len(people) - len(kept)

    def _others(self, sums: PeopleSums, sets: Sequence[SetFiles]) -> Deviation:
        segments = [made.common.get("NSegments") for made in sets]
        known = [number for number in segments if isinstance(number, int)]
        mean = round(float(np.mean(known))) if known else 0
        return sums.without(self._mean(sets)).deviation(segments=mean, of="cohort")

    def _mean(self, sets: Sequence[SetFiles]) -> Array:
        """Return the mean of a person's sets: each person counts once."""
        total = self._read(sets[0])
        for made in sets[1:]:
            total += self._read(made)
        return total / np.float32(len(sets))

    def _read(self, made: SetFiles) -> Array:
        by_label = {found.label: found.path for found in made.maps}
        maps = np.empty((len(self.labels), self.places.number), np.float32)
        for row, label in zip(maps, self.labels, strict=True):
            row[:] = read_map(by_label[label], self.places)
        return maps

    def _write_set(self, made: SetFiles, values: Array, others: Deviation) -> None:
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
            Column("set", "Maps of one average: the beginning of their names"),
            *Column(
                "{}", "How far the set's map of this contrast lies from the mean of the others'"
            ).each(self.labels),
        )
        table = ResultTable(
            columns,
            [
                {
                    "participant_id": title.partition("_")[0],
                    "set": title,
                    **dict(zip(self.labels, row, strict=True)),
                }
                for title, row in rows
            ],
            "Root mean square over places of each deviation, in units of the spread between the "
            f"other {people - 1} participants: a row a set, a column a contrast",
        )
        self.results.table(_TABLE, table)


def _distances(values: Array) -> NDArray[np.float64]:
    known = np.isfinite(values)
    total = np.square(np.where(known, values, 0), dtype=np.float64).sum(axis=1)
    count = known.sum(axis=1)
    return np.where(count > 0, np.sqrt(total / np.maximum(count, 1)), np.nan)


def _sidecar(found: MapFile, source: PurePosixPath, others: int) -> dict[str, Any]:
    return {
        "Description": "What is the person's own of the predicted map, less the mean of those of "
        f"{others} other participants, in units of the spread between these: "
        f"{found.description.removeprefix(NOT_MEASURED)}",
        **{key: found.sidecar[key] for key in _COMMON if key in found.sidecar},
        "Units": UNITS,
        "Sources": [bids_uri("", str(source))],
        "DeviationsFrom": "cohort",
        "DeviationsFromParticipants": others,
    }
