"""Tables of participants: the set of a split and the family of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_dtg.errors import ForeignFileError, MissingFileError, SettingsError
from bids_dtg.files.foreign import Table, read_table
from bids_dtg.files.text import write_tsv
from bids_dtg.inputs.participants import (
    FAMILY_COLUMNS,
    NONE,
    PERSON_COLUMNS,
    plain_column,
    require_labels,
)
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
        try:
            column, by_label = _families_in(read_table(path, None), labels)
        except MissingFileError:
            continue
        except ForeignFileError as err:
            trouble.append(f"warning: {err.found}")
            continue
        if by_label:
            return Families(by_label, f"{path}, column {column}", tuple(trouble))
    return Families({}, "", tuple(trouble))


def _families_in(table: Table, labels: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return the name of the column of families, and them by label; "" where it has none."""
    columns = {plain_column(name): number for number, name in reversed([*enumerate(table.header)])}
    person = next((columns[key] for key in PERSON_COLUMNS if key in columns), None)
    family = next((columns[key] for key in FAMILY_COLUMNS if key in columns), None)
    if person is None:
        raise ForeignFileError(
            f"{table.path} is no table of participants: its first line has no column "
            f"participant_id, but {', '.join(table.header[:5]) or 'nothing'}"
        )
    if family is None:
        return "", {}
    found: dict[str, str] = {}
    for row in table.rows:
        label, name = row[person].strip().removeprefix("sub-"), row[family].strip()
        if found.setdefault(label, name) != name:
            raise ForeignFileError(
                f"{table.path} has participant {label} in two families, {found[label]} and {name}"
            )
    require_labels(table.path, found, labels)
    return table.header[family], {
        label: name for label, name in found.items() if label and name.casefold() not in NONE
    }


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
    expected = "tab-separated columns participant_id and set"
    try:
        rows = read_table(path).dicts()
        pairs = [(row["participant_id"].removeprefix("sub-"), row["set"]) for row in rows]
    except ForeignFileError as err:
        raise err.as_kind(SettingsError, expected=expected) from err
    except KeyError as err:
        raise SettingsError(f"{path} has no column {err}", expected=expected) from err
    if other := sorted({name for _, name in pairs} - set(sets)):
        raise SettingsError(f"{path} has the set {other[0]!r}", expected=f"{', '.join(sets)}")
    listed = Counter(label for label, _ in dict.fromkeys(pairs))
    if twice := sorted(label for label, count in listed.items() if count > 1):
        raise SettingsError(
            f"{path}: participants are on two sides of the split: {', '.join(twice)}"
        )
    require_labels(path, listed, labels)
    return {
        name: tuple(label for label, chosen in dict.fromkeys(pairs) if chosen == name)
        for name in sets
    }


def write_sets(path: Path, sets: Mapping[str, Sequence[str]]) -> None:
    """Write a table of participant_id and set, as `read_sets` reads it."""
    rows = sorted((f"sub-{label}", name) for name, labels in sets.items() for label in labels)
    write_tsv(path, ["participant_id", "set"], rows)
