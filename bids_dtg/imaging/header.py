"""A NIfTI file's header and bytes, or one clear line that says why there are none."""

from __future__ import annotations

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
from bids_dtg.files.digest import file_state
from bids_dtg.files.foreign import open_foreign, reading
from bids_dtg.imaging.grid import voxel_edge_mm

# What the readers below (plain, igzip, nibabel) raise on a damaged or unreadable file.
READ_ERRORS = (OSError, EOFError, zlib.error, cast("type[Exception]", isal_zlib.error))
# nibabel and igzip carry no types.
_IGzipFile: Any = igzip.IGzipFile
_load: Any = nib.load
_NIFTI = (nib.Nifti1Image, nib.Nifti2Image)
_START_BYTES = 1024
# igzip copies what it read: pieces of this size are still in the cache then.
_READ_BYTES = 2**18
# Units by their code in the header; others are not in the standard.
_TIME_UNITS = {0: None, 8: "s", 16: "ms", 24: "us", 32: "Hz", 40: "ppm", 48: "rad/s"}
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_TIME_UNIT_BITS = 0b111000
# Forms that put no voxel further apart than this share of one are the same.
_SHARE_OF_VOXEL = 0.5


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
    time: HeaderTime  # between frames; states nothing where there is no fourth axis
    forms_differ_mm: (
        float  # how far the qform puts a voxel from where the sform, which is used, does
    )
    state: tuple[int, ...]  # of the file when it was read; another one once it was changed

    @property
    def frames(self) -> int:
        """Number of volumes in time."""
        return self.shape[3]

    @property
    def file_voxels(self) -> int:
        """Number of voxels of one frame."""
        return int(np.prod(self.shape[:3], dtype=np.int64))

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame, as stored."""
        return self.file_voxels * self.dtype.itemsize

    @property
    def voxel_mm(self) -> float:
        """Edge of a cube with the volume of its voxels."""
        return voxel_edge_mm(self.affine)


def require_file(path: Path) -> bytes:
    """Return the first bytes of a file that is really there.

    Raises
    ------
    RunError
        Missing, a folder, empty, unreadable, a broken link, or a git-annex or LFS pointer.
    """
    with reading(path, RunError), open_foreign(path) as file:
        first = file.read(_START_BYTES)
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
    """Open a file for reading its inflated bytes."""
    if path.name.endswith(".gz"):
        return cast("BufferedIOBase", _IGzipFile(path, "rb"))
    return path.open("rb")


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
    require_file(path)
    state = state_of(path)
    try:
        with reading(path, as_what=" as NIfTI"):
            image = _load(path)
            if not isinstance(image, _NIFTI):
                raise ValueError(f"it is a {type(image).__name__} of nibabel")
            header: Any = image.header
            values: Any = image.dataobj
            affine = np.asarray(image.affine, np.float64)
            qform = header.get_qform() if header["qform_code"] else None
    except ForeignFileError as err:
        raise err.as_kind(
            RunError, expected="a NIfTI-1 or NIfTI-2 file", remedy="fetch or make it anew"
        ) from err
    shape, dtype = tuple(map(int, values.shape)), header.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise RunError(
            f"{path} holds values of type {dtype}",
            expected="integers or real numbers of up to 64 bits",
        )
    if not shape or min(shape) < 1:
        raise RunError(f"{path} has sizes {shape}", expected="positive sizes")
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise RunError(
            f"{path} has an affine that cannot be inverted",
            expected="an sform or qform that puts its voxels in space",
        )
    return NiftiHeader(
        path=path,
        shape=shape,
        affine=affine,
        dtype=dtype,
        slope=float(values.slope),
        inter=float(values.inter),
        offset=int(values.offset),
        time=_time(header),
        forms_differ_mm=_forms_differ(path, header, qform),
        state=state,
    )


def state_of(path: Path) -> tuple[int, ...]:
    """Return what is another one once a file was changed; () where it is gone."""
    try:
        return file_state(path.stat())
    except OSError:
        return ()


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


def require_unchanged(header: NiftiHeader) -> None:
    """Refuse a file that somebody wrote to since its header was read: it may hold two runs.

    Raises
    ------
    RunError
        It is another file, or its size or a time of change differs.
    """
    if state_of(header.path) != header.state:
        raise RunError(
            f"{header.path} was changed while it was read",
            expected="a file that nobody writes to",
            remedy="wait until it is complete, and run the same command again",
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
    corners = np.array(list(np.ndindex(2, 2, 2))) * (
        np.resize((*header.get_data_shape(), 1), 3) - 1
    )
    apart = corners @ (sform - qform)[:3, :3].T + (sform - qform)[:3, 3]
    far = float(np.sqrt((apart**2).sum(axis=1)).max())
    if far <= _SHARE_OF_VOXEL * float(np.sqrt((sform[:3, :3] ** 2).sum(axis=0)).min()):
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


def _time(header: Any) -> HeaderTime:
    if len(header.get_data_shape()) < 4:
        return HeaderTime(0.0, None)
    code = int(header["xyzt_units"]) & _TIME_UNIT_BITS
    return HeaderTime(float(header["pixdim"][4]), _TIME_UNITS.get(code, f"of unit {code}"))
