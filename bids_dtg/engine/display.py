"""What a person sees while the program works: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from bids_dtg.notices import duration, say, visible

if TYPE_CHECKING:
    from rich.progress import Progress

# Between two lines that say how far all is.
_NOTE_SECONDS = 60.0


class Reporter(Protocol):
    """Shows the progress of a unit of work."""

    def stage(self, name: str, share: float) -> None:
        """Show the present step of the unit, and the share (0 to 1) that is done."""

    def finish(self, message: str) -> None:
        """Say in one line what became of the unit, or of a part of it."""

    def note(self, message: str) -> None:
        """Print one line without disturbing the bar."""


class Lane(Reporter, Protocol):
    """Shows what one process does."""

    def start(self, title: str) -> None:
        """Begin the next unit of work."""


class Board(Protocol):
    """Shows how far all units are, and what each process does."""

    def __enter__(self) -> Board: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def lane(self, number: int) -> Lane:
        """Return the display of the process with a number."""

    def advance(self, *, failed: bool = False) -> None:
        """Count a unit that is done with."""

    def note(self, message: str) -> None:
        """Print one line without disturbing the bar."""

    def before_fork(self) -> None:
        """Stop threads, which a forked process would miss; the next unit's start goes on."""


class _Count:
    """How many units there are, have begun, are done with and have failed."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.begun = self.done = self.failed = 0
        self._started = time.monotonic()

    def add(self, *, failed: bool) -> None:
        self.done += 1
        self.failed += failed

    def line(self) -> str:
        """Show the overall progress and the estimated time left."""
        left = (self.total - self.done) * (time.monotonic() - self._started) / max(1, self.done)
        text = f"{self.done} of {self.total} done"
        if self.failed:
            text += f", {self.failed} failed"
        return f"{text}, about {duration(left)} left" if self.done < self.total else text


class PlainBoard:
    """Lines to standard error: each unit's begin and end, and now and then how far all is."""

    def __init__(self, total: int, *, stages: bool = False) -> None:
        self._count, self._stages = _Count(total), stages
        self._lanes: dict[int, _PlainLane] = {}
        self._noted = time.monotonic()

    def __enter__(self) -> PlainBoard:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def lane(self, number: int) -> _PlainLane:
        return self._lanes.setdefault(number, _PlainLane(self, self._count, stages=self._stages))

    def advance(self, *, failed: bool = False) -> None:
        self._count.add(failed=failed)
        if time.monotonic() - self._noted > _NOTE_SECONDS:
            self._noted = time.monotonic()
            self.note(self._count.line())

    def note(self, message: str) -> None:
        say(f"{time.strftime('%H:%M:%S')} {message}")

    def before_fork(self) -> None:
        return None


class _PlainLane:
    """Lines about the units of one process."""

    def __init__(self, board: PlainBoard, count: _Count, *, stages: bool) -> None:
        self._board, self._count, self._stages = board, count, stages
        self._title, self._last = "", ""

    def start(self, title: str) -> None:
        self._count.begun += 1
        self._title = f"[{self._count.begun}/{self._count.total}] {title}"
        self._last = ""
        self.note(self._title)

    def stage(self, name: str, share: float) -> None:
        if self._stages and name != self._last:
            self.note(f"{self._title}: {name}")
        self._last = name

    def finish(self, message: str) -> None:
        self.note(f"{self._title}: {message}")

    def note(self, message: str) -> None:
        self._board.note(message)


class BarBoard:
    """A bar for all units and one for each process, with the finished units above them."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[stage]}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._count = _Count(total)
        self._all = self._progress.add_task("all", total=total, stage="", visible=total > 1)
        self._lanes: dict[int, _BarLane] = {}

    def __enter__(self) -> BarBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def lane(self, number: int) -> _BarLane:
        if number not in self._lanes:
            self._lanes[number] = _BarLane(self._progress, self._count)
        return self._lanes[number]

    def advance(self, *, failed: bool = False) -> None:
        self._count.add(failed=failed)
        self._progress.update(self._all, completed=self._count.done, stage=self._count.line())

    def note(self, message: str) -> None:
        self._progress.console.print(visible(message), markup=False)

    def before_fork(self) -> None:
        self._progress.stop()


class _BarLane:
    """The bar of one process."""

    def __init__(self, progress: Progress, count: _Count) -> None:
        self._progress, self._count, self._title = progress, count, ""
        self._task = progress.add_task("", total=1.0, stage="")

    def start(self, title: str) -> None:
        self._count.begun += 1
        self._title = f"[{self._count.begun}/{self._count.total}] {title}"
        self._progress.start()
        self._progress.reset(self._task)
        self._progress.update(self._task, description=visible(title), stage="")

    def stage(self, name: str, share: float) -> None:
        self._progress.update(self._task, stage=visible(name), completed=share)

    def finish(self, message: str) -> None:
        self.note(f"{self._title}: {message}")

    def note(self, message: str) -> None:
        self._progress.console.print(visible(message), markup=False)


def make_board(total: int, *, verbose: int = 0) -> Board:
    """Return bars where standard error is a terminal, plain lines otherwise."""
    if sys.stderr.isatty():
        return BarBoard(total)
    return PlainBoard(total, stages=verbose > 0)


class Clock:
    """Adds up the seconds that each stage takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add times that were taken elsewhere."""
        for stage, value in seconds.items():
            self.seconds[stage] += value

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add the time of the ``with`` block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start
