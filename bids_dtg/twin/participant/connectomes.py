"""Sources of digital twins' connectomes, in one form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bids_dtg.cohort.region_people import (
    UNKNOWN_CLEANING,
    LeftOut,
    OutputTable,
    find_tables,
    most_common,
    of_the_same_regions,
    read_rows,
)
from bids_dtg.connectome.design import segment_weight
from bids_dtg.connectome.parcels import fisher_z, upper_edges
from bids_dtg.errors import DatasetError, ForeignFileError, RunError
from bids_dtg.files.names import plain_label, same_label
from bids_dtg.files.regions import RELMAT, RegionTable, read_relmat
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.inputs.arrays import PEOPLE_BY, ArrayPeople, StoredArray, read_arrays
from bids_dtg.inputs.participants import Families
from bids_dtg.inputs.rest_sketch import sketch_edges
from bids_dtg.inputs.run import is_rest
from bids_dtg.notices import counted, named
from bids_dtg.settings import Settings
from bids_dtg.twin.array_types import Array, Flags, Floats, Singles

Edges = Singles

CONNECTOME = "the connectome"  # in the names of sketches
# Value of stat- of the connectomes that the participant level writes.
FISHER_Z = "fisherz"
# Keys of their sidecars: the list of runs, a run's title, and its minutes.
RUNS = "Runs"
RUN = "Run"
MINUTES = "MinutesKept"
LARGEST_Z = 3.0  # of an edge, in Fisher z: r is 0.995 there
# Description of how they are made; a warning is given where a model's were made in another way.
OF_PARCELS = "Pearson correlations of parcel series, as Fisher z"


@dataclass(frozen=True, eq=False, kw_only=True)
class ConnectomeSource:
    """Connectomes of people, all with the same edges; values are read on request."""

    paths: tuple[Path, ...]  # files, or the folder that they are in
    labels: tuple[str, ...]  # of everybody with a connectome, without sub-, in order
    regions: tuple[str, ...]  # names; () where edges have no names
    places_named: bool  # whether the source has the names; False: they are made up
    edges: int  # number of edges of a connectome
    words: str  # how connectomes were made
    # For errors: files from which people have both a connectome and events.
    expected: str
    families: Families  # related people, as arrays name them
    notes: tuple[str, ...] = ()  # sentences on assumptions, and on what was left out
    atlas: str = ""  # key of the atlas of the regions; empty: not known
    atlas_digest: str = ""  # SHA-256 of it, as `Atlas.digest`; empty: not known
    cleaning: str = UNKNOWN_CLEANING  # of the runs, in words
    files: tuple[Path, ...] = ()  # that were read, except arrays
    # (people, edges) by labels, Fisher z: the upper triangle row by row, averaged over a person's
    # runs. Raises a DatasetError that names people and regions where values cannot be used.
    connectomes: Callable[[Sequence[str]], Edges]
    # Sketches, by name, of a connectome's parts.
    parts: Callable[[str], Mapping[str, str]]
    # Content of files of arrays; None: it is no such file.
    arrays: ArrayPeople | None = None

    def sketches(self, labels: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return named sketches of each person's connectomes, by which people are recognised.

        Connectomes with values that cannot be used have none.
        """
        try:
            rows = dict(zip(labels, self.connectomes(labels), strict=True))
        except DatasetError:  # a later step names the person
            rows = {}
            for label in labels:
                with suppress(DatasetError):
                    rows[label] = self.connectomes([label])[0]
        sketches = {}
        for label in labels:
            mean = {CONNECTOME: sketch_edges(rows[label])} if label in rows else {}
            parts = dict(self.parts(label))
            # Averages come before their mean, which is alike if they are.
            sketches[label] = mean | parts if self.arrays else parts | mean
        return sketches


def connectome_notes(
    connectomes: Floats, labels: Sequence[str], families: Families
) -> tuple[str, ...]:
    """Return warnings of implausible connectomes.

    Parameters
    ----------
    connectomes
        (people, edges), Fisher z.
    labels
        Labels of the people.
    families
        Their families, with copies.

    Raises
    ------
    DatasetError
        All connectomes are the same.
    """
    if len(labels) > 1 and any({*labels} <= {*copies} for copies in families.copies):
        raise DatasetError(
            f"{counted(len(labels), 'participant')} have the same connectome ({named(labels)})",
            expected="a connectome of each participant's own",
        )
    strongest = np.take_along_axis(
        connectomes, np.abs(connectomes).argmax(1)[:, None], 1
    )[:, 0]
    if (beyond := np.flatnonzero(np.abs(strongest) > LARGEST_Z)).size:
        people = [f"sub-{labels[row]}: {strongest[row]:.3g}" for row in beyond.tolist()]
        return (
            f"{counted(len(people), 'participant')} with edges beyond {LARGEST_Z:g} in Fisher z "
            f"({named(people)}): correlations above {np.tanh(LARGEST_Z):.3f}, as if one "
            "series had two names",
        )
    return ()


_MOST_EDGES = 4_000_000  # about 2,800 regions: everybody's edges are held in memory
_MOST_BEYOND = 0.01  # share of edges that are too large for Fisher z
_SAME = 1e-4  # largest asymmetry of correlations: files may have been rounded
_EXPECTED = "the same labels in the arrays, under the key people, as in BIDS_DIR"


def find_array_connectomes(
    paths: Sequence[str], keys: Sequence[str], mem_gb: float | None = None
) -> ConnectomeSource:
    """Find connectomes in the files of ``--input-arrays`` without reading their values.

    Arrays of npz files take `mem_gb` of memory at most; None: what is available.

    Sessions of rest are averaged, weighted by their frames.

    Raises
    ------
    DatasetError
        A file cannot be used, or has no connectomes.
    SettingsError
        `keys` are wrong.
    """
    arrays = read_arrays(paths, keys, tasks=True, mem_gb=mem_gb)
    edges = _count_edges(arrays)
    stored: dict[str, tuple[StoredArray, ...]] = {}
    for name in PEOPLE_BY:
        values = getattr(arrays, name) or ()
        sessions = values if isinstance(values, tuple) else (values,)
        if sessions:
            stored[name] = sessions
    labels = {
        label
        for sessions in stored.values()
        for array in sessions
        for label in array.rows
    }
    unused: tuple[str, ...] = ()
    if arrays.structural is not None:
        unused = ("not used by digital twins: structural",)

    def parts(label: str) -> dict[str, str]:
        if not arrays.rest:
            return {}
        sketches = arrays.sketches(label)
        return {f"session {name}": sketch for name, sketch in sketches.items()}

    return ConnectomeSource(
        paths=arrays.files,
        labels=tuple(sorted(labels)),
        regions=arrays.places,
        places_named=arrays.places_named,
        edges=edges,
        words=next(words for name, words in _SOURCE_WORDS if name in stored),
        expected=_EXPECTED,
        families=arrays.families,
        notes=(*arrays.notes, *unused),
        connectomes=partial(_read_arrays, arrays, edges),
        parts=parts,
        arrays=arrays,
    )


def _read_arrays(arrays: ArrayPeople, edges: int, labels: Sequence[str]) -> Edges:
    """Read people's edges, or make them of their series of rest."""
    if arrays.edges is not None:
        rows = read_rows(arrays.edges, labels, edge_faults, "finite values that differ")
        return np.stack(rows).astype(np.float32)
    total, frames = np.zeros((len(labels), edges)), np.zeros(len(labels))
    for array in arrays.rest:
        rows_here = [row for row, label in enumerate(labels) if label in array.rows]
        labels_here = [labels[row] for row in rows_here]
        faults = partial(_series_faults, arrays.places)
        series = read_rows(array, labels_here, faults, "series that vary and differ")
        for row, values in zip(rows_here, series, strict=True):
            total[row] += values.shape[1] * _edges_of(np.asarray(np.corrcoef(values)))
            frames[row] += values.shape[1]
    return (total / frames[:, None]).astype(np.float32)


def _edges_of(correlation: Array) -> Edges:
    return upper_edges(fisher_z(correlation)).astype(np.float32)


_SOURCE_WORDS = (
    ("edges", "edges from arrays, Fisher z"),
    ("rest", "Pearson correlations of series from arrays, as Fisher z"),
)


def _count_edges(arrays: ArrayPeople) -> int:
    """Return the number of edges of a connectome; refuse arrays of another shape."""
    places = len(arrays.places)
    edges = places * (places - 1) // 2
    if arrays.edges is not None:
        count, title = int(arrays.edges.values.shape[1]), arrays.edges.title
        if arrays.places and count != edges:
            # Places without names are those of other arrays, as of task BOLD.
            raise DatasetError(
                f"{title} has {count} edges, and there are {counted(places, 'place')}",
                expected=f"{edges} edges, one for each pair of places",
            )
        edges = count
    if not 1 <= edges <= _MOST_EDGES:
        raise DatasetError(
            f"connectomes have {counted(edges, 'edge')}",
            expected=f"1 to {_MOST_EDGES}: correlations between regions, not voxels",
        )
    return edges


def edge_faults(values: Array) -> list[str]:
    """List faults of a person's edges (edges,)."""
    if unknown := int((~np.isfinite(values)).sum()):
        return [f"{unknown} of {values.size} edges are NaN or infinite"]
    if values.size > 1 and (values == values[0]).all():
        return ["all edges are the same"]
    beyond = int((np.abs(values) > LARGEST_Z).sum())
    if beyond > _MOST_BEYOND * values.size:
        return [
            f"{beyond} of {values.size} edges are beyond {LARGEST_Z:g} (the largest "
            f"{np.abs(values).max():.3g}): not Fisher z of correlations"
        ]
    return []


def _series_faults(regions: tuple[str, ...], values: Array) -> list[str]:
    """List faults of a person's series (regions, frames)."""
    finite = np.isfinite(values).all(axis=1)
    constant = finite & (values == values[:, :1]).all(axis=1)
    if wrong := [
        *(f"{regions[n]} has NaN or infinite values" for n in np.flatnonzero(~finite)),
        *(f"{regions[n]} is constant" for n in np.flatnonzero(constant)),
    ]:
        return wrong
    alike = np.triu(np.abs(np.corrcoef(values)) >= 1 - 1e-12, 1)
    return [f"the same series at {_pair(regions, alike)}"] if alike.any() else []


def _pair(regions: Sequence[str], where: Flags) -> str:
    off = where & ~np.eye(len(where), dtype=bool)
    row, column = (int(number) for number in np.argwhere(off)[0])
    return f"{regions[row]} and {regions[column]}"


_SESSION = re.compile(r"_ses-([A-Za-z0-9]+)")  # in the title of a run
_OF_OUTPUT = (
    "participants with a connectome in OUTPUT_DIR, of the participant level of --workflow twin, "
    "and event files in BIDS_DIR"
)


@dataclass(frozen=True, eq=False)
class _Average:
    """A connectome of an average of runs."""

    table: OutputTable
    names: tuple[str, ...]  # of the regions
    edges: Array  # (edges,), Fisher z

    @property
    def runs(self) -> frozenset[str]:
        """Titles of the runs that it was made from; the table's path where they are unknown."""
        return frozenset(_titles(self.table) or [str(self.table.path)])


def find_output_connectomes(settings: Settings, atlas: str = "") -> ConnectomeSource:
    """Read the connectomes that the participant level has written for an atlas (empty: any).

    A person's connectomes of several averages are averaged in turn, weighted by their residual
    degrees of freedom (by minutes if these are unknown for some). A connectome is left out and
    reported in the notes if it has another atlas or label image, runs of sessions that
    ``--session-label`` does not name, runs of a task other than rest that ``--task-id`` does not
    name, parcels without a series, or a run in common with a larger set.

    Raises
    ------
    DatasetError
        There are no usable connectomes, or those of several atlases.
    """
    root = settings.inputs.output_dir.absolute()
    left_out = LeftOut("connectome")
    tables = find_tables(settings, RELMAT, FISHER_Z, "connectomes", atlas, left_out)
    tables = _of_sessions(tables, settings.inputs.session_label, left_out)
    tables = _of_rest(tables, settings.inputs.task_id, left_out)
    readable = [_read(table, left_out) for table in tables]
    averages = [average for average in readable if average is not None]
    averages = list(_apart(of_the_same_regions(averages, left_out), left_out))
    if not averages:
        raise DatasetError(
            f"{root} has no usable connectome for a twin: {'; '.join(left_out.lines())}",
            expected="Fisher z of all pairs of parcels",
        )
    by_label: dict[str, list[_Average]] = {}
    for average in averages:
        by_label.setdefault(average.table.label, []).append(average)
    values = {label: _mean(parts) for label, parts in by_label.items()}

    def sketches_of_parts(label: str) -> dict[str, str]:
        parts = by_label[label]
        if len(parts) == 1:
            return {}
        return {part.table.path.name: sketch_edges(part.edges) for part in parts}

    return ConnectomeSource(
        paths=(root,),
        files=tuple(average.table.path for average in averages),
        labels=tuple(sorted(values)),
        regions=averages[0].names,
        places_named=True,
        edges=len(averages[0].edges),
        words=OF_PARCELS,
        expected=_OF_OUTPUT,
        families=Families({}, ""),
        notes=left_out.lines(),
        atlas=averages[0].table.atlas,
        atlas_digest=averages[0].table.atlas_digest,
        cleaning=most_common([average.table.cleaning for average in averages]),
        connectomes=lambda labels: np.stack([values[label] for label in labels]),
        parts=sketches_of_parts,
    )


def _of_sessions(
    tables: list[OutputTable], sessions: Sequence[str], left_out: LeftOut
) -> list[OutputTable]:
    """Leave out tables with a run of a session that was not requested."""
    wanted = {plain_label(label, "ses") for label in sessions}
    if not wanted:
        return tables
    return left_out.unless(
        lambda table: _sessions(table) <= wanted, tables, "another session"
    )


def _of_rest(
    tables: list[OutputTable], tasks: Sequence[str], left_out: LeftOut
) -> list[OutputTable]:
    """Leave out tables of tasks that were not requested; if none were, of all but rest."""
    wanted = [plain_label(label, "task") for label in tasks]

    def fits(table: OutputTable) -> bool:
        task = table.name.get("task") or ""
        return any(same_label("task", task, label) for label in wanted)

    if wanted:
        return left_out.unless(fits, tables, "another task")
    why = "a task, not rest; --task-id chooses other tasks"
    return left_out.unless(lambda table: is_rest(table.name), tables, why)


def _sessions(table: OutputTable) -> set[str]:
    """Return the sessions of a table's runs; empty where runs have no session."""
    if session := table.name.get("ses"):
        return {session}
    matches = [_SESSION.search(title) for title in _titles(table)]
    return {match[1] for match in matches if match}


def _titles(table: OutputTable) -> list[str]:
    """Return the titles of the runs of a connectome; empty where they are not known."""
    listed = table.sidecar.get(RUNS)
    entries = listed if isinstance(listed, list) else []
    return [str(entry.get(RUN)) for entry in entries if isinstance(entry, dict)]


def _read(table: OutputTable, left_out: LeftOut) -> _Average | None:
    """Read a connectome; return None and note the reason where it cannot be used."""
    try:
        matrix = read_relmat(table.path)
        return _Average(table, matrix.names, _edges(matrix))
    except (ForeignFileError, RunError) as err:
        left_out.add(table, err.found)
        return None


def _edges(matrix: RegionTable) -> Array:
    """Return the upper triangle row by row.

    Raises
    ------
    RunError
        A region has no series, or values are not finite.
    """
    values = matrix.values
    off = np.where(np.eye(len(values), dtype=bool), np.nan, values)
    if without := int(np.isnan(off).all(axis=1).sum()):
        raise RunError(f"{counted(without, 'parcel')} without a series")
    edges = upper_edges(values)
    if faults := edge_faults(edges):
        raise RunError(faults[0])
    return edges


def _apart(averages: Iterable[_Average], left_out: LeftOut) -> Iterator[_Average]:
    """Yield averages without common runs, the largest first, so that no run counts twice."""
    taken: set[tuple[str, str]] = set()
    largest_first = sorted(
        averages, key=lambda average: (-len(average.runs), average.table.path)
    )
    for average in largest_first:
        runs = {(average.table.label, run) for run in average.runs}
        if runs & taken:
            left_out.add(average.table, "its runs are in another one, too")
        else:
            taken |= runs
            yield average


def _mean(averages: Sequence[_Average]) -> Edges:
    weights = _weights([average.table for average in averages])
    edges = [average.edges for average in averages]
    mean = np.average(edges, axis=0, weights=weights)
    return np.asarray(mean, np.float32)


def _weights(tables: Sequence[OutputTable]) -> list[float]:
    """Return the weight of each connectome; equal weights where one is not known."""
    for key in (RESIDUAL_DOF, MINUTES):
        values = [table.number(key) for table in tables]
        positive = [value for value in values if value is not None and value > 0]
        if len(positive) == len(tables):
            by_dof = key == RESIDUAL_DOF
            return [segment_weight(value, value, by_dof=by_dof) for value in positive]
    return [1.0] * len(tables)
