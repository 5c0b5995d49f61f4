"""Tables of participants: what is known of people besides their scans."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bids_dtg.errors import ForeignFileError, SettingsError
from bids_dtg.files.foreign import Table, read_table
from bids_dtg.notices import named

# Names of columns without case and signs, so that HCP's Family_ID is one of them.
FAMILY_COLUMNS = ("familyid", "family", "famid")
SITE_COLUMNS = ("site", "siteid", "scanner", "scannerid", "acquisitionsite", "center", "centre")
PERSON_COLUMNS = ("participantid", "subjectid", "subject", "participant")
NONE = ("", "n/a", "na", "nan")


@dataclass(frozen=True)
class Column:
    """What a table says of people under one heading."""

    name: str  # as the table has it
    texts: Mapping[str, str]  # by label without sub-; who has no value is not in it

    @cached_property
    def numbers(self) -> Mapping[str, float]:
        """The values as finite numbers, by label; empty where one of them is none."""
        try:
            found = {label: float(text) for label, text in self.texts.items()}
        except ValueError:
            return {}
        return found if all(map(math.isfinite, found.values())) else {}

    @property
    def is_number(self) -> bool:
        """Whether all values are finite numbers."""
        return bool(self.numbers)

    def spelled_alike(self) -> Column:
        """Return the column with one text for each number: 1 and 1.0 are one level.

        Examples
        --------
        >>> Column("group", {"01": "1", "02": "1.0", "03": "0"}).spelled_alike().levels
        ('0', '1')
        """
        first: dict[float, str] = {}
        for label, number in self.numbers.items():
            first.setdefault(number, self.texts[label])
        own = {label: first[number] for label, number in self.numbers.items()}
        return Column(self.name, own) if own else self

    @property
    def levels(self) -> tuple[str, ...]:
        """The different values, sorted; those of numbers by their size."""
        levels = set(self.texts.values())
        return tuple(sorted(levels, key=float) if self.is_number else sorted(levels))


@dataclass(frozen=True)
class ParticipantsTable:
    """A table with a row a participant."""

    path: Path
    columns: Mapping[str, Column]  # by name, in the order of the table; not that of the labels

    def find(self, name: str) -> Column:
        """Return the column of a name, in any case.

        Raises
        ------
        SettingsError
            There is none: with the name that is most like it.
        """
        by_plain = {plain_column(own): column for own, column in self.columns.items()}
        if (found := self.columns.get(name) or by_plain.get(plain_column(name))) is not None:
            return found
        near = difflib.get_close_matches(plain_column(name), by_plain, 1)
        raise SettingsError(
            f"{self.path} has no column {name}",
            expected=f"of {named(list(self.columns)) or 'no further column'}",
            remedy=f"did you mean {by_plain[near[0]].name}?" if near else None,
        )

    def first_of(self, names: Sequence[str]) -> Column | None:
        """Return the first column whose name, as `plain_column`, is one of some; else None."""
        by_plain = {plain_column(own): column for own, column in self.columns.items()}
        return next((by_plain[name] for name in names if name in by_plain), None)


def read_participants(path: Path) -> ParticipantsTable:
    """Read a table of participants, with tabs or commas.

    Parameters
    ----------
    path
        ``participants.tsv`` of a data set, or any table with a column participant_id.

    Raises
    ------
    SettingsError
        It cannot be read, has no column of labels, two columns of one name, or somebody twice
        with different values.
    """
    expected = "a table with the column participant_id and a row a participant"
    try:
        table = read_table(path, None)
    except ForeignFileError as err:
        raise err.as_kind(SettingsError, expected=expected) from err
    plain = [plain_column(name) for name in table.header]
    person = next((plain.index(name) for name in PERSON_COLUMNS if name in plain), None)
    if person is None or table.twice():
        raise SettingsError(
            f"{path} has the columns {named(table.header) or 'of an empty file'}",
            expected=f"{expected}, and each column once",
        )
    return ParticipantsTable(
        path,
        {
            name: Column(name, _texts(table, person, number))
            for number, name in enumerate(table.header)
            if number != person
        },
    )


def _texts(table: Table, person: int, column: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in table.rows:
        label, text = row[person].strip().removeprefix("sub-"), row[column].strip()
        if not label or text.casefold() in NONE:
            continue
        if found.setdefault(label, text) != text:
            raise SettingsError(
                f"{table.path} has two values of {table.header[column]} for sub-{label}, "
                f"{found[label]} and {text}",
                expected="one row a participant",
            )
    return found


def plain_column(name: str) -> str:
    """Write names of columns that differ by case or signs the same.

    Examples
    --------
    >>> plain_column("Family_ID")
    'familyid'
    """
    return "".join(letter for letter in name.casefold() if letter.isalnum())
