"""A thousand inputs made by chance, the same each time: no traceback, no hang."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COUNT, SEEDS = 500, (1, 2)  # a process a seed


@pytest.mark.slow
def test_a_thousand_inputs(tmp_path):
    script = Path(__file__).with_name("fuzz.py")
    command = [sys.executable, str(script), "--count", str(COUNT)]
    started = [
        subprocess.Popen(
            [*command, "--seed", str(seed), "--state", str(tmp_path / str(seed))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for seed in SEEDS
    ]
    for process in started:
        said = process.communicate()[0]
        assert process.returncode == 0, said[-8000:]
        assert f"{COUNT} of {COUNT} inputs" in said
