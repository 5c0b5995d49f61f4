"""The work on one participant: reads runs ahead, makes results and writes them.

The work has two halves. The first reads the next run, without PyTorch, while the second makes
and writes results. The first sends tuples of a kind and its content:

- average: the planned average, fingerprints of its inputs, why it is made (None: it is complete)
- reading: share of a run that has been read, 0 to 1
- part: data of a run for the second half; their type depends on the workflow
- left out: title of a run with too little time left, and why; the average goes on without it
- read: all runs of the average have been sent
- failed: the failure of an average or of the search for runs, and its traceback
"""

from __future__ import annotations

import traceback
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from bids_dtg.cleaning.design import TooShortError
from bids_dtg.engine.ahead import AheadWork, ReaderDiedError
from bids_dtg.engine.machine import share_cores
from bids_dtg.errors import RunError, in_one_line, without_person
from bids_dtg.files.atomic import remove_stale_temporaries
from bids_dtg.files.provenance import NOT_DONE, Failure, Fingerprint
from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.request import AveragedRuns, CallRequest
from bids_dtg.progress import Reporter

Event = tuple[Any, ...]
Send = Callable[[Event], None]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a participant."""

    done: int = 0  # averages made
    skipped: int = 0  # averages that were complete before
    failures: tuple[Failure, ...] = ()  # in the order in which they happened
    # Titles of averages of another --combine, which stay.
    other_combine: tuple[str, ...] = ()


class ReadingFailedError(Exception):
    """The reading half failed; the arguments are the failure and its traceback."""


@dataclass(eq=False)
class Average:
    """An average whose runs are being read."""

    planned: AveragedRuns
    inputs: Mapping[str, Fingerprint]  # the files that it depends on
    events: Iterator[Event]  # about the participant, from the average's first run on
    reporter: Reporter
    require_claim: Callable[[], None]  # raises if another run has the participant now
    # Why runs were left out, by title.
    left_out: dict[str, str] = field(default_factory=dict)
    stage: str = "reading"  # current stage
    failed: str = ""  # why a part of the results was not made; empty: all were

    def parts(self) -> Iterator[Any]:
        """Yield the parts of its runs until all runs have been read.

        Raises
        ------
        ReadingFailedError, ReaderDiedError
            Reading failed.
        RunError
            No run can be used.
        OutputError
            Another run has taken the participant in the meantime.
        """
        for kind, *content in self.events:
            if kind == "reading":
                self.reporter.stage(kind, *content)
            elif kind == "part":
                self.stage = "modelling"
                yield content[0]
            elif kind == "left out":
                self.left_out[content[0]] = content[1]
            elif kind == "failed":
                raise ReadingFailedError(*content)
            elif kind == "read":
                break
        self.stage = "writing"
        if self.left_out and len(self.left_out) == len(self.planned.runs):
            reasons = " ".join(self.left_out.values())
            raise RunError(
                f"{self.planned.title} has no run that can be used: {reasons}"
            )
        self.require_claim()


class LevelWork(AheadWork[Event, Outcome]):
    """Makes a participant's results: reads runs ahead, averages their results and writes them.

    It is made once, so that forked processes share its arrays.

    Parameters
    ----------
    request
        What the user asks for.
    """

    def __init__(self, request: CallRequest) -> None:
        self.request = request

    def in_process(self) -> Self:
        """Take this process's share of the cores; return the work."""
        share_cores(self.request.threads)
        return self

    @abstractmethod
    def read_run(
        self, run: RestRun, progress: Callable[[float], None]
    ) -> Iterator[Any]:
        """Read a run, and yield the parts that `make` receives.

        Parameters
        ----------
        run
            The run, from `find_runs`.
        progress
            Called with the share of the run that has been read.
        """

    @abstractmethod
    def make(self, average: Average) -> tuple[Iterable[str], str]:
        """Make the results of an average as its runs arrive, and write them, its record last.

        Returns
        -------
        Sentences for the log, and a one-line summary.
        """

    def begin(self) -> None:
        """Start what the second half needs, while the first run is read."""
        return

    def read(self, label: str, send: Send) -> None:
        """Read a participant's runs; an error affects only its own average."""
        averages = tuple[AveragedRuns, ...]()
        try:
            averages = self.request.averages(label)
        except Exception as err:
            send(("failed", *_failure(err, label, "finding runs")))
        for planned in averages:
            self._read_average(planned, send)

    def _read_average(self, planned: AveragedRuns, send: Send) -> None:
        title = ""  # name of the run that is being read
        try:
            request = self.request.for_average(planned)
            inputs = request.fingerprints(planned)
            reason = request.why_incomplete(planned, inputs)
            send(("average", planned, inputs, reason))
            for run in planned.runs if reason else ():
                title = run.title
                try:
                    for part in self.read_run(
                        run, lambda share: send(("reading", share))
                    ):
                        send(("part", part))
                except TooShortError as err:
                    if len(planned.runs) == 1:
                        raise
                    send(("left out", title, str(err)))
            send(("read",))
        except BrokenPipeError:  # the receiving process has ended
            raise
        except Exception as err:
            failure = _failure(
                err, planned.participant, "reading", planned.title, title
            )
            send(("failed", *failure))

    def finish(
        self, label: str, events: Iterator[Event], reporter: Reporter
    ) -> Outcome:
        failures: list[Failure] = []
        done = skipped = 0
        locks = self.request.output.locks()  # those that the main process holds
        name = f"sub-{label}"
        require_claim = partial(locks.require_claim, name, locks.claim(name))

        def fail(failure: Failure, trace: str = "") -> None:
            failures.append(failure)
            if self.request.settings.behaviour.verbose > 1:
                reporter.note(trace)
            reporter.finish(f"failed: {failure.message}")

        try:
            self.begin()  # while the forked reader reads the first run
            # `label` is a folder's name that has not been checked; the plan reports a wrong one.
            remove_stale_temporaries(self.request.output.root / f"sub-{label}")
        except Exception as err:
            fail(*_failure(err, label, "starting"))
        try:
            # After a failure, the rest of its average is dropped.
            for kind, *content in events:
                if kind == "failed":
                    fail(*content)
                elif kind == "average" and content[-1] is None:
                    skipped += 1
                    reporter.finish(f"{content[0].title}: complete, skipped")
                elif kind == "average":
                    planned, inputs, reason = content
                    average = Average(planned, inputs, events, reporter, require_claim)
                    failed = self._make(average, reason)
                    if failed:
                        fail(*failed)
                    # If only a part of the results failed, the others were made.
                    if not failed or average.failed:
                        done += 1
        except ReaderDiedError as err:
            message = f"the process that read sub-{label} died: {err}"
            fail(Failure(label, "reading", message))
        other_combine = self.request.titles_of_other_combine(label)
        return Outcome(done, skipped, tuple(failures), other_combine)

    def _make(self, average: Average, reason: str) -> tuple[Any, ...]:
        """Make an average, and print a summary; return the failure and its traceback, if any."""
        note, title = average.reporter.note, average.planned.title
        if reason != NOT_DONE or self.request.settings.behaviour.verbose:
            note(f"{title}: {reason}")
        try:
            notes, summary = self.make(average)
            for run, why in average.left_out.items():
                note(f"{run} was left out. {why}")
            for line in notes:
                note(line)
        except (BrokenPipeError, ReaderDiedError):
            raise
        except ReadingFailedError as err:
            return err.args
        except Exception as err:
            return _failure(err, average.planned.participant, average.stage, title)
        number = len(average.left_out)
        short = f"; {number} left out, with too little left" if number else ""
        average.reporter.finish(f"{title}: {summary}{short}")
        if not average.failed:
            return ()
        participant = average.planned.participant
        return Failure(participant, average.stage, average.failed, title), ""


def _failure(
    err: Exception, participant: str, stage: str, title: str = "", run: str = ""
) -> tuple[Failure, str]:
    """Return an error as a failure, and its traceback."""
    message = without_person(in_one_line(err), participant)
    return Failure(participant, stage, message, title, run), traceback.format_exc()
