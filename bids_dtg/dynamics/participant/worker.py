"""The work on one participant: from runs to series, and to their processes by a linear core."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

from bids_dtg.array_types import Float64
from bids_dtg.dynamics.components import Components, edges_of
from bids_dtg.dynamics.linear import LagCovariances, LinearModel
from bids_dtg.dynamics.networks import notes_beside_series
from bids_dtg.dynamics.participant.request import NetworkRequest
from bids_dtg.dynamics.participant.write import NetworkWriter
from bids_dtg.inputs.run import RestRun
from bids_dtg.notices import counted
from bids_dtg.participants.call import Level
from bids_dtg.participants.origin import complete_average
from bids_dtg.participants.parcels import MeasuredSeries, ParcelWork
from bids_dtg.participants.worker import Average


class NetworkWork(ParcelWork):
    """Makes a participant's series and their processes.

    Parameters
    ----------
    request
        What the run asks for.
    """

    request: NetworkRequest

    def __init__(self, request: NetworkRequest) -> None:
        super().__init__(request)
        self.writer = NetworkWriter(request)

    @cached_property
    def _core(self) -> tuple[LinearModel, Components | None] | None:
        """The model and its components, read at first use; None: no model was given."""
        bundle = self.request.bundle
        return None if bundle is None else (bundle.model(), bundle.components())

    def describe(
        self, measured: MeasuredSeries
    ) -> tuple[Float64 | None, tuple[float, ...]]:
        """Return the transitions of a run's process, and scores; None and () without a model."""
        if self._core is None:
            return None, ()
        model, components = self._core
        covariances = LagCovariances.of(measured.series.values, measured.series.keep)
        transitions = model.infer(covariances).transitions
        if components is None:
            return transitions, ()
        scores = components.scores(edges_of(covariances))
        return transitions, tuple(scores.tolist())

    def read_run(
        self, run: RestRun, progress: Callable[[float], None]
    ) -> Iterator[Any]:
        """Yield the participant's structural connectome, then what `ParcelWork` yields."""
        yield self.request.structural_of(run)
        yield from super().read_run(run, progress)

    def make(self, average: Average) -> tuple[Iterable[str], str]:
        """Process a run, write its results and, last, the record that it is complete.

        Raises
        ------
        OutputError
            A file cannot be written.
        """
        start = time.perf_counter()
        # An average is of one run, as each run has its own results.
        structural, (measured, seconds) = average.parts()
        planned = average.planned
        if structural is not None:
            beside_series = notes_beside_series(structural.weights, measured.fc)
            structural = replace(structural, notes=(*structural.notes, *beside_series))
        average.reporter.stage("modelling", 0.0)
        transitions, scores = self.describe(measured)
        average.reporter.stage("writing", 1.0)
        notes = [*structural.notes] if structural else []
        if on_person := self.request.note_on_person(measured):
            notes.append(on_person)
        files = self.writer.write(
            planned,
            measured,
            structural,
            transitions,
            scores,
            notes=notes,
            seconds=seconds + time.perf_counter() - start,
        )
        complete_average(self.request, planned, average.inputs, files)
        return self.writer.run_notes(measured, notes), self._line(measured)

    def _line(self, measured: MeasuredSeries) -> str:
        """Summarise the result in one line."""
        series = measured.series
        process = "" if self.request.bundle is None else " and their process"
        return (
            f"series of {counted(int(series.present.sum()), 'parcel')}{process} from "
            f"{measured.design.seconds_kept / 60:.1f} minutes of rest, coverage "
            f"{float(series.coverage.mean()):.1%}"
        )


LEVEL = Level(NetworkRequest.prepare, NetworkWork)
