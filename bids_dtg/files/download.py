"""Pinned files over HTTP: resumed where they broke off, verified before anybody reads them.

pooch does neither of the two: it begins a broken download anew, and does not know git's ids.
"""

from __future__ import annotations

import hashlib
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from bids_dtg.errors import BundleError, OutputError
from bids_dtg.notices import say
from bids_dtg.version import __version__

if TYPE_CHECKING:
    from requests import Response, Session

# Bytes; a block that is cut off is lost.
_BLOCK = 1 << 14
# A busy server, or a gateway that lost its own; others will not answer better the next time.
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class PublishedFile:
    """A file of a public repository, pinned."""

    repository: str  # owner/name on GitHub
    commit: str  # 40 hexadecimal digits
    path: str  # inside the repository
    blob_id: str  # git's: SHA-1 of b"blob <size>\0" and the content, which binds the size too
    size: int | None = None  # bytes, where known

    @property
    def name(self) -> str:
        """Name of the file, without its folder."""
        return PurePosixPath(self.path).name

    @property
    def local_name(self) -> str:
        """Return the name of a downloaded copy."""
        return f"{self.blob_id[:12]}-{self.name}"

    @property
    def location(self) -> str:
        """Return the path below a host that serves raw content."""
        return f"{self.repository}/{self.commit}/{self.path}"


@dataclass(frozen=True)
class Patience:
    """How long a host is waited for, and how much is taken from it."""

    connect_seconds: float = 10.0
    silent_seconds: float = 30.0  # until the next bytes
    attempts: int = 4  # in a row that bring nothing new
    pause_seconds: float = 0.25  # between attempts; doubled after each of them
    # What a file of unknown size may have: several times the largest of the published ones.
    largest_bytes: int = 1 << 30


def obtain_file(
    file: PublishedFile,
    folder: Path,
    hosts: Sequence[str],
    reporter: TransferReporter,
    *,
    patience: Patience = Patience(),
) -> Path:
    """Return a verified copy of a file in `folder`, fetched if it is not there yet.

    Parameters
    ----------
    file
        What is wanted.
    folder
        Exists and belongs to this process. A broken download is kept here and resumed.
    hosts
        Bases of URLs, asked in this order; an empty list means offline.
    reporter
        Shows the progress.
    patience
        With each host.

    Raises
    ------
    BundleError
        If no host has the file with the right content; with what each of them answered.
    OutputError
        If it cannot be written.
    """
    whole = folder / file.local_name
    partial = folder / f"{file.local_name}.part"
    try:
        if whole.is_file() and git_blob_id(whole) == file.blob_id:
            return whole
        whole.unlink(missing_ok=True)
        _download(file, partial, hosts, reporter, patience=patience)
        partial.rename(whole)
    except OSError as err:
        raise OutputError(
            f"{file.name} cannot be kept in {folder}: {err.strerror or err}",
            remedy="free space, or choose another folder; what is here already will be used",
        ) from err
    return whole


def git_blob_id(path: Path) -> str:
    """Return git's id of a file's content: SHA-1 of "blob", size, a zero byte, the content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
        """Say how many bytes of the file are here; `total` is None where it is not known."""

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
        self._progress.reset(self._task, total=None, description=name, visible=True)

    def advance(self, done: int, total: int | None) -> None:
        self._progress.update(self._task, completed=done, total=total)

    def note(self, message: str) -> None:
        self._progress.console.print(message, markup=False)


def make_transfer_reporter() -> TransferReporter:
    """Return a bar where standard error is a terminal, plain lines otherwise."""
    return TransferBar() if sys.stderr.isatty() else TransferLines()


class _RefusedError(Exception):
    """The host will not give the file, however often it is asked."""


class _BrokenError(Exception):
    """The transfer failed on its way; what is here is kept, and it may be tried again."""


@dataclass(frozen=True, eq=False)
class _Transfer:
    """One file from one host."""

    session: Session  # of the call
    file: PublishedFile  # what is wanted
    url: str  # where from
    partial: Path  # what is here of it
    reporter: TransferReporter  # shows every block
    patience: Patience  # with the host


def _download(
    file: PublishedFile,
    partial: Path,
    hosts: Sequence[str],
    reporter: TransferReporter,
    *,
    patience: Patience,
) -> None:
    """Fetch a file from the first host that has it; only the right content is left at `partial`."""
    import requests

    answers = []
    with requests.Session() as session:
        session.headers["User-Agent"] = f"bids_dtg/{__version__}"
        # A compressed answer could not be resumed.
        session.headers["Accept-Encoding"] = "identity"
        for host in hosts:
            url = f"{host}/{file.location}"
            reporter.begin(file.name)
            transfer = _Transfer(session, file, url, partial, reporter, patience)
            try:
                _complete(transfer)
                return
            except (_RefusedError, _BrokenError) as err:
                answers.append(f"{url}: {err}")
    raise BundleError(
        f"{file.name} cannot be fetched: {'; '.join(answers) or 'offline'}",
        expected=f"the file with git's blob id {file.blob_id}",
        remedy="check the network, the proxy (HTTPS_PROXY) or the mirror (DTG_MODEL_MIRROR)",
    )


def _complete(transfer: _Transfer) -> None:
    """Fetch the rest of a file and verify all of it; if the start was wrong, once more."""
    resumed = _size(transfer.partial) > 0
    _receive_repeatedly(transfer)
    found, size = git_blob_id(transfer.partial), _size(transfer.partial)
    if found == transfer.file.blob_id:
        return
    transfer.partial.unlink()
    if resumed:
        _complete(transfer)
        return
    raise _RefusedError(f"wrong content, {size} bytes with git's blob id {found}")


def _receive_repeatedly(transfer: _Transfer) -> None:
    """Try until it works, or until several attempts in a row have brought nothing new."""
    patience = transfer.patience
    idle, largest = 0, _size(transfer.partial)
    while True:
        try:
            _receive(transfer)
            return
        except _BrokenError:
            size = _size(transfer.partial)
            idle = 0 if size > largest else idle + 1
            largest = max(largest, size)
            if idle >= patience.attempts:
                raise
        time.sleep(patience.pause_seconds * 2**idle)


def _receive(transfer: _Transfer) -> None:
    """Ask for what is missing and append it to the partial file."""
    import requests

    start = _size(transfer.partial)
    if start and start == transfer.file.size:
        return
    headers = {"Range": f"bytes={start}-"} if start else {}
    timeouts = (transfer.patience.connect_seconds, transfer.patience.silent_seconds)
    try:
        with transfer.session.get(
            transfer.url, headers=headers, stream=True, timeout=timeouts
        ) as response:
            if start and response.status_code == 416:  # nothing is missing, or a wrong start
                return
            start = _agreed_start(response, start)
            total = _total(response, start, transfer)
            _append(response, transfer, start, total)
    except (requests.exceptions.SSLError, requests.exceptions.TooManyRedirects) as err:
        raise _RefusedError(_reason(err)) from err
    except (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
    ) as err:
        raise _BrokenError(_reason(err)) from err
    except requests.RequestException as err:
        raise _RefusedError(_reason(err)) from err


def _agreed_start(response: Response, start: int) -> int:
    """Return the byte at which the answer begins: 0 where the host sends everything."""
    status = response.status_code
    if status == 200:
        return 0
    if status == 206:
        given = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if given and int(given[1]) == start:
            return start
        raise _RefusedError(f"another part of the file than was asked for, from byte {start}")
    answer = f"HTTP {status} {response.reason or ''}".strip()
    raise _BrokenError(answer) if status in _TRY_AGAIN else _RefusedError(answer)


def _total(response: Response, start: int, transfer: _Transfer) -> int | None:
    """Return the size that the file will have; refused where it is not the expected one."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _RefusedError("an encoded answer, which was not asked for")
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isascii() and length.isdigit() else None
    expected = transfer.file.size
    if total is not None and total != (expected or total):
        raise _RefusedError(f"wrong size, {total} bytes instead of {expected}")
    if total is not None and total > transfer.patience.largest_bytes:
        raise _RefusedError(f"wrong size, {total} bytes, more than a model has")
    return total


def _append(response: Response, transfer: _Transfer, start: int, total: int | None) -> None:
    limit = transfer.file.size or transfer.patience.largest_bytes
    done = start
    with transfer.partial.open("ab") as out:
        out.truncate(start)
        for block in response.iter_content(_BLOCK):
            done += len(block)
            if done > limit:
                out.truncate(0)
                raise _RefusedError(f"wrong size, more than {limit} bytes")
            out.write(block)
            transfer.reporter.advance(done, total)
    wanted = total or transfer.file.size
    if wanted is not None and done < wanted:
        raise _BrokenError(f"cut off after {done} of {wanted} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(err: Exception) -> str:
    """Return the inmost cause in one line: the wrappers around it only repeat addresses."""
    cause: BaseException = err
    while (inner := getattr(cause, "reason", None) or cause.__cause__ or cause.__context__) is not (
        None
    ) and isinstance(inner, BaseException):
        cause = inner
    text = " ".join(str(cause).split()) or type(cause).__name__
    return text if len(text) <= 200 else f"{text[:200]} ..."
