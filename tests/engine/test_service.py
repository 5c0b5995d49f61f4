"""Requests to a background program: in order; if it dies, only one is lost."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from bids_dtg.engine.child import Service
from bids_dtg.engine.work import End

PROGRAM = """
import json, os, sys, time
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "die":
        os.kill(os.getpid(), 9)
    if request["do"] == "wait":
        time.sleep(60)
    did, waits = request["do"], os.environ["OMP_WAIT_POLICY"]
    print(json.dumps({"process": os.getpid(), "did": did, "waits": waits}), flush=True)
"""
COMMAND = [sys.executable, "-c", PROGRAM]


def test_answers_come_in_order_from_one_process_as_long_as_it_lives():
    answers = []
    service = Service(COMMAND, answers.append)
    for label, do in enumerate(["a", "b", "die", "c"]):
        service.request(str(label), {"do": do})
    service.close()
    assert [answer.label for answer in answers] == ["0", "1", "2", "3"]
    first, second, dead, last = answers
    assert first.result is not None
    assert [first.result["did"], second.result["did"], last.result["did"]] == ["a", "b", "c"]
    assert first.result["process"] == second.result["process"] != last.result["process"]
    assert dead == End("2", died="it was ended by SIGKILL (out of memory?)")


def test_a_program_that_cannot_be_started_is_an_error_of_each_request(tmp_path):
    answers = []
    service = Service([str(tmp_path / "none")], answers.append)
    service.request("a", {})
    service.close()
    (answer,) = answers
    assert answer.label == "a"
    assert isinstance(answer.error, FileNotFoundError)


def test_what_was_begun_answers_or_ends_unasked(tmp_path):
    started = tmp_path / "started"
    program = f"open({str(started)!r}, 'a').write('x')\n{PROGRAM}"
    answers = []
    service = Service([sys.executable, "-c", program], answers.append)
    service.begin()
    while not started.exists():
        time.sleep(0.01)
    service.request("a", {"do": "a"})
    service.close()
    assert [answer.result["did"] for answer in answers] == ["a"]
    assert started.read_text() == "x"
    waited = tmp_path / "waited"
    program = f"import time; time.sleep(60); open({str(waited)!r}, 'w')"
    unasked = Service([sys.executable, "-c", program], answers.append)
    unasked.begin()
    unasked.close()  # it is ended, and not waited for
    assert not waited.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_given_up_at_once():
    answers, begun = [], threading.Event()

    def take(answer) -> None:
        answers.append(answer)
        begun.set()

    service = Service(COMMAND, take)
    for do in ("a", "wait", "b"):
        service.request(do, {"do": do})
    assert begun.wait(30)
    start = time.monotonic()
    service.close(at_once=True)
    assert time.monotonic() - start < 50  # it would answer in 60
    assert [answer.label for answer in answers] == ["a"]
    assert not Path(f"/proc/{answers[0].result['process']}").exists()
