"""Participants on other machines: tasks of a dask scheduler (extra ``cluster``).

A worker of dask takes a participant as a task. What this machine holds is asked for by path, so
input, model and output must lie at the same paths everywhere. A worker that dies gives its task to
another; what was complete is not done again.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_dtg.engine.backlog import Backlog
from bids_dtg.engine.machine import share_cores
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.files.provenance import Failure
from bids_dtg.settings import Settings
from bids_dtg.workflows.participant.worker import Begun, Finished, Message, Shown, Steps, Worker

if TYPE_CHECKING:
    from distributed import Client

# To find the scheduler, and between two looks at participants that are to be tried again.
_CONNECT_SECONDS, _LOOK_SECONDS = 15, 1.0
_LANE = 0  # dask shows who does what; here there is one line of it

# States of tasks whose scheduler was lost: asking for their result raises.
_GONE = ("cancelled", "lost")

# Two participants in one process would share its network and its threads.
_one_at_a_time = threading.Lock()


class Cluster:
    """Runs workers as tasks of a dask scheduler.

    Parameters
    ----------
    settings
        Options of the call.
    address
        Of the scheduler, e.g. tcp://node01:8786.

    Raises
    ------
    SettingsError
        dask is not installed, or there is no scheduler.
    """

    def __init__(self, settings: Settings, address: str) -> None:
        self._settings = _with_whole_paths(settings.replace(scheduler=None))
        self._client = _connect(address)

    def run(self, backlog: Backlog) -> Generator[tuple[int, Message], None, None]:
        """Work until nobody is left or the backlog is closed; yield what happens.

        At the end what has not begun is cancelled; what has is finished, but not waited for.
        """
        from distributed import as_completed

        running: dict[Any, str] = {}  # task -> participant
        try:
            completed = as_completed(loop=self._client.loop)
            if not self._client.nthreads():
                yield _LANE, Shown("note", ("the scheduler has no workers yet: waiting for some",))
            while (backlog or running) and not backlog.closed:
                while (label := backlog.take()) is not None:
                    task = self._client.submit(_process, self._settings, label, pure=False)
                    running[task] = label
                    completed.add(task)
                if not running:
                    threading.Event().wait(min(_LOOK_SECONDS, backlog.seconds_to_next or 0.0))
                    continue
                task = next(completed)
                yield from _told(task, running.pop(task))
        finally:
            self._client.cancel(list(running))
            self._client.close()


def _with_whole_paths(settings: Settings) -> Settings:
    """Return settings that mean the same in any working folder."""
    changes: dict[str, Any] = {
        name: value.absolute()
        for name, value in settings.options.items()
        if isinstance(value, Path)
    }
    if Path(settings.inputs.model).exists():
        changes["model"] = str(Path(settings.inputs.model).absolute())
    parts = [item.rpartition("=") for item in settings.inputs.derivatives]
    changes["derivatives"] = tuple(
        f"{package}{equals}{Path(path).absolute()}" for package, equals, path in parts
    )
    return settings.replace(**changes)


def _connect(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError as err:
        raise SettingsError(
            "--scheduler was given, but dask is not installed",
            remedy="pip install 'bids-dtg[cluster]'",
        ) from err
    # What it logs with tracebacks, as a scheduler that is gone, is told here in one line.
    for name in ("distributed", "distributed.client", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as err:
        raise SettingsError(
            f"--scheduler {address}: no dask scheduler answers there ({err})",
            expected="an address such as tcp://node01:8786, as dask-scheduler prints it",
        ) from err


def _told(task: Any, label: str) -> Iterator[tuple[int, Message]]:
    """Yield what a finished task has to say; a task that failed as a whole is a failure.

    Raises
    ------
    RunError
        The scheduler is gone, and the task with it.
    """
    try:
        err = None if task.status in _GONE else task.exception()
        messages = task.result() if err is None else []
    except (OSError, CancelledError) as gone:
        raise RunError(
            "the dask scheduler is gone",
            expected="one that lives until all is done",
            remedy="start it again and give the same command: it does what is left",
        ) from gone
    if err is None:
        for message in messages:
            yield _LANE, message
        return
    text = f"the task of sub-{label} failed: {type(err).__name__}: {' '.join(str(err).split())}"
    yield _LANE, Shown("start", (f"sub-{label}",))
    yield _LANE, Shown("finish", (f"failed: {text}",))
    yield _LANE, Finished(label, failures=(Failure(label, "working", text),))


def _process(settings: Settings, label: str) -> list[Message]:
    """Be a task: process a participant, and return what happened but for the stages."""
    messages: list[Message] = []

    def send(message: Message) -> None:
        if not (isinstance(message, Shown) and message.method == "stage"):
            messages.append(message)

    with _one_at_a_time:
        labels = iter([label])
        # dask's processes have threads: a fork would not be safe.
        Worker(_steps(settings), send, forks=False).process(lambda: next(labels, None))
    if not any(isinstance(message, Begun) for message in messages):
        raise RuntimeError(f"nothing was said about sub-{label}")
    return messages


@functools.lru_cache(maxsize=1)
def _steps(settings: Settings) -> Steps:
    steps = Steps.prepare(settings)
    share_cores(steps.request.capacity.threads)
    return steps
