"""What pages show of the parcels of an atlas: their series, coverage and matrices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError
from bids_dtg.files.foreign import Table, read_table
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions import SERIES, RegionMatrix, RegionSeries, read_relmat, read_series
from bids_dtg.inputs.regions.cortex import hemisphere
from bids_dtg.notices import counted
from bids_dtg.report.colours import GREYS, Scale
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.panels import (
    Canvas,
    Figure,
    Kept,
    Label,
    Lanes,
    Listing,
    Panel,
    Ramp,
    RunFrames,
    over_frames,
)
from bids_dtg.report.pictures import draw_matrix
from bids_dtg.report.quality import number

Floats = NDArray[np.float64]


def no_file(data: RunFrames) -> Kept | None:
    """Keep nothing: what such a panel shows is a result, which lies in the output anyway."""
    return None


def series_of(run: RunFiles) -> RegionSeries | None:
    """Read the series of a run; None where none can be read."""
    try:
        return read_series(path) if (path := run.files.get(SERIES)) else None
    except ForeignFileError:
        return None


def matrix_of(run: RunFiles, kind: FileKind) -> RegionMatrix | None:
    """Read a matrix of a run; None where none can be read."""
    try:
        return read_relmat(path) if (path := run.files.get(kind)) else None
    except ForeignFileError:
        return None


def read_cells(path: Path | None) -> Table | None:
    """Read a table as text; None where none can be read."""
    try:
        return None if path is None else read_table(path)
    except ForeignFileError:
        return None


# As Schaefer's parcels are named: 7Networks_LH_SomMot_3, LH_Cont_Par_1.
_NETWORK = re.compile(r"(?:^|_)(?:LH|RH)_([A-Za-z]+)")
# Of Yeo's seven networks, in their order; names of other networks are shown as they are.
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
OTHER = "Other"


@dataclass(frozen=True, eq=False)
class Arrangement:
    """How regions are drawn."""

    order: NDArray[np.intp]  # (regions,), which region stands at each place
    labels: tuple[Label, ...]  # of the groups
    words: str  # what the groups are; empty: there are none

    @property
    def parts(self) -> tuple[float, ...]:
        """Where one group ends and the next begins, in percent."""
        return tuple(label.start for label in self.labels[1:])


def arrange(names: Sequence[str]) -> Arrangement:
    """Put regions in order by what their names say: network, else hemisphere, else as they are.

    Parameters
    ----------
    names
        A name for each row of the matrix or table, in its order.

    Examples
    --------
    >>> found = arrange(["LH_Default_1", "LH_Vis_1", "RH_Vis_1"])
    >>> found.order, [(label.text, round(label.size)) for label in found.labels]
    (array([1, 2, 0]), [('Visual', 67), ('Default mode', 33)])
    >>> arrange(["ctx-lh-insula", "ctx-rh-insula"]).words
    'hemisphere'
    """
    networks = [found.group(1) if (found := _NETWORK.search(name)) else "" for name in names]
    if sum(map(bool, networks)) > len(names) / 2:
        ranks = [*_SEVEN, *sorted({*networks} - {*_SEVEN, ""}), ""]
        groups = [_SEVEN.get(network, network) or OTHER for network in networks]
        return _arranged(groups, [ranks.index(network) for network in networks], "network")
    sides = [hemisphere(name) for name in names]
    if len({*sides} - {""}) < 2:
        return Arrangement(np.arange(len(names)), (), "")
    ranks = [*_SIDES]
    return _arranged(
        [_SIDES[side] for side in sides], [ranks.index(side) for side in sides], "hemisphere"
    )


def _arranged(groups: Sequence[str], ranks: Sequence[int], words: str) -> Arrangement:
    order = np.argsort(ranks, kind="stable")
    labels, start = [], 0
    for text, members in groupby(groups[region] for region in order):
        size = len([*members])
        labels.append(Label(text, 100 * start / len(groups), 100 * size / len(groups)))
        start += size
    return Arrangement(order, tuple(labels), words)


def draw_between(
    values: Floats,
    arranged: Arrangement,
    canvas: Canvas,
    names: tuple[str, str],
    scale: tuple[Scale, float, float],
) -> Lanes:
    """Draw a value between each two parcels.

    Parameters
    ----------
    values
        (parcels, parcels), in the order of the atlas; NaN is blank.
    arranged
        In what order they are drawn.
    canvas
        Canvas of the page: it keeps the picture.
    names
        Of the picture's file, and of what is drawn, for those who cannot see it.
    scale
        Colours, and the values at their ends.
    """
    ordered = values[np.ix_(arranged.order, arranged.order)]
    file, words = names
    picture = canvas.write(file, draw_matrix(ordered, *scale))
    words = f"{words} of {len(values)} parcels"
    return Lanes(arranged.labels, words, picture, parts=arranged.parts)


def in_order(arranged: Arrangement) -> str:
    """Say in what order parcels are drawn, after a comma.

    Examples
    --------
    >>> from bids_dtg.report.parcels import arrange
    >>> in_order(arrange(["LH_Vis_1", "RH_Vis_1"])), in_order(arrange(["a", "b"]))
    (', by network', ', in the order of the atlas')
    """
    return f", by {arranged.words}" if arranged.words else ", in the order of the atlas"


Values = NDArray[np.float32]
_END = 2.0  # standard deviations, of the darkest and the brightest grey
_LOWEST, _HIGHEST, _REM_A_PARCEL = 14.0, 26.0, 0.2  # rem


def _draw_series(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw a row a parcel and a column a frame; what is not known is blank."""
    found = series_of(run)
    if found is None:
        return None
    arranged, kept = arrange(found.names), found.keep
    values = found.values[arranged.order]  # parcels frames
    picture = draw_matrix(values, GREYS, -_END, _END)
    seconds = len(kept) * (number(run.quality.get("repetition_time")) or 0)
    lanes = over_frames(
        canvas.write("series", picture),
        f"Series of {len(values)} parcels over {len(kept)} frames, {kept.sum()} of them kept",
        *(arranged.labels, kept, seconds),
        height=float(np.clip(_REM_A_PARCEL * len(values), _LOWEST, _HIGHEST)),
        parts=arranged.parts,
    )
    return Figure((lanes,), _series_caption(values, kept, arranged.words), ramp=_RAMP)


_RAMP = Ramp(f"\N{MINUS SIGN}{_END:g} sd", f"+{_END:g} sd", "greys")


def _series_caption(values: Values, kept: NDArray[np.bool_], by: str) -> str:
    text = "The cleaned series of each parcel, a row a parcel"
    text += f", by {by}" if by else ", in the order of the atlas"
    left = len(kept) - int(kept.sum())
    text += f"; {left} of {len(kept)} frames were left out and are shaded." if left else "."
    without = int((~np.isfinite(values).any(axis=1)).sum())
    return text + (f" {counted(without, 'parcel')} without a series: blank." if without else "")


COVERAGE_FILE = FileKind("bold", None, ".tsv")
_WORST = 10  # parcels that are listed


def _draw_coverage(run: RunFiles, canvas: Canvas) -> Figure | None:
    """List the parcels that have least signal."""
    found = read_coverage(run)
    if not found:
        return None
    worst = [item for item in sorted(found.items(), key=lambda item: item[1]) if item[1] < 1]
    rows = tuple((name, f"{share:.0%}") for name, share in worst[:_WORST])
    listed = Listing(("Parcels with least signal", "Voxels with signal"), rows)
    return Figure((listed,), _coverage_caption(np.array([*found.values()]), read_lost(run)))


def read_coverage(run: RunFiles) -> dict[str, float]:
    """Read how much of each parcel has signal, by name; nothing where it is not known."""
    table = read_cells(run.files.get(COVERAGE_FILE))
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


def _coverage_caption(shares: Floats, lost: tuple[str, ...]) -> str:
    whole = int((shares >= 1).sum())
    text = f"Share of each parcel's voxels that have signal: {shares.mean():.1%} on average; "
    text += f"{whole} of {len(shares)} parcels have it in all voxels."
    if lost:
        text += f" {counted(len(lost), 'parcel')} without a series, for want of signal."
    return text


CARPET = Panel("series", "Series of the parcels", SERIES, no_file, _draw_series)
COVERAGE = Panel("coverage", "Coverage of the parcels", COVERAGE_FILE, no_file, _draw_coverage)
