"""The work on one participant of contrasts: runs to connectomes, and connectomes to maps."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ClassVar

from bids_dtg.connectome.connectome import Connectome, JoinedRuns, RunConnectomes
from bids_dtg.contrasts.maps import MapAverage
from bids_dtg.contrasts.participant.measure import Reader
from bids_dtg.contrasts.participant.model import Model, add_maps
from bids_dtg.contrasts.participant.outputs import CONNECTOME, in_words
from bids_dtg.contrasts.participant.outputs.surfaces import template_note
from bids_dtg.contrasts.participant.outputs.write import complete, write_average, write_run
from bids_dtg.contrasts.participant.quality import RunSummary, notes_on_average, summarise
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.engine.machine import one_blas_thread, return_memory
from bids_dtg.inputs.run import RestRun
from bids_dtg.notices import counted
from bids_dtg.participants.call import Level
from bids_dtg.participants.worker import (
    AverageBegun,
    AverageMaker,
    LevelWork,
    MadeAverage,
    RunPart,
    RunProgress,
    Send,
)
from bids_dtg.progress import Clock, Reporter
from bids_dtg.report.panels import Kept, keep_all


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


class ParticipantWork(LevelWork):
    """Makes a participant's maps: reads runs ahead, predicts and writes.

    Parameters
    ----------
    request
        What the call asks for.
    """

    request: Request

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        threads = request.capacity.threads
        self.reader = Reader(
            request.bundle,
            request.settings.cleaning,
            threads=threads,
            every_part=CONNECTOME in request.kinds,
        )
        self._model = Model(request.bundle, request.device, threads)
        self.forks = request.device == "cpu"  # a GPU's driver does not allow it

    def read_run(self, run: RestRun, clock: Clock, send: Send) -> None:
        """Reduce a run to connectomes, and send first its segments, then the other results.

        A damaged file sends nothing. The segments come first: their maps are
        predicted while the quality of the run is assessed.

        Raises
        ------
        RunError
            The run's files cannot be used.
        """
        request, reader = self.request, self.reader
        start = time.perf_counter()
        # Other threads inflate and compute.
        with one_blas_thread(), ThreadPoolExecutor(1) as thread:
            # What runs are judged by, while the file is waited for.
            thread.submit(getattr, reader, "pattern_places")
            measured = reader.measure(
                run, clock=clock, progress=lambda share: send(RunProgress(share))
            )
            result, seconds = measured.connectomes, time.perf_counter() - start
            return_memory()  # of the sums: the network needs it
            for number in range(len(result.segments)):
                share = number / len(result.segments)
                send(SegmentRead(result.segments[number], run.session, share))
            with clock.time("range"):
                judged = reader.judge(result.of_one_set(), measured.mask_overlap)
            summary = summarise(measured, judged, reader.bundle, request.path_names)
            with clock.time("details"):
                data = replace(measured, source=request.dataset.name)
                kept = keep_all(request.presentation.panels, data)
            written = measured.connectomes if CONNECTOME in request.kinds else None
            # The remaining results are received after the maps have been predicted.
            del measured, result, data
            return_memory()
            send(RunRead(summary, written, kept, seconds))

    def maker(self, begun: AverageBegun, clock: Clock) -> MapAverageMaker:
        return MapAverageMaker(begun, self._model, self.request, clock)

    def begin(self) -> None:
        self._model.begin()

    def before_fork(self) -> None:
        # Forking while a thread imports or computes is unsafe.
        self._model.wait()


class MapAverageMaker(AverageMaker):
    """Predicts and averages the maps of an average as its runs arrive, then has them written."""

    def __init__(self, begun: AverageBegun, model: Model, request: Request, clock: Clock) -> None:
        super().__init__(begun, clock)
        self._model, self._request = model, request
        self._average = MapAverage(by_dof=begun.planned.by_dof)
        # Of a model that reads all runs of a session together.
        self._joined, self._session = JoinedRuns(), ""
        self._seconds = 0.0  # spent on maps of the run whose segments arrive
        self._summaries: list[RunSummary] = []

    def take(self, part: RunPart, reporter: Reporter) -> None:
        """Predict the maps of a segment, or write the files of a run.

        Raises
        ------
        RunError
            The device has too little memory, or a map is not finite.
        OutputError
            A file cannot be written.
        """
        if isinstance(part, SegmentRead):
            reporter.stage("predicting", part.share)
            start = time.perf_counter()
            with self._clock.time("network"):
                self._predict(part)
            self._seconds += time.perf_counter() - start
            for note in self._model.take_notes():
                reporter.note(f"warning: {note}")
        elif isinstance(part, RunRead):
            seconds, self._seconds = part.seconds + self._seconds, 0.0
            with self._clock.time("write"):
                self._files += write_run(
                    self._request,
                    part.summary,
                    seconds=seconds,
                    kept=part.kept,
                    connectomes=part.connectomes,
                )
            self._summaries.append(part.summary)

    def _predict(self, part: SegmentRead) -> None:
        """Predict the maps of a segment, or join a run to the others of its session.

        Runs come session by session, each as a whole where runs are joined.
        """
        if not self._model.bundle.card.part.of_sessions:
            add_maps(self._average, self._model, part.connectome)
            return
        if (part.session or "") != self._session:
            self._end_session()
        self._session = part.session or ""
        self._joined.add(part.connectome)

    def _end_session(self) -> None:
        if self._joined.begun:
            add_maps(self._average, self._model, self._joined.connectome())
            self._joined = JoinedRuns()

    def finish(self, reporter: Reporter, left_out: Mapping[str, str]) -> MadeAverage:
        """Write the maps, and last the record that the average is complete.

        Raises
        ------
        RunError
            A map is not finite, or a space cannot be written.
        OutputError
            A file cannot be written.
        """
        request, planned, runs = self._request, self.begun.planned, self._summaries
        reporter.stage("writing", 1.0)
        with self._clock.time("network"):
            self._end_session()
        estimate = self._average.result(request.bundle.contrasts)
        with self._clock.time("write"):
            self._files += write_average(request, planned, estimate, runs=runs, left_out=left_out)
            complete(request, planned, self.begun.inputs, self._files, runs=runs)
        summary = (
            f"{in_words(len(request.contrasts), request.kinds)} from "
            f"{estimate.seconds / 60:.1f} minutes of rest "
            f"({counted(len(runs), 'run')}, {counted(estimate.n_segments, 'segment')}), "
            f"coverage {min(summary.coverage for summary in runs):.1%}"
        )
        return MadeAverage(tuple(self._notes()), summary)

    def _notes(self) -> Iterator[str]:
        request, planned = self._request, self.begun.planned
        for summary in self._summaries:
            yield from (f"{summary.run.title}: {note}" for note in summary.notes)
        for summary in self._summaries:
            if summary.judged.verdict != "inside":
                reasons = "; ".join(summary.judged.reasons)
                yield f"{summary.run.title} is {summary.judged.verdict} for the model: {reasons}"
        if note := template_note(request.surfaces(planned)):
            yield f"{planned.title}: {note}"
        yield from notes_on_average(request.bundle.card, self._summaries, request.settings).values()


LEVEL = Level(Request.prepare, ParticipantWork)
