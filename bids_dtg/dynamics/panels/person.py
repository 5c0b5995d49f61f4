"""Panel of a person's parameters by a named model, and whether they can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bids_dtg.files.names import FileKind
from bids_dtg.files.text import read_json, read_rows
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.numbers import figure
from bids_dtg.report.panels.panel import Canvas, Figure, Listing
from bids_dtg.report.quality import number

FILE = FileKind("parameters", "person", ".tsv")
UNUSUAL = "UnusualStatistics"  # key of sidecars: statistics of the session, in words
BEYOND = "UnlikeSimulations"  # likewise: whether the session is unlike all simulated ones
COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "name": "Name of the parameter",
        "mean": "Mean of the posterior",
        "sd": "Standard deviation of the posterior",
        "low": "Lower end of the 90 % interval",
        "high": "Upper end of the 90 % interval",
        "trusted": "Whether simulations with known parameters say that the parameter can be "
        "trusted: it is recovered, and its intervals hold as much as they say",
        "fault": "Why it cannot be trusted; n/a where it can",
    }
)
DISTRUSTED = "no"  # in the column trusted


def draw(run: RunFiles, canvas: Canvas) -> Figure | None:
    """List the parameters of a run."""
    path = run.files.get(FILE)
    if path is None:
        return None
    rows = tuple(
        (
            row.get("name", ""),
            f"{_rounded(row, 'mean')} \N{PLUS-MINUS SIGN} {_rounded(row, 'sd')}",
            f"{_rounded(row, 'low')} to {_rounded(row, 'high')}",
            "no" if _is_marked(row) else "yes",
        )
        for row in read_rows(path)
    )
    facts = read_json(path.with_suffix(".json"))
    caption = (
        "Parameters of the person, the same for all regions: mean and standard deviation of the "
        "posterior, and its 90 % interval. Simulations with known parameters say whether each can "
        "be trusted."
    )
    if not_to_be := marked(run):
        caption += f" {not_to_be}."
    unusual = facts.get(UNUSUAL)
    if isinstance(unusual, list) and unusual:
        caption += (
            " Of this session, the following lie beyond what nearly all simulations have: "
            f"{'; '.join(map(str, unusual))}."
        )
    heads = ("Parameter", "Estimate", "90 % interval", "To be trusted")
    return Figure((Listing(heads, rows),), caption)


def marked(run: RunFiles) -> str:
    """Say in a line which parameters of a run cannot be trusted; empty: all can."""
    path = run.files.get(FILE)
    found = [] if path is None else [row for row in read_rows(path) if _is_marked(row)]
    if not found:
        return ""
    return "Not to be trusted: " + "; ".join(f"{row['name']}, {row['fault']}" for row in found)


def _is_marked(row: Mapping[str, str]) -> bool:
    return row.get("trusted") == DISTRUSTED


def _rounded(row: Mapping[str, str], name: str) -> str:
    value = number(row.get(name))
    return "n/a" if value is None else figure(value, 3)
