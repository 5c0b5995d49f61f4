"""Tensors in the files of a bundle, read with the shapes that its card says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from bids_dtg.errors import BundleError
from bids_dtg.files.foreign import open_foreign

Expected = Mapping[str, tuple[str, tuple[int, ...]]]  # name: type and shape


def read_tensors(path: Path, expected: Expected) -> dict[str, NDArray[Any]]:
    """Read a file of tensors: all that are expected, and no other.

    Raises
    ------
    BundleError
        If the file is damaged or holds something else, or a value is not finite.
    """
    try:
        with open_foreign(path) as file:  # the library takes no name that is not UTF-8
            tensors = safetensors.numpy.load(file.read())
    except (SafetensorError, OSError) as err:
        raise BundleError(f"{path} cannot be read: {err}") from err
    found = {name: (str(array.dtype), array.shape) for name, array in tensors.items()}
    if found != expected:
        raise BundleError(f"{path} holds {found}", expected=f"{expected}")
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise BundleError(f"{path} has values that are not finite in {name}")
    return tensors
