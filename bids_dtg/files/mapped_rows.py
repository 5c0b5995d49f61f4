"""Rows of numbers that come one at a time, as one memory-mapped array: more than memory holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import OutputError

_PIECE = 1 << 26  # bytes that are copied at once


class MappedRows:
    """A temporary file of rows, (rows, columns) float32.

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
    >>> rows = MappedRows(Path(mkdtemp(), "rows.f32"), 2, 3)
    >>> rows.add(np.array([1, np.nan, 3]))
    >>> rows.add(np.array([4, 5, 6]))
    >>> rows.known().tolist()
    [0, 2]
    >>> rows.array(rows.known()).tolist()
    [[1.0, 3.0], [4.0, 6.0]]
    """

    def __init__(self, path: Path, rows: int, columns: int) -> None:
        self._path, self._count = path, 0
        self._values = _mapped(path, (rows, columns))
        self._known = np.ones(columns, bool)

    def __len__(self) -> int:
        return self._count

    def add(self, row: NDArray[Any]) -> None:
        """Add a row (columns,)."""
        if row.shape != self._known.shape:
            raise ValueError(f"a row has the shape {row.shape}, expected {self._known.shape}")
        self._values[self._count] = row
        self._known &= np.isfinite(self._values[self._count])
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
        found = _mapped(self._path.with_suffix(".kept"), (self._count, len(columns)))
        step = max(1, _PIECE // (4 * len(self._known)))
        for start in range(0, self._count, step):
            found[start : start + step] = values[start : start + step, columns]
        return found


def _mapped(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Map a new file, whose place on the disk is taken: to lack it later would end the process."""
    if 0 in shape:
        return np.zeros(shape, np.float32)
    try:
        path.unlink(missing_ok=True)
        values: NDArray[np.float32] = np.memmap(path, np.float32, "w+", shape=shape)
        if hasattr(os, "posix_fallocate"):  # not on macOS
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, values.nbytes)
    except OSError as err:
        raise OutputError(
            f"{path} cannot be written: {err.strerror or err}",
            remedy="set TMPDIR to a folder with room",
        ) from err
    return values
