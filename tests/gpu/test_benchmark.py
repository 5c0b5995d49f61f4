"""The script that measures a GPU, tried on the CPU: it prints tables for docs/evidence.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_tables_have_a_row_for_each_thing_measured():
    words = ("--small", "--device", "cpu", "--only", "forward", "training")
    done = subprocess.run(
        [sys.executable, SCRIPT, *words, "--forms", "dense", "tf32", "graph"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [len(row) for row in rows] == [7] * 5 + [4] * 6
    graph = next(row for row in rows if row[0] == "| CUDA graph")
    assert graph[1] == "needs a GPU"
    dense = next(row for row in rows if "plan of whole grids" in row[0])
    assert float(dense[5]) == 1.0
    assert float(dense[6].removesuffix(" |")) < 2e-6
    updates = [row for row in rows if row[0] in ("| 32-true", "| bf16-mixed")]
    assert [row[1] for row in updates] == ["4", "4", "8", "12", "12"]
    assert all(float(row[2]) >= 0 for row in updates)
