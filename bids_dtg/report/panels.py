"""Panels of runs that workflows share: motion, series and coverage of parcels, matrices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bids_dtg.array_types import Float64, Floats, Indices, Mask
from bids_dtg.errors import ForeignFileError
from bids_dtg.files.foreign import read_table
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions import SERIES, read_series
from bids_dtg.files.text import encoded, read_rows, tsv_text
from bids_dtg.inputs.cortex import hemisphere
from bids_dtg.notices import counted
from bids_dtg.report.contents import ParticipantFiles, RunFiles
from bids_dtg.report.figures import Figure, Lanes, Span, round_up
from bids_dtg.report.flags import Flag
from bids_dtg.report.pictures import GREYS, Scale, draw_matrix
from bids_dtg.report.presentation import Canvas, Panel, PanelFile
from bids_dtg.report.quality import METRICS, number
from bids_dtg.report.tables import MINUS, Table

Content = TypeVar("Content")
_MINUTE_MARKS = 12  # at most
_REM_A_LINE = 6.0
_END = 2.0  # the greys of series range over this number of standard deviations on either side of 0
SERIES_SCALE = (f"{MINUS}{_END:g} sd", f"+{_END:g} sd", GREYS.css)
# Height of the series of parcels.
_REM_A_PARCEL = 0.2
_LEAST_REM, _MOST_REM = 14.0, 26.0
_WORST, _NAMED = 10, 5  # number of parcels that are listed, and named in a flag


def read_run_file(
    run: RunFiles, kind: FileKind, reader: Callable[[Path], Content]
) -> Content | None:
    """Read a file of a run; None where it is absent or damaged."""
    try:
        return reader(run.files[kind])
    except (KeyError, ForeignFileError):
        return None


def read_run_rows(run: RunFiles, kind: FileKind) -> list[dict[str, str]]:
    """Read a table of a run as rows; none if it is absent or damaged."""
    path = run.files.get(kind)
    return read_rows(path) if path else []


def kept_frames(run: RunFiles) -> Mask:
    """Return which frames of a run were kept, (frames,), from its table of frames."""
    rows = read_run_rows(run, MOTION_FILE)
    return np.array([row.get("kept") == "1" for row in rows], bool)


def over_frames(run: RunFiles, used: Mask) -> dict[str, Any]:
    """Return fields of `Lanes` over frames: minutes below, and shading of left-out frames.

    `used` (frames,) is true for frames that were not left out.
    """
    minutes = len(used) * (run.metric("repetition_time") or 0) / 60
    step = next((s for s in (0.5, 1, 2, 5, 10, 20) if minutes / s <= _MINUTE_MARKS), 60)
    marks = np.arange(0, minutes + 1e-9, step) if minutes > 0 else ()
    left_out = np.concatenate([[False], ~used, [False]]).astype(int)
    edges = np.flatnonzero(np.diff(left_out))
    percent = 100 / max(len(used), 1)  # of a frame
    return {
        "ticks": [(f"{mark:g}", 100 * float(mark) / minutes, 0.0) for mark in marks],
        "below": "minutes of the run",
        "dropped": [
            ("", first * percent, (last - first) * percent)
            for first, last in edges.reshape(-1, 2)
        ],
    }


def below_each_other(lanes: Sequence[Lanes], run: RunFiles, used: Mask) -> list[Lanes]:
    """Return lanes over the same frames as parts of a figure, with minutes below the last one."""
    frames = over_frames(run, used)
    shaded = [replace(lane, dropped=frames["dropped"]) for lane in lanes]
    return [*shaded[:-1], replace(lanes[-1], **frames)]


def draw_series(values: Floats) -> bytes:
    """Draw standardised series, one row each and one column per frame; NaN is left blank."""
    return draw_matrix(values, GREYS, -_END, _END)


MOTION_FILE = FileKind("timeseries", "frames", ".tsv")
_MOTION_COLUMNS = {
    "framewise_displacement": {
        "Description": "Framewise displacement, from the confounds table",
        "Units": "mm",
    },
    "std_dvars": {"Description": "Standardised DVARS, from the confounds table"},
    "kept": {
        "Description": "1 where the frame was used, 0 where it was dropped or censored"
    },
}
_MOTION_BY_XCPD = {
    "Description": "Framewise displacement, from XCP-D's table of motion; filtered if XCP-D "
    "censored by filtered motion",
    "Units": "mm",
}
_TITLES = {
    "framewise_displacement": "Framewise displacement (mm)",
    "std_dvars": "Standardised DVARS",
}


def _motion_file(data: Any) -> PanelFile:
    """Make the table of a run's frames, from its `design` and `confounds`."""
    frames = len(data.design.keep)
    displacement = _cells(data.confounds.fd_mm, frames)
    dvars = _cells(data.confounds.std_dvars, frames)
    rows = zip(displacement, dvars, data.design.keep.astype(int), strict=True)
    rate = {"SamplingFrequency": 1 / data.design.tr_seconds, "StartTime": 0}
    content = encoded(tsv_text(list(_MOTION_COLUMNS), rows))
    sidecar: dict[str, Any] = {**rate, **_MOTION_COLUMNS}
    if data.confounds.measured_fd_mm is not None:
        sidecar["framewise_displacement"] = _MOTION_BY_XCPD
    return PanelFile(MOTION_FILE, content, sidecar=sidecar)


def _cells(values: Float64 | None, frames: int) -> list[str | None]:
    """Write a column of the table of frames; None where values are absent or NaN."""
    if values is None:
        return [None] * frames
    return [f"{value:.4f}" if np.isfinite(value) else None for value in values]


def _draw_motion(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the columns that have values, over the minutes of the run."""
    rows = read_run_rows(run, MOTION_FILE)
    censored = run.facts.get("Confounds", {}).get("FdThreshold")
    limit = censored or METRICS["fd_mean"].unusual
    lanes = []
    for column, title in _TITLES.items():
        values = np.array([number(row.get(column)) for row in rows], float)
        dashed = limit if column == "framewise_displacement" else None
        if np.isfinite(values).any():
            lanes.append(_over_run(title, values, dashed))
    if not lanes:
        return None
    frames = run.metric("frames")
    frames_kept = run.metric("frames_kept")
    text = "Over the minutes of the run. "
    if frames and frames_kept is not None:
        text += f"{frames_kept:.0f} of {frames:.0f} frames were kept; "
        all_kept = frames_kept >= frames
        text += "none was left out." if all_kept else "the shaded ones were not."
    meaning = "the censoring threshold"
    if not censored:
        meaning = "above which a run's mean is flagged"
    text += f" Dashed: {limit:g} mm, {meaning}."
    return Figure(caption=text, parts=below_each_other(lanes, run, kept_frames(run)))


def _over_run(title: str, values: Float64, limit: float | None) -> Lanes:
    """Draw values (frames,) as a line; single spikes are cut off at the top."""
    top = max(1.15 * float(np.nanquantile(values, 0.995)), 1.25 * (limit or 0.0), 1e-6)
    marked = limit or round_up(top / 2)
    heights = 100 * (1 - values / top)
    # NaN leaves a gap; the zero-length stroke draws a frame between gaps as a dot.
    begins = np.isnan(np.concatenate([[np.nan], heights[:-1]]))
    line = "".join(
        f"M{frame}.5 {height:.1f}h0" if begins[frame] else f"L{frame}.5 {height:.1f}"
        for frame, height in enumerate(heights)
        if np.isfinite(height)
    )
    return Lanes(
        words=f"{title}: median {np.nanmedian(values):.2f}, highest {np.nanmax(values):.2f}",
        rows=[(f"{marked:g}", 100 * (1 - marked / top), 0.0), ("0", 100.0, 0.0)],
        title=title,
        line=(line, len(values), 100 * (1 - limit / top) if limit else None),
        height=_REM_A_LINE,
    )


MOTION = Panel("Motion and censoring", MOTION_FILE, _draw_motion, _motion_file)

# The network in names of Schaefer's parcels, e.g. 7Networks_LH_SomMot_3, LH_Cont_Par_1.
_NETWORK = re.compile(r"(?:^|_)(?:LH|RH)_([A-Za-z]+)")
# Yeo's seven networks, in their order; names of other networks are shown as they are.
_SEVEN = {
    "Vis": "Visual",
    "SomMot": "Somatomotor",
    "DorsAttn": "Dorsal attention",
    "SalVentAttn": "Ventral attention",
    "Limbic": "Limbic",
    "Cont": "Control",
    "Default": "Default mode",
}
_SIDES = {"left": "Left", "right": "Right", "": "Other"}


def arrange(names: Sequence[str]) -> tuple[Indices, list[Span], str]:
    """Order regions by the network in their names, else by hemisphere, else as in the atlas.

    Parameters
    ----------
    names
        Names of the rows of the matrix or table, in its order.

    Returns
    -------
    order
        (regions,), indices of the regions in the new order.
    rows
        The groups: names, and ranges in percent.
    by
        The order in words, after a comma.

    Examples
    --------
    >>> order, rows, by = arrange(["LH_Default_1", "LH_Vis_1", "RH_Vis_1"])
    >>> order, [(text, round(size)) for text, start, size in rows], by
    (array([1, 2, 0]), [('Visual', 67), ('Default mode', 33)], ', by network')
    >>> arrange(["ctx-lh-insula", "ctx-rh-insula"])[2], arrange(["a", "b"])[2]
    (', by hemisphere', ', in the order of the atlas')
    """
    matches = [_NETWORK.search(name) for name in names]
    groups = [match.group(1) if match else "" for match in matches]
    words = {**_SEVEN, "": "Other"}
    ranks = [*_SEVEN, *sorted({*groups} - {*words}), ""]
    by = ", by network"
    if sum(map(bool, groups)) <= len(names) / 2:
        groups = [hemisphere(name) for name in names]
        words = _SIDES
        ranks = [*_SIDES]
        by = ", by hemisphere"
        if len({*groups} - {""}) < 2:
            return np.arange(len(names)), [], ", in the order of the atlas"
    order = np.argsort([ranks.index(group) for group in groups], kind="stable")
    rows: list[Span] = []
    start = 0.0
    percent = 100 / len(names)
    for group, members in groupby(groups[region] for region in order):
        size = percent * len([*members])
        rows.append((words.get(group, group), start, size))
        start += size
    return order, rows, by


def draw_parcel_matrix(
    values: Float64,
    names: Sequence[str],
    canvas: Canvas,
    words: tuple[str, str],
    scale: tuple[Scale, float, float],
) -> Lanes:
    """Draw a matrix between parcels, in the order of `arrange`.

    Parameters
    ----------
    values
        (parcels, parcels), in the order of the atlas; NaN is left blank.
    names
        Names of the parcels.
    canvas
        Writes the picture.
    words
        Name of the picture's file, and alternative text.
    scale
        Colours, and the values at their ends.
    """
    order, rows, _ = arrange(names)
    file, what = words
    picture = canvas(file, draw_matrix(values[np.ix_(order, order)], *scale))
    return Lanes(words=f"{what} of {len(values)} parcels", rows=rows, content=picture)


def _draw_series_of_parcels(run: RunFiles, canvas: Canvas) -> Figure | None:
    series = read_run_file(run, SERIES, read_series)
    if series is None:
        return None
    order, rows, by = arrange(series.names)
    values = series.values[order]  # (parcels, frames)
    frames, frames_kept = len(series.keep), int(series.keep.sum())
    lanes = Lanes(
        words=f"Series of {len(values)} parcels over {frames} frames, {frames_kept} of them kept",
        rows=rows,
        content=canvas("series", draw_series(values)),
        height=float(np.clip(_REM_A_PARCEL * len(values), _LEAST_REM, _MOST_REM)),
        **over_frames(run, series.keep),
    )
    text = f"The cleaned series of each parcel, one row per parcel{by}"
    if frames > frames_kept:
        left_out = frames - frames_kept
        text += f"; {left_out} of {frames} frames were left out and are shaded"
    text += "."
    if without := int((~np.isfinite(values).any(axis=1)).sum()):
        text += f" Blank: {counted(without, 'parcel')} without a series."
    return Figure(caption=text, parts=[lanes], scale=SERIES_SCALE)


COVERAGE_FILE = FileKind("bold", None, ".tsv")


def _draw_coverage(run: RunFiles, canvas: Canvas) -> Figure | None:
    """List the parcels with the least signal."""
    table = read_run_file(run, COVERAGE_FILE, read_table)
    if table is None or table.short or len(table.rows) != 1:
        return None
    cells = zip(table.header, map(number, table.rows[0]), strict=True)
    ranked = sorted((share, name) for name, share in cells if share is not None)
    if not ranked:
        return None
    worst = [(name, _percentage(share)) for share, name in ranked[:_WORST] if share < 1]
    shares = np.array([share for share, _ in ranked])
    mean = _percentage(float(shares.mean()))
    text = f"Share of each parcel's voxels that have signal: {mean} on average; "
    text += f"{(shares >= 1).sum()} of {len(shares)} parcels have it in all voxels."
    if lost := lost_parcels(run):
        text += f" Without a series, for lack of signal: {counted(lost, 'parcel')}."
    table_of_worst = Table(
        "", ("Parcels with least signal", "Voxels with signal"), worst
    )
    return Figure(caption=text, parts=[table_of_worst] if worst else [])


def _percentage(share: float) -> str:
    """Return a share as text that reads 100 % only for all, and 0 % only for nothing.

    Examples
    --------
    >>> [_percentage(share) for share in (1.0, 0.9996, 0.998, 0.0002, 0.0)]
    ['100.0%', '>99.9%', '99.8%', '<0.1%', '0.0%']
    """
    text = f"{share:.1%}"
    if share < 1 and text == "100.0%":
        return ">99.9%"
    return "<0.1%" if share > 0 and text == "0.0%" else text


def lost_parcels(run: RunFiles) -> tuple[str, ...]:
    """Return the names of a run's parcels that have no series."""
    series = read_run_file(run, SERIES, read_series)
    if series is None:
        return ()
    return tuple(
        name
        for name, present in zip(series.names, series.present, strict=True)
        if not present
    )


def notes_on_lost(run: RunFiles) -> Iterator[Flag]:
    """Yield a warning that names the parcels of a run without a series, if there are any."""
    if lost := lost_parcels(run):
        named = ", ".join(lost[:_NAMED])
        if len(lost) > _NAMED:
            named += f" and {len(lost) - _NAMED} more"
        text = (
            f"{counted(lost, 'parcel')} without a series, for lack of signal: {named}"
        )
        yield Flag("warning", text, run.title)


def parcels_in_words(files: ParticipantFiles) -> str:
    """Return the number of parcels of a participant's runs, in words."""
    for run in files.runs:
        if parcels := run.metric("parcels"):
            return counted(int(parcels), "parcel")
    return "parcels"


CARPET = Panel("Series of the parcels", SERIES, _draw_series_of_parcels)
COVERAGE = Panel("Coverage of the parcels", COVERAGE_FILE, _draw_coverage)
