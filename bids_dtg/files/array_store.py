"""Arrays that are made once and read memory-mapped, and files of several arrays."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from bids_dtg.errors import OutputError
from bids_dtg.files.atomic import atomic_file, output_error
from bids_dtg.files.foreign import reading, sha256_of_file
from bids_dtg.files.text import read_json, write_json

_PIECE = 1 << 26  # bytes that are copied at once


@dataclass(frozen=True)
class ArrayStore:
    """Arrays below one folder, by name, each with facts and a checksum; a name may have `/`."""

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
        path = self._array(name)
        with atomic_file(path) as file:
            np.save(file, np.ascontiguousarray(array), allow_pickle=False)
        record = {"facts": facts, "notes": notes or {}, "sha256": sha256_of_file(path)}
        write_json(self._facts(name), {**record, "bytes": path.stat().st_size})

    def has(self, name: str, facts: Mapping[str, Any]) -> bool:
        """Return whether an array is there, whole by its size, and made from these facts."""
        record, path = read_json(self._facts(name)), self._array(name)
        made_so = record.get("facts") == json.loads(json.dumps(facts))
        return made_so and path.is_file() and path.stat().st_size == record.get("bytes")

    def notes(self, name: str) -> Mapping[str, Any]:
        """Return the notes stored with an array; empty if the array is missing."""
        found = read_json(self._facts(name)).get("notes", {})
        return found if isinstance(found, dict) else {}

    def read(self, name: str) -> NDArray[Any]:
        """Map an array into memory, read-only, once all of it is compared with its checksum.

        Raises
        ------
        OutputError
            It is not there, damaged, or not what was written.
        """
        path = self._array(name)
        with reading(path, OutputError):
            if sha256_of_file(path) != read_json(self._facts(name)).get("sha256"):
                raise OutputError(
                    f"{path} has changed since it was written",
                    remedy="remove it: the same command makes it again",
                )
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array

    def create(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Make an array to be filled in place, without facts: work in progress, not a result.

        Raises
        ------
        OutputError
            There is no place for it.
        """
        return new_array(self._array(name), shape, dtype)

    def discard(self, folder: str) -> None:
        """Remove the arrays of a folder, whose names begin with it."""
        shutil.rmtree(self.root / folder, ignore_errors=True)

    def _array(self, name: str) -> Path:
        return self.root / f"{name}.npy"

    def _facts(self, name: str) -> Path:
        return self.root / f"{name}.json"


def new_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Map a new file (.npy) of zeros, to be filled; who maps one that it replaces keeps that.

    Raises
    ------
    OutputError
        There is no place for it: to find that out later would end the process (SIGBUS).
    """
    if 0 in shape:
        return np.zeros(shape, dtype)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        made: NDArray[Any] = np.lib.format.open_memmap(path, "w+", dtype, shape)
        if hasattr(os, "posix_fallocate"):  # not on macOS
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as err:
        path.unlink(missing_ok=True)
        raise output_error(path, err) from err
    return made


class MappedRows:
    """Rows of numbers that come one at a time, in a temporary file: more than memory holds.

    Parameters
    ----------
    path
        Of the file; one that is there is replaced, and who maps it keeps it.
    rows
        The largest number of rows.
    columns
        Number of values in a row.

    Raises
    ------
    OutputError
        The file cannot be written.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> rows = MappedRows(Path(mkdtemp(), "rows.npy"), 2, 3)
    >>> rows.add(np.array([1, np.nan, 3]))
    >>> rows.add(np.array([4, 5, 6]))
    >>> rows.known().tolist()
    [0, 2]
    >>> rows.array(rows.known()).tolist()
    [[1.0, 3.0], [4.0, 6.0]]
    """

    def __init__(self, path: Path, rows: int, columns: int) -> None:
        self._path, self._count = path, 0
        self._values = new_array(path, (rows, columns))
        self._known = np.ones(columns, bool)

    def add(self, row: NDArray[Any]) -> None:
        """Add a row (columns,)."""
        self._values[self._count] = row
        self._known &= np.isfinite(row)
        self._count += 1

    def known(self) -> NDArray[np.intp]:
        """Return the columns in which all rows have a finite value."""
        return np.flatnonzero(self._known)

    def array(self, columns: NDArray[np.intp]) -> NDArray[np.float32]:
        """Map some columns, (rows, columns); once all rows are added.

        Raises
        ------
        OutputError
            What is left of the columns cannot be written.
        """
        values = self._values[: self._count]
        if len(columns) == len(self._known):
            return values
        found = new_array(self._path.with_suffix(".kept.npy"), (self._count, len(columns)))
        step = max(1, _PIECE // (4 * len(self._known)))
        for start in range(0, self._count, step):
            found[start : start + step] = values[start : start + step, columns]
        return found


def write_npz(path: Path, arrays: Mapping[str, ArrayLike]) -> None:
    """Write an npz file that `numpy.load` reads, by key; the same arrays give the same bytes.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with atomic_file(path) as file:
        np.savez(file, **dict[str, Any](arrays))


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays that `write_npz` wrote."""
    with np.load(path, allow_pickle=False) as held:
        return dict(held)
