"""Which device computes: those that are there, and a line on a GPU that is not used."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

from bids_dtg.engine.gpu import device_note, resolve_device
from bids_dtg.errors import SettingsError


def test_auto_is_the_cpu_where_no_driver_is(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("torch was asked"))
    assert resolve_device("auto") == "cpu"
    assert resolve_device("cpu") == "cpu"


@pytest.mark.parametrize(("found", "device"), [(True, "cuda"), (False, "cpu")])
def test_auto_asks_torch_where_a_driver_is(monkeypatch, found, device):
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/nvidiactl")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: found)
    monkeypatch.setattr(torch.version, "cuda", None)  # else there must be a GPU to ask
    assert resolve_device("auto") == device


@pytest.mark.parametrize(
    ("driver", "torch_version", "words"),
    [
        (False, "2.13.0", "no GPU was found: the model runs on the CPU"),
        (True, "2.13.0+cpu", "this PyTorch is the build for CPUs"),
        (True, "2.13.0", "PyTorch cannot use it"),
    ],
)
def test_a_missing_gpu_has_its_line(monkeypatch, driver, torch_version, words):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "exists", lambda path: driver and str(path) == "/dev/nvidiactl")
    monkeypatch.setattr("importlib.metadata.version", lambda _name: torch_version)
    note = device_note("auto", "cpu")
    assert note is not None
    assert words in note


def test_a_gpu_without_pytorch_has_its_line(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/nvidiactl")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert resolve_device("auto") == "cpu"
    note = device_note("auto", "cpu")
    assert note is not None
    assert "PyTorch is not installed" in note
    assert "pip install '.[torch]'" in note


@pytest.mark.parametrize(("wanted", "device"), [("cpu", "cpu"), ("auto", "cuda")])
def test_nobody_misses_a_gpu_that_is_used_or_not_wanted(monkeypatch, wanted, device):
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    assert device_note(wanted, device) is None


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.version, "cuda", None)  # else there must be a GPU to ask
    assert resolve_device("cuda:1") == "cuda:1"
    with pytest.raises(SettingsError, match="--device cuda:2 was given, but torch finds 2 CUDA"):
        resolve_device("cuda:2")


@pytest.fixture
def gpu(monkeypatch):
    """Have torch, built for CUDA 13, find two GPUs; return what gives them a capability."""

    def make(capability: tuple[int, int], code: str = "sm_75 sm_80 sm_90 sm_120 compute_120"):
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/nvidiactl")
        facts = {
            "is_available": True,
            "device_count": 2,
            "get_device_capability": capability,
            "get_device_name": "Tesla V100",
            "get_arch_list": code.split(),
        }
        for name, fact in facts.items():
            monkeypatch.setattr(torch.cuda, name, lambda *_, fact=fact: fact)

    return make


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (8, 9), (9, 0), (12, 0), (12, 1), (13, 0)])
def test_a_gpu_that_torch_has_code_for_is_taken(gpu, capability):
    gpu(capability)
    assert resolve_device("auto") == "cuda"
    assert resolve_device("cuda:1") == "cuda:1"


@pytest.mark.parametrize("capability", [(6, 0), (7, 0), (10, 0), (11, 0)])
def test_a_gpu_that_torch_has_no_code_for_is_left_alone_with_a_line(gpu, capability, monkeypatch):
    gpu(capability)
    words = "no code for the GPU (Tesla V100, compute capability {}.{})".format(*capability)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "2.13.0")
    assert resolve_device("auto") == "cpu"
    assert words in device_note("auto", "cpu")
    with pytest.raises(SettingsError, match=re.escape(f"was given, but this PyTorch has {words}")):
        resolve_device("cuda")
