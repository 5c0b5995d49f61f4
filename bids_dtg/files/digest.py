"""Digests of files, which pin the content whichever host serves it."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Literal

Algorithm = Literal["git", "md5", "sha256"]

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


def digest_of(path: Path, algorithm: Algorithm) -> Digest:
    """Read a file and return its digest.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as stream:
        if algorithm == "git":
            begun = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
            found = hashlib.file_digest(stream, lambda: begun)
        else:
            found = hashlib.file_digest(stream, algorithm)
    return Digest(algorithm, found.hexdigest())
