"""Tables of a page: rows of numbers with their intervals, and marks of verdicts.

A column has as many decimals as its numbers need, and a true minus sign.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

NOT_KNOWN = "n/a"
MINUS = "\N{MINUS SIGN}"
_DIGITS = 3  # decimals of a column of scores
_MOST_DIGITS = 9
# From here on in scientific notation, e.g. where a simulation diverged.
_BEYOND_READING = 1e9
# Content of a table's cell: a word, a number, or a number with the ends of its interval.
Cell = str | float | tuple[float, float, float] | None
# A cell as pages show it: text, interval, mark, and the value to sort by (None: by its text).
PageCell = tuple[str, str, str, str | None]
_BETTER = "better than the model"  # the mark of a row that is judged so


@dataclass(frozen=True)
class Table:
    """A table of a page."""

    form: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]  # headings; the first is that of the rows' names
    # In the order of the page; the first cell of each is its name.
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()  # sentences below it
    model: str = ""  # name of the model's row, with which the others are compared
    # Row name and heading of cells where the row is judged better than the model
    # (`bids_dtg.stats.verdict`); a mark in the cell says so.
    better: Collection[tuple[str, str]] = ()
    folded: str = ""  # words to click to open the table; empty: it is always shown

    @property
    def headings(self) -> list[tuple[str, bool]]:
        """The headings, and whether each column has numbers."""
        return [
            (heading, number > 0 and any(numbers_of(row[number]) for row in self.rows))
            for number, heading in enumerate(self.columns)
        ]

    @property
    def body(self) -> list[tuple[str, str, list[PageCell]]]:
        """Name, kind ("model", "beside" or neither) and cells of each row, as pages show them.

        Raises
        ------
        ValueError
            A row is not as long as the headings.
        """
        if not self.rows:
            return []
        by_column = zip(*self.rows, strict=True)
        columns = [
            self._column(cells, heading)
            for heading, cells in zip(self.columns, by_column, strict=True)
        ]
        beside = "beside" if self.model else ""
        written_rows = []
        for row, *cells in zip(self.rows, *columns[1:], strict=True):
            name = str(row[0])
            kind = "model" if name == self.model else beside
            written_rows.append((name, kind, [*cells]))
        return written_rows

    def _column(self, cells: Sequence[Cell], heading: str) -> list[PageCell]:
        """Write the cells of a column with the same decimals."""
        digits = decimals(value for cell in cells for value in numbers_of(cell)[:1])
        return [
            _cell(cell, digits, _BETTER if (row[0], heading) in self.better else "")
            for row, cell in zip(self.rows, cells, strict=True)
        ]


def _cell(cell: Cell, digits: int | None, mark: str) -> PageCell:
    if isinstance(cell, str):
        return cell, "", "", None
    numbers = numbers_of(cell)
    if not numbers or np.isnan(numbers[0]):
        return NOT_KNOWN, "", "", ""
    interval = ""
    if len(numbers) == 3 and np.isfinite(numbers[1:]).all():
        interval = (
            f"{column_text(numbers[1], digits)} to {column_text(numbers[2], digits)}"
        )
    return column_text(numbers[0], digits), interval, mark, str(numbers[0])


def with_minus(text: str) -> str:
    """Return a text of numbers with true minus signs."""
    return text.replace("-", MINUS)


def number_text(value: float, digits: int = _DIGITS) -> str:
    """Write a number with some decimals, a minus sign, and no sign before zero.

    Examples
    --------
    >>> [number_text(value) for value in (0.25, -0.0001, 6491928499999.996)]
    ['0.250', '0.000', '6.49e+12']
    >>> number_text(28841.2, 0), number_text(float("nan")), number_text(float("-inf"))
    ('28,841', 'n/a', '−∞')
    """
    if not np.isfinite(value):
        if np.isnan(value):
            return NOT_KNOWN
        return "\N{INFINITY}" if value > 0 else f"{MINUS}\N{INFINITY}"
    text = f"{value:.2e}" if abs(value) >= _BEYOND_READING else f"{value:,.{digits}f}"
    # A number that rounds to zero has no sign.
    return text.replace("-", MINUS if text.strip("-0.") else "")


def decimals(values: Iterable[float]) -> int | None:
    """Return the number of decimals of a column: three, or fewer where numbers are large.

    None where no number of decimals suits all numbers; each then has its own.

    Examples
    --------
    >>> decimals([0.53, 0.79]), decimals([395.2, 137.0]), decimals([28841.3]), decimals([2e-5])
    (3, 1, 0, 7)
    >>> decimals([28841.3, 0.061]) is None
    True
    """
    sizes = np.abs(np.fromiter(values, np.float64))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    digits = _decimals(float(sizes.max(initial=0.0)))
    # Two significant digits of the smallest number must show; three decimals suit any score.
    lost = digits < _DIGITS and sizes.min() < 10.0 ** (1 - digits)
    return None if lost else digits


def _decimals(most: float) -> int:
    if most == 0 or not np.isfinite(most):
        return _DIGITS
    # 0 for 1 to 9, 1 for 10 to 99, -1 for 0.1 to 0.9
    before = int(np.floor(np.log10(most)))
    if before < -2:
        return min(2 - before, _MOST_DIGITS)
    return int(np.clip(_DIGITS - before, 0, _DIGITS))


def column_text(value: float, digits: int | None) -> str:
    """Write a number of a column: counts without decimals, very small numbers as "< 0.001".

    Parameters
    ----------
    value
        Number in the column's unit; integers are counts.
    digits
        Decimals of its column; None: as many as the number needs.

    Examples
    --------
    >>> column_text(40, 3), column_text(0.5, 3), column_text(1e-6, 3)
    ('40', '0.500', '< 0.001')
    >>> column_text(float("inf"), None)
    '∞'
    """
    if isinstance(value, (int, np.integer)):
        return number_text(int(value), 0)
    if digits is None:
        digits = _decimals(abs(float(value)))
    least = 10.0**-digits
    if digits and 0 < value < least / 2:
        return f"< {least:.{digits}f}"
    return number_text(float(value), digits)


def significant_text(value: float, digits: int) -> str:
    """Write a number with some significant digits, and a true minus sign.

    Examples
    --------
    >>> [significant_text(value, 2) for value in (0.0123, 1.84, 11.3, 131.0, -0.96, 0.0)]
    ['0.012', '1.8', '11', '131', '−0.96', '0']
    """
    if value == 0 or not np.isfinite(value):
        return number_text(value, 0)
    # 0 for 1 to 9, 1 for 10 to 99, -1 for 0.1 to 0.9, after rounding
    before = int(f"{value:.{digits - 1}e}".partition("e")[2])
    return number_text(value, int(np.clip(digits - 1 - before, 0, _MOST_DIGITS)))


def numbers_of(cell: Cell) -> tuple[float, ...]:
    """Return the numbers of a cell: none for words, three where there is an interval.

    Examples
    --------
    >>> numbers_of("n/a"), numbers_of(0.5), numbers_of((0.5, 0.4, 0.6))
    ((), (0.5,), (0.5, 0.4, 0.6))
    """
    if cell is None or isinstance(cell, str):
        return ()
    return cell if isinstance(cell, tuple) else (cell,)
