"""Who is looked at together: people with maps in the output folder, and what is known of them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.mean_maps import choose_sets
from bids_dtg.errors import DatasetError, RunError, SettingsError
from bids_dtg.files.derivatives import DerivativeDataset, participants_in
from bids_dtg.files.names import parse_name, plain_label
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.dataset import find_dataset, select_participants
from bids_dtg.inputs.participants import (
    SITE_COLUMNS,
    Column,
    ParticipantsTable,
    read_participants,
)
from bids_dtg.inputs.splits_file import Families, read_families
from bids_dtg.inputs.statmaps import statmaps_place
from bids_dtg.notices import counted, named, say
from bids_dtg.participants.reports import output_for_pages
from bids_dtg.report.contents import (
    ParticipantFiles,
    SetFiles,
    find_participant,
    find_participant_labels,
    with_what_counts,
)
from bids_dtg.report.flags import Flag
from bids_dtg.report.inclusion import read_inclusion
from bids_dtg.report.presentation import presentation_of
from bids_dtg.report.quality import number
from bids_dtg.settings import InputOptions, Settings
from bids_dtg.stats.cohort.coding import Coded, code
from bids_dtg.workflows import FeatureKind, find_workflow

# What is kept of the sidecar of each participant's first map.
_KEPT = ("ModelSHA256", "Resolution", "DenoiseStrategy", "SpatialReference")


@dataclass(frozen=True, eq=False)
class GroupPeople:
    """People with maps of one model, in the order of their labels."""

    settings: Settings  # of the call
    output: DerivativeDataset
    files: Mapping[str, ParticipantFiles]  # all that there is of each, by label without sub-
    sets: Mapping[str, tuple[SetFiles, ...]]  # the maps of each that count, by label; see `example`
    table: ParticipantsTable | None  # what is known of them; None: there is no table
    related: Families  # who belongs to which family
    left_out: tuple[tuple[str, str], ...] = ()  # title of a set and why it does not count

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the people, without sub-, sorted."""
        return tuple(self.sets)

    def __len__(self) -> int:
        return len(self.sets)

    def of(self, labels: Collection[str]) -> GroupPeople:
        """Return some of the people."""
        kept = {label: sets for label, sets in self.sets.items() if label in labels}
        return dataclasses.replace(self, sets=kept)

    @cached_property
    def families(self) -> NDArray[np.intp]:
        """(people,), the number of each person's family; who has none is one alone."""
        names = [
            f"family {self.related.by_label[label]}"
            if label in self.related.by_label
            else f"person {label}"
            for label in self.labels
        ]
        return np.unique(names, return_inverse=True)[1].astype(np.intp)

    @cached_property
    def site_column(self) -> Column | None:
        """The table's column of sites, where it has one with two sites or more of these people."""
        found = self.table.first_of(SITE_COLUMNS) if self.table is not None else None
        if found is None:
            return None
        own = {found.texts.get(label, "") for label in self.labels}
        return found if len(own) > 1 else None

    @cached_property
    def sites(self) -> NDArray[np.intp] | None:
        """(people,), the number of each person's site; None: one site, or none is known.

        Who has no site is of a site of nobody else's.
        """
        if self.site_column is None:
            return None
        names = [
            self.site_column.texts.get(label) or f"\N{REPLACEMENT CHARACTER}{label}"
            for label in self.labels
        ]
        return np.unique(names, return_inverse=True)[1].astype(np.intp)

    def column(self, name: str) -> Column:
        """Return what is known of these people under a name: of the table, else of their runs.

        A figure of runs (``fd_mean``, ``minutes_kept``) is its mean over the person's runs.

        Raises
        ------
        SettingsError
            Neither has it.
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
        own = {label: found.texts[label] for label in self.labels if label in found.texts}
        return Column(found.name, own).spelled_alike()

    def complete(self, names: Sequence[str]) -> GroupPeople:
        """Return those who have a value of each name; a line reports who has not.

        Raises
        ------
        DatasetError
            Nobody has all.
        """
        columns = [self.column(name) for name in names]
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
            There is no such column, it is the same for everybody, somebody has no value, or the
            columns depend on each other.
        """
        columns: dict[str, list[float] | list[str]] = {}
        for name in names:
            column = self.column(name)
            columns[column.name] = (
                [column.numbers[label] for label in self.labels]
                if column.is_number
                else [column.texts[label] for label in self.labels]
            )
        try:
            coded = code(columns, len(self))
        except ValueError as err:
            raise SettingsError(f"--covariates: {err}", remedy="leave it out") from err
        # Rounding of a large number, such as a time in ms, must not hide a small one's column.
        centred = coded.values - coded.values.mean(axis=0)
        if names and np.linalg.matrix_rank(centred / np.ptp(centred, axis=0)) < centred.shape[1]:
            raise SettingsError(
                f"--covariates {' '.join(names)}: the columns {named(coded.names)} depend on each "
                f"other, or are more than {counted(len(self), 'participant')} can tell apart",
                remedy="leave one out",
            )
        return coded

    @cached_property
    def example(self) -> SetFiles:
        """The first set with all that its maps' sidecars say, in the order of pages.

        Those of `sets` have the sidecar of their first map alone.
        """
        (title,) = (made.title for made in self.sets[self.labels[0]][:1])
        found = find_participant(self.output, self.labels[0]).sets
        return next(made for made in found if made.title == title)

    @cached_property
    def places(self) -> VoxelPlaces:
        """Where the maps have values: the voxels of the first set's maps."""
        return places_of(self.example)

    @property
    def feature_kinds(self) -> Mapping[str, FeatureKind]:
        """What may be read of them, by the values of ``--feature-sets``."""
        return _feature_kinds(self.settings)

    @property
    def flags(self) -> list[Flag]:
        """What a page must say of the model that made the maps."""
        common = self.example.common
        notice = str(common.get("ModelNotice") or "")
        if common.get("NotForScience"):
            return [Flag("warning", notice or "The model is not for science")]
        return [Flag("note", notice)] if notice else []

    def _of_runs(self) -> Mapping[str, Column]:
        """Return the figures of quality tables, means over each person's runs."""
        columns = {column.name for column in presentation_of(self.output).quality_columns}
        found: dict[str, dict[str, str]] = {}
        for label in self.labels:
            for name in columns:
                values = [number(run.quality.get(name)) for run in self.files[label].runs]
                known = [value for value in values if value is not None]
                if known:
                    found.setdefault(name, {})[label] = repr(float(np.mean(known)))
        return {name: Column(name, texts) for name, texts in found.items()}


@dataclass(frozen=True, eq=False)
class CountingSets:
    """The maps in an output folder that are looked at together."""

    output: DerivativeDataset
    files: Mapping[str, ParticipantFiles]  # all that there is of each participant, by label
    sets: Mapping[str, tuple[SetFiles, ...]]  # those that count, by label, sorted
    left_out: tuple[tuple[str, str], ...]  # title of a set and why it does not count


def counting_sets(settings: Settings, *, each_sidecar: bool) -> CountingSets:
    """Find the maps in the output folder that can be looked at together; lines report the others.

    Decisions of the inclusion table are kept to; maps of another model, grid or cleaning than most
    are left out; a person's sets that count are all of the person.

    Parameters
    ----------
    settings
        Options of the call.
    each_sidecar
        As of `find_participant`.

    Raises
    ------
    DatasetError
        The output folder holds no maps, or those of another dataset.
    """
    output = output_for_pages(settings.inputs.output_dir)
    require_own_dataset(settings.inputs, output)
    files = {}
    run_files = [kind.run_file() for kind in _feature_kinds(settings).values() if kind.run_file]
    for label in participants_asked(settings.inputs.participant_label, output):
        found = find_participant(output, label, run_files, each_sidecar=each_sidecar)
        files[label] = found if each_sidecar else _what_counts(found)
    inclusion = read_inclusion(output)
    for line in inclusion.lines(list(files)):
        say(line)
    counting, undecided = inclusion.split(made for own in files.values() for made in own.sets)
    sets, unlike = choose_sets(counting)
    for title, why in unlike:
        say(f"{title} is left out: {why}")
    if not sets:
        raise DatasetError(
            f"{output.root} has no maps of participants", remedy="run the participant level first"
        )
    by_label: dict[str, list[SetFiles]] = {}
    for made in sets:
        by_label.setdefault(made.title.partition("_")[0].removeprefix("sub-"), []).append(made)
    return CountingSets(
        output,
        files,
        {label: tuple(by_label[label]) for label in sorted(by_label)},
        (*undecided, *unlike),
    )


def participants_asked(wanted: Sequence[str], output: DerivativeDataset) -> tuple[str, ...]:
    """Return whom to gather: those asked for, or all that the output folder has.

    Raises
    ------
    DatasetError
        It has nothing of somebody who was asked for.
    """
    present = find_participant_labels(output)
    asked = {plain_label(label, "sub") for label in wanted}
    if unknown := sorted(asked - set(present)):
        raise DatasetError(
            f"{output.root} has no participant {', '.join(unknown)}",
            expected=f"of {named(present)} ({counted(len(present), 'participant')} there)",
        )
    return tuple(label for label in present if not asked or label in asked)


def require_own_dataset(inputs: InputOptions, output: DerivativeDataset) -> None:
    """Refuse a BIDS_DIR that is not the dataset of the results; nothing is read from it.

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
    if known and not set(present) & set(known):  # where nobody is, that is said below
        raise DatasetError(
            f"BIDS_DIR {bids_dir} has none of the participants in {output.root}",
            expected=f"of {named(known)}",
            remedy=remedy,
        )


def gather_people(settings: Settings) -> GroupPeople:
    """Find whose maps in the output folder can be looked at together, and what is known of them.

    Parameters
    ----------
    settings
        Options of the call.

    Raises
    ------
    DatasetError, SettingsError
        As `counting_sets`, or the table of participants cannot be read.
    """
    found = counting_sets(settings, each_sidecar=False)
    path = _table_path(settings)
    people = GroupPeople(
        settings,
        found.output,
        found.files,
        found.sets,
        None if path is None else read_participants(path),
        _families(settings, path),
        found.left_out,
    )
    people.related.require_known()
    say(people.related.line(people.labels, "participants count as unrelated"))
    return people


def _feature_kinds(settings: Settings) -> Mapping[str, FeatureKind]:
    return find_workflow(settings.inputs.workflow).features


def _what_counts(found: ParticipantFiles) -> ParticipantFiles:
    """Return a participant's files without what is long and not used: there may be thousands."""
    sets = tuple(with_what_counts(made, _KEPT) for made in found.sets)
    runs = tuple(
        dataclasses.replace(
            run,
            facts={},
            quality={name: text for name, text in run.quality.items() if number(text) is not None},
        )
        for run in found.runs
    )
    return dataclasses.replace(found, sets=sets, runs=runs)


def places_of(made: SetFiles) -> VoxelPlaces:
    """Return where the maps of a set have values: voxels that are not 0 in each of them.

    Parameters
    ----------
    made
        With a map at least.

    Raises
    ------
    RunError
        A map cannot be read.
    """
    mask, affine = None, np.eye(4)
    for found in made.maps:
        values, affine = read_volume(found.path)
        mask = (values != 0) if mask is None else mask | (values != 0)
    assert mask is not None  # a set has maps
    name = parse_name(made.maps[0].path.name)
    i, j, k = mask.shape
    grid = Grid((i, j, k), affine, name.get("space") or "", name.get("res"))
    return VoxelPlaces.within(grid, mask)


def read_map(path: Path, places: VoxelPlaces) -> NDArray[np.float32]:
    """Read a map that the program wrote on the places' grid, (voxels,).

    Parameters
    ----------
    path
        Of the image.
    places
        As of `places_of`.

    Raises
    ------
    RunError
        It cannot be read, or is of another grid.
    """
    values, _ = read_volume(path)
    if values.shape != places.grid.shape:
        raise RunError(f"{path} has sizes {values.shape}", expected=f"{places.grid.shape}")
    return np.asarray(values.reshape(-1)[places.positions], np.float32)


def _table_path(settings: Settings) -> Path | None:
    if (given := settings.statistics.participants_file) is not None:
        return given.expanduser().absolute()
    path = settings.inputs.bids_dir.absolute() / "participants.tsv"
    return path if path.is_file() else None


def _families(settings: Settings, table: Path | None) -> Families:
    """Read families of the table, else of the data set and the measured maps."""
    place, others = statmaps_place(settings.inputs.derivatives)
    roots = [settings.inputs.bids_dir.absolute()]
    with contextlib.suppress(DatasetError):  # what the maps were made of need not be there any more
        roots.append(find_dataset(roots[0], others, settings.inputs.input_type).root)
    return read_families([*roots, *([place] if place else [])], tables=[table] if table else [])
