"""Features of many people: (people, columns), one contrast at a time.

They are in a memory-mapped file of a temporary folder: a contrast of 10,000 people at 2 mm is
6 GB. Each person's files are read once.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.frames import atlas_key, find_atlas_key, read_regions, region_tables
from bids_dtg.cohort.kept_means import Figures, KeptMeans, figures_of_map
from bids_dtg.cohort.measured_maps import choose_measured, read_measured
from bids_dtg.cohort.people import GroupPeople, read_edges, read_map
from bids_dtg.errors import DatasetError, DtgError, RunError, SettingsError
from bids_dtg.files.array_store import ArrayStore, MappedRows
from bids_dtg.files.names import parse_name, plain_label
from bids_dtg.files.text import read_rows
from bids_dtg.imaging.atlas import Atlas, choose_atlases
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.statmaps import (
    StatMap,
    chosen_contrasts,
    plain_contrast,
    statmaps_place,
)
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.notices import counted, say, show
from bids_dtg.report.contents import AverageFiles
from bids_dtg.workflows import FeatureKind

Row = NDArray[np.float32]
Rows = tuple[tuple[Any, ...], ...]  # of a table of regions: contrast, index and name
Value = TypeVar("Value", bound=Hashable)

# First tables whose rows decide which rows all should have.
_DECIDE = 9
_KEYS = ("contrast", "index", "name")  # of a row of a table of regions
_AGAIN = "call the participant level again for this participant"


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """One contrast of some people."""

    source: FeatureSource
    contrast: str  # label; empty: none
    labels: tuple[str, ...]  # of the people whose files could be read, in order
    values: NDArray[np.float32]  # (people, columns), finite; mapped from a file
    kept: NDArray[np.intp]  # (columns,), those of the source's columns that all people have
    failed: Mapping[str, str]  # participants who could not be read, and why

    @property
    def title(self) -> str:
        """Kind and contrast, for messages."""
        name = self.source.kind.name
        return f"{name}: {self.contrast}" if self.contrast else name

    @property
    def places(self) -> VoxelPlaces | None:
        """Voxels of the columns; None where columns are no voxels."""
        if self.source.names or self.source.places is None:
            return None
        return VoxelPlaces(self.source.places.grid, self.source.places.positions[self.kept])

    @property
    def names(self) -> list[str]:
        """Names of the columns; none of voxels."""
        return [self.source.names[column] for column in self.kept] if self.source.names else []

    def volume(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float64] | None:
        """Return a value of each column at the voxels of the source; None where these are none."""
        if self.source.places is None:
            return None
        atlas = self.source.atlas
        number = len(self.source.names) or self.source.places.number
        whole = np.full(number + 1, np.nan)
        whole[self.kept] = values
        return whole[:-1] if atlas is None else whole[atlas.columns]


@dataclass(frozen=True, eq=False)
class FeatureSource:
    """Where features of one kind are read from."""

    kind: FeatureKind
    contrasts: tuple[str, ...]  # labels of the contrasts, in order; one empty label: none
    has: Mapping[str, Collection[str]]  # contrasts of each person with these features, by label
    read: Callable[[str, str], Row]  # returns a person's row of a contrast
    names: tuple[str, ...] = ()  # of the columns; empty: voxels
    places: VoxelPlaces | None = None  # that values lie at; None: at none that are known
    atlas: Atlas | None = None  # whose regions the columns are, at the places
    # Files of a person's map of a contrast; None: rows are no maps, which are checked.
    files: Callable[[str, str], Sequence[Path]] | None = None
    statistic: str = ""  # of measured maps

    def tables(self, people: GroupPeople, folder: Path) -> Iterator[FeatureTable]:
        """Yield the features of people, one contrast at a time.

        A contrast that nobody has is left out, and a line names it.

        Parameters
        ----------
        people
            Some people, each in `has`.
        folder
            Folder for temporary files; a table is invalid once the next one is requested.
        """
        left_out: DatasetError | None = None
        given = False
        for contrast in self.contrasts:
            those = people.of([label for label in people.labels if contrast in self.has[label]])
            if not len(those):
                continue
            try:
                table = self._table(those, contrast, folder)
            except DatasetError as err:
                left_out = err
                people.findings.add(f"the contrast is left out: {err}", contrast)
                continue
            given = True
            yield table
        if left_out is not None and not given:
            raise left_out

    def _table(self, people: GroupPeople, contrast: str, folder: Path) -> FeatureTable:
        """Read everybody's row into a mapped file, without columns in which a value is missing."""
        labels, failed = list[str](), dict[str, str]()
        maps: dict[str, Figures] = {}
        columns = len(self.names) or (self.places.number if self.places is not None else 0)
        kept = None
        if self.files is not None and self.atlas is not None:
            assert self.places is not None
            store = ArrayStore(people.output.path("group") / "cache" / "regions")
            name = f"{self.kind.name}/{contrast}"
            kept = KeptMeans(store, name, self.atlas, self.places, self.statistic)
        rows = MappedRows(folder / "features.f32", len(people.labels), columns)
        for label in people.labels:
            try:
                if kept is not None and self.files is not None:
                    read = partial(self.read, label, contrast)
                    row, maps[label] = kept.means(self.files(label, contrast), read)
                else:
                    row = self.read(label, contrast)
                    if self.files is not None:
                        maps[label] = figures_of_map(row)
                    elif not np.isfinite(row).any():
                        raise RunError(f"sub-{label} has no value")
            except DtgError as err:
                failed[label] = str(err)
            else:
                rows.add(row)
                labels.append(label)
        if kept is not None:
            kept.write()
        words = self.kind.words
        if not labels:
            raise DatasetError(f"nobody's {words} can be read: {next(iter(failed.values()))}")
        if not len(known := rows.known()):
            raise DatasetError(
                f"there is no place where all of {counted(len(labels), 'participant')} have {words}"
            )
        people.findings.compare(maps, contrast)
        return FeatureTable(self, contrast, tuple(labels), rows.array(known), known, failed)


def find_features(people: GroupPeople) -> tuple[FeatureSource, ...]:
    """Find all features that there are.

    Raises
    ------
    DatasetError
        Nobody has features of any kind.
    """
    found: list[FeatureSource] = []
    missing: list[DatasetError] = []
    for kind in people.feature_kinds.values():
        try:
            found.append(kind.find(kind, people))
        except DatasetError as err:
            missing.append(err)
    if not found:
        raise missing[0]
    for why in missing:
        say(f"features not looked at: {why}")
    return tuple(found)


def report_failed(table: FeatureTable, known: Collection[str]) -> dict[str, str]:
    """Report participants of a table who could not be read; return reasons by label."""
    failed = {label: why for label, why in table.failed.items() if label not in known}
    for label, why in failed.items():
        say(f"sub-{label} is left out: {why}")
    return failed


def print_plan(sources: Sequence[FeatureSource], lines: Iterable[str]) -> int:
    """Print features and plan of a dry run; return 0, the number of failures."""
    for source in sources:
        contrasts = "" if source.contrasts == ("",) else f", {len(source.contrasts)} contrasts"
        show(f"{source.kind.words} of {counted(len(source.has), 'participant')}{contrasts}")
    for line in lines:
        show(line)
    show("no map was read, and no output was written")
    return 0


def find_maps(kind: FeatureKind, people: GroupPeople) -> FeatureSource:
    """Find predicted maps, which everybody has: by region, or by voxel with ``--voxels``."""
    contrasts = _wanted(people, _labels(people))
    if not people.settings.statistics.voxels:
        tables = _region_source(kind, people)
        if tables is not None:
            return tables

    def files(label: str, contrast: str) -> list[Path]:
        paths = [_map_path(made, contrast) for made in people.averages[label]]
        return [path for path in paths if path is not None]

    def read(label: str, contrast: str) -> Row:
        return _mean([read_map(path, people.places) for path in files(label, contrast)])

    has = dict.fromkeys(people.labels, contrasts)
    return _of_maps(FeatureSource(kind, contrasts, has, read, files=files), people)


def _of_maps(source: FeatureSource, people: GroupPeople) -> FeatureSource:
    """Return a source of maps with its columns: voxels, or regions that are averaged."""
    if people.settings.statistics.voxels:
        return dataclasses.replace(source, places=people.places)
    if (atlas := find_atlas(people)) is None:
        raise DatasetError(
            "the default atlas has no region where the maps have values",
            remedy="give --atlases, or --voxels for tests of voxels",
        )
    names = tuple(atlas.parcels.values())
    return dataclasses.replace(source, names=names, places=people.places, atlas=atlas)


def find_atlas(people: GroupPeople, key: str = "") -> Atlas | None:
    """Return the first of ``--atlases``; None where it does not fit.

    By default that is the default one, with the subcortical structures of HCP's beside it.

    Parameters
    ----------
    people
        People with maps.
    key
        Of tables of regions: of another atlas, None is returned.
    """
    asked, here = people.settings.outputs.atlases[:1], TemplateFlow.here()
    try:
        found = choose_atlases(asked, people.places, templateflow=here)
    except SettingsError:
        if not key:
            raise
        return None
    if not found or key not in ("", found[0].key):
        return None
    return found[0] if asked or key else with_subcortex(found[0], people.places)


def with_subcortex(cortex: Atlas, places: VoxelPlaces) -> Atlas:
    """Return an atlas with the subcortical structures of HCP's behind its parcels.

    Parameters
    ----------
    cortex
        The atlas, whose parcels stay where both have one.
    places
        Voxels that it is at.
    """
    try:
        (below,) = choose_atlases(["HCP"], places, templateflow=TemplateFlow(None))
    except SettingsError:  # another template, or nothing of it at these places
        return cortex
    first = max(cortex.parcels)
    added = (cortex.labels == 0) & (below.labels > 0)
    labels = np.where(added, below.labels + first, cortex.labels)
    parcels = {**cortex.parcels, **{first + own: name for own, name in below.parcels.items()}}
    return Atlas(cortex.entities, labels, parcels, np.concatenate([cortex.voxels, below.voxels]))


def find_measured(
    kind: FeatureKind, people: GroupPeople, tasks: Mapping[str, str]
) -> FeatureSource:
    """Find measured maps of the predicted contrasts, read onto the grid of the predicted ones.

    Parameters
    ----------
    kind
        Row of the kind of features.
    people
        People whose maps are needed.
    tasks
        The task of each contrast that is known, as `name_targets` takes it.

    Raises
    ------
    DatasetError
        No folder of measured maps was given, or it has none of these people and contrasts.
    """
    place, _ = statmaps_place(people.settings.inputs.derivatives)
    if place is None:
        raise DatasetError(
            "no folder of measured maps was given", expected="--derivatives statmaps=PATH"
        )
    predicted = {plain_contrast(label): label for label in _labels(people)}
    asked = people.settings.inputs.session_label
    sessions = {None, *(plain_label(label, "ses") for label in asked)}

    def is_wanted(statmap: StatMap) -> bool:
        there = statmap.participant in people.averages and (
            not asked or statmap.session in sessions
        )
        return there and plain_contrast(statmap.contrast) in predicted

    space = people.places.grid.space
    chosen, statistic = choose_measured(place, space, tasks, asked, is_wanted)
    if not chosen:
        raise DatasetError(
            f"{place} has no measured map of these participants and contrasts",
            expected=f"labels such as sub-{people.labels[0]}, contrasts such as "
            f"{next(iter(predicted.values()))}",
        )
    has = {
        label: {predicted[key] for key in maps.target if key in predicted}
        for label, maps in chosen.items()
    }
    any_has = {contrast for own in has.values() for contrast in own}
    contrasts = _wanted(people, [label for label in predicted.values() if label in any_has])

    def sources(label: str, contrast: str) -> Sequence[Path]:
        return (chosen[label].target[plain_contrast(contrast)].files[statistic],)

    def read(label: str, contrast: str) -> Row:
        statmap = chosen[label].target[plain_contrast(contrast)]
        return read_measured(statmap, statistic, people.places.read)

    source = FeatureSource(kind, contrasts, has, read, files=sources, statistic=statistic)
    return _of_maps(source, people)


def _region_source(kind: FeatureKind, people: GroupPeople) -> FeatureSource | None:
    """Return means of regions in the tables of the participant level; None: not of everybody."""
    tables = {
        label: [
            path
            for made in averages
            for path in region_tables(made.title, made.maps[0].path.parent)
        ]
        for label, averages in people.averages.items()
    }
    keys = list(dict.fromkeys(_key_of(path) for own in tables.values() for path in own))
    asked = people.settings.outputs.atlases
    if len(keys) > 1 and not asked:
        say(f"tables of {len(keys)} atlases: Schaefer400 is used")
        asked = ("Schaefer400",)
    try:
        wanted = find_atlas_key(asked[0], keys, people.output.root) if asked and keys else keys[0]
    except (SettingsError, IndexError):  # no table is of it: regions are averaged from the maps
        return None
    paths = {
        label: [path for path in own if _key_of(path) == wanted] for label, own in tables.items()
    }
    if any(len(own) < len(people.averages[label]) for label, own in paths.items()):
        return None

    def read_all(label: str) -> tuple[Rows, Row]:
        (rows, *others), values = zip(*map(_region_means, paths[label]), strict=True)
        if any(own != rows for own in others):
            raise RunError(f"the tables of regions of sub-{label} differ in rows", remedy=_AGAIN)
        return rows, _mean(values)

    usual = _usual(people.labels, lambda label: read_all(label)[0])
    labels = list(dict.fromkeys(contrast for contrast, _, _ in usual))
    regions = tuple(name for contrast, _, name in usual if contrast == labels[0])
    if len(usual) != len(labels) * len(regions):
        raise DatasetError(
            f"the tables of regions in {people.output.root} have other rows of each contrast",
            remedy="call the participant level again",
        )
    contrasts = _wanted(people, labels)
    read_once: dict[str, Row] = {}

    def read(label: str, contrast: str) -> Row:
        if label not in read_once:
            rows, read_once[label] = read_all(label)
            if rows != usual:
                path = paths[label][0]
                found = f"{path} has other rows than most tables of this atlas"
                raise RunError(found, remedy=_AGAIN)
        start = labels.index(contrast) * len(regions)
        return read_once[label][start : start + len(regions)]

    atlas = find_atlas(people, wanted)
    fits = atlas is not None and tuple(atlas.parcels.values()) == regions
    has = dict.fromkeys(people.labels, contrasts)
    places = people.places if fits else None
    return FeatureSource(kind, contrasts, has, read, regions, places, atlas)


def _key_of(path: Path) -> str:
    return atlas_key(parse_name(path.name))


def _region_means(path: Path) -> tuple[Rows, Row]:
    """Return contrast, index and name of all rows of a table of regions, and their means."""
    try:
        table = read_regions(path, (*_KEYS, "mean"))
        with np.errstate(over="ignore"):  # infinity counts as no value
            values = table["mean"].to_numpy(np.float32)
    except DatasetError as err:
        raise err.as_kind(RunError) from err
    except (KeyError, ValueError) as err:
        raise RunError(
            f"{path} cannot be read: {err}", expected="a table of regions as the program writes it"
        ) from err
    return tuple(zip(*(table[name] for name in _KEYS), strict=True)), values


def _usual(labels: Iterable[str], read: Callable[[str], Value]) -> Value:
    """Return what most of the first readable people have, so that no damaged one decides alone."""
    found, damaged = list[Value](), list[DtgError]()
    for label in labels:
        try:
            found.append(read(label))
        except DtgError as err:  # reported where the participant is left out
            damaged.append(err)
        if len(found) == _DECIDE:
            break
    if not found:
        raise damaged[0]
    return Counter(found).most_common(1)[0][0]


def find_edges(kind: FeatureKind, people: GroupPeople) -> FeatureSource:
    """Find the correlations between ROI series of the runs behind the maps, upper triangle.

    Raises
    ------
    DatasetError
        Nobody has any.
    ValueError
        The kind names no file of runs.
    """
    if kind.run_file is None:
        raise ValueError(f"{kind.name} are read from files of runs, and none is named")
    file, paths = kind.run_file(), {}
    for label, averages in people.averages.items():
        runs = {title for made in averages for title in made.runs}
        own = [run for run in people.files[label].runs if run.title in runs]
        files = [run.files.get(file) for run in own]
        if files and None not in files:
            paths[label] = tuple(path for path in files if path is not None)
    if not paths:
        raise DatasetError(
            f"{people.output.root} has no matrices of correlations between ROIs (_relmat.tsv)",
            remedy="call the participant level again",
        )
    edges = _usual(paths, lambda label: len(read_edges(paths[label][0])))

    def read(label: str, contrast: str) -> Row:
        found = [read_edges(path) for path in paths[label]]
        if wrong := [len(own) for own in found if len(own) != edges]:
            raise RunError(f"sub-{label} has {wrong[0]} edges between ROIs", expected=f"{edges}")
        return _mean(found)

    rois = int((1 + np.sqrt(1 + 8 * edges)) / 2)
    upper = np.triu_indices(rois, 1)
    names = tuple(f"roi{i + 1:02d}-roi{j + 1:02d}" for i, j in zip(*upper, strict=True))
    return FeatureSource(kind, ("",), dict.fromkeys(paths, ("",)), read, names)


def find_scores(kind: FeatureKind, people: GroupPeople) -> FeatureSource:
    """Find scores of runs in the tables that the kind names; a person has the mean over runs.

    Raises
    ------
    DatasetError
        Nobody has any.
    """

    def rows(label: str) -> list[dict[str, str]]:
        return [row for made in people.averages[label] for row in read_rows(made.maps[0].path)]

    return _of_scores(kind, people.labels, rows)


def find_changes(kind: FeatureKind, people: GroupPeople) -> FeatureSource:
    """Find what an intervention changes in each person, in the output's one table of changes.

    Raises
    ------
    DatasetError
        There is no such table or there are several, or it has nobody.
    """
    name = people.settings.modelling.model_name or "*"
    found = sorted(people.output.path("group").glob(f"intervention-{name}/desc-people_changes.tsv"))
    if len(found) != 1:
        raise DatasetError(
            f"{people.output.root} has {counted(len(found), 'table')} of {kind.words}",
            expected="one",
            remedy="call --analysis intervene" if not found else "give --model-name",
        )
    rows: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(found[0]):
        rows.setdefault(row.get("participant_id", "").removeprefix("sub-"), []).append(row)
    has = [label for label in people.labels if label in rows]
    if not has:
        raise DatasetError(f"{found[0]} has nobody whose results are in {people.output.root}")

    return _of_scores(kind, has, rows.__getitem__)


def _of_scores(
    kind: FeatureKind, labels: Sequence[str], rows: Callable[[str], Sequence[Mapping[str, str]]]
) -> FeatureSource:
    """Return the scores in people's rows of tables, by the names of the rows; means over runs."""
    *named, value = kind.columns

    def scores(label: str) -> dict[str, float]:
        cells: dict[str, list[float]] = {}
        try:
            for row in rows(label):
                name = "_".join(row[column] for column in named)
                cells.setdefault(name, []).append(
                    float("nan" if row[value] == "n/a" else row[value])
                )
        except (KeyError, TypeError, ValueError) as err:
            raise RunError(
                f"{kind.words} of sub-{label} cannot be read: {err}",
                expected=f"columns {', '.join(kind.columns)}",
            ) from err
        if len({len(own) for own in cells.values()}) != 1:
            raise RunError(f"the runs of sub-{label} have different rows of {kind.words}, or none")
        return {name: float(np.mean(own)) for name, own in cells.items()}

    names = (*scores(labels[0]),)

    def read(label: str, contrast: str) -> Row:
        own = scores(label)
        if [*own] != [*names]:
            raise RunError(
                f"sub-{label} has other rows of {kind.words} than most people",
                expected=", ".join(names),
                remedy=_AGAIN,
            )
        return np.array([*own.values()], np.float32)

    return FeatureSource(kind, ("",), dict.fromkeys(labels, ("",)), read, names)


def _mean(rows: Sequence[NDArray[np.floating[Any]]]) -> Row:
    return np.asarray(np.mean(rows, axis=0, dtype=np.float64), np.float32)


def _labels(people: GroupPeople) -> list[str]:
    return [found.label for found in people.example.maps]


def _wanted(people: GroupPeople, there: Sequence[str]) -> tuple[str, ...]:
    """Return the contrasts of ``--contrast``; all if it names none."""
    asked = people.settings.modelling.contrast
    if not asked:
        return tuple(there)
    tasks = {found.label: found.task for found in people.example.maps}
    wanted = chosen_contrasts(asked, {label: tasks.get(label, "") for label in there})
    return tuple(label for label in there if label in wanted)


def _map_path(made: AverageFiles, contrast: str) -> Path | None:
    return next((found.path for found in made.maps if found.label == contrast), None)
