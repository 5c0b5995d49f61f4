"""Atomic writing: a file is complete under its final name, or absent."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from bids_dtg.errors import OutputError

T = TypeVar("T")
# No file takes longer to write, so the writer of an older temporary file must have ended.
STALE_AFTER_SECONDS = 3600.0
_TEMPORARY = re.compile(r"\.dtg-(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-.*\.tmp")
_FLUSHES = 8  # files flushed to disk at the same time
# Errors of file systems that cannot flush, such as some FUSE ones.
_CANNOT_FLUSH = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EROFS}
_KEPT = "then run again; finished results are kept"
_FULL = f"free space there, {_KEPT}"
_QUOTA = f"free some of your quota of space or files there (quota -s), {_KEPT}"
_INODES = (
    "no further file fits there, although there is space (df -i): remove files, or make "
    f"fewer by --no-reports, {_KEPT}"
)
_PERMISSIONS = "choose a folder that you may write to, or change its permissions"
STALE = "run again; if it stays so, have its network disk mounted anew"
_REMEDIES = {
    errno.ESTALE: STALE,
    errno.EROFS: "choose another OUTPUT_DIR, or mount this one writable",
    errno.EACCES: _PERMISSIONS,
    errno.EPERM: _PERMISSIONS,
}


def write_atomic(path: Path, *data: bytes | bytearray | memoryview) -> None:
    """Write data to a file atomically.

    Raises
    ------
    OutputError
        As for `atomic_file`.
    """
    with atomic_file(path) as stream:
        stream.writelines(data)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file under a hidden temporary name in the same folder; rename it once complete.

    Readers and other writers see the old file or the new one, never a part. If several processes
    write it, the last one wins. Folders are created as needed. On return the data may still be in
    the system's cache, which survives a killed process but not a power cut. Call `flush_to_disk`
    before writing a record that says that files are complete.

    Raises
    ------
    OutputError
        The file cannot be written (disk full, read-only, no permission); the temporary file is
        removed.
    """
    temporary = path.parent / temporary_name()
    try:
        once_more_if_stale(partial(path.parent.mkdir, parents=True, exist_ok=True))
        # Not `tempfile`, whose files ignore the umask (0600), as output folders are shared.
        with once_more_if_stale(lambda: temporary.open("xb")) as stream:
            yield stream
        once_more_if_stale(partial(temporary.replace, path))
    except OSError as err:
        raise output_error(path, err) from err
    finally:
        # After the rename there is nothing to remove; after any failure, even Ctrl-C, there is.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def flush_to_disk(paths: Iterable[Path]) -> None:
    """Flush files and their folders to disk, so that they survive a power cut.

    Raises
    ------
    OutputError
        A file could not be written to disk.
    """
    files = list(paths)
    # Several at a time, as a disk commits them together; one by one takes ten times as long.
    with ThreadPoolExecutor(_FLUSHES) as threads:
        list(threads.map(_flush, files))
        list(threads.map(_flush, sorted({path.parent for path in files})))


def temporary_name() -> str:
    """Make a hidden name that identifies the writing process and its host (or container)."""
    # The target's name is left out, as it may already have the maximum of 255 bytes.
    return f".dtg-{this_host()}-{os.getpid()}-{secrets.token_hex(4)}.tmp"


def remove_stale_temporaries(folder: Path) -> None:
    """Remove temporary files below a participant's folder whose writers have ended.

    A temporary file stays while its writer may be alive: the writer runs on this host, or the
    file is less than an hour old and its writer cannot be checked. That is so if the writer ran
    on another host (or container), or had the process number of this process, which containers
    often reuse.
    """
    for parent, _, _ in os.walk(folder):
        remove_stale_in(Path(parent))


def remove_stale_in(folder: Path) -> None:
    """Remove such files in one folder only, as a shared folder may have 100,000 folders below."""
    for path in filter(_is_stale, folder.glob(".dtg-*.tmp")):
        # Another process may have removed it first, or it cannot be removed.
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)  # a half-written bundle
            else:
                path.unlink()


def this_host() -> str:
    """Return an 8-character name of this host or container, in which process numbers are unique."""
    # Containers may share a host name, and each counts its processes from 1.
    namespace = ""
    with suppress(OSError):  # not Linux
        namespace = str(Path("/proc/self/ns/pid").readlink())
    host = f"{socket.gethostname()} {namespace}"
    return hashlib.sha256(host.encode()).hexdigest()[:8]


def output_error(path: Path, err: OSError) -> OutputError:
    """Return the error for a file that cannot be written, with a remedy."""
    reason = err.strerror or str(err)
    remedy = full_disk_remedy(path.parent, err) or _REMEDIES.get(err.errno or 0)
    return OutputError(f"{path} cannot be written: {reason}", remedy=remedy)


def full_disk_remedy(folder: Path, err: OSError) -> str | None:
    """Return what to do if a disk, its number of files, or a quota is exhausted; else None."""
    if err.errno == errno.EDQUOT:
        return _QUOTA
    if err.errno != errno.ENOSPC:
        return None
    with suppress(OSError, AttributeError):  # Windows has no statvfs
        space = os.statvfs(folder)
        if space.f_files and not space.f_favail:
            return _INODES
    return _FULL


def once_more_if_stale(action: Callable[[], T]) -> T:
    """Do something with a file; do it again if a network disk says that its handle is stale.

    The second attempt looks the name up anew, which is all that is needed after a server restarts.
    """
    try:
        return action()
    except OSError as err:
        if err.errno != errno.ESTALE:
            raise
    return action()


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
        # Check the process, not the file's age, as a clock may jump by years.
        return has_ended(pid)
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > STALE_AFTER_SECONDS
    return False


def has_ended(pid: int) -> bool:
    """Return whether no process of this host has this number, except a zombie."""
    try:
        os.kill(pid, 0)
        # The state follows the command, which is in brackets and may contain some.
        _, _, fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        return fields.split()[0] == "Z"
    except ProcessLookupError:
        return True
    except OSError:  # of another user, or not Linux
        return False
