"""The model of a run: a network is prepared while other work goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from maps_bundle import write_tiny_bundle
from maps_job import TinyJob

from bids_dtg.contrasts.participant.model import Model, bytes_needed
from bids_dtg.errors import RunError


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 GiB for an array"),
        RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 B"
        ),
    ],
)
def test_too_little_memory_is_one_line(tmp_path, monkeypatch, error):
    bundle = write_tiny_bundle(tmp_path / "tiny")
    connectome, model = (
        np.zeros((4, bundle.places.number), np.float32),
        Model(bundle, "cpu", 1),
    )
    model.predict(connectome)  # prepares it

    def exhausted(*_, **__):
        raise error

    monkeypatch.setattr(
        np, "ascontiguousarray", exhausted
    )  # which takes the connectome
    with pytest.raises(
        RunError, match=r"too little memory for the network.*fewer --nprocs"
    ):
        model.predict(connectome)


@pytest.mark.slow
def test_a_smaller_plan_is_reported_once(tmp_path, monkeypatch):
    bundle = write_tiny_bundle(tmp_path / "tiny")
    connectome = np.zeros((4, bundle.places.number), np.float32)

    def full(_network, device):
        assert device.type == "cuda"
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    model = Model(bundle, "cuda", 1)
    expected = Model(bundle, "cpu", 1).predict(connectome)
    assert model.predict(connectome).tobytes() == expected.tobytes()
    first, second = model.take_notes()
    assert "cuda has too little memory for the plan of whole grids" in first
    assert "going on with the plan of blocks on cpu" in second
    model.predict(connectome)
    assert model.take_notes() == ()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="no priorities of threads")
def test_a_program_that_is_nice_already_stays_so(tmp_path, monkeypatch):
    """Only root may raise a priority, and a root in a container may not either."""
    set_to = []
    monkeypatch.setattr(os, "getpriority", lambda *_: 15)
    monkeypatch.setattr(
        os, "setpriority", lambda _kind, _thread, niceness: set_to.append(niceness)
    )
    bundle = write_tiny_bundle(tmp_path / "tiny")
    Model(bundle, "cpu", 1).predict(np.zeros((4, bundle.places.number), np.float32))
    assert set_to == [15]


def test_a_process_needs_more_for_a_larger_model():
    voxels = 158_680  # of the published models
    needed = partial(bytes_needed, on_cpu=True)
    assert 0.75e9 < needed(voxels) < 1.1e9
    assert needed(2 * voxels) > needed(voxels) > needed(1000)
    # As the demo's took for a run that is not on its grid, with the page; and a tiny one's.
    assert needed(163_310) > 1.014e9
    assert 0.35e9 < needed(1000) < 0.4e9


def test_a_process_with_a_gpu_needs_memory_for_torch_too():
    assert bytes_needed(1000, on_cpu=False) > bytes_needed(1000, on_cpu=True) + 0.3e9
    assert (
        bytes_needed(163310, 265, on_cpu=True) > 1.0e9
    )  # as five sets of ROI maps took


@pytest.mark.slow
def test_maps_on_the_cpu_need_no_torch(tmp_path):
    """In none of a call's processes: this torch tells who imports it."""
    first, reported = tmp_path / "first", tmp_path / "reported"
    first.mkdir()
    (first / "torch.py").write_text(
        f"import pathlib, sys\npathlib.Path({str(reported)!r}).write_text(sys.argv[0])\n"
        "raise ImportError('torch was imported')\n"
    )
    job = TinyJob(tmp_path)
    command = [sys.executable, "-m", "bids_dtg.cli", *job.arguments("--device", "cpu")]
    path = os.pathsep.join([str(first), *filter(None, sys.path)])
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path})
    assert [*job.out.glob("sub-01/func/*_statmap.nii.gz")]
    assert not reported.exists()
