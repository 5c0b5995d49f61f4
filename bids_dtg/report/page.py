"""Pages: sections of text, tables and figures, put into templates."""

from __future__ import annotations

import functools
import html
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import write_text
from bids_dtg.notices import show, visible_lines
from bids_dtg.report.figures import Figure, Picture
from bids_dtg.report.flags import Flag, sorted_flags
from bids_dtg.report.pictures import GRADIENTS
from bids_dtg.report.tables import Table
from bids_dtg.version import __version__
from bids_dtg.workflows import all_workflows

# The room of templates that all pages use, style sheets and scripts.
FOLDER = Path(str(resources.files("bids_dtg.report")))


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
    # Address of a small picture of a participant for the index, and what it shows.
    picture: tuple[str, str] | None = None


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
    # A demo's other pages, by address.
    pages: Mapping[str, str] = field(default_factory=dict)

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
            **lay_out(self.sections),
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
    picture = "demo.png"
    figures = []
    if (out / picture).is_file():
        figures.append(Figure(caption="", parts=[Picture(picture, title)]))
    section = Section(
        "Compared with the truth", text=text, tables=tables, figures=figures
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
        for name in ("report.css", "report.js", "rows.js", "surfaces.js", "viewer.js")
    }
    return load_template(template).render(
        title=title,
        links=links,
        static=static,
        gradients=GRADIENTS,
        version=__version__,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        **facts,
    )


def sentences(template: str, **facts: Any) -> str:
    """Fill a template of sentences as plain text, for pages and the terminal."""
    return " ".join(html.unescape(load_template(template).render(facts)).split())


def load_template(name: str) -> Any:
    """Return a template, compiled."""
    return _environment().get_template(name)


def link(path: Path, dataset: DerivativeDataset) -> str:
    """Return the address of a file from a page at the output's root."""
    return quote(os.fsencode(path.relative_to(dataset.root).as_posix()))


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
