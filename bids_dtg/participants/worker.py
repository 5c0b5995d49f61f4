"""The work on one participant: runs are read ahead, results made of them and written.

The first half needs no torch: it goes on with the next run while the second half makes results
and writes them, and what it has to say travels as events. What is read of a run is the
workflow's: a `RunPart`.
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar, Self

from bids_dtg.cleaning.design import TooShortError
from bids_dtg.engine.ahead import AheadWork, ReaderDiedError
from bids_dtg.engine.machine import share_cores
from bids_dtg.errors import DtgError, OutputError, RunError, internal_error
from bids_dtg.files.atomic import remove_stale_temporaries
from bids_dtg.files.provenance import NOT_DONE, Failure, Fingerprint, sets_made_otherwise
from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.averages import AveragedRuns
from bids_dtg.participants.request import CallRequest
from bids_dtg.progress import Clock, Reporter


@dataclass(frozen=True)
class AverageBegun:
    """The runs of an average follow, unless it is complete already."""

    planned: AveragedRuns
    inputs: Mapping[str, Fingerprint]  # what the average depends on
    reason: str | None  # why it is made; None: it is complete


@dataclass(frozen=True)
class RunProgress:
    """A share of a run has been read."""

    share: float  # 0 to 1


@dataclass(frozen=True, eq=False)
class RunPart:
    """Something of a run that the second half takes; each workflow has its own."""

    stage: ClassVar[str] = ""  # what the second half does from here on; empty: as before


@dataclass(frozen=True)
class RunLeftOut:
    """A run has too little time left; the average goes on without it."""

    run: str  # its title
    reason: str  # one line


@dataclass(frozen=True)
class AverageRead:
    """All runs of the average have been sent."""


@dataclass(frozen=True)
class Failed:
    """An average, or the search for a participant's runs, has failed."""

    failure: Failure
    trace: str = ""  # where in the program, for those who debug it

    @classmethod
    def by(
        cls, err: Exception, participant: str, stage: str, title: str = "", run: str = ""
    ) -> Failed:
        """Report an error while its traceback is at hand."""
        if isinstance(err, OSError):
            err = OutputError(f"{err.filename or 'a file'}: {err.strerror or err}")
        line = str(err) if isinstance(err, DtgError) else internal_error(err)
        return cls(Failure(participant, stage, line, title, run), traceback.format_exc())


@dataclass(frozen=True)
class ParticipantRead:
    """Nothing more follows about the participant."""

    seconds: Mapping[str, float]  # time by stage


Event = AverageBegun | RunProgress | RunPart | RunLeftOut | AverageRead | Failed | ParticipantRead
Send = Callable[[Event], None]


@dataclass(frozen=True)
class Outcome:
    """What became of a participant."""

    seconds: Mapping[str, float]  # time by stage
    done: int = 0  # averages made
    skipped: int = 0  # averages that were complete before
    failures: tuple[Failure, ...] = ()  # in the order in which they happened


@dataclass(frozen=True)
class MadeAverage:
    """The result of an average."""

    notes: tuple[str, ...]  # sentences for the log
    summary: str  # one line for people


class AverageMaker(ABC):
    """Makes the results of an average as its runs arrive, then has them written."""

    def __init__(self, begun: AverageBegun, clock: Clock) -> None:
        self.begun, self._clock = begun, clock
        self._files: list[PurePosixPath] = []  # that were written

    @abstractmethod
    def take(self, part: RunPart, reporter: Reporter) -> None:
        """Take a part of a run."""

    @abstractmethod
    def finish(self, reporter: Reporter, left_out: Mapping[str, str]) -> MadeAverage:
        """Write what is left to write, and last the record that the average is complete.

        Parameters
        ----------
        reporter
            Receives the stage.
        left_out
            Why runs are not part of the average, by their titles.
        """


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
        """Read a participant's runs; whatever goes wrong stays with its average."""
        clock = Clock()
        try:
            with clock.time("query"):
                averages = self.request.averages(label)
        except Exception as err:
            send(Failed.by(err, label, "finding runs"))
            averages = ()
        for planned in averages:
            try:
                self._read_average(planned, clock, send)
            except BrokenPipeError:  # no process listens any more
                raise
            except Exception as err:
                send(Failed.by(err, label, "reading", planned.title))
        send(ParticipantRead(dict(clock.seconds)))

    def _read_average(self, planned: AveragedRuns, clock: Clock, send: Send) -> None:
        with clock.time("query"):
            request = self.request.of_average(planned)
            inputs = request.fingerprints(planned)
            reason = request.why_incomplete(planned, inputs)
        send(AverageBegun(planned, inputs, reason))
        for run in planned.runs if reason else ():
            try:
                self.read_run(run, clock, send)
            except TooShortError as err:
                if len(planned.runs) == 1:
                    raise
                send(RunLeftOut(run.title, str(err)))
            except BrokenPipeError:
                raise
            except Exception as err:
                send(Failed.by(err, planned.participant, "reading", planned.title, run.title))
                return
        send(AverageRead())

    def finish(self, label: str, events: Iterator[Event], reporter: Reporter) -> Outcome:
        participant = _Participant(label, self, reporter)
        with participant.guard():
            self.begin()  # the reader has been forked; it will need this long
            # A folder's name, not yet a label: what is wrong with it is reported by the plan.
            remove_stale_temporaries(self.request.output.root / f"sub-{label}")
        try:
            for event in events:
                with participant.guard():
                    participant.take(event)
                if isinstance(event, ParticipantRead):
                    break
        except ReaderDiedError as err:
            message = f"the process that read sub-{label} died: {err}"
            participant.fail(Failed(Failure(label, "reading", message)))
        return participant.outcome()


class _Participant:
    """A participant whose runs are being read: what has been made, and what has failed."""

    def __init__(self, label: str, work: LevelWork, reporter: Reporter) -> None:
        self._label, self._work, self._reporter = label, work, reporter
        self._verbose = bool(work.request.settings.behaviour.verbose)
        self._clock = Clock()
        self._done = self._skipped = 0
        self._failures: list[Failure] = []
        self._maker: AverageMaker | None = None  # of the open average; None once it has failed
        self._left_out: dict[str, str] = {}  # why runs are not part of it, by their titles
        self._stage = "starting"  # what this process is doing

    def outcome(self) -> Outcome:
        """Return the participant's result."""
        seconds = dict(self._clock.seconds)
        return Outcome(seconds, self._done, self._skipped, tuple(self._failures))

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turn an error into the end of the open average."""
        try:
            yield
        except BrokenPipeError:
            raise
        except Exception as err:
            title = self._maker.begun.planned.title if self._maker else ""
            self.fail(Failed.by(err, self._label, self._stage, title))

    def fail(self, failed: Failed) -> None:
        """End the open average, and show why."""
        self._maker = None
        self._failures.append(failed.failure)
        if self._work.request.settings.behaviour.verbose > 1:
            self._reporter.note(failed.trace)
        self._reporter.finish(f"failed: {failed.failure.message}")

    def take(self, event: Event) -> None:
        """Do what an event asks for: one case each."""
        match event:
            case AverageBegun(planned, _, None):
                self._skipped += 1
                self._reporter.finish(f"{planned.title}: complete, skipped")
            case AverageBegun(planned, _, reason):
                self._stage = "reading"
                self._maker, self._left_out = self._work.maker(event, self._clock), {}
                if reason != NOT_DONE or self._verbose:
                    self._reporter.note(f"{planned.title}: {reason}")
            case RunProgress(share):
                self._reporter.stage("reading", share)
            case RunPart() if self._maker:
                self._stage = event.stage or self._stage
                self._maker.take(event, self._reporter)
            case RunLeftOut(run, reason) if self._maker:
                self._left_out[run] = reason
            case AverageRead() if self._maker:
                self._finish(self._maker)
            case Failed():
                self.fail(event)
            case ParticipantRead(seconds):
                self._clock.add(seconds)

    def _finish(self, maker: AverageMaker) -> None:
        self._stage, left_out, planned = "writing", self._left_out, maker.begun.planned
        if left_out and len(left_out) == len(planned.runs):
            reasons = " ".join(left_out.values())
            raise RunError(f"{planned.title} has no run that can be used: {reasons}")
        made = maker.finish(self._reporter, left_out)
        notes = [f"{run} was left out. {reason}" for run, reason in left_out.items()]
        for note in (*notes, *made.notes, *self._notes_on_others(planned.participant)):
            self._reporter.note(note)
        self._done += 1
        self._maker = None
        short = f"; {len(left_out)} left out, with too little left" if left_out else ""
        self._reporter.finish(f"{planned.title}: {made.summary}{short}")

    def _notes_on_others(self, person: str) -> Iterator[str]:
        """Name results that an earlier call averaged otherwise: they have other names, and stay."""
        request = self._work.request
        combine = request.recorded_options.get("combine")
        if others := sets_made_otherwise(request.output, person, "combine", combine):
            yield (
                f"sub-{person} also has {request.presentation.made} from calls with another "
                f"--combine than {combine}: {', '.join(others)}. Remove them if they are not "
                "wanted."
            )
