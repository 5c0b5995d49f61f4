"""Locks: of several calls, on this host or on others, one works on what cannot be shared."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from bids_dtg.errors import ForeignFileError, MissingFileError, SettingsError
from bids_dtg.files.atomic import output_error, process_exists, process_life, this_host
from bids_dtg.files.foreign import read_json_object
from bids_dtg.notices import duration, visible

# A lock is touched this often while it is held.
_REFRESH_SECONDS = 60.0
# One from another host that nobody has touched for so long has lost its process.
_STALE_SECONDS = 3 * 3600.0
# A process that is killed between making a lock and writing its owner leaves an empty file.
_EMPTY_SECONDS = 60.0
_TRIES = 20
_SUFFIX = ".lock"


@dataclass(frozen=True)
class Owner:
    """The process that holds a lock, as its file states."""

    process: int  # its number
    host: str  # where it runs
    place: str  # host and container, in which process numbers count
    life: str  # tells the process from an earlier or a later one of its number
    command: str  # what it was called with
    since: str  # when it took the lock, UTC
    token: str  # of this lock alone

    @property
    def words(self) -> str:
        """The process in words, for messages."""
        if not self.process:
            return "a call that has just begun"
        return f"process {self.process} on {self.host} ({self._age()}: {self.command})"

    def _age(self) -> str:
        try:
            begun = datetime.fromisoformat(self.since)
            seconds = (datetime.now(UTC) - begun).total_seconds()
        except (ValueError, TypeError):
            return "begun at an unknown time"
        return f"begun {duration(max(0.0, seconds))} ago"


_UNKNOWN = Owner(0, "", "", "", "", "", "")


class Locks:
    """The locks of one call, each a file in one folder; a context, which releases them.

    A lock is made with O_EXCL, which network file systems keep too. While it is held, a thread
    touches its file. One whose process is gone is taken over; so is one of another host that looks
    untouched for three hours, and stays so while it is watched: clocks may differ, or jump.

    Parameters
    ----------
    folder
        Where the files are; made as needed, and removed with its last lock.
    note
        Shows a line to the person who looks on.
    refresh_seconds
        Between two times that the files are touched.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> with Locks(folder, print) as mine, Locks(folder, print) as others:
    ...     mine.take("model-own") is None
    ...     others.take("model-own").process == os.getpid()
    True
    True
    """

    def __init__(
        self,
        folder: Path,
        note: Callable[[str], None],
        *,
        refresh_seconds: float = _REFRESH_SECONDS,
    ) -> None:
        self._folder, self._note, self._refresh_seconds = folder, note, refresh_seconds
        self._held: dict[str, Owner] = {}
        self._process, self._ended = os.getpid(), threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Locks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for name in list(self._held):
            self.release(name)

    def take(self, name: str) -> Owner | None:
        """Take a lock; return its holder, or None where this call has it now.

        Raises
        ------
        OutputError
            Its file cannot be written.
        """
        if name in self._held:
            return None
        mine, owner = _this_process(), _UNKNOWN
        for _ in range(_TRIES):
            if self._create(name, mine):
                self._held[name] = mine
                self._start_refreshing()
                return None
            found = self._owner(name)
            if found is None:
                continue  # released in between
            owner = found
            if not self._is_gone(name, owner):
                return owner
            self._take_over(name, owner)
        return owner

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
                f"{what} is in use by {owner.words}",
                remedy=f"wait until it has ended, or {remedy}; if there is no such process any "
                f"more, remove {self._path(name)}",
            )

    def others(self, prefix: str) -> tuple[Owner, ...]:
        """Return the holders of locks whose names begin so, without this call."""
        found = []
        for path in sorted(self._folder.glob(f"{prefix}*{_SUFFIX}")):
            name = path.name.removesuffix(_SUFFIX)
            owner = None if name in self._held else self._owner(name)
            if owner is None:
                continue
            if self._is_gone(name, owner):
                self._take_over(name, owner)
            else:
                found.append(owner)
        return tuple(found)

    def release(self, name: str) -> None:
        """Give a lock back, if this call holds it."""
        # A forked process has the object, not the lock.
        if os.getpid() != self._process or name not in self._held:
            return
        with suppress(OSError):
            if self._owner(name) == self._held[name]:
                self._path(name).unlink()
        # After its file: a signal in between has the end of the call give it back once more.
        self._held.pop(name, None)
        with suppress(OSError):
            self._folder.rmdir()  # which only the last lock leaves empty

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"

    def _create(self, name: str, owner: Owner) -> bool:
        path = self._path(name)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise output_error(path, err) from err
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except (FileExistsError, FileNotFoundError):  # another's last lock took the folder along
            return False
        except OSError as err:
            raise output_error(path, err) from err
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(json.dumps(asdict(owner), indent=2).encode() + b"\n")
        except OSError as err:
            path.unlink(missing_ok=True)
            raise output_error(path, err) from err
        return True

    def _owner(self, name: str) -> Owner | None:
        """Return the holder of a lock; None where nobody holds it."""
        try:
            return Owner(**read_json_object(self._path(name)))
        except MissingFileError:
            return None
        except (ForeignFileError, TypeError):
            return _UNKNOWN

    def _is_gone(self, name: str, owner: Owner) -> bool:
        try:
            age = time.time() - self._path(name).stat().st_mtime
        except OSError:
            return False
        if owner == _UNKNOWN:
            return age > _EMPTY_SECONDS
        if owner.place != this_host():
            return age > _STALE_SECONDS and self._stays_untouched(name, owner)
        # Nothing is known of the life of another user's process on some systems.
        life = process_life(owner.process)
        return not process_exists(owner.process) or life not in ("", owner.life)

    def _stays_untouched(self, name: str, owner: Owner) -> bool:
        """Watch a lock for as long as its holder would let pass between two touches, and longer."""
        seconds = 2 * self._refresh_seconds
        self._note(f"{name} looks left by {owner.words}: watching it for {duration(seconds)}")
        with suppress(OSError):
            before = self._path(name).stat().st_mtime_ns
            time.sleep(seconds)
            return self._path(name).stat().st_mtime_ns == before
        return False  # released in between

    def _take_over(self, name: str, owner: Owner) -> None:
        """Remove the lock of an owner who is gone: of several calls that want to, one does."""
        guard = self._path(name).with_suffix(".taking")
        try:
            os.close(os.open(guard, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except OSError:
            with suppress(OSError):  # left by a process that was killed right here
                if time.time() - guard.stat().st_mtime > _EMPTY_SECONDS:
                    guard.unlink()
            time.sleep(0.05)
            return
        with suppress(OSError):
            # Perhaps another call has taken it over by now.
            if self._owner(name) == owner:
                self._path(name).unlink()
                self._note(f"taken over from a call that is gone: {name}, {owner.words}")
        with suppress(OSError):
            guard.unlink()

    def _start_refreshing(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._refresh, name="locks", daemon=True)
            self._thread.start()

    def _refresh(self) -> None:
        while not self._ended.wait(self._refresh_seconds):
            for name in list(self._held):
                with suppress(OSError):
                    os.utime(self._path(name))


def _this_process() -> Owner:
    return Owner(
        process=os.getpid(),
        host=socket.gethostname(),
        place=this_host(),
        life=process_life(os.getpid()),
        # A path may hold bytes that are no text, and nobody could read them back from the file.
        command=visible(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        token=secrets.token_hex(8),
    )
