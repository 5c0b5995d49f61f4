"""People of the network model from the output of the participant level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.array_people import require_usable
from bids_dtg.cohort.output_tables import (
    LeftOut,
    OutputTable,
    TableKind,
    find_tables,
    most_common,
    of_the_same_regions,
)
from bids_dtg.connectome.parcels import ParcelSeries
from bids_dtg.dynamics.bundle.network import SAME_TR
from bids_dtg.dynamics.networks import LEAST_FRAMES
from bids_dtg.dynamics.participant.source import Array, Faults, NetworkSource, SessionRest
from bids_dtg.errors import DatasetError, ForeignFileError, MissingFileError, RunError
from bids_dtg.files.names import BidsName, build_name
from bids_dtg.files.regions.relmat import RELMAT, read_relmat
from bids_dtg.files.regions.series import SERIES, RegionSeries, read_series
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.inputs.rest_sketch import sketch
from bids_dtg.inputs.splits_file import read_families
from bids_dtg.inputs.structural import StructuralSource, find_structural, weight_faults
from bids_dtg.notices import counted
from bids_dtg.settings import Settings

MOST_FILLED = 0.3  # share of the frames of a series that may be interpolated
_SHORTEST = 0.9  # of the median length of a session's series: shorter ones are left out
_OF_RUN = ("acq", "ce", "rec", "dir", "run", "echo")  # entities that distinguish a session's runs
_AT_HAND = 40  # series that stay in memory
_NO_CONNECTOME = "no structural connectome"
_STRUCTURAL = "structural"  # value of desc- of structural connectomes
_TABLES = TableKind(SERIES, "mean", words="series", one="run", workflow="dynamics")


@dataclass(frozen=True, eq=False)
class _Run:
    """A usable run."""

    table: OutputTable
    names: tuple[str, ...]  # of the regions
    frames: int  # from the first to the last kept one
    # (regions, regions), and the file that they were read from; None: not asked for
    connections: tuple[Array, Path] | None

    def read(self) -> tuple[Array, NDArray[np.bool_]]:
        """Read the series (regions, frames) again, gaps filled, and which frames were not."""
        return _filled(read_series(self.table.path), _tr_seconds(self.table))


class _OutputSession(SessionRest):
    def __init__(self, session: str, runs: Sequence[_Run], frames: int, tr_seconds: float) -> None:
        title = f"series of {f'session {session}' if session else 'people'} in the output"
        by_label = {run.table.label: run for run in runs}
        super().__init__(session, title, tr_seconds, frames, by_label)
        self._runs = by_label
        # Series of many people are read again where they are needed: they are not all in memory.
        self._read = lru_cache(_AT_HAND)(lambda label: by_label[label].read())

    def series(self, labels: Sequence[str], faults: Faults) -> list[Array]:
        return self._checked(
            labels,
            lambda run: self._read(run.table.label)[0][:, : self.frames],
            faults,
            "series that vary, of finite values",
        )

    def kept(self, labels: Sequence[str]) -> list[NDArray[np.bool_]]:
        return [self._read(label)[1][: self.frames] for label in labels]

    def dof(self, labels: Sequence[str]) -> list[float]:
        return [self._dof(label) for label in labels]

    def _dof(self, label: str) -> float:
        whole = self._runs[label].table.number(RESIDUAL_DOF)
        kept = self._read(label)[1]
        # Cleaning took as much of the frames that are cut off.
        return float("nan") if whole is None else whole * kept[: self.frames].sum() / kept.sum()

    def sketches(self, labels: Sequence[str]) -> dict[str, str]:
        # Of all frames: where series are cut depends on the other people.
        return {label: sketch(self._read(label)[0]) for label in labels if label in self._runs}

    def weights(self, labels: Sequence[str], faults: Faults) -> list[Array]:
        def of(run: _Run) -> Array:
            assert run.connections is not None  # they were asked for at the start
            return run.connections[0]

        return self._checked(labels, of, faults, "symmetric weights of 0 or more")

    def _checked(
        self, labels: Sequence[str], of: Callable[[_Run], Array], faults: Faults, expected: str
    ) -> list[Array]:
        rows = ((label, of(self._runs[label])) for label in labels)
        values = require_usable(rows, self.title, faults, expected)
        return [values[label] for label in labels]


def find_output_people(
    settings: Settings, atlas: str = "", *, connected: bool = True
) -> NetworkSource:
    """Read the series and structural connectomes written by the participant level.

    A session is a session and run of the input, such as ``1-run2``. A run is left out, with a
    note, if it has another atlas, label image or time between frames, more than `MOST_FILLED` of
    its frames censored, parcels without a series, or no structural connectome. Series shorter than
    90 % of the median length of their session are left out, too; the others are cut to the
    shortest of them.

    Parameters
    ----------
    settings
        Options of the call. Structural connectomes are those of ``--structural-connectivity``, or
        those written with the series.
    atlas
        Key of the atlas to be read; empty: the only one there is.
    connected
        Whether runs need a structural connectome; else none is read.

    Raises
    ------
    DatasetError
        There are no series, none that can be used, or series of several atlases.
    """
    root = settings.inputs.output_dir.absolute()
    kept = LeftOut(_TABLES.one)
    files = find_tables(root, _TABLES, settings.inputs.participant_label, atlas, kept)
    files = _of_one_time(files, kept)
    source = find_structural(settings) if connected else None
    read = (_read(file, source, kept, connected=connected) for file in files)
    runs = [run for run in read if run is not None]
    runs = of_the_same_regions(runs, kept)
    if not runs:
        raise DatasetError(
            f"{root} has no series that a network model can use: {'; '.join(kept.lines())}",
            expected=f"series of all parcels{', and structural connectomes' * connected}",
        )
    sessions, labels = _sessions(runs, kept), tuple(sorted({file.label for file in files}))
    return NetworkSource(
        paths=(root,),
        files=tuple(
            path
            for run in runs
            for path in (run.table.path, *(run.connections[1:] if run.connections else ()))
        ),
        labels=labels,
        regions=runs[0].names,
        sessions=sessions,
        connected=frozenset(run.table.label for run in runs)
        - {run.table.label for run in runs if run.connections is None},
        families=read_families([settings.inputs.bids_dir, root], labels=labels),
        notes=kept.lines(),
        atlas=runs[0].table.atlas,
        atlas_digest=runs[0].table.atlas_digest,
        cleaning=most_common([run.table.cleaning for run in runs]),
    )


def _of_one_time(files: list[OutputTable], kept: LeftOut) -> list[OutputTable]:
    """Return the series with the time between frames that most have."""
    known = kept.unless(lambda file: _tr_seconds(file) > 0, files, "no RepetitionTime")
    if not known:
        return []
    own = most_common([_tr_seconds(file) for file in known])
    return kept.unless(
        lambda file: abs(_tr_seconds(file) - own) <= SAME_TR * own,
        known,
        f"more than {SAME_TR:.0%} from the {own:g} s between frames that most runs have",
    )


def _tr_seconds(file: OutputTable) -> float:
    return file.number("RepetitionTime") or 0.0


def _read(
    file: OutputTable, source: StructuralSource | None, kept: LeftOut, *, connected: bool
) -> _Run | None:
    """Read a run; None, and a note, if it cannot be used."""
    try:
        table = read_series(file.path)
        series = _filled(table, _tr_seconds(file))[0]
        connections = _weights(file, table.names, source, kept) if connected else None
    except (ForeignFileError, RunError) as err:
        kept.add(file, err.found)
        return None
    return _Run(file, table.names, series.shape[1], connections)


def _filled(table: RegionSeries, tr_seconds: float) -> tuple[Array, NDArray[np.bool_]]:
    """Return the series from the first to the last kept frame, gaps filled, and where none were.

    Raises
    ------
    RunError
        Parcels have no series, frames are too few, or too many were censored.
    """
    if not table.present.all():
        count = int((~table.present).sum())
        raise RunError(f"{counted(count, 'parcel')} without a series")
    coverage = np.ones(len(table.names))
    series = ParcelSeries(table.values, table.keep, tr_seconds, coverage, np.nan)
    values, share = series.filled()
    if values.shape[1] < LEAST_FRAMES:
        raise RunError(f"fewer than {LEAST_FRAMES} frames")
    if share > MOST_FILLED:
        raise RunError(f"more than {MOST_FILLED:.0%} of the frames were censored")
    there = np.flatnonzero(table.keep)
    return values.astype(np.float64), np.asarray(table.keep[there[0] : there[-1] + 1], bool)


def _weights(
    file: OutputTable, regions: tuple[str, ...], source: StructuralSource | None, kept: LeftOut
) -> tuple[Array, Path]:
    """Return a run's structural connectome and its file: from an option, or is there.

    Raises
    ------
    RunError, ForeignFileError
        There is none, or it cannot be used.
    """
    if source is not None:
        found = source.of(file.label, file.name.get("ses"), regions)
        kept.notes.extend(found.notes)
        return found.weights, found.path
    entities = {key: value for key, value in file.name.entities if key != "stat"}
    name = build_name({**entities, "desc": _STRUCTURAL}, RELMAT.suffix, RELMAT.extension)
    path = file.path.with_name(name)
    try:
        matrix = read_relmat(path)
    except MissingFileError:
        raise RunError(_NO_CONNECTOME) from None
    if matrix.names != regions:
        raise RunError("a structural connectome of other regions than the series")
    if faults := weight_faults(matrix.values, regions):
        raise RunError(f"a structural connectome with {faults[0]}")
    return matrix.values, path


def _sessions(runs: Sequence[_Run], kept: LeftOut) -> tuple[SessionRest, ...]:
    """Return the runs by session and run, each cut to one length."""
    several_tasks = len({run.table.name.get("task") for run in runs}) > 1
    by_session: dict[str, list[_Run]] = {}
    for run in runs:
        by_session.setdefault(_session(run.table.name, several_tasks), []).append(run)
    tr_seconds = most_common([_tr_seconds(run.table) for run in runs])
    return tuple(
        _cut(session, by_session[session], tr_seconds, kept) for session in sorted(by_session)
    )


def _session(name: BidsName, several_tasks: bool) -> str:
    """Return the name of a session and the entities that distinguish its runs.

    Examples
    --------
    >>> from bids_dtg.files.names import parse_name
    >>> _session(parse_name("sub-01_ses-1_task-rest_run-2_timeseries.tsv"), False)
    '1-run2'
    """
    keys = (*(("task",) if several_tasks else ()), *_OF_RUN)
    parts = [f"{key}{value}" for key in keys if (value := name.get(key)) is not None]
    return "-".join([*([ses] if (ses := name.get("ses")) else []), *parts])


def _cut(session: str, runs: list[_Run], tr_seconds: float, kept: LeftOut) -> SessionRest:
    """Return a session, all series cut to the shortest that is close to the median length."""
    typical = median(run.frames for run in runs)
    enough = [run for run in runs if run.frames >= _SHORTEST * typical]
    for run in runs:
        if run not in enough:
            short = f"shorter than {_SHORTEST:.0%} of the {typical:g} frames that most have"
            kept.add(run.table, short)
    frames = min(run.frames for run in enough)
    longest = max(run.frames for run in enough)
    if longest > frames:
        where = f"session {session}" if session else "all series"
        kept.notes.append(f"{where}: cut to {frames} frames, of up to {longest}")
    return _OutputSession(session, enough, frames, tr_seconds)
