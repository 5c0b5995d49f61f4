"""A process's share of the work: takes participants in turn and tells what becomes of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from bids_dtg.connectome.device import NumpyArrays
from bids_dtg.engine.ahead import ReaderDiedError, run_ahead
from bids_dtg.engine.display import Clock
from bids_dtg.files.atomic import remove_stale_temporaries
from bids_dtg.files.provenance import NOT_DONE, Failure
from bids_dtg.settings import Settings
from bids_dtg.workflows.participant.measure import Reader
from bids_dtg.workflows.participant.model import Model
from bids_dtg.workflows.participant.predict import MapSetMaker
from bids_dtg.workflows.participant.read import (
    Event,
    Failed,
    ParticipantBegun,
    ParticipantRead,
    RunLeftOut,
    RunProgress,
    RunRead,
    SegmentRead,
    SetBegun,
    SetRead,
    SetSkipped,
    Take,
    read_participants,
)
from bids_dtg.workflows.participant.request import Request
from bids_dtg.workflows.participant.write import Writer

# Nobody sees a bar that moves more often.
_STAGE_SECONDS = 0.1


@dataclass(frozen=True)
class Shown:
    """Something to show to the person who looks on: a call of a `progress.Reporter`."""

    method: Literal["start", "stage", "finish", "note"]  # its name
    arguments: tuple[str | float, ...]  # what it is called with


@dataclass(frozen=True)
class Begun:
    """What is shown next is about this participant."""

    participant: str  # label


@dataclass(frozen=True)
class Finished:
    """What became of a participant."""

    participant: str  # label
    done: int = 0  # sets of maps made
    skipped: int = 0  # sets that were complete before
    failures: tuple[Failure, ...] = ()  # in the order in which they happened
    passing: bool = False  # whether all failures are of a kind that may pass by itself
    seconds: Mapping[str, float] = field(default_factory=dict)  # time by stage


@dataclass(frozen=True)
class ReaderDied:
    """The process that reads ahead is gone, and another one begins."""

    reason: str  # how it ended


Message = Shown | Begun | Finished | ReaderDied


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

    @classmethod
    def prepare(cls, settings: Settings) -> Steps:
        """Make them anew, in a process that was started afresh."""
        return cls.of(Request.prepare(settings))


class MessageReporter:
    """A reporter whose lines are shown by another process."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send, self._stage, self._shown_at = send, "", 0.0

    def start(self, title: str) -> None:
        self._send(Shown("start", (title,)))

    def stage(self, name: str, share: float) -> None:
        if name != self._stage or time.monotonic() - self._shown_at > _STAGE_SECONDS:
            self._send(Shown("stage", (name, share)))
            self._stage, self._shown_at = name, time.monotonic()

    def finish(self, message: str) -> None:
        self._send(Shown("finish", (message,)))

    def note(self, message: str) -> None:
        self._send(Shown("note", (message,)))


class Worker:
    """Takes what the reading half sends, participant by participant.

    Parameters
    ----------
    steps
        Of the work.
    send
        Told what happens.
    forks
        Whether this process may fork another that reads ahead; otherwise a thread does.
    """

    def __init__(self, steps: Steps, send: Callable[[Message], None], *, forks: bool) -> None:
        self._steps, self._send = steps, send
        # A driver that this process has asked for its devices does not work in a forked one.
        self._forks = forks and isinstance(steps.reader.arrays, NumpyArrays)
        self._reporter = MessageReporter(send)
        self._participant: str | None = None  # whom the events are about
        self._clock = Clock()
        self._done = self._skipped = 0
        self._failed: list[Failed] = []
        self._maker: MapSetMaker | None = None  # of the open set; None once it has failed

    def process(self, take: Take) -> None:
        """Process participants until there is none to take, or after a failure if asked to.

        Parameters
        ----------
        take
            Gives the next participant; called by whoever reads ahead.
        """
        while True:
            try:
                steps = self._steps
                read = partial(read_participants, take, steps.request, steps.reader)
                for event in run_ahead(read, forked=self._forks):
                    self._take(event)
                    if isinstance(event, ParticipantRead) and self._end():
                        return
                return
            except ReaderDiedError as err:
                if self._participant is not None:
                    message = f"the process that read sub-{self._participant} died: {err}"
                    self._fail(Failed("reading", message, ""))
                    if self._end():
                        return
                self._send(ReaderDied(str(err)))
                # The next reader is forked: not while torch is being imported.
                self._steps.model.wait()

    def _end(self) -> bool:
        """Tell what became of the participant, and return whether to stop here."""
        assert self._participant is not None
        failures = [
            Failure(self._participant, failed.stage, failed.message) for failed in self._failed
        ]
        self._send(
            Finished(
                self._participant,
                done=self._done,
                skipped=self._skipped,
                failures=tuple(failures),
                passing=all(failed.passing for failed in self._failed),
                seconds=dict(self._clock.seconds),
            )
        )
        self._participant = None
        return self._steps.request.settings.resources.stop_on_first_crash and bool(failures)

    def _take(self, event: Event) -> None:
        try:
            self._handle(event)
        except BrokenPipeError:  # nobody listens any more
            raise
        except Exception as err:
            stage = self._maker.begun.planned.title if self._maker else "starting"
            self._fail(Failed.by(err, stage))

    def _handle(self, event: Event) -> None:  # one case an event
        match event:
            case ParticipantBegun(participant):
                self._begin(participant)
            case SetSkipped(planned):
                self._skipped += 1
                self._reporter.finish(f"{planned.title}: complete, skipped")
            case SetBegun(planned, _, reason):
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
                self._maker.add_run(event, self._reporter)
            case RunLeftOut(run, reason) if self._maker:
                self._maker.leave_out(run, reason)
            case SetRead() if self._maker:
                self._finish(self._maker)
            case Failed():
                self._fail(event)
            case ParticipantRead(seconds):
                self._clock.add(seconds)

    def _begin(self, participant: str) -> None:
        self._participant, self._maker = participant, None
        self._clock, self._failed, self._done, self._skipped = Clock(), [], 0, 0
        self._send(Begun(participant))
        self._reporter.start(f"sub-{participant}")
        self._steps.model.begin()  # the reader has been forked; it will need this long
        # A folder's name, not yet a label: what is wrong with it is told once, by the plan.
        remove_stale_temporaries(self._steps.request.output.root / f"sub-{participant}")

    def _finish(self, maker: MapSetMaker) -> None:
        made = maker.finish(self._reporter)
        for note in made.notes:
            self._reporter.note(note)
        self._done += 1
        self._reporter.finish(f"{maker.begun.planned.title}: {made.summary}")

    def _fail(self, failed: Failed) -> None:
        self._maker = None
        self._failed.append(failed)
        if self._steps.request.settings.behaviour.debug:
            self._reporter.note(failed.trace)
        self._reporter.finish(f"failed: {failed.message}")
