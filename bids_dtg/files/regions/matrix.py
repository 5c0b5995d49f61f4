"""A square matrix between regions that another program wrote: text, MATLAB or NumPy.

Nothing in a file is run or unpickled, and no array leads to another file.
"""

from __future__ import annotations

import io
import math
import re
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError
from bids_dtg.files.foreign import MOST_TABLE, parse_table, read_bytes, read_text
from bids_dtg.files.regions.cells import is_number, read_numbers

MOST_BYTES = 256 * 2**20  # of a file that is no text
MOST_REGIONS = 10_000
_MATLAB_NUMBERS = {
    *("double", "single", "logical", "sparse"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}
_MATLAB_73 = b"MATLAB 7.3"
_LABELS = "region_labels"  # as QSIRecon names the variable with the names of an atlas' regions
_MOST_NAMED = 20  # variables that a message lists

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ForeignMatrix:
    """A value between each two regions, as another program has it."""

    path: Path
    values: Float  # (regions, regions), NaN where a cell is n/a
    names: tuple[str, ...] | None = None  # of the regions; None: the file has none
    key: str = ""  # of the variable; empty: the file has one matrix without a name


def read_matrix(path: Path, key: str | None = None) -> ForeignMatrix:
    r"""Read a square matrix: TSV, CSV or other text, MATLAB's .mat, NumPy's .npz or .npy.

    Text may have names of the regions in its first line, its first column, or both. Of a .mat
    file (versions 4 to 7.3) and of an .npz file only the one variable is read.

    Parameters
    ----------
    path
        Of the file; its ending says what it is.
    key
        Name of the variable; None: the only square matrix of the file.

    Raises
    ------
    MissingFileError
        There is no such file.
    ForeignFileError
        It is damaged or too large, there is no such variable, no square matrix or more than one.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp(), "sc.csv")
    >>> _ = path.write_text("V1,V2\n0,3\n3,0\n")
    >>> found = read_matrix(path)
    >>> found.names, found.values.tolist()
    (('V1', 'V2'), [[0.0, 3.0], [3.0, 0.0]])
    """
    reader = _READERS.get(path.suffix.casefold())
    if reader is None:
        raise ForeignFileError(
            f"{path} is no file of a matrix that is known", expected=", ".join(_READERS)
        )
    found = reader(path, key)
    if found.values.ndim != 2 or len(set(found.values.shape)) > 1 or len(found.values) < 2:
        raise ForeignFileError(
            f"{_title(path, found.key)} is {_shape(found.values.shape)}",
            expected="a square matrix, a row and a column a region",
        )
    return found


def list_matrices(path: Path) -> dict[str, int]:
    """Return the number of regions of each square matrix of a .mat or .npz file, by its name.

    Parameters
    ----------
    path
        Of the file. A file of another kind has one matrix without a name: the answer is empty.

    Raises
    ------
    MissingFileError
        There is no such file.
    ForeignFileError
        It is damaged or too large.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp(), "sc.npz")
    >>> np.savez(path, counts=np.eye(3), labels=np.arange(3))
    >>> list_matrices(path)
    {'counts': 3}
    """
    reader = _LISTERS.get(path.suffix.casefold())
    shapes = {} if reader is None else reader(path)
    return {name: shapes[name][0] for name in _square(shapes)}


def _read_text(path: Path, key: str | None) -> ForeignMatrix:
    """Read a table of numbers; `key` is for files with several matrices, and not needed."""
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
    return ForeignMatrix(path, values, tuple(map(str.strip, across or down)) or None)


def _rows(path: Path) -> list[tuple[str, ...]]:
    text = read_text(path, MOST_TABLE)
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


def _read_npy(path: Path, key: str | None) -> ForeignMatrix:
    with _reading(path):
        values = _array(io.BytesIO(read_bytes(path, MOST_BYTES)), path.name)
        return ForeignMatrix(path, _numbers(values, path.name))


def _read_npz(path: Path, key: str | None) -> ForeignMatrix:
    with _reading(path), zipfile.ZipFile(io.BytesIO(read_bytes(path, MOST_BYTES))) as archive:
        members, shapes = _npz_members(archive)
        chosen = _choose(path, key, shapes)
        if members[chosen].file_size > MOST_BYTES:
            raise ValueError(f"{chosen} has {members[chosen].file_size} bytes")
        values = _array(io.BytesIO(archive.read(members[chosen])), chosen)
        return ForeignMatrix(path, _numbers(values, chosen), None, chosen)


def _npz_members(
    archive: zipfile.ZipFile,
) -> tuple[dict[str, zipfile.ZipInfo], dict[str, tuple[int, ...]]]:
    members = {
        member.filename.removesuffix(".npy"): member
        for member in archive.infolist()
        if member.filename.endswith(".npy")
    }
    shapes = {}
    for name, member in members.items():
        with archive.open(member) as stream:
            shapes[name] = _npy_header(stream)[0]
    return members, shapes


def _npz_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    with _reading(path), zipfile.ZipFile(io.BytesIO(read_bytes(path, MOST_BYTES))) as archive:
        return _npz_members(archive)[1]


def _npy_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"an array is in version {version} of NumPy's format, which is not read")


def _array(stream: io.BytesIO, name: str) -> NDArray[Any]:
    shape, _, dtype = _npy_header(stream)
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which are never unpickled")
    # A header may promise more than there is: memory would be taken for it first.
    if math.prod(shape) * dtype.itemsize != len(stream.getbuffer()) - stream.tell():
        raise ValueError(f"{name} has not the size that its header says")
    stream.seek(0)
    return np.asarray(np.load(stream, allow_pickle=False))


def _read_mat(path: Path, key: str | None) -> ForeignMatrix:
    content = read_bytes(path, MOST_BYTES)
    if content.startswith(_MATLAB_73):
        return _read_hdf5(path, content, key)
    from scipy.io import loadmat, whosmat

    with _reading(path):
        listed = {name: (shape, kind) for name, shape, kind in whosmat(io.BytesIO(content))}
        numeric = _numeric(listed)
        chosen = _choose(path, key, numeric)
        labels = _labels_of(chosen, {n: s for n, (s, kind) in listed.items() if kind == "char"})
        wanted = [chosen] if labels is None else [chosen, labels]
        # Variables of these kinds hold numbers and letters only; no other is looked into.
        held = loadmat(io.BytesIO(content), variable_names=wanted)
        values = held[chosen]
        numbers = _numbers(values.toarray() if hasattr(values, "toarray") else values, chosen)
        names = None if labels is None else tuple(str(name).strip() for name in held[labels])
    fitting = names is not None and len(names) == len(numbers)
    return ForeignMatrix(path, numbers, names if fitting else None, chosen)


def _numeric(
    listed: Mapping[str, tuple[tuple[int, ...], str]],
) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, (shape, kind) in listed.items() if kind in _MATLAB_NUMBERS}


def _mat_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    content = read_bytes(path, MOST_BYTES)
    if content.startswith(_MATLAB_73):
        import h5py

        with _reading(path), h5py.File(io.BytesIO(content), "r") as file:
            return {name: file[name].shape for name in file if _is_plain(file, name)}
    from scipy.io import whosmat

    with _reading(path):
        listed = whosmat(io.BytesIO(content))
    return _numeric({name: (shape, kind) for name, shape, kind in listed})


def _labels_of(key: str, letters: Mapping[str, Sequence[int]]) -> str | None:
    """Return the variable with the regions' names that goes with a matrix of QSIRecon."""
    for name in letters:
        if name.endswith(_LABELS) and key.startswith(name.removesuffix(_LABELS)):
            return name
    return None


def _read_hdf5(path: Path, content: bytes, key: str | None) -> ForeignMatrix:
    """Read MATLAB's version 7.3, which is HDF5 with its axes the other way round."""
    import h5py

    with _reading(path), h5py.File(io.BytesIO(content), "r") as file:
        datasets = {name: file[name] for name in file if _is_plain(file, name)}
        chosen = _choose(path, key, {name: data.shape for name, data in datasets.items()})
        data = datasets[chosen]
        if data.chunks and math.prod(data.chunks) * data.dtype.itemsize > MOST_BYTES:
            raise ValueError(f"chunks of {chosen} have more than {MOST_BYTES} bytes")
        return ForeignMatrix(path, _numbers(np.asarray(data[()]), chosen).T, None, chosen)


def _is_plain(file: Any, name: str) -> bool:
    """Return whether a variable is an array of numbers that lies in the file itself."""
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return False
    data = file[name]
    return (
        isinstance(data, h5py.Dataset)
        and data.shape is not None
        and data.dtype.kind in "biuf"
        and not (data.external or data.is_virtual)
    )


def _square(shapes: Mapping[str, Sequence[int]]) -> list[str]:
    return [
        name
        for name, shape in shapes.items()
        if len(shape) == 2 and shape[0] == shape[1] and 2 <= shape[0] <= MOST_REGIONS
    ]


def _choose(path: Path, key: str | None, shapes: Mapping[str, Sequence[int]]) -> str:
    """Return the numeric variable that is the matrix."""
    square = _square(shapes)
    if key is not None:
        if key not in shapes:
            raise ForeignFileError(
                f"{path} has no variable '{key}' of numbers", expected=_listed(square or shapes)
            )
        if key not in square:
            raise ForeignFileError(
                f"{_title(path, key)} is {_shape(shapes[key])}",
                expected=f"a square matrix of 2 to {MOST_REGIONS} regions",
            )
        return key
    if len(square) != 1:
        raise ForeignFileError(
            f"{path} has {len(square) or 'no'} square matri{'ces' if len(square) > 1 else 'x'}"
            + (f": {_listed(square)}" if square else ""),
            expected="one, or the name of the one that is meant",
        )
    return square[0]


def _numbers(values: NDArray[Any], name: str) -> Float:
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{name} is of type {values.dtype}, not of real numbers")
    return np.array(values, np.float64)


def _title(path: Path, key: str) -> str:
    return f"{path}: {key}" if key else str(path)


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    found = list(names)
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return (", ".join(found[:_MOST_NAMED]) or "a variable of numbers") + more


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn all that libraries raise on a damaged file into one kind of error."""
    from scipy.io.matlab import MatReadError

    try:
        yield
    except MemoryError as err:
        raise ForeignFileError(f"{path}: not enough memory to read it") from err
    except (
        *(OSError, ValueError, LookupError, TypeError, RuntimeError, EOFError, OverflowError),
        *(MatReadError, zipfile.BadZipFile, zlib.error, NotImplementedError, AttributeError),
        tokenize.TokenError,  # of NumPy, on the header of an array
    ) as err:
        said = " ".join(str(err).split())[:200]
        raise ForeignFileError(f"{path} cannot be read: {said or type(err).__name__}") from err


_READERS: dict[str, Callable[[Path, str | None], ForeignMatrix]] = {
    ".tsv": _read_text,
    ".csv": _read_text,
    ".txt": _read_text,
    ".mat": _read_mat,
    ".npz": _read_npz,
    ".npy": _read_npy,
}
_LISTERS: dict[str, Callable[[Path], dict[str, tuple[int, ...]]]] = {
    ".mat": _mat_shapes,
    ".npz": _npz_shapes,
}
