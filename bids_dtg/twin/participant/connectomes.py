"""Sources of digital twins' connectomes, in one form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import comb
from typing import ClassVar

import numpy as np

from bids_dtg.array_types import Float32, Float64, Floats
from bids_dtg.cohort.participant_sources import (
    ParticipantSource,
    read_rows,
)
from bids_dtg.cohort.recognised_participants import Sketches
from bids_dtg.cohort.region_tables import (
    OutputTable,
    RegionTables,
    TableContent,
    TableKind,
)
from bids_dtg.connectome.design import segment_weight
from bids_dtg.connectome.parcels import fisher_z, upper_edges
from bids_dtg.errors import DatasetError, RunError
from bids_dtg.files.names import plain_label, same_label
from bids_dtg.files.regions import RELMAT, read_relmat
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.inputs.arrays import ArrayPeople, read_arrays
from bids_dtg.inputs.participants import Families
from bids_dtg.inputs.rest_sketch import sketch_edges
from bids_dtg.inputs.run import is_rest
from bids_dtg.notices import counted, named
from bids_dtg.settings import InputOptions, Settings

Edges = Float32

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
class ConnectomeSource(ParticipantSource):
    """Connectomes of participants, all with the same edges; `labels` are in order.

    Without names of regions, `regions` may be ().
    """

    sketched: ClassVar[str] = "connectome"
    choosing: ClassVar[str] = "--participant-label"

    places_named: bool = True  # whether the source names regions; False: made up
    edges: int  # number of edges of a connectome
    words: str  # how connectomes were made
    # For errors: files from which people have both a connectome and events.
    expected: str
    # (people, edges) by labels, Fisher z: the upper triangle row by row, averaged over a person's
    # runs. Raises a DatasetError that names people and regions where values cannot be used.
    connectomes: Callable[[Sequence[str]], Edges]
    # Sketches, by name, of a connectome's parts.
    parts: Callable[[str], Mapping[str, str]]
    # Content of files of arrays; None: it is no such file.
    arrays: ArrayPeople | None = None

    def sketches(self, labels: Sequence[str]) -> Sketches:
        """Return named sketches of each person's connectomes, by which people are recognised.

        Connectomes with values that cannot be used have none.
        """
        sketches = {}
        for label in labels:
            mean = {}
            with suppress(DatasetError):  # a later step names the person
                mean[CONNECTOME] = sketch_edges(self.connectomes([label])[0])
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
            f"{counted(labels, 'participant')} have the same connectome ({named(labels)})",
            expected="a connectome of each participant's own",
        )
    strongest = np.take_along_axis(
        connectomes, np.abs(connectomes).argmax(1)[:, None], 1
    )[:, 0]
    if (beyond := np.flatnonzero(np.abs(strongest) > LARGEST_Z)).size:
        people = [f"sub-{labels[row]}: {strongest[row]:.3g}" for row in beyond.tolist()]
        return (
            f"{counted(people, 'participant')} with edges beyond {LARGEST_Z:g} in Fisher z "
            f"({named(people)}): correlations above {np.tanh(LARGEST_Z):.3f}, as if one "
            "series had two names",
        )
    return ()


_MOST_EDGES = 4_000_000  # about 2,800 regions: everybody's edges are held in memory
_MOST_BEYOND = 0.01  # share of edges that are too large for Fisher z
_EXPECTED = "the same labels in the arrays, under the key people, as in BIDS_DIR"


def find_array_connectomes(settings: Settings) -> ConnectomeSource:
    """Find connectomes in the files of ``--input-arrays`` without reading their values.

    Sessions of rest are averaged, weighted by their frames.

    Raises
    ------
    DatasetError
        A file cannot be used, or has no connectomes.
    SettingsError
        ``--array-key`` is wrong.
    """
    modelling, mem_gb = settings.modelling, settings.resources.mem_gb
    arrays = read_arrays(
        modelling.input_arrays, modelling.array_key, tasks=True, mem_gb=mem_gb
    )
    edges = _count_edges(arrays)
    stored = arrays.rest if arrays.edges is None else (arrays.edges,)
    words = "edges from arrays, Fisher z"
    if arrays.edges is None:
        words = "Pearson correlations of series from arrays, as Fisher z"
    unused: tuple[str, ...] = ()
    if arrays.structural is not None:
        unused = ("not used by digital twins: structural",)

    def parts(label: str) -> dict[str, str]:
        sketches = arrays.sketches(label)
        return {f"session {name}": sketch for name, sketch in sketches.items()}

    return ConnectomeSource(
        paths=arrays.files,
        regions=arrays.places,
        families=arrays.families,
        labels=tuple(sorted({label for array in stored for label in array.rows})),
        places_named=arrays.places_named,
        edges=edges,
        words=words,
        expected=_EXPECTED,
        notes=(*arrays.notes, *unused),
        connectomes=partial(_read_arrays, arrays, edges),
        parts=parts,
        arrays=arrays,
    )


def _read_arrays(arrays: ArrayPeople, edges: int, labels: Sequence[str]) -> Edges:
    """Read people's edges, or make them of their series of rest."""
    if (stored := arrays.edges) is not None:
        expected = "finite values that differ"
        rows = read_rows(stored.title, stored.of, labels, edge_faults, expected)
        return np.stack(rows).astype(np.float32)
    total, frames = np.zeros((len(labels), edges)), np.zeros(len(labels))
    for array in arrays.rest:
        rows_here = [row for row, label in enumerate(labels) if label in array.rows]
        labels_here = [labels[row] for row in rows_here]
        faults = partial(_series_faults, arrays.places)
        expected = "series that vary and differ"
        series = read_rows(array.title, array.of, labels_here, faults, expected)
        for row, values in zip(rows_here, series, strict=True):
            edges_of_session = upper_edges(fisher_z(np.asarray(np.corrcoef(values))))
            total[row] += values.shape[1] * edges_of_session.astype(np.float32)
            frames[row] += values.shape[1]
    return (total / frames[:, None]).astype(np.float32)


def _count_edges(arrays: ArrayPeople) -> int:
    """Return the number of edges of a connectome; refuse arrays of another shape."""
    places = len(arrays.places)
    edges = comb(places, 2)
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


def edge_faults(values: Float64) -> list[str]:
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


def _series_faults(regions: tuple[str, ...], values: Float64) -> list[str]:
    """List faults of a person's series (regions, frames)."""
    finite = np.isfinite(values).all(axis=1)
    constant = finite & (values == values[:, :1]).all(axis=1)
    if faults := [
        *(f"{regions[n]} has NaN or infinite values" for n in np.flatnonzero(~finite)),
        *(f"{regions[n]} is constant" for n in np.flatnonzero(constant)),
    ]:
        return faults
    alike = np.argwhere(np.triu(np.abs(np.corrcoef(values)) >= 1 - 1e-12, 1))
    for row, column in alike[:1]:
        return [f"the same series at {regions[row]} and {regions[column]}"]
    return []


_SESSION = re.compile(r"_ses-([A-Za-z0-9]+)")  # in the title of a run
_OF_OUTPUT = (
    "participants with a connectome in OUTPUT_DIR, of the participant level of --workflow twin, "
    "and event files in BIDS_DIR"
)


_KIND = TableKind(
    RELMAT,
    FISHER_Z,
    words="connectomes",
    noun="connectome",
    usable="usable connectome for a twin",
    expected="Fisher z of all pairs of parcels",
)


@dataclass(frozen=True, eq=False)
class _Average(TableContent):
    """A connectome of an average of runs."""

    edges: Float64  # (edges,), Fisher z

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
    tables = RegionTables.find(settings, _KIND, atlas)
    _keep_requested(tables, settings.inputs)
    averages = [*_apart(tables.read(_read), tables)]
    by_label: dict[str, list[_Average]] = {}
    for average in averages:
        by_label.setdefault(average.table.label, []).append(average)
    values = {label: _mean(parts) for label, parts in by_label.items()}

    def sketches_of_parts(label: str) -> dict[str, str]:
        parts = by_label[label]
        if len(parts) == 1:
            return {}
        return {part.table.path.name: sketch_edges(part.edges) for part in parts}

    return ConnectomeSource.from_tables(
        tables,
        averages,
        files=tuple(average.table.path for average in averages),
        labels=tuple(sorted(values)),
        edges=len(averages[0].edges),
        words=OF_PARCELS,
        expected=_OF_OUTPUT,
        families=Families(),
        connectomes=lambda labels: np.stack([values[label] for label in labels]),
        parts=sketches_of_parts,
    )


def _keep_requested(tables: RegionTables, inputs: InputOptions) -> None:
    """Leave out tables of other sessions and tasks than requested; without a request, of tasks."""
    sessions = {plain_label(label, "ses") for label in inputs.session_label}
    if sessions:
        tables.keep(lambda table: _sessions(table) <= sessions, "another session")
    tasks = [plain_label(label, "task") for label in inputs.task_id]

    def fits(table: OutputTable) -> bool:
        task = table.name.get("task") or ""
        return any(same_label("task", task, label) for label in tasks)

    if tasks:
        tables.keep(fits, "another task")
    else:
        why = "a task, not rest; --task-id chooses other tasks"
        tables.keep(lambda table: is_rest(table.name), why)


def _sessions(table: OutputTable) -> set[str]:
    """Return the sessions of a table's runs; empty where runs have no session."""
    if session := table.name.get("ses"):
        return {session}
    matches = [_SESSION.search(title) for title in _titles(table)]
    return {match[1] for match in matches if match}


def _titles(table: OutputTable) -> list[str]:
    """Return the titles of the runs of a connectome; empty where they are not known."""
    return [str(run.get(RUN)) for run in table.runs]


def _read(table: OutputTable) -> _Average:
    """Read a connectome.

    Raises
    ------
    RunError, ForeignFileError
        It cannot be read, a region has no series, or values are not finite.
    """
    matrix = read_relmat(table.path)
    off = np.where(np.eye(len(matrix.names), dtype=bool), np.nan, matrix.values)
    if without := int(np.isnan(off).all(axis=1).sum()):
        raise RunError(f"{counted(without, 'parcel')} without a series")
    edges = upper_edges(matrix.values)
    if faults := edge_faults(edges):
        raise RunError(faults[0])
    return _Average(table, matrix.names, edges)


def _apart(averages: Iterable[_Average], tables: RegionTables) -> Iterator[_Average]:
    """Yield averages without common runs, the largest first, so that no run counts twice."""
    taken: set[tuple[str, str]] = set()
    largest_first = sorted(
        averages, key=lambda average: (-len(average.runs), average.table.path)
    )
    for average in largest_first:
        runs = {(average.table.label, run) for run in average.runs}
        if runs & taken:
            tables.leave_out(average.table, "its runs are in another one, too")
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
