"""Pinned files over HTTP: resumed where they broke off, verified before anybody reads them.

pooch does neither of the two: it begins a broken download anew, and does not know git's ids.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

from bids_dtg.addresses import without_secrets
from bids_dtg.errors import DownloadError, OutputError, SettingsError
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.digest import Digest, read_digests
from bids_dtg.files.transfer_progress import TransferReporter
from bids_dtg.version import __version__

if TYPE_CHECKING:
    from requests import Response, Session

_T = TypeVar("_T")

MIRROR_VARIABLE, OFFLINE_VARIABLE = "DTG_MODEL_MIRROR", "DTG_OFFLINE"
# Below the folder that files are fetched for: downloads, the lock, SHA-256 of what was verified.
WORK_FOLDER = ".downloads"
SUMS_FILE = "SHA256SUMS"

# Bytes.
_BLOCK = 1 << 16
# Seconds in which one of the hosts must answer, where a machine may have no network.
_FIRST_ANSWER = 8.0
_MOST_REDIRECTS = 5
# A busy server, or a gateway that lost its own; others will not answer better the next time.
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_SUM = re.compile(r"([0-9a-f]{64})  (\S+)")


@dataclass(frozen=True)
class PinnedFile:
    """A public file whose content is known by its digest."""

    location: str  # path below the base of a host's addresses
    digest: Digest  # of its content
    size: int | None = None  # bytes, where known

    @classmethod
    def in_repository(
        cls, repository: str, commit: str, path: str, *, blob_id: str, size: int | None = None
    ) -> PinnedFile:
        """Pin a file of a repository (owner/name) on GitHub by its commit and git's id of it."""
        return cls(f"{repository}/{commit}/{path}", Digest("git", blob_id), size)

    @property
    def name(self) -> str:
        """Name of the file, without its folder."""
        return PurePosixPath(self.location).name

    @property
    def local_name(self) -> str:
        """Return the name of a downloaded copy."""
        return f"{self.digest.hexadecimal[:12]}-{self.name}"


@dataclass(frozen=True)
class Patience:
    """How long a host is waited for, and how much is taken from it."""

    connect_seconds: float = 10.0
    silent_seconds: float = 30.0  # until the next bytes
    answer_seconds: float = 60.0  # until an answer begins, with its redirects and headers
    attempts: int = 4  # in a row that bring nothing new
    pause_seconds: float = 0.25  # between attempts; doubled after each of them
    # A host that gives less than this in each second of such a while is left.
    least_bytes_per_second: float = 1000.0
    pace_seconds: float = 60.0
    # What a file of unknown size may have: several times the largest of the published ones.
    largest_bytes: int = 1 << 30


@dataclass(frozen=True)
class FetchedFile:
    """A verified copy of a pinned file."""

    path: Path  # of the copy
    sha256: str  # of its content, in hexadecimal


def download_hosts(env: Mapping[str, str], public: str) -> list[str]:
    """List the bases of URLs to ask, in order: mirrors, then the public one; none where offline.

    Parameters
    ----------
    env
        Environment: `DTG_MODEL_MIRROR` has mirrors, with spaces between; `DTG_OFFLINE` set to
        anything but 0 forbids all downloads.
    public
        Base of the public host's URLs.

    Raises
    ------
    SettingsError
        If a mirror is no URL.

    Examples
    --------
    >>> download_hosts({"DTG_MODEL_MIRROR": "http://mirror/x/"}, "https://example.org")
    ['http://mirror/x', 'https://example.org']
    >>> download_hosts({"DTG_OFFLINE": "1"}, "https://example.org")
    []
    """
    if env.get(OFFLINE_VARIABLE, "0") not in ("", "0"):
        return []
    mirrors = env.get(MIRROR_VARIABLE, "").split()
    for mirror in mirrors:
        if not mirror.startswith(("https://", "http://")):
            raise SettingsError(
                f"{MIRROR_VARIABLE} has {without_secrets(mirror)!r}",
                expected="addresses that begin with https:// or http://, with spaces between",
            )
    return [*(mirror.rstrip("/") for mirror in mirrors), public]


@contextmanager
def download_folder(folder: Path, reporter: TransferReporter, *, remedy: str) -> Iterator[Path]:
    """Hold the folder of downloads below another for this process alone.

    What killed processes left half-made there is removed; broken downloads are kept.

    Parameters
    ----------
    folder
        What files are fetched for; made where it is not there.
    reporter
        Reports that another process is waited for.
    remedy
        What to do where it cannot be written.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from filelock import FileLock, Timeout

    work = folder / WORK_FOLDER
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(work / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            reporter.note(f"waiting for another process that fetches into {folder}")
            lock.acquire()
    except (OSError, NotImplementedError) as err:
        reason = getattr(err, "strerror", None) or err
        raise OutputError(f"{folder} cannot be written: {reason}", remedy=remedy) from err
    try:
        for left in work.iterdir():
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
        yield work
    finally:
        lock.release()


def require_network(
    file: PinnedFile, hosts: Sequence[str], *, seconds: float = _FIRST_ANSWER
) -> None:
    """Ask all hosts at once for a file's headers, so that a lack of network shows in seconds.

    Any answer will do, also one that refuses: what it means is found out by the download, which
    waits longer. A download alone would wait for each host in turn, and several times.

    Parameters
    ----------
    file
        The file that is wanted.
    hosts
        Bases of URLs.
    seconds
        How long to wait for the first answer.

    Raises
    ------
    DownloadError
        No host has answered; with the reason of each.
    """
    urls = [f"{host}/{file.location}" for host in hosts]
    asked = {_begun(partial(_why_silent, url, seconds)): url for url in urls}
    reasons = dict.fromkeys(urls, f"no answer within {seconds:g} s")
    with suppress(FutureTimeoutError):
        for answer in as_completed(asked, timeout=seconds):
            reason = answer.result()
            if reason is None:
                return
            reasons[asked[answer]] = reason
    raise _not_fetched(file, [without_secrets(f"{url}: {why}") for url, why in reasons.items()])


def _why_silent(url: str, seconds: float) -> str | None:
    """Ask a host for headers; return why it does not answer, None where it does."""
    import requests

    try:
        with _session() as session:
            session.head(url, timeout=seconds, allow_redirects=False).close()
    except requests.exceptions.SSLError:
        return None
    except (requests.ConnectionError, requests.Timeout) as err:
        return _reason(err)
    except (requests.RequestException, ValueError):
        return None  # the download reports what is wrong with the address
    return None


def obtain_file(
    file: PinnedFile,
    folder: Path,
    hosts: Sequence[str],
    reporter: TransferReporter,
    *,
    patience: Patience = Patience(),
) -> FetchedFile:
    """Return a verified copy of a file in `folder`, fetched if it is not there yet.

    At its first verified fetch the file's SHA-256 is recorded in the folder; from then on, every
    copy must have it besides the digest that pins it.

    Parameters
    ----------
    file
        The file to obtain: address, size and digest.
    folder
        Exists and belongs to this process. A broken download is kept here and resumed.
    hosts
        Bases of URLs, asked in this order; an empty list means offline.
    reporter
        Shows the progress of the download.
    patience
        Time limits and number of attempts for each host.

    Raises
    ------
    DownloadError
        If no host has the file with the right content; with what each of them answered.
    OutputError
        If it cannot be written.
    """
    whole = folder / file.local_name
    partial = folder / f"{file.local_name}.part"
    try:
        sums = _read_sums(folder / SUMS_FILE)
        known = (Digest("sha256", sums[file.local_name]),) if file.local_name in sums else ()
        wanted = _Wanted(file, (file.digest, *known))
        sha256 = wanted.sha256_of(whole) if whole.is_file() else None
        if sha256 is None:
            whole.unlink(missing_ok=True)
            sha256 = _download(wanted, partial, hosts, reporter, patience=patience)
            partial.rename(whole)
        if not known:
            _write_sums(folder / SUMS_FILE, sums | {file.local_name: sha256})
    except OSError as err:
        raise OutputError(
            f"{file.name} cannot be kept in {folder}: {err.strerror or err}",
            remedy="free space, or choose another folder; what is here already will be used",
        ) from err
    return FetchedFile(whole, sha256)


def _read_sums(path: Path) -> dict[str, str]:
    """Return SHA-256 by name, in the form of `sha256sum`; what is damaged counts as unknown."""
    with suppress(FileNotFoundError):
        lines = path.read_bytes().decode("ascii", errors="replace").splitlines()
        return {match[2]: match[1] for line in lines if (match := _SUM.fullmatch(line))}
    return {}


def _write_sums(path: Path, sums: Mapping[str, str]) -> None:
    write_atomic(path, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode())


class _RefusedError(Exception):
    """The host will not give the file, however often it is asked."""


class _BrokenError(Exception):
    """The transfer failed on its way; what is here is kept, and it may be tried again."""


@dataclass(frozen=True)
class _Wanted:
    """A file, and what its content must be."""

    file: PinnedFile
    digests: tuple[Digest, ...]  # all of them

    def __str__(self) -> str:
        return " and ".join(str(digest) for digest in self.digests)

    def sha256_of(self, path: Path) -> str | None:
        """Return the SHA-256 of a copy that is what is wanted; None for anything else."""
        if self.file.size not in (None, _size(path)):
            return None
        found = read_digests(path, {digest.algorithm for digest in self.digests} | {"sha256"})
        right = all(found[digest.algorithm] == digest for digest in self.digests)
        return found["sha256"].hexadecimal if right else None

    def differing(self, path: Path) -> str:
        """Return the digests of a copy that differ from those wanted."""
        found = read_digests(path, [digest.algorithm for digest in self.digests])
        wrong = [found[digest.algorithm] for digest in self.digests]
        return " and ".join(str(digest) for digest in wrong if digest not in self.digests)


@dataclass
class _Pace:
    """How much a host gives; the bytes of a while are counted, over all its attempts."""

    patience: Patience
    since: float | None = None  # None: it has not answered yet, as a proxy that looks first
    received: int = 0

    def begin(self) -> None:
        """Start the clock with the first answer."""
        if self.since is None:
            self.since = time.monotonic()

    def count(self, received: int) -> None:
        """Count bytes; refuse a host that has given too few in a whole while."""
        self.received += received
        seconds = 0.0 if self.since is None else time.monotonic() - self.since
        if seconds < self.patience.pace_seconds:
            return
        least = self.patience.least_bytes_per_second
        if self.received < least * seconds:
            raise _RefusedError(
                f"too slow, {self.received} bytes in {seconds:.0f} s, less than "
                f"{least:.0f} bytes a second"
            )
        self.since, self.received = time.monotonic(), 0


@dataclass(frozen=True, eq=False)
class _Transfer:
    """One file from one host."""

    session: Session  # of the call
    wanted: _Wanted  # what is wanted
    url: str  # where from
    partial: Path  # what is here of it
    reporter: TransferReporter  # shows every block
    patience: Patience  # with the host
    pace: _Pace  # of the host


def _download(
    wanted: _Wanted,
    partial: Path,
    hosts: Sequence[str],
    reporter: TransferReporter,
    *,
    patience: Patience,
) -> str:
    """Fetch a file from the first host that has it; only the right content is left at `partial`.

    Returns
    -------
    Its SHA-256.
    """
    answers = []
    for host in hosts:
        url = f"{host}/{wanted.file.location}"
        reporter.begin(wanted.file.name)
        with _session() as session:
            transfer = _Transfer(session, wanted, url, partial, reporter, patience, _Pace(patience))
            try:
                return _complete(transfer)
            except (_RefusedError, _BrokenError) as err:
                answers.append(without_secrets(f"{url}: {err}"))
    raise _not_fetched(wanted.file, answers, expected=f"the file with {wanted}")


def _not_fetched(
    file: PinnedFile, answers: Sequence[str], *, expected: str | None = None
) -> DownloadError:
    return DownloadError(
        f"{file.name} cannot be fetched: {'; '.join(answers) or 'offline'}",
        expected=expected,
        remedy="check the network, the proxy (HTTPS_PROXY) or the mirror (DTG_MODEL_MIRROR)",
    )


def _session() -> Session:
    """Make a session that follows few redirects, and none from https to http."""
    import requests

    class Careful(requests.Session):
        def get_redirect_target(self, resp: Response) -> str | None:
            target = super().get_redirect_target(resp)
            if target is not None:
                resp.close()  # requests would read all of its body, and unpack it
            if target is not None and urlsplit(resp.url).scheme == "https":
                location = urljoin(resp.url, target)
                if urlsplit(location).scheme != "https":
                    raise requests.exceptions.InvalidSchema(f"a redirect from https to {location}")
            return target

    session = Careful()
    session.max_redirects = _MOST_REDIRECTS
    session.headers["User-Agent"] = f"bids_dtg/{__version__}"
    # A compressed answer could not be resumed.
    session.headers["Accept-Encoding"] = "identity"
    return session


def _complete(transfer: _Transfer) -> str:
    """Fetch the rest of a file and verify all of it; if the start was wrong, once more."""
    resumed = _size(transfer.partial) > 0
    _receive_repeatedly(transfer)
    sha256 = transfer.wanted.sha256_of(transfer.partial)
    if sha256 is not None:
        return sha256
    size, found = _size(transfer.partial), transfer.wanted.differing(transfer.partial)
    transfer.partial.unlink()
    if resumed:
        return _complete(transfer)
    raise _RefusedError(f"wrong content, {size} bytes with {found}")


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
        transfer.pace.count(0)


def _receive(transfer: _Transfer) -> None:
    """Ask for what is missing and append it to the partial file."""
    import requests
    import urllib3

    start = _size(transfer.partial)
    if start and start == transfer.wanted.file.size:
        return
    try:
        with _answer(transfer, {"Range": f"bytes={start}-"} if start else {}) as response:
            if start and response.status_code == 416:  # nothing is missing, or a wrong start
                return
            start = _agreed_start(response, start)
            transfer.pace.begin()
            total = _total(response, start, transfer)
            _append(response, transfer, start, total)
    except (
        requests.exceptions.SSLError,
        requests.exceptions.TooManyRedirects,
        urllib3.exceptions.SSLError,
    ) as err:
        raise _RefusedError(_reason(err)) from err
    except (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        urllib3.exceptions.HTTPError,
    ) as err:
        raise _BrokenError(_reason(err)) from err
    except (requests.RequestException, ValueError) as err:
        # A ValueError is of an address or a number in a header that cannot be read.
        raise _RefusedError(_reason(err)) from err


def _answer(transfer: _Transfer, headers: Mapping[str, str]) -> Response:
    """Ask; a host is left whose headers drip in: each of their bytes renews a socket's patience."""
    patience = transfer.patience
    timeouts = (patience.connect_seconds, patience.silent_seconds)
    return _within(
        patience.answer_seconds,
        "no answer",
        lambda: transfer.session.get(transfer.url, headers=headers, stream=True, timeout=timeouts),
    )


def _within(seconds: float, lack: str, step: Callable[[], _T]) -> _T:
    """Return what a step with a host returns; the host is left where it takes longer."""
    try:
        return _begun(step).result(seconds)
    except FutureTimeoutError as err:
        raise _RefusedError(f"{lack} within {seconds:g} s") from err


def _begun(step: Callable[[], _T]) -> Future[_T]:
    """Begin a step in a thread that no exit of the program waits for."""
    found: Future[_T] = Future()

    def take() -> None:
        try:
            found.set_result(step())
        except BaseException as err:
            found.set_exception(err)

    # It ends with its socket.
    threading.Thread(target=take, daemon=True).start()
    return found


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
    answer = _shortened(f"HTTP {status} {response.reason or ''}".strip())
    raise _BrokenError(answer) if status in _TRY_AGAIN else _RefusedError(answer)


def _total(response: Response, start: int, transfer: _Transfer) -> int | None:
    """Return the size that the file will have; refused where it is not the expected one."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _RefusedError("an encoded answer, which was not asked for")
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isascii() and length.isdigit() else None
    expected = transfer.wanted.file.size
    if total is not None and total != (expected or total):
        raise _RefusedError(f"wrong size, {total} bytes instead of {expected}")
    if total is not None and total > transfer.patience.largest_bytes:
        raise _RefusedError(f"wrong size, {total} bytes, more than any file that is fetched")
    return total


def _append(response: Response, transfer: _Transfer, start: int, total: int | None) -> None:
    expected = transfer.wanted.file.size
    limit = expected or transfer.patience.largest_bytes
    done = start
    with transfer.partial.open("ab") as out:
        out.truncate(start)
        while block := _next_block(response, transfer.patience):
            done += len(block)
            transfer.pace.count(len(block))
            if done > limit:
                out.truncate(0)
                raise _RefusedError(f"wrong size, more than {limit} bytes")
            out.write(block)
            transfer.reporter.advance(done, total)
    wanted = total or expected
    if wanted is not None and done < wanted:
        raise _BrokenError(f"cut off after {done} of {wanted} bytes")


def _next_block(response: Response, patience: Patience) -> bytes:
    """Return what has come: to wait for a whole block would hide how slowly it comes.

    What follows the last chunk of an answer may go on for ever without a byte of the file.
    """

    def read() -> bytes:
        block: bytes = response.raw.read1(_BLOCK)
        return block

    return _within(patience.answer_seconds, "no more of the file", read)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(err: Exception) -> str:
    """Return the inmost cause in one line: the wrappers around it only repeat addresses."""
    cause: BaseException = err
    while (inner := getattr(cause, "reason", None) or cause.__cause__ or cause.__context__) is not (
        None
    ) and isinstance(inner, BaseException):
        cause = inner
    return _shortened(without_secrets(" ".join(str(cause).split())) or type(cause).__name__)


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]} ..."
