"""Sources of people's series and structural connectomes: arrays, or this program's output.

Both give a `NetworkSource`; `people` selects from its people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.region_people import (
    UNKNOWN_CLEANING,
    LeftOut,
    OutputTable,
    find_tables,
    most_common,
    of_the_same_regions,
    read_rows,
)
from bids_dtg.connectome.parcels import ParcelSeries
from bids_dtg.dynamics.bundle.network import SAME_TR
from bids_dtg.dynamics.networks import LEAST_FRAMES, MOST_CENSORED
from bids_dtg.engine.pool import in_own_process
from bids_dtg.errors import DatasetError, ForeignFileError, MissingFileError, RunError
from bids_dtg.files.names import BidsName, build_name
from bids_dtg.files.regions import RELMAT, SERIES, RegionTable, read_relmat, read_series
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.inputs.arrays import StoredArray, read_arrays
from bids_dtg.inputs.participants import Families, read_families
from bids_dtg.inputs.structural import StructuralSource, find_structural, weight_faults
from bids_dtg.notices import counted
from bids_dtg.settings import Settings

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SHORTEST = 0.9  # share of a session's median length; shorter series are left out
# Entities that distinguish a session's runs.
_OF_RUN = ("acq", "ce", "rec", "dir", "run", "echo")
_AT_HAND = 40  # series that stay in memory
_STRUCTURAL = "structural"  # desc- of structural connectomes


@dataclass(frozen=True, eq=False)
class PeopleValues:
    """An array for each person, read when it is needed."""

    title: str  # in errors
    labels: frozenset[str]  # of the people
    of: Callable[[str], NDArray[Any]]

    def read(
        self, labels: Sequence[str], faults: Callable[[Array], list[str]], expected: str
    ) -> list[Array]:
        """Read people's arrays, in this order; report the faults of all people in one error.

        Raises
        ------
        DatasetError
            `faults` finds a fault; the message includes `expected`.
        """
        with_values = [label for label in labels if label in self.labels]
        return read_rows(self, with_values, faults, expected)


@dataclass(frozen=True, eq=False)
class SessionRest:
    """People's resting-state series in a session."""

    session: str  # name; empty: it has none
    series: PeopleValues  # (regions, frames), gaps filled
    tr_seconds: float  # time between frames
    frames: int  # length to which all series are cut
    # (regions, regions), streamline counts; None: not needed.
    weights: PeopleValues | None
    # Which of a person's frames to use, and the degrees of freedom left after cleaning (NaN: not
    # known); None: all frames of all people.
    measured: Callable[[str], tuple[Mask, float]] | None = None

    @property
    def labels(self) -> frozenset[str]:
        """Labels of the people, without sub-."""
        return self.series.labels

    def quality(self, labels: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return `keep` and `dof` of people's frames after the cut, if they are known."""
        if self.measured is None:
            return {}
        keep, dof = [], []
        for label in labels:
            keep_before, dof_before = self.measured(label)
            keep.append(keep_before[: self.frames])
            # Degrees of freedom are in proportion to the frames that remain.
            dof.append(dof_before * (keep[-1].sum() / keep_before.sum()))
        return {"keep": np.stack(keep), "dof": np.array(dof)}


@dataclass(frozen=True, eq=False)
class NetworkSource:
    """People's series and structural connectomes, all for the same regions."""

    paths: tuple[Path, ...]  # files, or their folder
    labels: tuple[str, ...]  # of all people, without sub-
    regions: tuple[str, ...]  # names
    sessions: tuple[SessionRest, ...]
    connected: frozenset[str]  # labels of people with a structural connectome
    families: Families
    notes: tuple[str, ...]  # sentences on assumptions, and on people left out
    atlas: str = ""  # key of the atlas of the regions; empty: not known
    atlas_digest: str = ""  # SHA-256 of the atlas, as `Atlas.digest`
    cleaning: str = UNKNOWN_CLEANING  # of the series, in words
    files: tuple[Path, ...] = ()  # files that were read, without arrays


def find_array_people(
    paths: Sequence[str],
    keys: Sequence[str],
    *,
    connected: bool = True,
    mem_gb: float | None = None,
) -> NetworkSource:
    """Read array files, but only the shapes of series and structural connectomes.

    Parameters
    ----------
    paths, keys
        Values of ``--input-arrays`` and ``--array-key``.
    connected
        Whether structural connectomes are needed; otherwise none are read.
    mem_gb
        Memory that the arrays of npz files may take; None: what is available.

    Raises
    ------
    DatasetError
        A file cannot be used, or there are no series or no structural connectomes.
    SettingsError
        `keys` are invalid.
    """
    arrays = read_arrays(paths, keys, mem_gb=mem_gb)
    if len(arrays.places) < 2:
        raise DatasetError(
            "there is 1 region (places)", expected="2 or more, for a network"
        )
    structural = arrays.structural if connected else None
    if connected and structural is None:
        raise DatasetError(
            "no file has structural connectomes",
            expected="structural (people, places, places): connections between regions",
            remedy="give the key with --array-key structural=KEY",
        )
    weights = None if structural is None else _values(structural)
    sessions = []
    for rest in arrays.rest:
        frames = rest.values.shape[2]
        series = _values(rest)
        session = SessionRest(rest.session, series, rest.tr_seconds, frames, weights)
        sessions.append(session)
    return NetworkSource(
        paths=arrays.files,
        labels=arrays.labels,
        regions=arrays.places,
        sessions=tuple(sessions),
        connected=frozenset(() if structural is None else structural.rows),
        families=arrays.families,
        notes=arrays.notes,
        cleaning="arrays, cleaned before",
    )


def _values(array: StoredArray) -> PeopleValues:
    return PeopleValues(array.title, frozenset(array.rows), array.of)


@dataclass(frozen=True, eq=False)
class _Run:
    """A usable run in the output."""

    table: OutputTable
    names: tuple[str, ...]  # of the regions
    frames: int  # from the first to the last kept one
    # (regions, regions), and the file it was read from; None: not asked for
    connections: tuple[Array, Path] | None


def find_output_people(
    settings: Settings, atlas: str = "", *, connected: bool = True
) -> NetworkSource:
    """Read the series and structural connectomes written by the participant level.

    A session here is a session and run of the input, such as `1-run2`. A run is left out, with a
    note, if it has another atlas, label image or time between frames, more than `MOST_CENSORED` of
    its frames censored, parcels without a series, or no structural connectome. Series shorter than
    90 % of their session's median length are left out, too, and the others are cut to the shortest
    one that remains.

    Parameters
    ----------
    settings
        Options of the run. Structural connectomes are those of ``--structural-connectivity``, or
        those written with the series.
    atlas
        Key of the atlas to read; empty: the only one there is.
    connected
        Whether runs need a structural connectome; otherwise none is read.

    Raises
    ------
    DatasetError
        There are no series, none that can be used, or series of several atlases.
    """
    root = settings.inputs.output_dir.absolute()
    left_out = LeftOut("run")
    tables = find_tables(settings, SERIES, "mean", "series", atlas, left_out)
    tables = _of_one_time(tables, left_out)
    structural = find_structural(settings) if connected else None
    usable = []
    for table in tables:
        run = _read(table, structural, left_out, connected=connected)
        if run is not None:
            usable.append(run)
    runs = of_the_same_regions(usable, left_out)
    if not runs:
        raise DatasetError(
            f"{root} has no series that a model can use: {'; '.join(left_out.lines())}",
            expected=f"series of all parcels{' and structural connectomes' * connected}",
        )
    sessions = _sessions(runs, left_out)
    labels = tuple(sorted({table.label for table in tables}))
    first = runs[0]
    return NetworkSource(
        paths=(root,),
        labels=labels,
        regions=first.names,
        sessions=sessions,
        connected=frozenset(
            run.table.label for run in runs if run.connections is not None
        ),
        families=read_families([settings.inputs.bids_dir, root], labels=labels),
        notes=left_out.lines(),
        atlas=first.table.atlas,
        atlas_digest=first.table.atlas_digest,
        cleaning=most_common([run.table.cleaning for run in runs]),
        files=_files_of(runs),
    )


def _files_of(runs: Sequence[_Run]) -> tuple[Path, ...]:
    """Return the files of runs: series, and structural connectomes where they are needed."""
    files = []
    for run in runs:
        files.append(run.table.path)
        if run.connections is not None:
            files.append(run.connections[1])
    return tuple(files)


def _of_one_time(tables: list[OutputTable], left_out: LeftOut) -> list[OutputTable]:
    """Return the series with the most common time between frames."""
    timed = left_out.unless(
        lambda table: _tr_seconds(table) > 0, tables, "no RepetitionTime"
    )
    if not timed:
        return []
    usual = most_common([_tr_seconds(table) for table in timed])
    return left_out.unless(
        lambda table: abs(_tr_seconds(table) - usual) <= SAME_TR * usual,
        timed,
        f"more than {SAME_TR:.0%} from the {usual:g} s between frames that most runs have",
    )


def _tr_seconds(table: OutputTable) -> float:
    return table.number("RepetitionTime") or 0.0


def _read(
    table: OutputTable,
    structural: StructuralSource | None,
    left_out: LeftOut,
    *,
    connected: bool,
) -> _Run | None:
    """Read a run; if it cannot be used, add a note and return None."""
    try:
        regions = read_series(table.path)
        series, _ = _filled(regions, _tr_seconds(table))
        connections = None
        if connected:
            connections = _weights(table, regions.names, structural, left_out)
    except (ForeignFileError, RunError) as err:
        left_out.add(table, err.found)
        return None
    return _Run(table, regions.names, series.shape[1], connections)


def _filled(table: RegionTable, tr_seconds: float) -> tuple[Array, Mask]:
    """Return the series from the first to the last kept frame, gaps filled, and which were kept.

    Raises
    ------
    RunError
        Parcels have no series, or too few frames were kept.
    """
    if not table.present.all():
        count = int((~table.present).sum())
        raise RunError(f"{counted(count, 'parcel')} without a series")
    coverage = np.ones(len(table.names))
    series = ParcelSeries(table.values, table.keep, tr_seconds, coverage, np.nan)
    values, share = series.filled()
    if values.shape[1] < LEAST_FRAMES:
        raise RunError(f"fewer than {LEAST_FRAMES} frames")
    if share > MOST_CENSORED:
        raise RunError(f"more than {MOST_CENSORED:.0%} of the frames were censored")
    used = np.flatnonzero(table.keep)
    keep = np.asarray(table.keep[used[0] : used[-1] + 1], bool)
    return values.astype(np.float64), keep


def _weights(
    table: OutputTable,
    regions: tuple[str, ...],
    structural: StructuralSource | None,
    left_out: LeftOut,
) -> tuple[Array, Path]:
    """Return a run's structural connectome and its file, from the option or next to the series.

    Raises
    ------
    RunError, ForeignFileError
        There is no structural connectome, or it cannot be used.
    """
    if structural is not None:
        session = table.name.get("ses")
        matrix = in_own_process(partial(structural.of, table.label, session, regions))
        left_out.notes.extend(matrix.notes)
        return matrix.weights, matrix.path
    entities = {key: value for key, value in table.name.entities if key != "stat"}
    name = build_name(
        {**entities, "desc": _STRUCTURAL}, RELMAT.suffix, RELMAT.extension
    )
    path = table.path.with_name(name)
    try:
        beside_series = read_relmat(path)
    except MissingFileError:
        raise RunError("no structural connectome") from None
    if beside_series.names != regions:
        raise RunError("a structural connectome of other regions than the series")
    if faults := weight_faults(beside_series.values, regions):
        raise RunError(f"a structural connectome with {faults[0]}")
    return beside_series.values, path


def _sessions(runs: Sequence[_Run], left_out: LeftOut) -> tuple[SessionRest, ...]:
    """Return the runs by session and run, each session cut to one length."""
    several_tasks = len({run.table.name.get("task") for run in runs}) > 1
    by_session: dict[str, list[_Run]] = {}
    for run in runs:
        by_session.setdefault(_session(run.table.name, several_tasks), []).append(run)
    tr_seconds = most_common([_tr_seconds(run.table) for run in runs])
    return tuple(
        _cut(session, by_session[session], tr_seconds, left_out)
        for session in sorted(by_session)
    )


def _session(name: BidsName, several_tasks: bool) -> str:
    """Return the name of a session and the entities that distinguish its runs.

    Examples
    --------
    >>> from bids_dtg.files.names import parse_name
    >>> _session(parse_name("sub-01_ses-1_task-rest_run-2_timeseries.tsv"), False)
    '1-run2'
    """
    parts = []
    if session := name.get("ses"):
        parts.append(session)
    for key in ("task", *_OF_RUN) if several_tasks else _OF_RUN:
        if (value := name.get(key)) is not None:
            parts.append(f"{key}{value}")
    return "-".join(parts)


def _cut(
    session: str, runs: list[_Run], tr_seconds: float, left_out: LeftOut
) -> SessionRest:
    """Return a session, without short series and with the others cut to the same length."""
    typical = median(run.frames for run in runs)
    enough = [run for run in runs if run.frames >= _SHORTEST * typical]
    for run in runs:
        if run not in enough:
            shortest = f"{_SHORTEST:.0%} of the {typical:g} frames that most have"
            left_out.add(run.table, f"shorter than {shortest}")
    frames = min(run.frames for run in enough)
    longest = max(run.frames for run in enough)
    if longest > frames:
        where = f"session {session}" if session else "all series"
        left_out.notes.append(f"{where}: cut to {frames} frames, of up to {longest}")
    return _of_runs(session, enough, frames, tr_seconds)


def _of_runs(
    session: str, runs: Sequence[_Run], frames: int, tr_seconds: float
) -> SessionRest:
    by_label = {run.table.label: run for run in runs}
    labels = frozenset(by_label)
    title = f"series of {f'session {session}' if session else 'people'} in the output"

    # To save memory, series of many people are read again when they are needed.
    @lru_cache(_AT_HAND)
    def read(label: str) -> tuple[Array, Mask]:
        table = by_label[label].table
        return _filled(read_series(table.path), _tr_seconds(table))

    def measured(label: str) -> tuple[Mask, float]:
        dof = by_label[label].table.number(RESIDUAL_DOF)
        return read(label)[1], float("nan") if dof is None else dof

    connections = {
        label: run.connections[0] for label, run in by_label.items() if run.connections
    }
    weights = None
    if connections:
        weights = PeopleValues(title, labels, connections.__getitem__)
    series = PeopleValues(title, labels, lambda label: read(label)[0])
    return SessionRest(session, series, tr_seconds, frames, weights, measured)
