"""Files of tensors (safetensors): shapes from the header alone, values by the names' prefix."""

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

from bids_dtg.errors import BundleError, ForeignFileError
from bids_dtg.files.foreign import open_foreign, reading

_REMEDY = "fetch or make the bundle again"
_MUCH = 1 << 24  # bytes of a tensor that is checked in parts
_TYPES = {"BOOL": "?"} | {
    f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "fiu" for size in (1, 2, 4, 8)
}


@dataclass(frozen=True)
class TensorFile:
    """The tensors of a safetensors file whose names begin with a prefix; nothing is read yet."""

    path: Path  # of the file
    prefix: str = ""  # of the tensors' names in the file; callers leave it out

    def below(self, prefix: str) -> TensorFile:
        """Return those of these tensors whose names begin with a further prefix."""
        return replace(self, prefix=self.prefix + prefix)

    def shape(self, name: str, *, axes: int) -> tuple[int, ...]:
        """Return the shape of a tensor from the file's header alone.

        Raises
        ------
        BundleError
            If the file is no safetensors file, or lacks a tensor of so many axes.
        """
        array = self._mapped().get(name)
        if array is None:
            raise self.error(f" has no tensor {self.prefix}{name}")
        if array.ndim != axes:
            raise self.error(f": {self.prefix}{name} has shape {array.shape}", f"{axes} axes")
        return array.shape

    def read(self, mapped: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
        """Read the tensors as arrays, by their names without the prefix.

        Parameters
        ----------
        mapped
            Names of tensors that are mapped from the file, and not kept in memory.

        Raises
        ------
        BundleError
            If the file cannot be read, or a value is not finite.
        """
        self.require_finite()
        arrays = self._mapped().items()
        return {name: array if name in mapped else np.array(array) for name, array in arrays}

    def require_finite(self) -> None:
        """Read the tensors one after the other and keep none; large ones in parts.

        Raises
        ------
        BundleError
            As `read`.
        """
        for name, array in self._mapped().items():
            if not _is_finite(array):
                raise self.error(f" has values that are not finite in {self.prefix}{name}")

    def error(self, found: str, expected: str | None = None) -> BundleError:
        """Make the error for tensors that are not what they should be; the path comes first."""
        return BundleError(f"{self.path}{found}", expected=expected, remedy=_REMEDY)

    def _mapped(self) -> dict[str, NDArray[Any]]:
        """Map the tensors from the file, by their names without the prefix."""
        found = {}
        try:
            with (
                reading(self.path, as_what=" as safetensors"),
                open_foreign(self.path) as file,
            ):
                # The format begins with the header's size: 64 bits, little-endian.
                whole = np.memmap(file, np.uint8, "r")
                begin = 8 + int.from_bytes(whole[:8].tobytes(), "little")
                header, values = json.loads(whole[8:begin].tobytes()), whole[begin:]
                for name, facts in sorted(header.items()):
                    if name.startswith(self.prefix) and name != "__metadata__":
                        own = values[slice(*facts["data_offsets"])].view(_TYPES[facts["dtype"]])
                        found[name.removeprefix(self.prefix)] = own.reshape(facts["shape"])
        except ForeignFileError as err:
            raise err.as_kind(BundleError, remedy=_REMEDY) from err
        return found


def let_go(array: NDArray[Any]) -> None:
    """Let the pages of a mapped tensor, or of rows of it, leave the memory: they are read again."""
    mapping = getattr(array, "_mmap", None)
    if mapping is None or not hasattr(mmap, "MADV_DONTNEED"):
        return
    first = array.ctypes.data - np.frombuffer(mapping, np.uint8).ctypes.data
    before = first % mmap.PAGESIZE
    mapping.madvise(mmap.MADV_DONTNEED, first - before, before + array.nbytes)


def encode_arrays(arrays: Mapping[str, ArrayLike]) -> bytes:
    """Make a file's bytes from arrays, or tensors on the CPU; the same arrays give the same."""
    # Scalars keep their shape, which `ascontiguousarray` would take from them.
    whole = {name: np.asarray(array, order="C") for name, array in sorted(arrays.items())}
    return safetensors.numpy.save(whole)


def _is_finite(array: NDArray[Any]) -> bool:
    """Return whether an array is finite in 32 bits: models compute so. Let it go."""
    if array.ndim > 1 and array.nbytes > _MUCH:
        return all(map(_is_finite, array))
    with np.errstate(over="ignore"):
        found = bool(np.isfinite(array.astype(np.float32, copy=False)).all())
    let_go(array)
    return found
