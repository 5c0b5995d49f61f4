"""What a person sees while the program works: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Protocol


class Reporter(Protocol):
    """Shows how far the run is."""

    def __enter__(self) -> Reporter: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def start(self, title: str) -> None:
        """Begin the next unit of work."""

    def stage(self, name: str, share: float) -> None:
        """Say what the unit does now, and which share (0 to 1) of it is done."""

    def finish(self, message: str) -> None:
        """End the unit with one line."""

    def note(self, message: str) -> None:
        """Print one line without disturbing the bar."""


def say(message: str) -> None:
    """Print a line to standard error; the work goes on if nobody reads it any more."""
    with suppress(BrokenPipeError):
        print(message, file=sys.stderr, flush=True)


class PlainReporter:
    """One line to standard error for each unit begun and ended; stages where asked for."""

    def __init__(self, total: int, *, stages: bool = False) -> None:
        self._total, self._stages = total, stages
        self._count, self._title, self._last = 0, "", ""

    def __enter__(self) -> PlainReporter:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def start(self, title: str) -> None:
        self._count += 1
        self._title, self._last = title, ""
        self.note(f"[{self._count}/{self._total}] {title}")

    def stage(self, name: str, share: float) -> None:
        if self._stages and name != self._last:
            self.note(f"[{self._count}/{self._total}] {self._title}: {name}")
        self._last = name

    def finish(self, message: str) -> None:
        self.note(f"[{self._count}/{self._total}] {self._title}: {message}")

    def note(self, message: str) -> None:
        say(f"{time.strftime('%H:%M:%S')} {message}")


class BarReporter:
    """A progress bar on a terminal, with the finished units above it."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.fields[count]}", style="dim"),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[stage]}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._total, self._count, self._title = total, 0, ""
        self._task = self._progress.add_task("starting", total=1.0, count="", stage="")

    def __enter__(self) -> BarReporter:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, title: str) -> None:
        self._count += 1
        self._title = title
        self._progress.start()  # not sooner: its thread must not be there when the reader is forked
        self._progress.reset(self._task)
        self._progress.update(
            self._task, description=title, count=f"{self._count}/{self._total}", stage=""
        )

    def stage(self, name: str, share: float) -> None:
        self._progress.update(self._task, stage=name, completed=share)

    def finish(self, message: str) -> None:
        self.note(f"[{self._count}/{self._total}] {self._title}: {message}")

    def note(self, message: str) -> None:
        self._progress.console.print(message, markup=False)


def make_reporter(total: int, *, verbose: int = 0) -> Reporter:
    """Return a bar where standard error is a terminal, plain lines otherwise."""
    if sys.stderr.isatty():
        return BarReporter(total)
    return PlainReporter(total, stages=verbose > 0)


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
