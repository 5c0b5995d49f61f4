"""Tensors in the files of a bundle: read with the shapes that its card says, and lists of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from bids_dtg.errors import BundleError
from bids_dtg.files.foreign import open_foreign
from bids_dtg.files.tensors import TensorFile

_LONGEST_NAME = 1000  # bytes of a name, and the end of its line
Expected = Mapping[str, tuple[str, tuple[int, ...]]]  # name: type and shape


def read_tensors(
    path: Path, expected: Expected, *, optional: Expected = MappingProxyType({})
) -> dict[str, NDArray[Any]]:
    """Read a file of tensors: all that are expected, the optional ones, and no other.

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
    expected = {**expected, **{name: optional[name] for name in optional if name in found}}
    if found != expected:
        raise BundleError(f"{path} holds {found}", expected=f"{expected}")
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise BundleError(f"{path} has values that are not finite in {name}")
    return tensors


def encode_names(names: Sequence[str]) -> NDArray[np.uint8]:
    """Make a tensor of names, none of which has an end of a line."""
    return np.frombuffer("\n".join(names).encode(), np.uint8)


def check_names(file: TensorFile, tensor: str, number: int) -> None:
    """Refuse a tensor that is no list of so many names by its header alone.

    Raises
    ------
    BundleError
        It is too large, has other axes or is absent.
    """
    (letters,) = file.shape(tensor, axes=1)
    if letters > number * _LONGEST_NAME:
        raise BundleError(f"{file.path} has {letters} bytes of names", expected=f"{number} names")


def decode_names(letters: NDArray[np.uint8], number: int) -> tuple[str, ...]:
    """Return so many names.

    Raises
    ------
    ValueError
        They are no text, or others in number.

    Examples
    --------
    >>> decode_names(encode_names(["left insula", "right insula"]), 2)
    ('left insula', 'right insula')
    """
    names = tuple(letters.tobytes().decode().split("\n"))
    if len(names) != number:
        raise ValueError(f"it has {len(names)} names, not {number}")
    return names
