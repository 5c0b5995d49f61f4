"""Participants' tables of regions in the output: which are used, and which are left out and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mode
from typing import Any, TypeVar

from bids_dtg.errors import DatasetError, ForeignFileError, RunError
from bids_dtg.files.derivatives import (
    DerivativeDataset,
    files_of_participant,
    participants_in,
)
from bids_dtg.files.names import BidsName, FileKind, parse_name
from bids_dtg.files.text import read_json
from bids_dtg.inputs.atlases import atlas_key, entities_of
from bids_dtg.inputs.dataset import TITLES
from bids_dtg.notices import counted, named
from bids_dtg.participants.vertex_series import note_on_surfaces
from bids_dtg.report.inclusion import FILE, read_inclusion
from bids_dtg.settings import Settings

UNKNOWN_CLEANING = "unknown"


@dataclass(frozen=True)
class OutputTable:
    """A participant's table in the output, with its name and sidecar."""

    label: str  # of the participant, without sub-
    path: Path
    name: BidsName
    sidecar: Mapping[str, Any]
    atlas: str  # key of the atlas of its regions

    @property
    def atlas_digest(self) -> str:
        """SHA-256 of that atlas, as `Atlas.digest`; empty: not stated."""
        facts = self.sidecar.get("Atlas")
        return str(facts.get("SHA256") or "") if isinstance(facts, Mapping) else ""

    @property
    def cleaning(self) -> str:
        """How its run was cleaned, in words."""
        kind = self.sidecar.get("InputType")
        title = next((words for name, words in TITLES.items() if name == kind), None)
        strategy = self.sidecar.get("DenoiseStrategy")
        return f"{title}, {strategy}" if title and strategy else UNKNOWN_CLEANING

    @property
    def runs(self) -> list[Mapping[str, Any]]:
        """Facts of the runs of an average; empty for a single run."""
        listed = self.sidecar.get("Runs")
        runs = listed if isinstance(listed, list) else []
        return [run for run in runs if isinstance(run, Mapping)]

    @property
    def surfaces(self) -> list[str]:
        """The surface of each of its runs, as in quality tables; n/a: none."""
        return [str(run.get("Surface") or "n/a") for run in self.runs or [self.sidecar]]

    def number(self, key: str) -> float | None:
        """Return a number of the sidecar; None if missing."""
        value = self.sidecar.get(key)
        return float(value) if isinstance(value, int | float) else None


@dataclass(frozen=True, eq=False)
class TableContent:
    """The values of a table; workflows add theirs."""

    table: OutputTable
    names: tuple[str, ...]  # of the regions


Content = TypeVar("Content", bound=TableContent)


@dataclass(frozen=True)
class TableKind:
    """A kind of tables, and its words in messages."""

    files: FileKind
    stat: str  # value of stat- in their names; empty: names without stat-
    words: str  # what they hold, plural
    noun: str  # what one of them holds, singular
    usable: str = ""  # what is missing where none can be used
    expected: str = ""  # of the values


@dataclass(frozen=True, eq=False)
class RegionTables:
    """Tables of one atlas and label image in OUTPUT_DIR, and why others are left out."""

    kind: TableKind
    root: Path  # OUTPUT_DIR
    tables: list[OutputTable]  # that are used
    left_out: dict[str, list[str]] = field(default_factory=dict)  # titles by reason
    notes: list[str] = field(default_factory=list)  # further sentences

    @classmethod
    def find(cls, settings: Settings, kind: TableKind, atlas: str) -> RegionTables:
        """Find the participants' tables of an atlas; empty: of the only atlas there is.

        Raises
        ------
        DatasetError
            There are no tables, or tables of several atlases, or the decisions on participants are
            not clear.
        """
        root = settings.inputs.output_dir.absolute()
        everything = list(list_tables(settings, kind))
        keys = sorted({table.atlas for table in everything})
        if not keys or (atlas and atlas not in keys):
            extension = f"_{kind.files.suffix}{kind.files.extension}"
            present = f", but of {', '.join(keys)}" if keys else ""
            raise DatasetError(
                f"{root} has no {kind.words} of {atlas or 'regions'} ({extension}){present}",
                expected="what the participant level of --workflow "
                f"{settings.inputs.workflow} writes",
                remedy="run it first with the same OUTPUT_DIR, or give participants by "
                "--input-arrays",
            )
        if not atlas and len(keys) > 1:
            raise DatasetError(
                f"{root} has {kind.words} of several atlases: {', '.join(keys)}",
                expected="one atlas, whose parcels are the regions of the model",
                remedy="use a separate OUTPUT_DIR for each atlas",
            )
        chosen = [table for table in everything if table.atlas == (atlas or keys[0])]
        tables = cls(kind, root, chosen)
        digest = mode(table.atlas_digest for table in chosen)
        tables.keep(lambda table: table.atlas_digest == digest, "another label image")
        decisions = read_inclusion(DerivativeDataset(root))
        excluded = {label for label, (included, _) in decisions.items() if not included}
        tables.keep(lambda table: table.label not in excluded, f"excluded by {FILE}")
        surfaces = [name for table in tables.tables for name in table.surfaces]
        if note := note_on_surfaces({"surface": name} for name in surfaces):
            tables.notes.append(note)
        return tables

    def leave_out(self, table: OutputTable, reason: str) -> None:
        """Record that a table is left out."""
        title = table.path.name.partition("_space-")[0]
        self.left_out.setdefault(reason, []).append(title)

    def keep(self, fits: Callable[[OutputTable], bool], reason: str) -> None:
        """Leave out the tables that do not fit."""
        for table in self.tables:
            if not fits(table):
                self.leave_out(table, reason)
        self.tables[:] = filter(fits, self.tables)

    def read(self, read_table: Callable[[OutputTable], Content]) -> list[Content]:
        """Read the tables; leave out those that cannot be used, or have other regions than most.

        Raises
        ------
        DatasetError
            None can be used.
        """
        contents = []
        for table in self.tables:
            try:
                contents.append(read_table(table))
            except (ForeignFileError, RunError) as err:
                self.leave_out(table, err.found)
        if not contents:
            raise DatasetError(
                f"{self.root} has no {self.kind.usable}: {'; '.join(self.lines)}",
                expected=self.kind.expected,
            )
        names = mode(content.names for content in contents)
        for content in contents:
            if content.names != names:
                self.leave_out(content.table, "other parcel names than most")
        return [content for content in contents if content.names == names]

    @property
    def lines(self) -> tuple[str, ...]:
        """The sentences: one for each reason, and the notes."""
        left_out = (
            f"left out: {counted(titles, self.kind.noun)}: {reason} ({named(titles)})"
            for reason, titles in self.left_out.items()
        )
        return (*left_out, *dict.fromkeys(self.notes))


def list_tables(settings: Settings, kind: TableKind) -> Iterator[OutputTable]:
    """Yield participants' tables of a kind, for all atlases; `RegionTables` chooses among them."""
    root = settings.inputs.output_dir.absolute()
    requested = settings.inputs.participant_label
    chosen = {label.removeprefix("sub-") for label in requested}
    for label in participants_in(root) if root.is_dir() else ():
        if chosen and label not in chosen:
            continue
        pattern = f"sub-{label}_*_{kind.files.suffix}{kind.files.extension}"
        for path in files_of_participant(root, label, pattern):
            name = parse_name(path.name)
            atlas = atlas_of(name)
            is_kind = FileKind.of(name) == kind.files
            if atlas and is_kind and (name.get("stat") or "") == kind.stat:
                sidecar = read_json(path.with_suffix(".json"))
                yield OutputTable(label, path, name, sidecar, atlas)


def atlas_of(name: BidsName) -> str:
    """Return the key of the atlas in a file's name; empty: it names none."""
    # desc- describes the content and does not name an atlas.
    named_entities = {key: label for key, label in name.entities if key != "desc"}
    entities = entities_of(named_entities)
    return atlas_key(entities) if entities else ""
