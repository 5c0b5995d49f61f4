"""Which device computes: what ``--device`` asks for, and the GPUs that PyTorch can use here."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from bids_dtg.errors import SettingsError
from bids_dtg.extras import require

# A driver's device files: where there is none, torch need not be imported to know it.
_GPU_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
_TO_DO = (
    "check the driver, how the GPU is passed on (docker --gpus all, apptainer --nv), and that "
    "PyTorch is a build for this GPU (docs/how-to/gpu.md)"
)


def map_device(wanted: str) -> str:
    """Turn ``--device`` into the device that makes maps: auto takes the CPU.

    A network's pass is a small part of a participant's time, and PyTorch and a GPU's driver take
    longer to start than they save (docs/evidence.md).

    Raises
    ------
    SettingsError
        The device that was asked for is not there, or PyTorch is not.
    """
    return "cpu" if wanted == "auto" else resolve_device(wanted)


def spare_gpu_note(wanted: str) -> str | None:
    """Return a line on a GPU that makes no maps although it could; None if there is none."""
    if wanted != "auto" or not _driver_is_there() or find_spec("torch") is None:
        return None
    return (
        "a GPU was found and is not used: with four cores or more the CPU makes maps as fast or "
        "faster. --device cuda uses it"
    )


def training_device(wanted: str, report: Callable[[str], None]) -> str:
    """Turn ``--device`` into the device that trains, and report a GPU that cannot.

    Raises
    ------
    SettingsError
        The device that was asked for is not there, or PyTorch is not.
    """
    device = resolve_device(wanted)
    if wanted == "auto" and device == "cpu" and _driver_is_there():
        why = _why_not("cuda")
        report(f"a GPU was found, and the CPU trains, as PyTorch says: {why}. To do: {_TO_DO}")
    return device


def resolve_device(wanted: str) -> str:
    """Turn ``--device`` into a device that is there: auto takes a CUDA GPU where there is one.

    Raises
    ------
    SettingsError
        The device that was asked for is not there, or PyTorch is not.
    """
    if wanted == "cpu" or (wanted == "auto" and not _driver_is_there()):
        return "cpu"
    require(f"--device {wanted}", "torch", extra="torch", otherwise="--device cpu")
    why = _why_not("cuda" if wanted == "auto" else wanted)
    if wanted == "auto":
        return "cuda" if why is None else "cpu"
    if why is not None:
        raise SettingsError(
            f"--device {wanted} was given, but PyTorch cannot compute on it: {why}",
            remedy=f"use --device cpu, or {_TO_DO}",
        )
    return wanted


def _driver_is_there() -> bool:
    return any(map(Path.exists, _GPU_DEVICES))


def _why_not(device: str) -> str | None:
    """Return why PyTorch cannot add two numbers on a device, in its words; None: it can."""
    import torch

    try:
        torch.ones(1, device=device).add(1).item()
    except Exception as err:  # AssertionError, RuntimeError, NotImplementedError
        return re.split(r"\n|\. ", str(err).strip())[0].rstrip(".")  # its first sentence
    return None
