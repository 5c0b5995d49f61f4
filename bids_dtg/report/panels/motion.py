"""Motion and censoring: framewise displacement and DVARS over the frames, dropped ones shaded."""

from __future__ import annotations

import numpy as np

from bids_dtg.files.names import FileKind
from bids_dtg.files.text import encoded, read_rows, tsv_text
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.figures import run_chart
from bids_dtg.report.panels.panel import Canvas, Figure, Kept, Lines, RunFrames
from bids_dtg.report.quality import number

FILE = FileKind("timeseries", "frames", ".tsv")
_COLUMNS = {
    "framewise_displacement": {
        "Description": "Framewise displacement, from the table of confounds",
        "Units": "mm",
    },
    "std_dvars": {"Description": "Standardised DVARS, from the table of confounds"},
    "kept": {"Description": "1 where the frame was used, 0 where it was dropped or censored"},
}
_TITLES = {
    "framewise_displacement": "Framewise displacement (mm)",
    "std_dvars": "Standardised DVARS",
}


def keep(data: RunFrames) -> Kept:
    """Make a table with a row a frame."""
    columns = [
        [None] * len(data.kept) if values is None else [*map(_rounded, values)]
        for values in (data.fd_mm, data.std_dvars)
    ]
    rows = zip(*columns, data.kept.astype(int), strict=True)
    return Kept(
        FILE,
        encoded(tsv_text(list(_COLUMNS), rows)),
        sidecar={"SamplingFrequency": 1 / data.tr_seconds, "StartTime": 0, **_COLUMNS},
    )


def draw(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the columns that have values, over minutes."""
    rows = read_rows(path) if (path := run.files.get(FILE)) else []
    if not rows:
        return None
    kept = np.array([row.get("kept") == "1" for row in rows])
    minutes = len(rows) * (number(run.quality.get("repetition_time")) or 0) / 60
    threshold = _fd_threshold(run)
    values = {
        title: np.array([_float(row.get(column)) for row in rows])
        for column, title in _TITLES.items()
    }
    limits = {} if threshold is None else {_TITLES["framewise_displacement"]: threshold}
    chart = run_chart(values, kept, minutes, limits)
    return None if chart is None else Figure((Lines("", chart),), _caption(run, threshold))


def _fd_threshold(run: RunFiles) -> float | None:
    """Return the displacement above which frames were censored; None where none were."""
    facts = run.facts.get("Confounds")
    value = facts.get("FdThreshold") if isinstance(facts, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _caption(run: RunFiles, fd_threshold: float | None) -> str:
    frames, kept = (number(run.quality.get(name)) for name in ("frames", "frames_kept"))
    text = ""
    if frames and kept is not None:
        text = f"{kept:.0f} of {frames:.0f} frames were kept; "
        text += "the shaded ones were not." if kept < frames else "none was left out."
    line = " The dashed line is the threshold of censoring." if fd_threshold else ""
    return f"Over minutes of the run. {text}{line}"


def _rounded(value: float) -> str | None:
    return f"{value:.4f}" if np.isfinite(value) else None


def _float(text: str | None) -> float:
    value = number(text)
    return float("nan") if value is None else value
