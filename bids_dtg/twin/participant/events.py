"""Event files of a call: each participant's own, and whose sequence others perform."""

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
from bids_dtg.participants.sets import RunSet
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
    own: bool  # whether the participant did it; False: the sequence alone is taken


@dataclass(frozen=True, eq=False)
class SetEvents:
    """The runs of tasks that belong to a set."""

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

    tasks: tuple[Task, ...]  # the model's; without a model those with event files
    files: tuple[EventsFile, ...]  # of everybody
    first: Mapping[str, PerformedRun]  # by task: for who has no file of it; empty: nobody performs

    @classmethod
    def find(cls, settings: Settings, bundle: TwinBundle | None) -> TaskEvents | None:
        """Find event files; read the first of each task where a model performs.

        Parameters
        ----------
        settings
            Options of the call.
        bundle
            The model, whose tasks are meant; None: those of ``--task-file``, or those that ship.

        Returns
        -------
        TaskEvents or None
            None without a model and without event files.

        Raises
        ------
        SettingsError
            ``--task-file`` names a task that there is not.
        DatasetError
            A model or ``--task-file`` asks for event files that are not there, or cannot be read.
        """
        wanted = None if bundle is None else bundle.part.tasks
        try:
            tasks, files = find_task_files(settings, wanted)
        except DatasetError:
            if bundle is not None or settings.twin.task_file:
                raise
            return None
        found = cls(tasks, files, MappingProxyType({}))
        return found if bundle is None else cls(tasks, files, found._read_first())

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tasks that are performed, or were."""
        there = {file.task for file in self.files}
        return tuple(task.name for task in self.tasks if there & set(task.bids_tasks))

    @property
    def notes(self) -> Iterator[str]:
        """Lines for people on the tasks."""
        for name, run in self.first.items():
            yield f"{name}: who has no event file of it performs the trials of {run.file.path.name}"
        if without := [task.name for task in self.tasks if task.name not in self.names]:
            yield f"not performed, for want of event files: {named(without)}"

    @cached_property
    def identity(self) -> dict[str, str]:
        """SHA-256 of what each task is, by name."""
        return {
            task.name: hashlib.sha256(
                json.dumps(task_to_json(task), sort_keys=True).encode()
            ).hexdigest()
            for task in self.tasks
        }

    def own_files(self, planned: RunSet) -> Iterator[tuple[Task, tuple[EventsFile, ...]]]:
        """Yield each task and a participant's files of it: of the set's session where it has some.

        Parameters
        ----------
        planned
            The set.
        """
        session = dict(planned.entities).get("ses")
        for task in self.tasks:
            mine = tuple(
                file
                for file in self.files
                if file.participant == planned.participant and file.task in task.bids_tasks
            )
            yield task, tuple(file for file in mine if file.session == session) or mine

    def paths(self, planned: RunSet) -> Iterator[Path]:
        """Yield the event files that a set depends on."""
        for task, files in self.own_files(planned):
            yield from (file.path for file in files)
            if task.name in self.first:  # also where own files turn out to be damaged
                yield self.first[task.name].file.path

    def of(self, planned: RunSet) -> SetEvents:
        """Read the runs of tasks of a set; what cannot be read is a trouble.

        Parameters
        ----------
        planned
            The set.
        """
        runs: list[PerformedRun] = []
        troubles: list[str] = []
        for task, files in self.own_files(planned):
            mine = _read(task, files, troubles)
            if not mine and task.name in self.first:
                mine = [self.first[task.name]]
            runs += mine
        return SetEvents(tuple(runs), tuple(troubles))

    def plan(self, planned: RunSet) -> Iterator[str]:
        """Yield lines on the event files that a set would be made with."""
        for task, files in self.own_files(planned):
            if files:
                yield f"    {task.name}: reads {', '.join(str(file.path) for file in files)}"
            elif task.name in self.first:
                yield f"    {task.name}: performs the trials of {self.first[task.name].file.path}"
            else:
                yield f"    {task.name}: has no event file"

    def _read_first(self) -> Mapping[str, PerformedRun]:
        """Read the first event file of each task that can be read."""
        first: dict[str, PerformedRun] = {}
        for task in self.tasks:
            files = [file for file in self.files if file.task in task.bids_tasks]
            troubles: list[str] = []
            for file in files:
                if found := _read(task, [file], troubles):
                    first[task.name] = PerformedRun(file, found[0].trials, own=False)
                    break
            if files and task.name not in first:
                raise DatasetError(
                    f"none of {counted(len(files), 'event file')} of the task {task.name} can be "
                    f"read: {troubles[0]}",
                    expected="event files as the model's task describes them",
                )
        return MappingProxyType(first)


def _read(task: Task, files: Sequence[EventsFile], troubles: list[str]) -> list[PerformedRun]:
    """Read files of one task; append why others cannot be read."""
    found = []
    for file in files:
        try:
            trials = read_trials(task, read_events(file.path), file.path.name)
        except RunError as err:
            troubles.append(str(err))
        else:
            found.append(PerformedRun(file, trials, own=True))
    return found
