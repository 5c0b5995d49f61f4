"""Features of many people, (people, columns), one contrast at a time.

Each person is read once, and all contrasts go to a file in a temporary folder, of which one
contrast at a time is mapped: a contrast of 10,000 people at 2 mm takes 6 GB, so that voxels are
read a contrast at a time. Means of regions are cached in the output for the next analysis.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from statistics import mode
from typing import Any

import numpy as np

from bids_dtg.array_types import Float32, Float64, Floats, Indices
from bids_dtg.cohort.group_participants import GroupParticipants, read_edges
from bids_dtg.cohort.maps import (
    choose_measured,
    facts_of_files,
    map_reader,
    parcels_of,
    read_map,
    read_measured,
)
from bids_dtg.errors import DatasetError, DtgError, OutputError, RunError, SettingsError
from bids_dtg.files.array_store import ArrayStore, MappedRows
from bids_dtg.files.foreign import reading
from bids_dtg.files.names import plain_label
from bids_dtg.files.regions import ASYMMETRY
from bids_dtg.files.text import read_rows
from bids_dtg.imaging.atlas import MIN_COVERAGE, Atlas, find_atlas, region_means
from bids_dtg.imaging.placement import PointSampling
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces, read_parcel_maps
from bids_dtg.imaging.surfaces.meshes import both_sides
from bids_dtg.imaging.surfaces.vertices import template_mesh
from bids_dtg.inputs.anatomy import SURFACE_TEMPLATES
from bids_dtg.inputs.atlases import DEFAULT
from bids_dtg.inputs.run import SPACE
from bids_dtg.inputs.statmaps import (
    PersonMaps,
    Statistic,
    StatMap,
    chosen_contrasts,
    plain_contrast,
    statmaps_place,
)
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.notices import counted, named, say, show
from bids_dtg.stats.map_checks import LEAST_PEOPLE, SCALE_FACTOR, map_figures
from bids_dtg.workflows import FeatureKind, find_workflow

NamedRow = tuple[tuple[str, ...], Float32]  # names of the numbers, and the numbers
Files = Callable[[str, str], Sequence[Path]]  # of a person and contrast
ReadRow = Callable[[str, str], Float32]  # reads the row of a person and contrast

ALL_CONTRASTS = "all"  # all contrasts together, in tables
_DECIDE = 9  # number of first people, whose most common names are expected of everybody
_FEWEST_VALUES = 20  # of a map; with fewer values, its scale is not checked


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """One contrast of some people."""

    source: FeatureSource
    contrast: str  # label; empty: none
    labels: tuple[str, ...]  # of the people whose files could be read, in order
    values: Float32  # (people, columns), finite; memory-mapped
    # (columns,), indices of the source's columns that all people have.
    source_columns: Indices

    @property
    def title(self) -> str:
        """Kind and contrast, for messages."""
        name = self.source.kind.name
        return f"{name}: {self.contrast}" if self.contrast else name

    @property
    def places(self) -> VoxelPlaces | None:
        """Voxels of the columns; None where columns are not voxels."""
        if self.source.names or self.source.places is None:
            return None
        places = self.source.places
        return VoxelPlaces(places.grid, places.positions[self.source_columns])

    @property
    def names(self) -> list[str]:
        """Names of the columns; empty for voxels."""
        if not self.source.names:
            return []
        return [self.source.names[column] for column in self.source_columns]

    def volume(self, values: Floats) -> Float64:
        """Return the columns' values at the voxels of the source, which has some."""
        # The last value stands for voxels outside the atlas.
        source_values = np.full(self.source.columns + 1, np.nan)
        source_values[self.source_columns] = values
        atlas = self.source.atlas
        return source_values[:-1] if atlas is None else source_values[atlas.columns]


@dataclass(frozen=True, eq=False)
class FeatureSource:
    """Where features of one kind are read from.

    All contrasts of a person are read in succession, and `read_row` may keep what it read last.
    """

    kind: FeatureKind
    # Labels of the contrasts, in order; ("",) where there are none.
    contrasts: tuple[str, ...]
    # Contrasts of each person with these features, by label.
    has: Mapping[str, Collection[str]]
    read_row: ReadRow  # returns a person's row of a contrast
    names: tuple[str, ...] = ()  # of the columns; empty: voxels
    # Voxels of the maps; None where features are not maps.
    places: VoxelPlaces | None = None
    atlas: Atlas | None = None  # at these voxels, if columns are its regions

    @property
    def columns(self) -> int:
        """Number of columns, including those that some people lack."""
        return len(self.names) or (0 if self.places is None else self.places.number)

    def tables(self, people: GroupParticipants, folder: Path) -> Iterator[FeatureTable]:
        """Yield the features of people, one contrast at a time.

        A contrast that cannot be read for anybody is left out and printed, as is each participant
        who cannot be read.

        Parameters
        ----------
        people
            Some people, each in `has`.
        folder
            Folder for temporary files; a table is invalid once the next one is requested.
        """
        error: DatasetError | None = None
        any_table = False
        # A file may hold all contrasts of a person, so that they are read in one pass; but voxels
        # of all contrasts would fill the disk, and each has files of its own.
        one_by_one = [(contrast,) for contrast in self.contrasts]
        for contrasts in [self.contrasts] if self.names else one_by_one:
            rows, labels, errors = self._read_rows(people, contrasts, folder)
            for number, contrast in enumerate(contrasts):
                if not labels[contrast] and contrast not in errors:  # nobody has it
                    continue
                try:
                    if not labels[contrast]:
                        raise DatasetError(
                            f"no participant's {self.kind.words} can be read: "
                            f"{errors[contrast]}"
                        )
                    table = self._table(contrast, labels[contrast], rows, number)
                except DatasetError as err:
                    error = err
                    people.note(f"the contrast is left out: {err}", contrast)
                    continue
                any_table = True
                if self.places is not None:
                    for sentence in _odd_maps(table):
                        people.note(sentence, contrast)
                yield table
            rows.close()
        if error is not None and not any_table:
            raise error

    def _read_rows(
        self, people: GroupParticipants, contrasts: Sequence[str], folder: Path
    ) -> tuple[MappedRows, dict[str, list[str]], dict[str, str]]:
        """Read each person once; return the rows, labels of their people, and the first errors."""
        labels: dict[str, list[str]] = {contrast: [] for contrast in contrasts}
        errors = dict[str, str]()  # by contrast
        rows = MappedRows(
            folder / "features.f32", len(contrasts), len(people.labels), self.columns
        )
        for label in people.labels:
            for number, contrast in enumerate(contrasts):
                if contrast not in self.has[label]:
                    continue
                try:
                    row = self.read_row(label, contrast)
                    if not np.isfinite(row).any():
                        raise RunError(f"sub-{label} has no value")
                except DtgError as err:
                    errors.setdefault(contrast, str(err))
                    people.note_failed(label, err)
                else:
                    rows.add(number, row)
                    labels[contrast].append(label)
        return rows, labels, errors

    def _table(
        self, contrast: str, labels: Sequence[str], rows: MappedRows, number: int
    ) -> FeatureTable:
        """Map the rows of a contrast without columns that have missing values."""
        columns = rows.complete_columns(number)
        if not len(columns):
            raise DatasetError(
                f"there is no location where all of {counted(labels, 'participant')} have "
                f"{self.kind.words}"
            )
        values = rows.table(number, columns)
        return FeatureTable(self, contrast, tuple(labels), values, columns)


def _odd_maps(table: FeatureTable) -> Iterator[str]:
    """Yield sentences on maps with an unusual scale, and on people with identical maps."""
    labels, values = table.labels, table.values
    by_hash: dict[bytes, list[str]] = {}
    for label, row in zip(labels, values, strict=True):
        digest = hashlib.sha256(row.tobytes()).digest()
        by_hash.setdefault(digest, []).append(f"sub-{label}")
    for people in by_hash.values():
        if len(people) > 1:
            yield f"{named(people)} have the same map"
    if len(labels) >= LEAST_PEOPLE and values.shape[1] >= _FEWEST_VALUES:
        sds = np.array([row.std(dtype=np.float64) for row in values])
        for label, scale in zip(labels, sds / np.median(sds), strict=True):
            if not 1 / SCALE_FACTOR <= scale <= SCALE_FACTOR:
                yield f"the scale of the map of sub-{label} is {scale:.3g} times the median"


def find_features(people: GroupParticipants) -> tuple[FeatureSource, ...]:
    """Find all features that the people have.

    Raises
    ------
    DatasetError
        Nobody has features of any kind.
    """
    sources: list[FeatureSource] = []
    errors: list[DatasetError] = []
    for kind in find_workflow(people.settings.inputs.workflow).features.values():
        try:
            sources.append(kind.find(kind, people))
        except DatasetError as err:
            errors.append(err)
    if not sources:
        raise errors[0]
    for error in errors:
        say(f"left out: {error}")
    return tuple(sources)


def note_incomplete(
    people: GroupParticipants,
    kind: FeatureKind,
    labels: Collection[str],
    complete: Collection[str],
) -> None:
    """Name the people who lack a contrast, where all contrasts are analysed together.

    Parameters
    ----------
    people
        People of the analysis, who get the note.
    kind
        The kind of features.
    labels, complete
        People who have some contrasts, and those of them who have all.
    """
    incomplete = set(labels) - set(complete)
    lacking = [f"sub-{label}" for label in people.labels if label in incomplete]
    if lacking:
        number = counted(lacking, "participant")
        words = f"{number} without {kind.words} of every contrast"
        people.note(f"left out: {words} ({named(lacking)})", ALL_CONTRASTS)


def print_plan(sources: Sequence[FeatureSource], lines: Iterable[str]) -> int:
    """Print the features and the plan for ``--dry-run``; return 0, the number of failures."""
    for source in sources:
        line = f"{source.kind.words} of {counted(source.has, 'participant')}"
        if source.contrasts != ("",):
            line += f", {len(source.contrasts)} contrasts"
        show(line)
    show(*lines)
    show("no map was read, and no output was written")
    return 0


def find_maps(kind: FeatureKind, people: GroupParticipants) -> FeatureSource:
    """Find predicted maps, which everybody has, by region or, with ``--voxels``, by voxel."""
    contrasts = _chosen(people, [*people.tasks])

    def files(label: str, contrast: str) -> list[Path]:
        paths = []
        for average in people.averages[label]:
            paths += [file.path for file in average.maps if file.label == contrast]
        return paths

    first = people.example.maps[0]
    if first.has_parcels:
        if people.settings.statistics.voxels:
            raise SettingsError(
                f"--voxels was given, and {first.path.name} has parcels"
            )

        @lru_cache(maxsize=1)
        def read_once(
            *paths: Path,
        ) -> list[tuple[ParcelPlaces, tuple[str, ...], Float32]]:
            """Read files, each of which has all contrasts."""
            return [read_parcel_maps(path) for path in paths]

        def read_parcels(label: str, contrast: str) -> NamedRow:
            contents = read_once(*files(label, contrast))
            rows = [values[names.index(contrast)] for _, names, values in contents]
            parcels, _, _ = contents[0]
            return parcels.names, _mean(rows)

        return _named_numbers(kind, people.labels, read_parcels, contrasts)

    def read_voxels(label: str, contrast: str) -> Float32:
        row = _mean([read_map(path, people.places) for path in files(label, contrast)])
        if reason := map_figures(row).unusable:
            raise RunError(f"the map cannot be used: {reason}")
        return row

    has = dict.fromkeys(people.labels, contrasts)
    maps = FeatureSource(kind, contrasts, has, read_voxels)
    return _by_place(maps, people, files)


def find_measured(
    kind: FeatureKind, people: GroupParticipants, tasks: Mapping[str, str]
) -> FeatureSource:
    """Find measured maps of the predicted contrasts, at the predicted maps' voxels or parcels.

    Parameters
    ----------
    kind
        The kind of features.
    people
        People whose maps are needed.
    tasks
        The task of each known contrast, as for `name_targets`.

    Raises
    ------
    DatasetError
        No folder of measured maps was given.
    SettingsError
        It cannot be used, or has no map of these people and contrasts.
    """
    folder, _ = statmaps_place(people.settings.inputs.derivatives)
    if folder is None:
        raise DatasetError(
            "measured maps, as no folder of them was given",
            remedy="--derivatives statmaps=PATH, if you have some",
        )
    predicted = {plain_contrast(label): label for label in people.tasks}
    parcels = None
    if people.example.maps[0].has_parcels:
        _, parcels = parcels_of(chain.from_iterable(people.averages.values()))
    places = parcels or people.places
    space = people.places.grid.space if parcels is None else parcels.space
    measured, statistic = _measured(people, folder, space, tasks, predicted)
    has = {
        label: {predicted[key] for key in maps.target if key in predicted}
        for label, maps in measured.items()
    }
    present = set[str]().union(*has.values())
    labels = [label for label in predicted.values() if label in present]
    contrasts = _chosen(people, labels)

    def files(label: str, contrast: str) -> list[Path]:
        statmap = measured[label].target[plain_contrast(contrast)]
        return [statmap.files[statistic]]

    def read_row(label: str, contrast: str) -> Float32:
        statmap = measured[label].target[plain_contrast(contrast)]
        read_file = map_reader(places, statmap.space)
        return read_measured(statmap, statistic, read_file)

    if parcels is not None:
        return FeatureSource(kind, contrasts, has, read_row, parcels.names)
    return _by_place(FeatureSource(kind, contrasts, has, read_row), people, files)


def _measured(
    people: GroupParticipants,
    folder: Path,
    space: str,
    tasks: Mapping[str, str],
    predicted: Mapping[str, str],
) -> tuple[dict[str, PersonMaps], Statistic]:
    """Choose people's measured maps of the predicted contrasts, and the statistic.

    Raises
    ------
    SettingsError
        They cannot be used, or there are none. As the folder was given, nothing is tested without.
    """
    chosen_sessions = people.settings.inputs.session_label
    sessions = {None, *(plain_label(label, "ses") for label in chosen_sessions)}

    def is_wanted(statmap: StatMap) -> bool:
        return (
            statmap.participant in people.averages
            and (not chosen_sessions or statmap.session in sessions)
            and plain_contrast(statmap.contrast) in predicted
        )

    try:
        measured, statistic = choose_measured(
            folder, space, tasks, chosen_sessions, is_wanted
        )
    except DatasetError as err:
        raise err.as_kind(SettingsError) from err
    if not measured:
        raise SettingsError(
            f"{folder} has no measured map of these participants and contrasts",
            expected=f"labels such as sub-{people.labels[0]}, contrasts such as "
            f"{next(iter(predicted.values()))}",
        )
    return measured, statistic


def _by_place(
    maps: FeatureSource, people: GroupParticipants, files: Files
) -> FeatureSource:
    """Return the source of maps by voxel or by region, from one that reads voxels."""
    if people.settings.statistics.voxels:
        return replace(maps, places=people.places)
    atlas = _atlas_of(people)
    read_means = _means_of_regions(maps, people, files, atlas)
    regions = replace(maps, read_row=read_means, names=tuple(atlas.parcels.values()))
    if atlas.surface is not None:
        return regions
    return replace(regions, places=people.places, atlas=atlas)


def _means_of_regions(
    maps: FeatureSource, people: GroupParticipants, files: Files, atlas: Atlas
) -> ReadRow:
    """Return how a person's means of regions are read; complete ones are cached in the output."""
    at_labels = _sampling(people.places, atlas)
    cache = people.output.path("group") / "cache" / "regions" / maps.kind.name
    store = ArrayStore(cache)
    facts = {"atlas": atlas.digest, "coverage": MIN_COVERAGE}

    def mean_row(label: str, contrast: str) -> Float32:
        values = at_labels(maps.read_row(label, contrast)[None])
        means: Float64 = region_means(values, atlas, MIN_COVERAGE)[0]
        return means.astype(np.float32)

    @lru_cache(maxsize=1)
    def means(label: str) -> Mapping[str, Float32 | DtgError]:
        """Return a person's means, or the error, for each contrast."""
        contrasts = [name for name in maps.contrasts if name in maps.has[label]]
        sources: list[dict[str, Any]] = []
        for contrast in contrasts:
            sources += facts_of_files(files(label, contrast))
        file_names = " ".join(source["name"] for source in sources)
        digest = hashlib.sha256(file_names.encode()).hexdigest()
        name = f"sub-{label}_{digest[:8]}"
        provenance = {**facts, "files": sources}
        if store.has(name, provenance):
            with suppress(OutputError):  # a damaged file is made again
                return dict(zip(contrasts, np.array(store.read(name)), strict=True))
        rows: dict[str, Float32] = {}
        errors: dict[str, DtgError] = {}
        for contrast in contrasts:
            try:
                rows[contrast] = mean_row(label, contrast)
            except DtgError as err:
                errors[contrast] = err
        if not errors:
            store.write(name, np.stack([*rows.values()]), provenance)
        return {**rows, **errors}

    def read_means(label: str, contrast: str) -> Float32:
        row = means(label)[contrast]
        if isinstance(row, DtgError):
            raise row
        return row

    return read_means


def _sampling(places: VoxelPlaces, atlas: Atlas) -> Callable[[Float32], Float32]:
    """Return how maps (maps, voxels) are read where an atlas has labels.

    Parcels of a surface are read at the template's vertices, which are the same for all people.
    """
    if atlas.surface is None:
        return lambda maps: maps
    points = both_sides(template_mesh(places.grid.space))
    return PointSampling.between(places, points).apply


def _atlas_of(people: GroupParticipants) -> Atlas:
    """Return the first of ``--atlases``, else the default with HCP's subcortical structures."""
    names = people.settings.outputs.atlases
    if names:
        atlas, space = find_atlas(names[0], people.places), people.places.grid.space
        if atlas.surface is not None and space not in SURFACE_TEMPLATES:
            raise SettingsError(
                f"--atlases {names[0]} was given for maps in {space}",
                expected=f"maps in {SPACE}, as parcels are of a surface in this space",
            )
        return atlas
    try:
        cortex = find_atlas(DEFAULT, people.places, templateflow=TemplateFlow(None))
    except SettingsError as err:  # another template, or another part of the brain
        raise DatasetError(
            "the default atlas has no region where the maps have values",
            remedy="give --atlases, or --voxels for tests of voxels",
        ) from err
    return with_subcortex(cortex, people.places)


def with_subcortex(cortex: Atlas, places: VoxelPlaces) -> Atlas:
    """Return an atlas with HCP's subcortical structures appended to its parcels.

    Parameters
    ----------
    cortex
        The atlas, whose parcels win where the two overlap.
    places
        The voxels of the atlas.
    """
    try:
        subcortex = find_atlas("HCP", places, templateflow=TemplateFlow(None))
    except SettingsError:  # another template, or no overlap with these voxels
        return cortex
    last = max(cortex.parcels)
    is_added = (cortex.labels == 0) & (subcortex.labels > 0)
    labels = np.where(is_added, subcortex.labels + last, cortex.labels)
    added = {last + number: name for number, name in subcortex.parcels.items()}
    voxels = np.concatenate([cortex.voxels, subcortex.voxels])
    return Atlas(cortex.entities, labels, {**cortex.parcels, **added}, voxels)


def find_asymmetry(kind: FeatureKind, people: GroupParticipants) -> FeatureSource:
    """Find tables of left minus right of predicted maps, which are beside the maps.

    Raises
    ------
    DatasetError
        Nobody has such tables.
    """
    paths: dict[str, list[Path]] = {}
    for label, averages in people.averages.items():
        tables = [average.maps[0].beside(ASYMMETRY) for average in averages]
        if all(path.is_file() for path in tables):
            paths[label] = tables
    if not paths:
        raise DatasetError(f"{kind.words}, as maps are not of paired parcels")

    @lru_cache(maxsize=1)
    def read_once(label: str) -> list[dict[str, dict[str, float]]]:
        """Read a person's tables: values by contrast and pair."""
        tables = []
        for path in paths[label]:
            table: dict[str, dict[str, float]] = {}
            with reading(path, RunError):
                for row in read_rows(path):
                    values = table.setdefault(row["contrast"], {})
                    values[row["pair"]] = _number(row["predicted"])
            tables.append(table)
        return tables

    def read_named(label: str, contrast: str) -> NamedRow:
        sides = [table.get(contrast, {}) for table in read_once(label)]
        if len({tuple(values) for values in sides}) > 1:
            raise RunError(f"the tables of sub-{label} have different {kind.words}")
        rows = [np.array([*values.values()]) for values in sides]
        return tuple(sides[0]), _mean(rows)

    contrasts = _chosen(people, [*people.tasks])
    return _named_numbers(kind, tuple(paths), read_named, contrasts)


def find_edges(kind: FeatureKind, people: GroupParticipants) -> FeatureSource:
    """Find the correlations between ROI series (upper triangle) of the runs behind the maps.

    Raises
    ------
    DatasetError
        Nobody has such matrices.
    """
    assert kind.run_file is not None
    file = kind.run_file()
    paths: dict[str, list[Path]] = {}
    for label in people.labels:
        runs = people.averaged_runs(label)
        if runs and all(file in run.files for run in runs):
            paths[label] = [run.files[file] for run in runs]
    if not paths:
        raise DatasetError(
            f"{people.output.root} has no matrices of correlations between ROIs (_relmat.tsv)",
            remedy="run the participant level again",
        )

    def read_mean(label: str, _: str) -> NamedRow:
        rows = [read_edges(path) for path in paths[label]]
        return _edge_names(len(rows[0])), _mean(rows)

    return _named_numbers(kind, tuple(paths), read_mean)


@cache
def _edge_names(edges: int) -> tuple[str, ...]:
    upper = np.triu_indices(int((1 + np.sqrt(1 + 8 * edges)) / 2), 1)
    return tuple(f"roi{i + 1:02d}-roi{j + 1:02d}" for i, j in zip(*upper, strict=True))


def find_scores(kind: FeatureKind, people: GroupParticipants) -> FeatureSource:
    """Find scores in the kind's tables of runs, averaged over each person's runs."""

    def read_scores(label: str, _: str) -> NamedRow:
        rows: list[dict[str, str]] = []
        for average in people.averages[label]:
            rows += read_rows(average.maps[0].path)
        return _scores(kind, label, rows)

    return _named_numbers(kind, people.labels, read_scores)


def find_changes(kind: FeatureKind, people: GroupParticipants) -> FeatureSource:
    """Find each person's changes by an intervention, in the only such table of the output.

    Raises
    ------
    DatasetError
        There is no such table, or there are several, or it has none of these people.
    """
    name = people.settings.modelling.model_name or "*"
    group = people.output.path("group")
    paths = sorted(group.glob(f"intervention-{name}/desc-people_changes.tsv"))
    if len(paths) != 1:
        raise DatasetError(
            f"{people.output.root} has {counted(paths, 'table')} of {kind.words}",
            expected="one",
            remedy="run --analysis intervene" if not paths else "give --model-name",
        )
    rows: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(paths[0]):
        label = row.get("participant_id", "").removeprefix("sub-")
        rows.setdefault(label, []).append(row)
    labels = tuple(label for label in people.labels if label in rows)
    if not labels:
        raise DatasetError(
            f"{paths[0]} has none of the participants of {people.output.root}"
        )
    return _named_numbers(
        kind, labels, lambda label, _: _scores(kind, label, rows[label])
    )


def _scores(
    kind: FeatureKind, label: str, rows: Sequence[Mapping[str, str]]
) -> NamedRow:
    """Return the names of a person's scores and their means over runs, from rows of tables."""
    *columns, value = kind.columns
    scores: dict[str, list[float]] = {}  # of runs, by name
    try:
        for row in rows:
            name = "_".join(row[column] for column in columns)
            scores.setdefault(name, []).append(_number(row[value]))
    except (KeyError, TypeError, ValueError) as err:
        raise RunError(
            f"{kind.words} of sub-{label} cannot be read: {err}",
            expected=f"columns {', '.join(kind.columns)}",
        ) from err
    if len({len(run_scores) for run_scores in scores.values()}) != 1:
        raise RunError(
            f"the runs of sub-{label} have no {kind.words}, or different ones"
        )
    return tuple(scores), _mean(np.array([*scores.values()]).T)


def _named_numbers(
    kind: FeatureKind,
    labels: Sequence[str],
    read_named: Callable[[str, str], NamedRow],
    contrasts: tuple[str, ...] = ("",),
) -> FeatureSource:
    """Return a source of named numbers; people whose names differ from most are refused.

    Parameters
    ----------
    kind, labels
        The kind of features, and the people who have them.
    read_named
        Returns a person's names and numbers of a contrast.
    contrasts
        Labels of the contrasts; one empty label where there are none.
    """
    names_of_first_people = list[tuple[str, ...]]()
    for label in labels:
        if len(names_of_first_people) < _DECIDE:
            # An error is reported later, where the participant is left out.
            with suppress(DtgError):
                names, _ = read_named(label, contrasts[0])
                names_of_first_people.append(names)
    if not names_of_first_people:
        raise DatasetError(f"no participant's {kind.words} can be read")
    expected = mode(names_of_first_people)

    def read_row(label: str, contrast: str) -> Float32:
        names, values = read_named(label, contrast)
        if names != expected:
            raise RunError(
                f"sub-{label} has other {kind.words} than most people",
                expected=named(expected),
                remedy="run the participant level again for this participant",
            )
        return values

    has = dict.fromkeys(labels, contrasts)
    return FeatureSource(kind, contrasts, has, read_row, expected)


def _number(cell: str) -> float:
    return float("nan" if cell == "n/a" else cell)


def _mean(rows: Sequence[Floats] | Floats) -> Float32:
    return np.asarray(np.mean(rows, axis=0, dtype=np.float64), np.float32)


def _chosen(people: GroupParticipants, labels: Sequence[str]) -> tuple[str, ...]:
    """Return the contrasts of ``--contrast``; all if it was not given."""
    names = people.settings.modelling.contrast
    if not names:
        return tuple(labels)
    tasks = people.tasks
    chosen = chosen_contrasts(names, {label: tasks[label] for label in labels})
    return tuple(label for label in labels if label in chosen)
