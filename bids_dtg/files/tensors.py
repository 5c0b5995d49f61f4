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
_TYPES = {
    f"{letter}{8 * size}": np.dtype(f"<{kind}{size}")
    for letter, kind in (("F", "f"), ("I", "i"), ("U", "u"))
    for size in (1, 2, 4, 8)
    if (kind, size) != ("f", 1)
} | {"BOOL": np.dtype(bool)}
_IN_WORDS = ("no axis", "one axis", "two axes", "three axes", "four axes", "five axes")


@dataclass(frozen=True)
class TensorFile:
    """The tensors of a safetensors file whose names begin with a prefix; nothing is read yet."""

    path: Path  # of the file
    prefix: str = ""  # of the tensors' names in the file; callers leave it out
    hidden: str = ""  # prefix of names in the file that are not among them; empty: none

    def below(self, prefix: str) -> TensorFile:
        """Return those of these tensors whose names begin with a further prefix."""
        return replace(self, prefix=self.prefix + prefix)

    def without(self, prefix: str) -> TensorFile:
        """Return those of these tensors whose names do not begin with a further prefix."""
        return replace(self, hidden=self.prefix + prefix)

    def names(self) -> tuple[str, ...]:
        """Return the names of the tensors, without the prefix, from the file's header alone.

        Raises
        ------
        BundleError
            If the file is no safetensors file.
        """
        return tuple(name.removeprefix(self.prefix) for name in sorted(self._places()))

    def shape(self, name: str, *, axes: int) -> tuple[int, ...]:
        """Return the shape of a tensor from the file's header alone.

        Raises
        ------
        BundleError
            If the file is no safetensors file, or lacks a tensor of so many axes.
        """
        shape = self._place(name).shape
        if len(shape) != axes:
            raise self.error(f": {self.prefix}{name} has shape {shape}", expected=_IN_WORDS[axes])
        return shape

    def mapped(self, name: str) -> NDArray[Any]:
        """Map a tensor from the file, without reading it.

        Raises
        ------
        BundleError
            If the file is no safetensors file, or lacks a tensor of a type that NumPy has.
        """
        return self._place(name).mapped(self.path)

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
        found = {}
        for name, place in self._places().items():
            array = place.mapped(self.path)
            if not _is_finite(array):
                raise self.error(f" has values that are not finite in {name}")
            own = name.removeprefix(self.prefix)
            found[own] = array if own in mapped else np.array(array)
        return found

    def require_finite(self) -> None:
        """Read the tensors one after the other and keep none; large ones in parts.

        Raises
        ------
        BundleError
            As `read`.
        """
        for name, place in self._places().items():
            if not _is_finite(place.mapped(self.path)):
                raise self.error(f" has values that are not finite in {name}")

    def error(self, found: str, expected: str | None = None) -> BundleError:
        """Make the error for tensors that are not what they should be; the path comes first."""
        return BundleError(f"{self.path}{found}", expected=expected, remedy=_REMEDY)

    def _place(self, name: str) -> _Place:
        """Return the place of one tensor, by its name without the prefix."""
        places = self._places()
        if (whole := self.prefix + name) not in places:
            raise self.error(f" has no tensor {whole}")
        return places[whole]

    def _places(self) -> dict[str, _Place]:
        """Return the places of these tensors, by their names in the file."""
        try:
            places = _read_header(self.path)
        except ForeignFileError as err:
            raise err.as_kind(BundleError, remedy=_REMEDY) from err
        return {
            name: place
            for name, place in places.items()
            if name.startswith(self.prefix) and not (self.hidden and name.startswith(self.hidden))
        }


@dataclass(frozen=True)
class _Place:
    """Where the values of a tensor are in a file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int  # bytes from the beginning of the file

    def mapped(self, path: Path) -> NDArray[Any]:
        with reading(path, BundleError):
            if 0 in self.shape:
                return np.zeros(self.shape, self.dtype)
            return np.memmap(path, self.dtype, "r", self.offset, self.shape)


def _read_header(path: Path) -> dict[str, _Place]:
    """Read the header of a file: the place of each tensor.

    Raises
    ------
    ForeignFileError
        It is no safetensors file, or shorter than it says.
    """
    with reading(path, as_what=" as safetensors"):
        with open_foreign(path) as file:
            # The format begins with the header's size: 64 bits, little-endian.
            begins = 8 + int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            header = json.loads(file.read(min(begins, size) - 8))
        header.pop("__metadata__", None)
        places, ends = {}, begins
        for name, facts in header.items():
            first, stop = facts["data_offsets"]
            if (dtype := _TYPES.get(facts["dtype"])) is None:
                raise ValueError(f"{name} is of type {facts['dtype']}, which NumPy lacks")
            places[name] = _Place(dtype, tuple(facts["shape"]), begins + first)
            if np.prod(places[name].shape, dtype=int) * dtype.itemsize != stop - first:
                raise ValueError(f"{name} has {stop - first} bytes")
            ends = max(ends, begins + stop)
        if ends != size:
            raise ValueError(f"it has {size} bytes, and its header says {ends}")
        return places


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
