"""Pages: sections of text, tables and figures, put into templates."""

from __future__ import annotations

import functools
import html
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias
from urllib.parse import quote

import numpy as np

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import write_text
from bids_dtg.notices import show, visible_lines
from bids_dtg.report.flags import Flag, sorted_flags
from bids_dtg.report.numbers import NOT_KNOWN, Cell, decimals, numbers_of, written
from bids_dtg.report.pictures import GRADIENTS
from bids_dtg.version import __version__
from bids_dtg.workflows import all_workflows

if TYPE_CHECKING:
    from bids_dtg.report.figures import Figure

# The room of templates that all pages use, style sheets and scripts.
FOLDER = Path(str(resources.files("bids_dtg.report")))
# A cell as pages show it: text, interval, mark, and the value to sort by (None: by its text).
Written: TypeAlias = tuple[str, str, str, str | None]
_BETTER = "better than the model"  # the mark of a row that is judged so


@dataclass(frozen=True)
class Table:
    """A table of a page."""

    form: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]  # headings; the first is that of the rows' names
    rows: Sequence[
        Sequence[Cell]
    ]  # the first cell of each is its name; shown in this order
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
    def body(self) -> list[tuple[str, str, list[Written]]]:
        """Name, kind ("model", "beside" or neither) and written cells of each row.

        Raises
        ------
        ValueError
            A row is not as long as the headings.
        """
        other = "beside" if self.model else ""
        columns = [
            self._column(cells, heading)
            for heading, cells in zip(
                self.columns, zip(*self.rows, strict=True), strict=True
            )
        ]
        return [
            (name := str(row[0]), "model" if name == self.model else other, [*cells])
            for row, *cells in zip(self.rows, *columns[1:], strict=True)
        ]

    def _column(self, cells: Sequence[Cell], heading: str) -> list[Written]:
        """Write the cells of a column with the same decimals."""
        digits = decimals(value for cell in cells for value in numbers_of(cell)[:1])
        return [
            _cell(cell, digits, _BETTER if (row[0], heading) in self.better else "")
            for row, cell in zip(self.rows, cells, strict=True)
        ]


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


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a page; what is empty is left out."""

    title: str
    text: Sequence[str] = ()  # paragraphs
    tables: Sequence[Table] = ()
    figures: Sequence[Figure | None] = ()
    # Template of paragraphs above the text, as for `render`; empty: none.
    template: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)  # variables of that template
    subtitle: str = ""  # beside the title
    anchor: str = ""  # empty: from its number
    # Anchor and text of its links at the top of the page; None: one link, with its title.
    links: Sequence[tuple[str, str]] | None = None
    viewer: Mapping[str, Any] | None = None  # data of the page's viewer
    leads: bool = False  # whether it comes before a participant's runs


def lay_out(sections: Sequence[Section]) -> dict[str, Any]:
    """Return the variables of `sections.html` and of the page around it."""
    parts: list[dict[str, Any]] = []
    for number, section in enumerate(sections, 1):
        anchor = section.anchor or f"section-{number}"
        part = {**vars(section), "anchor": anchor}
        part["tables"] = [table for table in section.tables if table.rows]
        part["figures"] = [figure for figure in section.figures if figure is not None]
        if section.links is None:
            part["links"] = [(anchor, section.title)]
        if any(part[content] for content in ("template", "text", "tables", "figures")):
            parts.append(part)
    return {
        "sections": parts,
        "links": [link for part in parts for link in part["links"]],
        "viewer_data": next((part["viewer"] for part in parts if part["viewer"]), None),
    }


@dataclass(frozen=True, eq=False)
class Page:
    """The page of an analysis, in its result folder, or of a demo."""

    title: str
    lead: str  # the answer, in a sentence
    flags: Sequence[Flag]  # what a reader must know first
    sections: Sequence[Section]
    viewer: Mapping[str, Any] | None = None  # data of its viewer
    pages: Mapping[str, str] = field(
        default_factory=dict
    )  # a demo's other pages, by address

    def write(self, path: Path) -> None:
        """Write the page.

        Raises
        ------
        ValueError
            A row of a table is not as long as its headings.
        OutputError
            It cannot be written.
        """
        page = render(
            "analysis.html",
            title=self.title,
            lead=self.lead,
            flags=sorted_flags(self.flags),
            pages=self.pages,
            **{**lay_out(self.sections), "viewer_data": self.viewer},
        )
        write_text(path, page)


def write_demo(
    out: Path,
    title: str,
    lead: str,
    warning: str,
    text: Sequence[str],
    tables: Sequence[Table],
    pages: Mapping[str, str],
) -> None:
    """Write a demo's page, which begins with the comparison with the truth, and print its text.

    It shows ``demo.png`` if that is in the same folder.
    """
    from bids_dtg.report.figures import Figure, Picture

    picture = "demo.png"
    there = (out / picture).is_file()
    drawn = [Figure(caption="", parts=[Picture(picture, title)])] if there else []
    section = Section(
        "Compared with the truth", text=text, tables=tables, figures=drawn
    )
    page = Page(title, lead, [Flag("warning", warning)], [section], pages=pages)
    page.write(out / "index.html")
    show(*text, warning, "")
    show(f"page: {out / 'index.html'}")


def render(
    template: str, *, title: str, links: Sequence[tuple[str, str]], **facts: Any
) -> str:
    """Fill a template.

    Parameters
    ----------
    template
        File name of a template of the kit; else ``ROOM/NAME.html`` for ``bids_dtg/ROOM/pages``.
    title
        Title of the browser's tab, and heading of the page where the template has one.
    links
        Anchor and text of the links at the top.
    facts
        Variables of the template; text is escaped.
    """
    from markupsafe import Markup

    static = {
        name: Markup((FOLDER / "static" / name).read_text("utf-8"))
        for name in ("report.css", "report.js", "surfaces.js", "viewer.js")
    }
    page: str = load_template(template).render(
        title=title,
        links=links,
        static=static,
        gradients=GRADIENTS,
        version=__version__,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        **facts,
    )
    return page


def sentences(template: str, **facts: Any) -> str:
    """Fill a template of sentences as plain text, for pages and the terminal."""
    return " ".join(html.unescape(load_template(template).render(facts)).split())


def load_template(name: str) -> Any:
    """Return a template, compiled."""
    return _environment().get_template(name)


def link(path: Path, dataset: DerivativeDataset) -> str:
    """Return the address of a file from a page at the output's root."""
    return quote(os.fsencode(PurePosixPath(path.relative_to(dataset.root)).as_posix()))


@functools.cache
def _environment() -> Any:
    from jinja2 import (
        ChoiceLoader,
        Environment,
        FileSystemLoader,
        PrefixLoader,
        StrictUndefined,
    )

    rooms = {room for workflow in all_workflows() for room in workflow.pages}
    kit = FileSystemLoader(FOLDER / "templates")
    pages = {room: FileSystemLoader(FOLDER.parent / room / "pages") for room in rooms}
    return Environment(
        loader=ChoiceLoader([kit, PrefixLoader(pages)]),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _visible(value: Any) -> Any:
    """Return text for a template, without invisible characters and changes of direction."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return visible_lines(value)
