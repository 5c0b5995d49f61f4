"""The work on one participant: runs to connectomes, and the behaviour of their twins."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from bids_dtg.inputs.run import RestRun
from bids_dtg.notices import counted
from bids_dtg.participants.call import Level
from bids_dtg.participants.parcels.measure import MeasuredSeries, SeriesReader
from bids_dtg.participants.parcels.request import ParcelWork, SeriesRead
from bids_dtg.participants.worker import AverageBegun, AverageMaker, MadeAverage, RunPart
from bids_dtg.progress import Clock, Reporter
from bids_dtg.twin.participant.behaviour import AverageConnectome, behave
from bids_dtg.twin.participant.request import TwinRequest, is_of_task
from bids_dtg.twin.participant.task_bold import TaskRun
from bids_dtg.twin.participant.write import TwinWriter

if TYPE_CHECKING:
    from bids_dtg.twin.fitting import Fitted


class TwinWork(ParcelWork):
    """Makes a participant's connectome and its twin's behaviour, and the series of runs of tasks.

    Parameters
    ----------
    request
        What the call asks for.
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
        torch.set_num_threads(self.request.capacity.threads)
        return self.request.bundle.fitted()

    def reader_of(self, run: RestRun) -> SeriesReader:
        """Return what reduces a run to series."""
        return self._task_reader if isinstance(run, TaskRun) else self.reader

    def maker(self, begun: AverageBegun, clock: Clock) -> AverageMaker:
        """Return the maker of an average's connectome and behaviour, or of a task run's series."""
        if is_of_task(begun.planned):
            return TaskRunMaker(begun, self, clock)
        return TwinAverageMaker(begun, self, clock)


class TwinAverageMaker(AverageMaker):
    """Averages the edges of an average's runs, runs its twin, and writes both."""

    def __init__(self, begun: AverageBegun, work: TwinWork, clock: Clock) -> None:
        super().__init__(begun, clock)
        self._work = work
        self._runs: list[MeasuredSeries] = []

    def take(self, part: RunPart, reporter: Reporter) -> None:
        """Write the series of a run, and keep them for the set.

        Raises
        ------
        OutputError
            A file cannot be written.
        """
        assert isinstance(part, SeriesRead)
        start = time.perf_counter()
        with self._clock.time("write"):
            seconds = part.seconds + time.perf_counter() - start
            self._files += self._work.writer.write_run(
                self.begun.planned, part.measured, seconds=seconds
            )
        self._runs.append(part.measured)

    def finish(self, reporter: Reporter, left_out: Mapping[str, str]) -> MadeAverage:
        """Write the connectome and its twin's behaviour, and finally the record of the average.

        Raises
        ------
        RunError
            No run was long enough, or the twin's answers are not finite.
        OutputError
            A file cannot be written.
        """
        planned, writer = self.begun.planned, self._work.writer
        made = AverageConnectome(tuple(self._runs), planned.by_dof)
        reporter.stage("performing", 0.0)
        with self._clock.time("network"):
            request, behaviour = self._work.request, None
            events, bundle = request.events, request.bundle
            runs, of_events = ((), ()) if events is None else events.of(planned)
            if bundle is not None and runs:
                edges = request.as_the_model_takes(planned.participant, made.upper)
                behaviour = behave(self._work.fitted, bundle, edges, runs, of_events)
        reporter.stage("writing", 1.0)
        with self._clock.time("write"):
            self._files += writer.write_average(planned, made, behaviour, left_out=left_out)
            writer.complete(planned, self.begun.inputs, self._files, self._runs)
        notes = writer.notes(planned, made, behaviour, of_events=of_events)
        return MadeAverage(tuple(notes), _line(made))


class TaskRunMaker(TwinAverageMaker):
    """Writes the series of a run of a task; a run alone that is left out fails."""

    def take(self, part: RunPart, reporter: Reporter) -> None:
        """Keep the series."""
        assert isinstance(part, SeriesRead)
        self._runs.append(part.measured)

    def finish(self, reporter: Reporter, left_out: Mapping[str, str]) -> MadeAverage:
        """Write the series, and the record that they are complete.

        Raises
        ------
        RunError
            No parcel has a mean signal.
        OutputError
            A file cannot be written.
        """
        (measured,), writer = self._runs, self._work.task_writer
        with self._clock.time("write"):
            files = [*writer.write_task_run(measured)]
            writer.complete(self.begun.planned, self.begun.inputs, files, self._runs)
        there = int(measured.series.present.sum())
        return MadeAverage(
            tuple(f"{measured.run.title}: {note}" for note in measured.notes),
            f"series of {counted(there, 'parcel')}, {measured.design.frames_kept} of "
            f"{counted(len(measured.design.keep), 'volume')} kept",
        )


def _line(made: AverageConnectome) -> str:
    """Describe the connectome in one report line."""
    coverage = min(float(run.series.coverage.mean()) for run in made.runs)
    return (
        f"{counted(len(made.upper), 'edge')} from {made.minutes:.1f} minutes of rest "
        f"({counted(len(made.runs), 'run')}), coverage {coverage:.1%}"
    )


LEVEL = Level(TwinRequest.prepare, TwinWork)
