"""Units of work on other machines, as tasks of a dask scheduler (extra ``cluster``).

A dask worker does each unit as one task, in a process of its own that it keeps: a damaged file that
ends it, or that keeps it busy for ever, costs one unit, as in `pool`. Workers open files by path,
so the files must have the same paths on all machines. If a worker dies, another one gets its task.
"""

from __future__ import annotations

import atexit
import functools
import logging
import multiprocessing
import threading
from collections.abc import Callable, Generator, Hashable, Iterator
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bids_dtg.engine.pool import Pool
from bids_dtg.engine.work import Backlog, End, Happened, Message, Work
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.extras import require
from bids_dtg.notices import without_secrets

if TYPE_CHECKING:
    from distributed import Client

Argument = TypeVar("Argument", bound=Hashable)
Result = TypeVar("Result")

_CONNECT_SECONDS = 15.0  # how long to look for the scheduler
_LOOK_SECONDS = 1.0  # longest wait before units are tried again
_LANE = 0  # one line of progress for all tasks: dask's dashboard shows the workers

# Two units at once in a dask worker would share its cores.
_one_at_a_time = threading.Lock()


class Cluster(Generic[Argument, Result]):
    """Does work as tasks of a dask scheduler.

    Parameters
    ----------
    address
        Address of the scheduler, such as tcp://node01:8786.
    prepare
        Makes the work from `argument`; called once in each process. It must be a module-level
        function, or equal its unpickled copy.
    argument
        Value that is pickled with each task.

    Raises
    ------
    SettingsError
        dask is not installed, or there is no scheduler.
    """

    def __init__(
        self,
        address: str,
        prepare: Callable[[Argument], Work[Result]],
        argument: Argument,
    ) -> None:
        self._task = partial(_do, prepare, argument)
        self._client = _connect(address)

    def run(
        self, backlog: Backlog
    ) -> Generator[tuple[int, Message[Result]], None, None]:
        """Work until no label is left; yield what happens.

        If the generator is closed early, tasks that have not begun are cancelled; those that have
        begun are completed, but not waited for.
        """
        from distributed import as_completed

        running: dict[Any, str] = {}  # task -> label
        try:
            completed = as_completed(loop=self._client.loop)
            if not self._client.nthreads():
                note = "the scheduler has no workers yet; waiting for some"
                yield _LANE, Happened("note", note)
            while backlog or running:
                while (label := backlog.take()) is not None:
                    task = self._client.submit(self._task, label, pure=False)
                    running[task] = label
                    completed.add(task)
                if not running:
                    wait = min(_LOOK_SECONDS, backlog.seconds_to_next or 0.0)
                    threading.Event().wait(wait)
                    continue
                task = next(completed)
                for message in _messages_of(task, running.pop(task)):
                    yield _LANE, message
        finally:
            self._client.cancel(list(running))
            self._client.close()


def _connect(address: str) -> Client:
    require("--scheduler", "distributed", extra="cluster")
    from distributed import Client

    # dask logs errors, such as a lost scheduler, with tracebacks; here they are reported briefly.
    for name in ("distributed", "distributed.client", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as err:
        cause = without_secrets(str(err))
        raise SettingsError(
            f"--scheduler {without_secrets(address)}: no dask scheduler answers there ({cause})",
            expected="an address such as tcp://node01:8786, as dask-scheduler prints it",
        ) from err


def _messages_of(task: Any, label: str) -> list[Message[Any]]:
    """Return the messages of a finished task; a task that failed as a whole has only its error.

    Raises
    ------
    RunError
        The connection to the scheduler is lost.
    """
    if task.status == "error":
        return [Happened("began", label), End(label, error=task.exception())]
    try:
        messages: list[Message[Any]] = task.result()
    except (OSError, CancelledError) as gone:
        raise RunError(
            "the connection to the dask scheduler was lost",
            expected="a scheduler that runs until all participants are done",
            remedy="start it again and repeat the command, which does what is left",
        ) from gone
    return messages


def _do(
    prepare: Callable[[Argument], Work[Result]], argument: Argument, label: str
) -> list[Message[Result]]:
    """Do a unit of work as a dask task, and return its messages except for stages."""
    with _one_at_a_time:
        messages = _process(prepare, argument).do(label)
        return [
            message
            for message in messages
            if not (isinstance(message, Happened) and message.kind == "stage")
        ]


class _Process(Generic[Argument, Result]):
    """A process that a dask worker keeps, as to prepare takes longer than many units."""

    def __init__(
        self, prepare: Callable[[Argument], Work[Result]], argument: Argument
    ) -> None:
        # It is started afresh, as dask's processes have threads.
        prepare_later = partial(_unprepared, prepare, argument)
        self._pool: Pool[Result] = Pool(prepare_later, 1, forked=False)
        self._wait_for_labels()
        # Before multiprocessing's own function, which would wait for the process.
        atexit.register(self._pool.end)

    def _wait_for_labels(self) -> None:
        self._backlog = Backlog((), grows=True)
        self._messages = self._pool.run(self._backlog)

    def do(self, label: str) -> Iterator[Message[Result]]:
        """Do a unit of work; yield its messages.

        Raises
        ------
        RunError
            One process after another dies before it does anything.
        """
        # dask may run its workers as daemons, which Python does not let start processes.
        multiprocessing.current_process().daemon = False
        self._backlog.add(label)
        try:
            for _, message in self._messages:
                yield message
                if isinstance(message, End):
                    return
        except RunError:
            self._wait_for_labels()
            raise


def _unprepared(
    prepare: Callable[[Argument], Work[Result]], argument: Argument
) -> Work[Result]:
    """Return work that is prepared with its first unit, which fails if the preparation does."""
    prepared = functools.lru_cache(maxsize=1)(partial(prepare, argument))
    return lambda label, reporter: prepared()(label, reporter)


_process = functools.lru_cache(maxsize=1)(_Process)
