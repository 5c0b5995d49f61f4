"""Work whose first half runs ahead: the next unit is read while the last one is worked on.

The reading half is a process that is forked before heavy libraries are imported: it starts at
once, shares what was prepared, and its crash (a killed process, a fault in a C library) is an
event and not the end of the program. One event waits in the pipe, so that no more than one run is
held ahead.
"""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from bids_dtg.engine.channel import receive_value, send_value
from bids_dtg.engine.child import can_fork, describe_end, end_children, process_context, start_child
from bids_dtg.engine.messages import Happened, Message, MessageReporter
from bids_dtg.engine.work import Send, Take, do_unit
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

    def before_fork(self) -> None:
        """Wait until this process may be forked once more: a reader has died."""
        return

    def __call__(self, label: str, reporter: Reporter) -> Result:
        """Do both halves of a unit, the first in a thread."""
        with closing(run_ahead(partial(self.read, label), forked=False)) as events:
            return self.finish(label, events, reporter)


def do_ahead(work: AheadWork[Event, Result], take: Take, send: Send[Message[Result]]) -> None:
    """Do units of work until there is none to take; the next one is taken while one is done."""
    reporter = MessageReporter(send)
    while True:
        with closing(run_ahead(partial(_read_units, work, take), forked=work.forks)) as events:
            reader = _Reader[Event](events)
            for label in reader.labels():
                finish = partial(work.finish, label, reader.events(), reporter)
                do_unit(label, finish, send)
        if reader.died is None:
            return
        send(Happened("reader died", reader.died))
        work.before_fork()


@dataclass(frozen=True)
class _UnitBegins:
    """The events that follow are about a unit."""

    label: str


@dataclass(frozen=True)
class _UnitEnds:
    """All events about the unit have been sent."""


@dataclass(frozen=True)
class _Over:
    """No more events follow."""


def _read_units(
    work: AheadWork[Event, Result], take: Take, send: Send[Event | _UnitBegins | _UnitEnds]
) -> None:
    while (label := take()) is not None:
        send(_UnitBegins(label))
        work.read(label, send)
        send(_UnitEnds())


class _Reader(Generic[Event]):
    """The second half's view of the first: its units, and the events of each."""

    def __init__(self, events: Iterator[Event | _UnitBegins | _UnitEnds]) -> None:
        self._events = events
        self.died: str | None = None  # how, once it has

    def labels(self) -> Iterator[str]:
        """Yield the units that begin; events that were not asked for are skipped."""
        with suppress(ReaderDiedError):
            while not isinstance(event := self._next(), _Over):
                if isinstance(event, _UnitBegins):
                    yield event.label

    def events(self) -> Iterator[Event]:
        """Yield the events of the unit that has begun last."""
        while not isinstance(event := self._next(), _UnitBegins | _UnitEnds | _Over):
            yield event

    def _next(self) -> Event | _UnitBegins | _UnitEnds | _Over:
        # Not by `yield from`: an iterator of one unit that is left would close them all.
        try:
            return next(self._events, _Over())
        except ReaderDiedError as err:
            self.died = str(err)
            raise


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
