"""Panel of forecasts: how well frames of a run follow from those before them."""

from __future__ import annotations

from bids_dtg.files.names import FileKind
from bids_dtg.files.text import read_rows
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.numbers import figure
from bids_dtg.report.panels.panel import Canvas, Figure, Listing
from bids_dtg.report.quality import number

FILE = FileKind("qc", "forecasts", ".tsv")


def draw(run: RunFiles, canvas: Canvas) -> Figure | None:
    """List the forecasts of a run."""
    path = run.files.get(FILE)
    if path is None:
        return None
    rows = read_rows(path)
    listed = tuple(
        (f"{row.get('frames', '')} ({row.get('seconds', '')} s)", *map(_rounded, _shares(row)))
        for row in rows
    )
    caption = (
        "Share of the variance of frames of the second half that follows from the frames before "
        "them (R\N{SUPERSCRIPT TWO}), by the process of the first half, and by the training "
        "people's."
    )
    own, group = map(number, _shares(rows[0])) if rows else (None, None)
    if own is not None and group is not None and own <= group:
        caption += " The person's own process predicts no better than the training people's."
    return Figure((Listing(("Frames ahead", "Own process", "Training people's"), listed),), caption)


def _shares(row: dict[str, str]) -> tuple[str | None, str | None]:
    return row.get("r2"), row.get("r2_group")


def _rounded(cell: str | None) -> str:
    value = number(cell)
    return "not known" if value is None else figure(value, 2)
