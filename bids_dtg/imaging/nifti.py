"""Masks and maps in; statistic maps out as the bytes of a compressed NIfTI-1 file."""

from __future__ import annotations

import importlib.util
import json
import math
import zlib
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from bids_dtg.errors import DatasetError, RunError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.header import (
    READ_ERRORS,
    NiftiHeader,
    open_bytes,
    read_exactly,
    read_header,
)
from bids_dtg.imaging.sampling import LatticeSampling

Intent = Literal["none", "z score", "correlation"]

# nibabel's headers carry no types.
_Nifti1Header: Any = nib.Nifti1Header
_Extension: Any = nib.nifti1.Nifti1Extension
# Of ISA-L: its faster levels do not always choose the same matches, so that equal maps would not
# always give equal bytes. Float maps hardly shrink at any level.
_LEVEL = 3
# Code of a header extension that holds text ("comment").
_COMMENT = 6
# zlib's usual one: whole numbers shrink to a fifth of what ISA-L makes of them.
_SMALL_LEVEL = 6
# wbits of a gzip container; its time stamp is 0, so equal maps give equal bytes.
_GZIP_CONTAINER = 31
# Values that are scaled at a time.
_PIECE_BYTES = 2**24


def read_volume(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """Read a mask or map.

    Returns
    -------
    array
        As stored, or float32 where the header scales it or the file holds float64.
    affine
        (4, 4), voxel indices to RAS+ mm.

    Raises
    ------
    RunError
        Missing, damaged or not a NIfTI file.
    """
    return _values(read_header(path))


def read_nilearn_template(image: str) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Read an image of the template that comes with nilearn: ICBM 152 (2009a symmetric), 1 mm.

    The file is read, and nilearn not imported, which takes a second.

    Parameters
    ----------
    image
        ``t1`` without skull, or the share of ``gm`` or ``wm``.

    Returns
    -------
    values
        (i, j, k), from 0 to 1.
    affine
        (4, 4), voxel indices to RAS+ mm.

    Raises
    ------
    DatasetError
        nilearn is not installed.
    """
    spec = importlib.util.find_spec("nilearn")
    if spec is None or spec.origin is None:
        raise DatasetError("nilearn is not installed", remedy="pip install nilearn")
    name = f"mni_icbm152_{image}_tal_nlin_sym_09a_converted.nii.gz"
    stored, affine = read_volume(Path(spec.origin).parent / "datasets" / "data" / name)
    values = stored.astype(np.float32)
    values /= values.max()
    return values, affine


def read_single(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """Read a mask or map of one volume, (i, j, k); as `read_volume`.

    Raises
    ------
    RunError
        As `read_volume`; also of several volumes, which are not read.
    """
    header = read_header(path)
    if len(header.shape) < 3 or math.prod(header.shape[3:]) != 1:
        raise RunError(
            f"{path} has sizes {header.shape}", expected="one volume of three dimensions"
        )
    values, affine = _values(header)
    return values.reshape(header.shape[:3], order="F"), affine


def _values(header: NiftiHeader) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    path, wanted = header.path, math.prod(header.shape) * header.dtype.itemsize
    raw = np.empty(wanted, np.uint8)
    try:
        with open_bytes(path) as file:
            read_exactly(file, memoryview(bytearray(header.offset)))
            held = read_exactly(file, raw.data)
            file.read(1)  # at the end of a compressed file its checksum is compared
    except READ_ERRORS as err:
        raise RunError(f"{path} is damaged: {err}", remedy="fetch or make it anew") from err
    if held < wanted:
        raise RunError(
            f"{path} holds {held} bytes of values",
            expected=f"{wanted}, as its header says",
            remedy="fetch or make it anew",
        )
    stored = raw.view(header.dtype)
    if header.slope != 1.0 or header.inter != 0.0:
        values = np.empty(stored.shape, np.float32)
        for first in range(0, len(stored), _PIECE_BYTES):
            piece = slice(first, first + _PIECE_BYTES)
            values[piece] = stored[piece] * header.slope + header.inter
    else:
        native = np.float32 if header.dtype.kind == "f" else header.dtype.newbyteorder("=")
        values = stored.astype(native, copy=False)
    return values.reshape(header.shape, order="F"), header.affine


def read_mask(path: Path, grid: Grid) -> NDArray[np.bool_]:
    """Read a mask on the grid's lattice; False outside the file's field of view.

    Returns
    -------
    (i, j, k) bool, on the grid: where the file is finite and above 0.5, so that the edge of a
    probability does not depend on rounding.

    Raises
    ------
    RunError
        Damaged file, more than one volume, or another lattice (GridMismatchError).
    """
    values, affine = read_single(path)
    voxels = np.arange(int(np.prod(grid.shape)))
    sampling = LatticeSampling.between(values.shape, affine, grid, voxels, name=str(path))
    sampled = sampling.apply(values.reshape(1, -1, order="F"), 1.0, 0.0)[0]
    mask: NDArray[np.bool_] = (sampled > 0.5).reshape(grid.shape)
    return mask


def encode_floats(header: Any, volumes: Iterable[NDArray[np.floating[Any]]]) -> bytes:
    """Make a complete .nii.gz file of volumes (i, j, k): the same bytes for the same input."""
    compressor = isal_zlib.compressobj(_LEVEL, wbits=_GZIP_CONTAINER)
    parts = [compressor.compress(_head(header))]
    # (i, j, k) C order -> the file's order, i fastest
    parts += [
        compressor.compress(volume.astype("<f4", copy=False).tobytes(order="F"))
        for volume in volumes
    ]
    parts.append(compressor.flush())
    return b"".join(parts)


def encode_integers(
    volume: NDArray[np.integer],
    grid: Grid,
    *,
    slope: float = 1.0,
    description: str = "",
    facts: Mapping[str, Any] | None = None,
    quick: bool = False,
) -> bytes:
    """Make a complete .nii.gz file of one volume of whole numbers: labels, or a copy to look at.

    Parameters
    ----------
    volume
        (i, j, k) uint8, int8, uint16 or int16, stored as it is.
    grid
        Where it lies; qform and sform are both written.
    slope
        What a stored value of 1 stands for.
    description
        Text of `descrip`, at most 79 ASCII characters.
    facts
        As for `make_header`.
    quick
        Whether it is compressed as maps are; else harder, in ten times the time.

    Returns
    -------
    The file's bytes, the same for the same input.
    """
    if volume.shape != grid.shape:
        raise ValueError(f"the volume is {grid.shape} as its grid, not {volume.shape}")
    stored = volume.dtype.newbyteorder("<")
    header = make_header(
        *(grid.shape, grid), description=description, stored=stored.str, slope=slope, facts=facts
    )
    content = _head(header) + volume.astype(stored).tobytes(order="F")
    if quick:
        return isal_zlib.compress(content, _LEVEL, _GZIP_CONTAINER)
    return zlib.compress(content, _SMALL_LEVEL, _GZIP_CONTAINER)


def make_header(
    shape: tuple[int, ...],
    grid: Grid,
    *,
    intent: Intent = "none",
    description: str = "",
    stored: str = "<f4",
    slope: float = 1.0,
    facts: Mapping[str, Any] | None = None,
) -> Any:
    """Make a header of nibabel.

    Parameters
    ----------
    shape
        Of the values.
    grid
        Where they lie; qform and sform are both written.
    intent
        NIfTI intent: "z score" is code 5.
    description
        Text of `descrip`, at most 79 ASCII characters.
    stored, slope
        Type of the values, and what a stored value of 1 stands for.
    facts
        What a copy of the file alone should say of itself: a comment in the header, as JSON.
    """
    header: Any = _Nifti1Header(endianness="<")
    header.set_data_dtype(stored)
    header.set_data_shape(shape)
    header.set_zooms((*grid.voxel_sizes_mm, *(1.0 for _ in shape[3:])))
    # strip_shears: a lattice with shears has no qform; the sform holds the truth.
    header.set_qform(grid.affine, code=grid.form_code, strip_shears=True)
    header.set_sform(grid.affine, code=grid.form_code)
    header.set_xyzt_units("mm", "sec" if len(shape) > 3 else None)
    header.set_intent(intent)
    header["descrip"] = description.encode("ascii", "replace")[:79]
    header.set_slope_inter(slope, 0.0)
    header["magic"] = b"n+1"
    if facts is not None:
        text = json.dumps(facts, ensure_ascii=False).encode()
        header.extensions.append(_Extension(_COMMENT, text))
    return header


def _head(header: Any) -> bytes:
    """Return the bytes before the values."""
    stream = BytesIO()
    header.write_to(stream)
    return stream.getvalue()
