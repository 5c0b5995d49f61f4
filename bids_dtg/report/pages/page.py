"""Pages: templates filled with autoescaping, styles and scripts inside."""

from __future__ import annotations

import functools
import html
import importlib.util
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from bids_dtg.errors import OutputError
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.notices import visible
from bids_dtg.report.colours import AMOUNT, GREYS, NEGATIVE, POSITIVE, SIGNED
from bids_dtg.version import __version__


def render(template: str, *, title: str, sections: Sequence[tuple[str, str]], **facts: Any) -> str:
    """Fill a template.

    Parameters
    ----------
    template
        File name of the template.
    title
        Words of the browser's tab, and of the page's heading where the template has one.
    sections
        Anchor and text of the links at the top.
    facts
        What the template asks for. Text is escaped wherever it is put.
    """
    from markupsafe import Markup

    page: str = load_template(template).render(
        title=title,
        sections=sections,
        css=Markup(static("report.css")),
        script=Markup(static("report.js")),
        viewer_script=Markup(static("viewer.js")),
        gradients=gradients(),
        version=__version__,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        **facts,
    )
    return page


def sentences(template: str, **facts: Any) -> str:
    """Fill a template of sentences, for a page and for the terminal, as plain text."""
    filled = html.unescape(load_template(template).render(facts))
    return " ".join(filled.split())


def load_template(name: str) -> Any:
    """Return a template, compiled."""
    return _environment().get_template(name)


def gradients() -> dict[str, str]:
    """Return the colour scales as CSS."""
    scales = {
        "positive": POSITIVE,
        "negative": NEGATIVE,
        "amount": AMOUNT,
        "signed": SIGNED,
        "greys": GREYS,
    }
    css = {name: scale.css for name, scale in scales.items()}
    # The bar of a map runs from the strongest negative colour through 0 to the strongest positive.
    reversed_stops = ", ".join(reversed(NEGATIVE.stops))
    css["negative_reversed"] = f"linear-gradient(to right, {reversed_stops})"
    return css


def static(name: str) -> str:
    """Return the text of a style sheet or script of the package."""
    return (folder() / "static" / name).read_text("utf-8")


def vendored(name: str) -> bytes:
    """Return a file of the viewer's library."""
    return (folder() / "vendor" / "niivue" / name).read_bytes()


def link(path: Path, dataset: DerivativeDataset) -> str:
    """Return the address of a file from a page at the output's root."""
    return quote(os.fsencode(PurePosixPath(path.relative_to(dataset.root)).as_posix()))


@functools.cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = folder() / "templates"
    return Environment(
        loader=FileSystemLoader(templates),
        bytecode_cache=_compiled(templates),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _compiled(folder: Path) -> Any:
    """Return what keeps compiled templates where Python keeps compiled modules of that folder."""
    from jinja2 import BytecodeCache

    class Compiled(BytecodeCache):
        def load_bytecode(self, bucket: Any) -> None:
            with suppress(OSError), _place(bucket).open("rb") as file:
                bucket.load_bytecode(file)  # empty where it is of another text or version

        def dump_bytecode(self, bucket: Any) -> None:
            if not sys.dont_write_bytecode:
                with suppress(OutputError):  # of somebody else, or read-only: compiled each time
                    write_atomic(_place(bucket), bucket.bytecode_to_string())

    def _place(bucket: Any) -> Path:
        return Path(importlib.util.cache_from_source(str(folder / f"{bucket.key}.html")))

    return Compiled()


def _visible(value: Any) -> Any:
    """Return text for a template: visible characters only, without changes of direction."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return "\n".join(map(visible, value.split("\n")))


def folder() -> Path:
    """Return the folder of templates and style sheets."""
    return Path(str(resources.files("bids_dtg.report")))
