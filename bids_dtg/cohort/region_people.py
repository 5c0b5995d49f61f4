"""People with values of regions, in tables of the output or in array files; splits and folds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.derivatives import participants_in
from bids_dtg.files.names import BidsName, FileKind, parse_name
from bids_dtg.files.text import read_json
from bids_dtg.inputs.atlases import atlas_key, entities_of
from bids_dtg.inputs.dataset import TITLES
from bids_dtg.inputs.participants import Families, read_sets
from bids_dtg.notices import counted, named
from bids_dtg.participants.vertex_series import note_on_surfaces
from bids_dtg.settings import Settings
from bids_dtg.stats.splits import SETS, Split, fold_people

UNKNOWN_CLEANING = "unknown"
Value = TypeVar("Value")
Array = NDArray[np.float64]


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
    def surfaces(self) -> tuple[str, ...]:
        """The surface of each of its runs, as in quality tables; n/a: none."""
        runs = self.sidecar.get("Runs")
        facts = runs if isinstance(runs, list) else [self.sidecar]
        return tuple(
            str(run.get("Surface") or "n/a")
            for run in facts
            if isinstance(run, Mapping)
        )

    def number(self, key: str) -> float | None:
        """Return a number of the sidecar; None if missing."""
        value = self.sidecar.get(key)
        return float(value) if isinstance(value, int | float) else None


@dataclass(frozen=True)
class LeftOut:
    """Collects tables that are left out, with reasons.

    Parameters
    ----------
    noun
        What one table holds, in words, singular.

    Examples
    --------
    >>> left_out = LeftOut("run")
    >>> left_out.notes.append("cut to 90 frames")
    >>> left_out.lines()
    ('cut to 90 frames',)
    """

    noun: str
    titles: dict[str, list[str]] = field(default_factory=dict)  # of tables, by reason
    notes: list[str] = field(default_factory=list)  # further sentences

    def add(self, table: OutputTable, reason: str) -> None:
        """Record that a table is left out."""
        title = table.path.name.partition("_space-")[0]
        self.titles.setdefault(reason, []).append(title)

    def unless(
        self,
        fits: Callable[[OutputTable], bool],
        tables: Sequence[OutputTable],
        reason: str,
    ) -> list[OutputTable]:
        """Return the tables that fit; record the others."""
        for table in tables:
            if not fits(table):
                self.add(table, reason)
        return [table for table in tables if fits(table)]

    def lines(self) -> tuple[str, ...]:
        """Return the sentences, one for each reason."""
        left_out = (
            f"left out: {counted(len(titles), self.noun)}: {reason} ({named(titles)})"
            for reason, titles in self.titles.items()
        )
        return (*left_out, *dict.fromkeys(self.notes))


def find_tables(
    settings: Settings,
    kind: FileKind,
    stat: str,
    words: str,
    atlas: str,
    left_out: LeftOut,
) -> list[OutputTable]:
    """Find the participants' tables of one atlas and label image in OUTPUT_DIR.

    Parameters
    ----------
    settings
        Options of the run.
    kind, stat
        As for `list_tables`.
    words
        What the tables hold, plural, for error messages.
    atlas
        Key of the atlas; empty: the only one there is.
    left_out
        Collects tables with another label image than most.

    Raises
    ------
    DatasetError
        There are no tables, or tables of several atlases.
    """
    root = settings.inputs.output_dir.absolute()
    tables = list(list_tables(settings, kind, stat))
    keys = sorted({table.atlas for table in tables})
    if not tables or (atlas and atlas not in keys):
        missing = f"{words} of {atlas or 'regions'} (_{kind.suffix}{kind.extension})"
        present = f", but of {', '.join(keys)}" if keys else ""
        raise DatasetError(
            f"{root} has no {missing}{present}",
            expected=f"what the participant level of --workflow {settings.inputs.workflow} writes",
            remedy="run it first with the same OUTPUT_DIR, or give participants by --input-arrays",
        )
    if not atlas and len(keys) > 1:
        raise DatasetError(
            f"{root} has {words} of several atlases: {', '.join(keys)}",
            expected="one atlas, whose parcels are the regions of the model",
            remedy="use a separate OUTPUT_DIR for each atlas",
        )
    tables = [table for table in tables if table.atlas == (atlas or keys[0])]
    digest = most_common([table.atlas_digest for table in tables])
    tables = left_out.unless(
        lambda table: table.atlas_digest == digest, tables, "another label image"
    )
    surfaces = [{"surface": name} for table in tables for name in table.surfaces]
    note = note_on_surfaces(surfaces)
    if note:
        left_out.notes.append(note)
    return tables


def most_common(values: Sequence[Value]) -> Value:
    """Return the most frequent value; the first one if there are several.

    Examples
    --------
    >>> most_common(["a", "b", "b"])
    'b'
    """
    return Counter(values).most_common(1)[0][0]


# Content of a table; has the `table` and the `names` of its regions.
Content = TypeVar("Content", bound=Any)


def of_the_same_regions(
    contents: Sequence[Content], left_out: LeftOut
) -> list[Content]:
    """Return the tables with the region names of most tables; record the others."""
    if not contents:
        return []
    names = most_common([content.names for content in contents])
    for content in contents:
        if content.names != names:
            left_out.add(content.table, "other parcel names than most")
    return [content for content in contents if content.names == names]


def list_tables(settings: Settings, kind: FileKind, stat: str) -> Iterator[OutputTable]:
    """Yield participants' tables of a kind, for all atlases; `find_tables` chooses among them.

    `stat` is the value of stat- in their names; empty for names without stat-.
    """
    root = settings.inputs.output_dir.absolute()
    requested = settings.inputs.participant_label
    chosen = {label.removeprefix("sub-") for label in requested}
    for label in participants_in(root) if root.is_dir() else ():
        if chosen and label not in chosen:
            continue
        folder = root / f"sub-{label}"
        pattern = f"func/sub-{label}_*_{kind.suffix}{kind.extension}"
        for path in sorted((*folder.glob(pattern), *folder.glob(f"ses-*/{pattern}"))):
            name = parse_name(path.name)
            # desc- describes the content and does not name an atlas.
            atlas = entities_of(
                {key: value for key, value in name.entities if key != "desc"}
            )
            if atlas and FileKind.of(name) == kind and (name.get("stat") or "") == stat:
                sidecar = read_json(path.with_suffix(".json"))
                yield OutputTable(label, path, name, sidecar, atlas_key(atlas))


def read_rows(
    array: Any,
    labels: Sequence[str],
    faults: Callable[[Array], list[str]],
    expected: str,
) -> list[Array]:
    """Read people's rows, in this order; report all faults of all people in one error.

    Parameters
    ----------
    array
        Has a title, and a method `of` that returns a person's row.
    labels
        Labels of the people to read.
    faults
        Returns the faults of a row.
    expected
        Description of valid rows, for the error message.

    Raises
    ------
    DatasetError
        A row has faults; the message names participants and faults.
    """
    rows = [np.asarray(array.of(label), np.float64) for label in labels]
    faulty = []
    for label, row in zip(labels, rows, strict=True):
        of_row = faults(row)
        if of_row:
            faulty.append(f"sub-{label}: {named(of_row)}")
    if faulty:
        raise DatasetError(
            f"{array.title} cannot be used for {counted(len(faulty), 'participant')}: "
            f"{named(faulty)}",
            expected=expected,
            remedy="remove the region for all participants, or name the other participants with "
            "--participant-label",
        )
    return rows


def read_split(
    path: Path | None, labels: tuple[str, ...], families: Families
) -> tuple[Split, tuple[str, ...]]:
    """Return the sets of a split, and a sentence on people who are in no set.

    Raises
    ------
    SettingsError
        The table cannot be used, names none of these people, or splits a family.
    """
    if path is None:
        return Split(training=labels, validation=(), test=()), ()
    sets = read_sets(path, SETS, labels)
    usable = {
        name: tuple(label for label in labels if label in sets[name]) for name in SETS
    }
    split = Split(**usable)
    try:
        split.require_whole_families(families.by_label)
    except ValueError as err:
        raise SettingsError(f"{path}: {err}") from err
    left_out = [label for label in labels if label not in split.everybody]
    if len(left_out) == len(labels):
        raise SettingsError(
            f"{path} has no usable participant",
            expected=f"labels such as {named(labels)}",
        )
    if not left_out:
        return split, ()
    people = counted(len(left_out), "participant")
    return split, (f"not in {path}, left out: {people} ({named(left_out)})",)


FOLDS = "folds"  # result of an evaluation by folds
HALVES = "halves"  # value of --folds: halves of each run, for the same people


def draw_folds(
    settings: Settings, labels: Sequence[str], families: Families
) -> tuple[tuple[str, ...], ...]:
    """Draw the folds of ``--folds`` with ``--seed``, as labels; families stay together.

    Raises
    ------
    SettingsError
        There are too few people or families.
    """
    folds = settings.statistics.folds
    assert isinstance(folds, int)
    try:
        return fold_people(
            labels, folds, seed=settings.modelling.seed, families=families.by_label
        )
    except ValueError as err:
        expected = "more people, or fewer folds"
        raise SettingsError(f"--folds {folds}: {err}", expected=expected) from err
