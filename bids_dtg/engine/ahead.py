"""Work whose first half runs ahead: the next unit is read while the current one is processed.

The reader is a process that is forked before heavy libraries are imported. It starts at once and
shares what was prepared. If it crashes (killed, or a fault in a C library), only the unit that it
was reading is lost. The pipe holds one event, so at most one run is kept in memory ahead of time.
"""

from __future__ import annotations

import pickle
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

import numpy as np

from bids_dtg.engine.child import (
    can_fork,
    describe_end,
    end_children,
    process_context,
    start_child,
)
from bids_dtg.engine.work import Message, MessageReporter, Send, Take, do_unit
from bids_dtg.progress import Reporter, last_read, read_ahead, waiting_for_reader

Event = TypeVar("Event")
Result = TypeVar("Result")

_LOOK_SECONDS = 0.01  # between two looks of a thread whether the other one has ended


class ReaderDiedError(Exception):
    """The reading process ended without finishing its work."""


class AheadWork(ABC, Generic[Event, Result]):
    """Work in two halves: the first reads, and passes what it reads to the second as events."""

    forks = True  # whether the reader may be a forked process; otherwise it is a thread

    @abstractmethod
    def read(self, label: str, send: Send[Event]) -> None:
        """Read everything that a unit needs, and send it piece by piece."""

    @abstractmethod
    def finish(self, label: str, events: Iterator[Event], reporter: Reporter) -> Result:
        """Compute the result from what was read.

        The iterator raises `ReaderDiedError` if the reading process dies, after it has yielded
        everything that the process had sent.
        """

    def __call__(self, label: str, reporter: Reporter) -> Result:
        """Do both halves of a unit; the first runs in a thread."""
        with closing(run_ahead(partial(self.read, label), forked=False)) as events:
            return self.finish(label, events, reporter)


def do_ahead(
    work: AheadWork[Event, Result], take: Take, send: Send[Message[Result]]
) -> None:
    """Do units of work until none is left; the next one is read while the current one is done.

    If the reading process dies, the unit that it was reading is still handed to the second half;
    no further unit is started.

    Raises
    ------
    ReaderDiedError
        The reading process died between two units.
    """
    reporter = MessageReporter(send)
    read_units = partial(_read_units, work, take)
    with closing(run_ahead(read_units, forked=work.forks)) as pieces:
        for label in pieces:
            events = _unit_events(pieces)
            do_unit(label, partial(work.finish, label, events, reporter), send)
            for _ in events:  # discard what the unit left unread
                pass


def _read_units(work: AheadWork[Event, Result], take: Take, send: Send[Any]) -> None:
    """Send the label of each unit, its events, and None."""
    while (label := take()) is not None:
        send(label)
        work.read(label, send)
        send(None)


def _unit_events(pieces: Iterator[Any]) -> Iterator[Any]:
    """Yield the events up to the None that ends the unit."""
    while (piece := next(pieces, None)) is not None:
        yield piece


def run_ahead(
    work: Callable[[Send[Event]], None], *, forked: bool = True
) -> Generator[Event, None, None]:
    """Run ``work(send)`` in a process or thread, and yield what it sends, in order.

    Parameters
    ----------
    work
        Function that does the work and sends events.
    forked
        Whether to use a forked process where forking is safe; otherwise a thread is used.

    Raises
    ------
    ReaderDiedError
        The process was killed or crashed; everything that it had sent has been yielded.
    """
    return _in_process(work) if forked and can_fork() else _in_thread(work)


def _in_process(work: Callable[[Send[Event]], None]) -> Generator[Event, None, None]:
    context = process_context(forked=True)
    receiver, sender = context.Pipe(duplex=False)

    def read() -> None:
        read_ahead()
        with suppress(BrokenPipeError):  # the receiving process has ended
            work(partial(send_value, sender))

    process = start_child(
        context, read, name="reader", far_ends=[sender], near_ends=[receiver]
    )
    try:
        while True:
            try:
                with waiting_for_reader():
                    event = receive_value(receiver)
            except (EOFError, OSError):
                break  # it has ended; OSError if in the middle of an event
            yield event
        receiver.close()
        process.join()
        if process.exitcode != 0:
            raise ReaderDiedError(describe_end(process.exitcode, last_read()))
    finally:
        receiver.close()
        end_children([process], at_once=True)


def _in_thread(work: Callable[[Send[Event]], None]) -> Generator[Event, None, None]:
    events: queue.Queue[Event] = queue.Queue(maxsize=1)
    closed = threading.Event()

    def send(event: Event) -> None:
        while not closed.is_set():
            with suppress(queue.Full):
                events.put(event, timeout=_LOOK_SECONDS)
                return
        raise BrokenPipeError

    with ThreadPoolExecutor(1, "reader") as thread:
        reading = thread.submit(work, send)
        try:
            while not (reading.done() and events.empty()):
                with suppress(queue.Empty):
                    yield events.get(timeout=_LOOK_SECONDS)
            reading.result()
        finally:
            closed.set()


def send_value(sender: Connection, value: object) -> None:
    """Send a value that can be pickled; return once all of it is in the pipe or received.

    The memory of arrays is sent directly, without first being copied into a pickle.

    Raises
    ------
    BrokenPipeError
        The receiving process has ended.

    Examples
    --------
    >>> import threading
    >>> from multiprocessing import Pipe
    >>> receiver, sender = Pipe(duplex=False)
    >>> thread = threading.Thread(target=send_value, args=(sender, np.arange(1e6)))
    >>> thread.start()
    >>> float(receive_value(receiver)[-1])
    999999.0
    >>> thread.join()
    """
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    sender.send([buffer.raw().nbytes for buffer in buffers])
    sender.send_bytes(content)
    for buffer in buffers:
        sender.send_bytes(buffer.raw())


def receive_value(receiver: Connection) -> Any:
    """Wait for the next value that `send_value` sends, and return it.

    Raises
    ------
    EOFError, OSError
        The sender has ended: between two values (EOFError) or in the middle of one (OSError).
    """
    sizes = receiver.recv()
    content = receiver.recv_bytes()
    # Empty arrays, as zeros would take time.
    buffers = [np.empty(size, np.uint8) for size in sizes]
    for buffer in buffers:
        receiver.recv_bytes_into(buffer.data)
    return pickle.loads(content, buffers=buffers)  # noqa: S301  (sent by our own process)
