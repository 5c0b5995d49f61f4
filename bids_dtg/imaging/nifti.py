"""NIfTI files: reading headers, masks and maps, with clear errors; encoding maps as bytes.

Maps are encoded as compressed NIfTI-1 files; equal values give equal bytes.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import logging
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import Any, Literal, cast

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from nibabel import imageglobals

from bids_dtg.array_types import Float32, Integers, Mask, Values
from bids_dtg.errors import RunError
from bids_dtg.files.foreign import AGAIN, read_bytes, reading
from bids_dtg.imaging.grid import (
    Affine,
    Grid,
    Shape,
    Stored,
    apply_affine,
    is_invertible,
    voxel_edge_mm,
)
from bids_dtg.imaging.sampling import LatticeSampling
from bids_dtg.notices import say

Intent = Literal["none", "z score", "correlation"]

# igzip has no type annotations.
_IGzipFile: Any = igzip.IGzipFile
_ERRORS_OF_GZIP: Any = (EOFError, gzip.BadGzipFile, isal_zlib.IsalError)
_START_BYTES = 1024
# By the first number of a header: its magic, where that begins, the type and place of the offset of
# the values, and their least offset.
_KINDS = {
    348: (b"n+1\0", 344, "f4", 108, 352),
    540: (b"n+2\0\r\n\x1a\n", 4, "i8", 168, 544),
}
_LARGEST_MM = 1e6  # in an affine
_LARGEST_OFFSET = 2**26  # CIFTI's XML takes a few million bytes
# Size of pieces to read; igzip copies what it has read, and pieces of this size stay in the cache.
_READ_BYTES = 2**18
# Units of time, by bits of the header's code; other codes are not times.
_TIME_UNITS = {0: None, 8: "s", 16: "ms", 24: "us"}
_TIME_UNIT_BITS = 0b111000
# sform and qform agree if they put no voxel further apart than this fraction of a voxel.
_SHARE_OF_VOXEL = 0.5
# ISA-L's level. At 1, one map in 700 got other bytes in another process, which inflated to the same
# values; at 3, only AVX-512 and AVX2 differ. Float maps hardly compress at any level.
_LEVEL = 3
# zlib's default level; integers take a fifth of the size that ISA-L gives.
_SMALL_LEVEL = 6
# wbits of a gzip container, whose time stamp is 0, so that equal maps give equal bytes.
_GZIP_CONTAINER = 31


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """The information that is needed to read a NIfTI file's values."""

    path: Path  # the file
    shape: Shape  # sizes as stored, first axis fastest
    affine: Affine  # (4, 4), voxel indices to RAS+ mm
    dtype: np.dtype[np.generic]  # stored type, with its byte order
    slope: float  # value = stored * slope + inter; 1 if the header has 0
    inter: float  # 0 if the slope is 0
    offset: int  # position in the (decompressed) file at which the values begin
    # Time between frames, and its unit if the header states one.
    time: tuple[float, str | None]
    # Largest distance between a voxel's positions by qform and by sform, which is used.
    forms_differ_mm: float

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.shape[3]

    @property
    def file_voxels(self) -> int:
        """Number of voxels of one frame."""
        return math.prod(self.shape[:3])

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame, as stored."""
        return self.file_voxels * self.dtype.itemsize

    @property
    def voxel_mm(self) -> float:
        """Edge length of a cube with the volume of a voxel."""
        return voxel_edge_mm(self.affine)


@contextmanager
def reading_image(
    path: Path, *, as_what: str = "", expected: str = ""
) -> Iterator[bytes]:
    """Check that a file has content, and turn exceptions while it is read into one-line errors.

    Parameters
    ----------
    path
        The file.
    as_what
        Expected format, such as " as NIfTI".
    expected
        Text for errors that have none.

    Yields
    ------
    The file's first bytes.

    Raises
    ------
    RunError
        It is missing, a folder, a broken link, a git-annex or LFS pointer, unreadable or damaged,
        or is named as NIfTI and has no header of a single file.
    """
    with reading(path, RunError):
        first_bytes = read_bytes(path, _START_BYTES)
    try:
        with reading(path, RunError, as_what=as_what), _naming(path):
            if path.name.endswith((".nii", ".nii.gz")):
                _require_kind(_inflated(first_bytes))
            yield first_bytes
    except RunError as err:
        raise err.as_kind(
            RunError,
            expected=err.expected or expected,
            remedy=err.remedy or AGAIN,
        ) from err


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Print what nibabel logs about a header with the name of the file, once."""

    def said(record: logging.LogRecord) -> bool:
        _say_once(path, record.getMessage())
        return False  # so that nothing else prints it

    logger = imageglobals.logger
    filters, logger.filters = logger.filters, [said]
    try:
        yield
    finally:
        logger.filters = filters


@lru_cache(1000)
def _say_once(path: Path, message: str) -> None:
    say(f"bids_dtg: note: {path}: nibabel says: {message}")


def _inflated(first_bytes: bytes) -> bytes:
    """Return the decompressed start of a file, from its first bytes."""
    if not first_bytes.startswith(b"\x1f\x8b"):
        return first_bytes
    decompressor = zlib.decompressobj(wbits=_GZIP_CONTAINER)
    return decompressor.decompress(first_bytes, _START_BYTES)


def _require_kind(start: bytes) -> None:
    """Raise ValueError for a wrong size, magic or offset, which nibabel repairs or believes."""
    if len(start) < min(_KINDS):
        return  # nibabel says so
    sizes = {order: int(np.frombuffer(start, f"{order}i4", 1)[0]) for order in "<>"}
    order = ">" if sizes[">"] in _KINDS else "<"
    if sizes[order] not in _KINDS:
        raise ValueError(f"sizeof_hdr is {sizes[order]}, not 348 or 540")
    magic, magic_at, kind, offset_at, least = _KINDS[sizes[order]]
    stored_magic = start[magic_at : magic_at + len(magic)]
    if stored_magic != magic:
        raise ValueError(f"its magic is {stored_magic!r}, not {magic!r}")
    offset = float(np.frombuffer(start, f"{order}{kind}", 1, offset_at)[0])
    if not least <= offset <= _LARGEST_OFFSET:
        raise ValueError(f"vox_offset is {offset:g}, not {least} or a little more")


def open_values(header: NiftiHeader) -> BufferedIOBase:
    """Open a file to read its decompressed bytes, beginning at the first value."""
    path = header.path
    file = _IGzipFile(path, "rb") if path.name.endswith(".gz") else path.open("rb")
    read_exactly(file, memoryview(bytearray(header.offset)), path)
    return cast("BufferedIOBase", file)


def require_end(file: BufferedIOBase, path: Path, shape: Shape) -> None:
    """Read a file to its end, so that a checksum is verified; only zeros may follow its values.

    Parameters
    ----------
    file
        The file, after its last value.
    path, shape
        Its path and the sizes in its header, for the error.

    Raises
    ------
    RunError
        It goes on: its header has too few frames, or belongs to another file.
    """
    while extra := _read_on(file, path):
        if extra.strip(b"\0"):
            raise RunError(
                f"{path} goes on after the {' x '.join(map(str, shape))} values of its header",
                expected="the end of the file, or zeros",
                remedy=AGAIN,
            )


def _read_on(file: BufferedIOBase, path: Path) -> bytes:
    try:
        return file.read(_READ_BYTES)
    except _ERRORS_OF_GZIP as err:
        raise _gzip_error(path, err) from err


def _gzip_error(path: Path, err: Exception) -> RunError:
    """Return the error of a damaged gzip stream; raise that of other bytes after its end."""
    _require_end_of_gzip(path)
    return RunError(f"{path} cannot be read: {err}", remedy=AGAIN)


def _require_end_of_gzip(path: Path) -> None:
    """Refuse a gzip file with other bytes after its stream, which readers take for a cut one.

    Zeros and further streams may follow. Faults within the first stream are left to its reader.

    Raises
    ------
    RunError
        It has such bytes.
    """
    stream: Any = isal_zlib.decompressobj(wbits=_GZIP_CONTAINER)
    whole_streams = 0
    is_within = True  # within a stream
    is_other = False
    with path.open("rb") as file:
        piece = file.read(_READ_BYTES)
        while piece and not is_other:
            if not is_within:
                piece = piece.lstrip(b"\0")
            try:
                if piece:
                    is_within = True
                    stream.decompress(piece)
            except _ERRORS_OF_GZIP:
                is_other = whole_streams > 0
                break
            piece = b""
            if stream.eof:
                whole_streams += 1
                is_within = False
                piece = stream.unused_data
                stream = isal_zlib.decompressobj(wbits=_GZIP_CONTAINER)
            piece = piece or file.read(_READ_BYTES)
    if is_other or (is_within and whole_streams):
        raise RunError(
            f"{path} has other bytes after the end of its gzip stream",
            expected="the end of the file, zeros, or another stream",
            remedy=AGAIN,
        )


def read_exactly(file: BufferedIOBase, target: memoryview, path: Path) -> int:
    """Fill `target` from a file of this path; return how many bytes were read."""
    filled = 0
    while filled < len(target):
        try:
            # readinto1 returns all bytes of a truncated file before it raises an error
            count = file.readinto1(target[filled : filled + _READ_BYTES])
        except EOFError:  # a truncated gzip file
            _require_end_of_gzip(path)
            break
        except _ERRORS_OF_GZIP as err:
            raise _gzip_error(path, err) from err
        if not count:
            break
        filled += count
    return filled


def read_header(path: Path) -> NiftiHeader:
    """Read the header of a NIfTI file of either version and byte order.

    Raises
    ------
    RunError
        It is not a NIfTI file, its header is damaged, its values are neither integers nor real
        numbers, or it has no affine or two contradictory ones.
    """
    with reading_image(
        path,
        as_what=" as NIfTI",
        expected="a NIfTI-1 or NIfTI-2 file",
    ):
        image = nib.load(path)
        if not isinstance(image, nib.Nifti1Image | nib.Nifti2Image):
            raise ValueError(f"it is a {type(image).__name__} of nibabel")
        header = image.header
        values = image.dataobj
        affine = np.asarray(image.affine, np.float64)
        forms_differ_mm = _forms_differ(path, header)
    shape = tuple(map(int, values.shape))
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise RunError(
            f"{path} holds values of type {dtype}",
            expected="integers or real numbers up to 64 bits",
        )
    if not shape or min(shape) < 1:
        raise RunError(f"{path} has sizes {shape}", expected="positive sizes")
    if not np.abs(affine).max() <= _LARGEST_MM:
        raise RunError(
            f"{path} has an affine with {np.abs(affine).max():g} mm",
            expected="an sform or qform that puts its voxels in space",
        )
    if not is_invertible(affine):
        raise RunError(
            f"{path} has an affine that cannot be inverted",
            expected="an sform or qform that puts its voxels in space",
        )
    unit_bits = int(header["xyzt_units"]) & _TIME_UNIT_BITS
    unit = _TIME_UNITS.get(unit_bits, "in a unit other than time")
    return NiftiHeader(
        path=path,
        shape=shape,
        affine=affine,
        dtype=dtype,
        slope=float(values.slope),
        inter=float(values.inter),
        offset=int(values.offset),
        time=(float(header["pixdim"][4]), unit),
        forms_differ_mm=forms_differ_mm,
    )


def require_one_form(header: NiftiHeader) -> None:
    """Refuse a file whose sform and qform differ, as transforms may refer to either.

    Raises
    ------
    RunError
        Its sform and qform put voxels at different positions.
    """
    if header.forms_differ_mm:
        raise RunError(
            f"{header.path} has an sform and a qform that put a voxel "
            f"{header.forms_differ_mm:.3g} mm apart, and transforms may refer to either",
            expected="two forms that agree",
            remedy="find out with which one the transforms were made, and set the code of the "
            "other to 0",
        )


def _forms_differ(path: Path, header: Any) -> float:
    """Return how far sform and qform differ (mm); 0 if they agree or there is only one.

    Raises
    ------
    RunError
        There is neither, or they contradict each other: they swap left and right, or have the
        same code but put voxels at different positions.
    """
    sform, sform_code = header.get_sform(coded=True)
    qform, qform_code = header.get_qform(coded=True)
    if sform is None and qform is None:
        raise RunError(
            f"{path} does not state the positions of its voxels (its qform and sform codes are 0)",
            expected="an sform or a qform, without which left and right are unknown",
        )
    if sform is None or qform is None or not np.isfinite(sform).all():
        return 0.0
    first_sizes = np.resize((*header.get_data_shape(), 1), 3)
    # (8, 3), indices of the voxels at the corners
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * (first_sizes - 1)
    differences = apply_affine(sform - qform, corners)
    largest_mm = float(np.linalg.norm(differences, axis=1).max())
    voxel_mm = float(np.linalg.norm(sform[:3, :3], axis=0).min())
    if largest_mm <= _SHARE_OF_VOXEL * voxel_mm:
        return 0.0
    sform_volume = np.linalg.det(sform[:3, :3])  # negative if the axes are left-handed
    qform_volume = np.linalg.det(qform[:3, :3])
    if sform_volume * qform_volume < 0 or sform_code == qform_code:
        raise RunError(
            f"{path} contradicts itself: its sform and qform put a voxel {largest_mm:.3g} mm apart",
            expected="two forms that agree, or one",
            remedy="find out which is right and set the code of the other to 0",
        )
    return largest_mm


def read_volume(path: Path) -> tuple[Stored, Affine]:
    """Read a mask or map.

    Returns
    -------
    array
        As stored, or float32 if the header scales it or the file holds float64.
    affine
        (4, 4), voxel indices to RAS+ mm.

    Raises
    ------
    RunError
        Missing, damaged or not a NIfTI file.
    """
    return _values(read_header(path))


def read_nilearn_template(image: str) -> tuple[Float32, Affine]:
    """Read an image of the template that ships with nilearn: ICBM 152 (2009a symmetric), 1 mm.

    The file is read directly, as importing nilearn takes a second.

    Parameters
    ----------
    image
        ``t1`` without skull, or the probability of ``gm`` or ``wm``.

    Returns
    -------
    values
        (i, j, k), from 0 to 1.
    affine
        (4, 4), voxel indices to RAS+ mm.
    """
    origin: Any = getattr(importlib.util.find_spec("nilearn"), "origin", None)
    name = f"mni_icbm152_{image}_tal_nlin_sym_09a_converted.nii.gz"
    stored, affine = read_volume(Path(origin).parent / "datasets" / "data" / name)
    values = stored.astype(np.float32)
    return values / values.max(), affine


def read_single(path: Path) -> tuple[Stored, Affine]:
    """Read a mask or map of one volume, (i, j, k), as `read_volume` does.

    Raises
    ------
    RunError
        As for `read_volume`; also if there are several volumes.
    """
    header = read_header(path)
    if len(header.shape) < 3 or math.prod(header.shape[3:]) != 1:
        raise RunError(
            f"{path} has sizes {header.shape}",
            expected="one volume of three dimensions",
        )
    values, affine = _values(header)
    return values.reshape(header.shape[:3], order="F"), affine


def _values(header: NiftiHeader) -> tuple[Stored, Affine]:
    stored = np.empty(math.prod(header.shape), header.dtype)
    with reading(header.path, RunError), open_values(header) as file:
        count = read_exactly(file, stored.view(np.uint8).data, header.path)
        if count == stored.nbytes:
            require_end(file, header.path, header.shape)
    if count < stored.nbytes:
        raise RunError(
            f"{header.path} holds {count} bytes of values",
            expected=f"{stored.nbytes}, as its header says",
            remedy=AGAIN,
        )
    values: Stored = stored
    if header.slope != 1.0 or header.inter != 0.0:
        values = (stored * header.slope + header.inter).astype(np.float32)
    native = header.dtype.newbyteorder("=")
    kind = np.float32 if values.dtype.kind == "f" else native
    values = values.astype(kind, copy=False)
    return values.reshape(header.shape, order="F"), header.affine


def read_mask_values(path: Path) -> tuple[Values, Affine]:
    """Read a mask, (i, j, k), and its affine, as `read_single` does.

    Raises
    ------
    RunError
        The file is damaged, has more than one volume, or has no voxel above 0.5.
    """
    single, affine = read_single(path)
    values: Values = single
    if not (values > 0.5).any():
        finite = values[np.isfinite(values)]
        content = f"values of {finite.max():g} at most" if finite.size else "NaN only"
        raise RunError(
            f"{path} has {content}",
            expected="a mask, 1 within and 0 outside",
            remedy="make it again",
        )
    return values, affine


def read_mask(path: Path, grid: Grid) -> Mask:
    """Read a mask whose voxels coincide with the grid's; False outside its field of view.

    Returns
    -------
    (i, j, k) bool, on the grid: whether the file is finite and above 0.5. The threshold keeps the
    edge of a probability mask independent of rounding.

    Raises
    ------
    RunError
        The file is damaged, has more than one volume or no voxel above 0.5, or its voxels do not
        coincide.
    """
    values, affine = read_mask_values(path)
    voxels = np.arange(math.prod(grid.shape))
    sampling = LatticeSampling.between(
        values.shape, affine, grid, voxels, name=str(path)
    )
    inside = sampling.sample(values) > 0.5
    return inside.reshape(grid.shape)


def lies_on_lattice(path: Path, grid: Grid) -> bool:
    """Return whether a file's voxels coincide with the grid's, by its header; not if damaged."""
    try:
        header = read_header(path)
        LatticeSampling.between(header.shape, header.affine, grid, np.empty(0, np.intp))
    except RunError:
        return False
    return True


def encode(header: Any, volumes: Iterable[Values], *, small: bool = False) -> bytes:
    """Return the bytes of a .nii.gz file of volumes (i, j, k); equal input gives equal bytes.

    Parameters
    ----------
    header
        Header from `make_header`, which defines how values are stored.
    volumes
        The volumes of (i, j, k, n), in order.
    small
        Whether to compress more, in ten times the time.
    """
    compressor: Any = isal_zlib.compressobj(_LEVEL, wbits=_GZIP_CONTAINER)
    if small:
        compressor = zlib.compressobj(_SMALL_LEVEL, wbits=_GZIP_CONTAINER)
    header_bytes = BytesIO()
    header.write_to(header_bytes)
    parts = [compressor.compress(header_bytes.getvalue())]
    dtype = header.get_data_dtype()
    for volume in volumes:
        # (i, j, k) C order -> the file's order, i fastest
        stored = volume.astype(dtype, copy=False).tobytes(order="F")
        parts.append(compressor.compress(stored))
    return b"".join([*parts, compressor.flush()])


def encode_integers(
    volume: Integers,
    grid: Grid,
    *,
    slope: float = 1.0,
    quick: bool = False,
    **header_facts: Any,
) -> bytes:
    """Return the bytes of a .nii.gz file of one integer volume: labels, or a copy for viewing.

    Parameters
    ----------
    volume
        (i, j, k) uint8, int8, uint16 or int16, stored unchanged.
    grid
        Grid of the volume; both qform and sform are written.
    slope
        Value that a stored 1 represents.
    quick
        Whether to compress as for maps; otherwise more, in ten times the time.
    **header_facts
        Further arguments of `make_header`.

    Returns
    -------
    The file's bytes; equal input gives equal bytes.
    """
    header = make_header(grid.shape, grid, **header_facts)
    header.set_data_dtype(volume.dtype)
    header.set_slope_inter(slope, 0.0)
    return encode(header, [volume], small=not quick)


def make_header(
    shape: Shape,
    grid: Grid,
    *,
    intent: Intent = "none",
    description: str = "",
    facts: Mapping[str, Any] | None = None,
) -> Any:
    """Return a nibabel header for float32 values.

    Parameters
    ----------
    shape
        Shape of the values.
    grid
        Grid of the values; both qform and sform are written.
    intent
        NIfTI intent; "z score" is code 5.
    description
        Text of `descrip`, at most 79 ASCII characters.
    facts
        Metadata for a copy without its sidecar, written as a JSON comment in the header.
    """
    header = nib.Nifti1Header(endianness="<")
    header.set_data_dtype("<f4")
    header.set_data_shape(shape)
    header.set_qform(grid.affine, code=grid.form_code)
    header.set_sform(grid.affine, code=grid.form_code)
    header.set_xyzt_units("mm", "sec" if len(shape) > 3 else None)
    header.set_intent(intent)
    header["descrip"] = description.encode("ascii", "replace")[:79]
    header.set_slope_inter(1.0, 0.0)
    header["magic"] = b"n+1"
    if facts is not None:
        text = json.dumps(facts, ensure_ascii=False).encode()
        header.extensions.append(nib.nifti1.Nifti1Extension("comment", text))
    return header
