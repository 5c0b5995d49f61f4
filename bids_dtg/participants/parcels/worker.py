"""The work on one participant: its runs are read as series, which a workflow makes averages of."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, ClassVar

from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.parcels.measure import MeasuredSeries, SeriesReader
from bids_dtg.participants.parcels.request import ParcelRequest
from bids_dtg.participants.worker import LevelWork, RunPart, RunProgress, Send
from bids_dtg.progress import Clock


@dataclass(frozen=True, eq=False)
class SeriesRead(RunPart):
    """A run has been reduced to series."""

    stage: ClassVar[str] = "modelling"

    measured: MeasuredSeries
    seconds: float  # time it took


class ParcelWork(LevelWork):
    """Reads runs as series; a workflow adds what makes averages of these.

    Parameters
    ----------
    request
        What the call asks for.
    """

    def __init__(self, request: ParcelRequest[Any]) -> None:
        super().__init__(request)
        self._require_usable = request.require_usable
        self.reader = request.reader()

    def reader_of(self, run: RestRun) -> SeriesReader:
        """Return what reduces a run to series."""
        return self.reader

    def read_run(self, run: RestRun, clock: Clock, send: Send) -> None:
        """Reduce a run to series, refuse those that cannot be used, and send the others."""
        start = time.perf_counter()
        measured = self.reader_of(run).measure(
            run, clock=clock, progress=lambda share: send(RunProgress(share))
        )
        self._require_usable(measured)
        send(SeriesRead(measured, time.perf_counter() - start))
