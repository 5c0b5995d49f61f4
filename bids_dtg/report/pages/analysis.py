"""The page of one analysis: tables and charts, section by section."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bids_dtg.files.text import write_text
from bids_dtg.report.figures import Figure
from bids_dtg.report.flags import Flag, sorted_flags
from bids_dtg.report.numbers import NOT_KNOWN, Cell, decimals, numbers_of, written
from bids_dtg.report.pages.page import render

Floats = NDArray[np.floating]
# A cell as pages show it: text, interval, mark, and what it is sorted by (None: by its text).
Written: TypeAlias = tuple[str, str, str, str | None]
_BETTER = "better than the model"  # the mark of what is judged so
# Parts of a section, of which one is enough for it to be shown.
_SHOWN = ("template", "text", "tables", "figures")


@dataclass(frozen=True)
class Table:
    """Rows of figures under headings."""

    caption: str
    columns: Sequence[str]  # headings; the first is that of the rows' names
    rows: Sequence[Sequence[Cell]]  # the first cell of each is its name; shown in this order
    notes: Sequence[str] = ()  # sentences below it
    # Names of rows that the model is compared with: baselines, ceilings, ablations.
    highlight: Sequence[str] = ()
    model: str = ""  # name of the model's row; empty: the first that is not highlighted
    # Name of a row and heading, where the row is judged better than the model
    # (`bids_dtg.stats.verdict`): words beside its figure say so.
    better: Collection[tuple[str, str]] = ()

    @property
    def headings(self) -> list[tuple[str, bool]]:
        """The headings, and whether each is over numbers."""
        return [
            (heading, number > 0 and any(numbers_of(row[number]) for row in self.rows))
            for number, heading in enumerate(self.columns)
        ]

    @property
    def body(self) -> list[tuple[str, str, list[Written]]]:
        """Name, kind ("model", "beside" or neither) and written cells of each row."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"a row of the table '{self.caption}' has {len(row)} cells under "
                    f"{len(self.columns)} headings: {row[0] if row else ''}"
                )
        columns = [self._column(number) for number in range(1, len(self.columns))]
        compared = (row[0] for row in self.rows if row[0] not in self.highlight)
        kinds = {str(self.model or next(compared, "")): "model"} if self.highlight else {}
        kinds |= dict.fromkeys(self.highlight, "beside")
        names = [str(row[0]) for row in self.rows]
        return [
            (name, kinds.get(name, ""), [column[place] for column in columns])
            for place, name in enumerate(names)
        ]

    def _column(self, number: int) -> list[Written]:
        """Write the cells of a column with the same decimals."""
        cells = [row[number] for row in self.rows]
        digits = decimals(value for cell in cells for value in numbers_of(cell)[:1])
        heading = self.columns[number]
        return [
            _cell(cell, digits, _BETTER if (row[0], heading) in self.better else "")
            for row, cell in zip(self.rows, cells, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class PageSection:
    """A part of the page; what is empty is left out."""

    title: str
    text: Sequence[str] = ()  # paragraphs
    tables: Sequence[Table] = ()
    figures: Sequence[Figure | None] = ()
    template: str = ""  # file of paragraphs above the text; empty: none
    facts: Mapping[str, Any] = field(default_factory=dict)  # what that template asks for


@dataclass(frozen=True, eq=False)
class AnalysisPageFacts:
    """What the page shows."""

    title: str  # of the page
    lead: str  # who and what, in a sentence
    flags: Sequence[Flag]  # what a reader must know first
    sections: Sequence[PageSection]
    index: str = ""  # address of the output's index; empty: there is none
    viewer: Mapping[str, Any] | None = None  # what its viewer shows


def write_analysis_page(path: Path, facts: AnalysisPageFacts) -> None:
    """Write the page.

    Raises
    ------
    ValueError
        A row of a table is not as long as its headings, or an array has another shape than it
        should.
    OutputError
        It cannot be written.
    """
    laid_out: list[dict[str, Any]] = [
        {
            "anchor": f"section-{number}",
            "title": section.title,
            "template": section.template,
            "facts": section.facts,
            "text": section.text,
            "tables": [table for table in section.tables if table.rows],
            "figures": [figure for figure in section.figures if figure is not None],
        }
        for number, section in enumerate(facts.sections, 1)
    ]
    parts = [part for part in laid_out if any(part[shown] for shown in _SHOWN)]
    page = render(
        "analysis.html",
        title=facts.title,
        index=facts.index,
        sections=[(part["anchor"], part["title"]) for part in parts],
        lead=facts.lead,
        flags=sorted_flags(facts.flags),
        parts_of_page=parts,
        viewer_data=facts.viewer,
    )
    write_text(path, page)


def _cell(cell: Cell, digits: int | None, mark: str) -> Written:
    if isinstance(cell, str):
        return cell, "", "", None
    numbers = numbers_of(cell)
    if not numbers or np.isnan(numbers[0]):
        return NOT_KNOWN, "", "", ""
    interval = ""
    if len(numbers) == 3 and np.isfinite(numbers[1:]).all():
        interval = f"{written(numbers[1], digits)} to {written(numbers[2], digits)}"
    return written(numbers[0], digits), interval, mark, str(numbers[0])
