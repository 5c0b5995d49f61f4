"""Locks: one of several runs gets what cannot be shared, and dead processes hold nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bids_dtg.errors import OutputError, SettingsError
from bids_dtg.files.locks import Locks

HOLD = """
import sys
from pathlib import Path
from bids_dtg.files.locks import Locks
with Locks(Path(sys.argv[1])) as locks:
    print(locks.take(sys.argv[2]) is None, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "logs" / "locks"


@pytest.fixture
def locks(folder):
    with Locks(folder) as locks:
        yield locks


def begin(folder, name="model-own"):
    """Start a process that takes a lock until it is ended."""
    command = [sys.executable, "-c", HOLD, str(folder), name]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def hold(folder, name="model-own"):
    process = begin(folder, name)
    assert process.stdout.readline() == "True\n"
    return process


def test_a_call_on_names_of_any_bytes_gives_its_lock_back(folder, locks, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["bids_dtg", os.fsdecode(b"in\xff\x1b[31m"), "out"]
    )
    assert locks.take("sub-01") is None
    with Locks(folder) as others:
        assert r"bids_dtg in\xff\x1b[31m out" in others.take("sub-01")
    locks.release("sub-01")
    assert not [*folder.iterdir()]


def test_the_second_is_refused_with_owner_and_host(folder, locks):
    other = hold(folder)
    with pytest.raises(SettingsError) as caught:
        locks.require(
            "model-own", what="/out/group/model-own", remedy="choose another name"
        )
    line = str(caught.value)
    assert (
        f"/out/group/model-own is in use by process {other.pid} on {os.uname()[1]}"
        in line
    )
    assert re.search(r"\(begun \d\d \w+ \d\d:\d\d: -c ", line)
    assert "wait until it has ended, or choose another name" in line
    assert str(folder / "model-own.lock") in line
    assert locks.take("model-other") is None
    other.communicate()
    assert locks.take("model-own") is None


def test_nothing_is_left(folder):
    def interrupted():
        with Locks(folder) as locks:
            assert locks.take("a") is None
            assert locks.take("a") is None
            assert [path.name for path in folder.iterdir()] == ["a.lock"]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not [*folder.iterdir()]


def test_a_killed_process_blocks_nobody(folder, locks):
    other = hold(folder)
    other.kill()
    other.wait()
    assert locks.take("model-own") is None


@pytest.mark.slow
def test_of_many_one_has_it(folder):
    folder.mkdir(parents=True)
    (folder / "a.lock").write_text("left by a process that was killed")
    racers = [begin(folder, "a") for _ in range(6)]
    assert sorted(racer.stdout.readline().strip() for racer in racers) == [
        "False"
    ] * 5 + ["True"]
    for racer in racers:
        racer.communicate()
    assert not [*folder.iterdir()]


def test_a_lock_that_cannot_be_written_is_one_line(folder, locks):
    folder.parent.mkdir(parents=True)
    folder.write_text("")
    with pytest.raises(OutputError, match=r"a\.lock cannot be written"):
        locks.take("a")


def test_without_flock_the_file_itself_is_the_lock(folder, monkeypatch):
    def missing(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", missing)
    monkeypatch.setattr("warnings.warn", lambda *_, **__: None)
    with Locks(folder) as mine, Locks(folder) as others:
        assert mine.take("a") is None
        assert others.take("a").startswith(f"{os.getpid()} {os.uname()[1]}")
        mine.release("a")
        assert others.take("a") is None
    assert not [*folder.iterdir()]
