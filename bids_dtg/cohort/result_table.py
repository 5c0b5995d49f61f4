"""Tables of results: the file, its data dictionary and the page's table, from declared columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.files.columns import Column, data_dictionary, interval_of
from bids_dtg.files.text import tsv_text, write_json, write_text
from bids_dtg.report.tables import Cell, Table

Row = Mapping[str, object]  # values by column; a missing column, None and NaN are n/a


@dataclass(frozen=True, eq=False)
class ResultTable:
    """A table of results.

    Examples
    --------
    >>> table = ResultTable((Column("name", "Region"), Column("r", "Pearson r")), [{"r": 1 / 3}])
    >>> table.text.split()
    ['name', 'r', 'n/a', '0.3333333']
    """

    columns: Sequence[Column]  # in the order of the file
    rows: Sequence[Row]
    description: str = ""  # description of a row

    @property
    def text(self) -> str:
        """The table as BIDS TSV; without rows, only its header.

        Raises
        ------
        ValueError
            A row has a value for an undeclared column.
        """
        names = [name for column in self.columns for name in column.names]
        return tsv_text(names, map(self._cells, self.rows))

    def _cells(self, row: Row) -> list[object]:
        undeclared = row.keys() - {column.name for column in self.columns}
        if undeclared:
            raise ValueError(
                f"no columns are declared for {', '.join(sorted(undeclared))}"
            )
        return [
            cell
            for column in self.columns
            for cell in column.cells(row.get(column.name))
        ]

    def dictionary(self) -> dict[str, Any]:
        """Return its data dictionary, with the meanings of a row and of each column."""
        meanings: dict[str, Any] = {}
        if self.description:
            meanings["Description"] = self.description
        return meanings | data_dictionary(self.columns)

    def write(self, path: Path) -> None:
        """Write the table, and its data dictionary as a JSON file of the same name.

        Parameters
        ----------
        path
            Path of the table, with the extension ``.tsv``.
        """
        write_text(path, self.text)
        write_json(path.with_suffix(".json"), self.dictionary())

    def in_words(self, column: str, words: Callable[[Any], str]) -> ResultTable:
        """Return the table with a column's values in words, for a page."""
        rows = [{**row, column: words(row[column])} for row in self.rows]
        return replace(self, rows=rows)

    def on_page(
        self,
        caption: str,
        shown: Sequence[str] = (),
        **words: Any,
    ) -> Table:
        """Return the table for a page, with fewer digits.

        Parameters
        ----------
        caption
            Caption shown above the table on the page.
        shown
            Names of the columns in the page's order, with the rows' names first; empty: all.
        words
            Further arguments of `Table`: notes, and the rows and columns (by name) that are better.
        """
        by_name = {column.name: column for column in self.columns}
        columns = [by_name[key] for key in shown or by_name]
        titles = {column.name: column.title for column in columns}
        if "better" in words:
            words["better"] = [(row, titles[column]) for row, column in words["better"]]
        return Table(
            caption,
            list(titles.values()),
            [
                [_on_page(column, row.get(column.name)) for column in columns]
                for row in self.rows
            ],
            **words,
        )


def _on_page(column: Column, value: object) -> Cell:
    if column.interval and not isinstance(value, str):
        return interval_of(value)
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, np.generic):
        value = value.item()
    assert value is None or isinstance(value, (str, int, float)), column.name
    return value
