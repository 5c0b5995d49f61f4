"""The converter of TCP's parcellated series, on files of the inferred layout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "tcp" / "convert.py"
PARCELS = 434


def add(source: Path, person: str, run: str, values: np.ndarray) -> None:
    path = source / f"NDAR_INV{person}" / f"x_task-{run}_run-01_space-x_parcellated.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["group/data"], file["time"] = values, np.arange(9.0)


@pytest.mark.slow
def test_rest_becomes_edges_and_tasks_bold(tmp_path):
    rng = np.random.default_rng(0)
    source = tmp_path / "source"
    out = tmp_path / "tcp.npz"
    rest = rng.normal(size=(3, PARCELS, 60))
    add(source, "AB123CD4", "restAP", rest[0])
    add(source, "AB123CD4", "restPA", rest[1].T)
    add(source, "EF567GH8", "restAP", rest[2])
    task = rng.normal(size=(PARCELS, 50))
    add(source, "EF567GH8", "stroopAP", task)
    add(
        source,
        "EF567GH8",
        "hammerAP",
        np.where(np.arange(PARCELS)[:, None] == 3, 1.0, task),
    )
    gone = source / "NDAR_INVEF567GH8" / "x_task-restPA_run-01_parcellated.h5"
    gone.symlink_to("not-here")
    done = subprocess.run(
        [sys.executable, SCRIPT, source, out],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("left out: ") == 2
    assert "2 people with rest, 1 runs of tasks" in done.stdout
    above = np.triu_indices(PARCELS, 1)
    wanted = np.mean(
        [np.arctanh(np.corrcoef(values)[above]) for values in rest[:2]], axis=0
    )
    with np.load(out) as file:
        assert file["people"].tolist() == ["NDARINVAB123CD4", "NDARINVEF567GH8"]
        np.testing.assert_allclose(file["edges"][0], wanted, atol=1e-5)
        assert file["task_bold"].shape == (2, 3, PARCELS, 50)
        assert np.isnan(file["task_bold"][0]).all()
        np.testing.assert_allclose(file["task_bold"][1, 1], task, atol=1e-5)
