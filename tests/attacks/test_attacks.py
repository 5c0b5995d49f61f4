"""Every attack of the table, on the whole program: what it must come to, and what must hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from attacks.cases import CASES

# What does not hold yet, by what is to be done; the cases say so when it does.
OPEN: dict[str, str] = {
    **dict.fromkeys(
        ("mask-flat", "mask-of-1-gibibyte", "atlas-huge"), "M5: images bounded by their headers"
    ),
    "bold-affine-1e30": "low: an affine of 1e30 mm",
    **dict.fromkeys(
        (
            "confounds-of-no-value",
            "confounds-infinite",
            "confounds-an-infinite-cell",
            "confounds-a-number-of-5000-digits",
        ),
        "confounds that are not finite are taken in silence",
    ),
    "output-nul": "low: a NUL in OUTPUT_DIR",
    "input-long": "low: a path too long for the system",
    **dict.fromkeys(
        (
            "participant-not-utf8",
            "not_utf8_in_the_way_to_the_input",
            "not_utf8_in_the_way_to_the_output",
        ),
        "M1: names that are not UTF-8",
    ),
    "models-unpack-gone": "the folder of models is made before the archive is looked at",
}


class Server:
    """The process that attacks; it forks, so that it is none with threads."""

    def __init__(self) -> None:
        words = [sys.executable, str(Path(__file__).with_name("attacker.py"))]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()

    def ask(self, question: object) -> dict:
        print(json.dumps(question), file=self._process.stdin, flush=True)
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
    server = Server()
    yield server
    server.end()


def marked(name: str):
    marks = [pytest.mark.slow]
    if name in OPEN:
        marks.append(pytest.mark.xfail(strict=True, reason=OPEN[name]))
    return pytest.param(name, marks=marks, id=name)


def assert_holds(server: Server, name: str) -> None:
    answer = server.ask(name)
    assert not answer["wrong"], answer["stderr"]


@pytest.mark.parametrize("name", [marked(name) for name in CASES])
def test_attack(server, name):
    assert_holds(server, name)
