"""Pinned files, downloaded over HTTP and verified before use."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bids_dtg.errors import DownloadError, OutputError
from bids_dtg.files.locks import Locks
from bids_dtg.notices import without_secrets
from bids_dtg.progress import Reporter, step
from bids_dtg.version import __version__

MIRROR_VARIABLE = "DTG_MODEL_MIRROR"
OFFLINE_VARIABLE = "DTG_OFFLINE"
# Folder of downloads and the lock, inside the folder that files are fetched into.
WORK_FOLDER = ".downloads"

_TIMEOUTS = 8.0, 30.0  # seconds: to connect, and between two pieces of data
_WAIT_SECONDS = 5.0  # between two looks whether another process has ended
_RETRIES = 2
_PIECE_BYTES = 2**16
_LONGEST = 200  # characters of another program's message


@dataclass(frozen=True)
class PinnedFile:
    """A public file that is identified by its digest, whichever host serves it."""

    location: str  # path below a host's base URL
    digest: str  # algorithm:hexadecimal; git: SHA-1 of b"blob <size>\0" and the content
    size: int | None = None  # bytes, if known

    @property
    def name(self) -> str:
        """Name of the file, without its folder."""
        return PurePosixPath(self.location).name

    @property
    def local_name(self) -> str:
        """Name of a downloaded copy."""
        return f"{self.digest.partition(':')[2][:12]}-{self.name}"

    def is_at(self, path: Path) -> bool:
        """Return whether a file has the pinned content."""
        algorithm, _, expected = self.digest.partition(":")
        if algorithm == "git":
            header = b"blob %d\0" % path.stat().st_size
            hasher = hashlib.sha1(header, usedforsecurity=False)
        else:
            hasher = hashlib.new(algorithm)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hasher)
        return digest.hexdigest() == expected


def download_hosts(env: Mapping[str, str], public: str) -> list[str]:
    """List the base URLs to try, in order: mirrors, then the public host; none if offline.

    Parameters
    ----------
    env
        Environment variables: `DTG_MODEL_MIRROR` lists mirrors, separated by spaces;
        `DTG_OFFLINE`, set to anything but 0, forbids all downloads.
    public
        Base URL of the public host.

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
    return [*(mirror.rstrip("/") for mirror in mirrors), public]


@contextmanager
def download_folder(folder: Path, reporter: Reporter, *, remedy: str) -> Iterator[Path]:
    """Lock the download folder inside a folder, for use by this process alone.

    Half-written files of killed processes are removed; complete files are kept. Folders that are
    made here and stay empty, as nothing could be fetched, are removed.

    Parameters
    ----------
    folder
        Folder that files are fetched into; created if needed.
    reporter
        Reports that this process is waiting for another one.
    remedy
        What to do if the folder cannot be written to.

    Raises
    ------
    OutputError
        The folder cannot be written to.
    """
    work = folder / WORK_FOLDER
    new_folders = [
        path for path in (work, folder, *folder.parents) if not path.exists()
    ]
    try:
        with _locked(work, folder, reporter, remedy):
            yield work
    finally:
        for path in new_folders:
            with suppress(OSError):  # it has files
                path.rmdir()


@contextmanager
def _locked(
    work: Path, folder: Path, reporter: Reporter, remedy: str
) -> Iterator[None]:
    """Lock the download folder, and remove half-written files."""
    with Locks(work) as locks:
        try:
            if holder := locks.take("download"):
                reporter.note(
                    f"waiting for {holder}, which is downloading into {folder}"
                )
                # For as long as it takes.
                while locks.take("download", wait=_WAIT_SECONDS):
                    step(f"waiting for {holder}")
        except OutputError as err:
            raise err.as_kind(OutputError, remedy=remedy) from err
        for path in work.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name.startswith("tmp"):  # pooch's
                path.unlink(missing_ok=True)
        yield


def obtain_file(
    file: PinnedFile, folder: Path, hosts: Sequence[str], reporter: Reporter
) -> Path:
    """Return a verified copy of a file in `folder`, downloading it if necessary.

    Parameters
    ----------
    file
        The file to obtain: address, size and digest.
    folder
        Existing folder that this process has locked.
    hosts
        Base URLs, tried in this order; an empty list means offline.
    reporter
        Shows the progress of the download.

    Raises
    ------
    DownloadError
        No host has the file with the right content; the message quotes their answers.
    OutputError
        The file cannot be written.
    """
    path = folder / file.local_name
    answers = []
    try:
        if path.is_file():  # from an earlier run
            if file.is_at(path):
                return path
            path.unlink()
        for host in hosts:
            url = f"{host}/{file.location}"
            reason = _fetch(file, url, path, reporter)
            if reason is None:
                return path
            answers.append(without_secrets(f"{url}: {reason}"))
    except OSError as err:
        raise OutputError(
            f"{file.name} cannot be saved in {folder}: {err.strerror or err}",
            remedy="free space, or choose another folder; files fetched so far will be used",
        ) from err
    raise DownloadError(
        f"{file.name} cannot be fetched: {'; '.join(answers) or 'offline'}",
        remedy="check the network, HTTPS_PROXY or DTG_MODEL_MIRROR",
    )


def _fetch(file: PinnedFile, url: str, path: Path, reporter: Reporter) -> str | None:
    """Download a file to a path; return the reason for a failure, None if it is there."""
    import pooch
    import requests

    # By default it shows addresses with passwords.
    pooch.get_logger().setLevel("WARNING")
    headers = {
        "User-Agent": f"bids_dtg/{__version__}",
        "Accept-Encoding": "identity",
    }
    download = pooch.HTTPDownloader(
        progressbar=_Progress(file, reporter),
        chunk_size=_PIECE_BYTES,
        timeout=_TIMEOUTS,
        headers=headers,
    )
    store = pooch.create(
        path.parent,
        "",
        registry={path.name: None},  # verified below, as pooch does not know git's ids
        urls={path.name: url},
        retry_if_failed=_RETRIES,
    )
    try:
        store.fetch(path.name, downloader=download)
    except (requests.RequestException, ValueError) as err:
        return _reason(err)
    if file.is_at(path):
        # pooch lets only the owner read it, but the folder may be shared.
        path.chmod(path.parent.stat().st_mode & 0o666)
        return None
    reason = f"wrong content, {path.stat().st_size} bytes, not {file.digest}"
    path.unlink()
    return reason


class _Progress:
    """Progress bar with the interface that pooch requires; it ends a download that is too long."""

    def __init__(self, file: PinnedFile, reporter: Reporter) -> None:
        self._total = 0
        self._done = 0
        self._file = file
        self._reporter = reporter

    @property
    def total(self) -> int:
        return self._total

    @total.setter
    def total(self, total: int) -> None:
        """Begin a download of so many bytes; 0: the host does not say."""
        self._total = total
        self._done = 0

    def update(self, size: int) -> None:
        self._done += size
        # pooch adds the size of its pieces, of which the last one may be smaller.
        size_of_file = self._file.size
        if size_of_file is not None and self._done > size_of_file + _PIECE_BYTES:
            raise ValueError(
                f"more than the {size_of_file} bytes of the file were sent"
            )
        share = self._done / self.total if self.total else 0.0
        megabytes = self._done / 1e6
        self._reporter.stage(f"{self._file.name}, {megabytes:.1f} MB", min(share, 1.0))

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        pass


def _reason(err: Exception) -> str:
    """Return the innermost cause in one line, as the exceptions around it only repeat addresses."""
    response = getattr(err, "response", None)
    if response is not None:
        return f"HTTP {response.status_code} {response.reason or ''}".strip()
    cause = getattr(err, "reason", None) or err.__context__
    while isinstance(cause, Exception):
        err = cause
        cause = getattr(err, "reason", None) or err.__context__
    return " ".join(str(err).split())[:_LONGEST] or type(err).__name__
