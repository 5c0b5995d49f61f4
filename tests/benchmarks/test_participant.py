"""Ratios of the benchmark of a participant are of neighbours, and are kept by name."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from participant import (  # noqa: E402
    FUNC,
    GRID_STEM,
    Finished,
    Side,
    kept_dataset,
    ratios,
    recorded,
    run,
)


def side(walls, peak):
    runs = [Finished(wall, 2 * wall, 0.0, "") for wall in walls]
    return Side(runs, Finished(100.0, 100.0, peak, ""))


def test_ratios_are_of_neighbours():
    plain, ours = side([30.0, 80.0, 10.0], 9000.0), side([3.0, 4.0, 2.0], 500.0)
    assert plain.times(ours, "wall_s") == [5.0, 10.0, 20.0]
    assert plain.times(ours, "peak_mb") == [18.0]
    assert (
        ratios(plain, ours) == "wall  10.0 (5.0 to 20.0), cpu 10.0, peak memory 18.0"
    )  # of the medians it would be 10, too; of 30 / 4 it would not


def test_figures_are_kept_by_name():
    mine = {"simple": side([3.0, 5.0], 500.0), "none": side([2.0, 2.0], 400.0)}
    assert recorded(mine, {"published": side([60.0, 50.0], 9000.0)}) == {
        "simple: wall_s": 4.0,
        "simple: cpu_s": 8.0,
        "simple: peak_mb": 500.0,
        "none: wall_s": 2.0,
        "none: cpu_s": 4.0,
        "none: peak_mb": 400.0,
        "published / simple: wall": 15.0,
        "published / simple: cpu": 15.0,
        "published / simple: peak": 18.0,
    }


def test_kept_data_of_another_length_are_refused(tmp_path):
    path = tmp_path / "fmriprep" / FUNC / f"{GRID_STEM}preproc_bold.nii.gz"
    path.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2, 9), np.int16), np.eye(4)), path)
    assert kept_dataset(tmp_path, 9) == tmp_path / "fmriprep"
    with pytest.raises(SystemExit, match="has a run of 9 volumes, not 490"):
        kept_dataset(tmp_path, 490)


@pytest.mark.slow
def test_memory_is_that_of_a_program_with_its_children():
    child = "import time; held = bytearray(60_000_000); time.sleep(1)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert 60 < run([sys.executable, "-c", parent], memory=True).peak_mb < 200
    assert run([sys.executable, "-c", ""], memory=False).peak_mb == 0
