"""A table of results: the file, its data dictionary and the page's table, from its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from bids_dtg.cohort.column import Column, interval_of
from bids_dtg.files.text import tsv_text, write_json, write_text
from bids_dtg.report.numbers import Cell
from bids_dtg.report.pages.analysis import Table

_NONE: Mapping[str, str] = MappingProxyType({})
Row = Mapping[str, object]  # by columns; a missing column, None and NaN are n/a


@dataclass(frozen=True, eq=False)
class ResultTable:
    """Rows under columns.

    Examples
    --------
    >>> table = ResultTable((Column("name", "Region"), Column("r", "Pearson r")), [{"r": 1 / 3}])
    >>> table.text.split()
    ['name', 'r', 'n/a', '0.3333333']
    """

    columns: Sequence[Column]  # in the order of the file
    rows: Sequence[Row]
    description: str = ""  # description of a row
    _named: dict[str, Column] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse names that occur twice."""
        names = [name for column in self.columns for name in column.names]
        if len(set(names)) < len(names):
            raise ValueError(f"columns of the same name: {sorted(names)}")
        object.__setattr__(self, "_named", {column.name: column for column in self.columns})

    @property
    def text(self) -> str:
        """The table in BIDS' form; without rows, its header alone.

        Raises
        ------
        ValueError
            A row has a value for an undeclared column.
        """
        names = [name for column in self.columns for name in column.names]
        return tsv_text(names, map(self._cells, self.rows))

    def _cells(self, row: Row) -> list[object]:
        if unknown := row.keys() - self._named.keys():
            raise ValueError(f"no columns are declared for {', '.join(sorted(unknown))}")
        return [cell for column in self.columns for cell in column.cells(row.get(column.name))]

    def dictionary(self) -> dict[str, Any]:
        """Return its data dictionary: meanings of a row and of each column."""
        own = {"Description": self.description} if self.description else {}
        of_columns = (column.dictionary() for column in self.columns)
        return {**own, **{name: words for each in of_columns for name, words in each.items()}}

    def write(self, path: Path) -> None:
        """Write the table, and its data dictionary as a JSON file of the same name.

        Parameters
        ----------
        path
            Path of the table, with the extension ``.tsv``.
        """
        write_text(path, self.text)
        write_json(path.with_suffix(".json"), self.dictionary())

    def on_page(
        self,
        caption: str,
        shown: Sequence[str] = (),
        *,
        headings: Mapping[str, str] = _NONE,
        **words: Any,
    ) -> Table:
        """Return the table of a page: the same numbers, with fewer digits.

        Parameters
        ----------
        caption
            Caption shown above the table on the page.
        shown
            Names of its columns in the page's order, the rows' names first; empty: all.
        headings
            Headings that replace the columns' own, by column name.
        words
            Further arguments of the page's table: notes, and compared rows and columns, by column
            name.
        """
        columns = [self._named[key] for key in shown] if shown else list(self.columns)
        titles = {column.name: headings.get(column.name, column.title) for column in columns}
        if "better" in words:
            words["better"] = [(row, titles[column]) for row, column in words["better"]]
        return Table(
            caption,
            list(titles.values()),
            [[_on_page(column, row.get(column.name)) for column in columns] for row in self.rows],
            **words,
        )


def _on_page(column: Column, value: object) -> Cell:
    if column.interval and not isinstance(value, str):
        return interval_of(value)
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"{column.name}: {value!r} is no cell of a table")
