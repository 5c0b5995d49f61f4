"""What the documentation takes from the program: tables in its pages, and more on the site.

    python scripts/docs_hooks.py

writes the tables of options, strategies and spellings into their pages, between `<!-- options -->`
and `<!-- end of options -->`, so that a plain clone shows them. MkDocs uses this module as a hook:
on the site, `<!-- error lines -->` and `<!-- contributing -->` become those too. Scripts of the
gallery call this package's programs, which are installed beside Python.
"""

from __future__ import annotations

import argparse
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from error_lines import markdown as error_lines_markdown

from bids_dtg.cleaning.strategies import STRATEGIES
from bids_dtg.cli.run import build_parser
from bids_dtg.cli.spellings import ALIASES, FOREIGN

DOCS = Path(__file__).parent.parent / "docs"


def on_startup(**_: Any) -> None:
    """Let scripts of the gallery find the package's programs."""
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    os.environ["MPLBACKEND"] = "agg"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in what a page has from the program, and what only the site shows."""
    for mark, make in (
        ("<!-- error lines -->", error_lines_markdown),
        ("<!-- contributing -->", contributing_markdown),
    ):
        if mark in markdown:
            markdown = markdown.replace(mark, make())
    return filled(markdown)


def filled(markdown: str) -> str:
    """Return a page with its tables as the program has them now."""
    for name, make in (
        ("options", options_markdown),
        ("strategies", strategies_markdown),
        ("spellings", spellings_markdown),
    ):
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, found, rest = markdown.partition(begin)
        if found:
            after = rest.partition(end)[2]
            markdown = f"{before}{begin}\n\n{make().strip()}\n\n{end}{after}"
    return markdown


def options_markdown() -> str:
    """Return the options of ``bids_dtg``, a table for each group of its parser."""
    parts = []
    for group in build_parser()._action_groups:
        actions = [a for a in group._group_actions if a.option_strings and a.dest != "help"]
        if actions:
            title = (group.title or "").capitalize()
            parts += [f"## {title}\n", "| option | what it does |", "|---|---|"]
            parts += [f"| {_typed(action)} | {_cell(action.help or '')} |" for action in actions]
            parts.append("")
    return "\n".join(parts)


def strategies_markdown() -> str:
    """Return the table of denoising strategies."""
    lines = ["| `--denoise-strategy` | columns removed | frames removed |", "|---|---|---|"]
    lines += [f"| `{row.name}` | {row.removes} | {row.drops} |" for row in STRATEGIES.values()]
    return "\n".join(lines)


def spellings_markdown() -> str:
    """Return the table of other programs' options."""
    lines = ["| option | what becomes of it |", "|---|---|"]
    for row in (*ALIASES, *FOREIGN):
        flags = ", ".join(f"`{flag}`" for flag in row.flags)
        lines.append(f"| {flags} | {_cell(row.words)} |")
    return "\n".join(lines)


def contributing_markdown() -> str:
    """Return CONTRIBUTING.md without its title; links to pages are those of the site."""
    text = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return text.partition("\n")[2].replace("](docs/", "](")


def _typed(action: argparse.Action) -> str:
    value = action.metavar or ("" if action.choices is None else "|".join(action.choices))
    spelled = "`, `".join(action.option_strings)
    shown = f" `{value}`" if value and action.nargs != 0 else ""
    return f"`{spelled}`{shown}".replace("|", "\\|")


def _cell(text: str) -> str:
    return text.replace("%%", "%").replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


if __name__ == "__main__":
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(filled(text), encoding="utf-8")
