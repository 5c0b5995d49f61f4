"""The work on one participant: read its runs ahead, predict and write its sets of maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from bids_dtg.connectome.device import NumpyArrays
from bids_dtg.engine.ahead import AheadWork, ReaderDiedError
from bids_dtg.engine.display import Clock, Reporter
from bids_dtg.engine.machine import share_cores
from bids_dtg.files.atomic import remove_stale_temporaries
from bids_dtg.files.provenance import NOT_DONE, Failure
from bids_dtg.settings import Settings
from bids_dtg.workflows.participant.measure import Reader
from bids_dtg.workflows.participant.model import Model
from bids_dtg.workflows.participant.outputs.write import Writer
from bids_dtg.workflows.participant.predict import MapSetMaker
from bids_dtg.workflows.participant.read import (
    Event,
    Failed,
    ParticipantRead,
    RunLeftOut,
    RunProgress,
    RunRead,
    SegmentRead,
    Send,
    SetBegun,
    SetRead,
    SetSkipped,
    read_participant,
)
from bids_dtg.workflows.participant.request import Request


@dataclass(frozen=True)
class Outcome:
    """What became of a participant."""

    seconds: Mapping[str, float]  # time by stage
    done: int = 0  # sets of maps made
    skipped: int = 0  # sets that were complete before
    failures: tuple[Failure, ...] = ()  # in the order in which they happened
    passing: bool = False  # whether all failures are of a kind that may pass by itself


@dataclass(frozen=True, eq=False)
class Steps:
    """The steps of the work on a participant, made once: forked processes share their arrays."""

    request: Request  # what the call asks for
    reader: Reader  # reduces runs to connectomes
    model: Model  # predicts maps
    writer: Writer  # writes them

    @classmethod
    def of(cls, request: Request) -> Steps:
        """Make the steps that a call asks for."""
        return cls(request, request.reader(), request.model(), request.writer())


class ParticipantWork(AheadWork[Event, Outcome]):
    """Makes a participant's maps: reads runs ahead, predicts and writes.

    Parameters
    ----------
    steps
        Of the work; this process takes its share of the cores for them.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        # A driver that this process has asked for its devices does not work in a forked one.
        self.forks = isinstance(steps.reader.arrays, NumpyArrays)
        share_cores(steps.request.capacity.threads)

    @classmethod
    def prepare(cls, settings: Settings) -> ParticipantWork:
        """Make the steps anew, in a process that was started afresh."""
        return cls(Steps.of(Request.prepare(settings)))

    def read(self, label: str, send: Send) -> None:
        read_participant(label, self._steps.request, self._steps.reader, send)

    def finish(self, label: str, events: Iterator[Event], reporter: Reporter) -> Outcome:
        participant = _Participant(label, self._steps, reporter)
        participant.begin()
        try:
            for event in events:
                participant.take(event)
                if isinstance(event, ParticipantRead):
                    break
        except ReaderDiedError as err:
            message = f"the process that read sub-{label} died: {err}"
            participant.fail(Failed("reading", message, ""))
        return participant.outcome()

    def is_last(self, result: Outcome) -> bool:
        return self._steps.request.settings.resources.stop_on_first_crash and bool(result.failures)

    def before_fork(self) -> None:
        # Forking while torch is being imported is unsafe.
        self._steps.model.wait()


class _Participant:
    """A participant whose runs are being read: what has been made, and what has failed."""

    def __init__(self, label: str, steps: Steps, reporter: Reporter) -> None:
        self._label, self._steps, self._reporter = label, steps, reporter
        self._clock = Clock()
        self._done = self._skipped = 0
        self._failed: list[Failed] = []
        self._maker: MapSetMaker | None = None  # of the open set; None once it has failed
        self._stage = "starting"  # what this process is doing

    def outcome(self) -> Outcome:
        """Return what became of the participant."""
        return Outcome(
            dict(self._clock.seconds),
            done=self._done,
            skipped=self._skipped,
            failures=tuple(
                Failure(self._label, failed.stage, failed.message, failed.title, failed.run)
                for failed in self._failed
            ),
            passing=all(failed.passing for failed in self._failed),
        )

    def begin(self) -> None:
        """Make this process ready for the first event."""
        with self._guard():
            self._steps.model.begin()  # the reader has been forked; it will need this long
            # A folder's name, not yet a label: what is wrong with it is reported by the plan.
            remove_stale_temporaries(self._steps.request.output.root / f"sub-{self._label}")

    def take(self, event: Event) -> None:
        """Do what an event asks for."""
        with self._guard():
            self._handle(event)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Turn an error into the end of the open set."""
        try:
            yield
        except BrokenPipeError:  # no process listens any more
            raise
        except Exception as err:
            title = self._maker.begun.planned.title if self._maker else ""
            self.fail(Failed.by(err, self._stage, title))

    def fail(self, failed: Failed) -> None:
        """End the open set, and show why."""
        self._maker = None
        self._failed.append(failed)
        if self._steps.request.settings.behaviour.debug:
            self._reporter.note(failed.trace)
        self._reporter.finish(f"failed: {failed.message}")

    def _handle(self, event: Event) -> None:  # one case an event
        match event:
            case SetSkipped(planned):
                self._skipped += 1
                self._reporter.finish(f"{planned.title}: complete, skipped")
            case SetBegun(planned, _, reason):
                self._stage = "reading"
                self._maker = MapSetMaker(
                    event, model=self._steps.model, writer=self._steps.writer, clock=self._clock
                )
                if reason != NOT_DONE or self._steps.request.settings.behaviour.verbose:
                    self._reporter.note(f"{planned.title}: {reason}")
            case RunProgress(_, share):
                self._reporter.stage("reading", share)
            case SegmentRead(connectome) if self._maker:
                self._maker.add_segment(connectome)
            case RunRead() if self._maker:
                self._stage = "predicting"
                self._maker.add_run(event, self._reporter)
            case RunLeftOut(run, reason) if self._maker:
                self._maker.leave_out(run, reason)
            case SetRead() if self._maker:
                self._finish(self._maker)
            case Failed():
                self.fail(event)
            case ParticipantRead(seconds):
                self._clock.add(seconds)

    def _finish(self, maker: MapSetMaker) -> None:
        self._stage = "writing"
        made = maker.finish(self._reporter)
        for note in made.notes:
            self._reporter.note(note)
        self._done += 1
        self._reporter.finish(f"{maker.begun.planned.title}: {made.summary}")
