"""Connectome panel: the correlations between the cleaned ROI series of a run."""

from __future__ import annotations

import numpy as np

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.panels.run import RunData
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions.nodes import Measure, NodeFile, relationship_facts, segment_label
from bids_dtg.files.text import read_rows, tsv_text
from bids_dtg.report.colours import SIGNED
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.panels.panel import Canvas, Figure, Kept, Picture, Ramp
from bids_dtg.report.pictures import draw_matrix
from bids_dtg.report.quality import number

FILE = FileKind("relmat", "connectome", ".tsv")
_MEASURE = Measure("Pearson correlation", "Product-moment correlation of two series over frames")


def keep(data: RunData) -> Kept:
    """Make a table with a row and a column for each ROI: of several sets of the usual one."""
    rows = data.bundle.card.part.connectome.one_set(len(data.measured.roi_r))
    roi_r, nodes = data.measured.roi_r[rows, rows], nodes_of(data.bundle)
    rois = [f"roi{roi:02d}" for roi in range(1, len(roi_r) + 1)]
    text = tsv_text(rois, [[f"{r:.6f}" for r in row] for row in roi_r])
    sidecar = {
        "Description": "Correlations between the cleaned series of the model's ROI maps, over all "
        "frames of the run that were kept; a row and a column an ROI, in the order of the maps",
        **relationship_facts(_MEASURE, nodes),
        "Sources": [data.bold_uri],
    }
    named = {"seg": nodes.label, "stat": "pearsoncorrelation"}
    return Kept(FILE, text.encode(), sidecar, entities=named)


def nodes_of(bundle: ModelBundle) -> NodeFile:
    """Return what rows and columns of the table are: the model's ROI maps, of the usual set."""
    card, form = bundle.card, bundle.card.part.connectome
    rows = form.one_set(bundle.rois)
    name = next(name for name, own in form.set_rows(bundle.rois).items() if own == rows)
    where = "the volumes of the image of these maps in its bundle"
    if name:
        where = f"rows {rows.start} to {rows.stop - 1}, from 0, of the maps in its bundle"
    return NodeFile(
        bundle.places.entities["space"] or bundle.space,
        name or segment_label(card.name),
        {roi: f"roi{roi:02d}" for roi in range(1, rows.stop - rows.start + 1)},
        f"ROI maps of the model {card.name} {card.version}, which overlap: {where}",
        overlap=True,
    )


def draw(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the matrix, one pixel for each cell."""
    rows = read_rows(path) if (path := run.files.get(FILE)) else []
    cells = [[number(text) for text in row.values()] for row in rows]
    matrix = np.array([[np.nan if cell is None else cell for cell in row] for row in cells])
    if matrix.ndim != 2 or not matrix.size:
        return None
    others = matrix[~np.eye(len(matrix), dtype=bool)] if len(matrix) > 1 else matrix
    picture = Picture(
        canvas.write("connectome", draw_matrix(matrix, SIGNED, -1, 1)),
        f"Correlations between {len(matrix)} ROI series",
        matrix=True,
    )
    caption = (
        f"Pearson correlation between the cleaned series of {len(matrix)} ROIs; "
        f"mean {others.mean():.2f}, standard deviation {others.std():.2f}."
    )
    return Figure((picture,), caption, ramp=Ramp("\N{MINUS SIGN}1", "+1", "signed"))
