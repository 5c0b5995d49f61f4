"""All participants of one call: each on its own, what is complete skipped, failures told."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from bids_dtg import __version__
from bids_dtg.bids.atomic import remove_stale_temporaries, write_text
from bids_dtg.bids.output_folder import prepare_output_folder
from bids_dtg.bids.provenance import NOT_DONE, Failure, RunFolder, running_container
from bids_dtg.configuration import to_toml
from bids_dtg.connectome.arrays import NumpyArrays
from bids_dtg.errors import OutputError
from bids_dtg.report.methods import methods_text
from bids_dtg.report.readme import readme_text
from bids_dtg.settings import Settings
from bids_dtg.workflows.ahead import ReaderDiedError, run_ahead
from bids_dtg.workflows.dry_run import print_plan
from bids_dtg.workflows.job import Job
from bids_dtg.workflows.participant import MapSetMaker
from bids_dtg.workflows.progress import Clock, Reporter, make_reporter, say
from bids_dtg.workflows.reading import (
    Event,
    Failed,
    ParticipantBegun,
    ParticipantRead,
    RunLeftOut,
    RunProgress,
    RunRead,
    SegmentRead,
    SetBegun,
    SetRead,
    SetSkipped,
    read_participants,
)


@dataclass
class _Tally:
    """What happened so far."""

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
        job = Job.prepare(settings)
    if settings.dry_run:
        return print_plan(job)
    folder = _open_output(job)
    try:
        with make_reporter(len(job.participants), verbose=settings.verbose) as reporter:
            if job.bundle.card.notice:
                reporter.note(f"{job.bundle.card.name}: {job.bundle.card.notice}")
            _Call(job, clock, reporter, tally).process()
    finally:
        _write_log(folder, clock, tally)
    say(_summary(tally, len(job.participants), folder))
    return tally.failed


def _summary(tally: _Tally, participants: int, folder: RunFolder) -> str:
    def counted(number: int, noun: str) -> str:
        return f"{number} {noun}{'s' * (number != 1)}"

    text = (
        f"{counted(participants, 'participant')}: {counted(tally.done, 'set')} of maps made, "
        f"{tally.skipped} complete before, {counted(tally.failed, 'participant')} failed"
    )
    return text + (f" ({folder.path / 'failures.tsv'})" if tally.failures else "")


def _open_output(job: Job) -> RunFolder:
    container = running_container()
    prepare_output_folder(job.output.root)
    job.output.remove_stale_temporaries()
    job.output.describe(
        job.dataset,
        version=__version__,
        readme=readme_text(job.bundle.card),
        container=container,
    )
    write_text(job.output.path("logs/CITATION.md"), methods_text(job.methods_facts()))
    folder = RunFolder.create(job.output)
    folder.write_configuration(to_toml(job.settings))
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
    """Takes what the reading half sends, participant by participant."""

    def __init__(self, job: Job, clock: Clock, reporter: Reporter, tally: _Tally) -> None:
        self._job, self._clock, self._reporter, self._tally = job, clock, reporter, tally
        self._participant = ""
        self._maker: MapSetMaker | None = None  # of the open set; None once it has failed

    def process(self) -> None:
        """Process all participants, or stop after the first that fails if that was asked for."""
        left = list(self._job.participants)
        on_gpu = not isinstance(self._job.arrays, NumpyArrays)
        while left:
            work = partial(read_participants, tuple(left), self._job)
            try:
                for event in run_ahead(work, on_gpu=on_gpu):
                    self._take(event)
                    if isinstance(event, ParticipantRead):
                        left.remove(self._participant)
                        if self._is_to_stop():
                            return
            except ReaderDiedError as err:
                if not left:  # it had said all there was to say
                    return
                died = left.pop(0)
                if died != self._participant:  # before it said so much as whom it reads
                    self._take(ParticipantBegun(died))
                message = f"the process that read sub-{died} died: {err}"
                self._fail(Failed("reading", message, ""))
                if self._is_to_stop():
                    return
                # The next reader is forked: not while torch is being imported.
                self._job.model.wait()

    def _is_to_stop(self) -> bool:
        return self._job.settings.stop_on_first_crash and bool(self._tally.failures)

    def _take(self, event: Event) -> None:
        try:
            self._handle(event)
        except Exception as err:
            stage = self._maker.begun.planned.title if self._maker else "starting"
            self._fail(Failed.by(err, stage))

    def _handle(self, event: Event) -> None:  # one case an event
        match event:
            case ParticipantBegun(participant):
                self._participant, self._maker = participant, None
                self._reporter.start(f"sub-{participant}")
                self._job.model.begin()  # the reader has been forked; it will need this long
                # A folder's name, not yet a label: what is wrong with it is told once, by the plan.
                remove_stale_temporaries(self._job.output.root / f"sub-{participant}")
            case SetSkipped(planned):
                self._tally.skipped += 1
                self._reporter.finish(f"{planned.title}: complete, skipped")
            case SetBegun(planned, _, reason):
                self._maker = MapSetMaker(event, self._job, self._clock)
                if reason != NOT_DONE or self._job.settings.verbose:
                    self._reporter.note(f"{planned.title}: {reason}")
            case RunProgress(_, share):
                self._reporter.stage("reading", share)
            case SegmentRead(connectome) if self._maker:
                self._maker.add_segment(connectome)
            case RunRead() if self._maker:
                self._maker.add_run(event, self._reporter)
            case RunLeftOut(run, reason) if self._maker:
                self._maker.leave_out(run, reason)
            case SetRead() if self._maker:
                self._finish(self._maker)
            case Failed():
                self._fail(event)
            case ParticipantRead(seconds):
                self._clock.add(seconds)

    def _finish(self, maker: MapSetMaker) -> None:
        made = maker.finish(self._reporter)
        for note in made.notes:
            self._reporter.note(note)
        self._tally.done += 1
        self._reporter.finish(f"{maker.begun.planned.title}: {made.summary}")

    def _fail(self, failed: Failed) -> None:
        self._maker = None
        self._tally.failures.append(Failure(self._participant, failed.stage, failed.message))
        if self._job.settings.debug:
            self._reporter.note(failed.trace)
        self._reporter.finish(f"failed: {failed.message}")
