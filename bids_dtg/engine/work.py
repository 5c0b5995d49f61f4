"""Units of work, each done for a label, and the labels that wait.

A process prepares its `Work` once, by calling a function without arguments, and then does it for
one label after the other. What a unit of work raises ends that unit only.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Protocol, TypeVar

from bids_dtg.engine.messages import End, Happened, Message, MessageReporter
from bids_dtg.progress import Reporter

T = TypeVar("T")
Result = TypeVar("Result")

Work = Callable[[str, Reporter], Result]  # for a label
Prepare = Callable[[], Work[Result]]  # called once in each process
Send = Callable[[T], None]
Take = Callable[[], str | None]  # gives the next label; None: there is none


class Executor(Protocol[Result]):
    """Does units of work somewhere."""

    def run(self, backlog: Backlog) -> Generator[tuple[int, Message[Result]], None, None]:
        """Work until no label is left; yield what happens, and in which lane.

        Closing the generator ends all that was started.
        """


def do_unit(label: str, do: Callable[[], Result], send: Send[Message[Result]]) -> None:
    """Do one unit of work; send that it began and how it ended.

    Raises
    ------
    BrokenPipeError
        No process listens any more.
    """
    send(Happened("began", label))
    end: End[Result]
    try:
        end = End(label, do())
    except BrokenPipeError:
        raise
    except Exception as err:
        end = End.by_error(label, err)
    send(end)


def do_units(work: Work[Result], take: Take, send: Send[Message[Result]]) -> None:
    """Do one unit of work after the other, until there is none to take."""
    reporter = MessageReporter(send)
    while (label := take()) is not None:
        do_unit(label, partial(work, label, reporter), send)


class Backlog:
    """Hands out participants in order; those that are held up come later.

    Parameters
    ----------
    labels
        Labels of the participants to work on.
    clock
        Seconds that never go back.
    hold_up
        Asked before a participant is handed out: seconds after which to ask again, 0 to go on.
    """

    def __init__(
        self,
        labels: Iterable[str],
        clock: Callable[[], float] = time.monotonic,
        hold_up: Callable[[str], float] = lambda label: 0.0,
    ) -> None:
        self._waiting, self._clock, self._hold_up = deque(labels), clock, hold_up
        self._later: list[tuple[float, str]] = []  # when, and who

    def __len__(self) -> int:
        return len(self._waiting) + len(self._later)

    @property
    def seconds_to_next(self) -> float | None:
        """Seconds until `take` gives somebody; None where nobody is left."""
        if self._waiting:
            return 0.0
        if not self._later:
            return None
        return max(0.0, min(self._later)[0] - self._clock())

    def take(self) -> str | None:
        """Return the next participant; None where nobody is due."""
        while self.seconds_to_next == 0:
            if self._waiting:
                label = self._waiting.popleft()
            else:
                first = min(self._later)
                self._later.remove(first)
                label = first[1]
            seconds = self._hold_up(label)
            if not seconds:
                return label
            self._later.append((self._clock() + seconds, label))
        return None

    def put_back(self, label: str) -> None:
        """Take back a participant whose work was not begun, and hand it out next."""
        self._waiting.appendleft(label)
