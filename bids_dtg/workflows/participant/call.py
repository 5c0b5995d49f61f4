"""All participants of one call: each on its own; complete sets are skipped, failures reported."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from bids_dtg.connectome.device import NumpyArrays
from bids_dtg.engine.backlog import Backlog
from bids_dtg.engine.display import Board, Clock, make_board
from bids_dtg.errors import OutputError
from bids_dtg.files.derivatives import prepare_output_folder
from bids_dtg.files.provenance import Failure, RunFolder, running_container
from bids_dtg.notices import counted, say
from bids_dtg.settings import Settings
from bids_dtg.settings.toml import to_toml
from bids_dtg.version import __version__
from bids_dtg.workflows.participant.cluster import Cluster
from bids_dtg.workflows.participant.dry_run import print_plan
from bids_dtg.workflows.participant.pool import Pool
from bids_dtg.workflows.participant.reports import Reports, write_methods
from bids_dtg.workflows.participant.request import Request
from bids_dtg.workflows.participant.worker import Finished, Message, Shown, Steps

# Seconds before a participant is tried again whose failure may pass.
_RETRY_SECONDS = (2.0, 10.0)


@dataclass
class _Tally:
    """What happened so far."""

    finished: int = 0  # participants
    done: int = 0  # sets made
    skipped: int = 0  # sets that were complete before
    failures: list[Failure] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Participants with a failure."""
        return len({failure.participant for failure in self.failures})


def run_participants(settings: Settings) -> int:
    """Make the maps of every participant asked for.

    Returns
    -------
    The number of participants that failed; the others are complete.

    Raises
    ------
    DtgError
        Nothing was started: wrong options, dataset or model.
    """
    clock, tally = Clock(), _Tally()
    with clock.time("start"):
        request = Request.prepare(settings)
    if settings.behaviour.dry_run:
        return print_plan(request)
    # Before anything is written: there may be none.
    cluster = (
        Cluster(settings, settings.resources.scheduler) if settings.resources.scheduler else None
    )
    folder = _open_output(request)
    try:
        with (
            make_board(len(request.participants), verbose=settings.behaviour.verbose) as board,
            Reports(
                request.output, wanted=not settings.behaviour.no_reports, note=board.note
            ) as reports,
        ):
            if request.bundle.card.notice:
                board.note(f"{request.bundle.card.name}: {request.bundle.card.notice}")
            _Call(request, cluster, clock, board, reports, tally).process()
    except BaseException:
        say(_left(tally, len(request.participants)))
        raise
    finally:
        _write_log(folder, clock, tally)
    say(_summary(tally, len(request.participants), folder))
    return tally.failed


def _summary(tally: _Tally, participants: int, folder: RunFolder) -> str:
    text = (
        f"{counted(participants, 'participant')}: {counted(tally.done, 'set')} of maps made, "
        f"{tally.skipped} complete before, {counted(tally.failed, 'participant')} failed"
    )
    left = participants - tally.finished
    text += f", {left} not begun" if left else ""
    return text + (f" ({folder.path / 'failures.tsv'})" if tally.failures else "")


def _left(tally: _Tally, participants: int) -> str:
    return (
        f"{tally.finished} of {counted(participants, 'participant')} finished; the same command "
        "does what is left"
    )


def _open_output(request: Request) -> RunFolder:
    container = running_container()
    prepare_output_folder(request.output.root)
    request.output.remove_stale_temporaries()
    request.output.describe(
        request.dataset,
        request.workflow.dataset_words(request.bundle.card),
        version=__version__,
        container=container,
    )
    write_methods(request)
    folder = RunFolder.create(request.output)
    folder.write_configuration(to_toml(request.settings))
    folder.write_versions(__version__, container)
    return folder


def _write_log(folder: RunFolder, clock: Clock, tally: _Tally) -> None:
    try:
        folder.write_timing(clock.seconds)
        folder.write_failures(tally.failures)
    except OutputError as err:
        # What became of the participants has been printed, and decides the exit code.
        say(f"bids_dtg: warning: the log is incomplete: {err}")


class _Call:
    """Hands participants to processes, and takes what they say."""

    def __init__(
        self,
        request: Request,
        cluster: Cluster | None,
        clock: Clock,
        board: Board,
        reports: Reports,
        tally: _Tally,
    ) -> None:
        self._request, self._clock, self._board, self._tally = request, clock, board, tally
        self._reports = reports
        self._backlog = Backlog(request.participants)
        self._cluster = cluster
        self._tries: dict[str, int] = {}

    def process(self) -> None:
        """Process all participants, or stop after the first that fails if that was asked for."""
        with closing(self._messages()) as messages:
            for lane, message in messages:
                match message:
                    case Shown(method, arguments):
                        getattr(self._board.lane(lane), method)(*arguments)
                    case Finished():
                        self._take(message)

    def _messages(self) -> Generator[tuple[int, Message], None, None]:
        if self._cluster is not None:
            return self._cluster.run(self._backlog)
        with self._clock.time("start"):
            steps = Steps.of(self._request)
        on_cpu = isinstance(steps.reader.arrays, NumpyArrays)
        # A process that was forked shares what was prepared; a GPU's driver does not allow it.
        prepare = (lambda: steps) if on_cpu else partial(Steps.prepare, self._request.settings)
        pool = Pool(
            prepare,
            self._request.capacity.processes,
            forked=on_cpu,
            before_start=self._board.before_fork,
        )
        return pool.run(self._backlog)

    def _take(self, finished: Finished) -> None:
        tries = self._tries.get(finished.participant, 0)
        self._clock.add(finished.seconds)
        self._tally.done += finished.done
        if finished.failures and finished.passing and tries < len(_RETRY_SECONDS):
            self._tries[finished.participant] = tries + 1
            self._backlog.retry(finished.participant, _RETRY_SECONDS[tries])
            self._board.note(
                f"sub-{finished.participant}: this may pass; tried again in "
                f"{_RETRY_SECONDS[tries]:.0f} s"
            )
            return
        self._tally.finished += 1
        self._tally.skipped += finished.skipped
        self._tally.failures += finished.failures
        self._board.advance(failed=bool(finished.failures))
        self._reports.request(finished.participant, finished.failures, changed=bool(finished.done))
        if finished.failures and self._request.settings.resources.stop_on_first_crash:
            self._backlog.close()
