"""Square matrices between regions that other programs wrote: text, MATLAB or NumPy."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError
from bids_dtg.files.foreign import parse_table, read_bytes, read_text, reading
from bids_dtg.files.regions.cells import is_number, read_numbers

_MOST_BYTES = 256 * 2**20  # of a file that is no text
_MATLAB_73 = b"MATLAB 7.3"
_LABELS = "region_labels"  # as QSIRecon names the variable with the names of an atlas' regions

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ForeignMatrix:
    """A value between each two regions, as another program has it."""

    path: Path
    values: Float  # (regions, regions), NaN where a cell is n/a
    names: tuple[str, ...] | None = None  # of the regions; None: the file has none
    key: str = ""  # of the variable; empty: the file has one matrix without a name


def read_matrices(path: Path) -> list[ForeignMatrix]:
    r"""Read the square matrices of a file: text, MATLAB's .mat, NumPy's .npz or .npy.

    Text is one matrix, which may have names of the regions in its first line, its first column,
    or both. Nothing is unpickled.

    Raises
    ------
    MissingFileError
        There is no such file.
    ForeignFileError
        It cannot be read, or has no square matrix of numbers.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp(), "sc.csv")
    >>> _ = path.write_text("V1,V2\n0,3\n3,0\n")
    >>> (found,) = read_matrices(path)
    >>> found.names, found.values.tolist()
    (('V1', 'V2'), [[0.0, 3.0], [3.0, 0.0]])
    """
    reader = _READERS.get(path.suffix.casefold())
    if reader is None:
        raise ForeignFileError(
            f"{path} is no file of a matrix that is known", expected=", ".join(_READERS)
        )
    with reading(path):
        found = list(reader(path))
    square = [matrix for matrix in found if _is_square(matrix.values)]
    if not square:
        sizes = ", ".join(" x ".join(map(str, matrix.values.shape)) for matrix in found[:3])
        raise ForeignFileError(
            f"{path} has no square matrix" + (f", but is {sizes}" if sizes else ""),
            expected="a row and a column a region",
        )
    return square


def _is_square(values: Float) -> bool:
    return values.ndim == 2 and len(values) > 1 and values.shape[0] == values.shape[1]


def _read_text(path: Path) -> Iterator[ForeignMatrix]:
    rows = _rows(path)
    width = max(len(row) for row in rows)
    header, column = _where_names_are(rows, width)
    values = read_numbers([row[column:] for row in rows[header:]], path)
    across = rows[0][column:] if header else ()
    down = tuple(row[0] for row in rows[header:]) if column else ()
    if across and down and across != down:
        raise ForeignFileError(
            f"{path} has other names in its first line than in its first column",
            expected="the same regions in the same order",
        )
    yield ForeignMatrix(path, values, tuple(map(str.strip, across or down)) or None)


def _rows(path: Path) -> list[tuple[str, ...]]:
    text = read_text(path)
    first = text.partition("\n")[0]
    delimiter = next((mark for mark in "\t,;" if mark in first), None)
    if delimiter is None:  # columns of MRtrix and of MATLAB's text are parted by spaces
        delimiter, text = "\t", re.sub("[ \t]+", "\t", re.sub("(?m)^[ \t]+|[ \t]+$", "", text))
    table = parse_table(text, path, delimiter)
    if table.short:
        raise ForeignFileError(
            f"{path} has {table.short} lines with fewer cells than the first",
            expected="as many in each line",
        )
    rows = [row for row in (table.header, *table.rows) if row]
    if not rows:
        raise ForeignFileError(f"{path} is empty", expected="a square matrix")
    return rows


def _where_names_are(rows: Sequence[tuple[str, ...]], width: int) -> tuple[int, int]:
    """Return the number of leading lines and columns that hold names: 0 or 1 of each.

    The shape decides, as regions may be called by numbers; where it is ambiguous, the corner does.
    """
    beyond = len(rows) - width
    if beyond:
        return int(beyond == 1), int(beyond == -1)
    named = not all(is_number(cell) for cell in rows[0]) or not rows[0][0].strip()
    return int(named), int(named)


def _read_npy(path: Path) -> Iterator[ForeignMatrix]:
    values = np.load(io.BytesIO(read_bytes(path, _MOST_BYTES)), allow_pickle=False)
    yield from _of_variables(path, {"": values})


def _read_npz(path: Path) -> Iterator[ForeignMatrix]:
    with np.load(io.BytesIO(read_bytes(path, _MOST_BYTES)), allow_pickle=False) as held:
        yield from _of_variables(path, {name: held[name] for name in held.files})


def _read_mat(path: Path) -> Iterator[ForeignMatrix]:
    content = read_bytes(path, _MOST_BYTES)
    if content.startswith(_MATLAB_73):
        import h5py

        with h5py.File(io.BytesIO(content), "r") as file:  # its axes are the other way round
            held = {name: file[name][()].T for name in file if isinstance(file[name], h5py.Dataset)}
    else:
        from scipy.io import loadmat

        held = loadmat(io.BytesIO(content))
    yield from _of_variables(path, held)


def _of_variables(path: Path, held: Mapping[str, Any]) -> Iterator[ForeignMatrix]:
    """Yield the variables of numbers, with the regions' names that QSIRecon puts beside them."""
    for key, found in held.items():
        values = found.toarray() if hasattr(found, "toarray") else found
        if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
            names = tuple(str(name).strip() for name in _labels_of(key, held))
            fitting = names if len(names) == len(values) else None
            yield ForeignMatrix(path, np.array(values, np.float64), fitting or None, key)


def _labels_of(key: str, held: Mapping[str, Any]) -> list[Any]:
    for name, labels in held.items():
        if name.endswith(_LABELS) and key.startswith(name.removesuffix(_LABELS)):
            return list(np.ravel(labels))
    return []


_READERS: dict[str, Callable[[Path], Iterator[ForeignMatrix]]] = {
    ".tsv": _read_text,
    ".csv": _read_text,
    ".txt": _read_text,
    ".mat": _read_mat,
    ".npz": _read_npz,
    ".npy": _read_npy,
}
