"""People with results in the output folder, who are analysed together, and their variables."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Float64, Indices
from bids_dtg.cohort.maps import (
    by_participant,
    choose_averages,
    find_without_details,
    places_of,
    short_record,
    with_details,
)
from bids_dtg.cohort.recognised_participants import copies_in_words, with_copies
from bids_dtg.errors import (
    DatasetError,
    DtgError,
    ForeignFileError,
    RunError,
    SettingsError,
)
from bids_dtg.files.derivatives import DerivativeDataset, participants_in
from bids_dtg.files.foreign import read_table
from bids_dtg.files.names import FileKind, plain_label
from bids_dtg.files.provenance import completion_record
from bids_dtg.files.regions import NODE, RELMAT, read_numbers
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.dataset import find_dataset, find_participants
from bids_dtg.inputs.participants import (
    SITE_COLUMNS,
    Column,
    Families,
    ParticipantsTable,
    read_families,
    read_participants,
    words_for_missing,
)
from bids_dtg.inputs.rest_sketch import sketch_edges
from bids_dtg.inputs.statmaps import statmaps_place
from bids_dtg.notices import counted, named, say
from bids_dtg.participants.reports import existing_output, participants_asked
from bids_dtg.participants.vertex_series import note_on_surfaces
from bids_dtg.report.contents import (
    AverageFiles,
    MapFile,
    RunFiles,
    find_participant_labels,
    values_of_runs,
)
from bids_dtg.report.flags import Flag
from bids_dtg.report.inclusion import decision_lines, read_inclusion, split_by_inclusion
from bids_dtg.report.presentation import presentation_of
from bids_dtg.settings import InputOptions, Settings
from bids_dtg.stats.coding import Coded, code, scaled
from bids_dtg.workflows import find_workflow


@dataclass(frozen=True, eq=False)
class GroupParticipants:
    """People with results of one model, in the order of their labels."""

    settings: Settings  # of the run
    output: DerivativeDataset
    # Each person's runs, by label without sub-.
    runs: Mapping[str, tuple[RunFiles, ...]]
    # Each person's averages, by label, with the sidecar of their first map only, see `example`.
    averages: Mapping[str, tuple[AverageFiles, ...]]
    table: ParticipantsTable | None  # table of participants; None: there is none
    related: Families  # families of the participants; labels with the same rest are one family
    # Title of an average, and why it is not used.
    left_out: tuple[tuple[str, str], ...] = ()
    # Sentences for the page, and the contrasts that they are about; none: they are about people.
    findings: dict[str, list[str]] = field(default_factory=dict)
    # Labels that could not be read, and why.
    failed: dict[str, str] = field(default_factory=dict)
    # Sentences on variables and levels of covariates, by what they are about, for log and page.
    remarks: dict[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the people, without sub-, sorted."""
        return tuple(self.averages)

    def __len__(self) -> int:
        return len(self.averages)

    def of(self, labels: Collection[str]) -> GroupParticipants:
        """Return some of the people."""
        chosen = set(labels)
        averages = {
            label: averages
            for label, averages in self.averages.items()
            if label in chosen
        }
        return dataclasses.replace(self, averages=averages)

    def with_sessions(self, sessions: Sequence[str]) -> GroupParticipants:
        """Return people with the results of some sessions only.

        Raises
        ------
        DatasetError
            Nobody has results of these sessions.
        """
        chosen = [
            average
            for average in chain.from_iterable(self.averages.values())
            if _is_in_session(average.title, sessions)
        ]
        if not chosen:
            raise DatasetError(
                f"no participant has results of session {' or '.join(sessions)}",
                remedy="run the participant level with --combine session, and check "
                "--session-label",
            )
        settings = self.settings.replace(session_label=tuple(sessions))
        averages = by_participant(chosen)
        return dataclasses.replace(self, settings=settings, averages=averages)

    @cached_property
    def families(self) -> Indices:
        """(people,), number of each person's family; a person without one is a family alone."""
        families = self.related.by_label
        return _numbered(
            f"family {families[label]}" if label in families else f"person {label}"
            for label in self.labels
        )

    @property
    def _any_site_column(self) -> Column | None:
        """The table's column of sites."""
        return None if self.table is None else self.table.first_of(SITE_COLUMNS)

    @cached_property
    def site_column(self) -> Column | None:
        """The table's column of sites, if these people are from two sites or more."""
        column = self._any_site_column
        if column is None:
            return None
        sites = {column.texts.get(label) for label in self.labels}
        return column if len(sites) > 1 else None

    @cached_property
    def sites(self) -> Indices | None:
        """(people,), number of each person's site; None if there is one site, or none is known.

        A person without a known site counts as a separate site.
        """
        if self.site_column is None:
            return None
        sites = self.site_column.texts
        return _numbered(
            sites.get(label) or f"\N{REPLACEMENT CHARACTER}{label}"
            for label in self.labels
        )

    @property
    def words_on_sites(self) -> list[str]:
        """A line on sites that count as missing or seem to be meant so, and people without one."""
        column = self._any_site_column
        if column is None:
            return []
        meanings = "no site", "a site"
        notes = words_for_missing(column.words, column.missing, self.labels, meanings)
        lacking = [f"sub-{label}" for label in self.labels if label not in column.texts]
        if lacking and self.site_column is not None:
            people = counted(lacking, "participant")
            notes.append(f"{people} without a site ({named(lacking)}) are not permuted")
        return [f"sites (column {column.name}): {'; '.join(notes)}"] if notes else []

    def varying(self, names: Sequence[str]) -> list[str]:
        """Return those of some variables in which these people differ by more than rounding."""
        return [name for name in names if not self.column(name).is_constant]

    def column(self, name: str) -> Column:
        """Return a variable of these people: a column of the table, else a quality metric.

        A quality metric (``fd_mean``, ``minutes_kept``) is averaged over the runs of the person's
        averages.

        Raises
        ------
        SettingsError
            There is no such variable, or it is unclear whether it holds numbers.
        """
        column = self.table.columns.get(name) if self.table else None
        column = column or self._metric_of_runs(name)
        if column is None and self.table:
            column = self.table.find(name)
        if column is None:
            raise SettingsError(
                f"there is no table of participants with a column {name}",
                expected="--participants-file TSV, or participants.tsv in BIDS_DIR",
            )
        for note in column.notes:
            self._remark(note, note)
        return column.of(self.labels).require_usable()

    def _remark(self, about: str, sentence: str) -> None:
        """Print a sentence, and keep it for the page, the first time."""
        if about not in self.remarks:
            self.remarks[about] = sentence
            say(sentence)

    def _metric_of_runs(self, name: str) -> Column | None:
        """Return a quality metric, averaged over the runs used; None if it is not one."""
        metrics = presentation_of(self.output).quality_columns
        if name not in {metric.name for metric in metrics}:
            return None
        means = {}
        for label in self.labels:
            if values := values_of_runs(self.averaged_runs(label), name):
                means[label] = repr(float(np.mean(values)))
        return Column(name, means) if means else None

    def averaged_runs(self, label: str) -> list[RunFiles]:
        """Return the runs behind a person's averages."""
        titles = {title for average in self.averages[label] for title in average.runs}
        return [run for run in self.runs[label] if run.title in titles]

    def complete(self, names: Sequence[str]) -> GroupParticipants:
        """Return people with a value of each name; report the others.

        Raises
        ------
        DatasetError
            Nobody has all values.
        """
        columns = [self.column(name) for name in names]
        of_table = self.table.columns if self.table else {}
        listed = set(self.table.labels) if self.table else set()
        lacking: dict[str, list[str]] = {}  # people, by what they are without
        for label in self.labels:
            without = [column.name for column in columns if label not in column.texts]
            if not without:
                continue
            fault = f"a value of {named(names)}"
            if self.table and label not in listed and {*without} & of_table.keys():
                fault = f"a row in {self.table.path.name}"
            lacking.setdefault(fault, []).append(label)
        for fault, labels in lacking.items():
            people = counted(labels, "participant")
            in_words = named([f"sub-{label}" for label in labels])
            self.note(f"left out: {people} without {fault} ({in_words})")
        left_out = {*chain(*lacking.values())}
        if len(left_out) == len(self):
            raise DatasetError(
                f"no participant with maps has a value of {named(names)}",
                expected=f"labels such as sub-{self.labels[0]} in the table",
            )
        return self.of([label for label in self.labels if label not in left_out])

    def covariates(self, names: Sequence[str]) -> Coded:
        """Return columns of a design, (people, columns), without a constant.

        Raises
        ------
        SettingsError
            A column does not exist, is constant or has missing values, or the columns are linearly
            dependent.
        """
        columns: dict[str, list[Any]] = {}
        for column in map(self.column, names):
            is_number = not column.is_category
            values: Mapping[str, Any] = column.numbers if is_number else column.texts
            columns[column.name] = [values[label] for label in self.labels]
            if not is_number:
                self._remark(column.name, column.levels_sentence)
        try:
            coded = code(columns, len(self))
        except ValueError as err:
            raise SettingsError(f"--covariates: {err}", remedy="leave it out") from err
        if not names:
            return coded
        # Columns are scaled, so that rounding of large numbers, such as times in ms, does not hide
        # small ones.
        if np.linalg.matrix_rank(scaled(coded.values)) < coded.values.shape[1]:
            raise SettingsError(
                f"--covariates {' '.join(names)}: the columns {named(coded.names)} depend on each "
                f"other, or are too many for {counted(self, 'participant')}",
                remedy="leave one out",
            )
        return coded

    @cached_property
    def example(self) -> AverageFiles:
        """The first average, with the full sidecars of all its maps, in the order of the model."""
        return with_details(self.output, self.averages[self.labels[0]][0])

    @property
    def tasks(self) -> dict[str, str]:
        """The task of each predicted contrast, by label."""
        return {contrast.label: contrast.task for contrast in self.example.maps}

    @cached_property
    def places(self) -> VoxelPlaces:
        """The voxels of the first maps that can be read and are not empty."""
        _, places = places_of(chain.from_iterable(self.averages.values()))
        return places

    def note(self, words: str, contrast: str = "") -> None:
        """Record a sentence on the maps of a contrast or, without one, on people; print it once."""
        if words not in self.findings:
            say(f"{contrast}: {words}" if contrast else words)
        contrasts = self.findings.setdefault(words, [])
        if contrast and contrast not in contrasts:
            contrasts.append(contrast)

    def note_failed(self, label: str, error: DtgError) -> None:
        """Record a participant who cannot be read; print it once."""
        if label not in self.failed:
            say(f"sub-{label} is left out: {error}")
        self.failed.setdefault(label, str(error))

    @property
    def surfaces(self) -> str | None:
        """A sentence on the surfaces at which these people's runs were read, if there are several.

        It is None for results other than maps, whose quality tables name no surface.
        """
        runs = chain.from_iterable(map(self.averaged_runs, self.labels))
        return note_on_surfaces(run.quality for run in runs)

    @property
    def flags(self) -> list[Flag]:
        """Flags of the model, and of the maps that have been read."""
        common = self.example.common
        notice = str(common.get("ModelNotice") or "")
        flags = []
        if notice:
            flags.append(
                Flag("warning" if common.get("NotForScience") else "note", notice)
            )
        for words, contrasts in self.findings.items():
            text = f"{words[:1].upper()}{words[1:]}"
            about = f": {named(contrasts)}" if contrasts else ""
            flags.append(Flag("warning", text + about))
        if self.failed:
            people = counted(self.failed, "participant")
            flags.append(Flag("warning", f"{people} could not be read"))
        if self.surfaces:
            flags.append(Flag("warning", f"P{self.surfaces[1:]}."))
        for title, reason in self.left_out:
            flags.append(Flag("note", f"{title} is left out: {reason}"))
        return flags


def _numbered(names: Iterable[str]) -> Indices:
    return np.unique([*names], return_inverse=True)[1].astype(np.intp)


def _is_in_session(title: str, sessions: Sequence[str]) -> bool:
    """Return whether a run or average is from one of the sessions; true if none are given."""
    parts = [f"_ses-{plain_label(session, 'ses')}_" for session in sessions]
    return not parts or any(part in f"{title}_" for part in parts)


def require_same_dataset(inputs: InputOptions, output: DerivativeDataset) -> list[Path]:
    """Refuse a BIDS_DIR that is not the dataset behind the results.

    Returns
    -------
    The folders that may have a table of participants: BIDS_DIR, its derivatives, measured maps.

    Raises
    ------
    DatasetError
        It is not a folder, not a dataset, or has none of the participants.
    """
    bids_dir = inputs.bids_dir.absolute()
    statmaps, derivatives = statmaps_place(inputs.derivatives)
    folders = [bids_dir]
    problem = f"BIDS_DIR {bids_dir} has none of the participants in {output.root}"
    try:
        dataset = find_dataset(bids_dir, derivatives, inputs.input_type)
        folders.append(dataset.root)
        labels, _ = find_participants(dataset)
    except DatasetError as err:
        labels = participants_in(bids_dir) if bids_dir.is_dir() else ()
        problem = err.found
    with_results = find_participant_labels(output)
    # Results without participants are reported later.
    if with_results and not set(labels) & set(with_results):
        raise DatasetError(
            problem,
            expected=f"one of the participants {named(with_results)}",
            remedy=f"give the dataset of these results, or {output.root} itself if that is gone",
        )
    gone = sorted(set(with_results) - set(labels))
    if gone:
        people = counted(gone, "participant")
        say(
            f"{output.root} has results of {people} who are not in {bids_dir} any more "
            f"({named(gone)}): they take part; remove their folders to leave them out"
        )
    if statmaps is not None:
        folders.append(statmaps)
    return folders


def gather_participants(settings: Settings) -> GroupParticipants:
    """Find people whose results can be analysed together, and their variables; print who cannot.

    Participants excluded by the inclusion table are left out, as are maps whose model, grid or
    cleaning differs from that of most. A person may have several averages.

    Raises
    ------
    DatasetError, SettingsError
        The output folder holds no maps, or maps of another dataset than BIDS_DIR, or the table of
        participants cannot be read or writes labels differently.
    """
    output = existing_output(settings.inputs.output_dir)
    folders = require_same_dataset(settings.inputs, output)
    runs, in_output = _find_averages(settings, output)
    with_results = [average for average in in_output if average.maps]
    decisions = read_inclusion(output)
    say(*decision_lines(decisions, runs.keys()))
    included, excluded = split_by_inclusion(decisions, with_results)
    chosen, different = choose_averages(included, settings.outputs.combine)
    for title, reason in different:
        say(f"{title} is left out: {reason}")
    if not chosen:
        raise _without_results(settings, output, len(in_output) > len(with_results))
    averages = dict(sorted(by_participant(chosen).items()))
    if len(averages) < 2:
        raise DatasetError(
            f"{output.root} has usable results of one participant ({named(list(averages))})",
            expected="several, as this analysis compares people",
        )
    path = table_path(settings)
    table = (
        None if path is None else read_participants(path, settings.inputs.session_label)
    )
    if table is not None:
        table.require_labels(averages)
        note = table.note_on_labels(averages)
        if note:
            say(note)
    families = read_families(folders, tables=[path] if path else [], labels=averages)
    families.require_known()
    say(families.line(list(averages), "participants count as unrelated"))
    left_out = (*excluded, *different)
    people = GroupParticipants(
        settings, output, runs, averages, table, families, left_out
    )
    people = _with_copies_related(people)
    sessions = settings.inputs.session_label
    if sessions:
        people = people.with_sessions(sessions)
    say(*people.words_on_sites)
    if people.surfaces:
        say(people.surfaces)
    return people


def _find_averages(
    settings: Settings, output: DerivativeDataset
) -> tuple[dict[str, tuple[RunFiles, ...]], list[AverageFiles]]:
    """Return the runs of the participants that were asked for, by label, and their averages.

    In workflows without maps, runs with results count as averages.
    """
    kinds = find_workflow(settings.inputs.workflow).features.values()
    run_files = [kind.run_file() for kind in kinds if kind.run_file]
    counting = [kind.run_file() for kind in kinds if kind.run_file and kind.counts]
    runs: dict[str, tuple[RunFiles, ...]] = {}
    averages: list[AverageFiles] = []
    labels, absent = participants_asked(settings, output)
    if absent is not None:
        raise absent
    for label in labels:
        files = find_without_details(output, label, [*run_files, RELMAT], counting)
        runs[label] = files.runs
        if not counting:
            averages += files.averages
        for run in files.runs:
            for kind in counting:
                if kind in run.files:
                    averages.append(_as_average(output, run, kind))
    return runs, averages


def _without_results(
    settings: Settings, output: DerivativeDataset, has_averages: bool
) -> DatasetError:
    """Return the error where nobody can be used; averages may be there without their maps."""
    kinds = find_workflow(settings.inputs.workflow).features.values()
    results, how = "maps of participants", "first"
    if any(kind.counts for kind in kinds):
        results, how = "results of participants with --model", "with --model"
    elif has_averages:
        how = "with --write maps"
    return DatasetError(
        f"{output.root} has no {results}", remedy=f"run the participant level {how}"
    )


def _as_average(
    output: DerivativeDataset, run: RunFiles, kind: FileKind
) -> AverageFiles:
    """Return a run's results of a kind as an average of this run."""
    results = MapFile("", run.files[kind], run.facts)
    record = short_record(completion_record(output, run.title))
    return AverageFiles(run.title, (results,), (run.title,), record, run.facts)


def _with_copies_related(people: GroupParticipants) -> GroupParticipants:
    """Count labels with the same connectome as one family."""
    sessions = people.settings.inputs.session_label
    sketches = {
        label: _sketches(people.averaged_runs(label)) for label in people.labels
    }
    titles = chain.from_iterable(sketches.values())
    used = {title for title in titles if _is_in_session(title, sessions)}
    families = with_copies(people.related, sketches, "connectome", used=used)
    say(*copies_in_words(families, sketches, "connectome"))
    return dataclasses.replace(people, related=families)


def _sketches(runs: Iterable[RunFiles]) -> dict[str, str]:
    """Return sketches of a person's connectome edges by run, for matrices that can be read."""
    sketches = {}
    for run in runs:
        paths = [
            path for kind, path in run.files.items() if kind.suffix == RELMAT.suffix
        ]
        if paths:
            with contextlib.suppress(RunError):  # a damaged matrix is not compared
                sketches[run.title] = sketch_edges(read_edges(paths[0]))
    return sketches


def read_edges(path: Path) -> Float64:
    """Read the upper triangle of a matrix between ROIs, (edges,); a column may hold their names.

    Raises
    ------
    RunError
        The matrix cannot be read, or is not a square of numbers.
    """
    try:
        table = read_table(path)
        first = int(NODE in table.header)
        values = read_numbers([row[first:] for row in table.rows], path)
    except (ForeignFileError, ValueError) as err:
        raise RunError(
            f"{path} cannot be read: {err}", expected="a matrix of numbers"
        ) from err
    if not values.size or values.shape != (len(values),) * 2:
        raise RunError(
            f"{path} has the shape {values.shape}", expected="a square matrix"
        )
    return values[np.triu_indices(len(values), 1)]


def table_path(settings: Settings) -> Path | None:
    """Return the table of participants: ``--participants-file``, else that of BIDS_DIR, if any."""
    file = settings.statistics.participants_file
    if file is not None:
        return file.expanduser().absolute()
    path = settings.inputs.bids_dir.absolute() / "participants.tsv"
    return path if path.is_file() else None
