"""Task BOLD: runs, their table (``_desc-task_timeseries.tsv``), and the BOLD of people."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bids_dtg.array_types import Float32
from bids_dtg.cohort.region_tables import RegionTables, TableKind, list_tables
from bids_dtg.errors import DatasetError, ForeignFileError
from bids_dtg.files.foreign import read_json_object
from bids_dtg.files.names import FileKind, parse_name
from bids_dtg.files.regions import (
    RegionTable,
    encode_series,
    read_series,
    series_sidecar,
)
from bids_dtg.files.sidecars import stated_start_time
from bids_dtg.inputs.arrays import ArrayPeople
from bids_dtg.inputs.run import NamedFile, RestRun, belongs_to, require_one
from bids_dtg.notices import counted, named
from bids_dtg.participants.request import AveragedRuns, plan_averages
from bids_dtg.settings import Settings
from bids_dtg.twin.bold_runs import BoldRun
from bids_dtg.twin.participant.events import Behaviour

Runs = tuple[BoldRun | None, ...]

TASK_SERIES = FileKind("timeseries", "task", ".tsv")
_KIND = TableKind(TASK_SERIES, "", words="task BOLD", noun="task run")
EVENT_FILE = "EventFile"  # key of the sidecar: path of the run's event file in BIDS_DIR


@dataclass(frozen=True)
class TaskRun(RestRun):
    """A task run, which is in no connectome."""

    events: Path = Path()  # its event file
    start_seconds: float = 0.0  # of the first volume, on the event file's clock

    @property
    def inputs(self) -> tuple[Path, ...]:
        """All files that the run's results depend on."""
        return (*super().inputs, self.events)


def with_event_files(
    runs: Sequence[RestRun], files: Sequence[NamedFile]
) -> Iterator[TaskRun]:
    """Yield a participant's task runs with an event file, and warn about the others."""
    for run in runs:
        name = parse_name(run.bold.name)
        paths = [file.path for file in files if belongs_to(file.name, name)]
        require_one(paths, f"the events of {run.title}")
        if paths:
            start = stated_start_time(run.sidecars)
            yield TaskRun(**vars(run), events=paths[0], start_seconds=start)
        else:
            warnings.warn(
                f"{run.title} is not read: it has no event file", stacklevel=2
            )


def each_alone(runs: Sequence[TaskRun]) -> tuple[AveragedRuns, ...]:
    """Return each run as a piece of work, with a name that no average of rest has."""
    return tuple(
        replace(planned, entities={**planned.entities, "desc": "task"})
        for planned in plan_averages(runs, "run")
    )


@dataclass(frozen=True, eq=False)
class TaskBold:
    """BOLD of people's task runs, all of the same regions; values are read on request."""

    regions: tuple[str, ...]  # names
    # A person's, by label: one for each of the runs of trials.
    read: Callable[[str], Runs]
    notes: tuple[str, ...]  # sentences on who has it, and on runs that were left out
    files: tuple[Path, ...] = ()  # that are read, except arrays


def encode_task_bold(
    names: Sequence[str], bold: BoldRun, event_file: PurePosixPath, **facts: Any
) -> tuple[bytes, dict[str, Any]]:
    """Return the table of a task run's BOLD, and the content of the JSON file beside it.

    The table has one column per region and one row per volume; NaN is ``n/a``.

    Parameters
    ----------
    names
        Of the regions.
    bold
        What the table holds.
    event_file
        Path of the run's event file in BIDS_DIR.
    facts
        More about it, by their keys.
    """
    table = encode_series(RegionTable(tuple(names), bold.values.T))
    return table, {
        **series_sidecar(names, bold.tr_seconds),
        "Description": "Mean series of the parcels of an atlas in a task run, cleaned by "
        "DenoiseStrategy without a low-pass filter and without the global signal: one column per "
        "parcel, one row per volume of the run",
        "Units": "percent of the parcel's mean signal; n/a in volumes that are not kept, and for "
        "parcels without enough coverage",
        "StartTime": bold.start_seconds,
        EVENT_FILE: event_file.as_posix(),
        **facts,
    }


def read_task_bold(path: Path) -> tuple[tuple[str, ...], BoldRun]:
    """Read a table and its sidecar.

    Returns
    -------
    names
        Of the regions.
    bold
        As it was written.

    Raises
    ------
    DatasetError
        One of them is missing or damaged.
    """
    again = "run the participant level again"
    try:
        series, sidecar = read_series(path), read_json_object(path.with_suffix(".json"))
    except ForeignFileError as err:
        raise err.as_kind(DatasetError, remedy=again) from err
    tr, start = sidecar.get("RepetitionTime"), sidecar.get("StartTime")
    if (
        not isinstance(tr, int | float)
        or not isinstance(start, int | float)
        or not tr > 0
    ):
        raise DatasetError(
            f"the sidecar of {path} lacks times",
            expected="RepetitionTime and StartTime in seconds",
            remedy=again,
        )
    return series.names, BoldRun(
        np.ascontiguousarray(series.values.T), float(tr), float(start)
    )


def find_output_bold(
    settings: Settings, behaviour: Mapping[str, Behaviour]
) -> TaskBold | None:
    """Find what the participant level has written for runs of trials; None: there is nothing.

    Parameters
    ----------
    settings
        Options of the run: output, participants.
    behaviour
        People's trials by label, with the event files by which series are found.

    Raises
    ------
    DatasetError
        There are series of several atlases, or one cannot be read.
    """
    if next(list_tables(settings, _KIND), None) is None:
        return None
    tables = RegionTables.find(settings, _KIND, "")
    series = {}  # by label and name of the event file
    for table in tables.tables:
        event_file = PurePosixPath(str(table.sidecar.get(EVENT_FILE)))
        series[table.label, event_file.name] = table.path
    first = tables.tables[0].path
    regions, _ = read_task_bold(first)

    whose = {
        label: [series.get((label, file.path.name)) for file in person.files]
        for label, person in behaviour.items()
    }

    def read_run(path: Path | None) -> BoldRun | None:
        if path is None:
            return None
        names, bold = read_task_bold(path)
        if names != regions:
            raise DatasetError(
                f"{path} has {counted(names, 'parcel')}, and they are not those of "
                f"{first}",
                expected=f"the same {len(regions)}",
                remedy="make it again, or give each atlas an OUTPUT_DIR of its own",
            )
        return bold

    return TaskBold(
        regions,
        lambda label: tuple(map(read_run, whose[label])),
        notes=(_in_words(whose), *tables.lines),
        files=tuple(
            path for paths in whose.values() for path in paths if path is not None
        ),
    )


def find_array_bold(
    arrays: ArrayPeople, behaviour: Mapping[str, Behaviour], files: Sequence[NamedFile]
) -> TaskBold | None:
    """Find task BOLD among arrays; None: there is none.

    A run of the arrays belongs to a person's only event file of its task.

    Parameters
    ----------
    arrays
        Content of the files.
    behaviour
        People's trials by label.
    files
        Everybody's event files, including those that could not be read.
    """
    array = arrays.task_bold
    if array is None:
        return None
    event_files = Counter((file.participant, file.task) for file in files)

    def candidates(file: NamedFile) -> int:
        """Count the event files that the array's run may belong to; 0: it has no such run."""
        if file.participant in array.rows and file.task in array.tasks:
            return event_files[file.participant, file.task]
        return 0

    def number_of(file: NamedFile) -> int | None:
        return array.tasks.index(file.task) if candidates(file) == 1 else None

    whose = {
        label: [number_of(file) for file in person.files]
        for label, person in behaviour.items()
    }

    def read(label: str) -> Runs:
        numbers = whose[label]
        if not any(number is not None for number in numbers):
            return (None,) * len(numbers)
        values = array.of(label).astype(np.float32)
        if np.isinf(values).any():
            raise DatasetError(
                f"{array.title} has infinite values for sub-{label}",
                expected="finite values, and NaN where there are none",
            )
        return tuple(
            None if number is None else _trimmed(values[number].T, array.tr_seconds)
            for number in numbers
        )

    notes = [_in_words(whose)]
    unclear = [
        label
        for label, person in behaviour.items()
        if any(candidates(file) > 1 for file in person.files)
    ]
    if unclear:
        notes.append(
            f"{counted(unclear, 'participant')} with several event files of a task "
            f"({named(unclear)}): task_bold could belong to any of them, so it is not used; "
            "--session-label chooses"
        )
    return TaskBold(arrays.places, read, notes=tuple(notes))


def _trimmed(values: Float32, tr_seconds: float) -> BoldRun | None:
    """Return a run (frames, places) without the frames after its end; None: it has no value."""
    measured = np.flatnonzero(np.isfinite(values).any(axis=1))
    return BoldRun(values[: measured[-1] + 1], tr_seconds) if len(measured) else None


def _in_words(whose: Mapping[str, Sequence[object | None]]) -> str:
    """Count the runs of trials with BOLD, and the people who have some."""
    has_bold = [[run is not None for run in runs] for runs in whose.values()]
    runs = counted(sum(map(len, has_bold)), "run")
    with_bold = sum(map(sum, has_bold))
    people = sum(map(any, has_bold))
    everybody = counted(whose, "participant")
    return f"BOLD in {with_bold} of {runs} of trials, of {people} of {everybody}"
