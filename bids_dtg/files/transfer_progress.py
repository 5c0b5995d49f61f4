"""How far a transfer is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import multiprocessing
import sys
from types import TracebackType
from typing import Protocol

from bids_dtg.notices import say, visible


class TransferReporter(Protocol):
    """Shows how far a transfer is; a context, which ends the showing."""

    def __enter__(self) -> TransferReporter: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def begin(self, name: str) -> None:
        """Begin the next file."""

    def advance(self, done: int, total: int | None) -> None:
        """Show the number of bytes received; `total` is None where it is not known."""

    def note(self, message: str) -> None:
        """Print one line."""


class TransferLines:
    """Notes only, to standard error."""

    def __enter__(self) -> TransferLines:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def begin(self, name: str) -> None:
        pass

    def advance(self, done: int, total: int | None) -> None:
        pass

    def note(self, message: str) -> None:
        say(message)


class TransferBar:
    """A bar a file, with the notes above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, visible=False)

    def __enter__(self) -> TransferBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, name: str) -> None:
        self._progress.reset(self._task, total=None, description=visible(name), visible=True)

    def advance(self, done: int, total: int | None) -> None:
        self._progress.update(self._task, completed=done, total=total)

    def note(self, message: str) -> None:
        self._progress.console.print(visible(message), markup=False)


def make_transfer_reporter() -> TransferReporter:
    """Return a bar where standard error is a terminal, plain lines otherwise.

    Workers print lines, too: the terminal shows what the main process draws.
    """
    drawn = sys.stderr.isatty() and multiprocessing.parent_process() is None
    return TransferBar() if drawn else TransferLines()
