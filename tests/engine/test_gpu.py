"""Which device computes, and what is said of a GPU that cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bids_dtg.engine.machine import map_device, training_device
from bids_dtg.errors import SettingsError

_ones = torch.ones
NO_CODE = "CUDA error: no kernel image is available for execution on the device"


@pytest.fixture
def driver(monkeypatch):
    """Have a driver's device file be there."""
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/nvidiactl")


@pytest.fixture
def works(monkeypatch):
    """Have PyTorch compute on cuda and cuda:1 alone, or nowhere."""

    def make(*devices: str) -> None:
        def ones(size: int, device: str) -> torch.Tensor:
            if device not in devices:
                raise RuntimeError(f"{NO_CODE}\nmore of it")
            return _ones(size)

        monkeypatch.setattr(torch, "ones", ones)

    return make


def device_and_lines(wanted: str) -> tuple[str, list[str]]:
    lines: list[str] = []
    return training_device(wanted, lines.append), lines


def test_auto_is_the_cpu_where_no_driver_is(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    monkeypatch.setattr(torch, "ones", lambda *_, **__: pytest.fail("torch was asked"))
    for wanted in ("auto", "cpu"):
        assert device_and_lines(wanted) == ("cpu", [])


def test_a_gpu_that_computes_trains_and_makes_maps_where_it_is_asked_for(driver, works):
    works("cuda", "cuda:1")
    assert device_and_lines("auto") == ("cuda", [])
    assert device_and_lines("cpu") == ("cpu", [])
    assert [map_device(wanted) for wanted in ("auto", "cpu", "cuda:1")] == [
        "cpu",
        "cpu",
        "cuda:1",
    ]


def test_a_gpu_that_cannot_compute_has_its_line(driver, works):
    works()
    device, (line,) = device_and_lines("auto")
    assert device == "cpu"
    assert f"as PyTorch says: {NO_CODE}. To do: check the driver" in line
    with pytest.raises(
        SettingsError, match=f"--device cuda:2 was given, but .*: {NO_CODE}"
    ):
        map_device("cuda:2")
