"""Coverage: how much of each parcel has signal, and which parcels have least."""

from __future__ import annotations

import numpy as np

from bids_dtg.files.names import FileKind
from bids_dtg.notices import counted
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.figures import histogram
from bids_dtg.report.panels.panel import Canvas, Figure, Lines, Listing
from bids_dtg.report.parcels.files import Floats, read_cells, series_of
from bids_dtg.report.quality import number

FILE = FileKind("bold", None, ".tsv")
_WORST = 10  # parcels that are listed


def draw(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the distribution over parcels, and list those that have least signal."""
    found = read_coverage(run)
    if not found:
        return None
    shares = np.array([*found.values()])
    text = _caption(shares, read_lost(run))
    worst = [item for item in sorted(found.items(), key=lambda item: item[1]) if item[1] < 1]
    rows = tuple((name, f"{share:.0%}") for name, share in worst[:_WORST])
    words = f"Coverage of parcels, median {np.median(shares):.0%}"
    chart = histogram(shares, 0.0, 1.0, words)
    drawn = (Lines("", chart),) if chart else ()
    if not rows:
        return Figure(drawn, text) if drawn else None
    listed = Listing(("Parcels with least signal", "Voxels with signal"), rows)
    return Figure((*drawn, listed), text, columns=True)


def read_coverage(run: RunFiles) -> dict[str, float]:
    """Read how much of each parcel has signal, by name; nothing where it is not known."""
    table = read_cells(run.files.get(FILE))
    if table is None or table.short or len(table.rows) != 1:
        return {}
    cells = zip(table.header, table.rows[0], strict=True)
    return {name: value for name, text in cells if (value := number(text)) is not None}


def read_lost(run: RunFiles) -> tuple[str, ...]:
    """Return the names of the parcels that have no series."""
    found = series_of(run)
    if found is None:
        return ()
    return tuple(name for name, known in zip(found.names, found.present, strict=True) if not known)


def _caption(shares: Floats, lost: tuple[str, ...]) -> str:
    whole = int((shares >= 1).sum())
    text = f"Share of each parcel's voxels that have signal: {shares.mean():.1%} on average; "
    text += f"{whole} of {len(shares)} parcels have it in all voxels."
    if lost:
        text += f" {counted(len(lost), 'parcel')} without a series, for want of signal."
    return text
