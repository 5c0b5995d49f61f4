"""Fill in the parts of the documentation that come from the program, and prepare its gallery.

    python scripts/docs_hooks.py

writes the tables of options, strategies and spellings, and the home page's lists of pages, into
their pages, between marks such as `<!-- options -->` and `<!-- end of options -->`, so that a plain
clone shows them. MkDocs uses this module as a hook. The gallery's scripts run this package's
programs, which are installed next to Python. The first build runs the demo that most scripts need,
and then the other demos in parallel with the scripts, as only the last scripts need those.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sysconfig
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from bids_dtg.cleaning.strategies import (
    SCRUBBING_STD_DVARS,
    SHORTEST_STRETCH,
    STRATEGIES,
)
from bids_dtg.cli.parser import ALIASES, build_parser
from bids_dtg.settings import OPTIONS

DOCS = Path(__file__).parent.parent / "docs"
GALLERY = DOCS.parent / "examples" / "gallery"
BEING_MADE = GALLERY / "being-made"  # unfinished demos
PROGRAMS = Path(sysconfig.get_path("scripts"))
KINDS = ("reference", "explanation")  # folders whose pages the home page lists


def on_startup(**_: Any) -> None:
    """Put the programs on the gallery's PATH, and start the demos that its scripts need."""
    put_first(PROGRAMS)
    os.environ["MPLBACKEND"] = "agg"
    if not (DOCS / "gallery").exists():  # later builds run only changed scripts
        texts = (
            path.read_text(encoding="utf-8") for path in sorted(GALLERY.glob("*.py"))
        )
        first, *further = dict.fromkeys(
            re.findall(r'"(dtg-demo [^"]+)"', "".join(texts))
        )
        shutil.rmtree(BEING_MADE, ignore_errors=True)
        put_first(waiting_program())
        beside.extend(pool.submit(make_demo, command) for command in further)
        make_demo(first)


def on_post_build(**_: Any) -> None:
    """Report a demo that failed while the scripts ran."""
    try:
        for demo in beside:
            demo.result()
    finally:
        shutil.rmtree(BEING_MADE, ignore_errors=True)


def on_build_error(**_: Any) -> None:
    """Start no further demos."""
    pool.shutdown(wait=False, cancel_futures=True)


pool = ThreadPoolExecutor(1)
beside: list[Future[None]] = []


def put_first(folder: Path) -> None:
    """Put a folder first on the PATH."""
    os.environ["PATH"] = os.pathsep.join([str(folder), os.environ["PATH"]])


def waiting_program() -> Path:
    """Write a `dtg-demo` that waits for a demo that is being made; return its folder."""
    program = BEING_MADE / "programs" / "dtg-demo"
    program.parent.mkdir(parents=True)
    program.write_text(
        "#!/bin/sh\n"
        f'until [ -e "$1" ]; do [ -e "{BEING_MADE}/failed" ] && exit 1; sleep 1; done\n'
        'cat "$1/printed.txt"\n'
    )
    program.chmod(0o755)
    return program.parent


def make_demo(command: str) -> None:
    """Run a demo unless its folder exists; the folder gets its printed lines in `printed.txt`.

    The folder appears when the demo is complete.
    """
    program, name, *words = command.split()
    folder, unfinished = GALLERY / name, BEING_MADE / name
    if folder.exists():
        return
    call = [str(PROGRAMS / program), name, *words]
    done = subprocess.run(call, cwd=BEING_MADE, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        (BEING_MADE / "failed").touch()
        raise SystemExit(f"{command} ended with exit code {done.returncode}")
    (unfinished / "printed.txt").write_text(done.stdout, encoding="utf-8")
    unfinished.rename(folder)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in the parts of a page that come from the program."""
    return filled(markdown)


def filled(markdown: str) -> str:
    """Return a page with up-to-date tables."""
    for name, make in (
        ("options", options_markdown),
        ("strategies", strategies_markdown),
        ("spellings", spellings_markdown),
        *((f"pages of {kind}", partial(pages_markdown, kind)) for kind in KINDS),
    ):
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, mark, rest = markdown.partition(begin)
        if mark:
            after = rest.partition(end)[2]
            markdown = f"{before}{begin}\n\n{make().strip()}\n\n{end}{after}"
    return markdown


def options_markdown() -> str:
    """Return the options of ``bids_dtg``, a list for each group of its parser.

    Lists are used because a phone has no room for a table of long options.
    """
    parts = []
    for group in build_parser()._action_groups:
        actions = [
            a for a in group._group_actions if a.option_strings and a.dest != "help"
        ]
        if actions:
            title = (group.title or "").capitalize()
            parts.append(f"## {title}\n")
            parts += [
                f"- {_typed(action)}<br>\n  {_explained(action)}" for action in actions
            ]
            parts.append("")
    return "\n".join(parts)


def strategies_markdown() -> str:
    """Return the table of denoising strategies."""
    lines = [
        "| `--denoise-strategy` | columns removed | frames removed |",
        "|---|---|---|",
    ]
    dropped = (
        f"also frames with FD above `--fd-threshold` or DVARS above {SCRUBBING_STD_DVARS:g}, and "
        f"stretches of fewer than {SHORTEST_STRETCH} frames between such frames"
    )
    for row in STRATEGIES.values():
        frames = dropped if row.censors else "not in steady state"
        lines.append(f"| `{row.name}` | {row.removes} | {frames} |")
    return "\n".join(lines)


def spellings_markdown() -> str:
    """Return the table of other programs' spellings."""
    lines = ["| spelling | option here |", "|---|---|"]
    for spelled, option, _ in ALIASES:
        flags = ", ".join(f"`{flag}`" for flag in spelled)
        lines.append(f"| {flags} | `{max(OPTIONS[option].flags, key=len)}` |")
    return "\n".join(lines)


def pages_markdown(kind: str) -> str:
    """Return links to the pages in a folder of `docs`, sorted by title, for the home page."""
    titles = {
        path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# "): path
        for path in (DOCS / kind).glob("*.md")
    }
    return "\n".join(
        f"- [{title}]({kind}/{titles[title].name})" for title in sorted(titles)
    )


def _typed(action: argparse.Action) -> str:
    """Return an option with the name of its value; `_explained` lists its choices."""
    value = "" if _choices(action) or action.nargs == 0 else action.metavar or ""
    names = " or ".join(f"`{name}`" for name in str(value).split("|") if name)
    spelled = ", ".join(f"`{flag}`" for flag in action.option_strings)
    return f"{spelled} {names}".rstrip()


def _explained(action: argparse.Action) -> str:
    """Return the description of an option, and its choices."""
    choices = ", ".join(f"`{choice}`" for choice in _choices(action))
    return _cell(action.help or "") + (f"<br>\n  One of: {choices}" if choices else "")


def _choices(action: argparse.Action) -> list[str]:
    """Return an option's choices, which the metavar may list in lower case."""
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    listed = str(action.metavar or "").split("|")
    return listed if len(listed) > 1 and any(name.islower() for name in listed) else []


def _cell(text: str) -> str:
    """Return a help text with Markdown's special characters escaped."""
    for mark, written in (("%%", "%"), ("|", "&#124;"), ("<", "&lt;"), ("*", "&#42;")):
        text = text.replace(mark, written)
    return re.sub(r"(?<!\w)_|_(?!\w)", "&#95;", text)  # within a word, _ has no meaning


if __name__ == "__main__":
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(filled(text), encoding="utf-8")
