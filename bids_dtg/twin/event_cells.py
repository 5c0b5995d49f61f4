"""Cells of an event file: columns as numbers, as texts, and as one of some values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.files.foreign import plain_number

# No run takes a day: a larger time is in another unit.
MOST_SECONDS = 86_400.0
_NONE = ("", "n/a", "na", "nan", "none", "null")
_LONGEST = 60  # characters of a wrong cell that a message quotes
_LISTED = 8  # legal values that a message lists


@dataclass(frozen=True, eq=False)
class Events:
    """Rows of an event file by column: text without outer blanks, "" for an empty cell."""

    source: str  # name of the file
    lines: NDArray[np.int64]  # (n,): line of each row in the file; the header is line 1
    cells: Mapping[str, NDArray[np.object_]]  # column -> (n,)

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, str]], source: str) -> Events:
        """Return the rows of a file; the columns are those of the first row.

        Examples
        --------
        >>> events = Events.of([{"onset": "2.0", "word": "green "}, {"onset": "n/a"}], "events")
        >>> events.numbers("onset").tolist(), events.texts("word").tolist()
        ([2.0, nan], ['green', ''])
        """
        columns = [str(name) for name in rows[0]] if len(rows) else []
        cells = {
            name.strip(): _objects([_plain(row.get(name)) for row in rows]) for name in columns
        }
        return cls(source, np.arange(2, len(rows) + 2), cells)

    def __len__(self) -> int:
        return len(self.lines)

    def take(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Events:
        """Return some of the rows, by mask or index."""
        cells = {name: column[which] for name, column in self.cells.items()}
        return Events(self.source, self.lines[which], cells)

    def without_repeated(self) -> tuple[Events, int]:
        """Return the rows without repeats of an earlier row, and the number of repeats."""
        rows = list(zip(*self.cells.values(), strict=True))
        first = sorted({row: index for index, row in reversed([*enumerate(rows)])}.values())
        return self.take(np.array(first, np.int64)), len(rows) - len(first)

    def texts(self, column: str) -> NDArray[np.object_]:
        """Return a column as text: (n,)."""
        return self.cells[column]

    def words(self, column: str) -> NDArray[np.object_]:
        """Return a column as lower-case words; numbers lose trailing zeros."""
        return _objects([_word(cell) for cell in self.cells[column]])

    def values(self, column: str) -> list[str]:
        """Return the values of a column in order."""
        return sorted(set(self.cells[column]) - {""})

    def numbers(self, column: str, none: Collection[str] = ()) -> NDArray[np.float64]:
        """Return a column as numbers, (n,); NaN in empty cells and those with a value of `none`.

        Raises
        ------
        RunError
            A cell is no number, or above `MOST_SECONDS`.
        """
        meaning_none = {_word(value) for value in none} | {""}
        values = np.full(len(self), np.nan)
        for row, cell in enumerate(self.cells[column]):
            if _word(cell) in meaning_none:
                continue
            value = plain_number(cell)
            if value is None or not abs(value) <= MOST_SECONDS:
                raise self.error(row, column, f"a number up to {MOST_SECONDS:g}, or n/a")
            values[row] = value
        return values

    def indices(
        self, column: str, values: Sequence[str], *, others: bool = False
    ) -> NDArray[np.int64]:
        """Return the index of each row's cell in `values`, (n,); -1 where it is empty.

        With `others`, any other value gives -1, too.

        Raises
        ------
        RunError
            A row has another value, and `others` is False.
        """
        index = {value: number for number, value in enumerate(values)} | {"": -1}
        found = np.array([index.get(cell, -2) for cell in self.cells[column]], np.int64)
        if not others and (found == -2).any():
            listed = ", ".join([*values[:_LISTED], *(["..."] if len(values) > _LISTED else [])])
            raise self.error(int(np.argmax(found == -2)), column, f"one of {listed}")
        return np.maximum(found, -1)

    def error(self, row: int, column: str, expected: str) -> RunError:
        """Return the error about a cell."""
        cell = str(self.cells[column][row]) or "n/a"
        quoted = cell if len(cell) <= _LONGEST else f"{cell[: _LONGEST - 1]}…"
        return RunError(
            f"{self.source} has '{quoted}' under {column} in line {self.lines[row]}",
            expected=expected,
        )


def _objects(values: Sequence[str]) -> NDArray[np.object_]:
    """Return texts as objects: each cell of a text array would be as wide as the longest."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _plain(cell: str | None) -> str:
    text = "" if cell is None else cell.strip()
    return "" if text.casefold() in _NONE else text


def _word(cell: str) -> str:
    value = plain_number(cell)
    return cell.casefold() if value is None else f"{value:g}"
