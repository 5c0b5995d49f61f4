"""Figures of a run: functional, structural and effective connectivity, features for statistics."""

from __future__ import annotations

import numpy as np

from bids_dtg.connectome.parcels import fc_strength, upper_edges
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions import RELMAT, read_relmat
from bids_dtg.files.text import read_rows
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.figures import Figure
from bids_dtg.report.panels import arrange, draw_parcel_matrix, read_run_file
from bids_dtg.report.pictures import AMOUNT, SIGNED
from bids_dtg.report.presentation import Canvas
from bids_dtg.report.quality import number
from bids_dtg.report.tables import MINUS, Table, number_text

STRUCTURAL = FileKind("relmat", "structural", ".tsv")
COMPONENTS = FileKind("parameters", "components", ".tsv")
CAUTION = (
    "Each entry is strongly shrunk towards the training people's, so a single entry supports no "
    "claim about the person"
)
_LEAST = 1e-4  # smallest weight of the colour scale of structural connectomes
_SHOWN = 0.99  # quantile of absolute effects at the end of their colour scale


def draw_functional(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the correlations of the parcels' series."""
    table = read_run_file(run, RELMAT, read_relmat)
    if table is None:
        return None
    words = ("functional", "Functional connectivity")
    edges = upper_edges(table.values)
    edges = edges[np.isfinite(edges)]
    lanes = draw_parcel_matrix(
        table.values, table.names, canvas, words, (SIGNED, -1.0, 1.0)
    )
    caption = (
        f"Pearson correlation between the cleaned series of {len(table.names)} parcels over the "
        f"kept frames{arrange(table.names)[2]}"
    )
    if edges.size:
        mean = number_text(float(fc_strength(table.values)), 2)
        caption += f"; mean {mean}, standard deviation {edges.std():.2f}"
    scale = f"{MINUS}1", "+1", SIGNED.css
    return Figure(caption=f"{caption}.", parts=[lanes], scale=scale)


def draw_structural(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the weights of the structural connectome on a log scale; zeros are blank."""
    table = read_run_file(run, STRUCTURAL, read_relmat)
    if table is None:
        return None
    weights = np.where(table.values > 0, table.values, np.nan)
    words = ("structural", "Structural connectivity")
    ends = (AMOUNT, np.log10(_LEAST), 0.0)
    lanes = draw_parcel_matrix(np.log10(weights), table.names, canvas, words, ends)
    edges = upper_edges(table.values)
    share = float((edges > 0).mean()) if edges.size else 0.0
    by = arrange(table.names)[2]
    caption = (
        f"Weights between {len(table.names)} parcels, divided by the largest{by}; "
        f"on a log scale. {share:.0%} of the pairs are connected; the others are blank."
    )
    scale = f"{_LEAST:g} or less", "1", AMOUNT.css
    return Figure(caption=caption, parts=[lanes], scale=scale)


def lag(frames: int) -> FileKind:
    """Return the kind of file with effects at a lag of `frames` frames."""
    return FileKind("relmat", f"lag{frames}", ".tsv")


EFFECTIVE = lag(1)


def draw_effective(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the effects between different parcels; the diagonal is blank."""
    table = read_run_file(run, EFFECTIVE, read_relmat)
    if table is None:
        return None
    values = table.values.copy()
    on_itself = values.diagonal().mean()
    np.fill_diagonal(values, np.nan)
    end = float(np.nanquantile(np.abs(values), _SHOWN)) or 1.0
    words = "effective", "Effective connectivity"
    lanes = draw_parcel_matrix(values, table.names, canvas, words, (SIGNED, -end, end))
    caption = (
        "Effect of each parcel (column) on every other parcel (row) one frame later, estimated by "
        f"a linear model{arrange(table.names)[2]}. A parcel's effect on itself is "
        f"{number_text(float(on_itself), 2)} on average and not shown. {CAUTION}."
    )
    text = number_text(end, 3)
    scale = f"{MINUS}{text}", f"+{text}", SIGNED.css
    return Figure(caption=caption, parts=[lanes], scale=scale)


def list_components(run: RunFiles, canvas: Canvas) -> Figure | None:
    """List the component scores of a run."""
    path = run.files.get(COMPONENTS)
    if path is None:
        return None
    rows = tuple(
        (row.get("name", ""), number(row.get("score")), number(row.get("icc")))
        for row in read_rows(path)
    )
    caption = (
        "Scores on components of unshrunken covariances, in standard deviations of the training "
        "people, and the scores' intraclass correlation between two sessions of the training "
        "people. Use them as features for statistics, with the minutes kept as a covariate."
    )
    return Figure(
        caption=caption, parts=[Table("", ("Component", "Score", "Retest ICC"), rows)]
    )
