"""People of the digital twin: a connectome from files of arrays, and trials from event files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import DatasetError, RunError, SettingsError
from bids_dtg.files.names import plain_label
from bids_dtg.inputs.arrays import ArrayPeople, PeopleArray, read_arrays
from bids_dtg.inputs.dataset import name_folder
from bids_dtg.inputs.events import EventsFile, find_events, read_events
from bids_dtg.inputs.splits_file import Families
from bids_dtg.notices import counted, named
from bids_dtg.settings import Settings
from bids_dtg.stats.splits import Split
from bids_dtg.twin.tasks import SHIPPED, Task, find_task
from bids_dtg.twin.traces import Segments, TaskSet, stack_people
from bids_dtg.twin.trials import Trials, read_trials
from bids_dtg.workflows.people import given_split, read_rows

Array = NDArray[np.float64]
Edges = NDArray[np.float32]

_SOURCES = ("rest", "connectomes", "edges")  # of which files have one
_MOST_EDGES = 4_000_000  # as of 2,800 regions: everybody's are in memory
_SAME = 1e-4  # of correlations there and back: files may have been rounded
_UNUSED = ("targets", "structural", "roi_maps", "adjacency")  # of what files may hold


@dataclass(frozen=True, eq=False)
class Behaviour:
    """What a person did in all runs that can be read."""

    runs: tuple[Trials, ...]
    troubles: tuple[str, ...] = ()  # why further runs cannot be read

    def of(self, task: Task) -> tuple[Trials, ...]:
        """Return the runs of a task."""
        return tuple(run for run in self.runs if run.task.name == task.name)

    def scored(self, task: Task) -> int:
        """Return how many trials of a task are scored."""
        return sum(int(run.scored.sum()) for run in self.of(task))

    def left_out(self, task: Task) -> int:
        """Return how many trials of a task are not scored."""
        return sum(len(run.unscored) for run in self.of(task))

    def share_correct(self, task: Task) -> float:
        """Return the share of a task's scored trials that are correct; misses count as errors.

        NaN where no trial is scored.
        """
        right = [correct for run in self.of(task) for correct in run.correct[run.scored]]
        return float(np.mean(right)) if right else np.nan

    def below_chance(self, task: Task) -> bool:
        """Return whether fewer trials are correct than by guessing, as one in as many as buttons.

        Misses count as errors, as published.
        """
        return bool(self.share_correct(task) < 1 / len(task.buttons))


@dataclass(frozen=True, eq=False)
class TwinPeople:
    """Who has a connectome and performed a task; connectomes are read when asked for."""

    arrays: ArrayPeople  # what the files of arrays hold
    tasks: TaskSet
    behaviour: Mapping[str, Behaviour]  # of everybody with event files, by label
    labels: tuple[str, ...]  # who was asked for and has both
    left_out: Mapping[str, str]  # who was asked for and is not among them, and why
    split: Split  # who of `labels` is for what; without --split-file everybody trains
    notes: tuple[str, ...]  # sentences on what was assumed, and who was left out

    @classmethod
    def prepare(cls, settings: Settings, tasks: Sequence[Task] | None = None) -> TwinPeople:
        """Read events, and what the files of ``--input-arrays`` hold; check all but their values.

        Parameters
        ----------
        settings
            Options of the call.
        tasks
            Those of a model; None: as ``--task-file`` says.

        Raises
        ------
        SettingsError
            Options name a task or people that there are not.
        DatasetError
            Nobody has both, or files cannot be used.
        """
        modelling = settings.modelling
        arrays = read_arrays(modelling.input_arrays, modelling.array_key, of=_SOURCES)
        connectomes = _connectomes(arrays)
        asked = tuple(plain_label(label, "sub") for label in settings.inputs.participant_label)
        chosen, files = _find_files(settings, tasks)
        behaviour = _read_all(chosen, files, dict.fromkeys(asked))
        labels, left_out, lacking = _whole_people(connectomes, behaviour, asked)
        split, others = given_split(modelling.split_file, labels, arrays.families)
        return cls(
            arrays=arrays,
            tasks=TaskSet(chosen),
            behaviour=MappingProxyType(behaviour),
            labels=labels,
            left_out=MappingProxyType(left_out),
            split=split,
            notes=(
                *arrays.notes,
                *_unused(arrays),
                *lacking,
                *others,
                *_on_trials(chosen, behaviour, labels),
            ),
        )

    @property
    def families(self) -> Families:
        """Who is related, by the key families."""
        return self.arrays.families

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the connectomes' regions; none where files have edges without names."""
        return self.arrays.places

    @property
    def edges(self) -> int:
        """How many edges a connectome has."""
        if self.arrays.edges is not None:
            return int(self.arrays.edges.stored.shape[1])
        return len(self.regions) * (len(self.regions) - 1) // 2

    @property
    def source(self) -> str:
        """How connectomes were made, in words."""
        return next(words for name, words in _SOURCE_WORDS if _of(self.arrays, name))

    def connectomes(self, labels: Sequence[str]) -> Edges:
        """Read people's connectomes.

        Parameters
        ----------
        labels
            Whose, in this order.

        Returns
        -------
        numpy.ndarray
            (people, edges), Fisher z: the upper triangle row by row. Several sessions of rest are
            averaged, weighted by their frames.

        Raises
        ------
        DatasetError
            Somebody's values cannot be used: naming people and regions.
        """
        if self.arrays.edges is not None:
            rows = read_rows(self.arrays.edges, labels, _edge_faults, "finite values that differ")
            return np.stack(rows).astype(np.float32)
        if self.arrays.connectomes is not None:
            expected = "symmetric correlations between -1 and 1"
            rows = read_rows(
                self.arrays.connectomes, labels, partial(_faults, self.regions), expected
            )
            return np.stack([_fisher_z(values) for values in rows])
        return self._of_rest(labels)

    def _of_rest(self, labels: Sequence[str]) -> Edges:
        total = np.zeros((len(labels), self.edges))
        frames = np.zeros(len(labels))
        for array in self.arrays.rest:
            there = [row for row, label in enumerate(labels) if label in array.rows]
            some = [labels[row] for row in there]
            series = read_rows(
                array, some, partial(_series_faults, self.regions), "series that vary and differ"
            )
            for row, values in zip(there, series, strict=True):
                total[row] += values.shape[1] * _fisher_z(np.asarray(np.corrcoef(values)))
                frames[row] += values.shape[1]
        return (total / frames[:, None]).astype(np.float32)

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


_SOURCE_WORDS = (
    ("edges", "edges from arrays, Fisher z"),
    ("connectomes", "correlations from arrays, as Fisher z"),
    ("rest", "Pearson correlations of series from arrays, as Fisher z"),
)


def _of(arrays: ArrayPeople, name: str) -> tuple[PeopleArray, ...]:
    """Return the arrays under a name of `_SOURCES`; none where there are none."""
    found: PeopleArray | tuple[PeopleArray, ...] | None = getattr(arrays, name)
    if found is None:
        return ()
    return found if isinstance(found, tuple) else (found,)


def _connectomes(arrays: ArrayPeople) -> frozenset[str]:
    """Return who has a connectome; refuse arrays that are none."""
    places, square = len(arrays.places), arrays.connectomes
    if square is not None and square.stored.shape[1] != square.stored.shape[2]:
        raise DatasetError(
            f"{square.stored.title} has shape {square.stored.shape}",
            expected="(people, regions, regions): correlations",
        )
    edges = places * (places - 1) // 2
    if arrays.edges is not None:
        count, title = int(arrays.edges.stored.shape[1]), arrays.edges.stored.title
        if arrays.places_named and count != edges:
            raise DatasetError(
                f"{title} has {count} edges, and there are {counted(places, 'place')}",
                expected=f"{edges} edges: a pair of places each",
            )
        edges = count
    if not 1 <= edges <= _MOST_EDGES:
        raise DatasetError(
            f"connectomes have {counted(edges, 'edge')}",
            expected=f"1 to {_MOST_EDGES}: correlations between regions, not voxels",
        )
    return frozenset(label for name in _SOURCES for of in _of(arrays, name) for label in of.rows)


def _find_files(
    settings: Settings, tasks: Sequence[Task] | None
) -> tuple[tuple[Task, ...], tuple[EventsFile, ...]]:
    """Return the tasks, and their event files.

    Those of ``--task-file`` must all have some; of those that ship, those are meant that do.
    """
    root = name_folder(settings.inputs.bids_dir).root
    given = settings.twin.task_file if tasks is None else ()
    wanted = tuple(map(find_task, given or SHIPPED)) if tasks is None else tuple(tasks)
    _require_apart(wanted)
    entities = [name for task in wanted for name in task.bids_tasks]
    files = find_events(root, entities, sessions=settings.inputs.session_label)
    there = {file.task for file in files}
    with_files = tuple(task for task in wanted if there & set(task.bids_tasks))
    if given and (without := [task.name for task in wanted if task not in with_files]):
        raise DatasetError(
            f"{root} has no event files of {counted(len(without), 'task')} of --task-file "
            f"({named(without)})",
            expected="files named as bids_tasks of the task files says",
        )
    return (wanted if tasks is not None else with_files), files


def _require_apart(tasks: Sequence[Task]) -> None:
    """Refuse tasks of one name, or with event files in common."""
    for what, names in (
        ("the name", [task.name for task in tasks]),
        ("event files of task", [name for task in tasks for name in task.bids_tasks]),
    ):
        if twice := [name for name in names if names.count(name) > 1]:
            raise SettingsError(
                f"two tasks have {what} {twice[0]}", expected="tasks of different names and files"
            )


def _read_all(
    tasks: Sequence[Task], files: Sequence[EventsFile], asked: Mapping[str, None]
) -> dict[str, Behaviour]:
    """Return what people did, by label; of all where nobody was asked for."""
    task_of = {name: task for task in tasks for name in task.bids_tasks}
    by_person: dict[str, list[EventsFile]] = {}
    for file in files:
        if file.task in task_of and (not asked or file.participant in asked):
            by_person.setdefault(file.participant, []).append(file)
    return {
        label: _read_person([(file, task_of[file.task]) for file in own])
        for label, own in by_person.items()
    }


def _read_person(files: Sequence[tuple[EventsFile, Task]]) -> Behaviour:
    runs, troubles = [], []
    for file, task in files:
        try:
            run = read_trials(task, read_events(file.path), file.path.name)
            if not run.scored.any():
                raise RunError(f"{file.path.name} has no trial that can be scored")
            runs.append(run)
        except RunError as err:
            troubles.append(str(err))
    return Behaviour(tuple(runs), tuple(troubles))


def _whole_people(
    connectomes: frozenset[str], behaviour: Mapping[str, Behaviour], asked: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, str], tuple[str, ...]]:
    """Return who has both, why others have not, and sentences on them."""
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
            expected="the same labels in the arrays, under the key people, as in BIDS_DIR",
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


def _unused(arrays: ArrayPeople) -> tuple[str, ...]:
    given = [name for name in _UNUSED if getattr(arrays, name) is not None]
    return (f"not used by digital twins: {named(given)}",) if given else ()


def _fisher_z(correlations: Array) -> Edges:
    """Return Fisher z of the upper triangle (edges,) of correlations (regions, regions)."""
    above = np.triu_indices(len(correlations), 1)
    return np.arctanh(correlations[above]).astype(np.float32)


def _edge_faults(values: Array) -> list[str]:
    """Say what is wrong with a person's edges (edges,)."""
    if unknown := int((~np.isfinite(values)).sum()):
        return [f"{unknown} of {values.size} edges are NaN or infinite"]
    if values.size > 1 and (values == values[0]).all():
        return ["all edges are the same"]
    return []


def _faults(regions: Sequence[str], values: Array) -> list[str]:
    """Say what is wrong with a person's correlations (regions, regions); diagonals do not count."""
    off = values[~np.eye(len(values), dtype=bool)]
    if not np.isfinite(off).all():
        return [f"NaN or infinite values at {_pair(regions, ~np.isfinite(values))}"]
    if (off == off[0]).all() and len(off) > 2:
        return ["all correlations are the same"]
    beyond = (np.abs(values) >= 1) & ~np.eye(len(values), dtype=bool)
    if beyond.any():
        return [
            f"{values[beyond][0]:.3g} at {_pair(regions, beyond)}: Fisher z is not finite there "
            "(Fisher z itself belongs under the key edges)"
        ]
    uneven = np.abs(values - values.T) > _SAME
    return [f"other values there than back, at {_pair(regions, uneven)}"] if uneven.any() else []


def _series_faults(regions: tuple[str, ...], values: Array) -> list[str]:
    """Say what is wrong with a person's series (regions, frames)."""
    finite = np.isfinite(values).all(axis=1)
    constant = finite & (values == values[:, :1]).all(axis=1)
    if wrong := [
        *(f"{regions[n]} has NaN or infinite values" for n in np.flatnonzero(~finite)),
        *(f"{regions[n]} is constant" for n in np.flatnonzero(constant)),
    ]:
        return wrong
    alike = np.triu(np.abs(np.corrcoef(values)) >= 1 - 1e-12, 1)
    return [f"the same series at {_pair(regions, alike)}"] if alike.any() else []


def _pair(regions: Sequence[str], where: NDArray[np.bool_]) -> str:
    off = where & ~np.eye(len(where), dtype=bool)
    row, column = (int(number) for number in np.argwhere(off)[0])
    return f"{regions[row]} and {regions[column]}"
