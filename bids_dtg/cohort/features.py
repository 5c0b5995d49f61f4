"""Features of many people: (people, columns), one contrast at a time.

They are in a memory-mapped file of a temporary folder: a contrast of 10,000 people at 2 mm is
6 GB. Each person's files are read once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.frames import atlas_key, find_atlas_key, region_tables
from bids_dtg.cohort.map_findings import MapsOfContrast
from bids_dtg.cohort.measured_maps import read_measured
from bids_dtg.cohort.people import GroupPeople, read_map
from bids_dtg.errors import DatasetError, DtgError, ForeignFileError, RunError
from bids_dtg.files.foreign import read_bytes, text_columns
from bids_dtg.files.mapped_rows import MappedRows
from bids_dtg.files.names import parse_name, plain_label
from bids_dtg.files.text import read_rows
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.statmap_files import find_statmap_files
from bids_dtg.inputs.statmaps import (
    Statistic,
    StatMap,
    choose_sessions,
    choose_statistic,
    chosen_contrasts,
    group_maps,
    in_space,
    name_targets,
    plain_contrast,
    statmaps_place,
)
from bids_dtg.notices import counted, say, show
from bids_dtg.report.contents import AverageFiles
from bids_dtg.settings.option import find_row
from bids_dtg.workflows import FeatureKind

Row = NDArray[np.float32]

# First tables whose rows decide which rows all should have.
_DECIDE = 9


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """One contrast of some people."""

    kind: FeatureKind  # kind of the features
    contrast: str  # label; empty: none
    labels: tuple[str, ...]  # of the people whose files could be read, in order
    values: NDArray[np.float32]  # (people, columns), finite; mapped from a file
    failed: Mapping[str, str]  # participants who could not be read, and why
    dropped: int = 0  # columns left out, as a participant has no value there
    places: VoxelPlaces | None = None  # of the columns; None: not voxels
    names: tuple[str, ...] = ()  # of the columns; empty: voxels
    atlas: str = ""  # key of the atlas whose regions the columns are; empty: no regions

    @property
    def title(self) -> str:
        """Kind and contrast, for messages."""
        return f"{self.kind.name}: {self.contrast}" if self.contrast else self.kind.name


@dataclass(frozen=True, eq=False)
class FeatureSource(ABC):
    """A source of features of one kind."""

    kind: FeatureKind
    contrasts: tuple[str, ...]  # labels of the contrasts, in order; one empty label: none
    has: frozenset[str]  # labels of people with these features

    @abstractmethod
    def tables(self, people: GroupPeople, folder: Path) -> Iterator[FeatureTable]:
        """Yield the features of people, one contrast at a time.

        Parameters
        ----------
        people
            Labels of people, all in `has`.
        folder
            Folder for temporary files; a table is invalid once the next one is requested.
        """


def find_features(people: GroupPeople, default: Sequence[str]) -> tuple[FeatureSource, ...]:
    """Find the features of ``--feature-sets``, or the available ones of `default`.

    Parameters
    ----------
    people
        People whose features are needed.
    default
        Kinds used without ``--feature-sets``; a line names those that nobody has.

    Raises
    ------
    SettingsError, DatasetError
        There is no such kind, or nobody has features of a requested kind, or of any.
    """
    asked = people.settings.statistics.feature_sets
    rows = people.feature_kinds
    kinds = [find_row(rows, "--feature-sets", name) for name in dict.fromkeys(asked or default)]
    found: list[FeatureSource] = []
    missing: list[DatasetError] = []
    for kind in kinds:
        try:
            found.append(kind.find(kind, people))
        except DatasetError as err:
            if asked:
                raise
            missing.append(err)
    if not found:
        raise missing[0]
    for why in missing:
        say(f"not looked at: {why}")
    return tuple(found)


def report_failed(table: FeatureTable, known: Collection[str]) -> dict[str, str]:
    """Report participants of a table who could not be read; return reasons by label."""
    failed = {label: why for label, why in table.failed.items() if label not in known}
    for label, why in failed.items():
        say(f"sub-{label} is left out: {why}")
    return failed


def print_plan(sources: Sequence[FeatureSource], lines: Iterable[str]) -> int:
    """Print features and plan of a dry run; return 0, the number of failures.

    Parameters
    ----------
    sources
        Features that would be read.
    lines
        Lines on what would be done with them.
    """
    for source in sources:
        contrasts = "" if source.contrasts == ("",) else f", {len(source.contrasts)} contrasts"
        show(f"{source.kind.words} of {counted(len(source.has), 'participant')}{contrasts}")
    for line in lines:
        show(line)
    show("no map was read, and no output was written")
    return 0


@dataclass(frozen=True, eq=False)
class MapFeatures(FeatureSource):
    """Maps of the output folder: predicted ones or their deviations."""

    path: Callable[[AverageFiles, str], Path | None]  # path of an average's map of a contrast
    places: VoxelPlaces
    may_be_flat: bool = False  # whether a map of one value alone is right

    def tables(self, people: GroupPeople, folder: Path) -> Iterator[FeatureTable]:
        """Yield tables of maps; several averages of a person are averaged.

        A contrast that nobody has is left out, and a line names it.
        """
        left_out: DatasetError | None = None
        given = False
        for contrast in self.contrasts:

            def read(label: str, contrast: str = contrast) -> Row:
                paths = [self.path(made, contrast) for made in people.averages[label]]
                rows = [read_map(path, self.places) for path in paths if path is not None]
                return _mean(rows)

            maps = MapsOfContrast(self.may_be_flat)
            try:
                filled = _fill(people, folder, self.places.number, read, self.kind.words, maps)
            except DatasetError as err:
                left_out = err
                people.findings.add(f"the contrast is left out: {err}", contrast)
                continue
            maps.report(contrast, people.findings)
            given = True
            yield _of_voxels(self.kind, contrast, filled, self.places)
        if left_out is not None and not given:
            raise left_out


def find_maps(kind: FeatureKind, people: GroupPeople) -> FeatureSource:
    """Find predicted maps, which everybody has."""
    contrasts = _wanted(people, _labels(people))
    return MapFeatures(kind, contrasts, frozenset(people.labels), _map_path, people.places)


@dataclass(frozen=True, eq=False)
class MeasuredFeatures(FeatureSource):
    """Measured maps, read onto the grid of the predicted ones."""

    maps: Mapping[str, Mapping[str, StatMap]]  # by label, then by plain contrast
    statistic: Statistic
    places: VoxelPlaces

    def tables(self, people: GroupPeople, folder: Path) -> Iterator[FeatureTable]:
        """Yield tables of measured maps: for each contrast, of the people who have its map."""
        for contrast in self.contrasts:
            key = plain_contrast(contrast)
            those = people.of([label for label in people.labels if key in self.maps[label]])
            if not len(those):
                continue

            def read(label: str, key: str = key) -> Row:
                return read_measured(self.maps[label][key], self.statistic, self.places.read)

            maps = MapsOfContrast()
            filled = _fill(those, folder, self.places.number, read, self.kind.words, maps)
            maps.report(contrast, people.findings)
            yield _of_voxels(self.kind, contrast, filled, self.places)


def find_measured(
    kind: FeatureKind, people: GroupPeople, tasks: Mapping[str, str]
) -> FeatureSource:
    """Find measured maps of the predicted contrasts.

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
    files, note = in_space(find_statmap_files(place).files, people.places.grid.space)
    files, of_tasks = name_targets(files, tasks)
    predicted = {plain_contrast(label): label for label in _labels(people)}
    preferred = [plain_label(label, "ses") for label in people.settings.inputs.session_label]
    by_person: dict[str, list[StatMap]] = {}
    for statmap in group_maps(files):
        if statmap.participant in people.averages and plain_contrast(statmap.contrast) in predicted:
            by_person.setdefault(statmap.participant, []).append(statmap)
    if not by_person:
        raise DatasetError(
            f"{place} has no measured map of these participants and contrasts",
            expected=f"labels such as sub-{people.labels[0]}, contrasts such as "
            f"{next(iter(predicted.values()))}",
        )
    chosen = {label: choose_sessions(maps, preferred) for label, maps in by_person.items()}
    statistic, of_runs = choose_statistic(chosen)
    for line in (note, of_tasks, of_runs):
        if line:
            say(line)
    there = {key for maps in chosen.values() for key in maps.target}
    contrasts = _wanted(people, [predicted[key] for key in predicted if key in there])
    return MeasuredFeatures(
        kind,
        contrasts,
        frozenset(chosen),
        {label: maps.target for label, maps in chosen.items()},
        statistic,
        people.places,
    )


@dataclass(frozen=True, eq=False)
class RegionFeatures(FeatureSource):
    """A column of the tables of regions."""

    paths: Mapping[str, tuple[Path, ...]]  # tables of each person's averages, by label
    column: str  # of the table
    regions: tuple[str, ...]  # names
    rows: NDArray[np.bool_]  # rows of a table with the wanted contrasts
    keys: bytes  # contrast, index and name of all rows of a table, the same for everybody
    atlas: str  # key of the atlas

    def tables(self, people: GroupPeople, folder: Path) -> Iterator[FeatureTable]:
        """Yield tables of region means, one contrast at a time."""
        yield from self.parts(self.together(people, folder))

    def parts(self, whole: FeatureTable) -> Iterator[FeatureTable]:
        """Yield the contrasts of a table of all contrasts (`together`)."""
        wanted = np.array([name.partition(": ")[0] for name in whole.names])
        for contrast in self.contrasts:
            columns = np.flatnonzero(wanted == contrast)
            if not len(columns):
                continue  # no region of it has a value for everybody
            own = slice(columns[0], columns[-1] + 1)  # rows of a contrast are contiguous
            yield FeatureTable(
                self.kind,
                contrast,
                whole.labels,
                whole.values[:, own],
                whole.failed,
                len(self.regions) - len(columns),
                names=tuple(name.partition(": ")[2] for name in whole.names[own]),
                atlas=self.atlas,
            )

    def together(self, people: GroupPeople, folder: Path) -> FeatureTable:
        """Return all contrasts' regions in one table, named "contrast: region"."""
        columns = len(self.contrasts) * len(self.regions)
        filled = _fill(people, folder, columns, self._read_of, self.kind.words)
        names = [f"{c}: {region}" for c in self.contrasts for region in self.regions]
        return _of_columns(self.kind, filled, names)

    def _read_of(self, label: str) -> Row:
        rows = [self._read(path) for path in self.paths[label]]
        return _mean(rows)

    def _read(self, path: Path) -> Row:
        keys, values = _region_rows(path, self.column)
        if keys != self.keys:
            raise RunError(
                f"{path} has other rows than most tables of this atlas",
                remedy="call the participant level again for this participant",
            )
        return values[self.rows]


def find_regions(kind: FeatureKind, people: GroupPeople) -> FeatureSource:
    """Find the means of regions."""
    return _find_regions(kind, people, "mean")


def _find_regions(kind: FeatureKind, people: GroupPeople, column: str) -> FeatureSource:
    tables = {
        label: [
            table
            for made in averages
            for table in region_tables(made.title, made.maps[0].path.parent)
        ]
        for label, averages in people.averages.items()
    }
    keys = dict.fromkeys(atlas_key(parse_name(p.name)) for own in tables.values() for p in own)
    if not keys:
        raise DatasetError(
            f"{people.output.root} has no tables of regions",
            remedy="call the participant level with --atlases",
        )
    wanted = _atlas(people, keys)
    paths = {
        label: tuple(path for path in own if atlas_key(parse_name(path.name)) == wanted)
        for label, own in tables.items()
    }
    paths = {label: own for label, own in paths.items() if len(own) == len(people.averages[label])}
    first, own_keys = _usual_table([path for own in paths.values() for path in own], column)
    table = read_rows(first)
    labels = list(dict.fromkeys(row["contrast"] for row in table))
    regions = tuple(row["name"] for row in table if row["contrast"] == labels[0])
    if len(table) != len(labels) * len(regions) or not own_keys:
        raise DatasetError(f"{first} is no table of regions as the program writes it")
    contrasts = _wanted(people, labels)
    rows = np.array([row["contrast"] in contrasts for row in table])
    return RegionFeatures(
        kind,
        tuple(label for label in labels if label in contrasts),
        frozenset(paths),
        paths,
        column,
        regions,
        rows,
        own_keys,
        wanted,
    )


def _usual_table(paths: Sequence[Path], column: str) -> tuple[Path, bytes]:
    """Return one of the tables with the rows that most have, and these rows.

    The first few that can be read decide: those of others are read once, when their values are.
    """
    alike: dict[bytes, list[Path]] = {}
    damaged: list[RunError] = []
    for path in paths:
        try:
            alike.setdefault(_region_rows(path, column)[0], []).append(path)
        except RunError as err:  # reported where the participant is left out
            damaged.append(err)
        if sum(map(len, alike.values())) == _DECIDE:
            break
    if damaged and not alike:
        raise damaged[0]
    if not alike:
        raise DatasetError(
            "no participant has a table of regions for each average of maps",
            remedy="call the participant level with --atlases",
        )
    keys, own = max(alike.items(), key=lambda item: len(item[1]))
    return own[0], keys


def _atlas(people: GroupPeople, keys: Mapping[str, None]) -> str:
    """Return the requested atlas, else the only one, else Schaefer's 400 parcels."""
    asked = people.settings.outputs.atlases
    if asked:
        return find_atlas_key(asked[0], keys, people.output.root)
    if len(keys) == 1:
        return next(iter(keys))
    say(f"tables of {len(keys)} atlases: Schaefer400 is used")
    return find_atlas_key("Schaefer400", keys, people.output.root)


@dataclass(frozen=True, eq=False)
class EdgeFeatures(FeatureSource):
    """Correlations between the series of ROIs, upper triangle."""

    paths: Mapping[str, tuple[Path, ...]]  # matrices of each person's runs, by label
    rois: int

    def tables(self, people: GroupPeople, folder: Path) -> Iterator[FeatureTable]:
        """Yield one table: the mean over each person's runs."""
        upper = np.triu_indices(self.rois, 1)

        def read(label: str) -> Row:
            rows = [_read_matrix(path, self.rois)[upper] for path in self.paths[label]]
            return _mean(rows)

        filled = _fill(people, folder, len(upper[0]), read, self.kind.words)
        names = [f"roi{i + 1:02d}-roi{j + 1:02d}" for i, j in zip(*upper, strict=True)]
        yield _of_columns(self.kind, filled, names)


def find_edges(kind: FeatureKind, people: GroupPeople) -> FeatureSource:
    """Find the correlations between ROI series of the runs behind the maps.

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
    first = [own[0] for own in islice(paths.values(), _DECIDE)]
    ((rois, _),) = Counter(len(read_rows(path)) for path in first).most_common(1)
    return EdgeFeatures(kind, ("",), frozenset(paths), paths, rois)


@dataclass(frozen=True, eq=False)
class ScoreFeatures(FeatureSource):
    """Scores of people, in small tables with a row a name."""

    names: tuple[str, ...]  # of the rows
    read: Callable[[str], Mapping[str, float]]  # returns a person's scores by name

    def tables(self, people: GroupPeople, folder: Path) -> Iterator[FeatureTable]:
        """Yield one table."""

        def read(label: str) -> Row:
            scores = self.read(label)
            if [*scores] != [*self.names]:
                raise RunError(
                    f"sub-{label} has other rows of {self.kind.words} than most people",
                    expected=", ".join(self.names),
                    remedy="call the participant level again for this participant",
                )
            return np.array([*scores.values()], np.float32)

        filled = _fill(people, folder, len(self.names), read, self.kind.words)
        yield _of_columns(self.kind, filled, self.names)


def find_scores(kind: FeatureKind, people: GroupPeople) -> FeatureSource:
    """Find scores of runs in the tables that the kind names; a person has the mean over runs.

    Raises
    ------
    DatasetError
        Nobody has any.
    """
    paths = {
        label: [made.maps[0].path for made in averages]
        for label, averages in people.averages.items()
    }

    def read(label: str) -> Mapping[str, float]:
        runs = [_scores_of(read_rows(path), kind, path) for path in paths[label]]
        if any([*run] != [*runs[0]] for run in runs):
            raise RunError(f"the runs of sub-{label} have different rows of {kind.words}")
        return {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}

    return ScoreFeatures(kind, ("",), frozenset(paths), (*read(next(iter(paths))),), read)


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

    def read(label: str) -> Mapping[str, float]:
        return _scores_of(rows[label], kind, found[0])

    return ScoreFeatures(kind, ("",), frozenset(has), (*read(has[0]),), read)


@dataclass(frozen=True, eq=False)
class _Filled:
    """Values read for everybody."""

    labels: tuple[str, ...]
    values: NDArray[np.float32]  # (people, kept columns)
    kept: NDArray[np.intp]  # (columns,), columns in which everybody has a value
    failed: dict[str, str] = field(default_factory=dict)


def _fill(
    people: GroupPeople,
    folder: Path,
    columns: int,
    read: Callable[[str], Row],
    words: str,
    maps: MapsOfContrast | None = None,
) -> _Filled:
    """Read everybody's row into a mapped file, without columns in which a value is missing.

    `maps`, where rows are maps, refuses those that cannot be used.

    Raises
    ------
    DatasetError
        Nobody could be read.
    """
    labels, failed = list[str](), dict[str, str]()
    with MappedRows(folder / "features.f32", columns) as rows:
        for label in people.labels:
            try:
                row = read(label)
                if not np.isfinite(row).any():
                    raise RunError(f"sub-{label} has no value")
                if maps is not None:
                    maps.add(label, row)
                rows.add(row)
            except DtgError as err:
                failed[label] = str(err)
            else:
                labels.append(label)
    if not labels:
        raise DatasetError(f"nobody's {words} can be read: {next(iter(failed.values()))}")
    if not len(kept := rows.known()):
        raise DatasetError(
            f"there is no place where all of {counted(len(labels), 'participant')} have {words}"
        )
    return _Filled(tuple(labels), rows.array(kept), kept, failed)


def _of_voxels(
    kind: FeatureKind, contrast: str, filled: _Filled, places: VoxelPlaces
) -> FeatureTable:
    kept = VoxelPlaces(places.grid, places.positions[filled.kept])
    dropped = places.number - kept.number
    return FeatureTable(kind, contrast, filled.labels, filled.values, filled.failed, dropped, kept)


def _of_columns(kind: FeatureKind, filled: _Filled, names: Sequence[str]) -> FeatureTable:
    dropped = len(names) - len(filled.kept)
    kept = tuple(names[column] for column in filled.kept)
    return FeatureTable(kind, "", filled.labels, filled.values, filled.failed, dropped, names=kept)


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


def _region_rows(path: Path, column: str) -> tuple[bytes, Row]:
    """Return contrast, index and name of all rows of a table of regions, and one column."""
    named = ("contrast", "index", "name")
    try:
        table = text_columns(read_bytes(path), path, lambda name: name in (*named, column))
        texts = table[column].to_numpy(str)
        texts[texts == "n/a"] = "nan"
        if "_" in (joined := "".join(texts)) or not joined.isascii():  # numpy reads 1_0 as 10
            raise ValueError(f"{column} has a value that is not a number")
        with np.errstate(over="ignore"):  # infinity counts as no value
            values = texts.astype(np.float32)
        contrasts, indices, names = (table[name] for name in named)
        keys = "\n".join(contrasts + "\t" + indices + "\t" + names).encode()
    except KeyError as err:
        raise RunError(
            f"{path} has no column {err}", expected="a table of regions as the program writes it"
        ) from err
    except (ForeignFileError, ValueError) as err:
        raise RunError(
            f"{path} cannot be read: {err}", expected="a table of regions as the program writes it"
        ) from err
    return keys, values


def _scores_of(
    rows: Sequence[Mapping[str, str]], kind: FeatureKind, path: Path
) -> dict[str, float]:
    """Return the values of a table's rows by their names; a value may be n/a."""
    *named, value = kind.columns
    try:
        cells = {"_".join(row[name] for name in named): row[value] for row in rows}
        found = {name: float("nan" if cell == "n/a" else cell) for name, cell in cells.items()}
    except (KeyError, TypeError, ValueError) as err:
        raise RunError(
            f"{path} cannot be read: {err}", expected=f"columns {', '.join(kind.columns)}"
        ) from err
    if not found:
        raise RunError(
            f"{path} is no table of {kind.words}", remedy="call the participant level again"
        )
    return found


def _read_matrix(path: Path, rois: int) -> NDArray[np.float64]:
    try:
        cells = [[float(cell) for cell in row.values()] for row in read_rows(path)]
        matrix = np.array(cells)
    except ValueError as err:
        raise RunError(f"{path} cannot be read: {err}", expected="a matrix of numbers") from err
    if matrix.shape != (rois, rois):
        raise RunError(f"{path} has the shape {matrix.shape}", expected=f"{(rois, rois)}")
    return matrix
