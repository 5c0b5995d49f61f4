"""Which device computes: those that are there, and a line on a GPU that is not used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from bids_dtg.engine.gpu import map_device, resolve_device, spare_gpu_note, training_device
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


@pytest.fixture
def driver(monkeypatch):
    """Have a driver's device file be there."""
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/nvidiactl")


def device_and_lines(wanted: str) -> tuple[str, list[str]]:
    lines: list[str] = []
    return training_device(wanted, lines.append), lines


@pytest.mark.parametrize(
    ("torch_version", "words"),
    [("2.13.0+cpu", "this PyTorch is the build for CPUs"), ("2.13.0", "PyTorch cannot use it")],
)
def test_a_gpu_that_cannot_train_has_its_line(monkeypatch, driver, torch_version, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("importlib.metadata.version", lambda _name: torch_version)
    device, (line,) = device_and_lines("auto")
    assert device == "cpu"
    assert words in line


def test_who_trains_misses_no_gpu_that_is_used_absent_or_not_wanted(monkeypatch, driver):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", None)  # else there must be a GPU to ask
    assert device_and_lines("auto") == ("cuda", [])
    assert device_and_lines("cpu") == ("cpu", [])
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    assert device_and_lines("auto") == ("cpu", [])


def test_maps_are_made_on_the_cpu_unless_a_gpu_is_asked_for(monkeypatch, driver):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.version, "cuda", None)  # else there must be a GPU to ask
    assert [map_device(wanted) for wanted in ("auto", "cpu", "cuda")] == ["cpu", "cpu", "cuda"]
    notes = [spare_gpu_note(wanted) for wanted in ("auto", "cpu", "cuda")]
    assert notes[1:] == [None, None]
    assert notes[0] is not None
    assert "--device cuda uses it" in notes[0]
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    assert spare_gpu_note("auto") is None


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
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "2.13.0")
    device, (line,) = device_and_lines("auto")
    assert device == "cpu"
    assert words in line
    with pytest.raises(SettingsError, match=re.escape(f"was given, but this PyTorch has {words}")):
        resolve_device("cuda")
