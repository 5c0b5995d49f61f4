"""The benchmark of many participants prints the table of the documentation."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from throughput import SINGLE, Timed, figures, table  # noqa: E402


def test_figures_are_of_a_participant():
    made = [Timed(wall, 2 * wall, {}) for wall in (40.0, 24.0, 32.0)]
    assert figures(made, 500.0, 8) == {"wall_s": 4.0, "cpu_s": 8.0, "peak_mb": 500.0}


def test_table_names_what_somebody_types():
    single = {"wall_s": 6.0, "cpu_s": 9.04, "peak_mb": 520.0}
    many = {"wall_s": 3.0, "cpu_s": 6.0, "peak_mb": 1130.0}
    _, _, *rows = table({SINGLE: single, "2 x 1": many, "default with reports": many}, 2)
    assert rows == [
        "| single calls | 6.0 s | 9.0 s | 600 | 300 | 0.5 GB |",
        "| one call, `--nprocs 2 --omp-nthreads 1` | 3.0 s | 6.0 s | 1,200 | 600 | 1.1 GB |",
        "| default with reports | 3.0 s | 6.0 s | 1,200 | 600 | 1.1 GB |",
    ]
