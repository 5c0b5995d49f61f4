"""Locks: one of several runs gets what cannot be shared, and dead processes hold nothing."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bids_dtg.errors import OutputError, SettingsError
from bids_dtg.files.locks import Locks, has_flock

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
    with Locks(folder) as second_call:
        assert r"bids_dtg in\xff\x1b[31m out" in second_call.take("sub-01")
    locks.release("sub-01")
    assert not [*folder.iterdir()]


def test_the_second_is_refused_with_owner_and_host(folder, locks):
    holder = hold(folder)
    with pytest.raises(SettingsError) as caught:
        locks.require(
            "model-own", what="/out/group/model-own", remedy="choose another name"
        )
    line = str(caught.value)
    assert (
        f"/out/group/model-own is in use by process {holder.pid} on {os.uname()[1]}"
        in line
    )
    assert re.search(r"\(begun \d\d \w+ \d\d:\d\d: -c ", line)
    assert "wait until it has ended, or choose another name" in line
    assert str(folder / "model-own.lock") in line
    assert locks.take("model-other") is None
    holder.communicate()
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
    holder = hold(folder)
    holder.kill()
    holder.wait()
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


def without_flock(monkeypatch, number):
    def missing(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", missing)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, 524])
def test_without_flock_a_lock_is_a_lease(folder, monkeypatch, number):
    without_flock(monkeypatch, number)
    with Locks(folder) as first, Locks(folder) as second:
        assert first.take("a") is None
        line = second.take("a")
        assert line.startswith(f"process {os.getpid()} on {os.uname()[1]} ")
        assert str(folder / "a.lease") in line
        assert re.search(r"expires in (300|299) s unless it is touched", line)
        first.release("a")
        assert second.take("a") is None
    assert not [*folder.iterdir()]


def leave_lease(folder, name="a"):
    """Write the lease of a process that was killed on another host."""
    with Locks(folder) as locks:
        assert locks.take(name) is None
        content = (folder / f"{name}.lease").read_bytes()
    content = content.replace(os.uname()[1].encode(), b"node-that-went-down")
    (folder / f"{name}.lease").write_bytes(content)


def pass_time(monkeypatch, seconds):
    clock = time.monotonic
    monkeypatch.setattr("time.monotonic", lambda: clock() + seconds)


def test_a_lease_that_nobody_touches_is_taken_after_its_time(folder, monkeypatch):
    without_flock(monkeypatch, errno.ENOLCK)
    leave_lease(folder)
    with Locks(folder) as locks:
        assert "on node-that-went-down (" in locks.take("a")
        pass_time(monkeypatch, 290)
        assert re.search("expires in (9|10) s", locks.take("a"))
        pass_time(monkeypatch, 15)
        assert locks.take("a") is None
    assert not [*folder.iterdir()]


def test_a_group_waits_for_a_lease_of_the_dead_but_not_of_the_living(
    folder, monkeypatch, capsys
):
    without_flock(monkeypatch, errno.ENOLCK)
    leave_lease(folder)
    looks = []

    def sleep(_):
        looks.append(1)
        pass_time(monkeypatch, 200)

    monkeypatch.setattr("time.sleep", sleep)
    with Locks(folder) as locks:
        locks.require("a", what="/out/group", remedy="end it")
        assert "/out/group is in use by process" in capsys.readouterr().err
        assert len(looks) == 2

    leave_lease(folder)
    monkeypatch.setattr("time.sleep", lambda _: os.utime(folder / "a.lease"))
    with Locks(folder) as locks, pytest.raises(SettingsError, match="went-down"):
        locks.require("a", what="/out/group", remedy="end it")


def test_who_lost_a_lease_is_stopped(folder, monkeypatch):
    without_flock(monkeypatch, errno.ENOLCK)
    with Locks(folder) as locks:
        assert locks.take("a") is None
        claim = locks.claim("a")
        locks.require_claim("a", claim)
        (folder / "a.lease").unlink()
        leave_lease(folder)
        with pytest.raises(OutputError, match=r"a\.lease was taken by another run"):
            locks.require_claim("a", claim)


def test_with_flock_nothing_can_be_lost(folder, locks):
    assert locks.take("a") is None
    claim = locks.claim("a")
    (folder / "a.lock").unlink()
    locks.require_claim("a", claim)


def test_a_host_with_flock_respects_a_lease(folder, locks, monkeypatch):
    with monkeypatch.context() as patch:
        without_flock(patch, errno.ENOLCK)
        leave_lease(folder, "sub-01")
    has_flock.cache_clear()
    assert "node-that-went-down" in locks.take("sub-01")
    pass_time(monkeypatch, 301)
    assert locks.take("sub-01") is None
    locks.release("sub-01")
    assert not [*folder.iterdir()]


def test_a_host_without_flock_respects_a_lock(folder, monkeypatch):
    folder.mkdir(parents=True)
    lock = folder / "sub-01.lock"
    lock.write_text("process 12 on node-7 (begun 1 Jan 10:00: bids_dtg)")
    without_flock(monkeypatch, errno.ENOLCK)
    with Locks(folder) as locks:
        line = locks.take("sub-01")
        assert "process 12 on node-7" in line
        assert f"remove {lock}" in line
        # Of this host, and no such process.
        lock.write_text(f"process 99999999 on {os.uname()[1]} (begun 1 Jan 10:00: x)")
        assert locks.take("sub-01") is None
