"""The quality table of a run: the columns of all workflows, and reading it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bids_dtg.connectome.quality import read_metrics
from bids_dtg.files.names import FileKind
from bids_dtg.files.text import read_rows

FILE = FileKind("qc", None, ".tsv")
_TABLES = read_metrics(__package__)
# The columns of every workflow, before and after those of one, and those of workflows on parcels.
FIRST = _TABLES["first"]
PARCELS = _TABLES["parcels"]
LAST = _TABLES["last"]
METRICS = {metric.name: metric for metric in FIRST}


def read_quality(path: Path) -> Mapping[str, str]:
    """Read the quality metrics of a run, by column; empty if they cannot be read."""
    rows = read_rows(path)
    return rows[0] if rows else {}


def number(text: str | None) -> float | None:
    """Read a number from a cell of a table; None for n/a and other text.

    Examples
    --------
    >>> number("0.25"), number("n/a")
    (0.25, None)
    """
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value == value else None
