"""The SHA-256 of a file is found once while the file stays as it was."""

from __future__ import annotations

import hashlib
import io
import os
import time
from pathlib import Path

import pytest

from bids_dtg.files.digest import sha256_of_file

HOUR = 3600 * 10**9  # ns


@pytest.fixture
def file(tmp_path):
    (tmp_path / "weights").write_bytes(b"weights")
    with (tmp_path / "weights").open("rb") as file:
        yield file


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_it_is_read_once_while_it_stays_as_it_was(file, monkeypatch):
    later = time.time_ns() + HOUR
    monkeypatch.setattr(time, "time_ns", lambda: later)
    assert sha256_of_file(file) == digest(b"weights")
    file.seek(0, io.SEEK_END)
    assert sha256_of_file(file) == digest(b"weights")  # though nothing is left to read
    before = os.fstat(file.fileno())
    path = Path(file.name)
    with path.open("r+b") as changed:
        changed.write(b"W")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    file.seek(0)
    assert sha256_of_file(file) == digest(b"Weights")


def test_what_has_just_changed_is_read_anew(file):
    assert sha256_of_file(file) == digest(b"weights")
    file.seek(0, io.SEEK_END)
    assert sha256_of_file(file) == digest(b"")
