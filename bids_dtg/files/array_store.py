"""A folder of arrays that are made once and read memory-mapped: each with facts and a checksum."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tokenize
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError, OutputError
from bids_dtg.files.atomic import output_error, temporary_name, write_atomic
from bids_dtg.files.foreign import read_json_object
from bids_dtg.files.text import write_json

_REMEDY = "remove it: the same command makes it again"


@dataclass(frozen=True)
class ArrayStore:
    """Arrays below one folder, by name; a name may have `/` in it."""

    root: Path  # made as needed

    def write(
        self,
        name: str,
        array: NDArray[Any],
        facts: Mapping[str, Any],
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        """Write an array, then its facts: if the process is killed in between, it is made again.

        Parameters
        ----------
        name
            Name of the array in the store.
        array
            Array to store, in its own data type.
        facts
            All that it depends on, as JSON has it; `has` compares them.
        notes
            What else is to be kept with it, as JSON has it; never compared.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
        data = buffer.getbuffer()
        write_atomic(self._array(name), data)
        record = {"facts": facts, "notes": notes or {}, "sha256": hashlib.sha256(data).hexdigest()}
        write_json(self._facts(name), {**record, "bytes": len(data)})

    def has(self, name: str, facts: Mapping[str, Any]) -> bool:
        """Return whether an array is there, whole by its size, and made from these facts."""
        record = self._record(name)
        if record.get("facts") != json.loads(json.dumps(facts)):
            return False
        try:
            return self._array(name).stat().st_size == record.get("bytes")
        except OSError:
            return False

    def notes(self, name: str) -> Mapping[str, Any]:
        """Return the notes stored with an array; empty if the array is missing."""
        found = self._record(name).get("notes", {})
        return found if isinstance(found, dict) else {}

    def read(self, name: str, *, verify: bool = True) -> NDArray[Any]:
        """Map an array into memory, read-only.

        Parameters
        ----------
        name
            Name of the array in the store.
        verify
            Whether to read all of it once and compare its SHA-256.

        Raises
        ------
        OutputError
            It is not there, damaged, or not what was written.
        """
        path = self._array(name)
        try:
            if verify and _sha256(path) != self._record(name).get("sha256"):
                raise OutputError(f"{path} has changed since it was written", remedy=_REMEDY)
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, tokenize.TokenError) as err:
            raise OutputError(f"{path} cannot be read: {err}", remedy=_REMEDY) from err
        return array

    def create(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Make an array to be filled in place, without facts: work in progress, not a result.

        Raises
        ------
        OutputError
            There is no place for it: to find that out later would end the process (SIGBUS).
        """
        path = self._array(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            made: NDArray[Any] = np.lib.format.open_memmap(path, "w+", dtype, shape)
            if hasattr(os, "posix_fallocate"):  # not on macOS
                with path.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as err:
            path.unlink(missing_ok=True)
            raise OutputError(f"{path} cannot be written: {err.strerror or err}") from err
        return made

    def discard(self, folder: str) -> None:
        """Remove the arrays of a folder, whose names begin with it."""
        shutil.rmtree(self.root / folder, ignore_errors=True)

    def _record(self, name: str) -> dict[str, Any]:
        try:
            return read_json_object(self._facts(name))
        except ForeignFileError:
            return {}

    def _array(self, name: str) -> Path:
        return self.root / f"{name}.npy"

    def _facts(self, name: str) -> Path:
        return self.root / f"{name}.json"


@dataclass(frozen=True)
class Stream:
    """An array whose rows are made one after the other."""

    shape: tuple[int, ...]  # of all rows together
    dtype: np.dtype[Any]  # of the file
    rows: Iterable[NDArray[Any]]  # in their order


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any] | Stream]) -> None:
    """Write an npz file that `numpy.load` reads; the same arrays give the same bytes.

    Parameters
    ----------
    path
        Of the file; whole under its name, or not there.
    arrays
        By key. Of a stream one row is in memory at a time.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    temporary = path.parent / temporary_name()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file, zipfile.ZipFile(file, "w") as archive:
            for key, array in arrays.items():
                # Without the time of writing, and as on all systems.
                entry = zipfile.ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0))
                entry.create_system = 3
                with archive.open(entry, "w", force_zip64=True) as member:
                    _write_npy(member, array)
        temporary.replace(path)
    except OSError as err:
        raise output_error(path, err) from err
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays that `write_npz` wrote."""
    with np.load(path, allow_pickle=False) as held:
        return dict(held)


def _write_npy(file: Any, array: NDArray[Any] | Stream) -> None:
    if not isinstance(array, Stream):
        np.lib.format.write_array(file, array, (1, 0), allow_pickle=False)
        return
    descr = np.lib.format.dtype_to_descr(array.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(file, header)
    for row in array.rows:
        file.write(np.ascontiguousarray(row, array.dtype).tobytes())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
