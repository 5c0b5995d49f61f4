from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from bids_dtg.errors import RunError
from bids_dtg.workflows.participant.crew import Done, run_crew
from bids_dtg.workflows.participant.worker import Shown


def quick(label, reporter):
    reporter.start(label)
    if label == "bad":
        raise RunError("no such run")
    if label == "worse":
        raise ZeroDivisionError("a fault of ours")
    if label == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    reporter.finish(str(os.getpid()))


def fresh():
    return quick


def outcome(labels, processes, **more):
    with closing(run_crew(labels, lambda: quick, processes, **{"forked": True} | more)) as messages:
        return list(messages)


def failures(messages):
    return {one.label: one.failure for _, one in messages if isinstance(one, Done)}


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_each_is_done_once_and_in_lanes(processes):
    labels = [f"{n:02d}" for n in range(7)]
    messages = outcome(labels, processes)
    assert failures(messages) == dict.fromkeys(labels)
    assert sum(isinstance(one, Done) for _, one in messages) == len(labels)
    assert {lane for lane, _ in messages} == set(range(processes))
    workers = {one.arguments for _, one in messages if one.__dict__.get("method") == "finish"}
    assert len(workers) == processes


def test_what_goes_wrong_costs_one_participant():
    labels = ["a", "bad", "killed", "worse", "killed", "b", "c"]
    found = failures(outcome(labels, 2))
    assert found.pop("bad") == str(RunError("no such run"))
    assert found.pop("worse") == "internal error: ZeroDivisionError: a fault of ours"
    assert "ended by SIGKILL" in found.pop("killed")
    assert found == dict.fromkeys("abc")


def test_all_may_be_killed():
    found = failures(outcome([f"{n}" for n in range(3)], 2))
    assert set(found.values()) == {None}
    assert failures(outcome(["killed"], 3))["killed"]


def test_processes_can_be_started_afresh():
    with closing(run_crew(["a", "bad"], fresh, 1, forked=False)) as messages:
        found = list(messages)
    assert failures(found)["a"] is None
    assert failures(found)["bad"] is not None
    assert (0, Shown("start", ("a",))) in found


def slow(label, reporter):
    reporter.note(str(os.getpid()))
    time.sleep(60)


def test_closing_ends_all():
    messages = run_crew(["a", "b"], lambda: slow, 2, forked=True)
    pids = [int(next(messages)[1].arguments[0]) for _ in range(2)]
    messages.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
