"""Digests of files, which pin the content whichever host serves it."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hashlib import _Hash

Algorithm = Literal["git", "md5", "sha256"]

_BLOCK = 1 << 20  # bytes read at a time
_LONG_AGO = 2_000_000_000  # ns; times of files are as coarse as 2 s
_found: dict[tuple[int, ...], str] = {}  # by the state of a file

_IN_WORDS: Mapping[Algorithm, str] = {
    "git": "git's blob id",
    "md5": "MD5",
    "sha256": "SHA-256",
}


@dataclass(frozen=True)
class Digest:
    """A digest of a file's content."""

    algorithm: Algorithm  # git: SHA-1 of b"blob <size>\0" and the content
    hexadecimal: str  # in small letters

    def __str__(self) -> str:
        return f"{_IN_WORDS[self.algorithm]} {self.hexadecimal}"


def sha256_of_file(file: BufferedReader) -> str:
    """Return the SHA-256 (hexadecimal) of an open file.

    That of a file which this process, or the one that forked it, has read before is remembered
    while the file stays as it was, by its inode, size and times.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    before, state = time.time_ns(), file_state(os.fstat(file.fileno()))
    if state in _found:
        return _found[state]
    found = hashlib.file_digest(file, "sha256").hexdigest()
    # A further change of a file that has just changed may leave its times as they are.
    if before - max(state[-2:]) > _LONG_AGO:
        _found[state] = found
    return found


def file_state(status: os.stat_result) -> tuple[int, ...]:
    """Return what is another one once a file was changed: device, inode, size and two times."""
    times = status.st_mtime_ns, status.st_ctime_ns
    return status.st_dev, status.st_ino, status.st_size, *times


def read_digests(path: Path, algorithms: Iterable[Algorithm]) -> dict[Algorithm, Digest]:
    """Read a file once and return its digest by each of some algorithms.

    Parameters
    ----------
    path
        A file of any kind and size: it is read in blocks.
    algorithms
        Names of the digests to compute, as of `hashlib`.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as stream:
        size = path.stat().st_size
        running = {algorithm: _begun(algorithm, size) for algorithm in algorithms}
        while block := stream.read(_BLOCK):
            for digest in running.values():
                digest.update(block)
    return {name: Digest(name, digest.hexdigest()) for name, digest in running.items()}


def _begun(algorithm: Algorithm, size: int) -> _Hash:
    if algorithm == "sha256":
        return hashlib.sha256()
    if algorithm == "md5":
        return hashlib.md5(usedforsecurity=False)
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
