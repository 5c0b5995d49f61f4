"""The first half of the work: find runs, skip what is complete, read each run of the others.

It needs no torch and goes on with the next run while the second half makes results and writes
them; what it has to say travels as events. What is read of a run is the workflow's: a `RunPart`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from bids_dtg.cleaning.design import TooShortError
from bids_dtg.errors import DtgError, OutputError, internal_error, may_pass
from bids_dtg.files.provenance import Fingerprint
from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.averages import AveragedRuns
from bids_dtg.participants.request import CallRequest
from bids_dtg.progress import Clock


@dataclass(frozen=True)
class AverageSkipped:
    """An average is complete already."""

    planned: AveragedRuns


@dataclass(frozen=True)
class AverageBegun:
    """The runs of an average follow."""

    planned: AveragedRuns
    inputs: Mapping[str, Fingerprint]  # what the average depends on
    reason: str  # why it is made


@dataclass(frozen=True)
class RunProgress:
    """A share of a run has been read."""

    run: str  # its title
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

    stage: str  # what was being done
    message: str  # one line
    trace: str  # where in the program, for those who debug it
    passing: bool = False  # whether it may pass by itself, as an error of a network file system
    title: str = ""  # of the average; empty: none had begun
    run: str = ""  # title of the run; empty: it is of none

    @classmethod
    def by(cls, err: Exception, stage: str, title: str = "", run: str = "") -> Failed:
        """Report an error while its traceback is at hand."""
        return cls(stage, _line(err), traceback.format_exc(), may_pass(err), title, run)


@dataclass(frozen=True)
class ParticipantRead:
    """Nothing more follows about the participant."""

    seconds: Mapping[str, float]  # time by stage


Event = (
    AverageSkipped
    | AverageBegun
    | RunProgress
    | RunPart
    | RunLeftOut
    | AverageRead
    | Failed
    | ParticipantRead
)
Send = Callable[[Event], None]
ReadRun = Callable[[RestRun, Clock, Send], None]  # reads a run, and sends its parts


def read_participant(participant: str, request: CallRequest, read_run: ReadRun, send: Send) -> None:
    """Read a participant's runs; whatever goes wrong stays with its average.

    Parameters
    ----------
    participant
        Participant's label, without ``sub-``.
    request
        What the call asks for.
    read_run
        Function that reads a run and sends its events.
    send
        Function called with each event.
    """
    clock = Clock()
    try:
        with clock.time("query"):
            averages = request.averages(participant)
    except Exception as err:
        send(Failed.by(err, "finding runs"))
        averages = ()
    for planned in averages:
        try:
            _read_average(planned, request, read_run, clock=clock, send=send)
        except BrokenPipeError:  # no process listens any more
            raise
        except Exception as err:
            send(Failed.by(err, "reading", planned.title))
    send(ParticipantRead(dict(clock.seconds)))


def _line(err: Exception) -> str:
    if isinstance(err, OSError):
        err = OutputError(f"{err.filename or 'a file'}: {err.strerror or err}")
    return str(err) if isinstance(err, DtgError) else internal_error(err)


def _read_average(
    planned: AveragedRuns, request: CallRequest, read_run: ReadRun, *, clock: Clock, send: Send
) -> None:
    with clock.time("query"):
        of_average = request.of_average(planned)
        inputs = of_average.fingerprints(planned)
        reason = of_average.why_incomplete(planned, inputs)
    if reason is None:
        send(AverageSkipped(planned))
        return
    send(AverageBegun(planned, inputs, reason))
    for run in planned.runs:
        try:
            read_run(run, clock, send)
        except TooShortError as err:
            if len(planned.runs) == 1:
                raise
            send(RunLeftOut(run.title, str(err)))
        except BrokenPipeError:  # no process listens any more
            raise
        except Exception as err:
            send(Failed.by(err, "reading", planned.title, run.title))
            return
    send(AverageRead())
