"""People of the digital twin: who has a connectome, and trials from event files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from bids_dtg.cohort.array_people import given_split
from bids_dtg.errors import DatasetError
from bids_dtg.files.names import plain_label
from bids_dtg.inputs.splits_file import Families
from bids_dtg.notices import counted, named
from bids_dtg.settings import Settings
from bids_dtg.stats.splits import Split
from bids_dtg.twin.participant.array_connectomes import find_array_connectomes
from bids_dtg.twin.participant.event_trials import Behaviour, find_task_files, read_behaviour
from bids_dtg.twin.participant.output_connectomes import find_output_connectomes
from bids_dtg.twin.participant.source import ConnectomeSource, Edges
from bids_dtg.twin.tasks import Task
from bids_dtg.twin.traces import Segments, TaskSet, stack_people
from bids_dtg.twin.trials import Trials


@dataclass(frozen=True, eq=False)
class TwinPeople:
    """Who has a connectome and performed a task; connectomes are read when asked for."""

    source: ConnectomeSource  # of connectomes
    tasks: TaskSet
    behaviour: Mapping[str, Behaviour]  # of everybody with event files, by label
    labels: tuple[str, ...]  # who was asked for and has both
    left_out: Mapping[str, str]  # who was asked for and is not among them, and why
    split: Split  # who of `labels` is for what; without --split-file everybody trains
    notes: tuple[str, ...]  # sentences on what was assumed, and who was left out

    @classmethod
    def prepare(
        cls, settings: Settings, tasks: Sequence[Task] | None = None, atlas: str = ""
    ) -> TwinPeople:
        """Read events, and find connectomes: those of ``--input-arrays``, else of the output.

        Of arrays all is checked but their values.

        Parameters
        ----------
        settings
            Options of the call.
        tasks
            Those of a model; None: as ``--task-file`` says.
        atlas
            Key of the atlas of a model, of which connectomes in the output are read; empty: of
            the only one.

        Raises
        ------
        SettingsError
            Options name a task or people that there are not.
        DatasetError
            Nobody has both, or files cannot be used.
        """
        source = _source(settings, atlas)
        asked = tuple(plain_label(label, "sub") for label in settings.inputs.participant_label)
        chosen, files = find_task_files(settings, tasks)
        behaviour = read_behaviour(chosen, files, asked)
        labels, left_out, lacking = _whole_people(source, behaviour, asked)
        split, others = given_split(settings.modelling.split_file, labels, source.families)
        return cls(
            source=source,
            tasks=TaskSet(chosen),
            behaviour=MappingProxyType(behaviour),
            labels=labels,
            left_out=MappingProxyType(left_out),
            split=split,
            notes=(
                *source.notes,
                *lacking,
                *others,
                *_on_trials(chosen, behaviour, labels),
            ),
        )

    @property
    def families(self) -> Families:
        """Who is related."""
        return self.source.families

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the connectomes' regions; none where there are edges without names."""
        return self.source.regions

    @property
    def edges(self) -> int:
        """How many edges a connectome has."""
        return self.source.edges

    def connectomes(self, labels: Sequence[str]) -> Edges:
        """Read people's connectomes, (people, edges): as `ConnectomeSource.connectomes`.

        Parameters
        ----------
        labels
            Whose, in this order.

        Raises
        ------
        DatasetError
            Somebody's values cannot be used: naming people and regions.
        """
        return self.source.connectomes(labels)

    def segments(
        self, labels: Sequence[str], *, held: bool = True, half: int | None = None
    ) -> Segments:
        """Return what people saw and did, as networks are trained on it.

        Parameters
        ----------
        labels
            Whose, in this order.
        held, half
            As for `bids_dtg.twin.traces.stack_people`.

        Raises
        ------
        DatasetError
            There is no trial, or none that fits.
        """
        try:
            return stack_people(self.runs(labels), tasks=self.tasks, held=held, half=half)
        except ValueError as err:
            raise DatasetError(f"the trials cannot be used: {err}") from err

    def runs(self, labels: Sequence[str]) -> list[tuple[Trials, ...]]:
        """Return the runs of people, in this order.

        Parameters
        ----------
        labels
            Whose.
        """
        return [self.behaviour[label].runs for label in labels]


def _source(settings: Settings, atlas: str) -> ConnectomeSource:
    modelling = settings.modelling
    if modelling.input_arrays:
        return find_array_connectomes(modelling.input_arrays, modelling.array_key)
    return find_output_connectomes(settings, atlas)


def _whole_people(
    source: ConnectomeSource, behaviour: Mapping[str, Behaviour], asked: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, str], tuple[str, ...]]:
    """Return who has both, why others have not, and sentences on them."""
    connectomes = frozenset(source.labels)
    there = sorted(connectomes | behaviour.keys())
    wanted = tuple(dict.fromkeys(asked)) or tuple(there)
    if absent := [label for label in wanted if label not in connectomes | behaviour.keys()]:
        raise DatasetError(
            f"nothing is known of {', '.join(absent)}", expected=f"labels such as {named(there)}"
        )
    left_out = {label: why for label in wanted if (why := _why_not(label, connectomes, behaviour))}
    labels = tuple(label for label in wanted if label not in left_out)
    notes = [
        f"left out: {counted(len(who), 'participant')} with {why} ({named(who)})"
        for why in dict.fromkeys(left_out.values())
        for who in [[label for label, own in left_out.items() if own == why]]
    ]
    damaged = [
        (label, line)
        for label in wanted
        if label in behaviour
        for line in behaviour[label].troubles
    ]
    if damaged:
        more = f"; {len(damaged) - 1} more" if len(damaged) > 1 else ""
        notes.append(
            f"left out: {counted(len(damaged), 'run')} of "
            f"{counted(len({label for label, _ in damaged}), 'participant')} "
            f"({named(list(dict.fromkeys(label for label, _ in damaged)))}): {damaged[0][1]}{more}"
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
    return None if behaviour[label].runs else "no event file that can be read"


def _on_trials(
    tasks: Sequence[Task], behaviour: Mapping[str, Behaviour], labels: Sequence[str]
) -> tuple[str, ...]:
    """Return sentences on trials that are not scored, and on who answers below chance."""
    lines = []
    for task in tasks:
        unscored = sum(behaviour[label].left_out(task) for label in labels)
        if unscored:
            every = unscored + sum(behaviour[label].scored(task) for label in labels)
            lines.append(
                f"{task.name}: {unscored} of {counted(every, 'trial')} not scored: answers that "
                "are implausibly fast, or have a time or a button alone, and trials never seen"
            )
        if low := [label for label in labels if behaviour[label].below_chance(task)]:
            lines.append(
                f"{task.name}: {counted(len(low), 'participant')} below chance, 1 in "
                f"{len(task.buttons)}, misses as errors ({named(low)}): kept; buttons may have "
                "been swapped"
            )
    return tuple(lines)
