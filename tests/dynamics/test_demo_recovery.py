"""The demo of the published network model: what it writes, and what it says of how well it does."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_dtg.dynamics.demo_recovery import (
    RECIPE,
    run_network_demo,
)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_small_demo_writes_all_its_files(tmp_path, capsys):
    pytest.importorskip("lightning", reason="training needs lightning")
    run_network_demo(tmp_path, participants=3, regions=4, recipe=replace(RECIPE, epochs=2))
    out = capsys.readouterr().out
    assert "SIMULATED" in out
    # Each printed beside the model.
    assert all(f"\n  {name} " in out for name in ("network model", "variance", "peak frequency"))
    rows, truth = rows_of(tmp_path / "demo.tsv"), rows_of(tmp_path / "simulated" / "truth.tsv")
    assert len(rows) == 12
    assert np.allclose(
        *([float(row[k]) for row in r] for r, k in ((rows, "f_true"), (truth, "f"))), atol=1e-5
    )
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
