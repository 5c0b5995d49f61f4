"""JSON objects, tables and plain text that this program writes and reads back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from bids_dtg.errors import ForeignFileError
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.foreign import read_json_object, read_table
from bids_dtg.notices import one_line, without_formula


def write_text(path: Path, text: str) -> None:
    """Write text atomically, as `encoded` encodes it."""
    write_atomic(path, encoded(text))


def encoded(text: str) -> bytes:
    r"""Encode text as UTF-8; bytes of file names that are not UTF-8 become escapes.

    In JSON, such an escape is read back as the same name.

    Examples
    --------
    >>> encoded("caf\u00e9"), encoded("sub-\udcff")
    (b'caf\xc3\xa9', b'sub-\\udcff')
    """
    return text.encode("utf-8", "backslashreplace")


def read_packaged(package: str, name: str) -> str:
    """Read a text file that ships inside a package."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON atomically; NaN raises a ValueError, as BIDS readers reject it."""
    write_text(path, json_text(content))


def json_text(content: Mapping[str, Any]) -> str:
    """Return indented JSON; NaN raises a ValueError, as BIDS readers reject it."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_tsv(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Write a BIDS table atomically; None and NaN become `n/a`."""
    write_text(path, tsv_text(columns, rows))


def tsv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return the text of a BIDS table; None and NaN become `n/a`.

    Examples
    --------
    >>> tsv_text(["participant_id", "fd_mean"], [["sub-01", None]]).splitlines()[1].split()
    ['sub-01', 'n/a']
    """
    lines = ["\t".join(map(_cell, row)) for row in (columns, *rows)]
    return "\n".join(lines) + "\n"


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a table that this program wrote; return no rows if it cannot be read."""
    try:
        return read_table(path).dicts()
    except ForeignFileError:
        return []


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that this program wrote; return an empty one if it cannot be read."""
    try:
        return read_json_object(path)
    except ForeignFileError:
        return {}


def _cell(value: object) -> str:
    # NaN is the only value that differs from itself.
    if value is None or value != value:
        return "n/a"
    return _plain_cell(str(value))


@lru_cache(4096)  # the 100,000 cells of a carpet plot have a few hundred texts
def _plain_cell(text: str) -> str:
    # A tab or line break inside a cell would shift the following cells.
    return without_formula(one_line(text)) or "n/a"
