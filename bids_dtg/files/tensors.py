"""Tensor files (safetensors): shapes from the header alone, values by the prefix of their names."""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import ArrayLike, NDArray

from bids_dtg.array_types import Values
from bids_dtg.errors import MAKE_BUNDLE_AGAIN, BundleError, ForeignFileError
from bids_dtg.files.foreign import open_foreign, reading

_MUCH = 1 << 24  # bytes above which a tensor is checked in parts
_TYPES = {"BOOL": "?"} | {
    f"{kind.upper()}{8 * size}": f"<{kind}{size}"
    for kind in "fiu"
    for size in (1, 2, 4, 8)
}


@dataclass(frozen=True)
class TensorFile:
    """The tensors of a safetensors file whose names begin with a prefix; read on demand."""

    path: Path
    prefix: str = ""  # of the tensors' names in the file; callers omit it from names

    def below(self, prefix: str) -> TensorFile:
        """Return the subset of these tensors whose names begin with a further prefix."""
        return replace(self, prefix=self.prefix + prefix)

    def shape(self, name: str, *, axes: int) -> tuple[int, ...]:
        """Return the shape of a tensor from the file's header alone.

        Raises
        ------
        BundleError
            The file is not a safetensors file, or has no such tensor with this number of axes.
        """
        array = self._mapped().get(name)
        if array is None:
            raise self.error(f" has no tensor {self.prefix}{name}")
        if array.ndim != axes:
            raise self.error(
                f": {self.prefix}{name} has shape {array.shape}", f"{axes} axes"
            )
        return array.shape

    def read(self, mapped: Sequence[str] = ()) -> dict[str, Values]:
        """Read the tensors as arrays, by their names without the prefix.

        Parameters
        ----------
        mapped
            Names of tensors that are mapped from the file instead of read into memory.

        Raises
        ------
        BundleError
            The file cannot be read, or a value is not finite.
        """
        self.require_finite()
        return {
            name: array if name in mapped else np.array(array)
            for name, array in self._mapped().items()
        }

    def require_finite(self) -> None:
        """Check one tensor after another without keeping any; large ones in parts.

        Raises
        ------
        BundleError
            As for `read`.
        """
        for name, array in self._mapped().items():
            if not _is_finite(array):
                raise self.error(
                    f" has values that are not finite in {self.prefix}{name}"
                )

    def error(self, fault: str, expected: str | None = None) -> BundleError:
        """Return the error for tensors that are not as expected; it begins with the path."""
        return BundleError(
            f"{self.path}{fault}", expected=expected, remedy=MAKE_BUNDLE_AGAIN
        )

    def _mapped(self) -> dict[str, Values]:
        """Map the tensors from the file, by their names without the prefix."""
        tensors = {}
        try:
            with (
                reading(self.path, as_what=" as safetensors"),
                open_foreign(self.path) as file,
            ):
                # The file begins with the header's size as a little-endian 64-bit integer.
                content = np.memmap(file, np.uint8, "r")
                begin = 8 + int.from_bytes(content[:8].tobytes(), "little")
                header = json.loads(content[8:begin].tobytes())
                for name, facts in sorted(header.items()):
                    if name.startswith(self.prefix) and name != "__metadata__":
                        tensor = _tensor(name, facts, content[begin:])
                        tensors[name.removeprefix(self.prefix)] = tensor
        except ForeignFileError as err:
            raise err.as_kind(BundleError, remedy=MAKE_BUNDLE_AGAIN) from err
        return tensors


def _tensor(name: str, facts: Mapping[str, Any], values: NDArray[np.uint8]) -> Values:
    """Return a view of a tensor, from its entry in the header and the bytes after the header."""
    kind = facts["dtype"]
    if kind not in _TYPES:
        raise ValueError(f"{name} has numbers of type {kind}")
    numbers = values[slice(*facts["data_offsets"])].view(_TYPES[kind])
    return numbers.reshape(facts["shape"])


def let_go(array: Values) -> None:
    """Free the memory of a mapped tensor or its rows; the file is read again if they are used."""
    mapping = getattr(array, "_mmap", None)
    if mapping is None or not hasattr(mmap, "MADV_DONTNEED"):
        return
    first_byte = array.ctypes.data - np.frombuffer(mapping, np.uint8).ctypes.data
    within_page = first_byte % mmap.PAGESIZE
    page = first_byte - within_page
    mapping.madvise(mmap.MADV_DONTNEED, page, within_page + array.nbytes)


def encode_arrays(arrays: Mapping[str, ArrayLike]) -> bytes:
    """Return the bytes of a file of arrays or CPU tensors; equal arrays give equal bytes."""
    # Not `ascontiguousarray`, which would turn scalars into arrays of one axis.
    contiguous = {
        name: np.asarray(array, order="C") for name, array in sorted(arrays.items())
    }
    return safetensors.numpy.save(contiguous)


def _is_finite(array: Values) -> bool:
    """Return whether an array is finite as float32, in which models compute; free its memory."""
    if array.ndim > 1 and array.nbytes > _MUCH:
        return all(map(_is_finite, array))
    with np.errstate(over="ignore"):
        finite = bool(np.isfinite(array.astype(np.float32, copy=False)).all())
    let_go(array)
    return finite
