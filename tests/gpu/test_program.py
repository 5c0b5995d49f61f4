"""Whole calls on a GPU: the maps are those of the CPU, and processes may share it."""

from __future__ import annotations

import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from tiny_job import TinyJob

from bids_dtg.engine.gpu import training_device

pytestmark = pytest.mark.gpu
PEOPLE = ("01", "02", "03", "04")


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> TinyJob:
    return TinyJob(tmp_path_factory.mktemp("gpu"), PEOPLE)


@pytest.fixture(scope="module")
def expected(job) -> dict[str, np.ndarray]:
    return maps(job, "cpu")


def maps(job: TinyJob, *words: object) -> dict[str, np.ndarray]:
    """Call the program as a user does; return its maps by their names."""
    out = job.folder / "-".join(map(str, words))
    device, *more = words
    arguments = job.arguments("--device", device, *more, out=out)
    program = [sys.executable, "-m", "bids_dtg.cli", *arguments]
    done = subprocess.run(program, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert "too little memory" not in done.stderr
    paths = sorted(out.rglob("*_desc-synthetic_statmap.nii.gz"))
    return {path.name: nib.load(path).get_fdata() for path in paths}


def require_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    assert len(found) == 3 * len(PEOPLE)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-5, err_msg=name)


def test_a_gpu_trains_where_nobody_names_one():
    assert training_device("auto", pytest.fail) == "cuda"


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_maps_of_a_call_are_those_of_the_cpu(job, expected, device):
    require_same(maps(job, device), expected)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_a_gpu(job, expected, processes):
    require_same(maps(job, "cuda", "--nprocs", processes), expected)
