"""A GPU with too little memory: the next smaller plan, finally the CPU, with a warning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from maps_bundle import write_tiny_bundle

from bids_dtg.connectome.connectome import Connectome
from bids_dtg.contrasts.participant.model import predict_maps

WHOLE = "cuda has too little memory for the plan of whole grids"
SLABS = "cuda has too little memory for the plan of slabs: going on with the plan of blocks on cpu"

# What torch, cuDNN and cuBLAS say of too little memory.
ERRORS = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError(
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    ),
    # Where there is no room for the work space of any algorithm.
    RuntimeError("GET was unable to find an engine to execute this computation"),
]


@pytest.fixture
def bundle(tmp_path):
    """A model whose grid has three slabs."""
    return write_tiny_bundle(tmp_path / "tiny", rois=4, features=4, shape=(40, 12, 9))


@pytest.fixture
def connectome(bundle) -> Connectome:
    values = np.random.default_rng(0).uniform(-1, 1, (4, bundle.places.number))
    return Connectome(values.astype(np.float32), frames=100, seconds=432.0)


@pytest.fixture
def pretended(bundle, monkeypatch):
    """Have the CPU pass for a GPU, on which convolutions of many values find no memory."""
    to_tensor = torch.Tensor.to
    to_module = torch.nn.Module.to
    convolve = torch.nn.functional.conv3d

    def here(place):
        kind = getattr(place, "type", place)
        return "cpu" if isinstance(kind, str) and kind.startswith("cuda") else place

    limits = {"values": 10**12, "error": ERRORS[0]}

    def limited(values, weight, *rest):
        read_and_written = (values.shape[1] + len(weight)) * values[0, 0].numel()
        if read_and_written > limits["values"]:
            raise limits["error"]
        return convolve(values, weight, *rest)

    ones = torch.ones
    monkeypatch.setattr(
        torch,
        "ones",
        lambda *size, device="cpu", **options: ones(
            *size, device=here(device), **options
        ),
    )
    for owner, move in ((torch.Tensor, to_tensor), (torch.nn.Module, to_module)):
        monkeypatch.setattr(
            owner,
            "to",
            lambda tensor, *a, _move=move, **k: _move(tensor, *map(here, a), **k),
        )
    monkeypatch.setattr(torch.nn.functional, "conv3d", limited)
    return limits


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error)[:40])
def test_a_full_gpu_leaves_the_work_to_the_cpu(pretended, bundle, connectome, error):
    expected = predict_maps(connectome, bundle, device="cpu").values
    pretended |= {"values": 1_000, "error": error}
    with pytest.warns(UserWarning, match=WHOLE) as warned:
        maps = predict_maps(connectome, bundle, device="cuda").values
    assert SLABS in [str(warning.message) for warning in warned]
    assert maps.tobytes() == expected.tobytes()


def test_a_gpu_that_nobody_names_makes_no_maps(
    pretended, bundle, connectome, monkeypatch
):
    exists = Path.exists
    monkeypatch.setattr(
        Path, "exists", lambda p: str(p) == "/dev/nvidiactl" or exists(p)
    )
    pretended |= {"values": 0, "error": RuntimeError("the GPU was used")}
    expected = predict_maps(connectome, bundle, device="cpu").values
    assert predict_maps(connectome, bundle).values.tobytes() == expected.tobytes()
    with pytest.raises(RuntimeError, match="the GPU was used"):
        predict_maps(connectome, bundle, device="cuda")
