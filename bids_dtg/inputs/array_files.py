"""Files of arrays that others wrote: npz and HDF5. Values are read a row at a time.

Nothing in a file is ever unpickled, and no array leads to another file.
"""

from __future__ import annotations

import math
import resource
import tokenize
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import DatasetError, ForeignFileError
from bids_dtg.files.foreign import open_foreign

# Bytes of what is in memory at once: an array that is read whole, a row, a chunk of one.
MOST_WHOLE, MOST_ROW = 2**31, 2**32
# Measured values hardly shrink: what is large, and was packed more, would only fill memory.
_MOST_PACKED, _LARGE = 50, 2**28
_MOST_ARRAYS = 1000  # in a file
_MOST_BESIDE = 2**28  # bytes that reading texts may take
_NUMBERS, _TEXTS = "biuf", "SUOT"
_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_FORMATS = "a file of NumPy (.npz) or HDF5"
Array = NDArray[Any]


class StoredArray(ABC):
    """An array in a file: shape and type are known, values are read when asked for."""

    def __init__(
        self, path: Path, key: str, shape: tuple[int, ...], dtype: Any, stored: int
    ) -> None:
        self.path, self.key, self.shape, self.dtype = path, key, shape, np.dtype(dtype)
        self._stored = stored  # bytes in the file

    @property
    def title(self) -> str:
        """The array, for messages."""
        return f"{self.path}: {self.key}"

    @property
    def holds_numbers(self) -> bool:
        """Whether values are real numbers."""
        return self.dtype.kind in _NUMBERS

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self._bytes(self.shape[1:])

    def whole(self) -> Array:
        """Read all of a small array; of text as strings.

        Raises
        ------
        DatasetError
            It is too large, damaged, or holds neither numbers nor text.
        """
        if self._bytes(self.shape) > MOST_WHOLE:
            raise DatasetError(
                f"{self.title} has {self._bytes(self.shape)} bytes",
                expected=f"at most {MOST_WHOLE} for what is read at once",
            )
        if self.dtype.kind not in _NUMBERS + _TEXTS:
            raise DatasetError(f"{self.title} is of type {self.dtype}", expected="numbers or text")
        self._require_honest(self._bytes(self.shape))
        with reading(self.path):
            values = self._whole()
            if values.dtype.kind in _NUMBERS:
                return values
            return np.array([_text(value) for value in values.ravel()], str).reshape(values.shape)

    def row(self, number: int, most: int | None = None) -> Array:
        """Read a row, or the first rows `most` of that.

        Raises
        ------
        DatasetError
            It is too large or damaged, or holds no numbers.
        """
        shape = self.shape[1:] if most is None else (min(most, self.shape[1]), *self.shape[2:])
        if not self.holds_numbers:
            raise DatasetError(f"{self.title} is of type {self.dtype}", expected="numbers")
        if self._bytes(self.shape[1:]) > MOST_ROW:
            raise DatasetError(
                f"{self.title} has {self._bytes(self.shape[1:])} bytes a row",
                expected=f"at most {MOST_ROW}",
            )
        self._require_honest(self._bytes(self.shape[1:]))
        with reading(self.path):
            values = self._row(number, shape)
            if values.shape != shape:
                raise ValueError(f"{self.key} ends before row {number}")
        return values

    def _bytes(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape) * max(1, int(self.dtype.itemsize))

    def _require_honest(self, at_once: int) -> None:
        """Refuse what is read at once, in bytes, if it is large and nearly nothing in the file."""
        if at_once > _LARGE and self._bytes(self.shape) > _MOST_PACKED * self._stored:
            raise DatasetError(
                f"{self.title} has {self._stored} bytes in the file and {self._bytes(self.shape)} "
                "unpacked: it can hold no measured values",
                expected=f"values that were packed to a {_MOST_PACKED}th at most",
            )

    @abstractmethod
    def _whole(self) -> Array:
        """Read all of it."""

    @abstractmethod
    def _row(self, number: int, shape: tuple[int, ...]) -> Array:
        """Read the beginning of a row, of such a shape."""


def open_arrays(path: Path) -> Mapping[str, StoredArray]:
    """Return the arrays of a file by their keys; no values are read.

    Raises
    ------
    DatasetError
        It is missing, damaged or of another format.
    """
    try:
        with open_foreign(path) as file:
            begins = file.read(8)
    except ForeignFileError as err:
        raise err.as_kind(DatasetError) from err
    except OSError as err:
        raise DatasetError(f"{path} cannot be read: {err.strerror or err}") from err
    if begins.startswith(_ZIP):
        return _npz_arrays(path)
    if begins == _HDF5:
        return _hdf5_arrays(path)
    raise DatasetError(f"{path} is no file of arrays that is known", expected=_FORMATS)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn all that libraries raise on a damaged file into one kind of error."""
    try:
        yield
    except ForeignFileError as err:
        raise err.as_kind(DatasetError) from err
    except MemoryError as err:
        raise DatasetError(f"{path}: not enough memory to read it") from err
    except (
        *(OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError, OverflowError),
        *(zipfile.BadZipFile, zlib.error, NotImplementedError, tokenize.TokenError),
    ) as err:
        said = " ".join(str(err).split())[:200]
        raise DatasetError(f"{path} cannot be read: {said or type(err).__name__}") from err


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


class _NpzArray(StoredArray):
    """A member of an npz file, inflated in order: going back begins anew."""

    def __init__(self, path: Path, member: zipfile.ZipInfo, key: str, header: Any) -> None:
        shape, self._transposed, dtype, self._begins = header
        super().__init__(path, key, shape, dtype, member.compress_size)
        self._member = member
        self._stream: Any = None

    def _whole(self) -> Array:
        self._require_plain()
        flat = self._read(self._begins, math.prod(self.shape))
        return flat.reshape(self.shape, order="F" if self._transposed else "C")

    def _row(self, number: int, shape: tuple[int, ...]) -> Array:
        self._require_plain()
        if self._transposed:
            whole = self.whole()  # refuses what is large: its rows do not lie together
            return np.array(whole[number][: shape[0]] if shape else whole[number], order="C")
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        values = self._read(self._begins + number * size, math.prod(shape))
        return values.reshape(shape)

    def _require_plain(self) -> None:
        if self.dtype.hasobject:
            raise ValueError(f"{self.key} holds Python objects, which are never unpickled")

    def _read(self, position: int, values: int) -> Array:
        if self._stream is None:
            # Both stay open as long as the stream: reading goes on where it was.
            archive = zipfile.ZipFile(open_foreign(self.path))
            self._stream = archive.open(self._member)
        if self._stream.tell() != position:
            self._stream.seek(position)
        content = self._stream.read(values * self.dtype.itemsize)
        if len(content) != values * self.dtype.itemsize:
            raise ValueError(f"{self.key} ends too soon")
        return np.frombuffer(content, self.dtype)


def _npz_arrays(path: Path) -> dict[str, StoredArray]:
    found: dict[str, StoredArray] = {}
    with reading(path), open_foreign(path) as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        _require_few(path, len(members))
        for member in members:
            key = member.filename.removesuffix(".npy")
            if key == member.filename:
                continue
            if key in found:
                raise ValueError(f"it has two arrays {key}")
            with archive.open(member) as stream:
                shape, transposed, dtype = _npy_header(stream)
                begins = stream.tell()
            size = begins + math.prod(shape) * dtype.itemsize
            if not dtype.hasobject and size != member.file_size:
                raise ValueError(f"{key} has {member.file_size} bytes, its header says {size}")
            found[key] = _NpzArray(path, member, key, (shape, transposed, dtype, begins))
    if not found:
        raise DatasetError(f"{path} holds no array", expected=_FORMATS)
    return found


def _npy_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"an array is in version {version} of NumPy's format, which is not read")


@contextmanager
def _called() -> Iterator[None]:
    """Turn what a library of arrays trips over in a file, which may be any error, into one."""
    try:
        yield
    except (MemoryError, OSError, DatasetError):
        raise
    except Exception as err:
        said = f"{type(err).__name__}: {err}" if isinstance(err, AttributeError) else str(err)
        raise ValueError(said or type(err).__name__) from err


@contextmanager
def _little_memory() -> Iterator[None]:
    """Let this process take no more than 256 MiB in addition, where the system counts it."""
    try:
        with open_foreign(Path("/proc/self/statm")) as file:
            pages = int(file.read().split()[0])
    except (ForeignFileError, OSError):  # it is no Linux, or does not let us count
        pages = None
    if pages is None:
        yield
        return
    limits = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + _MOST_BESIDE
    if limits[0] == resource.RLIM_INFINITY or most < limits[0]:
        resource.setrlimit(resource.RLIMIT_AS, (most, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


class _Hdf5Array(StoredArray):
    """An array of HDF5, of which a slice is read."""

    def __init__(self, path: Path, key: str, values: Any, stored: int) -> None:
        super().__init__(path, key, tuple(values.shape), values.dtype, stored)
        self._values = values
        if values.chunks:  # a row is read with all the chunks that it touches
            self._require_honest(self._bytes(values.chunks))

    def _whole(self) -> Array:
        if self.dtype.kind in _NUMBERS:
            return self._of(())
        # HDF5 takes the length of a text from the file, up to 4 GiB, before it looks for the text.
        with _little_memory():
            return self._of(())

    def _row(self, number: int, shape: tuple[int, ...]) -> Array:
        return self._of((number, slice(shape[0])) if shape else number)

    def _of(self, where: Any) -> Array:
        with _called():
            return np.asarray(self._values[where])


def _hdf5_arrays(path: Path) -> dict[str, StoredArray]:
    import h5py

    found: dict[str, StoredArray] = {}
    with reading(path):
        # The file stays open as long as one of its arrays is in use.
        file = h5py.File(open_foreign(path), "r")
        _require_few(path, len(file))
        for key in file:
            if not isinstance(file.get(key, getlink=True), h5py.HardLink):
                continue  # it may lead to another file
            values = file[key]
            if not isinstance(values, h5py.Dataset) or values.shape is None:
                continue
            if values.external or values.is_virtual:
                raise ValueError(f"the values of its {key} lie in another file")
            _require_chunks(key, values.chunks, values.dtype.itemsize)
            found[key] = _Hdf5Array(path, key, values, values.id.get_storage_size())
    return found


def _require_few(path: Path, count: int) -> None:
    if count > _MOST_ARRAYS:
        raise ValueError(f"it has {count} arrays, more than {_MOST_ARRAYS}")


def _require_chunks(key: str, chunks: tuple[int, ...] | None, itemsize: int) -> None:
    if chunks and math.prod(chunks) * itemsize > MOST_ROW:
        raise ValueError(f"chunks of its {key} have more than {MOST_ROW} bytes")
