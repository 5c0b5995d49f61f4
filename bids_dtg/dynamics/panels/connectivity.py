"""Connectivity panel: functional and structural connectivity between all parcels."""

from __future__ import annotations

import numpy as np

from bids_dtg.connectome.edges import fc_strength, upper_edges
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions.relmat import RELMAT
from bids_dtg.report.colours import AMOUNT, SIGNED
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.panels.panel import Canvas, Figure, Ramp
from bids_dtg.report.parcels.files import matrix_of
from bids_dtg.report.parcels.matrix import draw_between, in_order
from bids_dtg.report.parcels.regions import arrange

STRUCTURAL = FileKind("relmat", "structural", ".tsv")
_LEAST = 1e-4  # smallest weight of the colour scale


def draw_functional(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the correlations of the parcels' series."""
    table = matrix_of(run, RELMAT)
    if table is None:
        return None
    arranged, pairs = arrange(table.names), upper_edges(table.values)
    known = pairs[np.isfinite(pairs)]
    words = "functional", "Functional connectivity"
    lanes = draw_between(table.values, arranged, canvas, words, (SIGNED, -1.0, 1.0))
    caption = (
        f"Pearson correlation between the cleaned series of {len(table.names)} parcels over the "
        f"frames kept{in_order(arranged)}"
    )
    if known.size:
        caption += (
            f"; mean {fc_strength(table.values):.2f}, standard deviation {known.std():.2f}"
        ).replace("-", "\N{MINUS SIGN}")
    return Figure((lanes,), f"{caption}.", ramp=Ramp("\N{MINUS SIGN}1", "+1", "signed"))


def draw_structural(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the weights of the structural connectome on a log scale; zeros are blank."""
    table = matrix_of(run, STRUCTURAL)
    if table is None:
        return None
    arranged = arrange(table.names)
    weights = np.where(table.values > 0, table.values, np.nan)
    lanes = draw_between(
        *(np.log10(weights), arranged, canvas, ("structural", "Structural connectivity")),
        (AMOUNT, np.log10(_LEAST), 0.0),
    )
    others = upper_edges(table.values)
    share = float((others > 0).mean()) if others.size else 0.0
    caption = (
        f"Weights between {len(table.names)} parcels, divided by the largest{in_order(arranged)}; "
        f"on a log scale. {share:.0%} of the pairs are connected; the others are blank."
    )
    return Figure((lanes,), caption, ramp=Ramp(f"{_LEAST:g} or less", "1", "amount"))
