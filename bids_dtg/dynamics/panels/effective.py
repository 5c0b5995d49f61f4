"""Panel of effective connectivity: what follows from each region a frame later."""

from __future__ import annotations

import numpy as np

from bids_dtg.dynamics.intervals import LEVEL
from bids_dtg.files.names import FileKind
from bids_dtg.files.text import read_json
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
DIFFERENT = "EffectsThatDiffer"  # key of sidecars: share of effects between parcels
_SHOWN = 0.99  # quantile of the entries' sizes at the end of the colour scale


def lag(frames: int) -> FileKind:
    """Return the file of effects so many frames later."""
    return FileKind("relmat", f"lag{frames}", ".tsv")


FILE = lag(1)


def sd_of(frames: int) -> FileKind:
    """Return the file of their standard deviations."""
    return FileKind("relmat", f"lag{frames}sd", ".tsv")


def how_few(different: float, effects: int) -> str:
    """Return a sentence on how few single effects differ from the training people's.

    Parameters
    ----------
    different
        Share of the effects between parcels whose 95 % interval leaves out the training people's.
    effects
        How many there are.

    Examples
    --------
    >>> how_few(0.004, 4556)
    "Of 4,556 effects between parcels, 18 (0.4 %) differ from the training people's beyond their \
95 % interval, no more than by chance (up to 5 %)."
    """
    found = (
        f"Of {effects:,} effects between parcels, {round(different * effects):,} "
        f"({100 * different:.1f} %) differ from the training people's beyond their 95 % interval"
    )
    if different <= 1 - LEVEL:
        return f"{found}, no more than by chance (up to 5 %)."
    return f"{found}; by chance, up to 5 % would."


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
    different = read_json(run.files[FILE].with_suffix(".json")).get(DIFFERENT)
    if isinstance(different, float):
        caption += f" {how_few(different, len(values) * (len(values) - 1))}"
    text = figure(end, 3)
    return Figure((lanes,), caption, ramp=Ramp(f"\N{MINUS SIGN}{text}", f"+{text}", "signed"))
