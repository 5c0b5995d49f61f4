"""The page of an embedding: an interactive plot of points, and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.files.text import write_text
from bids_dtg.notices import visible
from bids_dtg.report.colours import AMOUNT
from bids_dtg.report.pages.analysis import AnalysisPageFacts, on_page
from bids_dtg.report.pages.page import HOW_TO_GET, missing_packages, render, static

_SHADES = 64  # of a scale of numbers
_DIGITS = 5  # of a coordinate
_MOST_SHOWN = 4000  # points of a cloud


@dataclass(frozen=True)
class PagePerson:
    """The person of a point."""

    name: str  # as sub-01
    link: str | None  # address of the person's report from the page; None: there is none
    unusual: bool  # whether a ring is drawn around the person's point


@dataclass(frozen=True)
class PageColumn:
    """A variable that colours points."""

    name: str
    values: Sequence[float | None]  # one for each person: numbers, or positions in `levels`
    levels: tuple[str, ...] = ()  # empty: they are numbers


@dataclass(frozen=True)
class PageContrast:
    """A contrast whose maps are points."""

    name: str
    task: str  # empty: not known


@dataclass(frozen=True, eq=False)
class PageCloud:
    """Points of one plot."""

    name: str  # such as all contrasts together
    source: str  # kind of maps, under which clouds are listed
    about: str  # a sentence below the plot
    people: NDArray[np.integer[Any]]  # (points,), number of each point's person
    axes: Mapping[str, NDArray[np.floating[Any]]]  # (points,), by name; two or more
    contrasts: NDArray[np.integer[Any]] | None = None  # (points,); None: a point is a person


@dataclass(frozen=True, eq=False)
class EmbeddingPlot:
    """All clouds and variables of the plot."""

    people: Sequence[PagePerson]
    columns: Sequence[PageColumn]
    contrasts: Sequence[PageContrast]
    clouds: Sequence[PageCloud]


def write_embedding_page(path: Path, facts: AnalysisPageFacts, plot: EmbeddingPlot) -> str | None:
    """Write the page; return why there is none, where packages are missing.

    Raises
    ------
    ValueError
        As `bids_dtg.report.pages.analysis.write_analysis_page`; or an axis has not a value for
        each point.
    OutputError
        It cannot be written.
    """
    if missing := missing_packages():
        return f"no page was made: {', '.join(missing)} missing ({HOW_TO_GET})"
    from markupsafe import Markup

    shown = on_page(facts)
    shown["sections"] = [("points", "Points"), *shown["sections"]]
    page = render(
        "embedding.html",
        **shown,
        embedding=_data(plot),
        embedding_script=Markup(static("embedding.js")),
    )
    write_text(path, page)
    return None


def _data(plot: EmbeddingPlot) -> dict[str, Any]:
    shades = AMOUNT.table(_SHADES)
    return {
        "people": [
            {"name": visible(person.name), "link": person.link, "unusual": person.unusual}
            for person in plot.people
        ],
        "columns": [_column(column) for column in plot.columns],
        "contrasts": [
            {"name": visible(contrast.name), "task": visible(contrast.task)}
            for contrast in plot.contrasts
        ],
        "clouds": [_cloud(cloud) for cloud in plot.clouds],
        "gradient": ["#" + "".join(f"{channel:02x}" for channel in shade) for shade in shades],
    }


def _column(column: PageColumn) -> dict[str, Any]:
    made: dict[str, Any] = {"name": visible(column.name), "values": list(column.values)}
    if column.levels:
        made["levels"] = [visible(level) for level in column.levels]
    return made


def _cloud(cloud: PageCloud) -> dict[str, Any]:
    points = len(cloud.people)
    for name, values in cloud.axes.items():
        if len(values) != points:
            raise ValueError(f"the axis {name} has {len(values)} values of {points} points")
    # Of very many points, some at equal steps: the page stays small, the tables have all.
    kept = np.unique(np.linspace(0, points - 1, min(points, _MOST_SHOWN)).astype(int))
    left = points - len(kept)
    about = f"{cloud.about} {left} further points are in the tables." if left else cloud.about
    made: dict[str, Any] = {
        "name": visible(cloud.name),
        "source": visible(cloud.source),
        "about": about,
        "people": cloud.people[kept].tolist(),
        "axes": [
            {"name": visible(name), "values": [_rounded(value) for value in np.asarray(axis)[kept]]}
            for name, axis in cloud.axes.items()
        ],
    }
    if cloud.contrasts is not None:
        made["contrasts"] = cloud.contrasts[kept].tolist()
    return made


def _rounded(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
