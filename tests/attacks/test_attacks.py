"""Every attack of the table, on the whole program: what it must come to, and what must hold."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attacks.cases import CASES

CORES = len(os.sched_getaffinity(0))
# What does not hold yet, by what is to be done; the cases say so when it does.
OPEN: dict[str, str] = {}


class Server:
    """A process that attacks; it forks, so that it is none with threads."""

    def __init__(self) -> None:
        words = [sys.executable, str(Path(__file__).with_name("attacker.py"))]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin(self) -> Server:
        self._answer()
        return self

    def ask(self, name: str) -> dict:
        print(json.dumps(name), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        assert line, f"the process that attacks has ended: {self._process.wait()}"
        return json.loads(line)

    def end(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=60)


@pytest.fixture(scope="module")
def answers(request):
    """Have all attacks that are asked for made, one on each core; return name -> its answer."""
    asked = [item.callspec.params["name"] for item in request.session.items if is_attack(item)]
    free = queue.SimpleQueue()
    servers = [Server() for _ in range(min(len(asked), CORES))]
    for server in servers:
        free.put(server.begin())

    def attack(name: str) -> dict:
        server = free.get()
        try:
            return server.ask(name)
        finally:
            free.put(server)

    with ThreadPoolExecutor(len(servers)) as pool:
        yield {name: pool.submit(attack, name) for name in asked}
        pool.shutdown(cancel_futures=True)
    for server in servers:
        server.end()


def is_attack(item) -> bool:
    return getattr(item, "originalname", "") == "test_attack"


def marked(name: str):
    marks = [pytest.mark.slow]
    if name in OPEN:
        marks.append(pytest.mark.xfail(strict=True, reason=OPEN[name]))
    return pytest.param(name, marks=marks, id=name)


@pytest.mark.parametrize("name", [marked(name) for name in CASES])
def test_attack(answers, name):
    answer = answers[name].result()
    assert not answer["wrong"], answer["stderr"]
