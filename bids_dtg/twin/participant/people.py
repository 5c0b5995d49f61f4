"""People of the digital twin, with connectomes and trials from event files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from bids_dtg.cohort.people import table_path
from bids_dtg.cohort.recognised_people import Sketches, copies_in_words, with_copies
from bids_dtg.cohort.region_people import read_split
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.names import plain_label
from bids_dtg.inputs.participants import (
    SITE_COLUMNS,
    Column,
    Families,
    plain_column,
    read_families,
    read_participants,
)
from bids_dtg.notices import counted, named, say
from bids_dtg.settings import Settings
from bids_dtg.stats.splits import Split
from bids_dtg.twin.adjustment import Adjustment, Covariates
from bids_dtg.twin.array_types import Values
from bids_dtg.twin.participant.connectomes import (
    ConnectomeSource,
    find_array_connectomes,
    find_output_connectomes,
)
from bids_dtg.twin.participant.events import Behaviour, find_task_files, read_behaviour
from bids_dtg.twin.participant.task_bold import (
    Runs,
    TaskBold,
    find_array_bold,
    find_output_bold,
)
from bids_dtg.twin.tasks import Task
from bids_dtg.twin.trial_series import Segments, TaskSet, stack_people
from bids_dtg.twin.trials import Trials, values_in_words

# Scored, in each condition; with fewer a person's mean times are unreliable.
FEWEST_TRIALS = 5


@dataclass(frozen=True, eq=False)
class TwinPeople:
    """People with a connectome and trials; connectomes are read on request."""

    source: ConnectomeSource  # of connectomes
    tasks: TaskSet
    behaviour: Mapping[str, Behaviour]  # of everybody with event files, by label
    labels: tuple[str, ...]  # requested participants with both
    left_out: Mapping[str, str]  # other requested participants, with the reason
    # Use of `labels`; without --split-file everybody is in the training set.
    split: Split
    families: Families  # of related people; labels with the same rest are in one
    rest_sketches: Sketches  # of people's rest by session, and of their connectomes
    # Sentences on assumptions, and on participants who were left out.
    notes: tuple[str, ...]
    files: tuple[Path, ...]  # that data are read from, except arrays
    # BOLD of their runs of trials; None: nobody has any.
    task_bold: TaskBold | None = None

    @classmethod
    def prepare(
        cls,
        settings: Settings,
        tasks: Sequence[Task] | None = None,
        atlas: str = "",
        with_bold: bool = True,
    ) -> TwinPeople:
        """Read events, and find connectomes: those of ``--input-arrays``, else of the output.

        Tasks, atlas and use of BOLD are those of a model. Without a model, tasks are those of
        ``--task-file``, and the output must have one atlas only. Task BOLD must be of one atlas.
        Arrays are checked except for their values.

        Raises
        ------
        SettingsError
            Options name a task or people that do not exist.
        DatasetError
            Nobody has both, or files cannot be used.
        """
        if arrays := settings.modelling.input_arrays:
            source = find_array_connectomes(
                arrays, settings.modelling.array_key, settings.resources.mem_gb
            )
        else:
            source = find_output_connectomes(settings, atlas)
        requested = tuple(
            plain_label(label, "sub") for label in settings.inputs.participant_label
        )
        chosen, files = find_task_files(settings, tasks)
        behaviour = read_behaviour(chosen, files, requested)
        labels, left_out, lacking = _whole_people(source, behaviour, requested)
        whole = {label: behaviour[label] for label in labels}
        bold = None
        if with_bold and source.arrays is not None:
            bold = find_array_bold(source.arrays, whole, files)
        elif with_bold:
            bold = find_output_bold(settings, whole)
        sketches = source.sketches(labels)
        source = replace(source, families=_families(settings, source))
        families = with_copies(
            source.families, sketches, "connectome", "--participant-label"
        )
        split, split_notes = read_split(settings.modelling.split_file, labels, families)
        return cls(
            source=source,
            tasks=TaskSet(chosen),
            behaviour=MappingProxyType(behaviour),
            labels=labels,
            left_out=MappingProxyType(left_out),
            split=split,
            families=families,
            rest_sketches=sketches,
            notes=(
                *source.notes,
                *lacking,
                *copies_in_words(families, sketches, "connectome"),
                *split_notes,
                *trial_notes(chosen, behaviour, labels),
                *(() if bold is None else bold.notes),
            ),
            files=(
                *source.files,
                *(file.path for file in files if file.participant in labels),
                *(() if bold is None else bold.files),
            ),
            task_bold=bold,
        )

    def sketches(self, labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return sketches of people's rest and connectomes, by which people are recognised."""
        return {
            label: tuple(self.rest_sketches.get(label, {}).values()) for label in labels
        }

    def stacked(self, runs: Sequence[Sequence[Trials]]) -> Segments:
        """Return runs of people, or parts of them, as segments; see `stack_people`.

        Raises
        ------
        DatasetError
            There is no trial, or a response window does not fit into a segment.
        """
        try:
            return stack_people(runs, tasks=self.tasks)
        except ValueError as err:
            raise DatasetError(f"the trials cannot be used: {err}") from err

    def runs(self, labels: Sequence[str]) -> list[tuple[Trials, ...]]:
        """Return the runs of people, in this order."""
        return [self.behaviour[label].runs for label in labels]

    def bold(self, labels: Sequence[str]) -> list[Runs]:
        """Read people's BOLD, one for each of their `runs`; None where a run has none.

        Raises
        ------
        DatasetError
            Values cannot be used; the message names the file or the person.
        """
        if self.task_bold is None:
            return [(None,) * len(self.behaviour[label].runs) for label in labels]
        return [self.task_bold.read(label) for label in labels]


def _families(settings: Settings, source: ConnectomeSource) -> Families:
    """Return the families of ``--participants-file``, of the arrays, or of another table.

    The other tables are those of BIDS_DIR and OUTPUT_DIR.

    Raises
    ------
    SettingsError
        A table cannot be used, and no other has families.
    """
    if source.families.by_label and settings.statistics.participants_file is None:
        return source.families
    table = table_path(settings)
    roots = [settings.inputs.bids_dir, settings.inputs.output_dir.absolute()]
    families = read_families(
        roots, tables=[table] if table else [], labels=source.labels
    )
    families.require_known()
    return families if families.by_label else source.families


def _whole_people(
    source: ConnectomeSource,
    behaviour: Mapping[str, Behaviour],
    requested: Sequence[str],
) -> tuple[tuple[str, ...], dict[str, str], tuple[str, ...]]:
    """Return people with both, the reasons for leaving out others, and sentences on these."""
    connectomes = frozenset(source.labels)
    with_files = connectomes | behaviour.keys()
    wanted = tuple(dict.fromkeys(requested)) or tuple(sorted(with_files))
    if absent := [label for label in wanted if label not in with_files]:
        raise DatasetError(
            f"there are no files of {', '.join(absent)}",
            expected=f"labels such as {named(sorted(with_files))}",
        )
    left_out = {}
    by_reason: dict[str, list[str]] = {}
    for label in wanted:
        if why := _why_not(label, connectomes, behaviour):
            left_out[label] = why
            by_reason.setdefault(why, []).append(label)
    labels = tuple(label for label in wanted if label not in left_out)
    notes = [
        f"left out: {counted(len(people), 'participant')} with {why} ({named(people)})"
        for why, people in by_reason.items()
    ]
    troubles = {
        label: behaviour[label].troubles
        for label in wanted
        if label in behaviour and behaviour[label].troubles
    }
    if troubles:
        number = sum(map(len, troubles.values()))
        first, *_ = next(iter(troubles.values()))
        further = f" ({number - 1} more)" if number > 1 else ""
        notes.append(
            f"left out: {counted(number, 'run')} of "
            f"{counted(len(troubles), 'participant')} "
            f"({named(list(troubles))}): {first}{further}"
        )
    if not labels:
        raise DatasetError(
            f"nobody has both a connectome and events that can be read: {'; '.join(notes)}",
            expected=source.expected,
        )
    return labels, left_out, tuple(notes)


def _why_not(
    label: str, connectomes: frozenset[str], behaviour: Mapping[str, Behaviour]
) -> str | None:
    if label not in behaviour:
        return "a connectome and no events"
    if label not in connectomes:
        return "events and no connectome"
    return None if behaviour[label].runs else "no event file that can be used"


def trial_notes(
    tasks: Sequence[Task], behaviour: Mapping[str, Behaviour], labels: Sequence[str]
) -> tuple[str, ...]:
    """Return sentences on unscored trials, and on people with few trials or many errors.

    Parameters
    ----------
    tasks
        Tasks that they performed.
    behaviour
        Trials of people, by label.
    labels
        The people to report on.
    """
    return tuple(line for task in tasks for line in _on_task(task, behaviour, labels))


def _on_task(
    task: Task, behaviour: Mapping[str, Behaviour], labels: Sequence[str]
) -> Iterator[str]:
    people = {label: behaviour[label] for label in labels if behaviour[label].of(task)}
    if unscored := sum(person.left_out(task) for person in people.values()):
        every = unscored + sum(person.scored(task) for person in people.values())
        yield (
            f"{task.name}: {unscored} of {counted(every, 'trial')} not scored: responses "
            "that are implausibly fast or lack a time or a button, and trials that were never seen"
        )
    runs = [run for person in people.values() for run in person.of(task)]
    values = [value for run in runs for value in run.without_condition]
    for line in values_in_words(values):
        yield f"{task.name}: {line}"
    few: list[str] = []
    silent: list[str] = []
    low: list[str] = []
    for label, person in people.items():
        if person.fewest(task) < FEWEST_TRIALS:
            few.append(label)
        if 2 * person.answered(task) < person.scored(task):
            silent.append(label)
        elif person.below_chance(task):
            low.append(label)
    where = "a condition" if len(task.conditions) > 1 else "all"
    chance = f"below chance (1 in {len(task.buttons)}) with misses as errors"
    for unusual, what, remark in (
        (few, f"with fewer than {FEWEST_TRIALS} scored trials in {where}", ""),
        (silent, "without a response in most trials", ""),
        (low, chance, "; buttons may have been swapped"),
    ):
        if unusual:
            number = counted(len(unusual), "participant")
            yield f"{task.name}: {number} {what} ({named(unusual)}): kept{remark}"


def read_covariates(
    settings: Settings, labels: Sequence[str], adjustment: Adjustment | None = None
) -> Covariates:
    """Read columns of the participants table; sites are categories, even if they are numbers.

    People without a value are reported and kept; the training people's mean is used for them.

    Parameters
    ----------
    settings
        Options of the run.
    labels
        Labels of the people, in this order.
    adjustment
        That of a model, whose columns are read, categories as categories; None: those of
        ``--covariates``.

    Raises
    ------
    SettingsError
        There is no table or no such column, nobody has a value, it is unclear whether a column
        holds numbers, or a column of the model's numbers holds none.
    """
    names = settings.statistics.covariates
    if adjustment is not None:
        names = adjustment.asked
    if not names:
        return Covariates()
    path = table_path(settings)
    if path is None:
        raise SettingsError(
            f"there is no table of participants with a column {names[0]}",
            expected="--participants-file TSV, or participants.tsv in BIDS_DIR",
        )
    table = read_participants(path)
    table.require_labels(labels)
    values: dict[str, Values] = {}
    for name in names:
        column = _checked(table.find(name).of(labels), labels)
        is_number = column.is_number and plain_column(column.name) not in SITE_COLUMNS
        if (
            adjustment is not None
            and name not in adjustment.categories
            and not is_number
        ):
            raise SettingsError(
                f"{path}: {column.name} is categorical, and the model adjusts for its numbers",
                expected="the same kind of column as in training",
            )
        if is_number and (adjustment is None or name not in adjustment.categories):
            covariate = np.array(
                [column.numbers.get(label, np.nan) for label in labels]
            )
        else:
            covariate = np.array(
                [column.texts.get(label, "") for label in labels], np.str_
            )
        values[column.name if adjustment is None else name] = covariate
    return Covariates(values)


def _checked(column: Column, labels: Sequence[str]) -> Column:
    """Refuse a column without values of these people; report people without a value."""
    if not column.texts:
        raise SettingsError(
            f"--covariates {column.name}: none of {counted(len(labels), 'participant')} has a "
            "value",
            expected=f"labels such as sub-{labels[0]} in the table",
        )
    column.require_usable()
    say(*column.notes)
    if not column.is_number:
        say(column.levels_sentence)
    lacking = [f"sub-{label}" for label in labels if label not in column.texts]
    if lacking:
        say(
            f"{column.name}: {counted(len(lacking), 'participant')} without a value "
            f"({named(lacking)}); the training people's mean is used"
        )
    return column
