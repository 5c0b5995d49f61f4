"""Connectomes of digital twins that the participant level wrote into the output folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.output_tables import (
    LeftOut,
    OutputTable,
    TableKind,
    find_tables,
    most_common,
    of_the_same_regions,
)
from bids_dtg.connectome.edges import upper_edges
from bids_dtg.connectome.effective_dof import segment_weight
from bids_dtg.errors import DatasetError, ForeignFileError, RunError
from bids_dtg.files.names import plain_label, same_label
from bids_dtg.files.regions.relmat import RELMAT, RegionMatrix, read_relmat
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.inputs.rest_sketch import sketch_edges
from bids_dtg.inputs.selection import is_rest
from bids_dtg.inputs.splits_file import read_families
from bids_dtg.notices import counted
from bids_dtg.settings import Settings
from bids_dtg.twin.participant.array_connectomes import edge_faults
from bids_dtg.twin.participant.source import (
    FISHER_Z,
    MINUTES,
    OF_PARCELS,
    RUN,
    RUNS,
    ConnectomeSource,
    Edges,
)

_TABLES = TableKind(RELMAT, FISHER_Z, words="connectomes", one="connectome", workflow="twin")
_SESSION = re.compile(r"_ses-([A-Za-z0-9]+)")  # in the title of a run
_EXPECTED = (
    "participants with a connectome in OUTPUT_DIR, of the participant level of --workflow twin, "
    "and event files in BIDS_DIR"
)


@dataclass(frozen=True, eq=False)
class _Set:
    """A connectome of an average of runs."""

    table: OutputTable
    names: tuple[str, ...]  # of the regions
    edges: NDArray[np.float64]  # (edges,), Fisher z

    @property
    def runs(self) -> frozenset[str]:
        """Titles of the runs that it was made of; the table's path where they are not known."""
        return frozenset(_titles(self.table) or [str(self.table.path)])


@dataclass(frozen=True, eq=False, kw_only=True)
class OutputConnectomes(ConnectomeSource):
    """Connectomes in the output folder, all of them read."""

    values: Mapping[str, Edges]  # (edges,) by label
    # Sketches of the averages that they are means of, by the names of their files.
    parts: Mapping[str, Mapping[str, str]]

    def connectomes(self, labels: Sequence[str]) -> Edges:
        """Return people's connectomes; those of several averages of runs were averaged."""
        return np.stack([self.values[label] for label in labels])

    def sketches(self, labels: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return sketches of people's connectomes, and of those that these are means of."""
        # Parts come first: where two of them are alike, so is the mean.
        means = super().sketches(labels)
        return {label: {**self.parts[label], **own} for label, own in means.items()}


def find_output_connectomes(settings: Settings, atlas: str = "") -> OutputConnectomes:
    """Read the connectomes that the participant level has written for an atlas (empty: any).

    A person's connectomes of several averages are averaged in turn, weighted by their residual
    degrees of freedom (by their time where these are not known for all). A connectome is left out
    and reported in the notes if it has another atlas or label image, runs of sessions that
    ``--session-label`` does not name, runs of a task that is no rest and that ``--task-id`` does
    not name, parcels without a series, or a run in common with a larger set.

    Raises
    ------
    DatasetError
        There are no usable connectomes, or those of several atlases.
    """
    root = settings.inputs.output_dir.absolute()
    left_out = LeftOut(_TABLES.one)
    asked = settings.inputs.participant_label
    tables = find_tables(root, _TABLES, asked, atlas, left_out)
    tables = _of_sessions(tables, settings.inputs.session_label, left_out)
    tables = _of_rest(tables, settings.inputs.task_id, left_out)
    averages = [found for table in tables if (found := _read(table, left_out)) is not None]
    averages = list(_apart(of_the_same_regions(averages, left_out), left_out))
    if not averages:
        raise DatasetError(
            f"{root} has no usable connectome for a twin: {'; '.join(left_out.lines())}",
            expected="Fisher z of all pairs of parcels",
        )
    by_label = _by_label(averages)
    values = {label: _mean(own) for label, own in by_label.items()}
    parts = {
        label: {part.table.path.name: sketch_edges(part.edges) for part in own}
        if len(own) > 1
        else {}
        for label, own in by_label.items()
    }
    return OutputConnectomes(
        paths=(root,),
        files=tuple(found.table.path for found in averages),
        labels=tuple(sorted(values)),
        regions=averages[0].names,
        places_named=True,
        edges=len(averages[0].edges),
        words=OF_PARCELS,
        expected=_EXPECTED,
        families=read_families([settings.inputs.bids_dir, root], labels=values),
        notes=left_out.lines(),
        atlas=averages[0].table.atlas,
        atlas_digest=averages[0].table.atlas_digest,
        cleaning=most_common([own.table.cleaning for own in averages]),
        values=values,
        parts=parts,
    )


def _of_sessions(
    tables: list[OutputTable], asked: Sequence[str], left_out: LeftOut
) -> list[OutputTable]:
    """Leave out tables with a run of a session that was not requested."""
    wanted = {plain_label(label, "ses") for label in asked}
    if not wanted:
        return tables
    return left_out.unless(lambda table: _sessions(table) <= wanted, tables, "another session")


def _of_rest(
    tables: list[OutputTable], asked: Sequence[str], left_out: LeftOut
) -> list[OutputTable]:
    """Leave out tables of tasks that were not requested; where none were, of all but rest."""
    wanted = [plain_label(label, "task") for label in asked]

    def fits(table: OutputTable) -> bool:
        task = table.name.get("task") or ""
        return any(same_label("task", task, label) for label in wanted)

    if wanted:
        return left_out.unless(fits, tables, "another task")
    why = "a task, not rest; --task-id names tasks that count"
    return left_out.unless(lambda table: is_rest(table.name), tables, why)


def _sessions(table: OutputTable) -> set[str]:
    """Return the sessions of a table's runs; empty where runs have no session."""
    if session := table.name.get("ses"):
        return {session}
    return {found[1] for title in _titles(table) if (found := _SESSION.search(title))}


def _titles(table: OutputTable) -> list[str]:
    """Return the titles of the runs of a connectome; empty where they are not known."""
    listed = table.sidecar.get(RUNS)
    entries = listed if isinstance(listed, list) else []
    return [str(entry.get(RUN)) for entry in entries if isinstance(entry, dict)]


def _read(table: OutputTable, left_out: LeftOut) -> _Set | None:
    """Read a connectome; return None and note the reason where it cannot be used."""
    try:
        matrix = read_relmat(table.path)
        return _Set(table, matrix.names, _edges(matrix))
    except (ForeignFileError, RunError) as err:
        left_out.add(table, err.found)
        return None


def _edges(matrix: RegionMatrix) -> NDArray[np.float64]:
    """Return the upper triangle row by row.

    Raises
    ------
    RunError
        A region has no series, values are not finite, or the matrix is not symmetric.
    """
    values = matrix.values
    off = np.where(np.eye(len(values), dtype=bool), np.nan, values)
    if without := int(np.isnan(off).all(axis=1).sum()):
        raise RunError(f"{counted(without, 'parcel')} without a series")
    edges = upper_edges(values)
    if faults := edge_faults(edges):
        raise RunError(faults[0])
    if not np.allclose(off, off.T, equal_nan=True):
        raise RunError("the matrix is not symmetric")
    return edges


def _apart(averages: Iterable[_Set], left_out: LeftOut) -> Iterator[_Set]:
    """Yield averages without common runs, the largest first, so that no run counts twice."""
    taken: set[tuple[str, str]] = set()
    for own in sorted(averages, key=lambda own: (-len(own.runs), own.table.path)):
        runs = {(own.table.label, run) for run in own.runs}
        if runs & taken:
            left_out.add(own.table, "its runs are in another one, too")
        else:
            taken |= runs
            yield own


def _by_label(averages: Iterable[_Set]) -> dict[str, list[_Set]]:
    found: dict[str, list[_Set]] = {}
    for own in averages:
        found.setdefault(own.table.label, []).append(own)
    return found


def _mean(averages: Sequence[_Set]) -> Edges:
    weights = _weights([own.table for own in averages])
    mean = np.average([own.edges for own in averages], axis=0, weights=weights)
    return np.asarray(mean, np.float32)


def _weights(tables: Sequence[OutputTable]) -> list[float]:
    """Return the weight of each connectome; equal weights where one is not known."""
    dof, minutes = ([table.number(key) for table in tables] for key in (RESIDUAL_DOF, MINUTES))
    for by_dof, values in ((True, dof), (False, minutes)):
        known = [value for value in values if value is not None and value > 0]
        if len(known) == len(tables):
            return [segment_weight(value, value, by_dof=by_dof) for value in known]
    return [1.0] * len(tables)
