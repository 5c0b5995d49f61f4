"""Atomic writing: a file is whole under its final name, or it is not there."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bids_dtg.errors import OutputError

# No single file takes longer to write than this, so an older temporary has lost its writer.
STALE_AFTER_SECONDS = 3600.0
_TEMPORARY = re.compile(r"\.dtg-(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-.*\.tmp")
_FLUSHES = 8  # files forced to the disk at the same time
# What file systems answer that cannot be asked to, as some of FUSE's.
_CANNOT_FLUSH = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EROFS}
_PERMISSIONS = "choose a folder that you may write to, or change its permissions"
_NAME_TAKEN = "remove or rename the file that has the name of one of these folders"
_REMEDIES = {
    errno.ENOSPC: "free space on that disk, then run again: what is finished is kept",
    errno.EDQUOT: "free some of your quota, then run again: what is finished is kept",
    errno.EROFS: "choose another OUTPUT_DIR, or mount this one writable",
    errno.EACCES: _PERMISSIONS,
    errno.EPERM: _PERMISSIONS,
    errno.EEXIST: _NAME_TAKEN,
    errno.ENOTDIR: _NAME_TAKEN,
}


def write_atomic(path: Path, *data: bytes | bytearray | memoryview) -> None:
    """Write data as a file, as `atomic_file` does.

    Raises
    ------
    OutputError
        As `atomic_file`.
    """
    with atomic_file(path) as stream:
        stream.writelines(data)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file under a hidden temporary name beside it, and rename it once it is whole.

    Readers and other writers see the old file or the new one, never a part;
    of several writers the last one wins. Folders are made as needed. The data
    may still be in memory when this returns: a killed process loses nothing by
    that, a power cut does. `flush_to_disk` forces many files at once, before
    whatever says that they are complete is written.

    Raises
    ------
    OutputError
        If the file cannot be written (disk full, read-only, no permission);
        the temporary is removed.
    """
    temporary = path.parent / temporary_name()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not tempfile: its files are 0600 whatever the umask, and output folders are shared.
        with temporary.open("xb") as stream:
            yield stream
        temporary.replace(path)
    except OSError as err:
        raise output_error(path, err) from err
    finally:
        # After a rename nothing is left to remove; on any failure, Ctrl-C included, it goes.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def flush_to_disk(paths: Iterable[Path]) -> None:
    """Force files and their folders to the disk: after this a power cut loses none of them.

    Raises
    ------
    OutputError
        The disk reports that something could not be written.
    """
    files = list(paths)
    # Several at a time: a disk commits what waits together. One by one takes ten times as long.
    with ThreadPoolExecutor(_FLUSHES) as threads:
        list(threads.map(_flush, files))
        list(threads.map(_flush, sorted({path.parent for path in files})))


def temporary_name() -> str:
    """Make a hidden name that says which process on which host (or in which container) writes."""
    # The name of the target is left out: it may already have the 255 bytes that are allowed.
    return f".dtg-{this_host()}-{os.getpid()}-{secrets.token_hex(4)}.tmp"


def remove_stale_temporaries(folder: Path) -> list[Path]:
    """Remove temporaries below a participant's folder whose writer is gone.

    A temporary stays while its writer may be alive: its process runs on this
    host, or it is less than an hour old and comes from another host (or container), or
    from a process of this one's number, which a container's has each time. Returns what was
    removed. A missing folder has none.
    """
    return [path for parent, _, _ in os.walk(folder) for path in remove_stale_in(Path(parent))]


def remove_stale_in(folder: Path) -> list[Path]:
    """Remove such temporaries in one folder only: a shared one may have 100,000 below it."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(".dtg-")]
    except OSError:
        return []  # nothing there yet, or nothing that we may see
    return [path for name in names if _is_stale(path := folder / name) and _removed(path)]


def process_exists(pid: int) -> bool:
    """Return whether a process of this host runs, and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it exists and belongs to somebody else
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True  # a system that does not say
    return state != "Z"  # ended, and nobody has asked how


def this_host() -> str:
    """Return a name of 8 letters for this host, or this container: processes are numbered in it."""
    # Containers may share a host name, and count their processes from 1 each.
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""  # a system without them
    return hashlib.sha256(f"{socket.gethostname()} {namespace}".encode()).hexdigest()[:8]


def output_error(path: Path, err: OSError) -> OutputError:
    """Return the error for a file that cannot be written, with what to do about it."""
    reason = err.strerror or str(err)
    return OutputError(f"{path} cannot be written: {reason}", remedy=_REMEDIES.get(err.errno or 0))


def _flush(path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as err:
        if err.errno not in _CANNOT_FLUSH:
            raise output_error(path, err) from err


def _is_stale(path: Path) -> bool:
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return False
    pid = int(match["pid"])
    if match["host"] == this_host() and pid != os.getpid():
        # Its process is asked, not the clock, which may jump by years and have it look old.
        return not process_exists(pid)
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > STALE_AFTER_SECONDS
    return False


def _removed(path: Path) -> bool:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)  # a bundle half written
        else:
            path.unlink()
    except OSError:
        return False  # another process cleaned up first, or may not be helped
    return True
