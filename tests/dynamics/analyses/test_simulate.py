"""Simulated sessions are written, and repeat."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tiny_networks import FRAMES, PEOPLE, REGIONS

Call = Callable[..., int]


def test_simulations_are_written_and_repeat(bundle: Path, call: Call, out: Path) -> None:
    path = out / "group" / "simulation-own" / "desc-simulated_series.npz"
    assert call("simulate", "--model", str(bundle), "--simulations", "3") == 0
    before = path.read_bytes()
    with np.load(path) as arrays:
        assert arrays["simulated"].shape == (4, 3, len(REGIONS), FRAMES)
        assert list(arrays["people"]) == PEOPLE
        assert np.isfinite(arrays["simulated"]).all()
    assert call("simulate", "--model", str(bundle), "--simulations", "3") == 0
    assert path.read_bytes() == before
    assert json.loads(path.with_suffix(".json").read_text())["RepetitionTime"] == 0.8
