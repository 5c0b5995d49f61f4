"""Tests that need a GPU; without one they are skipped, with the reason."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The forms of the network that `benchmarks/gpu.py` times are compared here.
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


def why_no_gpu() -> str | None:
    """Return why torch has no GPU to work on; None where it has one."""
    import torch

    if torch.version.cuda is None and torch.version.hip is None:
        return f"this PyTorch ({torch.__version__}) is a build for CPUs: see docs/how-to/gpu.md"
    if not torch.cuda.is_available():
        return f"PyTorch {torch.__version__} finds no GPU: see what nvidia-smi says"
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and (reason := why_no_gpu()):
        pytest.skip(reason)


@pytest.fixture(autouse=True, scope="module")
def tiny_layers(one_thread: None) -> None:
    """Compute tiny layers on one thread."""
