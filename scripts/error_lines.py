"""Every error line of the program, read from its source, for the FAQ.

    python scripts/error_lines.py

prints them in the form of the documentation; `…` stands for text that the program fills in.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "bids_dtg"
# What each kind of error means for a user, in the order of the page.
KINDS = {
    "SettingsError": "Arguments (exit code 2: nothing was started)",
    "DatasetError": "The dataset (exit code 2: nothing was started)",
    "BundleError": "Models (exit code 2: nothing was started)",
    "ForeignFileError": "Text files of others (exit code 1, or 2 where nothing was started)",
    "RunError": "A run or participant (exit code 1: the others go on)",
    "DownloadError": "Downloads (exit code 2 for a model, 1 for a transform)",
    "OutputError": "Results (exit code 1)",
}
_HOLE = "…"


@dataclass(frozen=True)
class ErrorLine:
    """A line that a user may see."""

    kind: str  # its class in bids_dtg.errors
    found: str  # this part and the next two have `…` for text that the program fills in
    expected: str | None
    remedy: str | None


def error_lines(package: Path = PACKAGE) -> list[ErrorLine]:
    """List the lines of all modules once, sorted by kind and text."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(package.rglob("*.py"))]
    kinds = {name: name for name in KINDS}
    for tree in trees:  # a subclass has the kind of its base
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                for base in bases & kinds.keys():
                    kinds[node.name] = kinds[base]
    order = list(KINDS)
    lines = {line for tree in trees for line in _lines(tree, kinds)}
    return sorted(lines, key=lambda line: (order.index(line.kind), line.found.lower(), str(line)))


def _lines(tree: ast.Module, kinds: dict[str, str]) -> Iterator[ErrorLine]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id in kinds and node.args:
            named = {word.arg: _text(word.value) for word in node.keywords}
            found = _text(node.args[0]) or _HOLE
            if found.strip(f"{_HOLE} :"):
                yield ErrorLine(
                    kinds[node.func.id], found, named.get("expected"), named.get("remedy")
                )


def _text(node: ast.expr) -> str | None:
    """Return the text of a string expression, `…` for other parts; None for None."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        text = "".join(
            str(part.value) if isinstance(part, ast.Constant) else _HOLE for part in node.values
        )
    elif isinstance(node, ast.BinOp):
        text = f"{_text(node.left) or _HOLE}{_text(node.right) or _HOLE}"
    else:
        text = _HOLE
    while _HOLE * 2 in text:
        text = text.replace(_HOLE * 2, _HOLE)
    return text


def markdown() -> str:
    """Return the lines as Markdown: a heading for each kind, a paragraph for each line."""
    lines = error_lines()
    parts = []
    for kind, title in KINDS.items():
        parts.append(f"### {title}\n")
        for line in (line for line in lines if line.kind == kind):
            more = [
                f"{word}: {_escaped(text)}"
                for word, text in (("Expected", line.expected), ("To do", line.remedy))
                if text and text.strip(_HOLE)
            ]
            parts.append("- **" + _escaped(line.found) + "**" + "".join(f"  \n  {m}" for m in more))
        parts.append("")
    return "\n".join(parts)


def _escaped(text: str) -> str:
    """Return text that Markdown shows unchanged."""
    text = " ".join(text.split())
    for mark in "\\`*_[]{}#|~":
        text = text.replace(mark, "\\" + mark)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


if __name__ == "__main__":
    print(markdown())
