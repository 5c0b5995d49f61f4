"""Columns of tables: their names, meanings and units, and values as cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BY_PEOPLE = "95 % interval, by bootstrap over participants"
T_INTERVAL = "95 % interval (Student's t)"  # of paired differences
_ENDS = {"low": "Lower", "high": "Upper"}
# Significant digits of numbers in the file, as many as single precision has.
_DIGITS = 7
_PLACE = "{}"  # placeholder for the name of a family's member


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Examples
    --------
    >>> Column("r", "Pearson r over participants", interval="95 % interval").names
    ('r', 'r_low', 'r_high')
    """

    name: str  # in the file; {} stands for a member's name in a family of columns
    meaning: str  # for the data dictionary; {} as in the name
    heading: str = ""  # on pages; empty: the name, with spaces for underscores
    unit: str = ""  # as in BIDS: s, mm, rad, arbitrary; empty: none
    # Description of its interval, whose ends get columns; empty: none.
    interval: str = ""

    def each(self, members: Iterable[object]) -> tuple[Column, ...]:
        """Return the columns of a family, one for each contrast, region, session or number.

        Examples
        --------
        >>> [column.name for column in Column("r_{}", "r in {}").each(["faces", "words"])]
        ['r_faces', 'r_words']
        """
        return tuple(self.of(member) for member in members)

    def of(self, member: object) -> Column:
        """Return the column of one member of a family."""
        name, meaning, heading = (
            text.replace(_PLACE, str(member))
            for text in (self.name, self.meaning, self.heading)
        )
        return dataclasses.replace(self, name=name, meaning=meaning, heading=heading)

    @property
    def title(self) -> str:
        """Its heading on a page."""
        return self.heading or self.name.replace("_", " ")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns in the file: the value, and the ends of its interval."""
        ends = _ENDS if self.interval else ()
        return (self.name, *(f"{self.name}_{end}" for end in ends))

    def dictionary(self) -> dict[str, dict[str, str]]:
        """Return the meanings of the file's columns, for a BIDS data dictionary."""
        titled = {"LongName": self.heading} if self.heading else {}
        units = {"Units": self.unit} if self.unit else {}
        meanings = {self.name: {**titled, "Description": self.meaning, **units}}
        if self.interval:
            for end, word in _ENDS.items():
                words = f"{word} end of the {self.interval} of {self.name}"
                meanings[f"{self.name}_{end}"] = {"Description": words, **units}
        return meanings

    def cells(self, value: object) -> tuple[object, ...]:
        """Return a value and the ends of its interval, if any, as cells of the file."""
        if not self.interval:
            return (self._cell(value),)
        parts = interval_of(value)
        return (None, None, None) if parts is None else tuple(map(self._cell, parts))

    def _cell(self, value: object) -> object:
        if isinstance(value, (bool, np.bool_)):
            return "true" if value else "false"
        if isinstance(value, (float, np.floating)):
            # Adding 0 removes the sign of a zero.
            return f"{value + 0:.{_DIGITS}g}" if np.isfinite(value) else None
        return value


def interval_of(value: object) -> tuple[float, float, float] | None:
    """Return a number and the ends of its interval; None for an unknown number.

    Parameters
    ----------
    value
        Three numbers, a dataclass of three, or one number where the ends are unknown.
    """
    if value is None:
        return None
    parts: Any = value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = dataclasses.astuple(value)
    if not isinstance(parts, Sequence):
        parts = (parts, None, None)
    mean, low, high = (np.nan if part is None else float(part) for part in parts)
    return mean, low, high


def data_dictionary(columns: Iterable[Column]) -> dict[str, dict[str, str]]:
    """Return the meanings of a table's columns, for a BIDS data dictionary."""
    meanings: dict[str, dict[str, str]] = {}
    for column in columns:
        meanings |= column.dictionary()
    return meanings
