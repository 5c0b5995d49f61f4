"""Inputs made by chance, the same each time: no traceback, no hang."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COUNT = 150


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_some_hundred_inputs(seed, tmp_path):
    script = Path(__file__).with_name("fuzz.py")
    command = [sys.executable, str(script), "--count", str(COUNT), "--seed", str(seed)]
    said = subprocess.run(
        [*command, "--state", str(tmp_path / "state")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert said.returncode == 0, said.stdout[-8000:]
    assert f"{COUNT} of {COUNT} inputs" in said.stdout
