"""The first half of the work on contrasts: a run is reduced to connectomes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from bids_dtg.connectome.connectome import Connectome, RunConnectomes
from bids_dtg.contrasts.panels.background import keep_own
from bids_dtg.contrasts.panels.run import RunData
from bids_dtg.contrasts.participant.measure import MeasuredRun, Reader
from bids_dtg.contrasts.participant.quality import RunSummary, summarise
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.engine.display import Clock
from bids_dtg.engine.machine import return_memory
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.participants.read import RunPart, RunProgress, Send
from bids_dtg.report.panels.panel import Kept, keep_all


@dataclass(frozen=True, eq=False)
class SegmentRead(RunPart):
    """A segment of a run has been reduced to a connectome; all of the run has been read."""

    stage: ClassVar[str] = "predicting"

    connectome: Connectome  # what the model reads
    share: float  # of the run's segments that were sent before, 0 to 1


@dataclass(frozen=True, eq=False)
class RunRead(RunPart):
    """All else of a run whose segments have been sent."""

    summary: RunSummary  # figures and decisions
    connectomes: RunConnectomes | None  # only where they are to be written
    halves: tuple[Connectome, Connectome] | None  # odd and even, only where maps are made of them
    kept: tuple[Kept, ...]  # small files that its report is drawn from
    seconds: float  # that its connectomes took


def read_run(run: RestRun, request: Request, reader: Reader, *, clock: Clock, send: Send) -> None:
    """Reduce a run to connectomes, and send its segments and then the rest of it.

    Nothing is sent of a file that is damaged anywhere. The segments come first: their maps are
    predicted while the run is judged.

    Parameters
    ----------
    run
        Its files.
    request
        What the call asks for.
    reader
        Reduces runs to connectomes.
    clock
        Adds up the time of the stages.
    send
        Called with each event.

    Raises
    ------
    RunError
        The run's files cannot be used.
    """
    start, wanted = time.perf_counter(), request.settings.outputs
    measured = reader.measure(
        run, clock=clock, progress=lambda share: send(RunProgress(run.title, share))
    )
    result, seconds = measured.connectomes, time.perf_counter() - start
    return_memory()  # of the sums: the network wants it
    for number in range(len(result.segments)):
        send(SegmentRead(result.segments[number], number / len(result.segments)))
    with clock.time("range"):
        judged = reader.judge.judge(result, measured.mask_overlap)
    summary = summarise(measured, judged, reader.bundle)
    halves = None
    if wanted.half_maps and result.odd is not None and result.even is not None:
        halves = (result.odd, result.even)
    connectomes = measured.connectomes if wanted.write_connectome else None
    with clock.time("details"):
        kept = _keep(measured, request, reader)
    # The rest is taken when the maps have been predicted.
    del measured, result
    return_memory()
    send(RunRead(summary, connectomes, halves, kept, seconds))


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
        mean_frame=measured.mean_frame,
        bundle=reader.bundle,
        measured=measured.connectomes,
    )
    own = keep_own(data, TemplateFlow.here())
    return (*keep_all(request.presentation.panels, data), *own)
