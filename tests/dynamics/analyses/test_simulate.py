"""Simulated sessions are written and can be reproduced."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest
from network_arrays import FRAMES, PEOPLE, REGIONS
from safetensors.numpy import load_file, save_file


@pytest.mark.slow
def test_simulations_are_written_and_repeat(bundle, call, out):
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


@pytest.mark.slow
def test_a_model_whose_activity_has_no_bounds_is_refused(
    bundle, call, tmp_path, out, capsys
):
    model = shutil.copytree(bundle, tmp_path / "bundle")
    weights = model / "weights.safetensors"
    large = load_file(weights)
    for name in (name for name in large if name.startswith("transition")):
        large[name] = large[name] * np.float32(1e6)
    weights.unlink()
    save_file(large, weights)
    card = json.loads((model / "model.json").read_text())
    card["files"][weights.name] = hashlib.sha256(weights.read_bytes()).hexdigest()
    (model / "model.json").write_text(json.dumps(card))
    words = ("--model", str(model), "--model-name", "large", "--simulations", "2")
    assert call("simulate", *words) == 2
    assert "diverges in all simulations" in capsys.readouterr().err
    assert not (out / "group/simulation-large/desc-simulated_series.npz").exists()
    assert call("fixed-points", *words[:-2], "--participant-label", PEOPLE[0]) == 0
    assert call("evaluate", *words) == 1
    assert f"error: sub-{PEOPLE[0]}: all simulations" in capsys.readouterr().err
    page = (out / "group/evaluation-large/network_report.html").read_text()
    assert "8 of 8 simulations diverged and were left out" in page
