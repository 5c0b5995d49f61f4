"""Process all participants independently: skip complete averages, report failures, print plans.

Every workflow uses it through a `Level`, which finds what the user asks for and makes the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bids_dtg.bundles.store import whole_name
from bids_dtg.engine.child import can_fork
from bids_dtg.engine.cluster import Cluster
from bids_dtg.engine.pool import Pool
from bids_dtg.engine.work import Backlog, End, follow
from bids_dtg.errors import (
    DatasetError,
    DtgError,
    OutputError,
    RunError,
    limit_error,
    without_person,
)
from bids_dtg.files.derivatives import prepare_output_folder
from bids_dtg.files.locks import Locks
from bids_dtg.files.provenance import Failure, new_log, write_call, write_outcome
from bids_dtg.imaging.bold import head_start
from bids_dtg.inputs.dataset import say_absent, split_named_path
from bids_dtg.notices import counted, named, open_log, say
from bids_dtg.participants.plan import (
    fetch_ahead,
    note_on_other_combine,
    note_on_other_model,
    print_plan,
)
from bids_dtg.participants.reports import Reports, write_methods
from bids_dtg.participants.request import CallRequest
from bids_dtg.participants.worker import LevelWork, Outcome
from bids_dtg.progress import Board, Lane
from bids_dtg.report.participant import INDEX
from bids_dtg.settings import Settings, to_toml

# Seconds before retrying a participant that another run of the program is working on.
_ELSEWHERE_SECONDS = 5.0


@dataclass(frozen=True)
class Level:
    """The participant level of a workflow; calling it makes the work.

    Levels with the same functions are equal, even after one was sent to another process, so that
    a process can recognise work that it has made before.
    """

    # Finds and checks what is asked for, a `CallRequest`.
    prepare: Callable[[Settings], Any]
    work: Callable[[Any], LevelWork]  # makes the work from that
    # Returns the file that is read first, which may be read before; None: it is not known.
    first_file: Callable[[Settings], Path | None] | None = None

    def __call__(self, call: tuple[Settings, str]) -> LevelWork:
        """Make the work in a process that shares nothing with this one.

        Parameters
        ----------
        call
            The options, with the model that was chosen, and the request's `why_model`.
        """
        settings, why_model = call
        request = replace(self.prepare(settings), why_model=why_model)
        return self.work(request).in_process()

    def run(self, settings: Settings) -> int:
        """Make the results of all requested participants.

        Parameters
        ----------
        settings
            All options of the run.

        Returns
        -------
        The number of participants that failed or are absent, and of pages that could not be made;
        all else is complete.

        Raises
        ------
        DtgError
            Options, dataset or model are wrong; nothing was started.
        """
        first_file = None if self.first_file is None else self.first_file(settings)
        with head_start(first_file) as end_head_start:
            return self._run(settings, end_head_start)

    def _prepared(self, settings: Settings) -> CallRequest:
        """Find and check what is asked for; a limit of the host ends the call with exit code 2."""
        try:
            request: CallRequest = self.prepare(settings)
        except Exception as err:
            if limit := limit_error(err):
                raise limit from err
            raise
        return request

    # Long, as it tells a call from its beginning to its end.
    def _run(self, settings: Settings, end_head_start: Callable[[], None]) -> int:
        start = time.perf_counter()
        request = self._prepared(settings)
        if settings.behaviour.dry_run:
            return print_plan(request, self.prepare)
        say_absent(request.absent)
        # Before anything is written, as the network or the scheduler may be unreachable.
        fetch_ahead(request, self.prepare)
        cluster = None
        if settings.resources.scheduler:
            worker_settings = _with_model(request, with_whole_paths(settings))
            worker_settings = worker_settings.replace(scheduler=None)
            call = worker_settings, request.why_model
            cluster = Cluster(settings.resources.scheduler, self, call)
        notes = [*note_on_other_model(request), *request.notes()]
        log = _open_output(request)
        outcomes: list[Outcome] = []
        failures: list[Failure] = []
        hide = request.path_names.hide
        number = len(request.participants)
        positions = {label: row for row, label in enumerate(request.participants)}
        people = counted(number, "participant")
        try:
            with (
                Board(number, stages=settings.behaviour.verbose > 0) as board,
                request.output.locks() as locks,
                Reports(
                    request.output,
                    wanted=not settings.behaviour.no_reports,
                    note=board.note,
                ) as reports,
            ):
                for note in notes:
                    board.note(note)
                executor = cluster or self._pool(request, board)
                backlog = Backlog(request.participants, hold_up=_waiting(locks, board))
                messages = follow(
                    executor.run(backlog), board, lambda label: f"sub-{label}"
                )
                with closing(messages) as ends:
                    for lane, end in ends:
                        outcome = _outcome(end, lane)
                        locks.release(f"sub-{end.label}")
                        if end.label == request.participants[0]:
                            end_head_start()
                        # Unlike the terminal, tables and pages show no full paths: others see them.
                        shown = [
                            replace(failure, message=hide(failure.message))
                            for failure in outcome.failures
                        ]
                        failures += shown
                        outcomes.append(outcome)
                        board.advance(failed=bool(shown))
                        reports.request(end.label, shown, changed=bool(outcome.done))
        except BaseException as err:
            say(f"{len(outcomes)} of {people} finished; run it again to do the others")
            if limit := limit_error(err):
                # Some work is done: exit code 1.
                raise (limit.as_kind(RunError) if outcomes else limit) from err
            raise
        finally:
            # Participants end in any order.
            failures.sort(key=lambda failure: positions[failure.participant])
            write_outcome(log, failures, time.perf_counter() - start)
        titles = sorted(outcome.other_combine for outcome in outcomes)
        say(*note_on_other_combine(request, titles))
        write_methods(request)  # the averages may have changed
        request.remove_unused()
        _list_participants(request)
        written = counted(sum(outcome.done for outcome in outcomes), "set")
        skipped = sum(outcome.skipped for outcome in outcomes)
        failed = sum(bool(outcome.failures) for outcome in outcomes)
        pages = ""
        if reports.missing:
            pages = f"; {reports.missing} (--reports-only tries again)"
        if reports.has_index and not settings.behaviour.no_reports:
            pages += f"; all pages: {request.output.root / INDEX}"
        say(
            f"{people}: {written} of {request.presentation.noun} written, "
            f"{skipped} already complete, "
            f"{counted(failed, 'participant')} failed"
            + (f" ({log / 'failures.tsv'})" if failures else "")
            + pages
        )
        absent = request.absent is not None
        return failed + reports.failed + (not reports.has_index) + absent

    def _pool(self, request: CallRequest, board: Board) -> Pool[Outcome]:
        work = self.work(request)
        # A forked process shares what was prepared here.
        forked = work.forks and can_fork()
        prepare = work.in_process
        if not forked:
            call = _with_model(request, request.settings), request.why_model
            prepare = partial(self, call)
        return Pool(
            prepare, request.processes, forked=forked, before_start=board.before_fork
        )


def with_whole_paths(settings: Settings) -> Settings:
    """Return settings with absolute paths, for a process in any working folder."""

    def whole(name: str, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(whole(name, element) for element in value)
        if isinstance(value, Path):
            return value.absolute()
        if name == "derivatives":
            package, path = split_named_path(value)
            path = str(Path(path).absolute())
            return f"{package}={path}" if package else path
        if name == "model":
            return value and whole_name(value)
        if name not in ("atlases", "task_file", "input_arrays"):
            return value
        # A file may have the name of an atlas or a task, which has neither a slash nor a dot.
        looks_like_path = "/" in value or Path(value).suffix
        is_path = name == "input_arrays" or looks_like_path
        if is_path and Path(value).is_file():
            return str(Path(value).absolute())
        return value

    options = {name: whole(name, value) for name, value in settings.options.items()}
    return settings.replace(**options)


def _with_model(request: CallRequest, settings: Settings) -> Settings:
    """Return settings with the folder of the model that was found, for another process."""
    bundle = request.bundle
    if bundle is None:
        return settings
    return settings.replace(model=str(bundle.path.absolute()))


def _open_output(request: CallRequest) -> Path:
    prepare_output_folder(request.output.root)
    request.output.remove_stale_temporaries()
    request.output.describe(request.dataset, request.dataset_words())
    write_methods(request)
    log = new_log(request.output)
    open_log(log / "log.txt")
    # With absolute paths, the file can be used from any folder.
    toml = to_toml(with_whole_paths(request.settings))
    model = None if request.bundle is None else request.bundle.record
    write_call(log, toml, model=model, why_model=request.why_model)
    return log


def _list_participants(request: CallRequest) -> None:
    """Compare participants.tsv with the folders, only once, as listing 100,000 takes long."""
    table = request.output.root / "participants.tsv"
    folders = request.output.root.glob("sub-*/")
    if not table.exists() and next(folders, None) is None:
        return  # nobody has results
    try:
        gone = request.output.update_participants()
    except (OutputError, DatasetError) as err:
        # The outcome of the participants decides the exit code, and is printed next.
        say(
            f"bids_dtg: warning: participants.tsv was not compared with the folders: {err}"
        )
        return
    if gone:
        say(
            f"participants.tsv: removed the rows of {named(gone)}, who have no folder here"
        )


def _waiting(locks: Locks, board: Board) -> Callable[[str], float]:
    """Return a function that says how long to wait for a participant that another run may hold."""
    elsewhere = set[str]()  # participants that another run was seen to work on

    def seconds_to_wait(participant: str) -> float:
        try:
            owner = locks.take(f"sub-{participant}")
        except OutputError:
            return 0.0  # the work will report the error
        if owner is not None and participant not in elsewhere:
            elsewhere.add(participant)
            board.note(
                f"sub-{participant}: left for later, as {owner} is working on it"
            )
        return 0.0 if owner is None else _ELSEWHERE_SECONDS

    return seconds_to_wait


def _outcome(end: End[Outcome], lane: Lane) -> Outcome:
    """Return a participant's outcome; print a failure that its process could not print."""
    if end.result is not None:
        return end.result
    label = end.label
    if isinstance(end.error, DtgError):
        message = without_person(str(end.error), label)
    elif end.error is not None:
        kind = type(end.error).__name__
        error = " ".join(str(end.error).split())
        message = f"the task of sub-{label} failed: {kind}: {error}"
    else:
        message = f"the process that worked on sub-{label} died: {end.died}"
    lane.finish(f"failed: {message}")
    return Outcome(failures=(Failure(label, "working", message),))
