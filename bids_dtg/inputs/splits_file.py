"""Tables of participants: the set of a split and the family of each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_dtg.errors import SettingsError
from bids_dtg.files.text import write_tsv
from bids_dtg.inputs.participants import FAMILY_COLUMNS, read_participants
from bids_dtg.notices import counted

_TABLES = ("participants.tsv", "participants.csv")


@dataclass(frozen=True)
class Families:
    """The family of each participant."""

    by_label: Mapping[str, str]  # label -> family; who is not in it is a family alone
    source: str  # the table and its column; empty: there is none
    trouble: tuple[str, ...] = ()  # a line a table that could not be used
    absent: str = "no column family_id in participants.tsv or .csv"  # what would name them
    copies: tuple[tuple[str, ...], ...] = ()  # labels with the same rest, which are in one family

    def require_known(self) -> None:
        """Refuse to go on where a table is there that may have families, and cannot be used.

        Raises
        ------
        SettingsError
            Naming the table, and what is wrong with it.
        """
        if self.trouble and not self.by_label:
            raise SettingsError(
                f"the families are not known: {self.trouble[0].removeprefix('warning: ')}",
                expected="a table with the columns participant_id and family_id, or none",
                remedy="repair or remove it, or give a split with --split-file: a split that is "
                "drawn may have relatives on both sides",
            )

    def relatives(self, labels: Iterable[str]) -> set[str]:
        """Return people with all of their families.

        Examples
        --------
        >>> sorted(Families({"01": "A", "02": "B", "03": "A"}, "").relatives(["01", "04"]))
        ['01', '03', '04']
        """
        own = set(labels)
        names = {self.by_label[label] for label in own if label in self.by_label}
        return own | {label for label, name in self.by_label.items() if name in names}

    def line(
        self, labels: Sequence[str], unknown: str = "relatives may be on both sides of a split"
    ) -> str:
        """Describe the number of families, or the consequence if none are known."""
        known = [self.by_label[label] for label in labels if label in self.by_label]
        words = f"families: {len(set(known))} of {counted(len(known), 'participant')}"
        rest = len(labels) - len(known)
        alone = f"; {rest} without one count as unrelated" if known and rest else ""
        none = f"families: none are known ({self.absent}): {unknown}"
        found = f"{words} ({self.source}){alone}" if known else none
        return "; ".join((found, *self.trouble))


def read_families(
    roots: Sequence[Path], tables: Sequence[Path] = (), labels: Collection[str] = ()
) -> Families:
    """Read who belongs to which family from the first table that has families.

    Looked at are `tables`, then `participants.tsv` and `participants.csv` of each folder, with
    tabs or commas; a column of families may be called family_id, Family_ID, familyID or family.

    Raises
    ------
    SettingsError
        One of `labels`, the people whose families are wanted, is written otherwise in the table.
    """
    trouble = []
    for path in dict.fromkeys((*tables, *(root / name for root in roots for name in _TABLES))):
        if not path.exists():
            continue
        try:
            table = read_participants(path)
        except SettingsError as err:
            trouble.append(f"warning: {err.found}")
            continue
        column = table.first_of(FAMILY_COLUMNS)
        if column is not None and column.texts:
            table.require_labels(labels)
            return Families(column.texts, f"{path}, column {column.name}", tuple(trouble))
    return Families({}, "", tuple(trouble))


def read_sets(
    path: Path, sets: Sequence[str], labels: Collection[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Read a table of participant_id and set; the labels of each set.

    Raises
    ------
    SettingsError
        It cannot be read, has another set, or somebody in two, or one of `labels`, the people who
        are divided, is written otherwise.
    """
    table = read_participants(path)
    column = table.find("set")
    chosen = {label: column.texts.get(label, "") for label in table.labels}
    if other := sorted(set(chosen.values()) - set(sets)):
        raise SettingsError(f"{path} has the set {other[0]!r}", expected=f"{', '.join(sets)}")
    table.require_labels(labels)
    return {name: tuple(label for label, own in chosen.items() if own == name) for name in sets}


def write_sets(path: Path, sets: Mapping[str, Sequence[str]]) -> None:
    """Write a table of participant_id and set, as `read_sets` reads it."""
    rows = sorted((f"sub-{label}", name) for name, labels in sets.items() for label in labels)
    write_tsv(path, ["participant_id", "set"], rows)
