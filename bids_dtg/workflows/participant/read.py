"""The first half of the work: find runs, skip what is complete, reduce runs to connectomes.

It needs no torch and goes on with the next run while the second half predicts
and writes; what it has to say travels as events.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bids_dtg.cleaning.design import TooShortError
from bids_dtg.connectome.connectome import Connectome, RunConnectomes
from bids_dtg.engine.display import Clock
from bids_dtg.errors import DtgError, OutputError, internal_error, may_pass
from bids_dtg.files.provenance import Fingerprint
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.report.panels.background import keep_own
from bids_dtg.report.panels.panel import Kept, RunData, keep_all
from bids_dtg.workflows.participant.measure import MeasuredRun, Reader
from bids_dtg.workflows.participant.quality import RunSummary, summarise
from bids_dtg.workflows.participant.request import Request
from bids_dtg.workflows.participant.sets import MapSet


@dataclass(frozen=True)
class SetSkipped:
    """A set of maps is complete already."""

    planned: MapSet


@dataclass(frozen=True)
class SetBegun:
    """The runs of a set follow."""

    planned: MapSet
    inputs: Mapping[str, Fingerprint]  # what the set depends on
    reason: str  # why it is made


@dataclass(frozen=True)
class RunProgress:
    """A share of a run has been read."""

    run: str  # its title
    share: float  # 0 to 1


@dataclass(frozen=True, eq=False)
class SegmentRead:
    """A segment of a run has been reduced to a connectome."""

    connectome: Connectome  # what the model reads


@dataclass(frozen=True, eq=False)
class RunRead:
    """A run has been read; its segments have been sent."""

    summary: RunSummary  # figures and decisions
    connectomes: RunConnectomes | None  # only where they are to be written
    halves: tuple[Connectome, Connectome] | None  # odd and even, only where maps are made of them
    kept: tuple[Kept, ...]  # small files that its report is drawn from
    seconds: float  # time it took


@dataclass(frozen=True)
class RunLeftOut:
    """A run has too little time left; the set goes on without it."""

    run: str  # its title
    reason: str  # one line


@dataclass(frozen=True)
class SetRead:
    """All runs of the set have been sent."""


@dataclass(frozen=True)
class Failed:
    """A set, or the search for a participant's runs, has failed."""

    stage: str  # what was being done
    message: str  # one line
    trace: str  # where in the program, for those who debug it
    passing: bool = False  # whether it may pass by itself, as an error of a network file system
    title: str = ""  # of the set; empty: none had begun
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
    SetSkipped
    | SetBegun
    | RunProgress
    | SegmentRead
    | RunRead
    | RunLeftOut
    | SetRead
    | Failed
    | ParticipantRead
)
Send = Callable[[Event], None]


def read_participant(participant: str, request: Request, reader: Reader, send: Send) -> None:
    """Read a participant's runs; whatever goes wrong stays with its set.

    Parameters
    ----------
    participant
        Label.
    request
        What the call asks for.
    reader
        Reduces runs to connectomes.
    send
        Called with each event.
    """
    clock = Clock()
    try:
        with clock.time("query"):
            map_sets = request.map_sets(participant)
    except Exception as err:
        send(Failed.by(err, "finding runs"))
        map_sets = ()
    for map_set in map_sets:
        try:
            _read_set(map_set, request, reader, clock=clock, send=send)
        except BrokenPipeError:  # no process listens any more
            raise
        except Exception as err:
            send(Failed.by(err, "reading", map_set.title))
    send(ParticipantRead(dict(clock.seconds)))


def _line(err: Exception) -> str:
    if isinstance(err, OSError):
        err = OutputError(f"{err.filename or 'a file'}: {err.strerror or err}")
    return str(err) if isinstance(err, DtgError) else internal_error(err)


def _read_set(
    planned: MapSet, request: Request, reader: Reader, *, clock: Clock, send: Send
) -> None:
    with clock.time("query"):
        inputs = request.fingerprints(planned)
        reason = request.why_incomplete(planned, inputs)
    if reason is None:
        send(SetSkipped(planned))
        return
    send(SetBegun(planned, inputs, reason))
    for run in planned.runs:
        try:
            send(_read_run(run, request, reader, clock=clock, send=send))
        except TooShortError as err:
            if len(planned.runs) == 1:
                raise
            send(RunLeftOut(run.title, str(err)))
        except BrokenPipeError:  # no process listens any more
            raise
        except Exception as err:
            send(Failed.by(err, "reading", planned.title, run.title))
            return
    send(SetRead())


def _read_run(
    run: RestRun, request: Request, reader: Reader, *, clock: Clock, send: Send
) -> RunRead:
    start, wanted = time.perf_counter(), request.settings.outputs
    measured = reader.measure(
        run, clock=clock, progress=lambda share: send(RunProgress(run.title, share))
    )
    result = measured.connectomes
    with clock.time("range"):
        judged = reader.judge.judge(result, measured.mask_overlap)
    summary, segments = summarise(measured, judged, reader.bundle), list(result.segments)
    halves = None
    if wanted.half_maps and result.odd is not None and result.even is not None:
        halves = (result.odd, result.even)
    connectomes = measured.connectomes if wanted.write_connectome else None
    # Panels need no connectome; without them a segment is gone once it has been sent.
    shown = replace(
        measured, connectomes=replace(result, segments=(), whole=None, odd=None, even=None)
    )
    del measured, result
    while segments:
        send(SegmentRead(segments.pop(0)))
    with clock.time("details"):  # while the last segment's maps are predicted
        kept = _keep(shown, request, reader)
    return RunRead(summary, connectomes, halves, kept, time.perf_counter() - start)


def _keep(measured: MeasuredRun, request: Request, reader: Reader) -> tuple[Kept, ...]:
    """Let the panels of the report take what they keep of a run."""
    data = RunData(
        run=measured.run,
        source=request.dataset.name,
        kept=measured.design.keep,
        fd_mm=measured.confounds.fd_mm,
        std_dvars=measured.confounds.std_dvars,
        tr_seconds=measured.design.tr_seconds,
        interpolation=reader.cleaning.interpolation,
        bundle=reader.bundle,
        measured=measured.connectomes,
    )
    own = keep_own(data, TemplateFlow.here())
    return (*keep_all(request.workflow.panels, data), *own)
