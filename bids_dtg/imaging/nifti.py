"""NIfTI files: headers, masks and maps in, or one clear line on what is wrong; maps out as bytes.

What is written is the bytes of a compressed NIfTI-1 file, the same for the same values.
"""

from __future__ import annotations

import importlib.util
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import Any, Literal, cast

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.files.foreign import is_pointer, open_foreign, reading
from bids_dtg.imaging.grid import Grid, apply_affine, voxel_edge_mm
from bids_dtg.imaging.sampling import LatticeSampling

Intent = Literal["none", "z score", "correlation"]

_nib: Any = nib  # nibabel and igzip carry no types
_IGzipFile: Any = igzip.IGzipFile
_START_BYTES = 1024
# igzip copies what it read: pieces of this size are still in the cache then.
_READ_BYTES = 2**18
# Units of time by the bits of the header's code; others are no time.
_TIME_UNITS = {0: None, 8: "s", 16: "ms", 24: "us"}
_TIME_UNIT_BITS = 0b111000
# Forms that put no voxel further apart than this share of one are the same.
_SHARE_OF_VOXEL = 0.5
# Of ISA-L: its faster levels do not always choose the same matches, so that equal maps would not
# always give equal bytes. Float maps hardly shrink at any level.
_LEVEL = 3
# zlib's usual one: whole numbers shrink to a fifth of what ISA-L makes of them.
_SMALL_LEVEL = 6
# wbits of a gzip container; its time stamp is 0, so equal maps give equal bytes.
_GZIP_CONTAINER = 31


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """What is needed to read a NIfTI file's values."""

    path: Path  # the file
    shape: tuple[int, ...]  # sizes as stored, first axis fastest
    affine: NDArray[np.float64]  # (4, 4), voxel indices to RAS+ mm
    dtype: np.dtype[np.generic]  # stored type, with its byte order
    slope: float  # value = stored * slope + inter; 1 where the header has 0
    inter: float  # 0 where the slope is 0
    offset: int  # byte of the (inflated) file at which the values start
    time: tuple[float, str | None]  # the fourth zoom, and its unit where the header names one
    # How far the qform puts a voxel from where the sform, which is used, does.
    forms_differ_mm: float

    @property
    def frames(self) -> int:
        """Number of volumes in time."""
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
        """Edge of a cube with the volume of its voxels."""
        return voxel_edge_mm(self.affine)


@contextmanager
def reading_image(
    path: Path, *, as_what: str = "", expected: str = "", remedy: str = ""
) -> Iterator[bytes]:
    """Read a file that is really there; what is raised meanwhile becomes one line on it.

    Parameters
    ----------
    path
        The file.
    as_what
        What it is read as, as in " as NIfTI".
    expected, remedy
        For errors that say neither.

    Yields
    ------
    Its first bytes.

    Raises
    ------
    RunError
        Missing, a folder, unreadable, a broken link, or a git-annex or LFS pointer; or damaged.
    """
    with reading(path, RunError), open_foreign(path) as file:
        first = file.read(_START_BYTES)
    if is_pointer(first):
        raise RunError(
            f"{path} is a git-annex or LFS pointer without content",
            expected="the file's content",
            remedy=f"fetch it first: datalad get {path}",
        )
    try:
        with reading(path, RunError, as_what=as_what):
            yield first
    except RunError as err:
        found = err.expected or expected, err.remedy or remedy
        raise err.as_kind(RunError, expected=found[0], remedy=found[1]) from err


def open_values(header: NiftiHeader) -> BufferedIOBase:
    """Open a file for reading its inflated bytes, from the first value on."""
    path = header.path
    file = _IGzipFile(path, "rb") if path.name.endswith(".gz") else path.open("rb")
    read_exactly(file, memoryview(bytearray(header.offset)))
    return cast("BufferedIOBase", file)


def read_exactly(file: BufferedIOBase, target: memoryview) -> int:
    """Fill `target` from the file; return how many bytes there were."""
    held = 0
    while held < len(target):
        try:
            # readinto1 returns what there is before the error that ends a cut file
            count = file.readinto1(target[held : held + _READ_BYTES])
        except EOFError:  # a gzip file without its end
            break
        if not count:
            break
        held += count
    return held


def read_header(path: Path) -> NiftiHeader:
    """Read the header of a NIfTI file of either version and byte order.

    Raises
    ------
    RunError
        Not a NIfTI file, a damaged header, values that are neither integers nor reals, or no
        affine, or two that contradict each other.
    """
    expected, remedy = "a NIfTI-1 or NIfTI-2 file", "fetch or make it anew"
    with reading_image(path, as_what=" as NIfTI", expected=expected, remedy=remedy):
        image = _nib.load(path)
        if not isinstance(image, nib.Nifti1Image | nib.Nifti2Image):
            raise ValueError(f"it is a {type(image).__name__} of nibabel")
        header: Any = image.header
        values: Any = image.dataobj
        affine = np.asarray(image.affine, np.float64)
        qform = header.get_qform() if header["qform_code"] else None
    shape, dtype = tuple(map(int, values.shape)), header.get_data_dtype()
    found, expected = "", ""
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        found, expected = f"holds values of type {dtype}", "integers or real numbers up to 64 bits"
    elif not shape or min(shape) < 1:
        found, expected = f"has sizes {shape}", "positive sizes"
    elif not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        found = "has an affine that cannot be inverted"
        expected = "an sform or qform that puts its voxels in space"
    if found:
        raise RunError(f"{path} {found}", expected=expected)
    unit = _TIME_UNITS.get(int(header["xyzt_units"]) & _TIME_UNIT_BITS, "in a unit that is no time")
    return NiftiHeader(
        path=path,
        shape=shape,
        affine=affine,
        dtype=dtype,
        slope=float(values.slope),
        inter=float(values.inter),
        offset=int(values.offset),
        time=(float(header["pixdim"][4]), unit),
        forms_differ_mm=_forms_differ(path, header, qform),
    )


def require_one_form(header: NiftiHeader) -> None:
    """Refuse a file whose forms differ: it is not known to which of them transforms lead.

    Raises
    ------
    RunError
        Its sform and its qform put voxels elsewhere.
    """
    if header.forms_differ_mm:
        raise RunError(
            f"{header.path} has an sform and a qform that put a voxel "
            f"{header.forms_differ_mm:.3g} mm apart, and transforms lead to one of them",
            expected="two forms that agree",
            remedy="find out which the transforms were made with and set the code of the other "
            "to 0",
        )


def _forms_differ(path: Path, header: Any, qform: NDArray[np.float64] | None) -> float:
    """Compare sform and qform; return how far they differ (mm), 0 where one says it all.

    Raises
    ------
    RunError
        There is neither, or they contradict each other: left is right, or both describe the same
        space and put a voxel elsewhere.
    """
    sform, s_code = header.get_sform(), int(header["sform_code"])
    if not s_code and qform is None:
        raise RunError(
            f"{path} does not say where its voxels lie (its qform and sform codes are 0)",
            expected="an sform or a qform: without them left and right are not known",
        )
    if not s_code or qform is None:
        return 0.0
    shape = np.resize((*header.get_data_shape(), 1), 3)
    corners = apply_affine(sform - qform, np.indices((2, 2, 2)).reshape(3, -1).T * (shape - 1))
    far = float(np.linalg.norm(corners, axis=1).max())
    if far <= _SHARE_OF_VOXEL * float(np.linalg.norm(sform[:3, :3], axis=0).min()):
        return 0.0
    mirrored = np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0
    if mirrored or s_code == int(header["qform_code"]):
        what = "take opposite sides for left" if mirrored else "name the same space"
        raise RunError(
            f"{path} contradicts itself: its sform and qform {what} and put a voxel {far:.3g} mm "
            "apart",
            expected="two forms that agree, or one",
            remedy="find out which is right and set the code of the other to 0",
        )
    return far


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
    """
    origin: Any = getattr(importlib.util.find_spec("nilearn"), "origin", None)
    name = f"mni_icbm152_{image}_tal_nlin_sym_09a_converted.nii.gz"
    stored, affine = read_volume(Path(origin).parent / "datasets" / "data" / name)
    values = stored.astype(np.float32)
    return values / values.max(), affine


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
    stored = np.empty(math.prod(header.shape), header.dtype)
    with reading(header.path, RunError), open_values(header) as file:
        held = read_exactly(file, stored.view(np.uint8).data)
        file.read(1)  # at the end of a compressed file its checksum is compared
    if held < stored.nbytes:
        raise RunError(
            f"{header.path} holds {held} bytes of values",
            expected=f"{stored.nbytes}, as its header says",
            remedy="fetch or make it anew",
        )
    values: NDArray[np.generic] = stored
    if header.slope != 1.0 or header.inter != 0.0:
        values = (stored * header.slope + header.inter).astype(np.float32)
    kind = np.float32 if values.dtype.kind == "f" else header.dtype.newbyteorder("=")
    values = values.astype(kind, copy=False)
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
        Damaged file, more than one volume, or another lattice.
    """
    values, affine = read_single(path)
    voxels = np.arange(math.prod(grid.shape))
    sampling = LatticeSampling.between(values.shape, affine, grid, voxels, name=str(path))
    sampled = sampling.apply(values.reshape(1, -1, order="F"), 1.0, 0.0)[0]
    mask: NDArray[np.bool_] = (sampled > 0.5).reshape(grid.shape)
    return mask


def lies_on_lattice(path: Path, grid: Grid) -> bool:
    """Return whether a file has voxels of the grid's lattice, by its header; no damaged one has."""
    try:
        header = read_header(path)
        LatticeSampling.between(header.shape, header.affine, grid, np.empty(0, np.intp))
    except RunError:
        return False
    return True


def encode(header: Any, volumes: Iterable[NDArray[Any]], *, small: bool = False) -> bytes:
    """Make a complete .nii.gz file of volumes (i, j, k): the same bytes for the same input.

    Parameters
    ----------
    header
        Of `make_header`, which says how the values are stored.
    volumes
        One after the other, of (i, j, k, n).
    small
        Whether it is compressed harder, in ten times the time.
    """
    of_library = zlib.compressobj(_SMALL_LEVEL, wbits=_GZIP_CONTAINER) if small else None
    compressor = of_library or isal_zlib.compressobj(_LEVEL, wbits=_GZIP_CONTAINER)
    head, kind = BytesIO(), header.get_data_dtype()
    header.write_to(head)
    parts = [compressor.compress(head.getvalue())]
    # (i, j, k) C order -> the file's order, i fastest
    parts += [
        compressor.compress(volume.astype(kind, copy=False).tobytes(order="F"))
        for volume in volumes
    ]
    return b"".join([*parts, compressor.flush()])


def encode_integers(
    volume: NDArray[np.integer],
    grid: Grid,
    *,
    slope: float = 1.0,
    quick: bool = False,
    **said: Any,
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
    quick
        Whether it is compressed as maps are; else harder, in ten times the time.
    **said
        For `make_header`.

    Returns
    -------
    The file's bytes, the same for the same input.
    """
    if volume.shape != grid.shape:
        raise ValueError(f"the volume is {grid.shape} as its grid, not {volume.shape}")
    header = make_header(grid.shape, grid, **said)
    header.set_data_dtype(volume.dtype)
    header.set_slope_inter(slope, 0.0)
    return encode(header, [volume], small=not quick)


def make_header(
    shape: tuple[int, ...],
    grid: Grid,
    *,
    intent: Intent = "none",
    description: str = "",
    facts: Mapping[str, Any] | None = None,
) -> Any:
    """Make a header of nibabel, of float32 values.

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
    facts
        What a copy of the file alone should say of itself: a comment in the header, as JSON.
    """
    header: Any = _nib.Nifti1Header(endianness="<")
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
        header.extensions.append(_nib.nifti1.Nifti1Extension("comment", text))
    return header
