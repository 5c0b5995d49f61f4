"""People with maps in the output folder, analysed together, and variables on them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.kept_means import MapFindings
from bids_dtg.cohort.known_people import copies_in_words, with_copies
from bids_dtg.cohort.mean_maps import choose_averages, require_grid
from bids_dtg.errors import DatasetError, ForeignFileError, RunError, SettingsError
from bids_dtg.files.derivatives import DerivativeDataset, participants_in
from bids_dtg.files.foreign import read_table
from bids_dtg.files.names import FileKind, parse_name, plain_label
from bids_dtg.files.provenance import completion_record
from bids_dtg.files.regions import NODE, RELMAT, read_numbers
from bids_dtg.files.text import read_json
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.dataset import find_dataset, select_participants
from bids_dtg.inputs.participants import (
    SITE_COLUMNS,
    Column,
    Families,
    ParticipantsTable,
    plain_column,
    read_families,
    read_participants,
)
from bids_dtg.inputs.rest_sketch import sketch_edges
from bids_dtg.inputs.statmaps import statmaps_place
from bids_dtg.notices import counted, named, say
from bids_dtg.participants.reports import existing_output, participants_asked
from bids_dtg.report.contents import (
    AverageFiles,
    MapFile,
    ParticipantFiles,
    find_participant,
    find_participant_labels,
    with_what_counts,
)
from bids_dtg.report.flags import Flag
from bids_dtg.report.inclusion import read_inclusion
from bids_dtg.report.presentation import presentation_of
from bids_dtg.report.quality import number
from bids_dtg.settings import InputOptions, Settings
from bids_dtg.stats.coding import Coded, add_levels, code
from bids_dtg.workflows import FeatureKind, find_workflow

# Keys kept of the sidecar of each participant's first map.
_KEPT = ("ModelSHA256", "Resolution", "DenoiseStrategy", "SpatialReference")
# Further ones of a run's results that are no maps.
_KEPT_OF_RUN = (*_KEPT, "ModelNotice", "NotForScience")


@dataclass(frozen=True, eq=False)
class GroupPeople:
    """People with maps of one model, in the order of their labels."""

    settings: Settings  # of the call
    output: DerivativeDataset
    files: Mapping[str, ParticipantFiles]  # all files of each, by label without sub-
    averages: Mapping[
        str, tuple[AverageFiles, ...]
    ]  # averages used of each, by label; see `example`
    table: ParticipantsTable | None  # table of participants; None: there is none
    related: Families  # families of the participants; labels with the same rest are one
    left_out: tuple[tuple[str, str], ...] = ()  # title of an average, and why it is not used
    findings: MapFindings = field(default_factory=MapFindings)  # of maps, once these were read

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the people, without sub-, sorted."""
        return tuple(self.averages)

    def __len__(self) -> int:
        return len(self.averages)

    def of(self, labels: Collection[str]) -> GroupPeople:
        """Return some of the people."""
        kept = {label: averages for label, averages in self.averages.items() if label in labels}
        return dataclasses.replace(self, averages=kept)

    def of_sessions(self, sessions: Sequence[str]) -> GroupPeople:
        """Return people with the results of some sessions alone.

        Raises
        ------
        DatasetError
            Nobody has any.
        """
        wanted = {f"_ses-{plain_label(session, 'ses')}_" for session in sessions}
        averages = {
            label: tuple(
                made for made in own if any(session in f"{made.title}_" for session in wanted)
            )
            for label, own in self.averages.items()
        }
        averages = {label: own for label, own in averages.items() if own}
        if not averages:
            raise DatasetError(
                f"no participant has results of session {' or '.join(sessions)}",
                remedy="call the participant level with --combine session, and check "
                "--session-label",
            )
        settings = self.settings.replace(session_label=tuple(sessions))
        return dataclasses.replace(self, settings=settings, averages=averages)

    @cached_property
    def families(self) -> NDArray[np.intp]:
        """(people,), number of each person's family; a person without a family counts as one."""
        names = [
            f"family {self.related.by_label[label]}"
            if label in self.related.by_label
            else f"person {label}"
            for label in self.labels
        ]
        return np.unique(names, return_inverse=True)[1].astype(np.intp)

    @cached_property
    def site_column(self) -> Column | None:
        """The table's column of sites, if these people are from two sites or more."""
        found = self.table.first_of(SITE_COLUMNS) if self.table is not None else None
        if found is None:
            return None
        assert self.table is not None  # as it has the column
        self.table.require_labels(self.labels)
        own = {found.texts.get(label, "") for label in self.labels}
        return found if len(own) > 1 else None

    @cached_property
    def sites(self) -> NDArray[np.intp] | None:
        """(people,), number of each person's site; None: one site, or none is known.

        A person without a known site has a site of their own.
        """
        if self.site_column is None:
            return None
        names = [
            self.site_column.texts.get(label) or f"\N{REPLACEMENT CHARACTER}{label}"
            for label in self.labels
        ]
        return np.unique(names, return_inverse=True)[1].astype(np.intp)

    def column(self, name: str) -> Column:
        """Return a variable of these people: a column of the table, else a measure of their runs.

        A measure of runs (``fd_mean``, ``minutes_kept``) is averaged over the person's runs.

        Raises
        ------
        SettingsError
            There is none, a cell is no number where most are, or labels are written otherwise.
        """
        found = self.any_column(name)
        if self.table is not None and found.name in self.table.columns:
            self.table.require_labels(self.labels)
        if found.stray:
            raise SettingsError(
                f"{found.name} has {found.stray}, and numbers of the others",
                expected="numbers, or n/a where nothing is known",
                remedy=f"if {found.name} is no number, list its Levels in the table's JSON file",
            )
        return found

    def any_column(self, name: str) -> Column:
        """Return what `column` returns, also where a cell is no number and most are.

        Raises
        ------
        SettingsError
            Nothing is known under the name.
        """
        found = None if self.table is None else self.table.columns.get(name)
        if found is None and name in (known := self._of_runs()):
            found = known[name]
        if found is None:
            if self.table is None:
                raise SettingsError(
                    f"there is no table of participants with a column {name}",
                    expected="--participants-file TSV, or participants.tsv in BIDS_DIR",
                )
            found = self.table.find(name)
        return found.of(self.labels)

    def origins(self, names: Sequence[str]) -> list[str]:
        """Return sentences that say where measures of runs are from: a table may have them, too."""
        found = []
        for name in dict.fromkeys(names):
            if name in self._of_runs():
                of_table = self.table is not None and name in self.table.columns
                where = self.table.path.name if self.table is not None and of_table else "the runs"
                found.append(f"{name} is that of {where}")
        return found

    def complete(self, names: Sequence[str]) -> GroupPeople:
        """Return people with a value of each name; report the others.

        Raises
        ------
        DatasetError
            Nobody has all values.
        """
        columns = [self.column(name) for name in names]
        for words in self.origins(names):
            say(words)
        lacking = {
            label: [column.name for column in columns if label not in column.texts]
            for label in self.labels
        }
        gone = {label: own for label, own in lacking.items() if own}
        if gone:
            missing = named(sorted({name for own in gone.values() for name in own}))
            who = named([f"sub-{label}" for label in gone])
            people = counted(len(gone), "participant")
            say(f"left out: {people} without a value of {missing} ({who})")
        if len(gone) == len(self):
            raise DatasetError(
                f"no participant with maps has a value of {named(list(names))}",
                expected=f"labels such as sub-{self.labels[0]} in the table",
            )
        return self.of([label for label in self.labels if label not in gone])

    def covariates(self, names: Sequence[str]) -> Coded:
        """Return columns of a design, (people, columns), without a constant.

        Raises
        ------
        SettingsError
            There is no such column, it is constant, somebody has no value, or the
            columns are linearly dependent.
        """
        columns: dict[str, list[float] | list[str]] = {}
        for name in names:
            column = self.column(name)
            # Sites are levels, also where they are written as numbers.
            columns[column.name] = (
                [column.numbers[label] for label in self.labels]
                if column.is_number and plain_column(column.name) not in SITE_COLUMNS
                else [column.texts[label] for label in self.labels]
            )
        try:
            coded = code(columns, len(self))
        except ValueError as err:
            raise SettingsError(f"--covariates: {err}", remedy="leave it out") from err
        # Columns are scaled: rounding of a large number, such as a time in ms, must not hide a
        # small one.
        centred = coded.values - coded.values.mean(axis=0)
        if names and np.linalg.matrix_rank(centred / np.ptp(centred, axis=0)) < centred.shape[1]:
            raise SettingsError(
                f"--covariates {' '.join(names)}: the columns {named(coded.names)} depend on each "
                f"other, or are more than {counted(len(self), 'participant')} can separate",
                remedy="leave one out",
            )
        return coded

    def with_sites(
        self, labels: Sequence[str], covariates: Coded, name: str, tested: NDArray[np.float64]
    ) -> tuple[Coded, str]:
        """Add the sites of people to their covariates where ``--covariates`` does not.

        What is tested moves within sites in permutations, and differences between sites, which
        then count as noise, hide it.

        Parameters
        ----------
        labels, covariates
            The people, and other columns of their design.
        name, tested
            The column that is tested, and its values, (people,).

        Returns
        -------
        tuple
            The columns, and why sites are none of them; empty where they are, or need not be.
        """
        if self.site_column is None or self._sites_asked:
            return covariates, ""
        levels = [self.site_column.texts.get(label, "") for label in labels]
        try:
            return add_levels(covariates, self.site_column.name, levels, tested), ""
        except ValueError as err:
            return covariates, f"{self.site_column.name} is no covariate of {name}: {err}"

    @property
    def _sites_asked(self) -> bool:
        """Whether ``--covariates`` names the column of sites."""
        asked = [self.column(name).name for name in self.settings.statistics.covariates]
        return self.site_column is not None and self.site_column.name in asked

    @cached_property
    def example(self) -> AverageFiles:
        """The first average with the full sidecars of all its maps, in the order of pages.

        Sets in `averages` have only the sidecar of their first map.
        """
        first = self.averages[self.labels[0]][0]
        found = find_participant(self.output, self.labels[0]).averages
        # Results that are no maps have one sidecar, which is in memory.
        return next((made for made in found if made.title == first.title), first)

    @cached_property
    def places(self) -> VoxelPlaces:
        """The voxels of the first maps that can be read and are not empty."""
        for averages in self.averages.values():
            with contextlib.suppress(RunError):  # reported where the participant is left out
                found = places_of(averages[0])
                if found.number:
                    return found
        return places_of(self.example)

    @property
    def feature_kinds(self) -> Mapping[str, FeatureKind]:
        """Features that can be read, by name."""
        return _feature_kinds(self.settings)

    @property
    def flags(self) -> list[Flag]:
        """Flags of the model, and of maps that were read before."""
        common = self.example.common
        notice = str(common.get("ModelNotice") or "")
        if common.get("NotForScience"):
            found = [Flag("warning", notice or "The model is not for science")]
        else:
            found = [Flag("note", notice)] if notice else []
        return [*found, *self.findings.flags()]

    def _of_runs(self) -> Mapping[str, Column]:
        """Return columns of quality tables, means over each person's runs."""
        columns = {column.name for column in presentation_of(self.output).quality_columns}
        found: dict[str, dict[str, str]] = {}
        for label in self.labels:
            for name in columns:
                values = [number(run.quality.get(name)) for run in self.files[label].runs]
                known = [value for value in values if value is not None]
                if known:
                    found.setdefault(name, {})[label] = repr(float(np.mean(known)))
        return {name: Column(name, texts) for name, texts in found.items()}


def _results_of_runs(
    output: DerivativeDataset, found: ParticipantFiles, kinds: Sequence[FileKind]
) -> Iterator[AverageFiles]:
    """Yield the runs of a participant that have results, as if each were an average."""
    for run in found.runs:
        files = [
            MapFile("", run.files[kind], _own_sidecar(run.files[kind], kind), {})
            for kind in kinds
            if kind in run.files
        ]
        if files:
            record = completion_record(output, run.title)
            yield AverageFiles(run.title, tuple(files[:1]), (run.title,), {}, record)


def _own_sidecar(path: Path, kind: FileKind) -> dict[str, object]:
    facts = read_json(path.with_name(path.name.removesuffix(kind.extension) + ".json"))
    return {key: facts[key] for key in _KEPT_OF_RUN if key in facts}


def require_own_dataset(inputs: InputOptions, output: DerivativeDataset) -> None:
    """Refuse a BIDS_DIR that is not the dataset behind the results; nothing is read from it.

    Raises
    ------
    DatasetError
        It is no folder, no dataset, or has none of the participants.
    """
    bids_dir = inputs.bids_dir.absolute()
    if bids_dir.is_dir() and bids_dir.resolve() == output.root.resolve():
        return
    remedy = f"give the dataset whose maps these are, or {output.root} itself where that is gone"
    try:
        dataset = find_dataset(bids_dir, statmaps_place(inputs.derivatives)[1], inputs.input_type)
        present: Sequence[str] = select_participants(dataset)
    except DatasetError as err:
        present = participants_in(bids_dir) if bids_dir.is_dir() else ()
        if not present:
            raise DatasetError(err.found, remedy=remedy) from err
    known = find_participant_labels(output)
    if known and not set(present) & set(known):  # a folder without participants is reported below
        raise DatasetError(
            f"BIDS_DIR {bids_dir} has none of the participants in {output.root}",
            expected=f"of {named(known)}",
            remedy=remedy,
        )


def gather_people(settings: Settings) -> GroupPeople:
    """Find people whose maps can be analysed together, and variables on them; report the others.

    Participants excluded by the inclusion table are left out, as are maps of another model, grid or
    cleaning than most. A person may have several sets.

    Raises
    ------
    DatasetError, SettingsError
        The output folder holds no maps, or maps of another dataset than BIDS_DIR, or the table of
        participants cannot be read.
    """
    output = existing_output(settings.inputs.output_dir)
    require_own_dataset(settings.inputs, output)
    kinds = [kind for kind in _feature_kinds(settings).values() if kind.run_file]
    run_files = [kind.run_file() for kind in kinds if kind.run_file]
    counting_files = [kind.run_file() for kind in kinds if kind.run_file and kind.counts]
    files = {}
    for label in participants_asked(
        settings.inputs.participant_label, find_participant_labels(output), output.root
    ):
        found = find_participant(output, label, [*run_files, RELMAT])
        if counting_files:
            own = tuple(_results_of_runs(output, found, counting_files))
            found = dataclasses.replace(found, averages=own)
        files[label] = _what_counts(found)
    inclusion = read_inclusion(output)
    for line in inclusion.lines(list(files)):
        say(line)
    counting, undecided = inclusion.split(made for own in files.values() for made in own.averages)
    chosen, unlike = choose_averages(counting)
    for title, why in unlike:
        say(f"{title} is left out: {why}")
    if not chosen:
        what = "results of participants with --model" if counting_files else "maps of participants"
        unwanted = any(own.without_maps for own in files.values())
        remedy = "run the participant level " + ("with --write maps" if unwanted else "first")
        raise DatasetError(f"{output.root} has no {what}", remedy=remedy)
    titles = {made.title for made in chosen}
    averages = {
        label: tuple(made for made in own.averages if made.title in titles)
        for label, own in sorted(files.items())
    }
    averages = {label: own for label, own in averages.items() if own}
    path = table_path(settings)
    table = None if path is None else read_participants(path)
    related = _families(settings, path, list(averages))
    left_out = (*undecided, *unlike)
    people = GroupPeople(settings, output, files, averages, table, related, left_out)
    if table is not None and (note := table.note_on_labels(people.labels)):
        say(note)
    related.require_known()
    say(related.line(people.labels, "participants count as unrelated"))
    sketches = {label: _sketches(people, label) for label in people.labels}
    asked = [f"_ses-{plain_label(label, 'ses')}_" for label in settings.inputs.session_label]
    used = {
        title
        for own in sketches.values()
        for title in own
        if not asked or any(session in title for session in asked)
    }
    related = with_copies(related, sketches, "connectome", used=used)
    for line in copies_in_words(related, sketches, "connectome"):
        say(line)
    people = dataclasses.replace(people, related=related)
    return people.of_sessions(settings.inputs.session_label) if asked else people


def read_edges(path: Path) -> NDArray[np.float64]:
    """Read a matrix between ROIs, whose names may be a column: its upper triangle, (edges,).

    Raises
    ------
    RunError
        It cannot be read, or is no square of numbers.
    """
    try:
        table = read_table(path)
        first = int(NODE in table.header)
        values = read_numbers([row[first:] for row in table.rows], path)
    except (ForeignFileError, ValueError) as err:
        raise RunError(f"{path} cannot be read: {err}", expected="a matrix of numbers") from err
    if not values.size or values.shape != (len(values),) * 2:
        raise RunError(f"{path} has the shape {values.shape}", expected="a square")
    return values[np.triu_indices(len(values), 1)]


def _sketches(people: GroupPeople, label: str) -> dict[str, str]:
    """Return sketches of a person's edges of rest by run: of matrices that can be read."""
    used = {title for made in people.averages[label] for title in made.runs}
    found = {}
    for run in people.files[label].runs:
        path = next(
            (path for kind, path in run.files.items() if kind.suffix == RELMAT.suffix), None
        )
        if run.title in used and path is not None:
            with contextlib.suppress(RunError):  # damaged: of nobody
                found[run.title] = sketch_edges(read_edges(path))
    return found


def _feature_kinds(settings: Settings) -> Mapping[str, FeatureKind]:
    return find_workflow(settings.inputs.workflow).features


def _what_counts(found: ParticipantFiles) -> ParticipantFiles:
    """Return a participant's files without long sidecars, as there may be thousands."""
    averages = tuple(
        with_what_counts(made, _KEPT_OF_RUN)
        for made in found.averages
        if made.title.startswith(f"sub-{found.label}_")  # a copy of somebody's folder is nobody's
    )
    runs = tuple(
        dataclasses.replace(
            run,
            facts={},
            quality={name: text for name, text in run.quality.items() if number(text) is not None},
        )
        for run in found.runs
    )
    return dataclasses.replace(found, averages=averages, runs=runs)


def places_of(made: AverageFiles) -> VoxelPlaces:
    """Return the places of an average's maps: voxels that are not 0 in each of them.

    Parameters
    ----------
    made
        A set with at least one map.

    Raises
    ------
    RunError
        A map cannot be read.
    """
    mask, grid = None, None
    if made.maps[0].of_parcels:
        raise RunError(
            f"{made.maps[0].path} has maps of parcels",
            expected="maps of voxels, which this analysis reads",
            remedy="PALM and wb_command read such files",
        )
    for found in made.maps:
        values, affine = read_volume(found.path)
        if grid is None:
            name = parse_name(found.path.name)
            if values.ndim != 3:
                raise RunError(f"{found.path} has sizes {values.shape}", expected="three sizes")
            i, j, k = values.shape
            grid = Grid((i, j, k), affine, name.get("space") or "", name.get("res"))
        require_grid(found.path, values.shape, affine, grid)
        known = np.nan_to_num(values) != 0
        mask = known if mask is None else mask | known
    assert mask is not None  # an average has maps
    assert grid is not None
    return VoxelPlaces.within(grid, mask)


def read_map(path: Path, places: VoxelPlaces) -> NDArray[np.float32]:
    """Read a map that the program wrote on the grid of the places, (voxels,).

    Raises
    ------
    RunError
        It cannot be read, or is of another grid.
    """
    values, affine = read_volume(path)
    require_grid(path, values.shape, affine, places.grid)
    return np.asarray(values.reshape(-1)[places.positions], np.float32)


def table_path(settings: Settings) -> Path | None:
    """Return the table of participants: ``--participants-file``, else that of BIDS_DIR, if any."""
    if (given := settings.statistics.participants_file) is not None:
        return given.expanduser().absolute()
    path = settings.inputs.bids_dir.absolute() / "participants.tsv"
    return path if path.is_file() else None


def _families(settings: Settings, table: Path | None, labels: Sequence[str]) -> Families:
    """Read families from the table, else from the data set and the measured maps."""
    place, others = statmaps_place(settings.inputs.derivatives)
    roots = [settings.inputs.bids_dir.absolute()]
    with contextlib.suppress(DatasetError):  # the input dataset may have been removed
        roots.append(find_dataset(roots[0], others, settings.inputs.input_type).root)
    places = [*roots, *([place] if place else [])]
    return read_families(places, tables=[table] if table else [], labels=labels)
