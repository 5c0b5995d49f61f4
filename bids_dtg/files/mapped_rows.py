"""Rows of numbers that come one at a time, as one memory-mapped array: more than memory holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
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
    columns
        Number of values in a row.

    Raises
    ------
    OutputError
        The file cannot be written.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> with MappedRows(Path(mkdtemp(), "rows.f32"), 3) as rows:
    ...     rows.add(np.array([1, np.nan, 3]))
    ...     rows.add(np.array([4, 5, 6]))
    >>> rows.known().tolist()
    [0, 2]
    >>> rows.array(rows.known()).tolist()
    [[1.0, 3.0], [4.0, 6.0]]
    """

    def __init__(self, path: Path, columns: int) -> None:
        self._path, self._columns, self._rows = path, columns, 0
        self._known = np.ones(columns, bool)
        with _writing(path):
            path.unlink(missing_ok=True)
            self._file = path.open("wb")

    def __enter__(self) -> MappedRows:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        with _writing(self._path):
            self._file.close()

    def __len__(self) -> int:
        return self._rows

    def add(self, row: NDArray[Any]) -> None:
        """Add a row (columns,).

        Raises
        ------
        ValueError
            It has another length.
        OutputError
            The file cannot be written.
        """
        if row.shape != (self._columns,):
            raise ValueError(f"a row has the shape {row.shape}, expected ({self._columns},)")
        values = np.asarray(row, np.float32)
        self._known &= np.isfinite(values)
        with _writing(self._path):
            self._file.write(values.tobytes())
        self._rows += 1

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
        shape = self._rows, self._columns
        values: NDArray[np.float32] = np.memmap(self._path, np.float32, "r+", shape=shape)
        if len(columns) == self._columns:
            return values
        kept = self._path.with_suffix(".kept")
        with _writing(kept):
            kept.unlink(missing_ok=True)
            found: NDArray[np.float32] = np.memmap(
                kept, np.float32, "w+", shape=(self._rows, len(columns))
            )
        step = max(1, _PIECE // (4 * self._columns))
        for start in range(0, self._rows, step):
            found[start : start + step] = values[start : start + step, columns]
        return found


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn an error of the disk into one for people."""
    try:
        yield
    except OSError as err:
        raise OutputError(
            f"{path} cannot be written: {err.strerror or err}",
            remedy="set TMPDIR to a folder with room",
        ) from err
