"""Which device computes: what ``--device`` asks for, and the GPUs that PyTorch can use here."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from bids_dtg.errors import SettingsError
from bids_dtg.extras import require

_OLDER_BUILD = "install a build of PyTorch for an older CUDA (docs/how-to/gpu.md)"
_CODE = re.compile(r"\b(sm|compute)_(\d+)")  # as PyTorch names what it was built for
# A driver's device files: where there is none, torch need not be imported to know it.
_GPU_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


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
        report(_why_not_used())
    return device


def _driver_is_there() -> bool:
    return any(map(Path.exists, _GPU_DEVICES))


def _why_not_used() -> str:
    from importlib.metadata import version  # its import takes as long as all others here together

    # PyTorch's builds differ in the suffix of their version.
    if version("torch").endswith("+cpu"):
        return (
            "a GPU was found, but this PyTorch is the build for CPUs, and the CPU trains. To do: "
            "install PyTorch for CUDA, or build the image without TORCH=cpu"
        )
    if (gpu := _unsupported_gpu(0)) is not None:
        return f"{gpu}: the CPU trains. To do: {_OLDER_BUILD}"
    return (
        "a GPU was found, but PyTorch cannot use it, and the CPU trains. To do: check the driver, "
        "and how the GPU is passed on (docker --gpus all, apptainer --nv)"
    )


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
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() and _unsupported_gpu(0) is None else "cpu"
    kind, _, number = wanted.partition(":")
    if kind == "mps":
        if not torch.backends.mps.is_available():
            raise SettingsError("--device mps was given, but torch finds no such device")
        return "mps"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= count:
        raise SettingsError(
            f"--device {wanted} was given, but torch finds {count} CUDA devices",
            remedy="use --device cpu, or check the driver and how the GPU is passed on "
            "(docker --gpus all, apptainer --nv)",
        )
    if (gpu := _unsupported_gpu(int(number or 0))) is not None:
        raise SettingsError(
            f"--device {wanted} was given, but {gpu}", remedy=f"use --device cpu, or {_OLDER_BUILD}"
        )
    return wanted


def _unsupported_gpu(number: int) -> str | None:
    """Say of a GPU that this build of PyTorch has no code for it; None where it has, or no GPU is.

    A build has code for a list of compute capabilities. Code of one runs on those of the same
    first number that are not below it; what it brings to be compiled runs on any that is not.
    """
    import torch

    if torch.version.cuda is None or not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability(number)
    for kind, code in _CODE.findall(" ".join(torch.cuda.get_arch_list())):
        first, second = divmod(int(code), 10)
        is_compiled_here = kind == "compute" and (first, second) <= (major, minor)
        if is_compiled_here or (first == major and second <= minor):
            return None
    name = torch.cuda.get_device_name(number)
    return f"this PyTorch has no code for the GPU ({name}, compute capability {major}.{minor})"
