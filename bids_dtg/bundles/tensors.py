"""Small safetensors files of a bundle: rows in 8 bits, and reading with known shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from bids_dtg.errors import BundleError

Expected = Mapping[str, tuple[str, tuple[int, ...]]]  # name: type and shape
_LARGEST = 127


def to_steps(rows: NDArray[np.floating]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round rows (n, ...) to int8 steps, and give what one step of each row stands for, (n,).

    A row's largest value becomes 127: what is lost is at most half of a 127th of it.
    """
    largest = np.abs(rows).reshape(len(rows), -1).max(axis=1)
    scale = np.where(largest > 0, largest, 1.0).astype(np.float32) / np.float32(_LARGEST)
    steps = np.rint(rows / scale.reshape(-1, *[1] * (rows.ndim - 1)))
    return steps.astype(np.int8), scale


def from_steps(steps: NDArray[np.int8], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows that `to_steps` rounded."""
    rows = steps.astype(np.float32)
    rows *= scale.reshape(-1, *[1] * (steps.ndim - 1))
    return rows


def read_tensors(path: Path, expected: Expected) -> dict[str, NDArray[Any]]:
    """Read a file of tensors, all of them and no other.

    Raises
    ------
    BundleError
        If the file is damaged or holds something else, or a value is not finite.
    """
    try:
        tensors = safetensors.numpy.load_file(path)
    except (SafetensorError, OSError) as err:
        raise BundleError(f"{path} cannot be read: {err}") from err
    found = {name: (str(array.dtype), array.shape) for name, array in tensors.items()}
    if found != dict(expected):
        raise BundleError(f"{path} holds {found}", expected=f"{dict(expected)}")
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise BundleError(f"{path} has values that are not finite in {name}")
    return tensors
