"""``group --analysis embed``: low-dimensional layouts of people and of their maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np

from bids_dtg.array_types import Float64, Integers
from bids_dtg.cohort.features import (
    FeatureSource,
    FeatureTable,
    find_features,
    note_incomplete,
    print_plan,
)
from bids_dtg.cohort.group_participants import GroupParticipants, gather_participants
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.extras import install_line
from bids_dtg.files.columns import Column
from bids_dtg.files.paths import temporary_folder
from bids_dtg.notices import counted, say
from bids_dtg.report import figures
from bids_dtg.report.page import Page, Section, sentences
from bids_dtg.settings import Settings
from bids_dtg.statistics.options import PhenotypeOptions
from bids_dtg.stats.embedding import (
    FEWEST_FOR_UMAP,
    distances,
    principal_components,
    silhouettes,
    umap_is_missing,
    umap_layout,
    variance_shares,
)
from bids_dtg.stats.permutation import permuted_orders
from bids_dtg.stats.prediction import PeopleProducts, common_products, products
from bids_dtg.workflows import FeatureKind

Row = dict[str, object]

_FEWEST = 4  # people; a layout of fewer is meaningless
# Points of a layout; if there are more, people are drawn at random.
_MOST_PEOPLE = 1000
_MOST_MAPS = 4000
_MOST_LEVELS = 10  # of a phenotype whose clusters are scored
_AXES = 10  # components in the tables
_SHOWN = 5  # people nearest to the mean, and farthest from it
_WRITES = (
    "desc-people_coordinates",
    "desc-maps_coordinates",
    "desc-embedding_clusters",
)
_FEATURES = Column("features", "Features of each participant")
_PERSON = Column("participant_id", "Participant")
_COORDINATES = (
    *(
        Column(
            f"pc{n}", f"Score on component {n}, in units of the maps (root mean square)"
        )
        for n in range(1, _AXES + 1)
    ),
    Column("umap1", "UMAP, horizontal; no unit"),
    Column("umap2", "UMAP, vertical; no unit"),
)
_PEOPLE = (
    _PERSON,
    _FEATURES,
    Column("distance", "Root mean square difference from the mean over participants"),
    *_COORDINATES,
)
_MAPS = (
    _PERSON,
    _FEATURES,
    Column("contrast", "Label of the contrast"),
    Column("task", "Task of the contrast"),
    *_COORDINATES,
)
_CLUSTERS = (
    _FEATURES,
    Column("points", "What the points are: people, or maps"),
    Column("number", "Number of points"),
    Column(
        "share",
        "Share of the variance in the first two components",
        heading="in 2 components",
    ),
    Column(
        "label", "What defines clusters: a phenotype, contrasts, or tasks", heading="by"
    ),
    Column("silhouette", "Silhouette of these clusters, -1 to 1 (Rousseeuw 1987)"),
    Column(
        "p", "Share of permutations of participants with a silhouette at least as large"
    ),
    Column(
        "between_contrasts", "Share of the variance of maps between contrasts' means"
    ),
    Column("between_people", "Share of the variance of maps between people's means"),
)


@dataclass(frozen=True, eq=False)
class _Layout:
    """A low-dimensional layout of points: people, or everybody's maps of all contrasts."""

    kind: FeatureKind
    people: tuple[str, ...]  # label of each point's person
    contrasts: tuple[str, ...]  # of each point; empty: a point is a person
    from_mean: Float64  # (points,), distance from the mean
    scores: Float64  # (points, components)
    shares: Float64  # (components,), of the variance
    umap: Float64 | None  # (points, 2)
    clusters: tuple[Row, ...] = ()

    def rows(self, tasks: Mapping[str, str]) -> Iterator[Row]:
        """Yield each point's row of a table; `tasks` are of contrasts."""
        for number, scores in enumerate(self.scores[:, :_AXES]):
            row: Row = {f"pc{axis}": score for axis, score in enumerate(scores, 1)}
            row["participant_id"] = f"sub-{self.people[number]}"
            row["features"] = self.kind.name
            if self.umap is not None:
                row["umap1"], row["umap2"] = self.umap[number]
            if self.contrasts:
                contrast = self.contrasts[number]
                row |= {"contrast": contrast, "task": tasks.get(contrast) or None}
            else:
                row["distance"] = self.from_mean[number]
            yield row


def run_embed(settings: Settings) -> int:
    """Write layouts, tables and the page; return how many people could not be read.

    Raises
    ------
    DatasetError, SettingsError
        There are no features, or fewer than four people have them.
    """
    people = gather_participants(settings)
    levels = _levels(people)
    sources = find_features(people)
    if settings.behaviour.dry_run:
        return print_plan(sources, [f"would lay out {counted(people, 'participant')}"])
    if umap_is_missing():
        say(
            f"no UMAP: {install_line('umap')} adds it; principal components do not need it"
        )
    results = ResultFolder.of(settings, people.output, *_WRITES)
    with results.writing(), temporary_folder() as folder, one_blas_thread():
        layouts: list[_Layout] = []
        for source in sources:
            layouts += _layouts(source, people, levels, folder)
        if not layouts:
            raise DatasetError(
                "too few participants to lay out",
                expected=f"{_FEWEST} or more who differ",
            )
        _write(results, people, layouts, levels)
    return len(people.failed)


def _levels(people: GroupParticipants) -> dict[str, Mapping[str, str]]:
    """Return the levels of people, by phenotype."""
    levels = {}
    for name in people.settings.part(PhenotypeOptions).phenotype:
        column = people.column(name)
        if not 1 < len(column.levels) <= _MOST_LEVELS:
            raise SettingsError(
                f"{column.name} has {len(column.levels)} levels",
                expected=f"2 to {_MOST_LEVELS}",
            )
        levels[column.name] = column.texts
    return levels


def _layouts(
    source: FeatureSource,
    people: GroupParticipants,
    levels: Mapping[str, Mapping[str, str]],
    folder: Path,
) -> Iterator[_Layout]:
    """Yield a layout of people by all contrasts, and one of all maps by region."""
    count = len(source.contrasts)
    drawn = _drawn(people, source)
    with_any_contrast = set[str]()
    together: PeopleProducts | None = None  # summed over contrasts
    columns, tables = 0, list[FeatureTable]()
    for number, table in enumerate(source.tables(people.of(drawn), folder), 1):
        participants = counted(table.labels, "participant")
        say(f"{number} of {count}: {table.title}, {participants}")
        with_any_contrast.update(table.labels)
        contrast_products = table.labels, products(table.values)
        together = common_products(together, contrast_products)
        columns += table.values.shape[1]
        if source.names and count > 1:
            tables.append(replace(table, values=np.array(table.values)))
    labels, total = together or ((), np.zeros((0, 0)))
    note_incomplete(people, source.kind, with_any_contrast, labels)
    if len(labels) < _FEWEST or not np.trace(total) > 0:
        say(f"no layout: {source.kind.words} of {counted(labels, 'participant')}")
        return
    complete = people.of(labels)
    groupings = {
        name: tuple(texts.get(label, "") for label in complete.labels)
        for name, texts in levels.items()
    }
    yield _layout(source.kind, total, columns, complete, (), groupings)
    if len(tables) > 1:
        yield _layout_of_maps(source.kind, tables, complete)


def _drawn(people: GroupParticipants, source: FeatureSource) -> list[str]:
    """Return who is laid out: everybody with the features, or some drawn at random."""
    labels = [label for label in people.labels if label in source.has]
    seed, count = people.settings.modelling.seed, len(source.contrasts)
    most = _MOST_PEOPLE if count == 1 or not source.names else _MOST_MAPS // count
    if len(labels) <= most:
        return labels
    number = counted(labels, "participant")
    say(f"laid out: {most} of {number}, drawn with seed {seed}")
    rng = np.random.default_rng(seed)
    drawn = rng.choice(labels, max(most, _FEWEST), replace=False)
    return sorted(drawn.tolist())


def _layout_of_maps(
    kind: FeatureKind,
    tables: Sequence[FeatureTable],
    people: GroupParticipants,
) -> _Layout:
    """Lay out the maps of people who have all contrasts, by the columns that all tables have."""
    columns = reduce(np.intersect1d, [table.source_columns for table in tables])
    table_values = []
    for table in tables:
        rows = np.isin(table.labels, people.labels)
        table_values.append(
            table.values[np.ix_(rows, np.isin(table.source_columns, columns))]
        )
    values = np.stack(table_values)  # (contrasts, people, columns)
    contrasts = [table.contrast for table in tables]
    point_contrasts = tuple(np.repeat(contrasts, len(people.labels)).tolist())
    groupings = {"contrast": point_contrasts}
    tasks = people.tasks
    contrast_tasks = [tasks.get(contrast) for contrast in contrasts]
    if all(contrast_tasks) and len(set(contrast_tasks)) > 1:
        groupings["task"] = tuple(tasks[contrast] for contrast in point_contrasts)
    maps = values.reshape(-1, values.shape[-1])
    layout = _layout(
        kind, products(maps), len(columns), people, point_contrasts, groupings
    )
    between_contrasts, between_people, _ = variance_shares(values)
    layout.clusters[0].update(
        between_contrasts=between_contrasts, between_people=between_people
    )
    return layout


def _layout(
    kind: FeatureKind,
    product: Float64,
    columns: int,
    people: GroupParticipants,
    contrasts: tuple[str, ...],
    groupings: Mapping[str, tuple[str, ...]],
) -> _Layout:
    """Lay out points: people, or their maps of each contrast in turn.

    `product` are inner products of points over `columns`. `groupings` are labels of points, empty
    where unknown, by what they are; their clusters are scored.
    """
    scores, shares = principal_components(product, columns)
    umap = None
    if not umap_is_missing() and len(scores) >= FEWEST_FOR_UMAP and scores.shape[1] > 1:
        number = counted(scores, "point")
        say(f"UMAP of {number}; the first time, it compiles for a minute")
        umap = umap_layout(scores, people.settings.modelling.seed)
    base: Row = {
        "features": kind.name,
        "points": "maps" if contrasts else "people",
        "number": len(scores),
        "share": float(shares[:2].sum()),
    }
    point_distances = distances(product, columns)  # (points, points)
    clusters = [
        {**base, "label": name, **_cluster(point_distances, labels, people, contrasts)}
        for name, labels in groupings.items()
    ]
    from_mean = np.sqrt(np.maximum(np.diag(product), 0) / columns)
    labels = people.labels * (len(scores) // len(people))
    rows = tuple(clusters) or (base,)
    return _Layout(kind, labels, contrasts, from_mean, scores, shares, umap, rows)


def _cluster(
    point_distances: Float64,
    labels: Sequence[str],
    people: GroupParticipants,
    contrasts: Sequence[str],
) -> Row:
    """Score the clusters of points with the same label, with p where points are people."""
    settings = people.settings
    seed, draws = settings.modelling.seed, settings.statistics.map_permutations
    has_label = np.array([bool(label) for label in labels])
    orders: Integers = np.empty((0, int(has_label.sum())), np.intp)
    if draws and not contrasts:
        pairs = zip(people.labels, labels, strict=True)
        labelled = people.of([person for person, label in pairs if label])
        orders = permuted_orders(
            labelled.families, draws, sites=labelled.sites, seed=seed
        )
    scored = silhouettes(
        point_distances[np.ix_(has_label, has_label)],
        [label for label in labels if label],
        orders,
    )
    silhouette = scored[0]
    p = float((scored >= silhouette - 1e-9).mean()) if len(orders) else None
    return {"silhouette": float(silhouette), "p": p}


def _write(
    results: ResultFolder,
    people: GroupParticipants,
    layouts: Sequence[_Layout],
    levels: Mapping[str, Mapping[str, str]],
) -> None:
    """Write tables and page; report the answer in one sentence."""
    tasks = people.tasks
    people_layouts = [layout for layout in layouts if not layout.contrasts]
    map_layouts = [layout for layout in layouts if layout.contrasts]
    rows = [row for layout in people_layouts for row in layout.rows(tasks)]
    words = "A participant; signs make the largest score of each component positive"
    results.table("desc-people_coordinates", ResultTable(_PEOPLE, rows, words))
    if map_layouts:
        rows = [row for layout in map_layouts for row in layout.rows(tasks)]
        words = "A map of a participant and a contrast"
        results.table("desc-maps_coordinates", ResultTable(_MAPS, rows, words))
    clusters = [row for layout in layouts for row in layout.clusters]
    table = ResultTable(
        _CLUSTERS, clusters, "Clusters of points, and shares of their variance"
    )
    results.table("desc-embedding_clusters", table)
    lead = sentences("statistics/embed_lead.html", layouts=layouts)
    say(lead)
    sections = [
        Section(
            "Layouts",
            tables=[table.on_page("Points and their clusters")],
            figures=[_picture(layout, levels, tasks) for layout in layouts],
        ),
        Section(
            "People",
            template="statistics/embed_people.html",
            facts={"ends": [_ends(layout) for layout in people_layouts]},
        ),
        Section(
            "Methods", template="statistics/embed_how.html", facts={"people": people}
        ),
    ]
    page = Page("Embedding", lead, people.flags, sections)
    results.page(page)


def _picture(
    layout: _Layout, levels: Mapping[str, Mapping[str, str]], tasks: Mapping[str, str]
) -> figures.Figure | None:
    """Draw a layout, with points coloured by task or by the first phenotype."""
    if layout.scores.shape[1] < 2:
        return None
    if layout.contrasts:
        points = "Maps"
        groups = [tasks.get(contrast) or contrast for contrast in layout.contrasts]
    else:
        points = "Participants"
        first_phenotype = next(iter(levels.values()), {})
        groups = [first_phenotype.get(label, "") for label in layout.people]
    axis, coordinates = "component", layout.scores[:, :2]
    if layout.umap is not None:
        axis, coordinates = "UMAP", layout.umap
    return figures.scatter(
        f"{points} by {layout.kind.words}",
        f"{axis} 1",
        f"{axis} 2",
        coordinates,
        groups=groups if len(set(groups)) <= _MOST_LEVELS else (),
    )


def _ends(layout: _Layout) -> tuple[str, list[str], list[str]]:
    """Return the features, and the people nearest to and farthest from the mean, with distances."""
    order = np.argsort(layout.from_mean, kind="stable").tolist()
    shown = min(_SHOWN, len(order) // 2)

    def named(numbers: Sequence[int]) -> list[str]:
        return [
            f"sub-{layout.people[number]} ({layout.from_mean[number]:.3g})"
            for number in numbers
        ]

    nearest, farthest = order[:shown], order[: -shown - 1 : -1]
    return layout.kind.words, named(nearest), named(farthest)
