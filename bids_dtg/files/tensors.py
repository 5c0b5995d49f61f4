"""Files of tensors (safetensors): shapes from the header alone, values by the names' prefix."""

from __future__ import annotations

import json
import math
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError

from bids_dtg.errors import BundleError, ForeignFileError
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.foreign import open_foreign

_REMEDY = "fetch or make the bundle again"
# Bytes; the published network's names and shapes take 6,000.
_LARGEST_HEADER = 1 << 20
_MUCH = 1 << 24  # bytes of a tensor that is checked in parts
# How safetensors fails where NumPy lacks a tensor's type.
_LACKING = (TypeError, AttributeError)
_TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}  # of tensors that can be mapped
_LETTERS = {"f": "F", "i": "I", "u": "U"}  # of types
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

    def _has(self, name: str) -> bool:
        """Return whether a name in the file is that of one of these tensors."""
        is_hidden = bool(self.hidden) and name.startswith(self.hidden)
        return name.startswith(self.prefix) and not is_hidden

    def names(self) -> tuple[str, ...]:
        """Return the names of the tensors, without the prefix, from the file's header alone.

        Raises
        ------
        BundleError
            If the file is no safetensors file.
        """
        try:
            _check_header_size(self.path)
            with _open(self.path, "numpy") as tensors:
                found = sorted(tensors.keys())
        except ForeignFileError as err:
            raise err.as_kind(BundleError, remedy=_REMEDY) from err
        except (SafetensorError, OSError) as err:
            raise BundleError(f"{self.path} is no safetensors file: {err}", remedy=_REMEDY) from err
        return tuple(name.removeprefix(self.prefix) for name in found if self._has(name))

    def shape(self, name: str, *, axes: int) -> tuple[int, ...]:
        """Return the shape of a tensor from the file's header alone.

        Raises
        ------
        BundleError
            If the file is no safetensors file, or lacks a tensor of so many axes.
        """
        path, name = self.path, self.prefix + name
        try:
            _check_header_size(path)
            with _open(path, "numpy") as tensors:
                if name not in tensors.keys():  # noqa: SIM118 (no mapping)
                    raise self.error(f" has no tensor {name}")
                shape = tuple(tensors.get_slice(name).get_shape())
        except ForeignFileError as err:
            raise err.as_kind(BundleError, remedy=_REMEDY) from err
        except (SafetensorError, OSError) as err:
            raise BundleError(f"{path} is no safetensors file: {err}", remedy=_REMEDY) from err
        if len(shape) != axes:
            raise BundleError(f"{path}: {name} has shape {shape}", expected=_IN_WORDS[axes])
        return shape

    def mapped(self, name: str) -> NDArray[Any]:
        """Map a tensor from the file, without reading it.

        Raises
        ------
        BundleError
            If the file is no safetensors file, or lacks a tensor of a type that NumPy has.
        """
        path, name = self.path, self.prefix + name
        try:
            _check_header_size(path)
            with open_foreign(path) as file:
                size = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(size))
            facts = header[name]
            first, stop = facts["data_offsets"]
            shape, dtype = tuple(facts["shape"]), np.dtype(_TYPES[facts["dtype"]])
            array = np.memmap(path, dtype, "r", offset=8 + size + first, shape=shape)
        except ForeignFileError as err:
            raise err.as_kind(BundleError, remedy=_REMEDY) from err
        except (ValueError, KeyError, TypeError, OSError) as err:
            raise BundleError(f"{path} cannot be mapped: {err}", remedy=_REMEDY) from err
        if array.nbytes != stop - first:
            raise self.error(f": {name} has {stop - first} bytes")
        return array

    def read(self, mapped: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
        """Read the tensors as arrays, by their names without the prefix.

        Tensors of types that NumPy lacks, as bfloat16, become float32; only these import torch.

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
        try:
            _check_header_size(self.path)
            with _open(self.path, "numpy") as tensors:
                for name in tensors.keys():  # noqa: SIM118 (no mapping)
                    if not self._has(name):
                        continue
                    own = name.removeprefix(self.prefix)
                    found[name] = self.mapped(own) if own in mapped else self._array(tensors, name)
        except ForeignFileError as err:
            raise err.as_kind(BundleError, remedy=_REMEDY) from err
        except (SafetensorError, OSError) as err:
            raise BundleError(f"{self.path} cannot be read: {err}", remedy=_REMEDY) from err
        for name, array in found.items():
            if not _is_finite(array):
                raise self.error(f" has values that are not finite in {name}")
        return {name.removeprefix(self.prefix): array for name, array in found.items()}

    def require_finite(self) -> None:
        """Read the tensors one after the other, without torch, and keep none; large ones in parts.

        Those of types that NumPy lacks are left to `read`.

        Raises
        ------
        BundleError
            As `read`.
        """
        try:
            _check_header_size(self.path)
            with _open(self.path, "numpy") as tensors:
                for name in tensors.keys():  # noqa: SIM118 (no mapping)
                    if not self._has(name):
                        continue
                    with suppress(*_LACKING):
                        if not _is_finite(self._seen(tensors, name)):
                            raise self.error(f" has values that are not finite in {name}")
        except ForeignFileError as err:
            raise err.as_kind(BundleError, remedy=_REMEDY) from err
        except (SafetensorError, OSError) as err:
            raise BundleError(f"{self.path} cannot be read: {err}", remedy=_REMEDY) from err

    def error(self, found: str, expected: str | None = None) -> BundleError:
        """Make the error for tensors that are not what they should be; the path comes first."""
        return BundleError(f"{self.path}{found}", expected=expected, remedy=_REMEDY)

    def _seen(self, tensors: Any, name: str) -> NDArray[Any]:
        """Return a tensor to be looked through once: a large one is mapped, and not copied."""
        known = tensors.get_slice(name)
        dtype = _TYPES.get(known.get_dtype())
        if dtype is None or math.prod(known.get_shape()) * np.dtype(dtype).itemsize <= _MUCH:
            found: NDArray[Any] = tensors.get_tensor(name)
            return found
        return self.mapped(name.removeprefix(self.prefix))

    def _array(self, tensors: Any, name: str) -> NDArray[Any]:
        try:
            found: NDArray[Any] = tensors.get_tensor(name)
        except _LACKING:
            with _open(self.path, "pt") as of_torch:
                found = of_torch.get_tensor(name).float().numpy()
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


def write_arrays(path: Path, arrays: Mapping[str, ArrayLike], notes: Mapping[str, str]) -> None:
    """Write arrays with notes in the file's header, atomically.

    No copy of the arrays is made. The same arrays and notes give the same bytes.
    """
    whole = {name: np.asarray(array, order="C") for name, array in sorted(arrays.items())}
    # The largest types come first, so that values are aligned in the file.
    names = sorted(whole, key=lambda name: -whole[name].dtype.itemsize)
    header: dict[str, Any] = {"__metadata__": dict(sorted(notes.items()))}
    stop = 0
    for name in names:
        array, first = whole[name], stop
        stop += array.nbytes
        header[name] = {
            "dtype": _LETTERS[array.dtype.kind] + str(8 * array.dtype.itemsize),
            "shape": array.shape,
            "data_offsets": (first, stop),
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    size = len(text).to_bytes(8, "little")
    write_atomic(path, size, text, *(whole[name].data for name in names))


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read what `write_arrays` wrote: arrays, and the notes of the header.

    Raises
    ------
    OSError, ValueError, ForeignFileError
        If the file cannot be read, or is no safetensors file.
    """
    try:
        with open_foreign(path):
            pass  # safetensors would wait for a pipe
        with _open(path, "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, dict(file.metadata() or {})
    except SafetensorError as err:
        raise ValueError(str(err)) from err


@contextmanager
def _open(path: Path, framework: str) -> Iterator[Any]:
    """Open a file by the library, which takes no name that is not UTF-8."""
    with ExitStack() as stack:
        try:
            name = os.fsencode(path).decode()
        except UnicodeDecodeError:
            name = f"/dev/fd/{stack.enter_context(path.open('rb')).fileno()}"
        yield stack.enter_context(safetensors.safe_open(name, framework=framework))


def _is_finite(array: NDArray[Any]) -> bool:
    """Return whether an array is finite in 32 bits: models compute so. Let it go."""
    if array.ndim > 1 and array.nbytes > _MUCH:
        return all(map(_is_finite, array))
    with np.errstate(over="ignore"):
        found = bool(np.isfinite(array.astype(np.float32, copy=False)).all())
    let_go(array)
    return found


def _check_header_size(path: Path) -> None:
    """Refuse a header that no network needs, before a parser takes it into memory."""
    with open_foreign(path) as file:
        # The format begins with the header's size: 64 bits, little-endian.
        size = int.from_bytes(file.read(8), "little")
    if size > _LARGEST_HEADER:
        raise BundleError(
            f"{path} says that its header has {size} bytes",
            expected=f"at most {_LARGEST_HEADER}",
            remedy=_REMEDY,
        )
