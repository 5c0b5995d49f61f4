"""Parameters panel: those of each region with their spread, and the first one in the brain."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bids_dtg.files.names import FileKind
from bids_dtg.files.text import read_json
from bids_dtg.notices import counted
from bids_dtg.report.charts import nice
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.numbers import figure
from bids_dtg.report.panels.panel import (
    Canvas,
    Figure,
    Label,
    Lanes,
    Listing,
    Picture,
    Plot,
    grid_of,
    read_image,
)
from bids_dtg.report.parcels.files import Floats, read_cells
from bids_dtg.report.parcels.regions import Arrangement, arrange, row_labels
from bids_dtg.report.pictures import MAP_VIEWS, Backdrop, encode
from bids_dtg.report.quality import number
from bids_dtg.report.slices import Box

FILE = FileKind("parameters", "dynamics", ".tsv")
FAULTS = "NotTrusted"  # key of sidecars: why parameters cannot be trusted, by their names
FIRST_MAP = FileKind("dynamics", "theta1", ".nii.gz")
_THETA = "\N{GREEK SMALL LETTER THETA}"
_NAME = re.compile(r"theta(\d+)")
_MOST_NAMED = 100  # with more regions, rows do not carry their names
_NAMED_REM, _ROW_REM, _LOWEST, _HIGHEST = 0.95, 0.14, 14.0, 60.0  # heights
_BRIGHTEST = 2.0  # of the picture: sds of the prior


@dataclass(frozen=True, eq=False)
class Parameters:
    """The table of regional parameters."""

    names: tuple[str, ...]  # of the regions
    numbers: tuple[int, ...]  # of the parameters
    mean: Floats  # (regions, parameters); NaN where n/a
    sd: Floats  # likewise
    faults: Mapping[str, str]  # why parameters cannot be trusted, by their names

    def title(self, column: int) -> str:
        """Name a parameter, and mark it where it cannot be trusted."""
        number = self.numbers[column]
        distrusted = f"theta{number}" in self.faults
        return f"{_THETA}{number}{' (not trusted)' if distrusted else ''}"


def read_parameters(run: RunFiles) -> Parameters | None:
    """Read the table of a run; None if there is none that can be read."""
    table = read_cells(run.files.get(FILE))
    if table is None or not table.rows or "name" not in table.header:
        return None
    columns = {name: column for column, name in enumerate(table.header)}
    found = [int(match.group(1)) for name in columns if (match := _NAME.fullmatch(name))]

    def values(ending: str) -> Floats:
        cells = [columns.get(f"theta{parameter}{ending}") for parameter in found]
        rows = [[None if at is None else number(row[at]) for at in cells] for row in table.rows]
        return np.array([[np.nan if cell is None else cell for cell in row] for row in rows])

    names = tuple(row[columns["name"]] for row in table.rows)
    if not found:
        return None
    return Parameters(names, tuple(found), values(""), values("_sd"), _faults(run))


def _faults(run: RunFiles) -> dict[str, str]:
    faults = read_json(run.files[FILE].with_suffix(".json")).get(FAULTS)
    return {str(k): str(v) for k, v in faults.items()} if isinstance(faults, dict) else {}


def marked(run: RunFiles) -> str:
    """Say in a line which parameters of a run cannot be trusted; empty: all can."""
    found = _faults(run) if FILE in run.files else {}
    if not found:
        return ""
    each = (f"{name.replace('theta', _THETA)}, {fault}" for name, fault in found.items())
    return f"Not to be trusted: {'; '.join(each)}"


def draw(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw a column a parameter and a row a region, list all, and show the first in the brain.

    Raises
    ------
    RunError
        The map cannot be read.
    """
    found = read_parameters(run)
    if found is None:
        return None
    arranged, regions = arrange(found.names), len(found.names)
    end = _end(found)
    named = regions <= _MOST_NAMED
    height = (_NAMED_REM if named else _ROW_REM) * regions
    lanes = Lanes(
        row_labels(found.names, arranged) if named else arranged.labels,
        tuple(_plot(found, column, arranged, end) for column in range(len(found.numbers))),
        float(np.clip(height, _LOWEST, _HIGHEST)),
        parts=arranged.parts,
    )
    picture = _in_brain(run, canvas)
    shown = (picture,) if picture else ()
    pieces = (lanes, _listing(found, arranged), *shown)
    return Figure(pieces, _caption(found, arranged, canvas if picture else None))


def _caption(found: Parameters, arranged: Arrangement, canvas: Canvas | None) -> str:
    by = f", by {arranged.words}" if arranged.words else ""
    text = (
        f"{counted(len(found.numbers), 'parameter')} of each of {len(found.names)} regions{by}: "
        "mean of the posterior, and a line of one standard deviation to both sides. They are "
        "estimates, without units; before any data each is 0 with a standard deviation of 1."
    )
    if found.faults:
        text += (
            " Simulations with known parameters say whether each can be trusted: not those that "
            "are marked."
        )
    if canvas is None:
        return text
    return (
        f"{text} In the brain: the mean of {_THETA}1 of each parcel, warm above 0 and cold below, "
        f"brightest from \N{PLUS-MINUS SIGN}{_BRIGHTEST:g}. Behind it: "
        f"{canvas.background.words}."
    )


def _end(found: Parameters) -> float:
    """Return the end of the axis, the same on both sides and for all parameters."""
    reach = np.abs(found.mean) + np.nan_to_num(found.sd)
    return nice(float(np.nanmax(reach, initial=0.1)))


def _plot(found: Parameters, column: int, arranged: Arrangement, end: float) -> Plot:
    mean, sd = found.mean[arranged.order, column], found.sd[arranged.order, column]
    y = 1000 * (np.arange(len(mean)) + 0.5) / len(mean)
    x = 500 * (1 + mean / end)
    reach = 500 * np.nan_to_num(sd) / end
    known = np.flatnonzero(np.isfinite(x))
    theta = f"{_THETA}{found.numbers[column]}"
    marks = (-end / 2, 0.0, end / 2)
    return Plot(
        title=found.title(column),
        bars="".join(f"M{x[i] - reach[i]:.0f} {y[i]:.1f}H{x[i] + reach[i]:.0f}" for i in known),
        points="".join(f"M{x[i]:.0f} {y[i]:.1f}h0" for i in known),
        zero=50.0,
        ticks=tuple(
            Label(f"{mark:g}".replace("-", "\N{MINUS SIGN}"), 50 * (1 + mark / end))
            for mark in marks
        ),
        alt=f"{theta} of {len(mean)} regions: {_range(mean)}",
    )


def _range(mean: Floats) -> str:
    known = mean[np.isfinite(mean)]
    if not known.size:
        return "not known"
    return f"{figure(float(known.min()), 2)} to {figure(float(known.max()), 2)}"


def _listing(found: Parameters, arranged: Arrangement) -> Listing:
    def cell(region: int, column: int) -> str:
        mean, sd = found.mean[region, column], found.sd[region, column]
        spread = f" \N{PLUS-MINUS SIGN} {figure(float(sd), 2)}" if np.isfinite(sd) else ""
        return f"{figure(float(mean), 2)}{spread}"

    return Listing(
        ("Region", *(found.title(column) for column in range(len(found.numbers)))),
        tuple(
            (found.names[region], *(cell(region, column) for column in range(len(found.numbers))))
            for region in arranged.order
        ),
        summary=f"All {len(found.names)} regions",
    )


def _in_brain(run: RunFiles, canvas: Canvas) -> Picture | None:
    path = run.files.get(FIRST_MAP)
    if path is None:
        return None
    volume = read_image(path)
    backdrop = Backdrop(canvas.background, Box.around(grid_of(volume)), MAP_VIEWS)
    pixels = encode(backdrop.draw_map(volume, _BRIGHTEST))
    return Picture(canvas.write("theta1", pixels), "The first parameter in the brain")
