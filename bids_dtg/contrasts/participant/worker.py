"""The work on one participant: from runs to connectomes, and from connectomes to maps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from bids_dtg.connectome.connectome import Connectome
from bids_dtg.contrasts.maps import Estimate, MapAverage
from bids_dtg.contrasts.participant.measure import Reader
from bids_dtg.contrasts.participant.model import Model, add_maps
from bids_dtg.contrasts.participant.outputs import CONNECTOME, in_words
from bids_dtg.contrasts.participant.outputs.surfaces import template_note
from bids_dtg.contrasts.participant.quality import (
    RunSummary,
    notes_on_average,
    summarise,
)
from bids_dtg.contrasts.participant.request import Request, first_file
from bids_dtg.contrasts.participant.write import RunRead, write_average, write_run
from bids_dtg.engine.machine import one_blas_thread, return_memory
from bids_dtg.inputs.dataset import FREESURFER, only_folder
from bids_dtg.inputs.run import RestRun, SurfaceFiles
from bids_dtg.notices import counted
from bids_dtg.participants.call import Level
from bids_dtg.participants.origin import complete_average
from bids_dtg.participants.request import AveragedRuns
from bids_dtg.participants.worker import Average, LevelWork


@dataclass(frozen=True, eq=False)
class SegmentRead:
    """The connectome of a segment, sent after the whole run has been read."""

    # Read by the model, or first joined with other runs of the session.
    connectome: Connectome
    session: str | None  # label of the run's session
    share: float  # share of the run's segments that were sent before, 0 to 1


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
            connectomes = measured.connectomes
            seconds = time.perf_counter() - start
            return_memory()  # the network needs the memory of the sums
            for number, segment in enumerate(connectomes.segments):
                share = number / len(connectomes.segments)
                yield SegmentRead(segment, run.session, share)
            judged = reader.judge(connectomes, measured.mask_overlap)
            summary = summarise(measured, judged, request.path_names)
            data = replace(
                measured,
                source=request.dataset.name,
                input_type=request.settings.inputs.input_type,
            )
            report_files = request.presentation.panel_files(data)
            written = connectomes if CONNECTOME in request.kinds else None
            # Free memory, because the receiver predicts maps before it takes the next result.
            del measured, connectomes, segment, data
            return_memory()
            yield RunRead(summary, written, report_files, seconds)

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
        runs, files = list[RunSummary](), list[PurePosixPath]()
        maps = _MapsOfRuns(self._model, MapAverage(by_dof=planned.by_dof))
        seconds = 0.0  # of prediction, for the run that is being read
        for part in average.parts():
            if isinstance(part, RunRead):
                files += write_run(request, part, seconds)
                runs.append(part.summary)
                seconds = 0.0
                continue
            average.reporter.stage("predicting", part.share)
            start = time.perf_counter()
            maps.add(part)
            seconds += time.perf_counter() - start
            for note in self._model.take_notes():
                average.reporter.note(f"warning: {note}")
        average.reporter.stage("writing", 1.0)
        estimate = maps.result()
        # A space that cannot be reached costs only the maps in it. The record of completion does
        # not name it, so that the next call tries again.
        surfaces = _own_surfaces(runs) if request.own_surfaces(planned) else None
        request, elsewhere, average.failed = request.reached(planned, surfaces)
        files += write_average(
            request,
            planned,
            estimate,
            runs=runs,
            left_out=average.left_out,
            elsewhere=elsewhere,
        )
        complete_average(request, planned, average.inputs, files)
        summary = (
            f"{in_words(len(request.contrasts), request.kinds)} from "
            f"{estimate.seconds / 60:.1f} minutes of rest "
            f"({counted(runs, 'run')}, {counted(estimate.n_segments, 'segment')}), "
            f"coverage {min(run.coverage for run in runs):.1%}"
        )
        reason = str(runs[0].facts.get("SurfaceReason", ""))
        lack = self.request.without_t1w(planned, surfaces, reason)
        return self._notes(planned, runs, lack), summary

    def begin(self) -> None:
        self._model.begin()

    def _notes(
        self, planned: AveragedRuns, runs: Sequence[RunSummary], lack: str | None
    ) -> Iterator[str]:
        if lack:
            yield f"{planned.title}: {lack}"
        for run in runs:
            yield from (f"{run.run.title}: {note}" for note in run.notes)
        for run in runs:
            if run.judged.verdict != "inside":
                reasons = "; ".join(run.judged.reasons)
                yield f"{run.run.title} is {run.judged.verdict} for the model: {reasons}"
        options = self.request.settings.options
        surfaces_named = options["sample_on"] or only_folder(
            options["derivatives"], FREESURFER
        )
        if not surfaces_named and any(
            run.surfaces and not run.surfaces.sides for run in planned.runs
        ):
            yield _OWN_SURFACES  # the same for all, so that it is said once
        if note := template_note(self.request.surfaces(planned)):
            yield f"{planned.title}: {note}"
        yield from notes_on_average(
            self.request.bundle.card, runs, self.request.settings
        ).values()


_OWN_SURFACES = (
    "for want of people's own surfaces, maps have half of their deviation from the group's: "
    "-d freesurfer=PATH gives FreeSurfer's folder, if there is one"
)


def _own_surfaces(runs: Sequence[RunSummary]) -> SurfaceFiles | None:
    """Return the person's own surfaces at which runs were read, if any were."""
    surfaces_of_runs = (
        run.run.surfaces for run in runs if run.facts.get("Surface") == "own"
    )
    return next(surfaces_of_runs, None)


class _MapsOfRuns:
    """Maps of runs as their segments arrive: each segment's, or each session's joined runs'."""

    def __init__(self, model: Model, average: MapAverage) -> None:
        self._model, self._average = model, average
        # For a model that joins all runs of a session; runs arrive session by session.
        self._joined: Connectome | None = None
        self._session: str | None = None

    def add(self, segment: SegmentRead) -> None:
        """Predict the maps of a segment, or join it with the earlier ones of its session."""
        connectome = segment.connectome
        if not self._model.bundle.part.joins_runs:
            add_maps(self._average, self._model, connectome)
        elif self._joined is not None and segment.session == self._session:
            self._joined = self._joined.joined(connectome)
        else:
            self._end_session()
            self._joined, self._session = connectome, segment.session

    def result(self) -> Estimate:
        """Return the average of all maps."""
        self._end_session()
        return self._average.result(self._model.bundle.contrasts)

    def _end_session(self) -> None:
        if self._joined is not None:
            add_maps(self._average, self._model, self._joined)


LEVEL = Level(Request.prepare, ParticipantWork, first_file)
