"""Participants of the digital twin, with connectomes and trials from event files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from bids_dtg.cohort.group_participants import table_path
from bids_dtg.cohort.participant_sources import (
    ModelParticipants,
    participants_without_lack,
)
from bids_dtg.errors import DatasetError
from bids_dtg.files.names import plain_label
from bids_dtg.inputs.participants import Families, read_families
from bids_dtg.notices import counted, named
from bids_dtg.settings import Settings
from bids_dtg.twin.options import TwinOptions
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


@dataclass(frozen=True, eq=False, kw_only=True)
class TwinParticipants(ModelParticipants[ConnectomeSource]):
    """Participants with a connectome and trials; connectomes are read on request."""

    tasks: TaskSet
    behaviour: Mapping[str, Behaviour]  # of everybody with event files, by label
    left_out: Mapping[str, str]  # other requested participants, with the reason
    # BOLD of their runs of trials; None: nobody has any.
    task_bold: TaskBold | None = None

    @classmethod
    def prepare(
        cls,
        settings: Settings,
        tasks: Sequence[Task] | None = None,
        atlas: str = "",
        with_bold: bool = True,
    ) -> TwinParticipants:
        """Read events, and find connectomes: those of ``--input-arrays``, else of the output.

        Tasks, atlas and use of BOLD are those of a model. Without a model, tasks are those of
        ``--task-file``, and the output must have one atlas only. Task BOLD must be of one atlas.
        Arrays are checked except for their values.

        Raises
        ------
        SettingsError
            Options name a task or people that do not exist.
        DatasetError
            Nobody has both, or files cannot be used, as all those of a task of ``--task-file``.
        """
        if settings.modelling.input_arrays:
            source = find_array_connectomes(settings)
        else:
            source = find_output_connectomes(settings, atlas)
        requested = tuple(
            plain_label(label, "sub") for label in settings.inputs.participant_label
        )
        chosen, files = find_task_files(settings, tasks)
        behaviour = read_behaviour(chosen, files, requested)
        source = replace(source, families=_families(settings, source))
        labels, left_out, lacking = _whole_people(source, behaviour, requested)
        whole = {label: behaviour[label] for label in labels}
        bold = None
        if with_bold and source.arrays is not None:
            bold = find_array_bold(source.arrays, whole, files)
        elif with_bold:
            bold = find_output_bold(settings, whole)
        fields = cls.shared_fields(settings, source, labels, lacking)
        if tasks is None:
            split = fields["split"]
            trained = split.everybody if settings.statistics.folds else split.training
            training = [whole[label] for label in trained]
            chosen, without = _performed_tasks(settings, chosen, training, lacking)
            fields["notes"] += without
        fields["notes"] += trial_notes(chosen, behaviour, labels)
        fields["files"] += tuple(
            file.path for file in files if file.participant in labels
        )
        if bold is not None:
            fields["notes"] += bold.notes
            fields["files"] += bold.files
        return cls(
            **fields,
            tasks=TaskSet(chosen),
            behaviour=MappingProxyType(behaviour),
            left_out=MappingProxyType(left_out),
            task_bold=bold,
        )

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
        """Read people's `task_bold`, one for each of their `runs`; None where a run has none.

        Raises
        ------
        DatasetError
            Values cannot be used; the message names the file or the person.
        """
        assert self.task_bold is not None
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
) -> tuple[tuple[str, ...], dict[str, str], list[str]]:
    """Return people with both, the reasons for leaving out others, and sentences on these."""
    connectomes, with_files = frozenset(source.labels), behaviour.keys()
    unusable = {label for label, person in behaviour.items() if not person.runs}
    lacking = {
        "a connectome and no events": connectomes - with_files,
        "events and no connectome": with_files - connectomes,
        "no event file that can be used": connectomes & unusable,
    }
    everybody = sorted(connectomes | with_files)
    labels, left_out, notes = participants_without_lack(requested, everybody, lacking)
    troubles = {
        label: behaviour[label].troubles
        for label in requested or everybody
        if label in behaviour and behaviour[label].troubles
    }
    if troubles:
        number = sum(map(len, troubles.values()))
        first, *_ = next(iter(troubles.values()))
        further = f" ({number - 1} more)" if number > 1 else ""
        notes.append(
            f"left out: {counted(number, 'run')} of "
            f"{counted(troubles, 'participant')} "
            f"({named(list(troubles))}): {first}{further}"
        )
    if not labels:
        raise DatasetError(
            f"nobody has both a connectome and events that can be read: {'; '.join(notes)}",
            expected=source.expected,
        )
    return labels, left_out, notes


def _performed_tasks(
    settings: Settings,
    tasks: Sequence[Task],
    training: Sequence[Behaviour],
    lacking: Sequence[str],
) -> tuple[tuple[Task, ...], tuple[str, ...]]:
    """Return the tasks that the training set performed, and a sentence on the others.

    A network cannot be trained on a task without trials. `lacking` are sentences on people and
    runs that were left out, for the refusal.

    Raises
    ------
    DatasetError
        ``--task-file`` names one of the others.
    """
    performed = tuple(
        task for task in tasks if any(person.of(task) for person in training)
    )
    without = [task.name for task in tasks if task not in performed]
    if not without:
        return performed, ()
    what = f"{counted(without, 'task')} without a run that can be used for training"
    if settings.part(TwinOptions).task_file:
        raise DatasetError(
            "; ".join([f"--task-file names {what} ({named(without)})", *lacking]),
            remedy="mend these files, or leave the task out of --task-file",
        )
    return performed, (f"left out: {what} ({named(without)})",)


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
            number = counted(unusual, "participant")
            yield f"{task.name}: {number} {what} ({named(unusual)}): kept{remark}"
