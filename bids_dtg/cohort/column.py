"""A column of a table of results: declared once for the file, its data dictionary and the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

BY_PEOPLE = "95 % interval, by drawing participants again"  # of many means over people
T_INTERVAL = "95 % interval (Student's t)"  # of paired differences
_ENDS = {"low": "Lower", "high": "Upper"}
_PLACE = "{}"  # placeholder for the name of a family's member


@dataclass(frozen=True)
class Column:
    """A column of a table of results.

    Examples
    --------
    >>> Column("r", "Pearson r over participants", interval="95 % interval").names
    ('r', 'r_low', 'r_high')
    """

    name: str  # in the file; {} stands for a member's name in a family of columns
    meaning: str  # for the data dictionary; {} as in the name
    heading: str = ""  # on pages; empty: the name, with blanks
    unit: str = ""  # in BIDS' form: s, mm, rad, arbitrary; empty: none, or words
    digits: int = 7  # significant digits of numbers in the file: what single precision has
    interval: str = ""  # description of its interval, whose ends get columns too; empty: none

    def each(self, members: Iterable[object]) -> tuple[Column, ...]:
        """Return the columns of a family, one a member: a contrast, region, session or number.

        Examples
        --------
        >>> [column.name for column in Column("r_{}", "r in {}").each(["faces", "words"])]
        ['r_faces', 'r_words']
        """
        return tuple(self.of(member) for member in members)

    def of(self, member: object) -> Column:
        """Return the column of one member of a family."""
        name, meaning, heading = (
            text.replace(_PLACE, str(member)) for text in (self.name, self.meaning, self.heading)
        )
        return dataclasses.replace(self, name=name, meaning=meaning, heading=heading)

    @property
    def title(self) -> str:
        """Its heading on a page."""
        return self.heading or self.name.replace("_", " ")

    @property
    def names(self) -> tuple[str, ...]:
        """Its name in the file, followed by those of the ends of its interval."""
        ends = _ENDS if self.interval else ()
        return (self.name, *(f"{self.name}_{end}" for end in ends))

    def dictionary(self) -> dict[str, dict[str, str]]:
        """Return the meanings of the file's columns, for a BIDS data dictionary."""
        titled = {"LongName": self.heading} if self.heading else {}
        units = {"Units": self.unit} if self.unit else {}
        found = {self.name: {**titled, "Description": self.meaning, **units}}
        if self.interval:
            for end, word in _ENDS.items():
                words = f"{word} end of the {self.interval} of {self.name}"
                found[f"{self.name}_{end}"] = {"Description": words, **units}
        return found

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
            return f"{value + 0:.{self.digits}g}" if np.isfinite(value) else None
        return value


def interval_of(value: object) -> tuple[float, float, float] | None:
    """Return a number and the ends of its interval; None for unknown values.

    Parameters
    ----------
    value
        Three numbers, a dataclass of them, or one where the ends are not known.
    """
    if value is None:
        return None
    if isinstance(value, (int, float, np.number)):
        return float(value), np.nan, np.nan
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.astuple(value)
    assert isinstance(value, Sequence)
    mean, low, high = (np.nan if part is None else float(part) for part in value)
    return mean, low, high
