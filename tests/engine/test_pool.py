"""Parallel processes: each unit once, what is lost when one ends, and when all is given up."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from bids_dtg.engine.ahead import AheadWork, ReaderDiedError
from bids_dtg.engine.pool import Pool
from bids_dtg.engine.work import Backlog, End, Happened
from bids_dtg.errors import LimitError, RunError
from bids_dtg.progress import step

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="no process is forked here"
)

LABELS = [f"{number:02d}" for number in range(7)]


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Once:
    """Returns True a number of times, in all processes together."""

    def __init__(self, folder: Path, times: int = 1) -> None:
        self.folder, self.times = folder, times
        folder.mkdir()

    def __call__(self) -> bool:
        for number in range(self.times):
            try:
                (self.folder / str(number)).touch(exist_ok=False)
            except FileExistsError:
                continue
            return True
        return False

    @property
    def count(self) -> int:
        return len(list(self.folder.iterdir()))


def quick(label, reporter):
    if label == "bad":
        raise RunError("no such run")
    if label == "worse":
        raise ZeroDivisionError("a fault of ours")
    if label == "killed":
        die()
    reporter.finish(str(os.getpid()))
    return f"result of {label}"


def prepare_quick():
    return quick


def together(folder: Path, processes: int, label, reporter):
    """Answer once all processes have a unit: none does the work of one that is slow to begin."""
    (folder / str(os.getpid())).touch()
    until = time.monotonic() + 60
    while len(list(folder.iterdir())) < processes and time.monotonic() < until:
        time.sleep(0.005)
    return quick(label, reporter)


def run(pool: Pool, labels) -> list:
    with closing(pool.run(Backlog(labels))) as messages:
        return list(messages)


def ends(messages) -> dict:
    """Return label -> how it ended; each has ended once."""
    end_messages = [m for _, m in messages if isinstance(m, End)]
    assert set(Counter(end.label for end in end_messages).values()) <= {1}
    return {end.label: end for end in end_messages}


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_each_is_done_once_and_in_lanes(processes, tmp_path):
    work = partial(together, tmp_path, processes)
    messages = run(Pool(lambda: work, processes, forked=True), LABELS)
    assert ends(messages) == {
        label: End(label, f"result of {label}") for label in LABELS
    }
    assert {lane for lane, _ in messages} == set(range(processes))
    workers = {
        message for _, message in messages if getattr(message, "kind", "") == "line"
    }
    assert len(workers) == processes


def test_what_goes_wrong_costs_one_unit():
    labels = ["a", "bad", "killed", "worse", "b", "c"]
    outcomes = ends(run(Pool(prepare_quick, 2, forked=True), labels))
    bad, worse = outcomes.pop("bad"), outcomes.pop("worse")
    assert str(bad.error) == str(RunError("no such run"))
    assert repr(worse.error) == "ZeroDivisionError('a fault of ours')"
    assert outcomes.pop("killed") == End(
        "killed", died="it was ended by SIGKILL (out of memory?)"
    )
    assert outcomes == {label: End(label, f"result of {label}") for label in "abc"}


def test_processes_can_be_started_afresh():
    """As they are where a GPU is: its driver does not outlive a fork."""
    messages = run(Pool(prepare_quick, 1, forked=False), ["a", "bad"])
    assert (0, Happened("began", "a")) in messages
    outcomes = ends(messages)
    assert outcomes["a"] == End("a", "result of a")
    assert outcomes["bad"].error is not None


def slow(label, reporter):
    reporter.note(str(os.getpid()))
    time.sleep(60)


def test_closing_ends_all():
    messages = Pool(lambda: slow, 2, forked=True).run(Backlog("ab"))
    seen = []
    while len(seen) < 2:
        _, message = next(messages)
        if message.kind != "began":
            seen.append(int(message.text))
    messages.close()
    assert not any(Path(f"/proc/{process}").exists() for process in seen)


# --- the first half of the work runs ahead


class Halves(AheadWork[str, str]):
    """Reads two events of each label, and joins them; where it dies is set by the tests."""

    def __init__(self, where: dict[str, object]) -> None:
        self.where = where

    def happen(self, half: str, label: str) -> None:
        self.where.get(f"{half} {label}", lambda: None)()

    def read(self, label, send):
        send(f"first of {label}")
        self.happen("read", label)
        send(f"second of {label}")

    def finish(self, label, events, reporter):
        self.happen("finish", label)
        try:
            return ", ".join(events)
        except ReaderDiedError as err:
            return f"broken: {err}"


def whole(label: str) -> End[str]:
    return End(label, f"first of {label}, second of {label}")


def run_halves(where: dict[str, object], processes: int = 1, labels=LABELS) -> list:
    return run(Pool(partial(Halves, where), processes, forked=True), labels)


@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_read_ahead_reaches_its_unit(processes):
    outcomes = ends(run_halves({}, processes))
    assert outcomes == {label: whole(label) for label in LABELS}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_worker_killed_at_work_costs_that_unit_only(processes):
    outcomes = ends(run_halves({"finish 02": die}, processes))
    assert outcomes.pop("02").died == "it was ended by SIGKILL (out of memory?)"
    assert outcomes == {label: whole(label) for label in LABELS if label != "02"}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_reader_killed_costs_that_unit_only(processes):
    outcomes = ends(run_halves({"read 02": die}, processes))
    assert (
        outcomes.pop("02").result == "broken: it was ended by SIGKILL (out of memory?)"
    )
    assert outcomes == {label: whole(label) for label in LABELS if label != "02"}


def test_a_unit_that_leaves_events_unread_does_not_disturb_the_next():
    class Hasty(Halves):
        def finish(self, label, events, reporter):
            if label == "01":
                raise RunError("not needed")
            return super().finish(label, events, reporter)

    outcomes = ends(run(Pool(lambda: Hasty({}), 1, forked=True), LABELS))
    assert outcomes.pop("01").error is not None
    assert outcomes == {label: whole(label) for label in LABELS if label != "01"}


@pytest.mark.slow
def test_readers_killed_at_every_unit_do_not_end_the_work():
    outcomes = ends(run_halves({f"read {label}": die for label in LABELS}))
    broken = "broken: it was ended by SIGKILL (out of memory?)"
    assert outcomes == {label: End(label, broken) for label in LABELS}


# --- processes that are stuck


@pytest.fixture
def soon(monkeypatch) -> None:
    monkeypatch.setattr("bids_dtg.engine.pool._STUCK_SECONDS", 0.5)
    monkeypatch.setattr("bids_dtg.engine.pool._LOOK_SECONDS", 0.05)


def wait_after_a_step() -> None:
    step("opening a.h5")
    time.sleep(60)


@pytest.mark.slow
@pytest.mark.parametrize("half", ["read", "finish"])
def test_stuck_work_costs_its_unit_however_often(soon, half):
    stuck = LABELS[1:6]  # more than the deaths that end a pool
    outcomes = ends(
        run_halves({f"{half} {label}": wait_after_a_step for label in stuck})
    )
    for label in stuck:
        error = str(outcomes.pop(label).error)
        assert error.startswith(
            "it took too long: no step for 0 s; the last one was opening a.h5."
        )
    assert outcomes == {label: whole(label) for label in LABELS if label not in stuck}


@pytest.mark.slow
def test_slow_work_with_steps_is_not_stuck(soon):
    def go_on() -> None:
        for _ in range(15):
            time.sleep(0.1)
            step("sampling")

    where = {"read 01": go_on, "finish 02": go_on}
    assert ends(run_halves(where)) == {label: whole(label) for label in LABELS}


# --- processes that die at once


class DiesAtOnce(Halves):
    """Its reader, or the process itself, ends before it has read anything."""

    def __init__(self, deaths: Once, *, reader: bool) -> None:
        super().__init__({})
        self.deaths, self.reader = deaths, reader
        if not reader and deaths():
            die()

    def read(self, label, send):
        raise AssertionError("nothing is read")


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_that_die_at_once_are_given_up(tmp_path, processes):
    deaths = Once(tmp_path / "deaths", 100)
    pool = Pool(partial(DiesAtOnce, deaths, reader=False), processes, forked=True)
    with pytest.raises(
        RunError, match=r"3 processes in a row .* ended by SIGKILL \(out of memory"
    ):
        run(pool, "abcd")
    assert 3 <= deaths.count <= 5


def start_no_process():
    raise BlockingIOError(11, "Resource temporarily unavailable")


def test_a_host_that_starts_no_process_ends_the_pool_at_once(monkeypatch):
    monkeypatch.setattr("os.fork", start_no_process)
    pool = Pool(lambda: quick, 1, forked=True)
    with pytest.raises(LimitError, match="no further process or thread"):
        list(pool.run(Backlog(LABELS)))


def test_a_worker_that_can_start_no_process_ends_the_pool_without_a_traceback(capfd):
    pool = Pool(start_no_process, 1, forked=True)
    with pytest.raises(LimitError, match="no further process or thread"):
        list(pool.run(Backlog(LABELS)))
    assert "Traceback" not in capfd.readouterr().err
