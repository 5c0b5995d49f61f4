"""A unit of work: something that is done for a label.

A process prepares its `Work` once, by calling a function without arguments, and then does it for
one label after the other. What a unit of work raises ends that unit only.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Protocol, TypeVar

from bids_dtg.engine.backlog import Backlog
from bids_dtg.engine.display import Reporter
from bids_dtg.engine.messages import Began, Finished, Message, MessageReporter, Raised

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


def do_unit(
    label: str, do: Callable[[], Result], send: Send[Message[Result]]
) -> Finished[Result] | Raised:
    """Do one unit of work; send that it began and how it ended, and return its end.

    Raises
    ------
    BrokenPipeError
        No process listens any more.
    """
    send(Began(label))
    end: Finished[Result] | Raised
    try:
        end = Finished(label, do())
    except BrokenPipeError:
        raise
    except Exception as err:
        end = Raised.of(label, err)
    send(end)
    return end


def do_units(work: Work[Result], take: Take, send: Send[Message[Result]]) -> None:
    """Do one unit of work after the other, until there is none to take."""
    reporter = MessageReporter(send)
    while (label := take()) is not None:
        do_unit(label, partial(work, label, reporter), send)
