"""Event files: each participant's own, and the sequence for participants without one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from bids_dtg.errors import DatasetError, RunError, SettingsError
from bids_dtg.inputs.dataset import name_folder
from bids_dtg.inputs.events import find_events, read_events
from bids_dtg.inputs.run import NamedFile
from bids_dtg.notices import counted, named
from bids_dtg.participants.request import AveragedRuns
from bids_dtg.settings import Settings
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.options import TwinOptions
from bids_dtg.twin.tasks import SHIPPED, Task, find_task
from bids_dtg.twin.trials import Trials, read_trials


@dataclass(frozen=True, eq=False)
class PerformedRun:
    """A run of a task that a twin performs."""

    file: NamedFile
    trials: Trials
    # Whether it is the participant's run; False: only its sequence is used.
    is_own: bool


@dataclass(frozen=True, eq=False)
class TaskEvents:
    """Tasks, and their event files in the dataset."""

    tasks: tuple[Task, ...]  # the model's
    files: tuple[NamedFile, ...]  # of everybody
    first: Mapping[str, PerformedRun]  # by task, for participants without a file

    @classmethod
    def find(cls, settings: Settings, bundle: TwinBundle) -> TaskEvents:
        """Find event files of the model's tasks, and read the first one of each task.

        Raises
        ------
        DatasetError
            Event files are missing or cannot be read.
        """
        tasks, files = find_task_files(settings, bundle.part.tasks)
        return cls(tasks, files, _read_first(tasks, files))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tasks with event files."""
        return tuple(task.name for task in _with_files(self.tasks, self.files))

    @property
    def notes(self) -> Iterator[str]:
        """Report lines on the tasks."""
        for name, run in self.first.items():
            yield (
                f"{name}: participants without an event file perform the trials of "
                f"{run.file.path.name}"
            )
        if without := [task.name for task in self.tasks if task.name not in self.names]:
            yield f"not performed, as there are no event files: {named(without)}"

    @cached_property
    def identity(self) -> dict[str, str]:
        """SHA-256 of each task's definition, by name."""
        return {
            task.name: hashlib.sha256(
                json.dumps(task.content, sort_keys=True).encode()
            ).hexdigest()
            for task in self.tasks
        }

    def own_files(
        self, planned: AveragedRuns
    ) -> Iterator[tuple[Task, tuple[NamedFile, ...]]]:
        """Yield each task with the participant's files, those of the average's session if any."""
        session = planned.entities.get("ses")
        for task in self.tasks:
            files = [
                file
                for file in self.files
                if file.participant == planned.participant
                and file.task in task.bids_tasks
            ]
            session_files = [file for file in files if file.session == session]
            yield task, tuple(session_files or files)

    def paths(self, planned: AveragedRuns) -> Iterator[Path]:
        """Yield the event files that an average depends on."""
        for task, files in self.own_files(planned):
            yield from (file.path for file in files)
            if task.name in self.first:  # needed also where own files are damaged
                yield self.first[task.name].file.path

    def of(
        self, planned: AveragedRuns
    ) -> tuple[tuple[PerformedRun, ...], tuple[str, ...]]:
        """Read the runs of an average's tasks, with a note on each file that cannot be read."""
        runs: list[PerformedRun] = []
        troubles: list[str] = []
        for task, files in self.own_files(planned):
            runs_of_task = _read(task, files, troubles)
            if not runs_of_task and task.name in self.first:
                runs_of_task = [self.first[task.name]]
            runs += runs_of_task
        return tuple(runs), tuple(troubles)

    def plan(self, planned: AveragedRuns) -> Iterator[str]:
        """Yield lines on the event files that an average would use."""
        for task, files in self.own_files(planned):
            if files:
                yield f"    {task.name}: reads {', '.join(str(file.path) for file in files)}"
            elif task.name in self.first:
                yield f"    {task.name}: performs the trials of {self.first[task.name].file.path}"
            else:
                yield f"    {task.name}: has no event file"


def _read_first(
    tasks: Sequence[Task], files: Sequence[NamedFile]
) -> Mapping[str, PerformedRun]:
    """Read the first readable event file of each task."""
    first: dict[str, PerformedRun] = {}
    for task in tasks:
        files_of_task = [file for file in files if file.task in task.bids_tasks]
        troubles: list[str] = []
        for file in files_of_task:
            if runs := _read(task, [file], troubles):
                first[task.name] = replace(runs[0], is_own=False)
                break
        if files_of_task and task.name not in first:
            number = counted(files_of_task, "event file")
            raise DatasetError(
                f"none of {number} of the task {task.name} can be read: {troubles[0]}",
                expected="event files as the model's task describes them",
            )
    return MappingProxyType(first)


def _read(
    task: Task, files: Sequence[NamedFile], troubles: list[str]
) -> list[PerformedRun]:
    """Read files of one task, and append the reasons for unreadable files to `troubles`."""
    runs = []
    for file in files:
        try:
            trials = read_trials(task, read_events(file.path), file.path.name)
        except RunError as err:
            troubles.append(str(err))
        else:
            runs.append(PerformedRun(file, trials, is_own=True))
    return runs


@dataclass(frozen=True, eq=False)
class Behaviour:
    """A person's trials in all runs that can be read."""

    runs: tuple[Trials, ...]
    files: tuple[NamedFile, ...]  # of each run
    troubles: tuple[str, ...] = ()  # why further runs cannot be read

    def of(self, task: Task) -> tuple[Trials, ...]:
        """Return the runs of a task."""
        return tuple(run for run in self.runs if run.task.name == task.name)

    def scored(self, task: Task) -> int:
        """Return the number of scored trials of a task."""
        return sum(int(run.scored.sum()) for run in self.of(task))

    def left_out(self, task: Task) -> int:
        """Return the number of trials of a task that are not scored."""
        return sum(len(run.unscored) for run in self.of(task))

    def answered(self, task: Task) -> int:
        """Return the number of scored trials of a task with a response."""
        runs = self.of(task)
        return sum(
            int((run.scored & np.isfinite(run.rt_seconds)).sum()) for run in runs
        )

    def fewest(self, task: Task) -> int:
        """Return the number of scored trials in the task's condition that has fewest."""
        condition = np.concatenate([run.condition[run.scored] for run in self.of(task)])
        return min(
            int((condition == number).sum()) for number in range(len(task.conditions))
        )

    def share_correct(self, task: Task) -> float:
        """Return the share of a task's scored trials that are correct; misses count as errors.

        NaN where no trial is scored.
        """
        right = [
            correct for run in self.of(task) for correct in run.correct[run.scored]
        ]
        return float(np.mean(right)) if right else np.nan

    def below_chance(self, task: Task) -> bool:
        """Return whether the share of correct trials is below one over the number of buttons.

        Misses count as errors, as published.
        """
        return bool(self.share_correct(task) < 1 / len(task.buttons))


def find_task_files(
    settings: Settings, tasks: Sequence[Task] | None
) -> tuple[tuple[Task, ...], tuple[NamedFile, ...]]:
    """Return the tasks, and their event files in BIDS_DIR.

    The tasks are those of a model; where these are None, those of ``--task-file``, which must all
    have event files, or the shipped tasks with event files.

    Raises
    ------
    SettingsError
        A task does not exist, or two tasks share a name or event files.
    DatasetError
        There are no event files of the tasks.
    """
    root = name_folder(settings.inputs.bids_dir).root
    task_files: tuple[str, ...] = ()
    if tasks is None:
        task_files = settings.part(TwinOptions).task_file
        wanted = tuple(map(find_task, task_files or SHIPPED))
    else:
        wanted = tuple(tasks)
    _require_apart(wanted)
    entities = [name for task in wanted for name in task.bids_tasks]
    files = find_events(root, entities, sessions=settings.inputs.session_label)
    with_files = _with_files(wanted, files)
    without = [task.name for task in wanted if task not in with_files]
    if task_files and without:
        raise DatasetError(
            f"{root} has no event files of {counted(without, 'task')} of --task-file "
            f"({named(without)})",
            expected="files with the task names of bids_tasks in the task file",
        )
    return (wanted if tasks is not None else with_files), files


def _with_files(tasks: Sequence[Task], files: Sequence[NamedFile]) -> tuple[Task, ...]:
    """Return the tasks that have event files."""
    bids_tasks = {file.task for file in files}
    return tuple(task for task in tasks if bids_tasks & set(task.bids_tasks))


def _require_apart(tasks: Sequence[Task]) -> None:
    """Refuse tasks with the same name or the same event files."""
    for what, names in (
        ("the name", [task.name for task in tasks]),
        ("event files of task", [name for task in tasks for name in task.bids_tasks]),
    ):
        if twice := [name for name in names if names.count(name) > 1]:
            raise SettingsError(
                f"two tasks have {what} {twice[0]}",
                expected="tasks of different names and files",
            )


def read_behaviour(
    tasks: Sequence[Task], files: Sequence[NamedFile], labels: Collection[str] = ()
) -> dict[str, Behaviour]:
    """Read people's trials by label, for the given labels or for everybody.

    Files that cannot be read are listed in `Behaviour.troubles`.
    """
    task_of = {name: task for task in tasks for name in task.bids_tasks}
    by_person: dict[str, list[tuple[NamedFile, Task]]] = {}
    for file in files:
        if file.task in task_of and (not labels or file.participant in labels):
            pair = file, task_of[file.task]
            by_person.setdefault(file.participant, []).append(pair)
    return {label: _read_person(pairs) for label, pairs in by_person.items()}


def _read_person(files: Sequence[tuple[NamedFile, Task]]) -> Behaviour:
    runs: list[Trials] = []
    files_read: list[NamedFile] = []
    troubles: list[str] = []
    by_trials: dict[tuple[str, bytes, bytes], NamedFile] = {}
    for file, task in files:
        try:
            run = read_trials(task, read_events(file.path), file.path.name)
            trials = task.name, run.onset_seconds.tobytes(), run.rt_seconds.tobytes()
            if (first := by_trials.setdefault(trials, file)) is not file:
                raise RunError(f"{file.path} has the same trials as {first.path}")
            if not run.scored.any():
                raise RunError(f"{file.path.name} has no trial that can be scored")
            if not np.isfinite(run.rt_seconds[run.scored]).any():
                number = counted(int(run.scored.sum()), "trial")
                raise RunError(f"{file.path.name} has no response in {number}")
            runs.append(run)
            files_read.append(file)
        except RunError as err:
            troubles.append(str(err))
    return Behaviour(tuple(runs), tuple(files_read), tuple(troubles))
