"""The work on one participant: its runs to series, and what a workflow makes of these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.parcels.measure import SeriesReader
from bids_dtg.participants.parcels.read import send_series
from bids_dtg.participants.parcels.request import ParcelRequest
from bids_dtg.participants.read import AverageBegun, Send
from bids_dtg.participants.worker import AverageMaker, LevelWork
from bids_dtg.progress import Clock


@dataclass(frozen=True, eq=False)
class ParcelSteps(ABC):
    """The steps of the work on a participant, made once: forked processes share their arrays."""

    request: ParcelRequest[Any]  # what the call asks for
    reader: SeriesReader  # reduces runs to series

    forks: ClassVar[bool] = True  # nothing runs on a GPU

    @abstractmethod
    def maker(self, begun: AverageBegun, clock: Clock) -> AverageMaker:
        """Return the maker of an average's results.

        Parameters
        ----------
        begun
            The runs that are averaged.
        clock
            Adds up the time of the stages.
        """

    def reader_of(self, run: RestRun) -> SeriesReader:
        """Return what reduces a run to series."""
        return self.reader

    def work(self) -> ParcelWork:
        """Return the work, in the process that does it."""
        return ParcelWork(self)


class ParcelWork(LevelWork):
    """Makes a participant's results: reads runs as series ahead, has averages made of these.

    Parameters
    ----------
    steps
        Of the work; this process takes its share of the cores for them.
    """

    def __init__(self, steps: ParcelSteps) -> None:
        super().__init__(steps.request)
        self._steps = steps

    def read_run(self, run: RestRun, clock: Clock, send: Send) -> None:
        """Read a run as series and send these on."""
        steps = self._steps
        send_series(run, steps.reader_of(run), steps.request.require_usable, clock=clock, send=send)

    def maker(self, begun: AverageBegun, clock: Clock) -> AverageMaker:
        """Return the maker of the results of an average whose runs are read."""
        return self._steps.maker(begun, clock)
