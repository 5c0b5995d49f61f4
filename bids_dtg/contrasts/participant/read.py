"""The first half of the work on contrasts: a run is reduced to connectomes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

from bids_dtg.connectome.connectome import Connectome, RunConnectomes
from bids_dtg.contrasts.panels.background import keep_own
from bids_dtg.contrasts.panels.run import RunData
from bids_dtg.contrasts.participant.measure import MeasuredRun, Reader
from bids_dtg.contrasts.participant.quality import RunSummary, summarise
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.engine.machine import return_memory
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.participants.read import RunPart, RunProgress, Send
from bids_dtg.progress import Clock
from bids_dtg.report.panels.panel import Kept, keep_all


@dataclass(frozen=True, eq=False)
class SegmentRead(RunPart):
    """A segment of a run as a connectome; the whole run has been read."""

    stage: ClassVar[str] = "predicting"

    connectome: Connectome  # what the model reads, or joins with other runs of the session
    session: str | None  # label of the run's session
    share: float  # share of the run's segments sent before, 0 to 1


@dataclass(frozen=True, eq=False)
class RunRead(RunPart):
    """The remaining results of a run whose segments have been sent."""

    summary: RunSummary  # quality measures and decisions
    connectomes: RunConnectomes | None  # only if they are written
    kept: tuple[Kept, ...]  # small files for the report
    seconds: float  # time for its connectomes


def read_run(run: RestRun, request: Request, reader: Reader, *, clock: Clock, send: Send) -> None:
    """Reduce a run to connectomes, and send first its segments, then the other results.

    A damaged file sends nothing. The segments come first: their maps are
    predicted while the quality of the run is assessed.

    Raises
    ------
    RunError
        The run's files cannot be used.
    """
    start = time.perf_counter()
    with ThreadPoolExecutor(1) as thread:
        # What runs are judged by, while the file is waited for.
        thread.submit(getattr, reader, "pattern_places")
        measured = reader.measure(
            run, clock=clock, progress=lambda share: send(RunProgress(run.title, share))
        )
    result, seconds = measured.connectomes, time.perf_counter() - start
    return_memory()  # of the sums: the network needs it
    for number in range(len(result.segments)):
        share = number / len(result.segments)
        send(SegmentRead(result.segments[number], run.session, share))
    with clock.time("range"):
        judged = reader.judge(result.of_one_set(), measured.mask_overlap)
    summary = summarise(measured, judged, reader.bundle)
    connectomes = measured.connectomes if request.writes_connectomes else None
    with clock.time("details"):
        kept = _keep(measured, request, reader)
    # The remaining results are received after the maps have been predicted.
    del measured, result
    return_memory()
    send(RunRead(summary, connectomes, kept, seconds))


def _keep(measured: MeasuredRun, request: Request, reader: Reader) -> tuple[Kept, ...]:
    """Let the panels of the report write their files of a run."""
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
        carpet=measured.carpet,
        carpet_rows={kind: len(voxels) for kind, voxels in reader.carpet_voxels.items()},
    )
    own = keep_own(data, TemplateFlow.here())
    return (*keep_all(request.presentation.panels, data), *own)
