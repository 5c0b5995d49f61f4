"""The work on one participant of contrasts: runs to connectomes, and connectomes to maps."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bids_dtg.contrasts.participant.measure import Reader
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.contrasts.participant.outputs.write import Writer
from bids_dtg.contrasts.participant.predict import MapAverageMaker
from bids_dtg.contrasts.participant.read import read_run
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.call import Level
from bids_dtg.participants.read import AverageBegun, Send
from bids_dtg.participants.worker import LevelWork
from bids_dtg.progress import Clock


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps of the work on a participant, made once: forked processes share their arrays."""

    request: Request  # the request of the call
    reader: Reader  # reduces runs to connectomes
    model: Model  # predicts maps
    writer: Writer  # writes them

    @classmethod
    def of(cls, request: Request) -> Steps:
        """Make the steps of a request."""
        return cls(request, request.reader(), request.model(), Writer(request))

    @property
    def forks(self) -> bool:
        """Whether processes may be forked: a GPU's driver does not allow it."""
        return self.request.device == "cpu"

    def work(self) -> ParticipantWork:
        """Return the work, in the process that does it."""
        return ParticipantWork(self)


class ParticipantWork(LevelWork):
    """Makes a participant's maps: reads runs ahead, predicts and writes.

    Parameters
    ----------
    steps
        Of the work; this process takes its share of the cores for them.
    """

    def __init__(self, steps: Steps) -> None:
        super().__init__(steps.request)
        self._steps, self.forks = steps, steps.forks

    def read_run(self, run: RestRun, clock: Clock, send: Send) -> None:
        # Other threads inflate and compute.
        with one_blas_thread():
            read_run(run, self._steps.request, self._steps.reader, clock=clock, send=send)

    def maker(self, begun: AverageBegun, clock: Clock) -> MapAverageMaker:
        steps, planned = self._steps, begun.planned
        found, _ = steps.request.granted(planned)  # the reader has said what was not found
        granted, unmet = found.granted(planned, read=True)
        if unmet:
            inputs = granted.fingerprints(planned).keys() & begun.inputs.keys()
            begun = replace(begun, inputs={name: begun.inputs[name] for name in inputs})
        return MapAverageMaker(
            begun,
            model=steps.model,
            writer=steps.writer if granted is steps.request else Writer(granted),
            clock=clock,
            unmet=unmet,
        )

    def begin(self) -> None:
        self._steps.model.begin()

    def before_fork(self) -> None:
        # Forking while a thread imports or computes is unsafe.
        self._steps.model.wait()


LEVEL = Level(Request.prepare, Steps.of)
