"""The work on one participant: runs to connectomes, and the behaviour of their twins."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from bids_dtg.inputs.run import RestRun
from bids_dtg.notices import counted
from bids_dtg.participants.call import Level
from bids_dtg.participants.origin import begin_replacing, complete_average
from bids_dtg.participants.parcels import MeasuredSeries, ParcelWork, SeriesReader
from bids_dtg.participants.worker import Average
from bids_dtg.twin.participant.behaviour import AverageConnectome, behave
from bids_dtg.twin.participant.events import PerformedRun
from bids_dtg.twin.participant.request import TwinRequest, is_of_task
from bids_dtg.twin.participant.task_bold import TaskRun
from bids_dtg.twin.participant.write import TwinWriter

if TYPE_CHECKING:
    from bids_dtg.twin.fitting import Fitted


class TwinWork(ParcelWork):
    """Makes a participant's connectome and its twin's behaviour, and the series of task runs.

    Parameters
    ----------
    request
        What was asked for.
    """

    request: TwinRequest

    def __init__(self, request: TwinRequest) -> None:
        super().__init__(request)
        tasks = request.for_task_runs
        self.writer, self.task_writer = TwinWriter(request), TwinWriter(tasks)
        self._task_reader = tasks.reader()

    @cached_property
    def fitted(self) -> Fitted:
        """The model's twins, which are read at first use."""
        import torch

        assert self.request.bundle is not None
        torch.set_num_threads(self.request.threads)
        return self.request.bundle.fitted()

    def reader_of(self, run: RestRun) -> SeriesReader:
        """Return the reader that reduces a run to series."""
        return self._task_reader if isinstance(run, TaskRun) else self.reader

    def make(self, average: Average) -> tuple[Iterable[str], str]:
        """Average the edges of an average's runs, run its twin, and write both, the record last.

        Raises
        ------
        RunError
            The twin's answers are not finite.
        OutputError
            A file cannot be written.
        """
        if is_of_task(average.planned):
            return self._make_task_run(average)
        planned, writer = average.planned, self.writer
        request = self.request
        measured, files = list[MeasuredSeries](), list[PurePosixPath]()
        for run, seconds in average.parts():
            if not measured:
                begin_replacing(request, planned)
            files += writer.write_run(run, seconds=seconds)
            measured.append(run)
        connectome = AverageConnectome(tuple(measured), planned.by_dof)
        behaviour = None
        average.reporter.stage("performing", 0.0)
        runs: tuple[PerformedRun, ...] = ()
        event_notes: tuple[str, ...] = ()
        if request.events is not None:
            runs, event_notes = request.events.of(planned)
        if request.bundle is not None and runs:
            edges = request.as_the_model_takes(planned.participant, connectome.upper)
            behaviour = behave(self.fitted, request.bundle, edges, runs, event_notes)
        average.reporter.stage("writing", 1.0)
        files += writer.write_average(
            planned, connectome, behaviour, left_out=average.left_out
        )
        complete_average(request, planned, average.inputs, files)
        notes = writer.notes(planned, connectome, behaviour, event_notes=event_notes)
        return notes, _line(connectome)

    def _make_task_run(self, average: Average) -> tuple[Iterable[str], str]:
        """Write the series of a task run, and the record that they are complete.

        Raises
        ------
        RunError
            No parcel has a mean signal.
        OutputError
            A file cannot be written.
        """
        ((measured, _),) = average.parts()  # a single run that is left out fails
        files = [*self.task_writer.write_task_run(measured)]
        complete_average(
            self.request.for_task_runs, average.planned, average.inputs, files
        )
        return (
            self.task_writer.run_notes(measured),
            f"series of {counted(int(measured.series.present.sum()), 'parcel')}, "
            f"{measured.design.frames_kept} of "
            f"{counted(measured.design.keep, 'volume')} kept",
        )


def _line(connectome: AverageConnectome) -> str:
    """Describe the connectome in one report line."""
    runs = connectome.runs
    coverage = min(float(run.series.coverage.mean()) for run in runs)
    return (
        f"{counted(connectome.upper, 'edge')} from {connectome.minutes:.1f} minutes of "
        f"rest ({counted(runs, 'run')}), coverage {coverage:.1%}"
    )


LEVEL = Level(TwinRequest.prepare, TwinWork)
