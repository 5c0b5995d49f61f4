"""Arrays that are written once and read memory-mapped, and files of several arrays."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from bids_dtg.array_types import Float32, Indices, Values
from bids_dtg.errors import OutputError
from bids_dtg.files.atomic import atomic_file, output_error
from bids_dtg.files.foreign import reading, sha256_of_file
from bids_dtg.files.text import read_json, write_json


@dataclass(frozen=True)
class ArrayStore:
    """Named arrays in one folder, each with facts and a checksum; a name may contain `/`."""

    root: Path  # created if needed

    def write(
        self,
        name: str,
        array: Values,
        facts: Mapping[str, Any],
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        """Write an array, then its facts; if killed in between, the array is made again.

        Parameters
        ----------
        name
            Name of the array in the store.
        array
            Array to store, in its own data type.
        facts
            Everything that the array depends on, as JSON values; `has` compares them.
        notes
            Further information to keep with the array, as JSON values; never compared.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        path = self._array(name)
        with atomic_file(path) as file:
            np.save(file, np.ascontiguousarray(array), allow_pickle=False)
        record = {
            "facts": facts,
            "notes": notes or {},
            "sha256": sha256_of_file(path),
            "bytes": path.stat().st_size,
        }
        write_json(self._facts(name), record)

    def has(self, name: str, facts: Mapping[str, Any]) -> bool:
        """Return whether an array exists, has its full size and was made from these facts."""
        record = read_json(self._facts(name))
        path = self._array(name)
        same_facts = record.get("facts") == json.loads(json.dumps(facts))
        if not same_facts or not path.is_file():
            return False
        return path.stat().st_size == record.get("bytes")

    def notes(self, name: str) -> Mapping[str, Any]:
        """Return the notes stored with an array; empty if the array is missing."""
        notes = read_json(self._facts(name)).get("notes", {})
        return notes if isinstance(notes, dict) else {}

    def read(self, name: str) -> Values:
        """Map an array into memory, read-only, after verifying its checksum.

        Raises
        ------
        OutputError
            The array is missing, damaged or changed.
        """
        path = self._array(name)
        with reading(path, OutputError):
            if sha256_of_file(path) != read_json(self._facts(name)).get("sha256"):
                raise OutputError(
                    f"{path} has changed since it was written",
                    remedy="remove it; the same command makes it again",
                )
            array: Values = np.load(path, mmap_mode="r", allow_pickle=False)
        return array

    def create(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Values:
        """Create an array to be filled in place; it has no facts, as it is work in progress.

        Raises
        ------
        OutputError
            The disk has no room for it.
        """
        return new_array(self._array(name), shape, dtype)

    def discard(self, folder: str) -> None:
        """Remove all arrays whose names begin with a folder."""
        shutil.rmtree(self.root / folder, ignore_errors=True)

    def _array(self, name: str) -> Path:
        return self.root / f"{name}.npy"

    def _facts(self, name: str) -> Path:
        return self.root / f"{name}.json"


def new_array(
    path: Path, shape: tuple[int, ...], dtype: DTypeLike = np.float32
) -> np.memmap[Any, Any]:
    """Create and map a file (.npy) of zeros, to be filled.

    A file of this name is replaced; processes that have mapped it keep the old content.

    Raises
    ------
    OutputError
        The disk has no room. Space is reserved now, as running out later would end the process
        (SIGBUS).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        array: np.memmap[Any, Any] = np.lib.format.open_memmap(path, "w+", dtype, shape)
        if hasattr(os, "posix_fallocate"):  # not on macOS
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as err:
        path.unlink(missing_ok=True)
        raise output_error(path, err) from err
    return array


class MappedRows:
    """Tables of numbers in one file, filled a row at a time, as they may exceed memory.

    Rows are written, and only the table that is asked for is mapped, so that memory holds one.

    Parameters
    ----------
    path
        Path of the file, created as by `new_array`.
    tables
        Number of tables.
    rows
        The largest number of rows of a table.
    columns
        Number of values in a row.

    Raises
    ------
    OutputError
        The file cannot be written.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> rows = MappedRows(Path(mkdtemp(), "rows.npy"), tables=2, rows=2, columns=3)
    >>> rows.add(1, np.array([1, np.nan, 3]))
    >>> rows.add(0, np.array([7, 8, 9]))
    >>> rows.add(1, np.array([4, 5, 6]))
    >>> rows.complete_columns(1).tolist()
    [0, 2]
    >>> rows.table(1, rows.complete_columns(1)).tolist()
    [[1.0, 3.0], [4.0, 6.0]]
    """

    def __init__(self, path: Path, tables: int, rows: int, columns: int) -> None:
        self._path = path
        self._rows = rows
        self._row_counts = [0] * tables
        self._header_bytes = new_array(path, (tables, rows, columns)).offset
        self._file = path.open("r+b")
        # (tables, columns), whether all rows have a finite value
        self._complete = np.ones((tables, columns), bool)

    def add(self, table: int, row: Values) -> None:
        """Add a row (columns,) to a table.

        Raises
        ------
        OutputError
            The file cannot be written.
        """
        try:
            self._file.seek(self._place(table, self._row_counts[table]))
            self._file.write(np.asarray(row, np.float32).tobytes())
        except OSError as err:
            raise output_error(self._path, err) from err
        self._complete[table] &= np.isfinite(row)
        self._row_counts[table] += 1

    def complete_columns(self, table: int) -> Indices:
        """Return the columns in which all rows of a table have a finite value."""
        return np.flatnonzero(self._complete[table])

    def table(self, table: int, columns: Indices) -> Float32:
        """Map some columns of a table, (rows, columns), after its rows have been added.

        Raises
        ------
        OutputError
            The file of the remaining columns cannot be written.
        """
        self._file.flush()
        n_rows = self._row_counts[table]
        n_columns = self._complete.shape[1]
        rows: Float32 = np.memmap(
            self._path, np.float32, "r", self._place(table, 0), (n_rows, n_columns)
        )
        if len(columns) == n_columns:
            return rows
        path = self._path.with_suffix(".kept.npy")
        selected_rows = new_array(path, (n_rows, len(columns)))
        for selected, row in zip(selected_rows, rows, strict=True):
            selected[:] = row[columns]
        return selected_rows

    def close(self) -> None:
        """Close the file; tables stay mapped."""
        self._file.close()

    def _place(self, table: int, row: int) -> int:
        """Return where a row of a table begins in the file, in bytes."""
        row_bytes = self._complete.shape[1] * np.dtype(np.float32).itemsize
        return self._header_bytes + (table * self._rows + row) * row_bytes


def write_npz(path: Path, arrays: Mapping[str, ArrayLike]) -> None:
    """Write arrays by key as an npz file for `numpy.load`; equal arrays give equal bytes.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    with atomic_file(path) as file:
        np.savez(file, **dict[str, Any](arrays))


def read_npz(path: Path) -> dict[str, Values]:
    """Read the arrays that `write_npz` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
