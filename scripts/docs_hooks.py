"""What the documentation takes from the program: tables in its pages, and more on the site.

    python scripts/docs_hooks.py

writes the tables of options, strategies and spellings, and the home page's lists of pages, into
their pages, between `<!-- options -->` and `<!-- end of options -->`, so that a plain clone shows
them. MkDocs uses this module as a hook. Scripts of the gallery call this package's programs, which
are installed beside Python. The first build runs the demo that most scripts begin with, and the
others beside the scripts, the last of which need them.
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

from bids_dtg.cleaning.strategies import STRATEGIES
from bids_dtg.cli.parser import ALIASES, build_parser
from bids_dtg.settings import OPTIONS

DOCS = Path(__file__).parent.parent / "docs"
GALLERY = DOCS.parent / "examples" / "gallery"
BEING_MADE = GALLERY / "being-made"  # demos
PROGRAMS = Path(sysconfig.get_path("scripts"))
KINDS = ("reference", "explanation")  # folders whose pages the home page lists


def on_startup(**_: Any) -> None:
    """Let scripts of the gallery find the programs, and run the demos that they begin with."""
    put_first(PROGRAMS)
    os.environ["MPLBACKEND"] = "agg"
    if not (DOCS / "gallery").exists():  # later builds run what has changed
        texts = (path.read_text(encoding="utf-8") for path in sorted(GALLERY.glob("*.py")))
        first, *others = dict.fromkeys(re.findall(r'"(dtg-demo [^"]+)"', "".join(texts)))
        shutil.rmtree(BEING_MADE, ignore_errors=True)
        put_first(waiting_program())
        beside.extend(pool.submit(make_demo, command) for command in others)
        make_demo(first)


def on_post_build(**_: Any) -> None:
    """Report a demo that failed beside the scripts."""
    try:
        for demo in beside:
            demo.result()
    finally:
        shutil.rmtree(BEING_MADE, ignore_errors=True)


def on_build_error(**_: Any) -> None:
    """Begin no further demo."""
    pool.shutdown(wait=False, cancel_futures=True)


pool = ThreadPoolExecutor(1)
beside: list[Future[None]] = []


def put_first(folder: Path) -> None:
    """Let a folder's programs be found before others."""
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
    """Run a demo whose folder is not there; what it prints is in the folder, as `printed.txt`.

    The folder appears when it is whole.
    """
    program, name, *words = command.split()
    folder, made = GALLERY / name, BEING_MADE / name
    if folder.exists():
        return
    call = [str(PROGRAMS / program), name, *words]
    done = subprocess.run(call, cwd=BEING_MADE, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        (BEING_MADE / "failed").touch()
        raise SystemExit(f"{command} ended with exit code {done.returncode}")
    (made / "printed.txt").write_text(done.stdout, encoding="utf-8")
    made.rename(folder)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in what a page has from the program."""
    return filled(markdown)


def filled(markdown: str) -> str:
    """Return a page with its tables as the program has them now."""
    for name, make in (
        ("options", options_markdown),
        ("strategies", strategies_markdown),
        ("spellings", spellings_markdown),
        *((f"pages of {kind}", partial(pages_markdown, kind)) for kind in KINDS),
    ):
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, found, rest = markdown.partition(begin)
        if found:
            after = rest.partition(end)[2]
            markdown = f"{before}{begin}\n\n{make().strip()}\n\n{end}{after}"
    return markdown


def options_markdown() -> str:
    """Return the options of ``bids_dtg``, a list for each group of its parser.

    A list, as a phone has no room for long options beside what they do.
    """
    parts = []
    for group in build_parser()._action_groups:
        actions = [a for a in group._group_actions if a.option_strings and a.dest != "help"]
        if actions:
            title = (group.title or "").capitalize()
            parts.append(f"## {title}\n")
            parts += [f"- {_typed(action)}<br>\n  {_explained(action)}" for action in actions]
            parts.append("")
    return "\n".join(parts)


def strategies_markdown() -> str:
    """Return the table of denoising strategies."""
    lines = ["| `--denoise-strategy` | columns removed | frames removed |", "|---|---|---|"]
    lines += [f"| `{row.name}` | {row.removes} | {row.drops} |" for row in STRATEGIES.values()]
    return "\n".join(lines)


def spellings_markdown() -> str:
    """Return the table of other programs' spellings."""
    lines = ["| spelling | option here |", "|---|---|"]
    for spelled, option, _ in ALIASES:
        flags = ", ".join(f"`{flag}`" for flag in spelled)
        lines.append(f"| {flags} | `{max(OPTIONS[option].flags, key=len)}` |")
    return "\n".join(lines)


def pages_markdown(kind: str) -> str:
    """Return links to the pages of a folder of `docs`, by their titles, for the home page."""
    titles = {
        path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# "): path
        for path in (DOCS / kind).glob("*.md")
    }
    return "\n".join(f"- [{title}]({kind}/{titles[title].name})" for title in sorted(titles))


def _typed(action: argparse.Action) -> str:
    """Return an option with the name of its value; choices stand with what it does."""
    value = "" if _choices(action) or action.nargs == 0 else action.metavar or ""
    names = " or ".join(f"`{name}`" for name in str(value).split("|") if name)
    spelled = ", ".join(f"`{flag}`" for flag in action.option_strings)
    return f"{spelled} {names}".rstrip()


def _explained(action: argparse.Action) -> str:
    """Return what an option does, and its choices."""
    choices = ", ".join(f"`{choice}`" for choice in _choices(action))
    return _cell(action.help or "") + (f"<br>\n  One of: {choices}" if choices else "")


def _choices(action: argparse.Action) -> list[str]:
    """Return an option's choices; its metavar lists them in lower case where a table has them."""
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    listed = str(action.metavar or "").split("|")
    return listed if len(listed) > 1 and any(name.islower() for name in listed) else []


def _cell(text: str) -> str:
    """Return a help text in which nothing is a mark of Markdown."""
    for mark, written in (("%%", "%"), ("|", "&#124;"), ("<", "&lt;"), ("*", "&#42;")):
        text = text.replace(mark, written)
    return re.sub(r"(?<!\w)_|_(?!\w)", "&#95;", text)  # within a word it is no mark


if __name__ == "__main__":
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(filled(text), encoding="utf-8")
