"""Every attack of the table, on the whole program: what it must come to, and what must hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from attacks.cases import CASES

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
def server():
    """Return a process that attacks: one for each process of tests."""
    server = Server().begin()
    yield server
    server.end()


def marked(name: str):
    marks = [pytest.mark.slow]
    if name in OPEN:
        marks.append(pytest.mark.xfail(strict=True, reason=OPEN[name]))
    return pytest.param(name, marks=marks, id=name)


@pytest.mark.parametrize("name", [marked(name) for name in CASES])
def test_attack(server, name):
    answer = server.ask(name)
    assert not answer["wrong"], answer["stderr"]
