"""Processes of this machine that do units of work in parallel.

Each process takes its next label when it can begin to read for it. The pool records which labels
a process has taken, so that a sudden death costs only the unit that the process was working on.
A process that is stuck, i.e. without a step of `bids_dtg.progress` for long, is ended likewise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar, cast

from bids_dtg.engine.ahead import AheadWork, ReaderDiedError, do_ahead
from bids_dtg.engine.child import (
    NO_PROCESS,
    can_fork,
    describe_end,
    end_children,
    process_context,
    start_child,
)
from bids_dtg.engine.work import (
    Backlog,
    End,
    Happened,
    Message,
    Prepare,
    Work,
    do_units,
)
from bids_dtg.errors import RunError, no_process
from bids_dtg.notices import duration
from bids_dtg.progress import Steps, count_steps

Result = TypeVar("Result")

# After so many deaths in a row with nothing done, the data are not to blame, and the pool gives up.
_MOST_DEATHS = 3
_STUCK_SECONDS = 600.0  # a process without a step for so long is stuck
_LOOK_SECONDS = 5.0  # between two looks whether a process is stuck


@dataclass(eq=False)
class _Member:
    """A process of the pool, as the pool sees it."""

    lane: int  # its line on the screen
    process: BaseProcess
    messages: Connection  # receives its messages
    requests: Connection  # receives its requests for labels, and sends the answers
    steps: Steps  # of the unit that it is working on
    taken: list[str] = field(default_factory=list)  # labels not finished yet, in order
    begun: str | None = None  # the label that it is working on
    asks: bool = False  # whether it waits for a label
    seen_steps: int = 0  # at the last look
    looked_at: float = field(default_factory=time.monotonic)
    quiet_seconds: float = 0.0  # without a step before the last look

    @property
    def ends(self) -> tuple[Connection, Connection]:
        """The ends of its pipes in the main process."""
        return self.messages, self.requests

    def is_stuck(self) -> bool:
        """Look whether it has been without a step for too long."""
        now = time.monotonic()
        step_count = self.steps.count
        # A longer time between two looks means that this process was suspended, like the others.
        seconds = min(now - self.looked_at, 2 * _LOOK_SECONDS)
        if step_count == self.seen_steps:
            self.quiet_seconds += seconds
        else:
            self.quiet_seconds = 0.0
        self.seen_steps = step_count
        self.looked_at = now
        return self.quiet_seconds > _STUCK_SECONDS


class Pool(Generic[Result]):
    """Does work in separate processes.

    Parameters
    ----------
    prepare
        Makes the work; called in each process. `AheadWork` is read ahead.
    processes
        How many run at the same time.
    forked
        Whether they may be forked from this process, which is quick, shares what was prepared and
        does not pickle `prepare`; otherwise they are spawned.
    before_start
        Called before a process is started; it should stop all other threads of this process.
    """

    def __init__(
        self,
        prepare: Prepare[Result],
        processes: int,
        *,
        forked: bool,
        before_start: Callable[[], None] = lambda: None,
    ) -> None:
        self._context = process_context(forked=forked)
        self._prepare = prepare
        self._processes = processes
        self._before_start = before_start
        self._members: list[_Member] = []
        self._deaths = 0  # in a row with nothing done

    def run(
        self, backlog: Backlog
    ) -> Generator[tuple[int, Message[Result]], None, None]:
        """Work until no label is left; yield each message with the lane that it belongs to.

        Closing the generator ends all processes.

        Raises
        ------
        RunError
            One process after another ends without doing anything.
        LimitError
            The system starts no further process or thread.
        """
        try:
            while backlog or self._members:
                self._start_processes(backlog)
                if not self._members:
                    time.sleep(backlog.seconds_to_next or 0.0)
                    continue
                yield from self._serve(backlog)
        finally:
            self.end()

    def end(self) -> None:
        """End all processes."""
        end_children([member.process for member in self._members])
        for member in self._members:
            for end in member.ends:
                end.close()
        self._members.clear()

    def _start_processes(self, backlog: Backlog) -> None:
        if backlog.seconds_to_next != 0:
            return
        used_lanes = {member.lane for member in self._members}
        free_lanes = sorted(set(range(self._processes)) - used_lanes)
        # A process that has no label yet will take one.
        idle = sum(not member.taken for member in self._members)
        waiting = max(0, len(backlog) - idle)
        for lane in free_lanes[:waiting]:
            self._before_start()
            messages, far_messages = self._context.Pipe(duplex=False)
            requests, far_requests = self._context.Pipe()
            steps = Steps(self._context)
            near_ends = [messages, requests]
            for member in self._members:
                near_ends += member.ends
            process = start_child(
                self._context,
                partial(_serve, self._prepare, far_messages, far_requests, steps),
                name=f"worker {lane + 1}",
                far_ends=[far_messages, far_requests],
                near_ends=near_ends,
            )
            self._members.append(_Member(lane, process, messages, requests, steps))

    def _serve(self, backlog: Backlog) -> Iterator[tuple[int, Message[Result]]]:
        """Wait for messages, requests or deaths, and handle them."""
        for member in self._members:
            self._answer(member, backlog)  # where labels were added since
        ends: list[Connection | int] = []
        for member in self._members:
            ends += [*member.ends, member.process.sentinel]
        wait = min(backlog.seconds_to_next or _LOOK_SECONDS, _LOOK_SECONDS)
        ready = set(connection.wait(ends, wait))
        for member in list(self._members):
            # Messages are passed on in the order they were sent, before a request is answered.
            yield from self._listen(member, backlog)
            if member.process.sentinel in ready:
                yield from self._bury(member, backlog)
            elif member.requests in ready:
                with suppress(EOFError, OSError):
                    member.requests.recv()
                    member.asks = True
                self._answer(member, backlog)
            elif member.is_stuck():
                error = _took_too_long(member.steps.last())
                end_children([member.process])
                yield from self._listen(member, backlog)
                yield from self._bury(member, backlog, error)

    def _listen(
        self, member: _Member, backlog: Backlog
    ) -> Iterator[tuple[int, Message[Result]]]:
        with suppress(EOFError, OSError):
            while member.messages.poll():
                message: Message[Result] = member.messages.recv()
                match message:
                    case Happened("began", label):
                        member.begun = label
                    case End(label):
                        member.taken.remove(label)
                        member.begun = None
                        self._deaths = 0
                yield member.lane, message

    def _answer(self, member: _Member, backlog: Backlog) -> None:
        if not member.asks:
            return
        label = backlog.take()
        if label is None and backlog.grows:
            return
        member.asks = False
        if label is not None:
            member.taken.append(label)
        with suppress(EOFError, OSError):
            member.requests.send(label)

    def _bury(
        self, member: _Member, backlog: Backlog, error: RunError | None = None
    ) -> Iterator[tuple[int, Message[Result]]]:
        """Remove a process that has ended; report the unit that it was working on, if any.

        `error` says why a stuck process was ended here.
        """
        member.process.join()
        self._members.remove(member)
        for end in member.ends:
            end.close()
        for label in reversed(member.taken):
            if label != member.begun:
                backlog.put_back(label)
        code = member.process.exitcode
        if member.begun is not None:
            self._deaths = 0
            died = "" if error else describe_end(code, member.steps.last())
            yield member.lane, End(member.begun, error=error, died=died)
        elif code == NO_PROCESS:
            raise no_process()
        elif code:
            self._deaths += 1
            if self._deaths == _MOST_DEATHS:
                raise RunError(
                    f"{_MOST_DEATHS} processes in a row died before they did anything: "
                    f"{describe_end(code)}",
                    remedy="give the run more memory, or fewer participants at a time (--nprocs)",
                )


def in_own_process(do: Callable[[], Result]) -> Result:
    """Call a function in a process of its own, which a damaged file may end.

    Parameters
    ----------
    do
        The function; pickled where processes cannot be forked.

    Returns
    -------
    Its result, which is pickled.

    Raises
    ------
    RunError
        The process died, or was without a step for too long.
    Exception
        What the function raises.
    """
    pool = Pool(partial(_only, do), 1, forked=can_fork())
    with closing(pool.run(Backlog([""]))) as messages:
        end = next(message for _, message in messages if isinstance(message, End))
    if end.error is not None:
        raise end.error
    if end.died:
        raise RunError(f"the process that read it died: {end.died}")
    return cast("Result", end.result)


def _only(do: Callable[[], Result]) -> Work[Result]:
    return lambda _label, _reporter: do()


def _took_too_long(last_step: str) -> RunError:
    last = f"the last one was {last_step}" if last_step else "it had none"
    return RunError(
        f"it took too long: no step for {duration(_STUCK_SECONDS)}; {last}",
        remedy="check whether its files are damaged, and whether their disk answers",
    )


def _serve(
    prepare: Prepare[Result], messages: Connection, requests: Connection, steps: Steps
) -> None:
    """Run as a process of the pool."""
    count_steps(steps)

    def take() -> str | None:
        try:
            requests.send(None)
            label: str | None = requests.recv()
        except (EOFError, OSError):  # the pool has ended, perhaps while it answered
            return None
        return label

    work = prepare()
    with suppress(BrokenPipeError):  # the receiving process has ended
        if not isinstance(work, AheadWork):
            do_units(work, take, messages.send)
            return
        try:
            do_ahead(work, take, messages.send)
        except ReaderDiedError as err:
            raise SystemExit(1) from err
