"""People and their maps as points: components, UMAP, clusters, typical and atypical people.

Features of one contrast are read at a time. For each contrast, people are points; also for all
contrasts together. For some people, every map of every contrast is a point of one cloud, which
shows whether contrasts form clusters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.features import FeatureSource, FeatureTable
from bids_dtg.cohort.people import GroupPeople
from bids_dtg.extras import install_line
from bids_dtg.files.mapped_rows import MappedRows
from bids_dtg.notices import counted, say
from bids_dtg.stats.cohort.embedding import (
    FEWEST_FOR_UMAP,
    FEWEST_POINTS,
    Clusters,
    Components,
    VarianceShares,
    clusters,
    kept_neighbours,
    principal_components,
    umap_is_missing,
    umap_layout,
    variance_shares,
)
from bids_dtg.stats.cohort.point_cloud import PointCloud, cloud_of, joined
from bids_dtg.stats.cohort.typicality import Typicality, typicality
from bids_dtg.workflows import FeatureKind

Values = NDArray[np.float64]
Rows = NDArray[np.intp]

TOGETHER = "all contrasts"
ALL, WITHIN, PLANE, UMAP = (
    "all components",
    "without the contrasts' means",
    "first two components",
    "UMAP",
)
NO_UMAP = f"no UMAP: {install_line('umap')} adds it; principal components need nothing more"
_MOST_PEOPLE = 1000  # in a layout; of more, some are drawn
_MOST_POINTS = 4000  # maps in one cloud; of more, some are drawn


@dataclass(frozen=True, eq=False)
class Layout:
    """People as points, by their maps of a contrast or by all features of a kind."""

    kind: FeatureKind
    contrast: str  # label; `TOGETHER`; empty: none
    labels: tuple[str, ...]  # of the people
    components: Components
    umap: Values | None  # (people, 2)


@dataclass(frozen=True, eq=False)
class MapPoints:
    """Every map of every contrast of some people as points, contrast by contrast."""

    kind: FeatureKind
    labels: tuple[str, ...]  # of the people
    contrasts: tuple[str, ...]
    tasks: tuple[str, ...]  # of the contrasts; empty where not known
    components: Components
    umap: Values | None  # (points, 2)
    shares: VarianceShares
    figures: Mapping[str, MapFigures]  # by space of the distances

    @property
    def people(self) -> Rows:
        """(points,), number of each point's person in `labels`."""
        return np.tile(np.arange(len(self.labels)), len(self.contrasts))

    @property
    def of_contrasts(self) -> Rows:
        """(points,), number of each point's contrast."""
        return np.repeat(np.arange(len(self.contrasts)), len(self.labels))


@dataclass(frozen=True)
class MapFigures:
    """How well maps cluster, by their distances in one space."""

    contrasts: Clusters  # neighbours are other people's maps
    people: Clusters  # neighbours are maps of other contrasts
    task_silhouette: float  # NaN if tasks are not known
    kept: float  # trustworthiness of the neighbours


@dataclass(frozen=True, eq=False)
class Embedded:
    """Results for one kind of features."""

    kind: FeatureKind
    layouts: tuple[Layout, ...]  # all contrasts together first, where there are several
    typical: Mapping[str, tuple[tuple[str, ...], Typicality]]  # people and scores, by contrast
    whole: tuple[tuple[str, ...], PointCloud] | None  # people, and the cloud of all contrasts
    maps: MapPoints | None
    failed: Mapping[str, str]  # participants who could not be read, and why


def embed(source: FeatureSource, people: GroupPeople, folder: Path) -> Embedded | None:
    """Lay out people and maps of one kind; None, and a report, if there are too few.

    Parameters
    ----------
    source
        Source of the features, contrast by contrast.
    people
        Labels of people with these features.
    folder
        Folder for temporary files: some gigabytes for a thousand points and more.
    """
    if len(people) < FEWEST_POINTS:
        say(f"not looked at: {source.kind.words} of {counted(len(people), 'participant')}")
        return None
    seed = people.settings.modelling.seed
    drawn = _draw(people.labels, _MOST_PEOPLE, seed)
    most = max(_MOST_POINTS // max(len(source.contrasts), 1), FEWEST_POINTS)
    pool = _Pool(folder, _draw(people.labels, most, seed))
    clouds: dict[str, tuple[tuple[str, ...], PointCloud]] = {}
    typical: dict[str, tuple[tuple[str, ...], Typicality]] = {}
    failed: dict[str, str] = {}
    for table in source.tables(people, folder):
        failed |= _failed(table, failed)
        if len(table.labels) < FEWEST_POINTS or not table.values.shape[1]:
            say(f"not looked at: {table.title}: {counted(len(table.labels), 'participant')}")
            continue
        rows = np.array([n for n, label in enumerate(table.labels) if label in drawn])
        own = tuple(table.labels[row] for row in rows)
        cloud = cloud_of([table.values], rows)
        if cloud.total > 0:
            clouds[table.contrast] = own, cloud
            typical[table.contrast] = table.labels, typicality(table.values)
        else:
            say(f"not looked at: {table.title}: the same for everybody")
        if len(source.contrasts) > 1:
            pool.add(table)
    if not clouds:
        return None
    whole = _whole(clouds)
    layouts = [_layout(source.kind, *item, seed) for item in clouds.items()]
    if whole is not None and len(clouds) > 1:
        layouts.insert(0, _layout(source.kind, TOGETHER, whole, seed))
        typical = {TOGETHER: _together(typical), **typical}
    maps = pool.laid_out(source.kind, _tasks(people), seed)
    return Embedded(source.kind, tuple(layouts), typical, whole, maps, failed)


def _failed(table: FeatureTable, known: Mapping[str, str]) -> dict[str, str]:
    for label, why in table.failed.items():
        if label not in known:
            say(f"sub-{label} is left out of {table.title}: {why}")
    return dict(table.failed)


def _draw(labels: Sequence[str], most: int, seed: int) -> frozenset[str]:
    if len(labels) <= most:
        return frozenset(labels)
    say(f"laid out: {most} of {counted(len(labels), 'participant')}, drawn with seed {seed}")
    return frozenset(np.random.default_rng(seed).choice(labels, most, replace=False).tolist())


def _tasks(people: GroupPeople) -> dict[str, str]:
    first = next(iter(people.averages.values()))[0]
    return {found.label: found.task for found in first.maps}


def _whole(
    clouds: Mapping[str, tuple[tuple[str, ...], PointCloud]],
) -> tuple[tuple[str, ...], PointCloud] | None:
    """Join all contrasts' columns, of people who have all; None if they are too few."""
    common = set.intersection(*(set(labels) for labels, _ in clouds.values()))
    if len(common) < FEWEST_POINTS:
        return None
    labels = tuple(sorted(common))
    own = [cloud.of(_rows(people, labels)) for people, cloud in clouds.values()]
    return labels, joined(own)


def _rows(people: Sequence[str], labels: Sequence[str]) -> Rows:
    """Return the positions of some people among others."""
    position = {label: row for row, label in enumerate(people)}
    return np.array([position[label] for label in labels])


def _together(
    typical: Mapping[str, tuple[tuple[str, ...], Typicality]],
) -> tuple[tuple[str, ...], Typicality]:
    """Combine contrasts: the root mean squared distance, and the mean of r."""
    common = set.intersection(*(set(labels) for labels, _ in typical.values()))
    labels = tuple(sorted(common))
    rows = [_rows(own, labels) for own, _ in typical.values()]
    distances = [
        found.distance[row] for row, (_, found) in zip(rows, typical.values(), strict=True)
    ]
    r = [found.r[row] for row, (_, found) in zip(rows, typical.values(), strict=True)]
    return labels, Typicality(np.sqrt(np.mean(np.square(distances), axis=0)), np.mean(r, axis=0))


def _layout(
    kind: FeatureKind, contrast: str, of: tuple[tuple[str, ...], PointCloud], seed: int
) -> Layout:
    labels, cloud = of
    components = principal_components(cloud)
    return Layout(kind, contrast, labels, components, _umap(components, seed))


def _umap(components: Components, seed: int) -> Values | None:
    points, number = components.scores.shape
    if umap_is_missing() or points < FEWEST_FOR_UMAP or number < 2:
        return None
    return umap_layout(components.scores, seed)


@dataclass(eq=False)
class _Pool:
    """Maps of all contrasts of some people, in memory-mapped files."""

    folder: Path
    drawn: frozenset[str]  # labels of the people
    tables: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # by contrast
    _columns: NDArray[np.generic] | None = None  # identities of the first table's columns
    _having: set[str] = field(default_factory=set)  # people with all maps so far

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Labels of the people, in the order of rows."""
        return tuple(sorted(self.drawn))

    def add(self, table: FeatureTable) -> None:
        """Keep the rows of a contrast, in the columns of the first one."""
        columns = np.array(table.names) if table.places is None else table.places.positions
        if self._columns is None:
            self._columns, self._having = columns, set(self.labels)
        _, here, there = np.intersect1d(self._columns, columns, True, return_indices=True)
        position = {label: row for row, label in enumerate(table.labels)}
        self._having &= set(position)
        path = self.folder / f"pool-{len(self.tables)}.f32"
        with MappedRows(path, len(self._columns)) as rows:
            for label in self.labels:
                row = np.full(len(self._columns), np.nan, np.float32)
                if label in position:
                    row[here] = table.values[position[label]][there]
                rows.add(row)
        self.tables[table.contrast] = rows.array(np.arange(len(self._columns)))

    def laid_out(self, kind: FeatureKind, tasks: Mapping[str, str], seed: int) -> MapPoints | None:
        """Lay the maps out; None if people or contrasts are too few."""
        labels = tuple(label for label in self.labels if label in self._having)
        if len(self.tables) < 2 or len(labels) < FEWEST_POINTS:
            return None
        rows = _rows(self.labels, labels)
        cloud = cloud_of(list(self.tables.values()), rows)
        components = principal_components(cloud)
        if components.scores.shape[1] < 2:
            return None
        made = MapPoints(
            kind,
            labels,
            tuple(self.tables),
            tuple(tasks.get(contrast, "") for contrast in self.tables),
            components,
            _umap(components, seed),
            variance_shares(
                cloud,
                np.repeat(np.arange(len(self.tables)), len(rows)),
                np.tile(np.arange(len(rows)), len(self.tables)),
            ),
            {},
        )
        return _with_figures(made, cloud)


def _with_figures(made: MapPoints, cloud: PointCloud) -> MapPoints:
    from scipy.spatial.distance import cdist

    whole = cloud.distances()
    tasks = np.array(made.tasks)[made.of_contrasts]
    known = all(made.tasks) and 1 < len(set(made.tasks)) < len(tasks)

    def figures(distances: Values, layout: Values | None = None) -> MapFigures:
        by_task = clusters(distances, tasks, made.people).silhouette if known else float("nan")
        return MapFigures(
            clusters(distances, made.of_contrasts, made.people),
            clusters(distances, made.people, made.of_contrasts),
            by_task,
            float("nan") if layout is None else kept_neighbours(whole, layout),
        )

    found = {ALL: figures(whole), WITHIN: figures(cloud.within(made.of_contrasts).distances())}
    for name, layout in _planes(made):
        found[name] = figures(cdist(layout, layout), layout)
    return dataclasses.replace(made, figures=found)


def _planes(made: MapPoints) -> Iterator[tuple[str, Values]]:
    yield PLANE, made.components.scores[:, :2]
    if made.umap is not None:
        yield UMAP, made.umap
