"""The work on one participant: from runs to connectomes, and from connectomes to maps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from bids_dtg.connectome.connectome import Connectome, RunConnectomes
from bids_dtg.contrasts.maps import MapAverage
from bids_dtg.contrasts.participant.measure import Reader
from bids_dtg.contrasts.participant.model import Model, add_maps
from bids_dtg.contrasts.participant.outputs import CONNECTOME, in_words
from bids_dtg.contrasts.participant.outputs.surfaces import template_note
from bids_dtg.contrasts.participant.outputs.write import write_average, write_run
from bids_dtg.contrasts.participant.quality import (
    RunSummary,
    notes_on_average,
    summarise,
)
from bids_dtg.contrasts.participant.request import Request, first_file
from bids_dtg.engine.machine import one_blas_thread, return_memory
from bids_dtg.inputs.run import RestRun
from bids_dtg.notices import counted
from bids_dtg.participants.call import Level
from bids_dtg.participants.origin import complete_average
from bids_dtg.participants.request import AveragedRuns
from bids_dtg.participants.worker import Average, LevelWork
from bids_dtg.report.presentation import Kept


@dataclass(frozen=True, eq=False)
class SegmentRead:
    """The connectome of a segment, sent after the whole run has been read."""

    connectome: (
        Connectome  # read by the model, or first joined with other runs of the session
    )
    session: str | None  # label of the run's session
    share: float  # share of the run's segments that were sent before, 0 to 1


@dataclass(frozen=True, eq=False)
class RunRead:
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
        What the user asks for.
    """

    request: Request

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        threads = request.threads
        self.reader = Reader(
            request.bundle,
            request.settings.cleaning,
            threads=threads,
            keep_whole=CONNECTOME in request.kinds,
        )
        self._model = Model(request.bundle, request.device, threads)
        self.forks = request.device == "cpu"  # a GPU's driver does not allow forking

    def read_run(
        self, run: RestRun, progress: Callable[[float], None]
    ) -> Iterator[SegmentRead | RunRead]:
        """Reduce a run to connectomes; yield its segments first, then the other results.

        A damaged file yields nothing. The segments come first, so that their maps are predicted
        while the run's quality is assessed.

        Raises
        ------
        RunError
            The run's files cannot be used.
        """
        request, reader = self.request, self.reader
        start = time.perf_counter()
        # Decompression and computation have threads of their own.
        with one_blas_thread():
            measured = reader.measure(run, progress=progress)
            result, seconds = measured.connectomes, time.perf_counter() - start
            return_memory()  # the network needs the memory of the sums
            for number in range(len(result.segments)):
                share = number / len(result.segments)
                yield SegmentRead(result.segments[number], run.session, share)
            judged = reader.judge(result, measured.mask_overlap)
            summary = summarise(measured, judged, reader.bundle, request.path_names)
            data = replace(
                measured,
                source=request.dataset.name,
                input_type=request.settings.inputs.input_type,
            )
            kept = request.presentation.keep(data)
            written = measured.connectomes if CONNECTOME in request.kinds else None
            # Free memory, because the receiver predicts maps before it takes the next result.
            del measured, result, data
            return_memory()
            yield RunRead(summary, written, kept, seconds)

    def make(self, average: Average) -> tuple[Iterable[str], str]:
        """Predict and average maps as runs arrive; write them, then the record of completion.

        Raises
        ------
        RunError
            The device has too little memory, a map is not finite, or a space cannot be written.
        OutputError
            A file cannot be written.
        """
        request, planned = self.request, average.planned
        runs, files, seconds = list[RunSummary](), list[PurePosixPath](), 0.0
        maps = MapAverage(by_dof=planned.by_dof)
        # For a model that joins all runs of a session; runs arrive session by session.
        joined: Connectome | None = None
        session = None
        for part in average.parts():
            if isinstance(part, RunRead):
                files += write_run(
                    request,
                    part.summary,
                    seconds=part.seconds + seconds,
                    kept=part.kept,
                    connectomes=part.connectomes,
                )
                runs.append(part.summary)
                seconds = 0.0
                continue
            average.reporter.stage("predicting", part.share)
            start = time.perf_counter()
            own = part.connectome
            if not self._model.bundle.card.part.of_sessions:
                add_maps(maps, self._model, own)
            elif joined is not None and part.session == session:
                joined = joined.joined(own)
            else:
                self._end_session(joined, maps)
                joined, session = own, part.session
            seconds += time.perf_counter() - start
            for note in self._model.take_notes():
                average.reporter.note(f"warning: {note}")
        average.reporter.stage("writing", 1.0)
        self._end_session(joined, maps)
        estimate = maps.result(request.bundle.contrasts)
        # A space that cannot be reached costs only the maps in it. The record of completion does
        # not name it, so that the next call tries again.
        reached = request.reached(planned)
        request, average.failed = reached.request, reached.failed
        files += write_average(
            request,
            planned,
            estimate,
            runs=runs,
            left_out=average.left_out,
            elsewhere=reached.samplings,
        )
        complete_average(request, planned, average.inputs, files)
        summary = (
            f"{in_words(len(request.contrasts), request.kinds)} from "
            f"{estimate.seconds / 60:.1f} minutes of rest "
            f"({counted(len(runs), 'run')}, {counted(estimate.n_segments, 'segment')}), "
            f"coverage {min(run.coverage for run in runs):.1%}"
        )
        return self._notes(planned, runs), summary

    def _end_session(self, joined: Connectome | None, maps: MapAverage) -> None:
        """Predict the maps of a session's joined runs, if there are any."""
        if joined is not None:
            add_maps(maps, self._model, joined)

    def begin(self) -> None:
        self._model.begin()

    def _notes(
        self, planned: AveragedRuns, runs: Sequence[RunSummary]
    ) -> Iterator[str]:
        for run in runs:
            yield from (f"{run.run.title}: {note}" for note in run.notes)
        for run in runs:
            if run.judged.verdict != "inside":
                reasons = "; ".join(run.judged.reasons)
                yield f"{run.run.title} is {run.judged.verdict} for the model: {reasons}"
        if note := template_note(self.request.surfaces(planned)):
            yield f"{planned.title}: {note}"
        yield from notes_on_average(
            self.request.bundle.card, runs, self.request.settings
        ).values()


LEVEL = Level(Request.prepare, ParticipantWork, first_file)
