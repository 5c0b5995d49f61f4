"""Features of many people, (people, columns), one contrast at a time.

Each person is read once, and all contrasts go to a file in a temporary folder, of which one
contrast at a time is mapped: a contrast of 10,000 people at 2 mm takes 6 GB, so that voxels are
read a contrast at a time. Means of regions are cached in the output for the next analysis.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.maps import (
    choose_measured,
    facts_of_files,
    read_map,
    read_measured,
)
from bids_dtg.cohort.people import GroupPeople, read_edges
from bids_dtg.cohort.region_people import most_common
from bids_dtg.errors import DatasetError, DtgError, OutputError, RunError, SettingsError
from bids_dtg.files.array_store import ArrayStore, MappedRows
from bids_dtg.files.names import plain_label
from bids_dtg.files.text import read_rows
from bids_dtg.imaging.atlas import MIN_COVERAGE, Atlas, find_atlas, region_means
from bids_dtg.imaging.placement import PointSampling
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces, read_parcel_maps
from bids_dtg.imaging.surfaces.meshes import SIDES
from bids_dtg.imaging.surfaces.vertices import template_mesh
from bids_dtg.inputs.anatomy import USUAL_TEMPLATE
from bids_dtg.inputs.atlases import DEFAULT
from bids_dtg.inputs.run import SPACE
from bids_dtg.inputs.statmaps import (
    StatMap,
    chosen_contrasts,
    plain_contrast,
    statmaps_place,
)
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.notices import counted, named, say, show
from bids_dtg.stats.map_checks import LEAST_PEOPLE, SCALE_FACTOR, map_figures
from bids_dtg.workflows import FeatureKind, find_workflow

Row = NDArray[np.float32]
Files = Callable[[str, str], Sequence[Path]]  # of a person and contrast

ALL_CONTRASTS = "all"  # all contrasts together, in tables
_DECIDE = 9  # number of first people, whose most common names are expected of everybody
_FEWEST_VALUES = 20  # of a map; with fewer values, its scale is not checked


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """One contrast of some people."""

    source: FeatureSource
    contrast: str  # label; empty: none
    labels: tuple[str, ...]  # of the people whose files could be read, in order
    values: NDArray[np.float32]  # (people, columns), finite; memory-mapped
    kept: NDArray[
        np.intp
    ]  # (columns,), indices of the source's columns that all people have

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
        return VoxelPlaces(
            self.source.places.grid, self.source.places.positions[self.kept]
        )

    @property
    def names(self) -> list[str]:
        """Names of the columns; empty for voxels."""
        return (
            [self.source.names[column] for column in self.kept]
            if self.source.names
            else []
        )

    def volume(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float64] | None:
        """Return the columns' values at the voxels of the source; None without voxels."""
        if self.source.places is None:
            return None
        whole = np.full(self.source.columns + 1, np.nan)
        whole[self.kept] = values
        atlas = self.source.atlas
        return whole[:-1] if atlas is None else whole[atlas.columns]


@dataclass(frozen=True, eq=False)
class FeatureSource:
    """Where features of one kind are read from.

    All contrasts of a person are read in succession, and `read` may keep what it read last.
    """

    kind: FeatureKind
    contrasts: tuple[
        str, ...
    ]  # labels of the contrasts, in order; ("",) where there are none
    has: Mapping[
        str, Collection[str]
    ]  # contrasts of each person with these features, by label
    read: Callable[[str, str], Row]  # returns a person's row of a contrast
    names: tuple[str, ...] = ()  # of the columns; empty: voxels
    # Voxels of the maps; None where features are not maps.
    places: VoxelPlaces | None = None
    atlas: Atlas | None = None  # at these voxels, if columns are its regions

    @property
    def columns(self) -> int:
        """Number of columns, including those that some people lack."""
        return len(self.names) or (0 if self.places is None else self.places.number)

    def tables(self, people: GroupPeople, folder: Path) -> Iterator[FeatureTable]:
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
        left_out: DatasetError | None = None
        given = False
        for contrasts in self._read_together:
            rows, labels, why = self._read_rows(people, contrasts, folder)
            for number, contrast in enumerate(contrasts):
                if not labels[contrast] and contrast not in why:  # nobody has it
                    continue
                try:
                    table = self._table(
                        contrast, labels[contrast], why.get(contrast), rows, number
                    )
                except DatasetError as err:
                    left_out = err
                    people.note(f"the contrast is left out: {err}", contrast)
                    continue
                given = True
                for found in _odd_maps(table) if self.places is not None else ():
                    people.note(found, contrast)
                yield table
            rows.close()
        if left_out is not None and not given:
            raise left_out

    @property
    def _read_together(self) -> Sequence[Sequence[str]]:
        """Contrasts that are read in one pass over the people.

        All are, as a file may hold all contrasts of a person; but voxels of all contrasts would
        fill the disk, and each has files of its own.
        """
        return (
            [self.contrasts]
            if self.names
            else [[contrast] for contrast in self.contrasts]
        )

    def _read_rows(
        self, people: GroupPeople, contrasts: Sequence[str], folder: Path
    ) -> tuple[MappedRows, dict[str, list[str]], dict[str, str]]:
        """Read each person once; return the rows, labels of their people, and the first errors."""
        labels: dict[str, list[str]] = {contrast: [] for contrast in contrasts}
        why = dict[str, str]()  # by contrast
        rows = MappedRows(
            folder / "features.f32", len(contrasts), len(people.labels), self.columns
        )
        for label in people.labels:
            for number, contrast in enumerate(contrasts):
                if contrast not in self.has[label]:
                    continue
                try:
                    row = self.read(label, contrast)
                    if not np.isfinite(row).any():
                        raise RunError(f"sub-{label} has no value")
                except DtgError as err:
                    why.setdefault(contrast, str(err))
                    people.note_failed(label, err)
                else:
                    rows.add(number, row)
                    labels[contrast].append(label)
        return rows, labels, why

    def _table(
        self,
        contrast: str,
        labels: Sequence[str],
        why: str | None,
        rows: MappedRows,
        number: int,
    ) -> FeatureTable:
        """Map the rows of a contrast without columns that have missing values."""
        words = self.kind.words
        if not labels:
            raise DatasetError(f"no participant's {words} can be read: {why}")
        if not len(known := rows.complete_columns(number)):
            raise DatasetError(
                f"there is no location where all of {counted(len(labels), 'participant')} have "
                f"{words}"
            )
        return FeatureTable(
            self, contrast, tuple(labels), rows.table(number, known), known
        )


def _odd_maps(table: FeatureTable) -> Iterator[str]:
    """Yield sentences on maps with an unusual scale, and on people with identical maps."""
    labels, values, same = table.labels, table.values, dict[bytes, list[str]]()
    for label, row in zip(labels, values, strict=True):
        same.setdefault(hashlib.sha256(row.tobytes()).digest(), []).append(
            f"sub-{label}"
        )
    yield from (
        f"{named(who)} have the same map" for who in same.values() if len(who) > 1
    )
    if len(labels) >= LEAST_PEOPLE and values.shape[1] >= _FEWEST_VALUES:
        sds = np.array([row.std(dtype=np.float64) for row in values])
        for label, scale in zip(labels, sds / np.median(sds), strict=True):
            if not 1 / SCALE_FACTOR <= scale <= SCALE_FACTOR:
                yield f"the scale of the map of sub-{label} is {scale:.3g} times the median"


def find_features(people: GroupPeople) -> tuple[FeatureSource, ...]:
    """Find all features that the people have.

    Raises
    ------
    DatasetError
        Nobody has features of any kind.
    """
    found: list[FeatureSource] = []
    missing: list[DatasetError] = []
    for kind in find_workflow(people.settings.inputs.workflow).features.values():
        try:
            found.append(kind.find(kind, people))
        except DatasetError as err:
            missing.append(err)
    if not found:
        raise missing[0]
    for why in missing:
        say(f"left out: {why}")
    return tuple(found)


def note_incomplete(
    people: GroupPeople,
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
    some = set(labels) - set(complete)
    lacking = [f"sub-{label}" for label in people.labels if label in some]
    if lacking:
        who = f"{counted(len(lacking), 'participant')} without {kind.words} of every contrast"
        people.note(f"left out: {who} ({named(lacking)})", ALL_CONTRASTS)


def print_plan(sources: Sequence[FeatureSource], lines: Iterable[str]) -> int:
    """Print the features and the plan for ``--dry-run``; return 0, the number of failures."""
    for source in sources:
        contrasts = (
            "" if source.contrasts == ("",) else f", {len(source.contrasts)} contrasts"
        )
        show(
            f"{source.kind.words} of {counted(len(source.has), 'participant')}{contrasts}"
        )
    show(*lines)
    show("no map was read, and no output was written")
    return 0


def find_maps(kind: FeatureKind, people: GroupPeople) -> FeatureSource:
    """Find predicted maps, which everybody has, by region or, with ``--voxels``, by voxel."""
    contrasts = _wanted(people, [found.label for found in people.example.maps])

    def files(label: str, contrast: str) -> list[Path]:
        maps = [found for made in people.averages[label] for found in made.maps]
        return [found.path for found in maps if found.label == contrast]

    if (first := people.example.maps[0]).of_parcels:
        if people.settings.statistics.voxels:
            raise SettingsError(
                f"--voxels was given, and {first.path.name} has parcels"
            )

        @lru_cache(maxsize=1)
        def read_once(*paths: Path) -> list[tuple[ParcelPlaces, tuple[str, ...], Row]]:
            return [
                read_parcel_maps(path) for path in paths
            ]  # a file has all contrasts

        def read_parcels(label: str, contrast: str) -> tuple[tuple[str, ...], Row]:
            found = read_once(*files(label, contrast))
            values = _mean([values[maps.index(contrast)] for _, maps, values in found])
            return found[0][0].names, values

        return _of_names(kind, people.labels, read_parcels, contrasts)

    def read(label: str, contrast: str) -> Row:
        return _mean([read_map(path, people.places) for path in files(label, contrast)])

    return _of_maps(
        kind, people, contrasts, dict.fromkeys(people.labels, contrasts), files, read
    )


def find_measured(
    kind: FeatureKind, people: GroupPeople, tasks: Mapping[str, str]
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
    place, _ = statmaps_place(people.settings.inputs.derivatives)
    if place is None:
        raise DatasetError(
            "measured maps, as no folder of them was given",
            remedy="--derivatives statmaps=PATH, if you have some",
        )
    predicted = {
        plain_contrast(found.label): found.label for found in people.example.maps
    }
    asked = people.settings.inputs.session_label
    sessions = {None, *(plain_label(label, "ses") for label in asked)}

    def is_wanted(statmap: StatMap) -> bool:
        there = statmap.participant in people.averages and (
            not asked or statmap.session in sessions
        )
        return there and plain_contrast(statmap.contrast) in predicted

    parcels = parcels_of(people) if people.example.maps[0].of_parcels else None
    places = parcels or people.places
    space = people.places.grid.space if parcels is None else parcels.space
    try:
        chosen, statistic = choose_measured(place, space, tasks, asked, is_wanted)
    except (
        DatasetError
    ) as err:  # as the folder was asked for, nothing is tested without it
        raise err.as_kind(SettingsError) from err
    if not chosen:
        raise SettingsError(
            f"{place} has no measured map of these participants and contrasts",
            expected=f"labels such as sub-{people.labels[0]}, contrasts such as "
            f"{next(iter(predicted.values()))}",
        )
    has = {
        label: {predicted[key] for key in maps.target if key in predicted}
        for label, maps in chosen.items()
    }
    any_has = {contrast for own in has.values() for contrast in own}
    contrasts = _wanted(
        people, [label for label in predicted.values() if label in any_has]
    )

    def files(label: str, contrast: str) -> list[Path]:
        return [chosen[label].target[plain_contrast(contrast)].files[statistic]]

    def read(label: str, contrast: str) -> Row:
        statmap = chosen[label].target[plain_contrast(contrast)]
        return read_measured(statmap, statistic, places.read)

    if parcels is not None:
        return FeatureSource(kind, contrasts, has, read, parcels.names)
    return _of_maps(kind, people, contrasts, has, files, read)


def parcels_of(people: GroupPeople) -> ParcelPlaces:
    """Return the parcels of the first predicted maps that can be read.

    Raises
    ------
    RunError
        None can be read; the error is that of the first.
    """
    damaged = list[RunError]()
    for averages in people.averages.values():
        for made in averages:
            try:
                return read_parcel_maps(made.maps[0].path)[0]
            except RunError as err:
                damaged.append(err)
    raise damaged[0]


def _of_maps(
    kind: FeatureKind,
    people: GroupPeople,
    contrasts: tuple[str, ...],
    has: Mapping[str, Collection[str]],
    files: Files,
    read: Callable[[str, str], Row],
) -> FeatureSource:
    """Return a source of maps by voxel or by region."""

    def read_usable(label: str, contrast: str) -> Row:
        row = read(label, contrast)
        if why := map_figures(row).unusable:
            raise RunError(f"the map cannot be used: {why}")
        return row

    if people.settings.statistics.voxels:
        return FeatureSource(kind, contrasts, has, read_usable, places=people.places)
    atlas = _atlas_of(people)
    at_labels = _sampling(people.places, atlas)
    store = ArrayStore(people.output.path("group") / "cache" / "regions" / kind.name)
    facts = {
        "atlas": atlas.digest,
        "coverage": MIN_COVERAGE,
    }  # at the voxels of the maps

    @lru_cache(maxsize=1)
    def means(label: str) -> Mapping[str, Row | DtgError]:
        """Return a person's means, or the error, for each contrast; complete ones are cached."""
        own = [contrast for contrast in contrasts if contrast in has[label]]
        made_of = [file for one in own for file in facts_of_files(files(label, one))]
        of_names = hashlib.sha256(" ".join(file["name"] for file in made_of).encode())
        name, made_with = (
            f"sub-{label}_{of_names.hexdigest()[:8]}",
            {**facts, "files": made_of},
        )
        if store.has(name, made_with):
            with suppress(OutputError):  # a damaged file is made again
                return dict(zip(own, np.array(store.read(name)), strict=True))
        found: dict[str, Row | DtgError] = {}
        for contrast in own:
            try:
                values = at_labels(read_usable(label, contrast)[None])
                found[contrast] = region_means(values, atlas, MIN_COVERAGE)[0].astype(
                    np.float32
                )
            except DtgError as err:
                found[contrast] = err
        rows = [row for row in found.values() if not isinstance(row, DtgError)]
        if len(rows) == len(own):
            store.write(name, np.stack(rows), made_with)
        return found

    def read_means(label: str, contrast: str) -> Row:
        row = means(label)[contrast]
        if isinstance(row, DtgError):
            raise row
        return row

    names = tuple(atlas.parcels.values())
    drawn = (people.places, atlas) if atlas.surface is None else ()
    return FeatureSource(kind, contrasts, has, read_means, names, *drawn)


def _sampling(places: VoxelPlaces, atlas: Atlas) -> Callable[[Row], Row]:
    """Return how maps (maps, voxels) are read where an atlas has labels.

    Parcels of a surface are read at the template's vertices, which are the same for all people.
    """
    if atlas.surface is None:
        return lambda maps: maps
    mesh = template_mesh(places.grid.space)
    points = np.concatenate([mesh[side] for side in SIDES])
    return PointSampling.between(places, points).apply


def _atlas_of(people: GroupPeople) -> Atlas:
    """Return the first of ``--atlases``, else the default with HCP's subcortical structures."""
    asked = people.settings.outputs.atlases[:1]
    if asked:
        atlas, space = find_atlas(asked[0], people.places), people.places.grid.space
        if atlas.surface is not None and space not in (SPACE, USUAL_TEMPLATE):
            raise SettingsError(
                f"--atlases {asked[0]} was given for maps in {space}",
                expected=f"maps in {SPACE}, as parcels are of a surface in this space",
            )
        return atlas
    try:
        found = find_atlas(DEFAULT, people.places, templateflow=TemplateFlow(None))
    except SettingsError as err:  # another template, or another part of the brain
        raise DatasetError(
            "the default atlas has no region where the maps have values",
            remedy="give --atlases, or --voxels for tests of voxels",
        ) from err
    return with_subcortex(found, people.places)


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
        below = find_atlas("HCP", places, templateflow=TemplateFlow(None))
    except SettingsError:  # another template, or no overlap with these voxels
        return cortex
    first = max(cortex.parcels)
    added = (cortex.labels == 0) & (below.labels > 0)
    labels = np.where(added, below.labels + first, cortex.labels)
    parcels = {
        **cortex.parcels,
        **{first + own: name for own, name in below.parcels.items()},
    }
    return Atlas(
        cortex.entities, labels, parcels, np.concatenate([cortex.voxels, below.voxels])
    )


def find_edges(kind: FeatureKind, people: GroupPeople) -> FeatureSource:
    """Find the correlations between ROI series (upper triangle) of the runs behind the maps.

    Raises
    ------
    DatasetError
        Nobody has such matrices.
    """
    assert kind.run_file is not None
    file, paths = kind.run_file(), dict[str, list[Path]]()
    for label, averages in people.averages.items():
        runs = {title for made in averages for title in made.runs}
        own = [run.files for run in people.runs[label] if run.title in runs]
        if own and all(file in files for files in own):
            paths[label] = [files[file] for files in own]
    if not paths:
        raise DatasetError(
            f"{people.output.root} has no matrices of correlations between ROIs (_relmat.tsv)",
            remedy="run the participant level again",
        )

    def read(label: str, _: str) -> tuple[tuple[str, ...], Row]:
        rows = [read_edges(path) for path in paths[label]]
        return _edge_names(len(rows[0])), _mean(rows)

    return _of_names(kind, tuple(paths), read)


@cache
def _edge_names(edges: int) -> tuple[str, ...]:
    upper = np.triu_indices(int((1 + np.sqrt(1 + 8 * edges)) / 2), 1)
    return tuple(f"roi{i + 1:02d}-roi{j + 1:02d}" for i, j in zip(*upper, strict=True))


def find_scores(kind: FeatureKind, people: GroupPeople) -> FeatureSource:
    """Find scores in the kind's tables of runs, averaged over each person's runs."""

    def rows(label: str) -> list[dict[str, str]]:
        return [
            row
            for made in people.averages[label]
            for row in read_rows(made.maps[0].path)
        ]

    return _of_names(
        kind, people.labels, lambda label, _: _scores(kind, label, rows(label))
    )


def find_changes(kind: FeatureKind, people: GroupPeople) -> FeatureSource:
    """Find each person's changes by an intervention, in the only such table of the output.

    Raises
    ------
    DatasetError
        There is no such table, or there are several, or it has none of these people.
    """
    name = people.settings.modelling.model_name or "*"
    found = sorted(
        people.output.path("group").glob(f"intervention-{name}/desc-people_changes.tsv")
    )
    if len(found) != 1:
        raise DatasetError(
            f"{people.output.root} has {counted(len(found), 'table')} of {kind.words}",
            expected="one",
            remedy="run --analysis intervene" if not found else "give --model-name",
        )
    rows: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(found[0]):
        rows.setdefault(row.get("participant_id", "").removeprefix("sub-"), []).append(
            row
        )
    has = tuple(label for label in people.labels if label in rows)
    if not has:
        raise DatasetError(
            f"{found[0]} has none of the participants of {people.output.root}"
        )
    return _of_names(kind, has, lambda label, _: _scores(kind, label, rows[label]))


def _scores(
    kind: FeatureKind, label: str, rows: Sequence[Mapping[str, str]]
) -> tuple[tuple[str, ...], Row]:
    """Return the names of a person's scores and their means over runs, from rows of tables."""
    *columns, value = kind.columns
    cells: dict[str, list[float]] = {}
    try:
        for row in rows:
            score = float("nan" if row[value] == "n/a" else row[value])
            cells.setdefault("_".join(row[column] for column in columns), []).append(
                score
            )
    except (KeyError, TypeError, ValueError) as err:
        raise RunError(
            f"{kind.words} of sub-{label} cannot be read: {err}",
            expected=f"columns {', '.join(kind.columns)}",
        ) from err
    if len({len(own) for own in cells.values()}) != 1:
        raise RunError(
            f"the runs of sub-{label} have no {kind.words}, or different ones"
        )
    return tuple(cells), _mean(np.array([*cells.values()]).T)


def _of_names(
    kind: FeatureKind,
    labels: Sequence[str],
    read: Callable[[str, str], tuple[tuple[str, ...], Row]],
    contrasts: tuple[str, ...] = ("",),
) -> FeatureSource:
    """Return a source of named numbers; people whose names differ from most are refused.

    Parameters
    ----------
    kind, labels
        The kind of features, and the people who have them.
    read
        Returns a person's names and numbers of a contrast.
    contrasts
        Labels of the contrasts; one empty label where there are none.
    """
    first = list[tuple[str, ...]]()
    for label in labels:
        if len(first) < _DECIDE:
            with suppress(
                DtgError
            ):  # reported later, where the participant is left out
                first.append(read(label, contrasts[0])[0])
    if not first:
        raise DatasetError(f"no participant's {kind.words} can be read")
    names = most_common(first)

    def row(label: str, contrast: str) -> Row:
        own, values = read(label, contrast)
        if own != names:
            raise RunError(
                f"sub-{label} has other {kind.words} than most people",
                expected=named(names),
                remedy="run the participant level again for this participant",
            )
        return values

    return FeatureSource(kind, contrasts, dict.fromkeys(labels, contrasts), row, names)


def _mean(rows: Sequence[NDArray[np.floating[Any]]] | NDArray[np.floating[Any]]) -> Row:
    return np.asarray(np.mean(rows, axis=0, dtype=np.float64), np.float32)


def _wanted(people: GroupPeople, there: Sequence[str]) -> tuple[str, ...]:
    """Return the contrasts of ``--contrast``; all if it was not given."""
    asked = people.settings.modelling.contrast
    if not asked:
        return tuple(there)
    tasks = {found.label: found.task for found in people.example.maps}
    wanted = chosen_contrasts(asked, {label: tasks.get(label, "") for label in there})
    return tuple(label for label in there if label in wanted)
