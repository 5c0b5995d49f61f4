"""The methods text on a page: which one belongs to a set of maps, and its paragraphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from bids_dtg.files.derivatives import DerivativeDataset

LAST_METHODS = "logs/CITATION.md"
_DIGITS = 16


def methods_path(options_sha256: str) -> PurePosixPath:
    """Return where the text of calls with these options is kept."""
    return PurePosixPath("logs/methods", f"{options_sha256[:_DIGITS]}.md")


def find_methods(dataset: DerivativeDataset, records: Sequence[Mapping[str, Any]]) -> str:
    """Return the text that belongs to completed sets, that of the last call if there is none."""
    digests = {str(record.get("OptionsSHA256") or "") for record in records} - {""}
    named = [methods_path(digest) for digest in sorted(digests) if digest.isalnum()]
    for path in (*named, PurePosixPath(LAST_METHODS)):
        try:
            return dataset.path(path).read_text("utf-8")
        except (OSError, ValueError):
            continue
    return ""


def parse_markdown(text: str) -> list[tuple[str, Any]]:
    """Take the few kinds of blocks apart that the text has: headings, lists, paragraphs."""
    blocks: list[tuple[str, Any]] = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.strip()]
        if not lines:
            continue
        if lines[0].startswith("#"):
            title = lines[0].lstrip("# ").strip()
            if title != "Methods":  # the page has that heading
                blocks.append(("heading", title))
            lines = lines[1:]
        if lines and lines[0].startswith("- "):
            items: list[str] = []
            for line in lines:
                if line.startswith("- "):
                    items.append(line.removeprefix("- "))
                else:
                    items[-1] += " " + line.strip()
            blocks.append(("list", [item.replace("*", "") for item in items]))
        elif lines:
            blocks.append(("paragraph", " ".join(line.strip() for line in lines)))
    return blocks
