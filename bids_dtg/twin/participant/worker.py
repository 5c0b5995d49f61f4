"""The work on one participant: runs to connectomes, and what their twins do in tasks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import PurePosixPath

from bids_dtg.engine.display import Clock, Reporter
from bids_dtg.errors import RunError
from bids_dtg.notices import counted
from bids_dtg.participants.call import Level
from bids_dtg.participants.parcels.measure import MeasuredSeries
from bids_dtg.participants.parcels.read import SeriesRead
from bids_dtg.participants.parcels.worker import ParcelSteps
from bids_dtg.participants.read import RunPart, SetBegun
from bids_dtg.participants.worker import MadeSet
from bids_dtg.twin.participant.behaviour import SetBehaviour
from bids_dtg.twin.participant.connectome import SetConnectome
from bids_dtg.twin.participant.events import SetEvents
from bids_dtg.twin.participant.infer import SeenTrials, TwinInference
from bids_dtg.twin.participant.request import TwinRequest
from bids_dtg.twin.participant.write import TwinWriter


@dataclass(frozen=True, eq=False)
class TwinSteps(ParcelSteps):
    """The steps of the work on a participant."""

    request: TwinRequest
    inference: TwinInference | None  # lets twins perform; None: the call has no model
    writer: TwinWriter  # writes results

    @classmethod
    def of(cls, request: TwinRequest) -> TwinSteps:
        """Make the steps that a call asks for."""
        inference = None
        if request.bundle is not None:
            inference = TwinInference(request.bundle, threads=request.capacity.threads)
        return cls(request, request.reader(), inference, TwinWriter(request))

    def maker(self, begun: SetBegun, clock: Clock) -> TwinSetMaker:
        """Return what makes and writes the connectome of a set, and behaviour."""
        return TwinSetMaker(begun, self, clock)


class TwinSetMaker:
    """Averages the edges of a set's runs, has its twin perform, and writes.

    Parameters
    ----------
    begun
        The set.
    steps
        Of the work.
    clock
        Adds up the time of the stages.
    """

    def __init__(self, begun: SetBegun, steps: TwinSteps, clock: Clock) -> None:
        self.begun, self._steps, self._clock = begun, steps, clock
        self._files: list[PurePosixPath] = []
        self._runs: list[MeasuredSeries] = []
        self._left_out: dict[str, str] = {}

    def take(self, part: RunPart, reporter: Reporter) -> None:
        """Write what was measured of a run, and keep it for the set.

        Raises
        ------
        OutputError
            A file cannot be written.
        """
        assert isinstance(part, SeriesRead)
        start = time.perf_counter()
        with self._clock.time("write"):
            seconds = part.seconds + time.perf_counter() - start
            self._files += self._steps.writer.write_run(
                self.begun.planned, part.measured, seconds=seconds
            )
        self._runs.append(part.measured)

    def leave_out(self, run: str, reason: str) -> None:
        """Remember a run that is not part of the connectome."""
        self._left_out[run] = reason

    def finish(self, reporter: Reporter) -> MadeSet:
        """Write the connectome and what its twin does, and last the record of the set.

        Raises
        ------
        RunError
            No run was long enough, or the twin's answers are not finite.
        OutputError
            A file cannot be written.
        """
        planned, writer = self.begun.planned, self._steps.writer
        if not self._runs:
            reasons = " ".join(self._left_out.values())
            raise RunError(f"{planned.title} has no run that can be used: {reasons}")
        made = SetConnectome(tuple(self._runs), planned.by_dof)
        reporter.stage("performing", 0.0)
        with self._clock.time("network"):
            found = self._events()
            behaviour = self._behave(made, found)
        reporter.stage("writing", 1.0)
        with self._clock.time("write"):
            self._files += writer.write_set(planned, made, behaviour, left_out=self._left_out)
            writer.complete(planned, self.begun.inputs, self._files, self._runs)
        notes = writer.notes(
            planned, self._runs, behaviour, left_out=self._left_out, of_events=found.notes
        )
        return MadeSet(tuple(notes), _line(made, left_out=len(self._left_out)))

    def _events(self) -> SetEvents:
        """Read the set's event files."""
        events = self._steps.request.events
        return SetEvents(()) if events is None else events.of(self.begun.planned)

    def _behave(self, made: SetConnectome, found: SetEvents) -> SetBehaviour | None:
        """Let the twin perform; None where there is nothing that anybody has done."""
        request, inference = self._steps.request, self._steps.inference
        if request.events is None or not found.runs:
            return None
        held = request.bundle is None or request.bundle.part.held
        seen = SeenTrials.of(found.runs, request.events.tasks, held=held)
        performed = None if inference is None else inference.of(made.upper, seen)
        return SetBehaviour(seen, performed, found.notes)


def _line(made: SetConnectome, *, left_out: int) -> str:
    """Return what was made, in one line for people."""
    coverage = min(float(run.series.coverage.mean()) for run in made.runs)
    short = f"; {left_out} left out, with too little left" if left_out else ""
    return (
        f"{counted(len(made.upper), 'edge')} from {made.minutes:.1f} minutes of rest "
        f"({counted(len(made.runs), 'run')}), coverage {coverage:.1%}{short}"
    )


LEVEL = Level(TwinRequest.prepare, TwinSteps.of)
