"""Work whose first half runs ahead: the next unit is read while the last one is worked on.

The reading half is a process that is forked before heavy libraries are imported: it starts at
once, shares what was prepared, and its crash (a killed process, a fault in a C library) costs the
unit that it was reading, and is not the end of the program. One event waits in the pipe, so that
no more than one run is held ahead.
"""

from __future__ import annotations

import pickle
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

import numpy as np

from bids_dtg.engine.child import can_fork, describe_end, end_children, process_context, start_child
from bids_dtg.engine.work import Message, MessageReporter, Send, Take, do_unit
from bids_dtg.progress import Reporter

Event = TypeVar("Event")
Result = TypeVar("Result")


class ReaderDiedError(Exception):
    """The process ended without finishing its work."""


class AheadWork(ABC, Generic[Event, Result]):
    """Work in two halves: what the first one reads reaches the second one as events."""

    forks = True  # whether the process that works may fork another one that reads; else a thread

    @abstractmethod
    def read(self, label: str, send: Send[Event]) -> None:
        """Read all that a unit needs, and send it piece by piece."""

    @abstractmethod
    def finish(self, label: str, events: Iterator[Event], reporter: Reporter) -> Result:
        """Make the result of what was read.

        The iterator raises `ReaderDiedError` where the reading process dies; what it has sent
        before has come.
        """

    def __call__(self, label: str, reporter: Reporter) -> Result:
        """Do both halves of a unit, the first in a thread."""
        with closing(run_ahead(partial(self.read, label), forked=False)) as events:
            return self.finish(label, events, reporter)


def do_ahead(work: AheadWork[Event, Result], take: Take, send: Send[Message[Result]]) -> None:
    """Do units of work until there is none to take; the next one is taken while one is done.

    Where the process that reads dies, what it has read is worked on; no other one is begun.

    Raises
    ------
    ReaderDiedError
        It died between two units.
    """
    reporter = MessageReporter(send)
    with closing(run_ahead(partial(_read_units, work, take), forked=work.forks)) as pieces:
        for label in pieces:
            events = _of_unit(pieces)
            do_unit(label, partial(work.finish, label, events, reporter), send)
            for _ in events:  # what was not asked for
                pass


def _read_units(work: AheadWork[Event, Result], take: Take, send: Send[Any]) -> None:
    """Send the label of each unit, its events, and None."""
    while (label := take()) is not None:
        send(label)
        work.read(label, send)
        send(None)


def _of_unit(pieces: Iterator[Any]) -> Iterator[Any]:
    """Yield the events up to the None that ends the unit."""
    while (piece := next(pieces, None)) is not None:
        yield piece


def run_ahead(
    work: Callable[[Send[Event]], None], *, forked: bool = True
) -> Generator[Event, None, None]:
    """Run ``work(send)`` elsewhere and yield what it sends, in order.

    Parameters
    ----------
    work
        Function that does the work and sends events.
    forked
        Whether it is a process, where that is safe; otherwise it is a thread.

    Raises
    ------
    ReaderDiedError
        The process was killed or crashed; what it sent before has been yielded.
    """
    return _in_process(work) if forked and can_fork() else _in_thread(work)


def _in_process(work: Callable[[Send[Event]], None]) -> Generator[Event, None, None]:
    context = process_context(forked=True)
    receiver, sender = context.Pipe(duplex=False)
    process = start_child(
        context,
        partial(_send_all, work, partial(send_value, sender)),
        name="reader",
        far_ends=[sender],
        near_ends=[receiver],
    )
    try:
        while True:
            try:
                event = receive_value(receiver)
            except (EOFError, OSError):  # it has ended; OSError: in the middle of an event
                break
            yield event
        receiver.close()
        process.join()
        if process.exitcode != 0:
            raise ReaderDiedError(describe_end(process.exitcode))
    finally:
        receiver.close()
        end_children([process], at_once=True)


def _send_all(work: Callable[[Send[Event]], None], send: Send[Event]) -> None:
    with suppress(BrokenPipeError):  # no process listens any more
        work(send)


def _in_thread(work: Callable[[Send[Event]], None]) -> Generator[Event, None, None]:
    events: queue.Queue[tuple[Event] | BaseException | None] = queue.Queue(maxsize=1)
    stopped = threading.Event()

    def send(event: Event) -> None:
        if stopped.is_set():
            raise BrokenPipeError
        events.put((event,))

    def serve() -> None:
        try:
            work(send)
            events.put(None)
        except BaseException as err:
            events.put(err)

    thread = threading.Thread(target=serve, name="reader", daemon=True)
    thread.start()
    try:
        while (event := events.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event[0]
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait with an event in hand
            try:
                events.get(timeout=0.1)
            except queue.Empty:
                continue


def send_value(sender: Connection, value: object) -> None:
    """Send a value that can be pickled; return when all of it is in the pipe, or has been taken.

    The memory of arrays goes as it is, and is not copied into a pickle first.

    Raises
    ------
    BrokenPipeError
        Nobody listens any more.

    Examples
    --------
    >>> import threading
    >>> from multiprocessing import Pipe
    >>> receiver, sender = Pipe(duplex=False)
    >>> thread = threading.Thread(target=send_value, args=(sender, np.arange(1e6)))
    >>> thread.start()
    >>> receive_value(receiver)[-1]
    np.float64(999999.0)
    >>> thread.join()
    """
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    sender.send([buffer.raw().nbytes for buffer in buffers])
    sender.send_bytes(content)
    for buffer in buffers:
        sender.send_bytes(buffer.raw())


def receive_value(receiver: Connection) -> Any:
    """Return the next value that `send_value` sends; wait for it.

    Raises
    ------
    EOFError, OSError
        The other side has ended; OSError: in the middle of the value.
    """
    sizes, content = receiver.recv(), receiver.recv_bytes()
    buffers = [np.empty(size, np.uint8) for size in sizes]  # not filled with zeros first
    for buffer in buffers:
        receiver.recv_bytes_into(buffer.data)
    return pickle.loads(content, buffers=buffers)  # noqa: S301  (a process of our own sent it)
