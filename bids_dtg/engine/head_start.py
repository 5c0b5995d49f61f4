"""What a process does while this one still imports: it fills memory that later forks share.

It is forked before the first heavy import, so that it starts at once. What it says of its work,
and what it has made, lie in the shared memory; a pipe carries a number for each piece that is
ready, and another one for each piece that was used up. Whoever finds that the work is not what is
needed leaves it, and does the work as if nobody had begun.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from bids_dtg.engine.child import can_fork, end_children, process_context, start_child
from bids_dtg.engine.machine import available_cores

# At the beginning of the memory: whether somebody has taken the work, and what it is, as JSON.
_CLAIMED, _FACTS, _FACTS_BYTES = 0, 1, mmap.PAGESIZE
# Room for what is made; only what is written to takes memory.
ROOM_BYTES = 2**28
# How long the process waits for pieces to be used up, and others for it to say what it does.
_PATIENCE_SECONDS, _FACTS_SECONDS = 60.0, 5.0


class HeadStart:
    """Memory that one process fills and another one reads, in pieces; `ROOM_BYTES` of it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _FACTS_BYTES + ROOM_BYTES)
        self.room = memoryview(self._memory)[_FACTS_BYTES:]
        context = process_context(forked=True)
        pipe: Callable[..., tuple[Connection, Connection]] = context.Pipe
        self._ready, self._far_ready = pipe(duplex=False)
        self._far_used, self._used = pipe(duplex=False)

    @property
    def far_ends(self) -> tuple[Connection, Connection]:
        """Ends of pipes of the process that fills the memory."""
        return self._far_ready, self._far_used

    @property
    def near_ends(self) -> tuple[Connection, Connection]:
        """Ends of pipes of those who read it."""
        return self._ready, self._used

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Say what is in work, before the first piece is ready.

        Raises
        ------
        ValueError
            That is too long.
        """
        text = json.dumps(facts).encode()
        if len(text) > _FACTS_BYTES - _FACTS:
            raise ValueError("too much is said of the work")
        self._memory[_FACTS : _FACTS + len(text)] = text

    def claim(self, suits: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
        """Take the work, once, where it is what is needed; return what was said of it, else None.

        Parameters
        ----------
        suits
            Called with what was said.
        """
        if self._memory[_CLAIMED] or not self._ready.poll(_FACTS_SECONDS):
            return None
        text = bytes(self._memory[_FACTS:_FACTS_BYTES]).rstrip(b"\0")
        facts: dict[str, Any] | None = json.loads(text) if text else None
        if facts is None or not suits(facts):
            return None
        self._memory[_CLAIMED] = 1
        return facts

    def give(self, number: int) -> None:
        """Say that so much is ready."""
        self._far_ready.send(number)

    def wait_for_room(self) -> None:
        """Wait until a piece was used up.

        Raises
        ------
        TimeoutError
            Nobody reads.
        """
        if not self._far_used.poll(_PATIENCE_SECONDS):
            raise TimeoutError
        self._far_used.recv_bytes()

    def receive(self) -> int:
        """Wait until more is ready, and return the number that was given.

        Raises
        ------
        EOFError, OSError
            The process has ended.
        """
        number: int = self._ready.recv()
        return number

    def use_up(self) -> None:
        """Give a piece's room back."""
        with suppress(OSError):  # all was made, and the process has ended
            self._used.send_bytes(b"\0")

    def free(self) -> None:
        """Give the memory back to the system; what is in it is lost to all processes."""
        with suppress(OSError):
            self._memory.madvise(mmap.MADV_REMOVE, _FACTS_BYTES, ROOM_BYTES)


_begun: HeadStart | None = None  # of this process, and of those that were forked from it


def begun() -> HeadStart | None:
    """Return the work that was begun before the imports; None: there is none."""
    return _begun


@contextmanager
def head_start(work: Callable[[HeadStart], None]) -> Iterator[None]:
    """Have work begun in a process of its own, for as long as the context is open.

    Nothing is begun where processes cannot be forked, where there is no memory for one, and where
    this one has a single core: there it would take the time that it saves.

    Parameters
    ----------
    work
        Fills the memory; what it raises is not shown, as the work is then done by others.
    """
    global _begun
    if _begun is not None or not can_fork() or available_cores() < 2:
        yield
        return
    with ExitStack() as until_end:
        with suppress(OSError):
            _begun = start = HeadStart()
            until_end.callback(_forget, start)
            process = start_child(
                process_context(forked=True),
                partial(_quietly, work, start),
                name="head start",
                far_ends=start.far_ends,
                near_ends=start.near_ends,
            )
            until_end.callback(end_children, [process], at_once=True)
        yield


def _forget(start: HeadStart) -> None:
    global _begun
    _begun = None
    start.free()
    for end in (*start.near_ends, *start.far_ends):
        end.close()


def _quietly(work: Callable[[HeadStart], None], start: HeadStart) -> None:
    with suppress(Exception):
        work(start)
