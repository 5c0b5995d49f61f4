"""Panel of features: scores of components, for statistics, and how reliable they are."""

from __future__ import annotations

from bids_dtg.files.names import FileKind
from bids_dtg.files.text import read_json, read_rows
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.numbers import figure
from bids_dtg.report.panels.panel import Canvas, Figure, Listing
from bids_dtg.report.quality import number

COMPONENTS = FileKind("parameters", "components", ".tsv")
REGIONAL = FileKind("parameters", "regional", ".tsv")  # description, no features
COST = "CostOfMinutes"  # key of sidecars: a sentence


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
    cost = read_json(path.with_suffix(".json")).get(COST)
    if isinstance(cost, str):
        caption += f" {cost}"
    return Figure((Listing(("Component", "Score", "Retest ICC"), rows),), caption)


def _rounded(cell: str | None) -> str:
    value = number(cell)
    return "not known" if value is None else figure(value, 2)


def cost_of_minutes(minutes: float, known: tuple[tuple[float, float], ...]) -> str:
    """Return a sentence on how much so many minutes of rest foretell; empty: nothing is known.

    Parameters
    ----------
    minutes
        Of a run, kept.
    known
        Minutes and mean r of functional connectivity with another session, of training people.

    Examples
    --------
    >>> cost_of_minutes(6.0, ((3.6, 0.77), (7.2, 0.79), (14.4, 0.8)))
    "6.0 minutes of rest: in training people, 7.2 minutes predicted another session's functional \
connectivity with r 0.79, and 14.4 minutes with 0.80."
    """
    if not known:
        return ""
    near = min(known, key=lambda pair: abs(pair[0] - minutes))
    text = (
        f"{minutes:.1f} minutes of rest: in training people, {near[0]:g} minutes predicted another "
        f"session's functional connectivity with r {near[1]:.2f}"
    )
    longest = max(known)
    if longest == near:
        return f"{text}."
    return f"{text}, and {longest[0]:g} minutes with {longest[1]:.2f}."
