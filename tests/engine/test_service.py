"""Requests to a background program: in order; if it dies, only one is lost."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from bids_dtg.engine.child import Service

PROGRAM = """
import json, os, sys, time
assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "die":
        os.kill(os.getpid(), 9)
    if request["do"] == "wait":
        time.sleep(60)
    made = None if request["do"] == "make" else f"no {request['do']} by {os.getpid()}"
    print(json.dumps(made), flush=True)
"""
COMMAND = [sys.executable, "-c", PROGRAM]


class Answers(list):
    """The label of each request, and why it failed, or None."""

    def take(self, label: str, error: str | None) -> None:
        self.append((label, error))


def test_answers_come_in_order_from_one_process_as_long_as_it_lives():
    answers = Answers()
    service = Service(COMMAND, answers.take)
    for label, do in enumerate(["make", "a", "b", "die", "c"]):
        service.request(str(label), {"do": do})
    service.close()
    (_, made), (_, first), (_, second), dead, (_, last) = answers
    assert [label for label, _ in answers] == ["0", "1", "2", "3", "4"]
    assert made is None
    assert [first[:8], second[:8], last[:8]] == ["no a by ", "no b by ", "no c by "]
    assert first[8:] == second[8:] != last[8:]
    assert dead == ("3", "its process died: it was ended by SIGKILL (out of memory?)")


def test_a_program_that_cannot_be_started_is_an_error_of_each_request(tmp_path):
    answers = Answers()
    service = Service([str(tmp_path / "none")], answers.take)
    service.request("a", {})
    service.close()
    ((label, error),) = answers
    assert label == "a"
    assert "No such file" in error


def test_what_was_begun_answers_or_ends_unasked(tmp_path):
    started = tmp_path / "started"
    program = f"open({str(started)!r}, 'a').write('x')\n{PROGRAM}"
    answers = Answers()
    service = Service([sys.executable, "-c", program], answers.take)
    service.begin()
    while not started.exists():
        time.sleep(0.01)
    service.request("a", {"do": "make"})
    service.close()
    assert answers == [("a", None)]
    assert started.read_text() == "x"
    waited = tmp_path / "waited"
    program = f"import time; time.sleep(60); open({str(waited)!r}, 'w')"
    unasked = Service([sys.executable, "-c", program], answers.take)
    unasked.begin()
    unasked.close()  # it is ended, and not waited for
    assert not waited.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_given_up_at_once():
    answers, begun = Answers(), threading.Event()

    def take(label: str, error: str | None) -> None:
        answers.take(label, error)
        begun.set()

    service = Service(COMMAND, take)
    for do in ("a", "wait", "b"):
        service.request(do, {"do": do})
    assert begun.wait(30)
    start = time.monotonic()
    service.close(at_once=True)
    assert time.monotonic() - start < 50  # it would answer in 60
    ((label, error),) = answers
    assert label == "a"
    assert not Path(f"/proc/{error.removeprefix('no a by ')}").exists()
