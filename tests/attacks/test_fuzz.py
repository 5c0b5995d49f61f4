"""A thousand inputs made by chance, the same each time: no traceback, no hang."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COUNT, SEED = 1000, 1


@pytest.mark.slow
def test_a_thousand_inputs(tmp_path):
    words = ["--count", str(COUNT), "--seed", str(SEED), "--state", str(tmp_path / "state")]
    script = Path(__file__).with_name("fuzz.py")
    done = subprocess.run(
        [sys.executable, str(script), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert f"{COUNT} of {COUNT} inputs" in done.stdout
