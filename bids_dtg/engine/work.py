"""Units of work, each identified by a label: what they report, and the queue of their labels.

A process prepares its `Work` once, by calling a function without arguments, and then does it for
one label after another. An exception in a unit of work ends only that unit.
"""

from __future__ import annotations

import heapq
import pickle
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Generic, Literal, TypeVar

from bids_dtg.progress import Board, Lane, Reporter, step

T = TypeVar("T")
Result = TypeVar("Result")

Work = Callable[[str, Reporter], Result]  # called with a label
Prepare = Callable[[], Work[Result]]  # called once in each process
Send = Callable[[T], None]
Take = Callable[[], str | None]  # returns the next label; None if there is none

# Shortest time between two updates of a bar; nobody could see faster ones.
_STAGE_SECONDS = 0.1


@dataclass(frozen=True)
class Happened:
    """An event in a process; events after a unit's "began" belong to that unit."""

    kind: Literal["began", "stage", "line", "note"]
    text: str  # the unit's label, the name of a stage, or a line of text
    share: float = 0.0  # for a stage: fraction of the unit (0 to 1) that is done


@dataclass(frozen=True)
class End(Generic[Result]):
    """How a unit of work ended: with a result, with an error, or with its process."""

    label: str
    result: Result | None = None
    error: Exception | None = None  # can be pickled
    died: str = ""  # how the process that was working on it ended


Message = Happened | End[Result]


class MessageReporter:
    """A reporter whose lines are shown by another process."""

    def __init__(self, send: Callable[[Happened], None]) -> None:
        self._send = send
        self._stage = ""
        self._shown_at = 0.0

    def stage(self, name: str, share: float) -> None:
        step(name)
        quiet_seconds = time.monotonic() - self._shown_at
        if name != self._stage or quiet_seconds > _STAGE_SECONDS:
            self._send(Happened("stage", name, share))
            self._stage = name
            self._shown_at = time.monotonic()

    def finish(self, message: str) -> None:
        self._send(Happened("line", message))

    def note(self, message: str) -> None:
        self._send(Happened("note", message))


def follow(
    messages: Generator[tuple[int, Message[Result]], None, None],
    board: Board,
    title: Callable[[str], str],
) -> Generator[tuple[Lane, End[Result]], None, None]:
    """Show messages on a board; yield how each unit of work ends, with its lane.

    Parameters
    ----------
    messages
        Messages of an executor; closed when this generator is closed.
    board
        Shows the messages. The caller counts the units that end, as a unit may be tried again.
    title
        Returns the title of a unit from its label.
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


def do_unit(label: str, do: Callable[[], Result], send: Send[Message[Result]]) -> None:
    """Do one unit of work; send a message when it begins and when it ends.

    Raises
    ------
    BrokenPipeError
        The receiving process has ended.
    """
    step("")
    send(Happened("began", label))
    end: End[Result]
    try:
        end = End(label, do())
    except BrokenPipeError:
        raise
    except Exception as err:
        end = End(label, error=err)
        try:
            pickle.loads(pickle.dumps(err))  # noqa: S301 (of our own making)
        except Exception:
            end = End(label, error=RuntimeError(f"{type(err).__name__}: {err}"))
    send(end)


def do_units(work: Work[Result], take: Take, send: Send[Message[Result]]) -> None:
    """Do one unit of work after another until none is left."""
    reporter = MessageReporter(send)
    while (label := take()) is not None:
        do_unit(label, partial(work, label, reporter), send)


class Backlog:
    """Queue of participants, in order; participants that must wait come later.

    Parameters
    ----------
    labels
        Labels of the participants to process.
    clock
        Monotonic clock, in seconds.
    hold_up
        Called before a participant is handed out; returns the seconds to wait before it is called
        again, or 0 if the participant can be processed now.
    grows
        Whether `add` may add participants; processes then wait for them.
    """

    def __init__(
        self,
        labels: Iterable[str],
        clock: Callable[[], float] = time.monotonic,
        hold_up: Callable[[str], float] = lambda label: 0.0,
        *,
        grows: bool = False,
    ) -> None:
        # Earliest time, rank in the order, and label of each participant.
        self._waiting = [(0.0, rank, label) for rank, label in enumerate(labels)]
        self._first_rank = 0
        self._clock = clock
        self._hold_up = hold_up
        self.grows = grows

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def seconds_to_next(self) -> float | None:
        """Seconds until `take` has a participant to return; None if none is left."""
        if not self._waiting:
            return None
        earliest, _rank, _label = self._waiting[0]
        return max(0.0, earliest - self._clock())

    def take(self) -> str | None:
        """Return the next participant; None if none can be processed now."""
        while self.seconds_to_next == 0:
            _, rank, label = heapq.heappop(self._waiting)
            seconds = self._hold_up(label)
            if not seconds:
                return label
            heapq.heappush(self._waiting, (self._clock() + seconds, rank, label))
        return None

    def add(self, label: str) -> None:
        """Add a participant, to be handed out last."""
        self._waiting.append((self._clock(), len(self._waiting), label))
        heapq.heapify(self._waiting)

    def put_back(self, label: str) -> None:
        """Put back a participant whose work was not begun, to be handed out next."""
        self._first_rank -= 1
        heapq.heappush(self._waiting, (0.0, self._first_rank, label))
