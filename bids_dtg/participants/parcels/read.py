"""The first half of the work on a run: it is reduced to series, which are sent on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.parcels.measure import MeasuredSeries, SeriesReader
from bids_dtg.participants.read import RunPart, RunProgress, Send
from bids_dtg.progress import Clock


@dataclass(frozen=True, eq=False)
class SeriesRead(RunPart):
    """A run has been reduced to series."""

    stage: ClassVar[str] = "modelling"

    measured: MeasuredSeries
    seconds: float  # time it took


def send_series(
    run: RestRun,
    reader: SeriesReader,
    check: Callable[[MeasuredSeries], None],
    *,
    clock: Clock,
    send: Send,
) -> None:
    """Reduce a run to series, and send them.

    Parameters
    ----------
    run
        The run, from `find_runs`.
    reader
        Reader that reduces runs to series.
    check
        Refuses series that cannot be used, by a `RunError`.
    clock
        Adds up the time of the stages.
    send
        Function called with each event.

    Raises
    ------
    TooShortError, RunError
        As `SeriesReader.measure`, and as `check`.
    """
    start = time.perf_counter()
    measured = reader.measure(
        run, clock=clock, progress=lambda share: send(RunProgress(run.title, share))
    )
    check(measured)
    send(SeriesRead(measured, time.perf_counter() - start))
