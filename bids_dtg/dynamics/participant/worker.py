"""The work on one participant: runs to series, and what a model infers of these."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bids_dtg.dynamics.participant.infer import Modelled, NetworkInference
from bids_dtg.dynamics.participant.request import NetworkRequest
from bids_dtg.dynamics.participant.write import NetworkWriter
from bids_dtg.engine.display import Clock, Reporter
from bids_dtg.notices import counted
from bids_dtg.participants.call import Level
from bids_dtg.participants.parcels.measure import MeasuredSeries
from bids_dtg.participants.parcels.read import SeriesRead
from bids_dtg.participants.parcels.worker import ParcelSteps
from bids_dtg.participants.read import RunPart, SetBegun
from bids_dtg.participants.worker import MadeSet


@dataclass(frozen=True, eq=False)
class NetworkSteps(ParcelSteps):
    """The steps of the work on a participant."""

    request: NetworkRequest
    inference: NetworkInference | None  # infers and simulates; None: the call has no model
    writer: NetworkWriter  # writes results

    @classmethod
    def of(cls, request: NetworkRequest) -> NetworkSteps:
        """Make the steps that a call asks for."""
        inference = None
        if request.bundle is not None:
            inference = NetworkInference(
                request.bundle,
                simulations=request.simulations,
                seed=request.settings.modelling.seed,
                threads=request.capacity.threads,
            )
        reader = request.reader()
        return cls(request, reader, inference, NetworkWriter(request, reader))

    def maker(self, begun: SetBegun, clock: Clock) -> RunMaker:
        """Return what infers and writes what a run gives."""
        return RunMaker(begun, self, clock)


class RunMaker:
    """Infers and writes what a run gives.

    Parameters
    ----------
    begun
        The set, of one run.
    steps
        Of the work.
    clock
        Adds up the time of the stages.
    """

    def __init__(self, begun: SetBegun, steps: NetworkSteps, clock: Clock) -> None:
        self.begun, self._steps, self._clock = begun, steps, clock
        self._files: list[PurePosixPath] = []
        self._measured: MeasuredSeries | None = None
        self._notes: Sequence[str] = ()

    def take(self, part: RunPart, reporter: Reporter) -> None:
        """Infer what the model says of the run, and write all of it.

        Raises
        ------
        RunError
            The participant's structural connectome or the series cannot be modelled.
        OutputError
            A file cannot be written.
        """
        assert isinstance(part, SeriesRead)
        start, steps, measured = time.perf_counter(), self._steps, part.measured
        structural = steps.request.structural_of(self.begun.planned)
        modelled: Modelled | None = None
        if steps.inference is not None and structural is not None:
            reporter.stage("modelling", 0.0)
            with self._clock.time("network"):
                modelled = steps.inference.of(measured, structural.weights)
        reporter.stage("writing", 1.0)
        with self._clock.time("write"):
            seconds = part.seconds + time.perf_counter() - start
            self._files += steps.writer.write(
                self.begun.planned, measured, structural, modelled, seconds=seconds
            )
        self._measured = measured
        self._notes = steps.writer.notes(measured, structural)

    def leave_out(self, run: str, reason: str) -> None:
        """Do nothing: a set has one run, and without it there is none."""
        return

    def finish(self, reporter: Reporter) -> MadeSet:
        """Write the record that the run is complete.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        measured = self._measured
        assert measured is not None  # sent before
        with self._clock.time("write"):
            self._steps.writer.complete(
                self.begun.planned, self.begun.inputs, self._files, [measured]
            )
        title = measured.run.title
        notes = tuple(f"{title}: {note}" for note in self._notes)
        return MadeSet(notes, self._line(measured))

    def _line(self, measured: MeasuredSeries) -> str:
        """Return what was made, in one line for people."""
        series, inference = measured.series, self._steps.inference
        there = int(series.present.sum())
        made = "" if inference is None else " and their parameters"
        return (
            f"series of {counted(there, 'parcel')}{made} from "
            f"{measured.design.seconds_kept / 60:.1f} minutes of rest, coverage "
            f"{float(series.coverage.mean()):.1%}"
        )


LEVEL = Level(NetworkRequest.prepare, NetworkSteps.of)
