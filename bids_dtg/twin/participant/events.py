"""Event files of a call: each participant's own, and the sequence for participants without one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from bids_dtg.errors import DatasetError, RunError
from bids_dtg.inputs.events import EventsFile, read_events
from bids_dtg.notices import counted, named
from bids_dtg.participants.averages import AveragedRuns
from bids_dtg.settings import Settings
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.participant.event_trials import find_task_files
from bids_dtg.twin.task_json import task_to_json
from bids_dtg.twin.tasks import Task
from bids_dtg.twin.trials import Trials, read_trials


@dataclass(frozen=True, eq=False)
class PerformedRun:
    """A run of a task that a twin performs."""

    file: EventsFile
    trials: Trials
    own: bool  # whether it is the participant's run; False: only its sequence is used


@dataclass(frozen=True, eq=False)
class AverageEvents:
    """The runs of tasks that the twin of an average performs."""

    runs: tuple[PerformedRun, ...]
    troubles: tuple[str, ...] = ()  # why files of the participant cannot be read

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on files, rows and responses of the participant that were left out."""
        own = (run for run in self.runs if run.own)
        return (
            *(f"left out: {trouble}" for trouble in self.troubles),
            *(f"{run.file.path.name}: {note}" for run in own for note in run.trials.notes),
        )


@dataclass(frozen=True, eq=False)
class TaskEvents:
    """Tasks, and their event files in the dataset."""

    tasks: tuple[Task, ...]  # the model's
    files: tuple[EventsFile, ...]  # of everybody
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
        there = {file.task for file in self.files}
        return tuple(task.name for task in self.tasks if there & set(task.bids_tasks))

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
                json.dumps(task_to_json(task), sort_keys=True).encode()
            ).hexdigest()
            for task in self.tasks
        }

    def own_files(self, planned: AveragedRuns) -> Iterator[tuple[Task, tuple[EventsFile, ...]]]:
        """Yield each task with the participant's files, those of the average's session if any."""
        session = dict(planned.entities).get("ses")
        for task in self.tasks:
            mine = tuple(
                file
                for file in self.files
                if file.participant == planned.participant and file.task in task.bids_tasks
            )
            yield task, tuple(file for file in mine if file.session == session) or mine

    def paths(self, planned: AveragedRuns) -> Iterator[Path]:
        """Yield the event files that an average depends on."""
        for task, files in self.own_files(planned):
            yield from (file.path for file in files)
            if task.name in self.first:  # needed also where own files are damaged
                yield self.first[task.name].file.path

    def of(self, planned: AveragedRuns) -> AverageEvents:
        """Read the runs of an average's tasks; files that cannot be read are listed as troubles."""
        runs: list[PerformedRun] = []
        troubles: list[str] = []
        for task, files in self.own_files(planned):
            mine = _read(task, files, troubles)
            if not mine and task.name in self.first:
                mine = [self.first[task.name]]
            runs += mine
        return AverageEvents(tuple(runs), tuple(troubles))

    def plan(self, planned: AveragedRuns) -> Iterator[str]:
        """Yield lines on the event files that an average would use."""
        for task, files in self.own_files(planned):
            if files:
                yield f"    {task.name}: reads {', '.join(str(file.path) for file in files)}"
            elif task.name in self.first:
                yield f"    {task.name}: performs the trials of {self.first[task.name].file.path}"
            else:
                yield f"    {task.name}: has no event file"


def _read_first(tasks: Sequence[Task], files: Sequence[EventsFile]) -> Mapping[str, PerformedRun]:
    """Read the first readable event file of each task."""
    first: dict[str, PerformedRun] = {}
    for task in tasks:
        own = [file for file in files if file.task in task.bids_tasks]
        troubles: list[str] = []
        for file in own:
            if found := _read(task, [file], troubles):
                first[task.name] = PerformedRun(file, found[0].trials, own=False)
                break
        if own and task.name not in first:
            raise DatasetError(
                f"none of {counted(len(own), 'event file')} of the task {task.name} can be "
                f"read: {troubles[0]}",
                expected="event files as the model's task describes them",
            )
    return MappingProxyType(first)


def _read(task: Task, files: Sequence[EventsFile], troubles: list[str]) -> list[PerformedRun]:
    """Read files of one task, and append the reasons for unreadable files to `troubles`."""
    found = []
    for file in files:
        try:
            trials = read_trials(task, read_events(file.path), file.path.name)
        except RunError as err:
            troubles.append(str(err))
        else:
            found.append(PerformedRun(file, trials, own=True))
    return found
