"""``group --analysis embed``: layouts of people and their maps, atypical people, and the page."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.features import find_features
from bids_dtg.cohort.people import GroupPeople, gather_people
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.temporary import temporary_folder
from bids_dtg.inputs.participants import Column as Known
from bids_dtg.notices import counted, named, say, show
from bids_dtg.report.pages.index import STATISTICS_PAGE
from bids_dtg.settings import Settings
from bids_dtg.statistics.embed.figures import (
    COORDINATES,
    FIGURES,
    LIKENESS,
    MOTION,
    OF_PEOPLE,
    REST_QUALITY,
    SHARES,
    TYPICALITY,
    VARIANCE,
    figure_rows,
    layout_rows,
    likeness_rows,
    map_rows,
    motion_rows,
    share_rows,
    typicality_rows,
    variance_rows,
)
from bids_dtg.statistics.embed.layouts import (
    NO_UMAP,
    Embedded,
    embed,
)
from bids_dtg.statistics.embed.page import embedding_page, embedding_plot
from bids_dtg.statistics.embed.plot import (
    write_embedding_page,
)
from bids_dtg.stats.cohort.embedding import (
    FEWEST_POINTS,
    umap_is_missing,
)

_DEFAULT = ("maps", "edges", "measured")
_WRITES = ("desc-people_*", "desc-maps_*")
_MOST_LEVELS = 48  # of a column that colours points: with more, values are names


def run_embed(settings: Settings) -> int:
    """Write layouts, figures, tables and the page; return how many people could not be read.

    Raises
    ------
    DatasetError
        The output folder holds no maps, or those of three people or fewer.
    """
    people = gather_people(settings)
    if len(people) < FEWEST_POINTS:
        raise DatasetError(
            f"only {counted(len(people), 'participant')} with maps: too few to lay out",
            expected=f"{FEWEST_POINTS} or more",
        )
    sources = find_features(people, _DEFAULT)
    results = ResultFolder.of(settings, people.output, *_WRITES)
    if settings.behaviour.dry_run:
        kinds = named([source.kind.words for source in sources])
        show(f"would lay out {counted(len(people), 'participant')} by {kinds} in {results.path}")
        return 0
    if umap_is_missing():
        say(NO_UMAP)
    with results.begun():
        found = []
        for source in sources:
            say(f"{source.kind.words}: {counted(len(source.contrasts), 'table')}")
            with temporary_folder() as folder:
                embedded = embed(source, people.of(source.has), folder)
            if embedded is not None:
                found.append(embedded)
        if not found:
            raise DatasetError(
                "nobody's maps differ from those of others", expected="maps that can be laid out"
            )
        _write_results(results, people, found)
    failed = {label for embedded in found for label in embedded.failed}
    return len(failed)


def _known_columns(people: GroupPeople) -> dict[str, Known]:
    """Return variables of people: quality of their runs, and columns of the table.

    Columns of words in which nearly everybody has a unique value are left out.
    """
    found = {}
    table = {} if people.table is None else people.table.columns
    for name in dict.fromkeys((*REST_QUALITY, *table)):
        with contextlib.suppress(SettingsError):
            column = people.any_column(name)
            if column.is_number or 1 < len(column.levels) <= _MOST_LEVELS:
                found[name] = column
    return found


def _write_results(results: ResultFolder, people: GroupPeople, found: Sequence[Embedded]) -> None:
    """Write tables and page; report the answer in a line."""
    known = _known_columns(people)
    _write_coordinates(results, found)
    results.table(
        "desc-people_typicality",
        ResultTable(
            TYPICALITY,
            [row for one_kind in found for row in typicality_rows(one_kind, known)],
            "Distance of a person's map from the mean of all others'. The rule describes "
            "these people, and tests nothing",
        ),
    )
    words = "Clusters of maps in a space"
    results.table("desc-maps_clusters", ResultTable(FIGURES, list(figure_rows(found)), words))
    words = "Shares of the maps' variance"
    results.table("desc-maps_variance", ResultTable(VARIANCE, list(variance_rows(found)), words))
    motion = [row for one_kind in found for row in motion_rows(one_kind, known)]
    words = "Correlation of atypicality with the quality of people's rest"
    results.table("desc-people_motion", ResultTable(MOTION, motion, words))
    words = "Whether two kinds of features put the same people close to each other"
    results.table("desc-people_likeness", ResultTable(LIKENESS, list(likeness_rows(found)), words))
    facts = embedding_page(people, found, known)
    say(facts.lead)
    plot = embedding_plot(people, found, known)
    results.write_page(STATISTICS_PAGE, partial(write_embedding_page, facts=facts, plot=plot))


def _write_coordinates(results: ResultFolder, found: Sequence[Embedded]) -> None:
    layouts = [layout for one_kind in found for layout in one_kind.layouts]
    results.table(
        "desc-people_coordinates",
        ResultTable(
            (*OF_PEOPLE, *COORDINATES),
            [row for layout in layouts for row in layout_rows(layout)],
            "A person among all by the map of a contrast. Signs of components are such that the "
            "largest score is positive",
        ),
    )
    maps = [one_kind.maps for one_kind in found if one_kind.maps is not None]
    results.table(
        "desc-maps_coordinates",
        ResultTable(
            (*OF_PEOPLE, Column("task", "Task of the contrast"), *COORDINATES),
            [row for points in maps for row in map_rows(points)],
            "A map among all maps of all contrasts",
        ),
    )
    shares = [row for layout in layouts for row in share_rows(layout)]
    words = "A principal component of people"
    results.table("desc-people_components", ResultTable(SHARES, shares, words))
