"""The work on one participant: read its runs ahead, make and write its averages of results."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, Self

from bids_dtg.engine.ahead import AheadWork, ReaderDiedError
from bids_dtg.engine.machine import share_cores
from bids_dtg.files.atomic import remove_stale_temporaries
from bids_dtg.files.provenance import NOT_DONE, Failure
from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.read import (
    AverageBegun,
    AverageRead,
    AverageSkipped,
    Event,
    Failed,
    ParticipantRead,
    RunLeftOut,
    RunPart,
    RunProgress,
    Send,
    read_participant,
)
from bids_dtg.participants.request import CallRequest
from bids_dtg.progress import Clock, Reporter


@dataclass(frozen=True)
class Outcome:
    """What became of a participant."""

    seconds: Mapping[str, float]  # time by stage
    done: int = 0  # averages made
    skipped: int = 0  # averages that were complete before
    failures: tuple[Failure, ...] = ()  # in the order in which they happened
    passing: bool = False  # whether all failures are of a kind that may pass by itself


@dataclass(frozen=True)
class MadeAverage:
    """The result of an average."""

    notes: tuple[str, ...]  # sentences for the log
    summary: str  # one line for people


class AverageMaker(Protocol):
    """Makes the results of an average as its runs arrive, then has them written."""

    @property
    def begun(self) -> AverageBegun:
        """The average that is made."""

    def take(self, part: RunPart, reporter: Reporter) -> None:
        """Take a part of a run."""

    def leave_out(self, run: str, reason: str) -> None:
        """Remember a run that is not part of the average."""

    def finish(self, reporter: Reporter) -> MadeAverage:
        """Write what is left to write, and last the record that the average is complete."""


class LevelWork(AheadWork[Event, Outcome]):
    """Makes a participant's results: reads runs ahead, makes averages of them and writes these.

    It is made once: forked processes share its arrays.

    Parameters
    ----------
    request
        What the call asks for.
    """

    def __init__(self, request: CallRequest) -> None:
        self.request = request

    def in_process(self) -> Self:
        """Take a share of the cores, in the process that does the work; return the work."""
        share_cores(self.request.capacity.threads)
        return self

    @abstractmethod
    def read_run(self, run: RestRun, clock: Clock, send: Send) -> None:
        """Read a run, and send what the second half takes of it.

        Parameters
        ----------
        run
            The run, from `find_runs`.
        clock
            Adds up the time of the stages.
        send
            Function called with each event.
        """

    @abstractmethod
    def maker(self, begun: AverageBegun, clock: Clock) -> AverageMaker:
        """Return the maker of an average's results.

        Parameters
        ----------
        begun
            The runs that are averaged.
        clock
            Adds up the time of the stages.
        """

    def begin(self) -> None:
        """Start what the second half needs, beside the reading of the first run."""
        return

    def read(self, label: str, send: Send) -> None:
        read_participant(label, self.request, self.read_run, send)

    def finish(self, label: str, events: Iterator[Event], reporter: Reporter) -> Outcome:
        participant = _Participant(label, self, reporter)
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


class _Participant:
    """A participant whose runs are being read: what has been made, and what has failed."""

    def __init__(self, label: str, work: LevelWork, reporter: Reporter) -> None:
        self._label, self._work, self._reporter = label, work, reporter
        self._clock = Clock()
        self._done = self._skipped = 0
        self._failed: list[Failed] = []
        self._maker: AverageMaker | None = None  # of the open average; None once it has failed
        self._stage = "starting"  # what this process is doing

    def outcome(self) -> Outcome:
        """Return the participant's result."""
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
            self._work.begin()  # the reader has been forked; it will need this long
            # A folder's name, not yet a label: what is wrong with it is reported by the plan.
            remove_stale_temporaries(self._work.request.output.root / f"sub-{self._label}")

    def take(self, event: Event) -> None:
        """Do what an event asks for."""
        with self._guard():
            self._handle(event)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Turn an error into the end of the open average."""
        try:
            yield
        except BrokenPipeError:  # no process listens any more
            raise
        except Exception as err:
            title = self._maker.begun.planned.title if self._maker else ""
            self.fail(Failed.by(err, self._stage, title))

    def fail(self, failed: Failed) -> None:
        """End the open average, and show why."""
        self._maker = None
        self._failed.append(failed)
        if self._work.request.settings.behaviour.debug:
            self._reporter.note(failed.trace)
        self._reporter.finish(f"failed: {failed.message}")

    def _handle(self, event: Event) -> None:  # one case an event
        match event:
            case AverageSkipped(planned):
                self._skipped += 1
                self._reporter.finish(f"{planned.title}: complete, skipped")
            case AverageBegun(planned, _, reason):
                self._stage = "reading"
                self._maker = self._work.maker(event, self._clock)
                if reason != NOT_DONE or self._work.request.settings.behaviour.verbose:
                    self._reporter.note(f"{planned.title}: {reason}")
            case RunProgress(_, share):
                self._reporter.stage("reading", share)
            case RunPart() if self._maker:
                self._stage = event.stage or self._stage
                self._maker.take(event, self._reporter)
            case RunLeftOut(run, reason) if self._maker:
                self._maker.leave_out(run, reason)
            case AverageRead() if self._maker:
                self._finish(self._maker)
            case Failed():
                self.fail(event)
            case ParticipantRead(seconds):
                self._clock.add(seconds)

    def _finish(self, maker: AverageMaker) -> None:
        self._stage = "writing"
        made = maker.finish(self._reporter)
        for note in made.notes:
            self._reporter.note(note)
        self._done += 1
        self._reporter.finish(f"{maker.begun.planned.title}: {made.summary}")
