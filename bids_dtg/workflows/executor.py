"""All participants of one call: each on its own, what is complete skipped, failures told."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass, field

from bids_dtg import __version__
from bids_dtg.bids.atomic import remove_stale_temporaries, write_text
from bids_dtg.bids.names import participant_folder
from bids_dtg.bids.output_folder import prepare_output_folder
from bids_dtg.bids.provenance import (
    Failure,
    RunFolder,
    recorded_outputs,
    running_container,
    write_completion,
)
from bids_dtg.errors import DtgError, OutputError
from bids_dtg.report.methods import methods_text
from bids_dtg.report.readme import readme_text
from bids_dtg.settings import Settings
from bids_dtg.workflows.dry_run import print_plan
from bids_dtg.workflows.job import Job
from bids_dtg.workflows.participant import make_map_set
from bids_dtg.workflows.plan import MapSet
from bids_dtg.workflows.progress import Clock, Reporter, make_reporter


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
            for participant in job.participants:
                _run_participant(participant, job, clock, reporter, tally)
                if settings.stop_on_first_crash and tally.failures:
                    break
    finally:
        _write_log(folder, clock, tally)
    print(
        f"{len(job.participants)} participants: {tally.done} sets of maps made, {tally.skipped} "
        f"complete before, {tally.failed} participants failed"
        + (f" ({folder.path / 'failures.tsv'})" if tally.failures else ""),
        file=sys.stderr,
    )
    return tally.failed


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
    folder.write_configuration(job.settings.to_toml())
    folder.write_versions(__version__, container)
    return folder


def _write_log(folder: RunFolder, clock: Clock, tally: _Tally) -> None:
    try:
        folder.write_timing(clock.seconds)
        folder.write_failures(tally.failures)
    except OutputError as err:
        # What became of the participants has been printed, and decides the exit code.
        print(f"bids_dtg: warning: the log is incomplete: {err}", file=sys.stderr)


def _run_participant(
    participant: str, job: Job, clock: Clock, reporter: Reporter, tally: _Tally
) -> None:
    """Make the sets of one participant; whatever goes wrong stays with that set."""
    reporter.start(f"sub-{participant}")
    try:
        remove_stale_temporaries(job.output.root / participant_folder(participant))
        with clock.time("query"):
            planned = job.map_sets(participant)
    except Exception as err:
        reporter.finish(_note_failure(participant, "finding runs", err, job, tally))
        return
    for one in planned:
        try:
            reporter.finish(f"{one.title}: {_make_if_needed(one, job, clock, reporter, tally)}")
        except Exception as err:
            reporter.finish(_note_failure(participant, one.title, err, job, tally))


def _make_if_needed(
    planned: MapSet, job: Job, clock: Clock, reporter: Reporter, tally: _Tally
) -> str:
    with clock.time("query"):
        inputs = job.fingerprints(planned)
        reason = job.why_incomplete(planned, inputs)
    if reason is None:
        tally.skipped += 1
        return "complete, skipped"
    if job.settings.verbose:
        reporter.note(f"{planned.title}: {reason}")
    before = recorded_outputs(job.output, planned.title)
    made = make_map_set(planned, job, clock, reporter)
    for note in made.notes:
        reporter.note(note)
    with clock.time("write"):
        # What other options had written, as a spread over segments, must not lie beside new maps.
        for left in set(before) - set(made.files):
            job.output.path(left).unlink(missing_ok=True)
        job.output.update_participants()
        # Last: whoever is killed before this line does all of the above again.
        write_completion(
            job.output,
            planned.title,
            options=job.recorded_options,
            inputs=inputs,
            outputs=[job.output.path(path) for path in made.files],
        )
    tally.done += 1
    return made.summary


def _note_failure(participant: str, stage: str, err: Exception, job: Job, tally: _Tally) -> str:
    if job.settings.debug:
        traceback.print_exc()
    if isinstance(err, OSError):
        err = OutputError(f"{err.filename or 'a file'}: {err.strerror or err}")
    message = str(err)
    if not isinstance(err, DtgError):
        message = " ".join(
            f"internal error: {type(err).__name__}: {err}. This is a fault of the program: please "
            "report it with the output of the same command and --debug.".split()
        )
    tally.failures.append(Failure(participant, stage, message))
    return f"failed: {message}"
