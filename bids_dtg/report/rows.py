"""Rows of tables over participants: in the page, or if they are many, in a script beside it.

Those of the script are drawn as they are seen. A page that was opened from a disk cannot fetch
data, but may load a script.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_dtg.errors import ForeignFileError
from bids_dtg.files.foreign import parse_json_object, read_text
from bids_dtg.files.text import write_text
from bids_dtg.notices import visible_lines

# With more people than this, the group page and the index have their rows in a script.
MOST_WRITTEN, MOST_LISTED = 500, 200
# A browser reads JSON in a text twice as fast as a literal.
_BEGIN, _END = "window.dtgRows = JSON.parse('", "');\n"
# Text, or an object with: t, the text; v, the value to sort by; k, its class; h, the address that
# it links to; n, a note on it; d, the participant who is decided on in it; p, the address of a
# picture of which t is the alternative text (in the page only).
Cell = str | dict[str, Any]
# The kind that a filter chooses, the cells, and what only the program reads.
Row = tuple[str, Sequence[Cell], Sequence[Any]]


def cell(
    text: str,
    *,
    value: float | None = None,
    kind: str = "",
    link: str = "",
    note: str = "",
) -> Cell:
    """Return a cell of a row.

    Examples
    --------
    >>> cell("0.21", value=0.2143, kind="out"), cell("sub-01")
    ({'t': '0.21', 'v': 0.2143, 'k': 'out'}, 'sub-01')
    """
    text = visible_lines(text)
    facts = {"v": value, "k": kind, "h": link, "n": visible_lines(note)}
    facts = {key: fact for key, fact in facts.items() if fact not in (None, "")}
    return {"t": text, **facts} if facts else text


def write_rows(path: Path, tables: Mapping[str, Sequence[Row]]) -> None:
    """Write the script with the rows of a page's tables, by the tables' names."""
    text = json.dumps(tables, allow_nan=False, separators=(",", ":"))
    # Of ASCII characters only, and without a tag or a quote that would end the text.
    text = text.replace("<", "\\u003c").replace("'", "\\u0027")
    write_text(path, _BEGIN + text.replace("\\", "\\\\") + _END)


def read_rows(path: Path) -> dict[str, list[Row]]:
    """Read the rows that `write_rows` wrote; return none if they cannot be read."""
    try:
        text = read_text(path).removeprefix(_BEGIN).removesuffix(_END)
        return parse_json_object(text.replace("\\\\", "\\"), str(path))
    except ForeignFileError:
        return {}
