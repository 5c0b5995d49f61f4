"""Sources of participants' series and structural connectomes: arrays, or this program's output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from statistics import median, mode
from typing import ClassVar

import numpy as np

from bids_dtg.array_types import Float64, Floats, Mask, Values
from bids_dtg.cohort.participant_sources import ParticipantSource
from bids_dtg.cohort.recognised_participants import Sketches
from bids_dtg.cohort.region_tables import (
    OutputTable,
    RegionTables,
    TableContent,
    TableKind,
)
from bids_dtg.connectome.parcels import fill_gaps
from bids_dtg.dynamics.bundle.network import SAME_TR
from bids_dtg.dynamics.networks import LEAST_FRAMES, MOST_CENSORED
from bids_dtg.engine.pool import in_own_process
from bids_dtg.errors import DatasetError, MissingFileError, RunError
from bids_dtg.files.names import BidsName, build_name
from bids_dtg.files.regions import RELMAT, SERIES, RegionTable, read_relmat, read_series
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.inputs.arrays import StoredArray, read_arrays
from bids_dtg.inputs.participants import read_families
from bids_dtg.inputs.rest_sketch import sketch
from bids_dtg.inputs.structural import StructuralSource, find_structural, weight_faults
from bids_dtg.notices import counted
from bids_dtg.settings import Settings

_SHORTEST = 0.9  # share of a session's median length; shorter series are left out
# Entities that distinguish a session's runs.
_OF_RUN = ("acq", "ce", "rec", "dir", "run", "echo")
_AT_HAND = 40  # series that stay in memory
_STRUCTURAL = "structural"  # desc- of structural connectomes


@dataclass(frozen=True, eq=False)
class RestSeries:
    """A participant's series in a session."""

    values: Floats  # (regions, frames), gaps filled
    keep: Mask | None = None  # (frames,), which frames to use; None: all
    dof: float = np.nan  # degrees of freedom left after cleaning; NaN: not known

    def cut(self, frames: int) -> RestSeries:
        """Return the first frames; degrees of freedom are in proportion to those that remain."""
        values = self.values[:, :frames]
        if self.keep is None:
            return RestSeries(values)
        keep = self.keep[:frames]
        return RestSeries(values, keep, self.dof * (keep.sum() / self.keep.sum()))


@dataclass(frozen=True, eq=False)
class SessionRest:
    """Participants' resting-state series in a session."""

    session: str  # name; empty: it has none
    title: str  # in errors
    labels: frozenset[str]  # of the participants, without sub-
    tr_seconds: float  # time between frames
    frames: int  # length to which all series are cut
    read: Callable[[str], RestSeries]
    # (regions, regions), streamline counts; None: not needed.
    weights: Callable[[str], Values] | None
    weights_title: str  # in errors


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkSource(ParticipantSource):
    """Participants' series and structural connectomes, all for the same regions."""

    sketched: ClassVar[str] = "rest"

    sessions: tuple[SessionRest, ...]
    connected: frozenset[str]  # labels of participants with a structural connectome

    def sketches(self, labels: Sequence[str]) -> Sketches:
        """Return sketches of participants' series, by label and session."""
        sketches: dict[str, dict[str, str]] = {label: {} for label in labels}
        for rest in self.sessions:
            for label in rest.labels.intersection(labels):
                with suppress(DatasetError):  # a later step reports it
                    if digest := sketch(rest.read(label).values):
                        sketches[label][session_words(rest.session)] = digest
        return sketches


def session_words(session: str) -> str:
    """Return the words for a session in messages; files may give it no name."""
    return f"session {session}" if session else "the session without a name"


def find_array_people(settings: Settings, *, connected: bool) -> NetworkSource:
    """Read the files of ``--input-arrays``, but only shapes of series and structural connectomes.

    `connected`: whether structural connectomes are needed; otherwise none are read.

    Raises
    ------
    DatasetError
        A file cannot be used, or there are no series or no structural connectomes.
    SettingsError
        ``--array-key`` is invalid.
    """
    modelling, mem_gb = settings.modelling, settings.resources.mem_gb
    arrays = read_arrays(modelling.input_arrays, modelling.array_key, mem_gb=mem_gb)
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
    sessions = tuple(
        SessionRest(
            session=rest.session,
            title=rest.title,
            labels=frozenset(rest.rows),
            tr_seconds=rest.tr_seconds,
            frames=rest.values.shape[2],
            read=partial(_array_series, rest),
            weights=None if structural is None else structural.of,
            weights_title="" if structural is None else structural.title,
        )
        for rest in arrays.rest
    )
    return NetworkSource(
        paths=arrays.files,
        labels=arrays.labels,
        regions=arrays.places,
        families=arrays.families,
        notes=arrays.notes,
        sessions=sessions,
        connected=frozenset(() if structural is None else structural.rows),
        cleaning="arrays, cleaned before",
    )


def _array_series(rest: StoredArray, label: str) -> RestSeries:
    return RestSeries(np.asarray(rest.of(label), np.float64))


@dataclass(frozen=True, eq=False)
class _Run(TableContent):
    """A usable run in the output."""

    frames: int  # from the first to the last kept one
    weights: Float64 | None  # (regions, regions); None: not asked for
    files: tuple[Path, ...]  # that were read


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
    kind = TableKind(
        SERIES,
        "mean",
        words="series",
        noun="run",
        usable="series that a model can use",
        expected=f"series of all parcels{' and structural connectomes' * connected}",
    )
    tables = RegionTables.find(settings, kind, atlas)
    _keep_one_time(tables)
    labels = tuple(sorted({table.label for table in tables.tables}))
    structural = find_structural(settings) if connected else None

    def read(table: OutputTable) -> _Run:
        regions = read_series(table.path)
        frames = _filled(regions, table).values.shape[1]
        if not connected:
            return _Run(table, regions.names, frames, None, (table.path,))
        weights, path = _weights(table, regions.names, structural, tables)
        return _Run(table, regions.names, frames, weights, (table.path, path))

    runs = tables.read(read)
    sessions = _sessions(runs, tables)
    roots = [settings.inputs.bids_dir, tables.root]
    return NetworkSource.from_tables(
        tables,
        runs,
        labels=labels,
        sessions=sessions,
        connected=frozenset(run.table.label for run in runs if connected),
        families=read_families(roots, labels=labels),
        files=tuple(path for run in runs for path in run.files),
    )


def _keep_one_time(tables: RegionTables) -> None:
    """Leave out series without the most common time between frames."""
    tables.keep(lambda table: _tr_seconds(table) > 0, "no RepetitionTime")
    if not tables.tables:
        return
    usual = mode(map(_tr_seconds, tables.tables))
    tables.keep(
        lambda table: abs(_tr_seconds(table) - usual) <= SAME_TR * usual,
        f"more than {SAME_TR:.0%} from the {usual:g} s between frames that most runs have",
    )


def _tr_seconds(table: OutputTable) -> float:
    return table.number("RepetitionTime") or 0.0


def _filled(regions: RegionTable, table: OutputTable) -> RestSeries:
    """Return the series from the first to the last kept frame, gaps filled.

    Raises
    ------
    RunError
        Parcels have no series, or too few frames were kept.
    """
    if not regions.present.all():
        count = int((~regions.present).sum())
        raise RunError(f"{counted(count, 'parcel')} without a series")
    values, keep = fill_gaps(regions.values, regions.keep)
    if values.shape[1] < LEAST_FRAMES:
        raise RunError(f"fewer than {LEAST_FRAMES} frames")
    if 1.0 - keep.mean() > MOST_CENSORED:
        raise RunError(f"more than {MOST_CENSORED:.0%} of the frames were censored")
    dof = table.number(RESIDUAL_DOF)
    return RestSeries(values.astype(np.float64), keep, np.nan if dof is None else dof)


def _weights(
    table: OutputTable,
    regions: tuple[str, ...],
    structural: StructuralSource | None,
    tables: RegionTables,
) -> tuple[Float64, Path]:
    """Return a run's structural connectome and its file, from the option or next to the series.

    Raises
    ------
    RunError, ForeignFileError
        There is no structural connectome, or it cannot be used.
    """
    if structural is not None:
        session = table.name.get("ses")
        matrix = in_own_process(partial(structural.of, table.label, session, regions))
        tables.notes.extend(matrix.notes)
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


def _sessions(runs: Sequence[_Run], tables: RegionTables) -> tuple[SessionRest, ...]:
    """Return the runs by session and run, each session cut to one length."""
    several_tasks = len({run.table.name.get("task") for run in runs}) > 1
    by_session: dict[str, list[_Run]] = {}
    for run in runs:
        by_session.setdefault(_session(run.table.name, several_tasks), []).append(run)
    tr_seconds = mode(_tr_seconds(run.table) for run in runs)
    return tuple(
        _session_of_runs(session, by_session[session], tr_seconds, tables)
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


def _session_of_runs(
    session: str, runs: Sequence[_Run], tr_seconds: float, tables: RegionTables
) -> SessionRest:
    """Return a session, without short series and with the others cut to the same length."""
    typical = median(run.frames for run in runs)
    enough = [run for run in runs if run.frames >= _SHORTEST * typical]
    for run in runs:
        if run not in enough:
            shortest = f"{_SHORTEST:.0%} of the {typical:g} frames that most have"
            tables.leave_out(run.table, f"shorter than {shortest}")
    frames = min(run.frames for run in enough)
    longest = max(run.frames for run in enough)
    if longest > frames:
        where = f"session {session}" if session else "all series"
        tables.notes.append(f"{where}: cut to {frames} frames, of up to {longest}")
    by_label = {run.table.label: run for run in enough}
    title = f"series of {f'session {session}' if session else 'people'} in the output"

    # To save memory, series of many people are read again when they are needed.
    @lru_cache(_AT_HAND)
    def read(label: str) -> RestSeries:
        table = by_label[label].table
        return _filled(read_series(table.path), table)

    weights = {
        label: run.weights for label, run in by_label.items() if run.weights is not None
    }
    return SessionRest(
        session=session,
        title=title,
        labels=frozenset(by_label),
        tr_seconds=tr_seconds,
        frames=frames,
        read=read,
        weights=weights.__getitem__ if weights else None,
        weights_title=title,
    )
