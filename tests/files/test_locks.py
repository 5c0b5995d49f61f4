from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bids_dtg.errors import OutputError, SettingsError
from bids_dtg.files.locks import Locks

HOLD = """
import sys, time
from pathlib import Path
from bids_dtg.files.locks import Locks
with Locks(Path(sys.argv[1]), print) as locks:
    print(locks.take(sys.argv[2]) is None, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "logs" / "locks"


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def locks(folder, notes):
    with Locks(folder, notes.append) as locks:
        yield locks


def hold(folder, name="model-own"):
    """Start a process that holds a lock until it is ended."""
    command = [sys.executable, "-c", HOLD, str(folder), name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    return process


def change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def age(path: Path, hours: float) -> None:
    then = time.time() - 3600 * hours
    os.utime(path, (then, then))


def test_a_call_on_names_of_any_bytes_gives_its_lock_back(folder, locks, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bids_dtg", os.fsdecode(b"in\xff\x1b[31m"), "out"])
    assert locks.take("sub-01") is None
    with Locks(folder, print) as others:
        assert r"bids_dtg in\xff\x1b[31m out" in others.take("sub-01").words
    locks.release("sub-01")
    assert not folder.exists()


def test_the_second_is_refused_with_owner_host_and_age(folder, locks):
    other = hold(folder)
    with pytest.raises(SettingsError) as caught:
        locks.require("model-own", what="/out/group/model-own", remedy="choose another name")
    line = str(caught.value)
    assert f"/out/group/model-own is in use by process {other.pid} on {os.uname()[1]}" in line
    assert "(begun " in line
    assert " s ago: -c " in line
    assert "wait until it has ended, or choose another name" in line
    assert str(folder / "model-own.lock") in line
    assert locks.take("model-other") is None
    other.communicate()
    assert locks.take("model-own") is None


def test_nothing_is_left(folder):
    def interrupted():
        with Locks(folder, print) as locks:
            assert locks.take("a") is None
            assert locks.take("a") is None
            assert [path.name for path in folder.iterdir()] == ["a.lock"]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not folder.exists()


def test_a_killed_process_s_lock_is_taken_over(folder, locks, notes):
    other = hold(folder)
    other.kill()
    other.wait()
    assert locks.take("model-own") is None
    assert [line.partition(" (")[0] for line in notes] == [
        f"taken over from a call that is gone: model-own, process {other.pid} on {os.uname()[1]}"
    ]
    assert [path.name for path in folder.iterdir()] == ["model-own.lock"]


def test_another_process_of_the_same_number_is_not_the_owner(folder, locks):
    with Locks(folder, print) as others:
        others.take("a")
        assert locks.take("a").process == os.getpid()
        change(folder / "a.lock", life="another boot 12")
        assert locks.take("a") is None
    # What is another's now is not released.
    assert (folder / "a.lock").exists()


def test_another_host_s_lock_counts_while_it_is_touched(folder, notes):
    quick = Locks(folder, notes.append, refresh_seconds=0.01)
    with Locks(folder, print) as others, quick as locks:
        others.take("a")
        change(folder / "a.lock", place="elsewhere", host="node7", process=99999999)
        age(folder / "a.lock", 2.9)
        assert locks.take("a").host == "node7"
        assert locks.others("a")[0].host == "node7"
        age(folder / "a.lock", 3.1)
        assert locks.take("a") is None
    assert "a looks left by process 99999999 on node7" in notes[0]
    assert "taken over from a call that is gone: a, process 99999999 on node7" in notes[1]


def test_a_clock_that_jumps_takes_no_lock_of_another_host(folder, monkeypatch):
    now = time.time
    mine = Locks(folder, print, refresh_seconds=0.05)
    with Locks(folder, print, refresh_seconds=0.01) as others, mine as locks:
        others.take("a")
        change(folder / "a.lock", place="elsewhere", host="node7", process=99999999)
        for years in (-3, 3):
            monkeypatch.setattr(time, "time", lambda years=years: now() + years * 365.25 * 86400)
            assert locks.take("a").host == "node7"
            assert locks.others("a")[0].words.startswith("process 99999999 on node7 (begun ")


@pytest.mark.parametrize("years", [-3, 3])
def test_a_clock_that_jumps_takes_no_lock_of_this_host(folder, locks, monkeypatch, years):
    other = hold(folder)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + years * 365.25 * 86400)
    assert locks.take("model-own").process == other.pid
    other.kill()
    other.wait()
    assert locks.take("model-own") is None


def test_held_locks_are_touched(folder):
    with Locks(folder, print, refresh_seconds=0.01) as locks:
        locks.take("a")
        age(folder / "a.lock", 5)
        end = time.monotonic() + 20
        while time.time() - (folder / "a.lock").stat().st_mtime > 3600:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_half_written_locks(folder, locks):
    folder.mkdir(parents=True)
    (folder / "a.lock").touch()
    assert locks.take("a").words == "a call that has just begun"
    age(folder / "a.lock", 0.1)
    assert locks.take("a") is None


def test_a_forked_process_releases_nothing(folder):
    with Locks(folder, print) as locks:
        locks.take("a")
        child = os.fork()
        if not child:
            locks.__exit__(None, None, None)
            os._exit(0)
        os.waitpid(child, 0)
        assert (folder / "a.lock").exists()


RACE = """
import sys, time
from pathlib import Path
from bids_dtg.files.locks import Locks
while not Path(sys.argv[2]).exists():
    time.sleep(0.001)
with Locks(Path(sys.argv[1]), lambda line: None) as locks:
    print(locks.take("a") is None, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_of_many_who_take_over_one_does(folder, tmp_path):
    other = hold(folder, "a")
    other.send_signal(signal.SIGKILL)
    other.wait()
    command = [sys.executable, "-c", RACE, str(folder), str(tmp_path / "go")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racers = [subprocess.Popen(command, **pipes) for _ in range(6)]
    (tmp_path / "go").touch()
    assert sorted(racer.stdout.readline().strip() for racer in racers) == ["False"] * 5 + ["True"]
    for racer in racers:
        racer.communicate()
    assert not folder.exists()


def test_a_lock_that_cannot_be_written_is_one_line(folder, locks):
    folder.parent.mkdir(parents=True)
    folder.write_text("")
    with pytest.raises(OutputError, match=r"a\.lock cannot be written"):
        locks.take("a")


def test_a_lock_whose_release_is_interrupted_is_given_back_at_the_end(folder, notes, monkeypatch):
    unlink, interruptions = Path.unlink, [KeyboardInterrupt()]

    def interrupted(path: Path) -> None:
        if interruptions:
            raise interruptions.pop()
        unlink(path)

    with Locks(folder, notes.append) as locks:
        assert locks.take("sub-01") is None
        monkeypatch.setattr(Path, "unlink", interrupted)
        with pytest.raises(KeyboardInterrupt):
            locks.release("sub-01")
    assert not folder.exists()


@pytest.fixture
def abroad(folder):
    """Another call's lock on `a`, as of a host that has been silent for long."""
    with Locks(folder, print) as others:
        others.take("a")
        change(folder / "a.lock", place="elsewhere", host="node7", process=99999999)
        age(folder / "a.lock", 4)
        yield folder / "a.lock"


@pytest.fixture
def dead(folder):
    """Another call's lock on `a`, whose process is gone."""
    with Locks(folder, print) as others:
        others.take("a")
        change(folder / "a.lock", life="another boot 12")
        yield folder / "a.lock"


def exclusively(act):
    """Return an os.open that does something else wherever a file is to be made anew."""
    real = os.open

    def opened(path, flags, *more):
        return act(real, path, flags, *more) if flags & os.O_EXCL else real(path, flags, *more)

    return opened


@pytest.mark.parametrize("since", ["yesterday", None, "2026-01-01T00:00:00"])
def test_an_age_that_cannot_be_read_is_told_as_unknown(folder, locks, since):
    with Locks(folder, print) as others:
        others.take("a")
        change(folder / "a.lock", since=since)
        assert " (begun at an unknown time: " in locks.take("a").words


def test_a_lock_that_is_released_as_it_is_asked_for_is_taken(folder, locks, monkeypatch):
    with Locks(folder, print) as others:
        others.take("a")

        def released(real, *given):
            try:
                return real(*given)
            finally:
                others.release("a")

        monkeypatch.setattr(os, "open", exclusively(released))
        assert locks.take("a") is None
        assert json.loads((folder / "a.lock").read_text())["process"] == os.getpid()


def test_a_lock_that_is_released_as_it_is_looked_at_is_free_the_next_time(
    folder, locks, monkeypatch
):
    now = time.time
    with Locks(folder, print) as others:
        others.take("a")

        def released():
            others.release("a")
            return now()

        monkeypatch.setattr(time, "time", released)
        assert locks.take("a").process == os.getpid()
        assert locks.take("a") is None


def test_a_lock_that_is_released_while_it_is_watched_is_free_the_next_time(
    abroad, locks, monkeypatch
):
    monkeypatch.setattr(time, "sleep", lambda seconds: abroad.unlink())
    assert locks.take("a").host == "node7"
    assert locks.take("a") is None


def test_a_folder_that_may_not_be_written_to_is_one_line(folder, locks, monkeypatch):
    def refuse(real, path, *_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr(os, "open", exclusively(refuse))
    with pytest.raises(OutputError, match=r"a\.lock cannot be written: Read-only.*mount this one"):
        locks.take("a")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_leaves_no_lock(folder, locks, monkeypatch):
    def full(handle, mode):
        os.close(handle)
        return Path("/dev/full").open(mode)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdopen", full)
        with pytest.raises(OutputError, match=r"a\.lock cannot be written: No space left"):
            locks.take("a")
    assert list(folder.iterdir()) == []
    assert locks.take("a") is None


def test_of_the_holders_this_call_is_none(folder, locks):
    assert locks.take("run-1") is None
    with Locks(folder, print) as others:
        assert others.take("run-2") is None
        assert [owner.process for owner in locks.others("run-")] == [os.getpid()]
    assert locks.others("run-") == ()


def test_a_holder_that_is_gone_is_none(dead, locks, notes):
    assert locks.others("a") == ()
    assert not dead.exists()
    assert notes[0].startswith(f"taken over from a call that is gone: a, process {os.getpid()} on ")


def test_a_lock_that_another_call_is_taking_over_is_left_to_it(dead, locks, notes, monkeypatch):
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    guard, content = dead.with_suffix(".taking"), dead.read_bytes()
    guard.touch()
    assert locks.take("a").life == "another boot 12"
    assert waited
    assert (dead.read_bytes(), guard.exists(), notes) == (content, True, [])
    # Its process was killed right there.
    age(guard, 0.1)
    assert locks.take("a") is None
    assert not guard.exists()
