"""Panel of features: scores of components, for statistics, and how reliable they are."""

from __future__ import annotations

from bids_dtg.files.names import FileKind
from bids_dtg.files.text import read_rows
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.numbers import figure
from bids_dtg.report.panels.panel import Canvas, Figure, Listing
from bids_dtg.report.quality import number

COMPONENTS = FileKind("parameters", "components", ".tsv")


def draw(run: RunFiles, canvas: Canvas) -> Figure | None:
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
