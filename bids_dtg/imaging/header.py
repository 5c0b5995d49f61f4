"""A NIfTI file's bytes and header, or one clear line that says why there are none."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError, RunError
from bids_dtg.files.annex import is_pointer
from bids_dtg.files.foreign import GZIP_MAGIC, inflated_start, open_foreign

# What the readers below (plain, igzip, nibabel) raise on a damaged or unreadable file.
READ_ERRORS = (OSError, EOFError, zlib.error, cast("type[Exception]", isal_zlib.error))
# nibabel's headers and igzip carry no types.
_IGzipFile: Any = igzip.IGzipFile
_Nifti1Header: Any = nib.Nifti1Header
_Nifti2Header: Any = nib.Nifti2Header
# Length of a NIfTI-2 header, and of the part of a file that surely holds it compressed.
_HEADER_BYTES, _START_BYTES = 540, 8192
# Units by their code in the header; others are not in the standard.
_TIME_UNITS = {0: None, 8: "s", 16: "ms", 24: "us", 32: "Hz", 40: "ppm", 48: "rad/s"}
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_TIME_UNIT_BITS = 0b111000
# Forms that put no voxel further apart than this share of one are the same.
_SHARE_OF_VOXEL = 0.5
# Of one volume: 256 MiB as float32. A template at half a millimetre has 58 million.
MOST_VOXELS = 2**26
# Further from the origin lies no head.
_FARTHEST_MM = 1e5
# Deflate makes no more of a byte.
MOST_INFLATED = 1032


@dataclass(frozen=True)
class HeaderTime:
    """What a header says of the time between frames.

    Examples
    --------
    >>> HeaderTime(800.0, "ms").seconds, HeaderTime(1.0, None).seconds
    (0.8, None)
    """

    value: float  # the fourth zoom, as stored
    unit: str | None  # s, ms, us, or one that is no time; None: the header names none

    @property
    def seconds(self) -> float | None:
        """Seconds a frame; None where the header does not state them.

        Programs that do not know the time leave 0, or 1 without a unit. Any other number without
        a unit counts as seconds.
        """
        if self.unit is None and self.value == 1:
            return None
        # A unit that is no time makes it NaN. Zooms are float32: 0.72 reads as 0.7200000286.
        scale = _SECONDS["s"] if self.unit is None else _SECONDS.get(self.unit, np.nan)
        seconds = round(self.value * scale, 6)
        return seconds if 0 < seconds < np.inf else None

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit or 'without a unit'}"


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
    compressed: bool  # by content, not by name
    time: HeaderTime  # between frames; states nothing where there is no fourth axis
    forms_differ_mm: (
        float  # how far the qform puts a voxel from where the sform, which is used, does
    )
    size_and_time: tuple[int, int]  # bytes and time of change (ns) of the file when it was read


def require_file(path: Path) -> bytes:
    """Return the first bytes of a file that is really there.

    Raises
    ------
    RunError
        Missing, a folder, empty, unreadable, a broken link, or a git-annex or LFS pointer.
    """
    try:
        with open_foreign(path) as file:
            first = file.read(_START_BYTES)
    except ForeignFileError as err:
        raise err.as_kind(RunError) from err
    except OSError as err:
        raise RunError(f"{path} cannot be read: {err.strerror or err}") from err
    if not first:
        raise RunError(f"{path} is empty", expected="a NIfTI file (.nii or .nii.gz)")
    if is_pointer(first):
        raise RunError(
            f"{path} is a git-annex or LFS pointer without content",
            expected="the file's content",
            remedy=f"fetch it first: datalad get {path}",
        )
    return first


def open_bytes(path: Path) -> BufferedIOBase:
    """Open a file for reading its inflated bytes, whatever its name ends in."""
    if require_file(path).startswith(GZIP_MAGIC):
        return cast("BufferedIOBase", _IGzipFile(path, "rb"))
    return path.open("rb")


def read_header(path: Path) -> NiftiHeader:
    """Read a NIfTI-1 or NIfTI-2 header of either byte order.

    Raises
    ------
    RunError
        Not a NIfTI file, a damaged header, or values that are neither integers nor reals.
    """
    size_and_time = _size_and_time(path)
    raw = require_file(path)
    compressed = raw.startswith(GZIP_MAGIC)
    try:
        raw = inflated_start(raw, _HEADER_BYTES)
    except READ_ERRORS as err:
        raise RunError(f"{path} is damaged: {err}", remedy="fetch or make it anew") from err
    try:
        header = _parse(raw)
        _require_plain(header)
        dtype, shape = header.get_data_dtype(), header.get_data_shape()
        slope, inter = header.get_slope_inter()
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
        offset = int(header["vox_offset"])
    except Exception as err:  # nibabel raises many kinds on a damaged header
        raise RunError(
            f"{path} has no valid NIfTI header: {err}",
            expected="a NIfTI-1 or NIfTI-2 file",
            remedy="fetch or make it anew",
        ) from err
    _require_usable(path, dtype, shape, affine, offset)
    if compressed:
        _require_possible(path, shape, dtype)
    forms_differ_mm = _forms_differ(path, header)
    return NiftiHeader(
        path=path,
        shape=shape,
        affine=affine,
        dtype=dtype,
        slope=1.0 if slope is None else float(slope),
        inter=0.0 if inter is None else float(inter),
        offset=offset,
        compressed=compressed,
        time=_time(header),
        forms_differ_mm=forms_differ_mm,
        size_and_time=size_and_time,
    )


def require_unchanged(header: NiftiHeader, inode: int) -> None:
    """Refuse a file that somebody wrote to since its header was read: it may hold two runs.

    Parameters
    ----------
    header
        Header as read before.
    inode
        Number of the file that was opened for its values; another one has taken its name since
        then where the numbers differ.

    Raises
    ------
    RunError
        Its size, its time of change or its number differs.
    """
    if (_size_and_time(header.path), file_number(header.path)) != (header.size_and_time, inode):
        raise RunError(
            f"{header.path} was changed while it was read",
            expected="a file that nobody writes to",
            remedy="wait until it is complete, and run the same command again",
        )


def file_number(path: Path) -> int:
    """Return the number (inode) of a file; 0 where it is gone."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _size_and_time(path: Path) -> tuple[int, int]:
    """Return bytes and time of change (ns); zeros where there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _parse(raw: bytes) -> Any:
    if len(raw) < 348:
        raise ValueError(f"only {len(raw)} bytes")
    size_little, size_big = (int.from_bytes(raw[:4], order) for order in ("little", "big"))
    if 540 in (size_little, size_big):
        return _Nifti2Header(raw[:540], endianness="<" if size_little == 540 else ">")
    if 348 in (size_little, size_big):
        header = _Nifti1Header(raw[:348], endianness="<" if size_little == 348 else ">")
        if bytes(header["magic"]).rstrip(b"\0") != b"n+1":
            raise ValueError("the magic string of a single-file NIfTI is missing")
        return header
    raise ValueError(f"sizeof_hdr is {size_little}, not 348 or 540")


def _require_plain(header: Any) -> None:
    """Refuse what nibabel reads past: a count of axes below 1, infinite scaling.

    A slope of NaN means the same as 0, no scaling: nibabel has it so, and programs write it.
    """
    axes = int(header["dim"][0])
    if not 1 <= axes <= 7:
        raise ValueError(f"dim[0], the number of its axes, is {axes}, not 1 to 7")
    if np.isnan(header["scl_slope"]) or header["scl_slope"] == 0:
        return
    for name in ("scl_slope", "scl_inter"):
        if not np.isfinite(header[name]):
            raise ValueError(f"{name}, which scales its values, is {float(header[name])}")


def _require_usable(
    path: Path,
    dtype: np.dtype[np.generic],
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
    offset: int,
) -> None:
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise RunError(
            f"{path} holds values of type {dtype}",
            expected="integers or real numbers of up to 64 bits",
        )
    # A 4-D size beyond 2^40 values (8 TB) is a damaged header, not a run.
    if not shape or min(shape) < 1 or int(np.prod(shape, dtype=np.float64)) > 2**40:
        raise RunError(f"{path} has sizes {shape}", expected="positive, plausible sizes")
    require_size(path, shape)
    if not np.isfinite(affine).all() or np.abs(affine).max() > _FARTHEST_MM:
        raise RunError(
            f"{path} has an affine of values up to {np.abs(affine).max():.3g}",
            expected=f"millimetres up to {_FARTHEST_MM:.0f}, and voxels of a few",
        )
    if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise RunError(f"{path} has an affine that cannot be inverted", expected="sform or qform")
    if not 348 <= offset <= 2**26:
        raise RunError(
            f"{path} says that its values start at byte {offset}", expected="352 or a little more"
        )


def require_size(path: Path, shape: tuple[int, ...], most: int = MOST_VOXELS) -> None:
    """Refuse an image by the sizes in its header, before any memory is taken for it.

    Parameters
    ----------
    path
        Of the image, for the error.
    shape
        Its sizes; the first three are those of a volume.
    most
        Voxels that a volume may have.

    Raises
    ------
    RunError
        A volume has more.
    """
    voxels = math.prod(int(size) for size in shape[:3])
    if voxels > most:
        raise RunError(
            f"{path} has volumes of {' x '.join(str(size) for size in shape[:3])} = {voxels} "
            "voxels",
            expected=f"at most {most}, more than any image of a whole brain at half a millimetre"
            if most == MOST_VOXELS
            else f"at most {most}",
        )


def _require_possible(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> None:
    """Refuse a compressed file that is far too short for what its header says."""
    wanted, held = math.prod(shape) * dtype.itemsize, path.stat().st_size
    if wanted > held * MOST_INFLATED:
        raise RunError(
            f"{path} has {held} bytes, from which the {wanted} bytes of values that its header "
            "says cannot come",
            expected="the whole file",
            remedy="fetch or make it anew",
        )


def _forms_differ(path: Path, header: Any) -> float:
    """Compare sform and qform; return how far they differ (mm), 0 where one says it all.

    Raises
    ------
    RunError
        There is neither, or they contradict each other: left is right, or both describe the same
        space and put a voxel elsewhere.
    """
    sform, s_code = header.get_sform(coded=True)
    s_code, q_code = int(s_code), int(header["qform_code"])
    if not (s_code or q_code):
        raise RunError(
            f"{path} does not say where its voxels lie (its qform and sform codes are 0)",
            expected="an sform or a qform: without them left and right are not known",
        )
    if not (s_code and q_code):
        return 0.0
    try:
        qform = header.get_qform()
    except Exception:  # a quaternion that is none
        return 0.0
    corners = np.array(list(np.ndindex(2, 2, 2))) * (
        np.resize((*header.get_data_shape(), 1), 3) - 1
    )
    apart = corners @ (sform - qform)[:3, :3].T + (sform - qform)[:3, 3]
    far = float(np.sqrt((apart**2).sum(axis=1)).max())
    if far <= _SHARE_OF_VOXEL * float(np.sqrt((sform[:3, :3] ** 2).sum(axis=0)).min()):
        return 0.0
    mirrored = np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0
    if mirrored or s_code == q_code:
        what = "take opposite sides for left" if mirrored else "name the same space"
        raise RunError(
            f"{path} contradicts itself: its sform and qform {what} and put a voxel {far:.3g} mm "
            "apart",
            expected="two forms that agree, or one",
            remedy="find out which is right and set the code of the other to 0",
        )
    return far


def _time(header: Any) -> HeaderTime:
    if len(header.get_data_shape()) < 4:
        return HeaderTime(0.0, None)
    code = int(header["xyzt_units"]) & _TIME_UNIT_BITS
    return HeaderTime(float(header["pixdim"][4]), _TIME_UNITS.get(code, f"of unit {code}"))
