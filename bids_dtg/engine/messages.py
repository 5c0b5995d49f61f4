"""What processes report: where a unit of work stands, and how it ended."""

from __future__ import annotations

import pickle
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from bids_dtg.progress import Board, Lane

Result = TypeVar("Result")

# No eye follows a bar that moves more often.
_STAGE_SECONDS = 0.1


@dataclass(frozen=True)
class Happened:
    """What happens in a process; what follows the begin of a unit of work is about that unit."""

    kind: Literal["began", "stage", "line", "note", "reader died"]
    text: str  # the unit's label, a stage, a line of a unit or of none, or how the reader ended
    share: float = 0.0  # of a stage: 0 to 1, that is done


@dataclass(frozen=True)
class End(Generic[Result]):
    """How a unit of work ended: with a result, with an error, or with its process."""

    label: str
    result: Result | None = None
    error: Exception | None = None  # can be pickled
    trace: str = ""  # where in the program it was raised
    died: str = ""  # how the process ended that worked on it
    begun: bool = True  # False where it was given up, as one process after the other had died

    @classmethod
    def by_error(cls, label: str, error: Exception) -> End[Result]:
        """Make the message while the traceback is at hand."""
        trace = traceback.format_exc()
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 (of our own making)
        except Exception:
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return cls(label, error=error, trace=trace)


Message = Happened | End[Result]


class MessageReporter:
    """A reporter whose lines are shown by another process."""

    def __init__(self, send: Callable[[Happened], None]) -> None:
        self._send, self._stage, self._shown_at = send, "", 0.0

    def stage(self, name: str, share: float) -> None:
        if name != self._stage or time.monotonic() - self._shown_at > _STAGE_SECONDS:
            self._send(Happened("stage", name, share))
            self._stage, self._shown_at = name, time.monotonic()

    def finish(self, message: str) -> None:
        self._send(Happened("line", message))

    def note(self, message: str) -> None:
        self._send(Happened("note", message))


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
                case Happened("began", label):
                    lane.start(title(label))
                case Happened("stage", name, share):
                    lane.stage(name, share)
                case Happened("line", text):
                    lane.finish(text)
                case Happened("note", text):
                    lane.note(text)
                case End():
                    yield lane, message
