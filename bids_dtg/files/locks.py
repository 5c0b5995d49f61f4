"""Locks: of several calls, on this host or on others, one works on what cannot be shared."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bids_dtg.errors import SettingsError
from bids_dtg.files.atomic import output_error
from bids_dtg.notices import visible

if TYPE_CHECKING:
    from filelock import BaseFileLock


class Locks:
    """The locks of one call, each a file in one folder; a context, which releases them.

    The system gives back the locks of a process that ends, however it ends. Each file says who
    holds it.

    Parameters
    ----------
    folder
        Where the files are; made as needed.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> with Locks(folder) as mine, Locks(folder) as others:
    ...     mine.take("model-own") is None
    ...     others.take("model-own").startswith(f"process {os.getpid()} on ")
    True
    True
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, BaseFileLock] = {}

    def __enter__(self) -> Locks:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._held):
            self.release(name)

    def take(self, name: str) -> str | None:
        """Take a lock; return its holder in words, or None where this call has it now.

        Raises
        ------
        OutputError
            Its file cannot be written.
        """
        from filelock import FileLock, SoftFileLock, Timeout

        if name in self._held:
            return None
        path = self._path(name)
        # Anybody who may write in the folder may take it, and from any thread.
        lock: BaseFileLock = FileLock(path, mode=0o666, thread_local=False)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
            # Where the system has no locks, filelock writes what it needs to know.
            if not isinstance(lock, SoftFileLock):
                path.write_text(_this_process())
        except Timeout:
            with suppress(OSError, ValueError):
                return " ".join(path.read_text().split()) or "a call that has just begun"
            return "another call"
        except OSError as err:
            lock.release()
            raise output_error(path, err) from err
        self._held[name] = lock
        return None

    def require(self, name: str, *, what: str, remedy: str) -> None:
        """Take a lock, or refuse to go on.

        Parameters
        ----------
        name
            Identifies the lock; also the name of its file.
        what
            What is locked, for the message.
        remedy
            What else can be done than to wait.

        Raises
        ------
        SettingsError
            Another call holds it.
        OutputError
            Its file cannot be written.
        """
        owner = self.take(name)
        if owner is not None:
            raise SettingsError(
                f"{what} is in use by {owner}",
                remedy=f"wait until it has ended, or {remedy}; if there is no such process any "
                f"more, remove {self._path(name)}",
            )

    def release(self, name: str) -> None:
        """Give a lock back, if this call holds it."""
        if name in self._held:
            with suppress(OSError):
                self._path(name).unlink()  # while nobody else can hold it
            self._held[name].release()
            # After its file: a signal in between has the end of the call give it back once more.
            self._held.pop(name, None)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


def _this_process() -> str:
    # A path may hold bytes that are no text, and nobody could read them back from the file.
    command = visible(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]))
    begun = f"{datetime.now():%d %b %H:%M}"  # as the clock of its host has it
    return f"process {os.getpid()} on {socket.gethostname()} (begun {begun}: {command})\n"
