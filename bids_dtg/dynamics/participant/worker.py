"""The work on one participant: runs to series, and their processes by a linear core."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.components import Components, edges_of
from bids_dtg.dynamics.linear import LagCovariances, LinearModel
from bids_dtg.dynamics.networks import notes_beside_series
from bids_dtg.dynamics.participant.request import NetworkRequest
from bids_dtg.dynamics.participant.write import NetworkWriter
from bids_dtg.inputs.structural import StructuralMatrix
from bids_dtg.notices import counted
from bids_dtg.participants.call import Level
from bids_dtg.participants.parcels.measure import MeasuredSeries
from bids_dtg.participants.parcels.request import ParcelWork, SeriesRead
from bids_dtg.participants.worker import AverageBegun, AverageMaker, MadeAverage, RunPart
from bids_dtg.progress import Clock, Reporter


class NetworkWork(ParcelWork):
    """Makes a participant's series and their processes.

    Parameters
    ----------
    request
        What the call asks for.
    """

    request: NetworkRequest

    def __init__(self, request: NetworkRequest) -> None:
        super().__init__(request)
        self.writer = NetworkWriter(request)

    @cached_property
    def _core(self) -> tuple[LinearModel, Components | None] | None:
        """The model of the call, read at first use, and its components."""
        bundle = self.request.bundle
        return None if bundle is None else (bundle.model(), bundle.components())

    def describe(
        self, measured: MeasuredSeries
    ) -> tuple[NDArray[np.float64] | None, tuple[float, ...]]:
        """Return the transitions of a run's process, and scores; None: the call has no model."""
        if self._core is None:
            return None, ()
        model, components = self._core
        own = LagCovariances.of(measured.series.values, measured.series.keep)
        scores = () if components is None else tuple(components.scores(edges_of(own)).tolist())
        return model.infer(own).transitions, scores

    def structural_of(
        self, begun: AverageBegun, measured: MeasuredSeries
    ) -> StructuralMatrix | None:
        """Read the participant's structural connectome; None: none were given.

        Raises
        ------
        RunError
            It cannot be used.
        """
        found = self.request.structural_of(begun.planned)
        if found is None:
            return None
        more = notes_beside_series(found.weights, measured.fc)
        return replace(found, notes=(*found.notes, *more))

    def maker(self, begun: AverageBegun, clock: Clock) -> RunMaker:
        """Return the maker of a run's results."""
        return RunMaker(begun, self, clock)


class RunMaker(AverageMaker):
    """Describes a run, and writes its results."""

    def __init__(self, begun: AverageBegun, work: NetworkWork, clock: Clock) -> None:
        super().__init__(begun, clock)
        self._work = work
        self._measured: list[MeasuredSeries] = []  # the run, once it was sent
        self._notes: Sequence[str] = ()

    def take(self, part: RunPart, reporter: Reporter) -> None:
        """Describe the run, and write all results.

        Raises
        ------
        RunError
            The participant's structural connectome cannot be used.
        OutputError
            A file cannot be written.
        """
        assert isinstance(part, SeriesRead)
        start, work, measured = time.perf_counter(), self._work, part.measured
        structural = work.structural_of(self.begun, measured)
        reporter.stage("modelling", 0.0)
        with self._clock.time("network"):
            transitions, scores = work.describe(measured)
        reporter.stage("writing", 1.0)
        on_person = work.request.note_on_person(measured)
        self._notes = (*(structural.notes if structural else ()), *([on_person] * bool(on_person)))
        with self._clock.time("write"):
            self._files += work.writer.write(
                self.begun.planned,
                measured,
                structural,
                transitions,
                scores,
                notes=self._notes,
                seconds=part.seconds + time.perf_counter() - start,
            )
        self._measured.append(measured)

    def finish(self, reporter: Reporter, left_out: Mapping[str, str]) -> MadeAverage:
        """Write the record that the run is complete.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        (measured,), writer = self._measured, self._work.writer
        with self._clock.time("write"):
            writer.complete(self.begun.planned, self.begun.inputs, self._files, [measured])
        cleaned = writer.cleaning_note(measured)
        notes = (*measured.notes, *self._notes, *([cleaned] if cleaned else []))
        return MadeAverage(
            tuple(f"{measured.run.title}: {note}" for note in notes), self._line(measured)
        )

    def _line(self, measured: MeasuredSeries) -> str:
        """Summarise the result in one line."""
        series = measured.series
        process = "" if self._work.request.bundle is None else " and their process"
        return (
            f"series of {counted(int(series.present.sum()), 'parcel')}{process} from "
            f"{measured.design.seconds_kept / 60:.1f} minutes of rest, coverage "
            f"{float(series.coverage.mean()):.1%}"
        )


LEVEL = Level(NetworkRequest.prepare, NetworkWork)
