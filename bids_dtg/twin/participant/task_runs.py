"""Runs of tasks that have an event file, on whose clock they are."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bids_dtg.files.names import parse_name
from bids_dtg.files.sidecars import stated_start_time
from bids_dtg.inputs.events import EventsFile
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.selection import belongs_to
from bids_dtg.participants.averages import AveragedRuns, plan_averages


@dataclass(frozen=True)
class TaskRun(RestRun):
    """A run of a task, which is part of no connectome."""

    events: Path = Path()  # its event file
    start_seconds: float = 0.0  # of the first volume, on the event file's clock

    @property
    def inputs(self) -> tuple[Path, ...]:
        """All files that the run's results depend on."""
        return (*super().inputs, self.events)


def with_event_files(runs: Sequence[RestRun], files: Sequence[EventsFile]) -> Iterator[TaskRun]:
    """Yield a participant's runs of tasks that have an event file, and warn of the others."""
    for run in runs:
        name = parse_name(run.bold.name)
        paths = [file.path for file in files if belongs_to(parse_name(file.path.name), name)]
        if paths:
            start = stated_start_time(run.sidecars)
            yield TaskRun(**vars(run), events=paths[0], start_seconds=start)
        else:
            warnings.warn(f"{run.title} is not read: it has no event file", stacklevel=2)


def each_alone(runs: Sequence[TaskRun]) -> tuple[AveragedRuns, ...]:
    """Return each run as a piece of work of its own, which no average of rest is named like."""
    return tuple(
        replace(planned, entities=(*planned.entities, ("desc", "task")))
        for planned in plan_averages(runs, "run")
    )
