"""Connectome panel: the correlations between the cleaned ROI series of a run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

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
    """Make a table with a row and a column for each ROI; of several sets, the one for the page."""
    return next(kept for name, kept in _tables(data) if name == _shown(data))


def keep_others(data: RunData) -> Iterator[Kept]:
    """Yield the tables of the other sets of ROIs."""
    return (kept for name, kept in _tables(data) if name != _shown(data))


def _shown(data: RunData) -> str:
    form, rois = data.bundle.card.part.connectome, len(data.measured.roi_r)
    shown = form.one_set(rois)
    return next(name for name, rows in form.set_rows(rois).items() if rows == shown)


def _tables(data: RunData) -> Iterator[tuple[str, Kept]]:
    form, roi_r = data.bundle.card.part.connectome, data.measured.roi_r
    for name, rows in form.set_rows(len(roi_r)).items():
        yield name, _table(data, nodes_of(data.bundle)[name], roi_r[rows, rows])


def _table(data: RunData, nodes: NodeFile, roi_r: NDArray[np.float64]) -> Kept:
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


def nodes_of(bundle: ModelBundle) -> dict[str, NodeFile]:
    """Return what rows and columns are, by the name of the set: the model's ROI maps."""
    card, rois = bundle.card, bundle.rois
    title = f"ROI maps of the model {card.name} {card.version}, which overlap: "
    return {
        name: NodeFile(
            bundle.places.entities["space"] or bundle.space,
            name or segment_label(card.name),
            {roi: f"roi{roi:02d}" for roi in range(1, rows.stop - rows.start + 1)},
            title
            + (
                f"rows {rows.start} to {rows.stop - 1}, from 0, of the maps in its bundle"
                if name
                else "the volumes of the image of these maps in its bundle"
            ),
            overlap=True,
        )
        for name, rows in card.part.connectome.set_rows(rois).items()
    }


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
