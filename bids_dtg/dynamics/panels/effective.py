"""Panel of effective connectivity: what follows from each region a frame later."""

from __future__ import annotations

import numpy as np

from bids_dtg.files.names import FileKind
from bids_dtg.report.colours import SIGNED
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.numbers import figure
from bids_dtg.report.panels.panel import Canvas, Figure, Ramp
from bids_dtg.report.parcels.files import matrix_of
from bids_dtg.report.parcels.matrix import draw_between, in_order
from bids_dtg.report.parcels.regions import arrange

CAUTION = (
    "One entry is mostly that of the training people, to which it is shrunk: nothing is to be "
    "claimed of a single one"
)
_SHOWN = 0.99  # quantile of the entries' sizes at the end of the colour scale


def lag(frames: int) -> FileKind:
    """Return the file of effects so many frames later."""
    return FileKind("relmat", f"lag{frames}", ".tsv")


FILE = lag(1)


def draw(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the effects between different parcels; those on themselves are blank."""
    table = matrix_of(run, FILE)
    if table is None:
        return None
    arranged, values = arrange(table.names), table.values.copy()
    own = values.diagonal().mean()
    np.fill_diagonal(values, np.nan)
    end = float(np.nanquantile(np.abs(values), _SHOWN)) or 1.0
    words = "effective", "Effective connectivity"
    lanes = draw_between(values, arranged, canvas, words, (SIGNED, -end, end))
    caption = (
        "Effect of each parcel (column) on each other one (row) a frame later"
        f"{in_order(arranged)}; that on itself is {figure(float(own), 2)} on average and not "
        f"shown. An estimate by a linear model. {CAUTION}."
    )
    text = figure(end, 3)
    return Figure((lanes,), caption, ramp=Ramp(f"\N{MINUS SIGN}{text}", f"+{text}", "signed"))
