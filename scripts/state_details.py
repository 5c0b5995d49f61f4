"""What of two files differs: which cells of tables, which keys of JSON, which values of arrays."""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any
from xml.parsers.expat import ExpatError

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

_MOST_LINES, _MOST_COUNTED = 5, 1000  # of a file: shown, and looked for
_MASKED = re.compile(rb"(?<=: )MASKED\b")  # in place of a value, which makes it no JSON
_MOST_CHARACTERS = 60  # of a cell or value
ARRAYS = (".nii.gz", ".nii", ".gii", ".npz", ".npy", ".safetensors")
_DTYPES = {"F64": "f8", "F32": "f4", "F16": "f2", "I64": "i8", "I32": "i4", "U8": "u1"}
_ABSENT = "absent"
Arrays = dict[str, np.ndarray]


def describe(name: str, data: bytes, other: bytes) -> list[str]:
    """Return lines on how two contents of a file of this name differ; none of other files.

    Parameters
    ----------
    name
        Of the file; its ending says what it is.
    data, other
        Of tables and JSON as they are compared, that is with masks; of images and arrays as the
        files have them.
    """
    forms: Mapping[tuple[str, ...], Callable[[str, bytes, bytes], Iterator[str]]] = {
        (".tsv",): _table_lines,
        (".json",): _json_lines,
        ARRAYS: _array_lines,
    }
    form = next((form for endings, form in forms.items() if name.endswith(endings)), None)
    if form is None:
        return []
    try:
        lines = list(islice(form(name, data, other), _MOST_COUNTED))
    except _DAMAGED as err:
        return [f"cannot be read as {name.rpartition('.')[2]}: {type(err).__name__}"]
    more = len(lines) - _MOST_LINES
    if more <= 0:
        return lines
    at_least = "at least " if len(lines) == _MOST_COUNTED else ""
    return [*lines[:_MOST_LINES], f"and {at_least}{more} further lines"]


# What readers raise where a file is not what its name promises.
_DAMAGED = (
    *(ValueError, KeyError, OSError, EOFError, zlib.error, zipfile.BadZipFile),
    *(ImageFileError, HeaderDataError, WrapStructError, ExpatError),
)


def _table_lines(name: str, data: bytes, other: bytes) -> Iterator[str]:
    (header, *rows), (others_header, *others) = _cells(data), _cells(other)
    if header != others_header:
        yield from _only("columns", header, others_header)
    if len(rows) != len(others):
        yield f"rows: {len(rows)} and {len(others)}"
    yield from _changed_columns(_columns(header, rows), _columns(others_header, others))


def _cells(table: bytes) -> list[list[str]]:
    return [line.split("\t") for line in table.decode().removesuffix("\n").split("\n")]


def _columns(header: list[str], rows: list[list[str]]) -> dict[str, list[str]]:
    return {
        name: [row[place] if place < len(row) else _ABSENT for row in rows]
        for place, name in enumerate(header)
    }


def _changed_columns(
    columns: Mapping[str, list[str]], others: Mapping[str, list[str]]
) -> Iterator[str]:
    """Say how many cells of a column differ, and show the first one."""
    for name in (name for name in columns if name in others):
        pairs = enumerate(zip(columns[name], others[name], strict=False), 1)
        changed = [(row, *pair) for row, pair in pairs if pair[0] != pair[1]]
        if changed:
            row, value, other = changed[0]
            yield (
                f"column {name}: {len(changed)} of {len(columns[name])} cells, "
                f"first in row {row}: {_short(value)} and {_short(other)}"
            )


def _json_lines(name: str, data: bytes, other: bytes) -> Iterator[str]:
    texts = (_MASKED.sub(b'"MASKED"', text) for text in (data, other))
    first, second = (dict(_leaves(json.loads(text))) for text in texts)
    yield from _only("keys", list(first), list(second))
    for key in (key for key in first if key in second and first[key] != second[key]):
        yield f"key {key}: {_short(first[key])} and {_short(second[key])}"
    if first == second:
        yield "the same keys and values, otherwise written"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all that is no object and no list, by its path."""
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from _leaves(inner, f"{path}/{key}")
    else:
        yield path, value


def _array_lines(name: str, data: bytes, other: bytes) -> Iterator[str]:
    first, second = _read_arrays(name, data), _read_arrays(name, other)
    yield from _only("arrays", list(first), list(second))
    same = first.keys() == second.keys()
    for key in (key for key in first if key in second):
        line = _array_line(first[key], second[key])
        if line:
            same = False
            yield f"array {key}: {line}"
    if same:
        yield "all values are the same: the rest of the file differs"


def _array_line(values: np.ndarray, others: np.ndarray) -> str:
    """Say how two arrays differ; empty where they do not."""
    if values.shape != others.shape or values.dtype != others.dtype:
        facts = [f"{array.dtype} {array.shape}" for array in (values, others)]
        return " and ".join(facts)
    if values.dtype.kind not in "fiub":
        changed = np.count_nonzero(values != others)
        return f"{changed} of {values.size} values" if changed else ""
    apart = (values != others) & ~((values != values) & (others != others))
    if not apart.any():
        return ""
    most = np.abs(values[apart].astype(float) - others[apart].astype(float)).max()
    return f"{np.count_nonzero(apart)} of {values.size} values, by at most {most:.3g}"


def _read_arrays(name: str, data: bytes) -> Arrays:
    """Read all arrays of a file by their names."""
    if name.endswith(".npz"):
        with np.load(io.BytesIO(data)) as file:
            return {key: file[key] for key in file.files}
    if name.endswith(".npy"):
        return {"values": np.load(io.BytesIO(data))}
    if name.endswith(".safetensors"):
        return _read_tensors(data)
    if name.endswith(".gii"):
        image = nib.GiftiImage.from_bytes(data)
        return {str(number): array.data for number, array in enumerate(image.darrays)}
    raw = gzip.decompress(data) if name.endswith(".gz") else data
    kind = nib.Cifti2Image if name.endswith((".dscalar.nii", ".dtseries.nii")) else nib.Nifti1Image
    image = kind.from_bytes(raw)
    header = image.nifti_header if kind is nib.Cifti2Image else image.header
    return {"values": np.asarray(image.dataobj), "affine": header.get_best_affine()}


def _read_tensors(data: bytes) -> Arrays:
    start = 8 + int.from_bytes(data[:8], "little")
    head = json.loads(data[8:start])
    head.pop("__metadata__", None)
    return {
        key: np.frombuffer(
            data[start + facts["data_offsets"][0] : start + facts["data_offsets"][1]],
            _DTYPES.get(facts["dtype"], "u1"),
        )
        for key, facts in head.items()
    }


def _only(what: str, names: list[str], others: list[str]) -> Iterator[str]:
    """Say which names only one of two files has, or that their order differs."""
    for label, found in (
        ("first", [name for name in names if name not in others]),
        ("second", [name for name in others if name not in names]),
    ):
        if found:
            more = f" and {len(found) - _MOST_LINES} more" if len(found) > _MOST_LINES else ""
            yield f"{what} of the {label} alone: {', '.join(found[:_MOST_LINES])}{more}"
    if sorted(names) == sorted(others) and names != others:
        yield f"the same {what} in another order"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
