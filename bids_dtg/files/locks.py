"""Locks between parallel runs of the program, on this host or others."""

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
    """The locks of one run of the program, each a file in one folder; a context manager.

    The system releases the locks of a process that ends, however it ends. Each file says which
    process holds it.

    Parameters
    ----------
    folder
        Folder of the lock files; created if needed.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> with Locks(folder) as first, Locks(folder) as second:
    ...     first.take("model-x") is None
    ...     second.take("model-x").startswith(f"process {os.getpid()} on ")
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

    def take(self, name: str, *, wait: float = 0.0) -> str | None:
        """Take a lock; return None on success, or else a description of its holder.

        Parameters
        ----------
        name
            Name of the lock and of its file.
        wait
            How many seconds to wait for another run to release it; -1: for as long as it takes.

        Raises
        ------
        OutputError
            The lock's file cannot be written.
        """
        from filelock import FileLock, Timeout

        if name in self._held:
            return None
        path = self._path(name)
        # Every user who may write in the folder may take it, from any thread.
        lock: BaseFileLock = FileLock(path, mode=0o666, thread_local=False)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=wait)
            # Without locks of the system, filelock needs what it wrote: first the process's number.
            if not path.read_text(errors="replace").startswith(f"{os.getpid()}\n"):
                path.write_text(_this_process())
        except Timeout:
            try:
                holder = " ".join(path.read_text().split())
            except (OSError, ValueError):
                return "another run of the program"
            return holder or "a run that has just begun"
        except OSError as err:
            lock.release()
            raise output_error(path, err) from err
        self._held[name] = lock
        return None

    def require(self, name: str, *, what: str, remedy: str) -> None:
        """Take a lock, or raise an error.

        Parameters
        ----------
        name
            Name of the lock and of its file.
        what
            What is locked, for the message.
        remedy
            What the user can do instead of waiting.

        Raises
        ------
        SettingsError
            Another run holds the lock.
        OutputError
            The lock's file cannot be written.
        """
        holder = self.take(name)
        if holder is not None:
            raise SettingsError(
                f"{what} is in use by {holder}",
                remedy=f"wait until it has ended, or {remedy}; if that process no longer "
                f"exists, remove {self._path(name)}",
            )

    def release(self, name: str) -> None:
        """Release a lock, if this run holds it."""
        if name in self._held:
            # Before the release, while nobody else can hold it.
            with suppress(OSError):
                self._path(name).unlink()
            self._held[name].release()
            # Forget it last, so that if a signal interrupts, the end of the run releases it again.
            self._held.pop(name, None)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


def _this_process() -> str:
    # A path may contain bytes that are not text; made visible, so that the file can be read back.
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    command = visible(" ".join(words))
    begun = f"{datetime.now():%d %b %H:%M}"  # local time of this host
    where = f"process {os.getpid()} on {socket.gethostname()}"
    return f"{where} (begun {begun}: {command})\n"
