"""Locks between parallel runs of the program, on this host or others.

Where the file system has `flock`, the system releases the lock of a process that ends, however it
ends. Where it has not (Lustre without the mount option, NFS without a lock service), a lock is a
lease: a file that its holder touches every 30 seconds, and that others may take after 300 seconds
without a touch.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import tempfile
import time
from contextlib import suppress
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from bids_dtg.errors import OutputError, SettingsError
from bids_dtg.files.atomic import has_ended, once_more_if_stale, output_error
from bids_dtg.notices import say, visible
from bids_dtg.progress import step

if TYPE_CHECKING:
    from filelock import BaseFileLock, FileLock, SoftFileLease

_LEASE_SECONDS = 300.0  # without a touch, after which others may take a lease
_HEARTBEAT_SECONDS = 30.0  # between two touches
_POLL_SECONDS = 1.0  # between two looks at a lease that somebody else holds
# What file systems without `flock` answer; 524 (ENOTSUPP) comes from NFS servers.
_WITHOUT_FLOCK = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, 524}


class Locks:
    """The locks of one run of the program, each a file in one folder; a context manager.

    Each file says which process holds it.

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
        # A lease is taken over by an object that saw nobody touch it for long.
        self._leases: dict[str, SoftFileLease] = {}
        # When a lease of somebody else was last seen to be touched: its time, this clock's time.
        self._touched: dict[str, tuple[int, float]] = {}

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
            How many seconds to wait for another run to release it. A lease is waited for until it
            has expired, too.

        Raises
        ------
        OutputError
            The lock's file cannot be written.
        """
        if name in self._held:
            return None
        try:
            return once_more_if_stale(partial(self._take, name, wait))
        except OSError as err:
            raise output_error(self._path(name), err) from err

    def _take(self, name: str, wait: float) -> str | None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if has_flock(self._folder):
            return self._lock(name, wait)
        if holder := self._flock_holder(name):
            return holder
        return self._lease(name, wait + _LEASE_SECONDS if wait else 0.0)

    def require(self, name: str, *, what: str, remedy: str) -> None:
        """Take a lock, or raise an error.

        A lease whose holder may have died is waited for until it is touched or has expired.

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
        if holder is not None and name in self._touched:
            say(f"{what} is in use by {holder}; looking whether that run is alive")
            first_touch = self._touched[name]
            while holder is not None and self._touched[name] == first_touch:
                step(f"waiting for {holder}")
                time.sleep(_POLL_SECONDS)
                holder = self.take(name)
        if holder is not None:
            raise SettingsError(
                f"{what} is in use by {holder}",
                remedy=f"wait until it has ended, or {remedy}; if that process no longer "
                f"exists, remove {self._path(name)}",
            )

    def claim(self, name: str) -> bytes | None:
        """Return what a lease's file says, which changes with its holder.

        None where the file system has `flock`, as such a lock cannot be lost, and where the file
        cannot be read for another reason than that it is gone.
        """
        try:
            if has_flock(self._folder):
                return None
            return self._lease_path(name).read_bytes()
        except FileNotFoundError:
            return b""
        except OSError:
            return None

    def require_claim(self, name: str, claim: bytes | None) -> None:
        """Refuse to go on with a lease that somebody else may have taken.

        Parameters
        ----------
        name
            Name of the lock.
        claim
            What `claim` returned when the work began.

        Raises
        ------
        OutputError
            The lease was lost.
        """
        now = self.claim(name)
        if claim is not None and now is not None and now != claim:
            raise OutputError(
                f"{self._lease_path(name)} was taken by another run, as this one had not "
                f"touched it for {_LEASE_SECONDS:.0f} s; nothing was written",
                remedy="wait for the other run, or run again when it has ended",
            )

    def release(self, name: str) -> None:
        """Release a lock, if this run holds it."""
        if name not in self._held:
            return
        if name not in self._leases:
            # Before the release, while nobody else can hold it.
            with suppress(OSError):
                self._path(name).unlink()
        with suppress(OSError):
            self._held[name].release()
        # Forget it last, so that if a signal interrupts, the end of the run releases it again.
        self._leases.pop(name, None)
        self._held.pop(name, None)

    def _lock(self, name: str, wait: float) -> str | None:
        """Take a lock of the system, unless a host without them holds a lease."""
        from filelock import FileLock, Timeout

        path = self._path(name)
        # Every user who may write in the folder may take it, from any thread.
        lock: FileLock = FileLock(path, mode=0o666, thread_local=False)
        try:
            lock.acquire(timeout=wait)
            holder = self._lease_holder(name)
            if holder is not None:
                lock.release()
                return holder
            path.write_text(_this_process(), encoding="utf-8")
        except Timeout:
            return self._words_in(path)
        except OSError:
            lock.release()
            raise
        self._held[name] = lock
        return None

    def _lease(self, name: str, wait: float) -> str | None:
        """Take a lease; return its holder, and when it expires, if somebody else has it."""
        from filelock import SoftFileLease, Timeout

        path = self._lease_path(name)
        if name not in self._leases:
            self._leases[name] = SoftFileLease(
                path,
                lease_duration=_LEASE_SECONDS,
                heartbeat_interval=_HEARTBEAT_SECONDS,
                poll_interval=_POLL_SECONDS,
                thread_local=False,
            )
        lease = self._leases[name]
        try:
            lease.acquire(timeout=wait)
        except Timeout:
            owner = lease.owner
            where = f"process {owner.pid} on {owner.hostname}" if owner else "a run"
            seconds_left = self._seconds_left(name)
            return f"{where} ({path}, which expires in {seconds_left:.0f} s unless it is touched)"
        self._touched.pop(name, None)
        self._held[name] = lease
        return None

    def _seconds_left(self, name: str) -> float:
        """Return after how many seconds without a touch somebody else's lease may be taken."""
        now = time.monotonic()
        with suppress(OSError):
            touched = self._lease_path(name).stat().st_mtime_ns
            if name not in self._touched or self._touched[name][0] != touched:
                self._touched[name] = (touched, now)
        _, seen = self._touched.setdefault(name, (0, now))
        return max(0.0, _LEASE_SECONDS - (now - seen))

    def _lease_holder(self, name: str) -> str | None:
        """Return who holds a lease on a host without `flock`; an expired lease is removed."""
        if not self._lease_path(name).exists():
            return None
        holder = self._lease(name, 0.0)
        if holder is None:
            self._held.pop(name).release()
            self._leases.pop(name)
        return holder

    def _flock_holder(self, name: str) -> str | None:
        """Return who has a lock of the system, which a host without `flock` can only read.

        On other hosts, it counts as held as long as its file is there.
        """
        path = self._path(name)
        if not path.exists():
            return None
        holder = self._words_in(path)
        words = holder.split()
        is_here = words[:1] == ["process"] and words[3:4] == [socket.gethostname()]
        if is_here and words[1].isdecimal() and has_ended(int(words[1])):
            path.unlink(missing_ok=True)
            return None
        return f"{holder}; if that process no longer exists, remove {path}"

    def _words_in(self, path: Path) -> str:
        try:
            words = " ".join(path.read_text(encoding="utf-8").split())
        except (OSError, ValueError):
            return "another run of the program"
        return words or "a run that has just begun"

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"

    def _lease_path(self, name: str) -> Path:
        # A name of its own, as a process with `flock` opens, keeps and removes the other file.
        return self._folder / f"{name}.lease"


@lru_cache
def has_flock(folder: Path) -> bool:
    """Try whether the file system of an existing folder has `flock`; once for each folder.

    Raises
    ------
    OSError
        No file can be made there.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where filelock uses another call
        return True
    with tempfile.TemporaryFile(dir=folder, prefix=".dtg-probe-") as probe:
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            return err.errno not in _WITHOUT_FLOCK
    return True


def _this_process() -> str:
    # A path may contain bytes that are not text; made visible, so that the file can be read back.
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    command = visible(" ".join(words))
    begun = f"{datetime.now():%d %b %H:%M}"  # local time of this host
    where = f"process {os.getpid()} on {socket.gethostname()}"
    return f"{where} (begun {begun}: {command})\n"
