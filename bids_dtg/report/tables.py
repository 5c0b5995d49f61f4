"""Tables of a page: rows of numbers with their intervals, and marks of verdicts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bids_dtg.report.numbers import NOT_KNOWN, Cell, column_text, decimals, numbers_of

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
