"""Small files that say they are huge images: what only a header claims, and what inflates."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np


def declare(
    path: Path, shape: Sequence[int], dtype: str = "u1", *, sparse: bool = False, intent: int = 0
) -> Path:
    """Write a header of such sizes, with no values or, `sparse`, with zeros that take no disk."""
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header.set_sform(np.diag([0.1, 0.1, 0.1, 1]), code=4)
    header["intent_code"] = intent
    header["vox_offset"], header["magic"] = 352, b"n+1"
    content = header.binaryblock + bytes(4)
    if not sparse:
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
        return path
    path.write_bytes(content)
    with path.open("r+b") as file:
        file.truncate(352 + int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
    return path
