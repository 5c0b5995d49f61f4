"""Figures of a run: functional, structural and effective connectivity, features for statistics."""

from __future__ import annotations

import numpy as np

from bids_dtg.connectome.parcels import fc_strength, upper_edges
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions import RELMAT
from bids_dtg.files.text import read_rows
from bids_dtg.report.colours import AMOUNT, SIGNED
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.numbers import figure
from bids_dtg.report.panels import Canvas, Figure, Listing, Ramp
from bids_dtg.report.parcels import arrange, draw_between, in_order, matrix_of
from bids_dtg.report.quality import number

STRUCTURAL = FileKind("relmat", "structural", ".tsv")
COMPONENTS = FileKind("parameters", "components", ".tsv")
CAUTION = (
    "One entry is mostly that of the training people, to which it is shrunk: nothing is to be "
    "claimed of a single one"
)
_LEAST = 1e-4  # smallest weight of the colour scale of structural connectomes
_SHOWN = 0.99  # quantile of the effects' sizes at the end of their colour scale


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


def lag(frames: int) -> FileKind:
    """Return the file of effects so many frames later."""
    return FileKind("relmat", f"lag{frames}", ".tsv")


EFFECTIVE = lag(1)


def draw_effective(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the effects between different parcels; those on themselves are blank."""
    table = matrix_of(run, EFFECTIVE)
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


def list_components(run: RunFiles, canvas: Canvas) -> Figure | None:
    """List the scores of a run."""
    path = run.files.get(COMPONENTS)
    if path is None:
        return None
    rows = tuple(
        (row.get("name", ""), _rounded(row.get("score")), _rounded(row.get("icc")))
        for row in read_rows(path)
    )
    caption = (
        "Scores in standard deviations of the training people, of covariances that are not "
        "shrunken; beside them, their intraclass correlation between two sessions of the training "
        "people. These are features for statistics, with the minutes kept as a covariate."
    )
    return Figure((Listing(("Component", "Score", "Retest ICC"), rows),), caption)


def _rounded(cell: str | None) -> str:
    value = number(cell)
    return "not known" if value is None else figure(value, 2)
