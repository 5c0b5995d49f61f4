"""Processes of this machine that each do one thing for one participant at a time.

The participant level's `Pool` reads ahead and has a network; these only make files. The end of a
process, however sudden, costs the one participant that it worked on.
"""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import NoReturn

from bids_dtg.engine.ahead import be_child, describe_end
from bids_dtg.engine.display import Reporter
from bids_dtg.errors import DtgError
from bids_dtg.workflows.participant.worker import MessageReporter, Shown

Work = Callable[[str, Reporter], None]  # for a participant's label
_END_SECONDS = 10.0


@dataclass(frozen=True)
class Done:
    """What became of a participant."""

    label: str  # without sub-
    failure: str | None = None  # why nothing did; None: all is well


@dataclass(eq=False)
class _Member:
    """A process, as the first one sees it."""

    lane: int  # its place on the screen
    process: BaseProcess
    pipe: Connection  # labels to it, messages from it
    label: str  # whom it works on


def run_crew(
    labels: Sequence[str],
    prepare: Callable[[], Work],
    processes: int,
    *,
    forked: bool,
    before_start: Callable[[], None] = lambda: None,
) -> Generator[tuple[int, Shown | Done], None, None]:
    """Do something for each participant; yield what happens, and in which lane.

    Closing the iterator ends all processes.

    Parameters
    ----------
    labels
        Participants.
    prepare
        Makes what is to be done; called once in each process.
    processes
        How many at the same time.
    forked
        Whether they may be forked from this one, which shares what there is and needs no pickling
        of `prepare`; otherwise they are started afresh.
    before_start
        Called before a process is started: no other thread should run here then.
    """
    context = multiprocessing.get_context("fork" if forked and sys.platform == "linux" else "spawn")
    waiting, members = deque(labels), list[_Member]()
    try:
        while waiting or members:
            lanes = set(range(processes)) - {member.lane for member in members}
            for lane in sorted(lanes)[: len(waiting)]:
                before_start()
                members.append(_start(context, lane, waiting.popleft(), prepare, members))
            wait([end for member in members for end in (member.pipe, member.process.sentinel)])
            for member in list(members):
                yield from _listen(member, waiting, members)
    finally:
        _end_all(members)


def _start(
    context: BaseContext,
    lane: int,
    label: str,
    prepare: Callable[[], Work],
    others: Sequence[_Member],
) -> _Member:
    pipe, far_pipe = context.Pipe()
    # A forked process has the ends of the others' pipes too.
    inherited = [pipe, *(member.pipe for member in others)]
    process = context.Process(  # type: ignore[attr-defined]
        target=_serve,
        args=(prepare, far_pipe, inherited if context.get_start_method() == "fork" else []),
        name=f"reader {lane + 1}",
    )
    process.start()
    far_pipe.close()
    with suppress(OSError):  # it died already, which is heard when it is listened to
        pipe.send(label)
    return _Member(lane, process, pipe, label)


def _listen(
    member: _Member, waiting: deque[str], members: list[_Member]
) -> Iterator[tuple[int, Shown | Done]]:
    """Take what a process has said; hand it the next participant, or see that it is gone."""
    alive = member.process.is_alive()
    try:
        while member.pipe.poll():
            message: Shown | Done = member.pipe.recv()
            yield member.lane, message
            if isinstance(message, Done):
                member.label = waiting.popleft() if waiting else ""
                member.pipe.send(member.label)
    except (EOFError, OSError, pickle.UnpicklingError):
        alive = False
    if alive:
        return
    member.process.join()
    member.pipe.close()
    members.remove(member)
    if member.label:
        reason = describe_end(member.process.exitcode)
        yield member.lane, Done(member.label, f"the process that worked on it died: {reason}")


def _end_all(members: Sequence[_Member]) -> None:
    for member in members:
        member.process.terminate()
    for member in members:
        member.process.join(_END_SECONDS)
        member.process.kill()
        member.pipe.close()


def _serve(
    prepare: Callable[[], Work], pipe: Connection, inherited: Sequence[Connection]
) -> NoReturn:
    """Be one of the processes."""
    be_child(partial(_serve_crew, prepare, pipe), inherited)


def _serve_crew(prepare: Callable[[], Work], pipe: Connection) -> None:
    work, reporter = prepare(), MessageReporter(pipe.send)
    with suppress(EOFError, OSError):  # nobody listens any more
        while label := pipe.recv():
            pipe.send(Done(label, _failure_of(work, label, reporter)))


def _failure_of(work: Work, label: str, reporter: Reporter) -> str | None:
    try:
        work(label, reporter)
    except BrokenPipeError:
        raise
    except DtgError as err:
        return str(err)
    except Exception as err:
        return f"internal error: {type(err).__name__}: {err}"
    return None
