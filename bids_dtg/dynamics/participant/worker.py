"""The work on one participant: runs to series, and inference of a model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from bids_dtg.dynamics.networks import notes_beside_series
from bids_dtg.dynamics.participant.infer import LinearInference, Modelled
from bids_dtg.dynamics.participant.request import NetworkRequest
from bids_dtg.dynamics.participant.write import NetworkWriter
from bids_dtg.engine.display import Clock, Reporter
from bids_dtg.notices import counted
from bids_dtg.participants.call import Level
from bids_dtg.participants.parcels.measure import MeasuredSeries
from bids_dtg.participants.parcels.read import SeriesRead
from bids_dtg.participants.parcels.worker import ParcelSteps
from bids_dtg.participants.read import AverageBegun, RunPart
from bids_dtg.participants.worker import MadeAverage


@dataclass(frozen=True, eq=False)
class NetworkSteps(ParcelSteps):
    """Steps of the work on a participant."""

    request: NetworkRequest
    inference: LinearInference | None  # None: the call has no model
    writer: NetworkWriter  # writes results

    @classmethod
    def of(cls, request: NetworkRequest) -> NetworkSteps:
        """Make the steps of a request."""
        inference = None if request.bundle is None else LinearInference(request.bundle)
        return cls(request, request.reader(), inference, NetworkWriter(request))

    def maker(self, begun: AverageBegun, clock: Clock) -> RunMaker:
        """Return the work, in the process that does it."""
        return RunMaker(begun, self, clock)


class RunMaker:
    """Infers from a run, and writes its results.

    Parameters
    ----------
    begun
        The average, of one run.
    steps
        Steps of the work, made from the request.
    clock
        Adds up the time of the stages.
    """

    def __init__(self, begun: AverageBegun, steps: NetworkSteps, clock: Clock) -> None:
        self.begun, self._steps, self._clock = begun, steps, clock
        self._files: list[PurePosixPath] = []
        self._measured: MeasuredSeries | None = None
        self._notes: Sequence[str] = ()

    def take(self, part: RunPart, reporter: Reporter) -> None:
        """Infer the run's process, and write all results.

        Raises
        ------
        RunError
            The participant's structural connectome or the series cannot be used.
        OutputError
            A file cannot be written.
        """
        assert isinstance(part, SeriesRead)
        start, steps, measured = time.perf_counter(), self._steps, part.measured
        structural = steps.request.structural_of(self.begun.planned)
        if structural is not None:
            more = notes_beside_series(structural.weights, measured.series.correlation())
            structural = replace(structural, notes=(*structural.notes, *more))
        modelled: Modelled | None = None
        if steps.inference is not None:
            reporter.stage("modelling", 0.0)
            with self._clock.time("network"):
                modelled = steps.inference.of(measured)
        reporter.stage("writing", 1.0)
        with self._clock.time("write"):
            seconds = part.seconds + time.perf_counter() - start
            self._files += steps.writer.write(
                self.begun.planned, measured, structural, modelled, seconds=seconds
            )
        self._measured = measured
        self._notes = steps.writer.notes(measured, structural, modelled)

    def leave_out(self, run: str, reason: str) -> None:
        """Do nothing: an average has one run, and without it there is none."""
        return

    def finish(self, reporter: Reporter) -> MadeAverage:
        """Write the record that the run is complete.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        measured = self._measured
        assert measured is not None  # was sent before
        with self._clock.time("write"):
            self._steps.writer.complete(
                self.begun.planned, self.begun.inputs, self._files, [measured]
            )
        title = measured.run.title
        notes = tuple(f"{title}: {note}" for note in self._notes)
        return MadeAverage(notes, self._line(measured))

    def _line(self, measured: MeasuredSeries) -> str:
        """Summarise the result in one line."""
        series = measured.series
        there = int(series.present.sum())
        made = "" if self._steps.inference is None else " and their process"
        return (
            f"series of {counted(there, 'parcel')}{made} from "
            f"{measured.design.seconds_kept / 60:.1f} minutes of rest, coverage "
            f"{float(series.coverage.mean()):.1%}"
        )


LEVEL = Level(NetworkRequest.prepare, NetworkSteps.of)
