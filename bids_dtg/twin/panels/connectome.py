"""Connectome: Fisher's z between all parcels, averaged over the runs of an average."""

from __future__ import annotations

import numpy as np

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.files.regions.relmat import RELMAT
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.notices import counted
from bids_dtg.report.colours import SIGNED
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.numbers import figure
from bids_dtg.report.panels.panel import Canvas, Figure, Ramp
from bids_dtg.report.parcels.files import matrix_of
from bids_dtg.report.parcels.matrix import draw_between, in_order
from bids_dtg.report.parcels.regions import arrange

FILE = RELMAT
_END = 1.0  # Fisher's z of the brightest colours
_RAMP = Ramp(f"\N{MINUS SIGN}{_END:g} or less", f"+{_END:g} or more", "signed")


def draw(made: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the edges; the diagonal and unknown edges are blank."""
    table = matrix_of(made, FILE)
    if table is None:
        return None
    arranged, pairs = arrange(table.names), upper_edges(table.values)
    known = pairs[np.isfinite(pairs)]
    words = "connectome", "Connectome"
    lanes = draw_between(table.values, arranged, canvas, words, (SIGNED, -_END, _END))
    caption = (
        f"Fisher\N{RIGHT SINGLE QUOTATION MARK}s z of the correlation between the cleaned series "
        f"of {len(table.names)} parcels{in_order(arranged)}"
    )
    if known.size:
        caption += f"; mean {figure(known.mean(), 2)}, standard deviation {figure(known.std(), 2)}"
    if lost := pairs.size - known.size:
        caption += f"; {counted(lost, 'edge')} without a value, blank"
    runs = made.facts.get("Runs")
    if isinstance(runs, list) and len(runs) > 1:
        caption += f". Mean of {counted(len(runs), 'run')}, weighted{_by(made)}"
    return Figure((lanes,), f"{caption}.", ramp=_RAMP)


def _by(made: RunFiles) -> str:
    by = made.facts.get("RunsWeightedBy")
    return {
        RESIDUAL_DOF: " by residual degrees of freedom",
        "MinutesKept": " by the minutes kept",
    }.get(str(by), "")
