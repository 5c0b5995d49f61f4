"""What processes report: where a unit of work stands, and how it ended."""

from __future__ import annotations

import pickle
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar

from bids_dtg.progress import Board, Lane

Result = TypeVar("Result")

# No eye follows a bar that moves more often.
_STAGE_SECONDS = 0.1


@dataclass(frozen=True)
class Began:
    """A unit of work has begun; what follows from its process is about it."""

    label: str


@dataclass(frozen=True)
class Stage:
    """What the unit does now."""

    name: str
    share: float  # 0 to 1, that is done


@dataclass(frozen=True)
class Line:
    """What became of the unit, or of a part of it."""

    text: str


@dataclass(frozen=True)
class Noted:
    """A line that is not about one unit."""

    text: str


@dataclass(frozen=True)
class ReaderDied:
    """The process that reads ahead for a worker has died, and another one begins."""

    reason: str  # how it ended


@dataclass(frozen=True)
class Finished(Generic[Result]):
    """A unit of work has a result."""

    label: str
    result: Result


@dataclass(frozen=True)
class Raised:
    """A unit of work has raised an error."""

    label: str
    error: Exception  # can be pickled
    trace: str = ""  # where in the program

    @classmethod
    def of(cls, label: str, error: Exception) -> Raised:
        """Make the message while the traceback is at hand."""
        trace = traceback.format_exc()
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 (of our own making)
        except Exception:
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return cls(label, error, trace)


@dataclass(frozen=True)
class WorkerDied:
    """The process that did a unit of work has died."""

    label: str
    reason: str  # how it ended


@dataclass(frozen=True)
class NotBegun:
    """A unit of work is given up before it began: one process after the other has died."""

    label: str
    reason: str  # how the last one ended


Shown = Began | Stage | Line | Noted
End = Finished[Result] | Raised | WorkerDied | NotBegun
Message = Shown | ReaderDied | End[Result]


class MessageReporter:
    """A reporter whose lines are shown by another process."""

    def __init__(self, send: Callable[[Shown], None]) -> None:
        self._send, self._stage, self._shown_at = send, "", 0.0

    def stage(self, name: str, share: float) -> None:
        if name != self._stage or time.monotonic() - self._shown_at > _STAGE_SECONDS:
            self._send(Stage(name, share))
            self._stage, self._shown_at = name, time.monotonic()

    def finish(self, message: str) -> None:
        self._send(Line(message))

    def note(self, message: str) -> None:
        self._send(Noted(message))


def follow(
    messages: Generator[tuple[int, Message[Result]], None, None],
    board: Board,
    title: Callable[[str], str],
) -> Generator[tuple[Lane, End[Result]], None, None]:
    """Show what happens on a board; yield how each unit of work ends, and in which lane.

    Parameters
    ----------
    messages
        From an executor; closed with this generator.
    board
        Where they are shown. Ends are counted by the caller: a unit may be tried again.
    title
        Of a unit, by its label.
    """
    with closing(messages):
        for number, message in messages:
            lane = board.lane(number)
            match message:
                case Began(label):
                    lane.start(title(label))
                case Stage(name, share):
                    lane.stage(name, share)
                case Line(text):
                    lane.finish(text)
                case Noted(text):
                    lane.note(text)
                case ReaderDied():
                    pass
                case _:
                    yield lane, message
