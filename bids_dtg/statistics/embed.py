"""``group --analysis embed``: people, and their maps of all contrasts, in few dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.features import FeatureSource, FeatureTable, find_features
from bids_dtg.cohort.people import GroupPeople, gather_people
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import DatasetError
from bids_dtg.extras import install_line
from bids_dtg.files.mapped_rows import MappedRows
from bids_dtg.files.temporary import temporary_folder
from bids_dtg.notices import counted, named, say, show
from bids_dtg.report.flags import Flag
from bids_dtg.report.pages.analysis import AnalysisPageFacts, PageSection, Scatter, Table
from bids_dtg.settings import Settings
from bids_dtg.stats.cohort.embedding import (
    FEWEST_FOR_UMAP,
    FEWEST_POINTS,
    Components,
    principal_components,
    silhouette,
    umap_is_missing,
    umap_layout,
    variance_shares,
)
from bids_dtg.stats.cohort.point_cloud import PointCloud, cloud_of, joined
from bids_dtg.stats.verdict import FEWEST, too_few
from bids_dtg.workflows import FeatureKind

Values = NDArray[np.float64]
Row = dict[str, object]

TOGETHER = "all contrasts"
NO_UMAP = f"no UMAP: {install_line('umap')} adds it; principal components need nothing more"
_DEFAULT = ("maps", "edges", "measured")
_WRITES = ("desc-people_*", "desc-maps_*")
_MOST_PEOPLE = 1000  # of more people, some are drawn
_MOST_MAPS = 4000  # as points of one layout; of more, those of some people are drawn
_AXES = 10  # components in tables
_SHOWN = 5  # of the nearest and of the farthest people, on the page

_FEATURES = Column("features", "Features of each participant, a value of --feature-sets")
_OF_POINTS = (
    Column("participant_id", "Participant"),
    _FEATURES,
    Column("contrast", f"Label of the contrast; {TOGETHER}: side by side; n/a: none"),
)
_COORDINATES = (
    *(
        Column(
            f"pc{n}", f"Score on component {n}, in units of the maps (root mean square over places)"
        )
        for n in range(1, _AXES + 1)
    ),
    Column("umap1", "UMAP, horizontal; no unit"),
    Column("umap2", "UMAP, vertical; no unit"),
)
_DISTANCE = Column(
    "distance", "Root mean square difference from the people's mean, in units of the maps"
)
_TASK = Column("task", "Task of the contrast")
_SHARES = (
    *_OF_POINTS[1:],
    Column("people", "Number of people"),
    Column("component", "Number of the component, the largest first"),
    Column("share", "Share of the variance between people"),
    Column("cumulative", "The same of this component and all larger ones"),
)
_CLUSTERS = (
    _FEATURES,
    Column("people", "Number of people"),
    Column("contrasts", "Number of contrasts"),
    Column("silhouette", "Silhouette of the contrasts, -1 to 1 (Rousseeuw 1987)"),
    Column("task_silhouette", "Silhouette of the tasks"),
    Column("between_contrasts", "Share of the maps' variance between the contrasts' mean maps"),
    Column("between_people", "Share of the maps' variance between the people's mean maps"),
    Column("residual", "Residual share: between maps of one person and contrast, and noise"),
)


@dataclass(frozen=True, eq=False)
class _Layout:
    """Points of few dimensions: people by their maps of a contrast, or everybody's maps."""

    kind: FeatureKind
    contrast: str  # label; `TOGETHER`; empty: none
    people: tuple[str, ...]  # label of each point's person
    contrasts: tuple[str, ...]  # of each point; empty: a point is a person
    cloud: PointCloud
    components: Components
    umap: Values | None  # (points, 2)

    @classmethod
    def of(
        cls,
        kind: FeatureKind,
        contrast: str,
        people: Sequence[str],
        cloud: PointCloud,
        seed: int,
        contrasts: Sequence[str] = (),
    ) -> _Layout:
        found, umap = principal_components(cloud), None
        points, number = found.scores.shape
        if not umap_is_missing() and points >= FEWEST_FOR_UMAP and number > 1:
            say(f"UMAP of {counted(points, 'point')}; its first call compiles for a minute")
            umap = umap_layout(found.scores, seed)
        return cls(kind, contrast, tuple(people), tuple(contrasts), cloud, found, umap)

    @property
    def distances(self) -> Values:
        """(points,), of each point from the mean of all."""
        squares = np.maximum(np.diag(self.cloud.products), 0.0)
        return np.asarray(np.sqrt(squares / max(self.cloud.columns, 1)))

    @property
    def plane(self) -> tuple[str, str, Values]:
        """Names of two axes, and coordinates (points, 2) for a picture."""
        if self.umap is not None:
            return "UMAP 1", "UMAP 2", self.umap
        return "component 1", "component 2", self.components.scores[:, :2]

    @property
    def title(self) -> str:
        """Kind and contrast."""
        return f"{self.kind.words}{f': {self.contrast}' if self.contrast else ''}"

    def coordinates(self, number: int) -> Row:
        """Return the cells of a point's coordinates."""
        own: Row = {f"pc{n}": v for n, v in enumerate(self.components.scores[number, :_AXES], 1)}
        if self.umap is not None:
            own |= {"umap1": self.umap[number, 0], "umap2": self.umap[number, 1]}
        return own


def run_embed(settings: Settings) -> int:
    """Write layouts, tables and the page; return how many people could not be read.

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
    tasks = {found.label: found.task for found in next(iter(people.averages.values()))[0].maps}
    failed: dict[str, str] = {}
    with results.begun():
        layouts: list[_Layout] = []
        for source in sources:
            say(f"{source.kind.words}: {counted(len(source.contrasts), 'table')}")
            with temporary_folder() as folder:
                layouts += _layouts(source, people.of(source.has), folder, failed)
        if not layouts:
            raise DatasetError(
                "nobody's maps differ from those of others", expected="maps that can be laid out"
            )
        _write(results, people, layouts, tasks, failed)
    return len(failed)


def _layouts(
    source: FeatureSource, people: GroupPeople, folder: Path, failed: dict[str, str]
) -> Iterator[_Layout]:
    """Yield layouts of people by all contrasts, by each, and of all maps of all contrasts."""
    kind, seed, several = source.kind, people.settings.modelling.seed, len(source.contrasts) > 1
    drawn = _draw(people.labels, _MOST_PEOPLE, seed)
    pooled = _draw(sorted(drawn), max(_MOST_MAPS // len(source.contrasts), FEWEST_POINTS), seed)
    clouds: dict[str, tuple[tuple[str, ...], PointCloud]] = {}
    pools: dict[str, _Pool] = {}
    for table in source.tables(people, folder):
        for label in table.failed.keys() - failed.keys():
            say(f"sub-{label} is left out of {table.title}: {table.failed[label]}")
        failed |= table.failed
        rows = np.array([n for n, label in enumerate(table.labels) if label in drawn], int)
        cloud = cloud_of([table.values], rows) if len(rows) >= FEWEST_POINTS else None
        if cloud is None or not cloud.total > 0:
            say(f"not looked at: {table.title}: {counted(len(rows), 'participant')} who differ")
            continue
        clouds[table.contrast] = tuple(table.labels[row] for row in rows), cloud
        if several:
            path = folder / f"pool-{len(pools)}.f32"
            pools[table.contrast] = _Pool.of(table, pooled, path)
    own = [_Layout.of(kind, name, *found, seed) for name, found in clouds.items()]
    if len(clouds) > 1 and len(common := _common(labels for labels, _ in clouds.values())) > 3:
        parts = [cloud.of(_rows(labels, common)) for labels, cloud in clouds.values()]
        yield _Layout.of(kind, TOGETHER, common, joined(parts), seed)
    yield from own
    if len(pools) > 1 and len(common := _common(pool.labels for pool in pools.values())) > 3:
        columns = reduce(np.intersect1d, (pool.columns for pool in pools.values()))
        tables = [pool.values(common, columns) for pool in pools.values()]
        of_contrasts = np.repeat(list(pools), len(common)).tolist()
        cloud = cloud_of(tables)
        yield _Layout.of(kind, TOGETHER, common * len(pools), cloud, seed, of_contrasts)


@dataclass(frozen=True, eq=False)
class _Pool:
    """Maps of a contrast of some people, in a file."""

    labels: tuple[str, ...]
    columns: NDArray[np.generic]  # what identifies them
    rows: MappedRows

    @classmethod
    def of(cls, table: FeatureTable, drawn: frozenset[str], path: Path) -> _Pool:
        columns = np.array(table.names) if table.places is None else table.places.positions
        labels = tuple(label for label in table.labels if label in drawn)
        with MappedRows(path, len(columns)) as rows:
            for row in _rows(table.labels, labels):
                rows.add(table.values[row])
        return cls(labels, columns, rows)

    def values(self, labels: Sequence[str], columns: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the maps of some people in some columns."""
        found = self.rows.array(np.flatnonzero(np.isin(self.columns, columns)))
        return found if tuple(labels) == self.labels else found[_rows(self.labels, labels)]


def _draw(labels: Sequence[str], most: int, seed: int) -> frozenset[str]:
    if len(labels) <= most:
        return frozenset(labels)
    say(f"laid out: {most} of {counted(len(labels), 'participant')}, drawn with seed {seed}")
    return frozenset(np.random.default_rng(seed).choice(labels, most, replace=False).tolist())


def _common(labels: Iterator[Sequence[str]]) -> tuple[str, ...]:
    return tuple(sorted(set.intersection(*map(set, labels))))


def _rows(people: Sequence[str], labels: Sequence[str]) -> NDArray[np.intp]:
    """Return the positions of some people among others."""
    position = {label: row for row, label in enumerate(people)}
    return np.array([position[label] for label in labels], np.intp)


def _write(
    results: ResultFolder,
    people: GroupPeople,
    layouts: Sequence[_Layout],
    tasks: Mapping[str, str],
    failed: Mapping[str, str],
) -> None:
    """Write tables and page; report the answer in a line."""
    of_people = [layout for layout in layouts if not layout.contrasts]
    of_maps = [layout for layout in layouts if layout.contrasts]
    clusters = [_clusters(layout, tasks) for layout in of_maps]
    results.table(
        "desc-people_coordinates",
        ResultTable(
            (*_OF_POINTS, _DISTANCE, *_COORDINATES),
            [
                _point(layout, n, layout.contrast) | {"distance": distance}
                for layout in of_people
                for n, distance in enumerate(layout.distances)
            ],
            "A person among all by the map of a contrast. Signs of components are such that the "
            "largest score is positive",
        ),
    )
    results.table(
        "desc-maps_coordinates",
        ResultTable(
            (*_OF_POINTS, _TASK, *_COORDINATES),
            [
                _point(layout, n, contrast) | {"task": tasks.get(contrast) or None}
                for layout in of_maps
                for n, contrast in enumerate(layout.contrasts)
            ],
            "A map among all maps of all contrasts",
        ),
    )
    shares = [row for layout in of_people for row in _shares(layout)]
    words = "A principal component of people"
    results.table("desc-people_components", ResultTable(_SHARES, shares, words))
    words = "Clusters of maps, and shares of their variance"
    results.table("desc-maps_clusters", ResultTable(_CLUSTERS, clusters, words))
    lead = " ".join(_answer(of_people[0], clusters))
    say(lead)
    how = {
        "people": counted(len(people), "participant"),
        "seed": people.settings.modelling.seed,
    }
    sections = [
        _maps_section(of_maps, clusters, tasks),
        _people_section(of_people),
        PageSection("How it was made", template="embed_how.html", facts=how),
    ]
    flags = [*people.flags, *people.flag_on_sites(), *_flags(people, failed)]
    results.page(AnalysisPageFacts("Embedding", lead, flags, sections, "../../index.html"))


def _point(layout: _Layout, number: int, contrast: str) -> Row:
    return {
        "participant_id": f"sub-{layout.people[number]}",
        "features": layout.kind.name,
        "contrast": contrast or None,
        **layout.coordinates(number),
    }


def _shares(layout: _Layout) -> Iterator[Row]:
    shares = layout.components.shares
    for n, (share, whole) in enumerate(zip(shares, np.cumsum(shares), strict=True), 1):
        yield {
            "features": layout.kind.name,
            "contrast": layout.contrast or None,
            "people": len(layout.people),
            "component": n,
            "share": share,
            "cumulative": whole,
        }


def _clusters(layout: _Layout, tasks: Mapping[str, str]) -> Row:
    distances = layout.cloud.distances()
    of_tasks = [tasks.get(contrast, "") for contrast in layout.contrasts]
    contrasts, people, residual = variance_shares(
        layout.cloud, np.array(layout.contrasts), np.array(layout.people)
    )
    return {
        "features": layout.kind.name,
        "people": len(set(layout.people)),
        "contrasts": len(set(layout.contrasts)),
        "silhouette": silhouette(distances, layout.contrasts),
        "task_silhouette": silhouette(distances, of_tasks) if all(of_tasks) else float("nan"),
        "between_contrasts": contrasts,
        "between_people": people,
        "residual": residual,
    }


def _answer(people: _Layout, clusters: Sequence[Row]) -> Iterator[str]:
    """Yield the answer in sentences: clusters of contrasts first, then people."""
    if clusters and len(people.people) >= FEWEST:
        first = clusters[0]
        found = float(str(first["silhouette"]))
        yield (
            f"The {first['contrasts']} contrasts form {_cluster_words(found)} clusters "
            f"(silhouette {found:.2f}); ".replace("-", "\N{MINUS SIGN}")
            + ", ".join(
                f"{float(str(first[name])):.0%} of the variance lies {words}".replace("%", " %")
                for name, words in (
                    ("between_contrasts", "between contrasts"),
                    ("between_people", "between people"),
                )
            )
            + "."
        )
    yield (
        f"{people.components.needed()} of {len(people.components.shares)} components carry 90 % of "
        f"the variance between {people.kind.words} of {counted(len(people.people), 'participant')}."
    )


def _cluster_words(found: float) -> str:
    """Return the words of Kaufman & Rousseeuw 1990, Finding groups in data, for a silhouette."""
    for least, words in ((0.7, "strong"), (0.5, "reasonable"), (0.25, "weak")):
        if found > least:
            return words
    return "no substantial"


def _flags(people: GroupPeople, failed: Mapping[str, str]) -> Iterator[Flag]:
    if few := too_few(len(people)):
        yield Flag("warning", few)
    if people.left_out:
        who = named([title for title, _ in people.left_out])
        yield Flag("note", f"{counted(len(people.left_out), 'average')} left out: {who}")
    if failed:
        who = named([f"sub-{label}" for label in sorted(failed)])
        yield Flag("warning", f"left out of some tables: {who}")
    if umap_is_missing():
        yield Flag("note", NO_UMAP.capitalize().replace("umap: pip", "UMAP: pip"))


def _scatter(layout: _Layout, what: str, groups: Sequence[str] = ()) -> Scatter:
    x, y, points = layout.plane
    return Scatter(f"{layout.kind.words}: {what}", x, y, points, groups)


def _maps_section(
    layouts: Sequence[_Layout], clusters: Sequence[Row], tasks: Mapping[str, str]
) -> PageSection:
    text = (
        "Each person's map of each contrast is a point. A contrast that is a cluster has maps that "
        "are alike in everybody. Predicted maps may cluster more than measured ones, as a model "
        "predicts the mean well and people's deviations from it poorly."
    )
    table = Table(
        "Silhouettes, from \N{MINUS SIGN}1 to 1, and shares of the maps' variance. A model that "
        "predicts the same maps for everybody would explain all that lies between contrasts.",
        (
            *("Maps", "silhouette of contrasts", "of tasks"),
            *("between contrasts", "between people", "neither"),
        ),
        [
            (layout.kind.words, *(float(str(row[column.name])) for column in _CLUSTERS[3:]))
            for layout, row in zip(layouts, clusters, strict=True)
        ],
    )
    pictures = [
        _scatter(layout, "maps by task", [tasks.get(c) or c for c in layout.contrasts])
        for layout in layouts
        if layout.components.scores.shape[1] > 1
    ]
    return PageSection("Contrasts", [text] if layouts else (), [table], scatters=pictures)


def _people_section(layouts: Sequence[_Layout]) -> PageSection:
    first = [next(one for one in layouts if one.kind is kind) for kind in _kinds(layouts)]
    rows = [
        (f"sub-{layout.people[n]}", layout.kind.words, float(layout.distances[n]), words)
        for layout in first
        for words, numbers in _ends(layout)
        for n in numbers
    ]
    shares = [
        (
            layout.title,
            len(layout.people),
            float(layout.components.shares[0]),
            layout.components.needed(),
            len(layout.components.shares),
        )
        for layout in layouts
    ]
    return PageSection(
        "People",
        [
            "Each person is a point, and lies at a distance from the people's mean. Far may mean "
            "motion or short rest: look at the report before you leave anybody out."
        ],
        [
            Table("The nearest and the farthest people", ("Person", "of", "distance", ""), rows),
            Table(
                "Components of people. For noise, nearly nine in ten would carry 90 % of the "
                "variance.",
                ("Maps", "people", "share of the first", "for 90 %", "of components"),
                shares,
            ),
        ],
        scatters=[
            _scatter(layout, "people") for layout in first if layout.components.scores.shape[1] > 1
        ],
    )


def _kinds(layouts: Sequence[_Layout]) -> list[FeatureKind]:
    return list({layout.kind.name: layout.kind for layout in layouts}.values())


def _ends(layout: _Layout) -> Iterator[tuple[str, list[int]]]:
    order = np.argsort(layout.distances, kind="stable").tolist()
    shown = min(_SHOWN, len(order) // 2)
    yield "near", order[:shown]
    yield "far", order[-shown:][::-1]
