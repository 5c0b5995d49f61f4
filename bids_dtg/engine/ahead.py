"""Work that runs ahead in a process of its own, and tells what it does by events.

The process is forked before torch is imported: it starts at once, shares the
model's maps, and its crash (a killed reader, a fault in a C library) is an
event and not the end of the program. One event waits in the pipe, so that no
more than one run is held ahead.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from types import FrameType
from typing import NoReturn, TypeVar

from bids_dtg.engine.machine import end_of, end_with_parent

T = TypeVar("T")
Work = Callable[[Callable[[T], None]], None]


class ReaderDiedError(Exception):
    """The process ended without finishing its work."""


def run_ahead(work: Work[T], *, forked: bool = True) -> Iterator[T]:
    """Run ``work(send)`` elsewhere and yield what it sends, in order.

    Parameters
    ----------
    work
        Sends events.
    forked
        Whether it is a process, where that is safe; otherwise it is a thread.

    Raises
    ------
    ReaderDiedError
        The process was killed or crashed; what it sent before has been yielded.
    """
    # Forking is not safe on macOS (its system libraries start threads) and absent on Windows.
    return _in_process(work) if forked and sys.platform == "linux" else _in_thread(work)


def _in_process(work: Work[T]) -> Iterator[T]:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_serve, args=(work, sender, receiver), name="reader", daemon=True
    )
    process.start()
    sender.close()
    try:
        while True:
            try:
                event = receiver.recv()
            except (EOFError, OSError):  # it has ended; OSError: in the middle of an event
                break
            yield event
        receiver.close()
        process.join()
        if process.exitcode != 0:
            raise ReaderDiedError(describe_end(process.exitcode))
    finally:
        receiver.close()
        if process.is_alive():
            process.kill()
        process.join()


def _serve(work: Work[T], sender: Connection, receiver: Connection) -> None:
    end_with_parent()
    receiver.close()  # so that the pipe breaks when the parent is gone
    # Ctrl-C reaches both processes; the parent decides and ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        work(sender.send)
    except BrokenPipeError:
        pass
    finally:
        sender.close()


def describe_end(exit_code: int | None) -> str:
    """Say how a process ended, from its exit code; -n is signal n."""
    end = end_of(exit_code)
    return f"it was {end}" if exit_code is not None and exit_code < 0 else f"it ended with {end}"


def _in_thread(work: Work[T]) -> Iterator[T]:
    events: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(maxsize=1)
    stopped = threading.Event()

    def send(event: T) -> None:
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


def be_child(work: Callable[[], None], inherited: Sequence[Connection]) -> NoReturn:
    """Work, and end this process; it ends with its parent, and by SIGTERM, whatever it does.

    Parameters
    ----------
    work
        What the process is for.
    inherited
        Ends of pipes that it has because it was forked: closed, so that pipes break when the
        process at their other end is gone.
    """
    code: object = 1
    try:
        end_with_parent()
        for end in inherited:
            end.close()
        # Ctrl-C reaches all processes of a terminal; the first one decides.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _end)
        work()
        code = 0
    except SystemExit as end_:
        code = end_.code
    except Exception:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stderr.flush()
        # The interpreter would wait for threads; one that a signal interrupted may never end.
        os._exit(code if isinstance(code, int) else 1)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)  # half-written files are removed on the way
