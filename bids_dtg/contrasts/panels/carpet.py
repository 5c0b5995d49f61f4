"""Carpet panel: voxels over the frames of a run, before cleaning, with the frames left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bids_dtg.contrasts.panels.run import RunData
from bids_dtg.files.names import FileKind
from bids_dtg.files.text import encoded, read_rows, tsv_text
from bids_dtg.report.charts import minute_marks
from bids_dtg.report.colours import GREYS
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.panels import motion
from bids_dtg.report.panels.panel import Canvas, Figure, Kept, Label, Lanes, Ramp
from bids_dtg.report.parcels.series import dropped_labels
from bids_dtg.report.pictures import draw_matrix
from bids_dtg.report.quality import number

FILE = FileKind("timeseries", "carpet", ".tsv")
# How columns of the table are called, before a number: voxels of two kinds, or grayordinates.
GREY, REST, PLACE = "grey", "rest", "grayordinate"
_TITLES = {GREY: "grey matter", REST: "rest of the brain", PLACE: "grayordinates"}
_ORDER = "in the order of the ROI map that is strongest there"
_END = 2.0  # standard deviations, of the darkest and the brightest grey
_MOST = 9.9  # beyond which values are all written as this
_HEIGHT = 15.0  # rem
_RAMP = Ramp(f"\N{MINUS SIGN}{_END:g} sd", f"+{_END:g} sd", "greys")


def keep(data: RunData) -> Kept:
    """Make a table with a row a frame, or a few frames in a row, and a column a voxel."""
    carpet = data.carpet
    values = np.clip(carpet.standardised(data.kept), -_MOST, _MOST).T
    names = [
        f"{kind}{voxel:03d}"
        for kind, voxels in data.carpet_rows.items()
        for voxel in range(1, voxels + 1)
    ]
    rows = [[None if value != value else f"{value:.1f}" for value in row] for row in values]
    frames = "frame" if carpet.each == 1 else f"mean of {carpet.each} frames in a row"
    return Kept(
        FILE,
        encoded(tsv_text(names, rows)),
        sidecar={
            "Description": f"Series of single {_noun(names)}s before cleaning, a row a {frames}, "
            f"less their linear trend, in standard deviations of kept frames, up to {_MOST:g}; "
            f"n/a: no signal. {_where(names)}",
            "SamplingFrequency": 1 / (data.tr_seconds * carpet.each),
            "StartTime": 0,
            "Sources": [data.bold_uri],
        },
    )


def draw(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw a row a voxel and a column a frame; rows without signal are blank."""
    rows = read_rows(path) if (path := run.files.get(FILE)) else []
    if not rows:
        return None
    names = list(rows[0])
    cells = [[number(row.get(name)) for name in names] for row in rows]
    values = np.array([[np.nan if cell is None else cell for cell in row] for row in cells]).T
    frames = read_rows(path) if (path := run.files.get(motion.FILE)) else []
    kept = np.array([row.get("kept") == "1" for row in frames], bool)
    seconds = len(kept) * (number(run.quality.get("repetition_time")) or 0)
    first, noun = PLACE if names[0].startswith(PLACE) else GREY, _noun(names)
    share = 100 * sum(name.startswith(first) for name in names) / len(names)
    ends = {first: (0.0, share), REST: (share, 100 - share)}
    lanes = Lanes(
        labels=tuple(Label(_TITLES[kind], *at) for kind, at in ends.items() if at[1]),
        alt=f"{len(values)} {noun}s over {len(kept)} frames, {int(kept.sum())} of them kept",
        address=canvas.write("carpet", draw_matrix(values, GREYS, -_END, _END)),
        ticks=tuple(Label(text, 100 * place) for place, text in minute_marks(seconds)),
        dropped=dropped_labels(kept),
        height=_HEIGHT,
        parts=(share,) if 0 < share < 100 else (),
        below="minutes of the run",
    )
    return Figure((lanes,), _caption(names, kept), ramp=_RAMP)


def _noun(names: Sequence[str]) -> str:
    return PLACE if names[0].startswith(PLACE) else "voxel"


def _where(names: Sequence[str]) -> str:
    if _noun(names) == PLACE:
        return f"Columns {PLACE}001, ... lie evenly over the file, {_ORDER}"
    return (
        f"Columns {GREY}001, ... lie evenly over the model's grey matter, {_ORDER}; columns "
        f"{REST}001, ... evenly over the rest of its brain"
    )


def _caption(names: Sequence[str], kept: np.ndarray) -> str:
    left, noun = len(kept) - int(kept.sum()), _noun(names)
    what = "they are" if noun == PLACE else "grey matter is"
    return (
        f"{len(names)} {noun}s of the run before cleaning, a row each, less their linear trend; "
        f"{what} in the order of the model's ROI maps. Vertical stripes are moments that the "
        "whole brain shares, as of motion or breath"
        + (f"; {left} of {len(kept)} frames were left out and are shaded." if left else ".")
    )
