"""Panels of pages: the small file that each keeps of a run, and the figure drawn from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import FileKind
from bids_dtg.files.text import encoded, read_rows, tsv_text, write_json
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.figures import round_up
from bids_dtg.report.pages.page import link
from bids_dtg.report.pictures import PICTURE, Volume
from bids_dtg.report.quality import number

Floats = NDArray[np.float64]
if TYPE_CHECKING:
    from bids_dtg.cleaning.confounds import Confounds
    from bids_dtg.connectome.design import TemporalDesign

_MINUTE_MARKS = 12  # at most
_REM_A_LINE = 6.0


@dataclass(frozen=True, eq=False, kw_only=True)
class RunFrames:
    """A run that was measured, in any workflow."""

    design: TemporalDesign  # frames kept and columns removed
    confounds: Confounds  # what the columns came from


@dataclass(frozen=True, eq=False)
class Kept:
    """A small file of a run, ready to be written."""

    kind: FileKind  # which file it is
    content: bytes  # all of it
    sidecar: Mapping[str, Any] | None = None  # of its JSON file; None: it has none
    entities: Mapping[str, str | None] | None = None  # of its name beside the run's


@dataclass(frozen=True)
class Key:
    """A word under a figure that explains a colour."""

    colour: str  # as #rrggbb
    text: str
    line: bool = False  # whether the colour is that of a line


@dataclass(frozen=True)
class Ramp:
    """The colour scale under a figure; the texts stand at its ends."""

    low: str
    high: str
    gradient: str  # name of the page's gradient


@dataclass(frozen=True)
class Picture:
    """An image."""

    form: ClassVar[str] = "picture"
    address: str
    alt: str
    matrix: bool = False  # whether its pixels are cells, to be enlarged without smoothing


@dataclass(frozen=True)
class Layers:
    """An image, and lines on it that a button hides."""

    form: ClassVar[str] = "layers"
    below: str  # address of the image
    below_alt: str
    above: str  # address of the lines
    above_alt: str
    button: str  # what the button is called


@dataclass(frozen=True)
class Label:
    """A word beside a plot, at a part of its side."""

    text: str
    start: float  # of the side, in percent
    size: float = 0.0  # likewise; 0: it stands at the start


@dataclass(frozen=True)
class Line:
    """A line over frames, in percent of the height from the top."""

    path: str  # as SVG has it, a unit of width a frame
    frames: int
    limit: float | None = None  # where a dashed line is drawn


@dataclass(frozen=True)
class Lanes:
    """A picture or a line, with words on its rows and below it, and shaded parts of its width."""

    form: ClassVar[str] = "lanes"
    labels: tuple[Label, ...]  # of the rows
    alt: str
    address: str  # of the picture; empty: there is a line
    line: Line | None = None
    title: str = ""  # above it
    ticks: tuple[Label, ...] = ()  # below it
    dropped: tuple[Label, ...] = ()  # parts of the width that are shaded
    height: float = 0.0  # in rem; 0: as high as wide
    parts: tuple[float, ...] = ()  # where lines part groups of rows, in percent
    below: str = ""  # what the ticks are


@dataclass(frozen=True)
class Lines:
    """A chart."""

    form: ClassVar[str] = "lines"
    title: str  # above it; empty: none
    svg: str
    summary: str  # the same in words


@dataclass(frozen=True)
class Listing:
    """A table."""

    form: ClassVar[str] = "listing"
    columns: tuple[str, ...]  # headings; the first is that of the rows' names
    rows: tuple[tuple[str, ...], ...]
    summary: str = ""  # what is clicked to see it; empty: it is to be seen


@dataclass(frozen=True)
class Figure:
    """What a panel shows, under its heading."""

    pieces: tuple[Picture | Layers | Lanes | Lines | Listing, ...]
    caption: str
    keys: tuple[Key, ...] = ()
    ramp: Ramp | None = None
    columns: bool = False  # whether the pieces are laid out side by side


def over_frames(
    address: str,
    alt: str,
    labels: tuple[Label, ...],
    kept: NDArray[np.bool_],
    seconds: float,
    **more: Any,
) -> Lanes:
    """Lay out a picture with a column a frame: minutes below it, and left-out frames shaded."""
    minutes = seconds / 60
    steps = (0.5, 1, 2, 5, 10, 20, 60)
    step = next((s for s in steps if minutes / s <= _MINUTE_MARKS), 60)
    marks = np.arange(0, minutes + 1e-9, step) if minutes > 0 else ()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~kept, [False]]).astype(int)))
    each = 100 / max(len(kept), 1)
    return Lanes(
        labels,
        alt,
        address,
        ticks=tuple(Label(f"{mark:g}", 100 * float(mark) / minutes) for mark in marks),
        dropped=tuple(
            Label("", first * each, (last - first) * each) for first, last in edges.reshape(-1, 2)
        ),
        below="minutes of the run",
        **more,
    )


class Canvas:
    """Where panels put their pictures."""

    def __init__(self, dataset: DerivativeDataset, folder: Path, title: str) -> None:
        self._dataset, self._folder, self._title = dataset, folder, title
        self.files: list[Path] = []  # written

    def write(self, what: str, data: bytes) -> str:
        """Write a picture of the run; return its address from the page.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        path = self._folder / f"{self._title}_{what}{PICTURE}"
        write_atomic(self._dataset.path(path.relative_to(self._dataset.root).as_posix()), data)
        self.files.append(path)
        return link(path, self._dataset)


@dataclass(frozen=True)
class Panel:
    """A row of the table of panels."""

    name: str  # of its anchor, and of the link to it
    title: str  # its heading
    kind: FileKind  # the file that it keeps of each run
    # What it keeps of a run that was measured: `RunFrames`, or what a workflow makes of them; None
    # where a run has nothing for it.
    keep: Callable[[Any], Kept | None]
    draw: Callable[[RunFiles, Canvas], Figure | None]  # None where files are missing
    beside: bool = False  # whether it is laid out side by side with neighbours that have it, too
    also: tuple[FileKind, ...] = ()  # further files that it is drawn from, where they are


@dataclass(frozen=True)
class Section:
    """A part of a participant's page that is about no single run."""

    template: str  # its file name; the section is `section` there
    links: tuple[tuple[str, str], ...]  # anchor and text of its links at the top of the page
    facts: Mapping[str, Any]  # what the template asks for
    files: tuple[Path, ...] = ()  # written
    viewer_data: Mapping[str, Any] | None = None  # where it has maps for the viewer


def keep_all(panels: Iterable[Panel], data: RunFrames) -> tuple[Kept, ...]:
    """Let panels take what they keep of a run."""
    return tuple(kept for panel in panels if (kept := panel.keep(data)) is not None)


def write_kept(
    files: Iterable[Kept], entities: Mapping[str, str | None], output: DerivativeDataset
) -> Iterator[PurePosixPath]:
    """Write the files that panels keep of a run, and their sidecars; yield their paths.

    Parameters
    ----------
    files
        Files that `keep_all` returned.
    entities
        That name what is written about the run.
    output
        Output dataset for the files.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    for kept in files:
        named = {**entities, **(kept.entities or {})}
        path = kept.kind.path(named)
        output.write(path, kept.content)
        yield path
        if kept.sidecar is not None:
            path = path.with_name(path.name.removesuffix(kept.kind.extension) + ".json")
            write_json(output.path(path), kept.sidecar)
            yield path


def read_image(path: Path) -> Volume:
    """Read an image that a panel kept; what is not a number is 0.

    Raises
    ------
    RunError
        It is missing or damaged.
    """
    values, affine = read_volume(path)
    return Volume(np.nan_to_num(np.asarray(values, np.float32)), affine)


def grid_of(volume: Volume) -> Grid:
    """Return where the voxels of an image lie."""
    i, j, k = volume.values.shape
    return Grid((i, j, k), volume.affine)


MOTION_FILE = FileKind("timeseries", "frames", ".tsv")
_MOTION_COLUMNS = {
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


def _keep_motion(data: RunFrames) -> Kept:
    """Make a table with a row a frame."""
    columns = [
        [None] * len(data.design.keep) if values is None else [*map(_rounded, values)]
        for values in (data.confounds.fd_mm, data.confounds.std_dvars)
    ]
    rows = zip(*columns, data.design.keep.astype(int), strict=True)
    return Kept(
        MOTION_FILE,
        encoded(tsv_text(list(_MOTION_COLUMNS), rows)),
        sidecar={
            "SamplingFrequency": 1 / data.design.tr_seconds,
            "StartTime": 0,
            **_MOTION_COLUMNS,
        },
    )


def _draw_motion(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the columns that have values, over minutes."""
    rows = read_rows(path) if (path := run.files.get(MOTION_FILE)) else []
    kept = np.array([row.get("kept") == "1" for row in rows])
    seconds = len(rows) * (number(run.quality.get("repetition_time")) or 0)
    threshold = _fd_threshold(run)
    limits = {"framewise_displacement": threshold}
    lanes = [
        _over_run(title, values, kept, seconds, limits.get(column))
        for column, title in _TITLES.items()
        if np.isfinite(values := np.array([number(row.get(column)) for row in rows], float)).any()
    ]
    if not lanes:
        return None
    above = [replace(lane, ticks=(), below="") for lane in lanes[:-1]]
    return Figure((*above, lanes[-1]), _motion_caption(run, threshold))


def _over_run(
    title: str, values: Floats, kept: NDArray[np.bool_], seconds: float, limit: float | None
) -> Lanes:
    """Draw values (frames,) as a line; a single spike leaves at the top and flattens no other."""
    top = max(1.15 * float(np.nanquantile(values, 0.995)), 1.25 * (limit or 0.0), 1e-6)
    marked = limit or round_up(top / 2)
    return over_frames(
        "",
        f"{title}: median {np.nanmedian(values):.2f}, highest {np.nanmax(values):.2f}",
        (Label(f"{marked:g}", 100 * (1 - marked / top)), Label("0", 100.0)),
        kept,
        seconds,
        title=title,
        line=Line(
            _path(100 * (1 - values / top)), len(kept), 100 * (1 - limit / top) if limit else None
        ),
        height=_REM_A_LINE,
    )


def _path(heights: Floats) -> str:
    """Return a line through the middles of frames (frames,) as SVG has it, with gaps at NaN."""
    known = np.isfinite(heights)
    begins = known & ~np.concatenate([[False], known[:-1]])
    # A level stroke: a frame between gaps is a dot.
    return "".join(
        f"M{frame}.5 {height:.1f}h0" if begin else f"L{frame}.5 {height:.1f}"
        for frame, height, begin in zip(
            *(np.flatnonzero(known), heights[known], begins[known]), strict=True
        )
    )


def _fd_threshold(run: RunFiles) -> float | None:
    """Return the displacement above which frames were censored; None where none were."""
    facts = run.facts.get("Confounds")
    value = facts.get("FdThreshold") if isinstance(facts, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _motion_caption(run: RunFiles, fd_threshold: float | None) -> str:
    frames, kept = (number(run.quality.get(name)) for name in ("frames", "frames_kept"))
    text = ""
    if frames and kept is not None:
        text = f"{kept:.0f} of {frames:.0f} frames were kept; "
        text += "the shaded ones were not." if kept < frames else "none was left out."
    line = " The dashed line is the threshold of censoring." if fd_threshold else ""
    return f"Over minutes of the run. {text}{line}"


def _rounded(value: float) -> str | None:
    return f"{value:.4f}" if np.isfinite(value) else None


MOTION = Panel("motion", "Motion and censoring", MOTION_FILE, _keep_motion, _draw_motion)
