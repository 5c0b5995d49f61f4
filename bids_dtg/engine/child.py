"""Child processes: how they start, which signals they handle, how they end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import NoReturn

from bids_dtg.engine.machine import end_with_parent, wait_asleep
from bids_dtg.errors import ProcessLimitError, limit_error
from bids_dtg.notices import say

_END_SECONDS = 10.0  # how long a process may take to end
# Between two requests to end. They are repeated because Python drops what a signal handler raises
# while an object is being deleted.
_ASK_SECONDS = 1.0
# Exit code of a child that could not start a process or thread (EX_OSERR).
NO_PROCESS = 71
# Signals whose handlers raise.
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def can_fork() -> bool:
    """Return whether processes may be forked on this system."""
    # Forking is unsafe on macOS, whose system libraries start threads, and absent on Windows.
    return sys.platform == "linux"


def process_context(*, forked: bool) -> BaseContext:
    """Return the context that starts processes: fork if wanted and possible, otherwise spawn."""
    return multiprocessing.get_context("fork" if forked and can_fork() else "spawn")


def start_child(
    context: BaseContext,
    work: Callable[[], None],
    *,
    name: str,
    far_ends: Sequence[Connection],
    near_ends: Sequence[Connection],
) -> BaseProcess:
    """Start a process.

    Parameters
    ----------
    context
        Multiprocessing context that starts the process.
    work
        Function that the process runs; pickled if the process is spawned.
    name
        Name of the process in process lists and Python's errors.
    far_ends
        The child's ends of pipes. They are closed here, so that a pipe breaks when the child has
        ended.
    near_ends
        This process's ends of pipes. A forked child closes its copies, so that a pipe breaks when
        this process has ended.

    Raises
    ------
    LimitError
        The system starts no further process.
    """
    forked = context.get_start_method() == "fork"
    inherited = tuple(near_ends) if forked else ()
    process: BaseProcess = context.Process(  # type: ignore[attr-defined]
        target=be_child, args=(work, inherited), name=name
    )
    try:
        with _signals_wait() if forked else nullcontext():
            process.start()
    except OSError as err:
        if limit := limit_error(err):
            raise limit from err
        raise
    for end in far_ends:
        end.close()
    return process


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Block signals until a forked process has its own handlers for them.

    Until then it has the handlers of this process. An exception from one of those would leave the
    child's code, and the child would continue as a second copy of this process.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def be_child(work: Callable[[], None], inherited: Sequence[Connection]) -> NoReturn:
    """Run the work of a child process, then end the process.

    The process also ends when its parent ends, and on SIGTERM.

    Parameters
    ----------
    work
        Function that the process runs.
    inherited
        Ends of pipes that the process inherited by being forked.
    """
    code: object = 1
    try:
        end_with_parent()
        wait_asleep()
        for end in inherited:
            end.close()
        # A terminal sends these to all processes; the main process handles them.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _end)
        if can_fork():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        work()
        code = 0
    except SystemExit as err:
        code = err.code
    except Exception as err:
        limit = limit_error(err)
        if limit is None:
            traceback.print_exc()
        elif isinstance(limit, ProcessLimitError):
            code = NO_PROCESS  # the parent has the same limit, and says so
        else:
            say(str(limit))
    finally:
        with suppress(OSError):
            sys.stderr.flush()
        # Leave without the interpreter, which would wait for threads: one may never end.
        os._exit(code if isinstance(code, int) else 1)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    # An exception, so that half-written files are removed.
    raise SystemExit(128 + number)


def end_children(processes: Sequence[BaseProcess], *, at_once: bool = False) -> None:
    """End processes; unless `at_once`, they get time to remove half-written files."""
    working = [] if at_once else list(processes)
    deadline = time.monotonic() + _END_SECONDS
    while working and time.monotonic() < deadline:
        for process in working:
            process.terminate()
        next_request = time.monotonic() + _ASK_SECONDS
        for process in working:
            process.join(max(0.0, next_request - time.monotonic()))
        working = [process for process in working if process.is_alive()]
    for process in processes:
        process.kill()
        process.join()


def describe_end(exit_code: int | None, last_step: str = "") -> str:
    """Describe how a process ended, from its exit code; -n is signal n.

    Examples
    --------
    >>> describe_end(3), describe_end(-11, "opening a.mat")
    ('it ended with exit code 3', 'it was ended by SIGSEGV after opening a.mat')
    """
    after = f" after {last_step}" if last_step else ""
    if exit_code is None or exit_code >= 0:
        return f"it ended with exit code {exit_code}{after}"
    name = signal.Signals(-exit_code).name
    guess = " (out of memory?)" if name == "SIGKILL" else ""
    return f"it was ended by {name}{guess}{after}"
