"""Progress: bars on a terminal, plain lines elsewhere, and steps for the process that waits."""

from __future__ import annotations

import mmap
import multiprocessing
import re
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, Any, Protocol

from bids_dtg.notices import add_to_log, duration, say, visible

if TYPE_CHECKING:
    from rich.progress import Progress

# Interval between two lines on overall progress.
_NOTE_SECONDS = 60.0
_STEP_BYTES = 1024  # longest description of a step
# The memory of steps: how many there were, the last one of the process that computes and of the one
# that reads ahead for it, and whether the former waits for the latter.
_COUNT = slice(0, 8)
_TEXTS = slice(8, 8 + _STEP_BYTES), slice(8 + _STEP_BYTES, 8 + 2 * _STEP_BYTES)
_WAITS = 8 + 2 * _STEP_BYTES


class Reporter(Protocol):
    """Shows the progress of a unit of work."""

    def stage(self, name: str, share: float) -> None:
        """Show the current step of the unit, and the fraction (0 to 1) that is done."""

    def finish(self, message: str) -> None:
        """Report in one line how the unit, or a part of it, ended."""

    def note(self, message: str) -> None:
        """Print one line without disturbing the bars."""


class Steps:
    """The steps of a unit of work, in memory shared with the process that waits for them.

    A step is a stage that begins, or a file that is opened. Work without steps is stuck.

    Parameters
    ----------
    context
        Multiprocessing context that starts the process of the unit.
    """

    def __init__(self, context: BaseContext) -> None:
        self._memory: Any
        if context.get_start_method() == "fork":
            self._memory = mmap.mmap(-1, _WAITS + 1)
        else:  # in a file, which the process opens too
            self._memory = context.RawArray("c", _WAITS + 1)

    @property
    def count(self) -> int:
        """A number that changes with each step."""
        return int.from_bytes(self._memory[_COUNT], "little")

    def _add(self) -> None:
        self._memory[_COUNT] = (self.count + 1).to_bytes(8, "little")

    def last(self, *, ahead: bool | None = None) -> str:
        """Return the last step; `ahead`: of the process that reads ahead; None: of the busy one."""
        place = self._memory[_WAITS : _WAITS + 1] == b"\1" if ahead is None else ahead
        text: bytes = self._memory[_TEXTS[place]]
        return text.rstrip(b"\0").decode(errors="replace")

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait for the process that reads ahead; what it sends is a step."""
        self._memory[_WAITS : _WAITS + 1] = b"\1"
        try:
            yield
        finally:
            self._memory[_WAITS : _WAITS + 1] = b"\0"
            self._add()

    def add(self, what: str, *, ahead: bool) -> None:
        """Count a step; `ahead`: of the process that reads ahead."""
        text = what.encode(errors="surrogateescape")[:_STEP_BYTES]
        self._memory[_TEXTS[ahead]] = text.ljust(_STEP_BYTES, b"\0")
        self._add()


# Of the unit that this process works on; None: nobody waits for them.
_steps: Steps | None = None
_reads_ahead = False


def count_steps(steps: Steps) -> None:
    """Count the steps of this process, and of those that are forked from it, from now on."""
    global _steps
    _steps = steps


def read_ahead() -> None:
    """Count the steps of this process as those of the one that reads ahead."""
    global _reads_ahead
    _reads_ahead = True


def step(what: str) -> None:
    """Count a step of this process, such as "opening bold.nii.gz"."""
    if _steps is not None:
        _steps.add(what, ahead=_reads_ahead)


def waiting_for_reader() -> AbstractContextManager[None]:
    """Wait for the process that reads ahead; what it sends is a step."""
    return nullcontext() if _steps is None else _steps.waiting()


def last_read() -> str:
    """Return the last step of the process that reads ahead for this one; empty if there is none."""
    return "" if _steps is None else _steps.last(ahead=True)


# The beginning of a note that is about a run, and a person in it.
_OF_RUN = re.compile(r"sub-[^\s:]+: ")
_PERSON = re.compile(r"\bsub-[0-9A-Za-z]+(_[a-z]+-[0-9A-Za-z]+)*")


class Board:
    """Shows overall progress and what each process is doing; a context manager.

    On a terminal there is one bar for all units and one for each process, with lines above them.
    Elsewhere, and in workers, there are lines on standard error instead: the start and end of
    each unit, its stages if requested, and overall progress about once a minute.
    """

    def __init__(self, total: int, *, stages: bool = False) -> None:
        self.total, self.stages = total, stages
        self.begun = self._done = self._failed = 0
        self._lanes: dict[int, Lane] = {}
        # Notes already printed, by their text without the participant: a note common to all appears
        # once, and one that only names another participant once more, without the name.
        self.notes: dict[str, set[str]] = {}
        self._started = self._noted = time.monotonic()
        self.bars = None
        if sys.stderr.isatty() and multiprocessing.parent_process() is None:
            self.bars = _bars()
            self._all = self.bars.add_task(
                "all", total=total, stage="", visible=total > 1
            )

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        self.before_fork()

    def lane(self, number: int) -> Lane:
        """Return the display of the process with this number."""
        if number not in self._lanes:
            self._lanes[number] = Lane(self)
        return self._lanes[number]

    def advance(self, *, failed: bool = False) -> None:
        """Count a unit that has ended."""
        self._done += 1
        self._failed += failed
        if self.bars is not None:
            self.bars.update(self._all, completed=self._done, stage=self._so_far())
        elif time.monotonic() - self._noted > _NOTE_SECONDS:
            self._noted = time.monotonic()
            self.note(self._so_far())

    def note(self, message: str) -> None:
        """Print one line without disturbing the bars."""
        if self.bars is not None:
            add_to_log(message)
            self.bars.console.print(visible(message), markup=False)
        else:
            say(message, timed=True)

    def before_fork(self) -> None:
        """Stop the display's thread, which a fork would not have; the next unit restarts it."""
        if self.bars is not None:
            self.bars.stop()

    def _so_far(self) -> str:
        seconds_each = (time.monotonic() - self._started) / max(1, self._done)
        text = f"{self._done} of {self.total} done"
        if self._failed:
            text += f", {self._failed} failed"
        if self._done < self.total:
            seconds_left = (self.total - self._done) * seconds_each
            text += f", about {duration(seconds_left)} left"
        return text


class Lane:
    """Shows what one process does: its bar, or its lines."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._title = ""
        self._stage = ""
        self._bar = None
        if board.bars is not None:
            self._bar = board.bars.add_task("", total=1.0, stage="")

    def start(self, title: str) -> None:
        """Begin the next unit of work."""
        board = self._board
        board.begun += 1
        self._title, self._stage = f"[{board.begun}/{board.total}] {title}", ""
        if board.bars is None or self._bar is None:
            board.note(self._title)
        else:
            board.bars.start()
            board.bars.reset(self._bar)
            board.bars.update(self._bar, description=visible(title), stage="")

    def stage(self, name: str, share: float) -> None:
        """Show the current step of the unit, and the fraction (0 to 1) that is done."""
        if self._board.bars is not None and self._bar is not None:
            self._board.bars.update(self._bar, stage=visible(name), completed=share)
        elif self._board.stages and name != self._stage:
            self._board.note(f"{self._title}: {name}")
        self._stage = name

    def finish(self, message: str) -> None:
        """Report in one line how the unit, or a part of it, ended."""
        self._board.note(f"{self._title}: {message}")

    def note(self, message: str) -> None:
        """Print one line without disturbing the bars, unless it has been printed before."""
        named = _OF_RUN.match(message)
        text = _PERSON.sub("sub-*", message[named.end() :]) if named else message
        printed = self._board.notes.setdefault(text, set())
        if message in printed:
            return
        printed.add(message)
        if len(printed) == 1:
            self._board.note(message)
        elif len(printed) == 2:
            self._board.note(f"further participants: {text}")


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[stage]}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True, highlight=False),
        transient=True,
    )
