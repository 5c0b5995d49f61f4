"""Processes of this machine that work on participants side by side.

Each takes its next participant when it can begin to read it. What it has taken is known here,
so that its end, however sudden, costs the one participant that it worked on.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import NoReturn

from bids_dtg.engine.ahead import be_child, describe_end
from bids_dtg.engine.backlog import Backlog
from bids_dtg.engine.machine import share_cores
from bids_dtg.files.provenance import Failure
from bids_dtg.workflows.participant.worker import (
    Begun,
    Finished,
    Message,
    ReaderDied,
    Shown,
    Steps,
    Worker,
)

# Processes that end one after the other with nothing done: it is not the data's fault.
_MOST_DEATHS = 3
_END_SECONDS = 10.0


@dataclass(eq=False)
class _Member:
    """A process of the pool, as the pool sees it."""

    lane: int  # its place on the screen
    process: BaseProcess
    messages: Connection  # from it
    requests: Connection  # for participants, and the answers
    taken: list[str] = field(default_factory=list)  # not finished yet, in order
    begun: str | None = None  # whom its messages are about


class Pool:
    """Runs workers in processes of their own.

    Parameters
    ----------
    prepare
        Makes the steps of the work; called in each process.
    processes
        How many at the same time.
    forked
        Whether they may be forked from this one, which is quick, shares the model's maps and
        needs no pickling of `prepare`; otherwise they are started afresh.
    before_start
        Called before a process is started: no other thread should run here then.
    """

    def __init__(
        self,
        prepare: Callable[[], Steps],
        processes: int,
        *,
        forked: bool,
        before_start: Callable[[], None] = lambda: None,
    ) -> None:
        forked = forked and sys.platform == "linux"
        self._context: BaseContext = multiprocessing.get_context("fork" if forked else "spawn")
        self._prepare, self._processes, self._before_start = prepare, processes, before_start
        self._members: list[_Member] = []
        self._deaths, self._reason = 0, ""  # in a row, with nothing done; and how the last ended

    def run(self, backlog: Backlog) -> Generator[tuple[int, Message], None, None]:
        """Work until nobody is left; yield what happens, and in which lane.

        Closing the iterator ends all processes.
        """
        try:
            while backlog or self._members:
                if self._deaths >= _MOST_DEATHS:
                    yield from self._give_up(backlog)
                    continue
                self._start_processes(backlog)
                if not self._members:
                    time.sleep(backlog.seconds_to_next or 0.0)
                    continue
                yield from self._serve(backlog)
        finally:
            self._end_all()

    def _start_processes(self, backlog: Backlog) -> None:
        lanes = set(range(self._processes)) - {member.lane for member in self._members}
        due = backlog.seconds_to_next == 0
        # One that has not asked yet will take somebody.
        expected = sum(not member.taken for member in self._members)
        for lane in sorted(lanes):
            if not due or expected >= len(backlog):
                return
            self._before_start()
            self._members.append(self._start(lane))
            expected += 1

    def _start(self, lane: int) -> _Member:
        messages, far_messages = self._context.Pipe(duplex=False)
        requests, far_requests = self._context.Pipe()
        others = [end for m in self._members for end in (m.messages, m.requests)]
        inherited = [messages, requests, *others]
        if self._context.get_start_method() != "fork":
            inherited = []
        process = self._context.Process(  # type: ignore[attr-defined]
            target=_work,
            args=(self._prepare, far_messages, far_requests, inherited),
            name=f"worker {lane + 1}",
        )
        process.start()
        far_messages.close()
        far_requests.close()
        return _Member(lane, process, messages, requests)

    def _serve(self, backlog: Backlog) -> Iterator[tuple[int, Message]]:
        """Wait for something to happen, and deal with it."""
        ends: list[Connection | int] = []
        for member in self._members:
            ends += [member.messages, member.requests, member.process.sentinel]
        ready = set(connection.wait(ends, backlog.seconds_to_next or None))
        for member in list(self._members):
            # Before its request is answered: what was said first is heard first.
            yield from self._listen(member, backlog)
            if member.process.sentinel in ready:
                yield from self._bury(member, backlog)
            elif member.requests in ready:
                self._answer(member, backlog)

    def _listen(self, member: _Member, backlog: Backlog) -> Iterator[tuple[int, Message]]:
        with suppress(EOFError, OSError):
            while member.messages.poll():
                message: Message = member.messages.recv()
                self._note(member, message, backlog)
                yield member.lane, message

    def _note(self, member: _Member, message: Message, backlog: Backlog) -> None:
        match message:
            case Begun(participant):
                member.begun = participant
            case Finished(participant):
                member.taken.remove(participant)
                member.begun, self._deaths = None, 0
            case ReaderDied(reason):
                self._deaths, self._reason = self._deaths + 1, reason
                # Taken by the process that is gone.
                self._put_back(member, backlog)

    def _answer(self, member: _Member, backlog: Backlog) -> None:
        with suppress(EOFError, OSError):
            asked = member.requests.recv()
            label = backlog.take()
            if label is not None:
                member.taken.append(label)
            member.requests.send((asked, label))

    def _put_back(self, member: _Member, backlog: Backlog) -> None:
        for label in reversed(member.taken):
            if label != member.begun:
                backlog.put_back(label)
        member.taken = [label for label in member.taken if label == member.begun]

    def _bury(self, member: _Member, backlog: Backlog) -> Iterator[tuple[int, Message]]:
        """Tell of the participant that a process worked on when it ended, if there was one."""
        member.process.join()
        code = member.process.exitcode
        self._members.remove(member)
        member.messages.close()
        member.requests.close()
        self._put_back(member, backlog)
        if code:
            self._deaths, self._reason = self._deaths + 1, describe_end(code)
        if member.begun is not None:
            self._deaths = 0
            message = f"the process that worked on sub-{member.begun} died: {describe_end(code)}"
            yield from _fail(member.lane, member.begun, message)

    def _give_up(self, backlog: Backlog) -> Iterator[tuple[int, Message]]:
        """Tell that nobody can be worked on."""
        for member in self._members:
            self._put_back(member, backlog)
        self._end_all()
        while backlog:
            label = backlog.take()
            if label is None:
                time.sleep(backlog.seconds_to_next or 0.0)
                continue
            message = f"the process that was to read sub-{label} died: {self._reason}"
            yield 0, Shown("start", (f"sub-{label}",))
            yield from _fail(0, label, message)

    def _end_all(self) -> None:
        for member in self._members:
            member.process.terminate()
        for member in self._members:
            member.process.join(_END_SECONDS)
            member.process.kill()
            member.messages.close()
            member.requests.close()
        self._members.clear()


def _fail(lane: int, participant: str, message: str) -> Iterator[tuple[int, Message]]:
    yield lane, Shown("finish", (f"failed: {message}",))
    yield lane, Finished(participant, failures=(Failure(participant, "working", message),))


def _work(
    prepare: Callable[[], Steps],
    messages: Connection,
    requests: Connection,
    inherited: list[Connection],
) -> NoReturn:
    """Be a process of the pool."""
    be_child(partial(_serve_pool, prepare, messages, requests), inherited)


def _serve_pool(prepare: Callable[[], Steps], messages: Connection, requests: Connection) -> None:
    numbers = count()

    def take() -> str | None:
        # Whoever asked before and died may have left an answer.
        asked = os.getpid(), next(numbers)
        try:
            requests.send(asked)
            answered, label = None, None
            while answered != asked:
                answered, label = requests.recv()
        except (EOFError, OSError):  # the one to ask is gone, perhaps in the middle of an answer
            return None
        return label

    steps = prepare()
    share_cores(steps.request.capacity.threads)
    with suppress(BrokenPipeError):  # nobody listens any more
        Worker(steps, messages.send, forks=True).process(take)
