"""A BOLD run as the bytes of a compressed NIfTI-1 file, a block of frames at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from bids_dtg.imaging.grid import Grid
from bids_dtg.phantom.anatomy import MODEL_SHAPE, Anatomy

# FSL's 2 mm field of view, which fMRIPrep writes; the model grid is a block of it.
FIELD_OF_VIEW = (91, 109, 91)
_ORIGIN_MM = (90.0, -126.0, -72.0)
_OFFSET = (7, 9, 0)
_SLOPE = 0.5  # intensity a stored unit: its rounding is far below the noise
_TEMPLATE_SPACE = 4  # MNI 152 in the qform and sform codes
_LEVEL = 1  # noise hardly shrinks at higher ones
_Nifti1Header: Any = nib.Nifti1Header  # its methods have no types
_GZIP_CONTAINER = 31  # wbits; the time stamp is 0, so equal runs give equal bytes


def encode_bold(
    blocks: Iterable[NDArray[np.float32]],
    anatomy: Anatomy,
    *,
    frames: int,
    repetition_time_s: float,
    description: str,
) -> bytearray:
    """Make a complete .nii.gz file: int16 with a scale factor.

    Voxels of 2 mm lie in FSL's field of view, larger ones in that of their own grid.

    Parameters
    ----------
    blocks
        Intensities, (frames, brain voxels), in order.
    anatomy
        On the phantom's grid, or blocks of it.
    frames, repetition_time_s
        Number of frames and repetition time in seconds, for the header.
    description
        Text of `descrip`, at most 79 ASCII characters.

    Raises
    ------
    ValueError
        If the blocks hold another number of frames.
    """
    view = _View.of(anatomy.grid)
    compressor = isal_zlib.compressobj(_LEVEL, wbits=_GZIP_CONTAINER)
    header = view.header(frames, "<i2", repetition_time_s, _SLOPE, description)
    encoded = bytearray(compressor.compress(header))
    positions = view.positions(anatomy.brain)
    stored = np.zeros(view.voxels, "<i2")
    written = 0
    for block in blocks:
        whole = np.rint(block / np.float32(_SLOPE)).astype("<i2")
        for frame in whole:
            stored[positions] = frame
            encoded += compressor.compress(stored.data)
        written += len(whole)
    if written != frames:
        raise ValueError(f"{written} frames came, the header says {frames}")
    encoded += compressor.flush()
    return encoded


def encode_mask(anatomy: Anatomy, description: str) -> bytes:
    """Make a complete .nii.gz file of the brain's mask, in the field of view of `encode_bold`."""
    view = _View.of(anatomy.grid)
    stored = np.zeros(view.voxels, np.uint8)
    stored[view.positions(anatomy.brain)] = 1
    compressor = isal_zlib.compressobj(_LEVEL, wbits=_GZIP_CONTAINER)
    header = view.header(None, "|u1", None, 1.0, description)
    encoded: bytes = compressor.compress(header + stored.tobytes()) + compressor.flush()
    return encoded


@dataclass(frozen=True, eq=False)
class _View:
    """The field of view that a grid's images are written in."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    offset: tuple[int, int, int]  # of the grid's first voxel in it

    @classmethod
    def of(cls, grid: Grid) -> _View:
        if grid.shape != MODEL_SHAPE:
            return cls(grid.shape, grid.affine, (0, 0, 0))
        affine = np.diag([-2.0, 2.0, 2.0, 1.0])
        affine[:3, 3] = _ORIGIN_MM
        return cls(FIELD_OF_VIEW, affine, _OFFSET)

    @property
    def voxels(self) -> int:
        return int(np.prod(self.shape))

    def positions(self, mask: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return where the mask's voxels, C order of (i, j, k), lie in a frame, i fastest."""
        i, j, k = (
            index + first for index, first in zip(np.nonzero(mask), self.offset, strict=True)
        )
        ni, nj, _ = self.shape
        return i + ni * (j + nj * k)

    def header(
        self,
        frames: int | None,
        dtype: str,
        repetition_time_s: float | None,
        slope: float,
        description: str,
    ) -> bytes:
        header = _Nifti1Header(endianness="<")
        header.set_data_dtype(dtype)
        header.set_data_shape(self.shape if frames is None else (*self.shape, frames))
        times = () if repetition_time_s is None else (repetition_time_s,)
        header.set_zooms((*np.abs(np.diagonal(self.affine)[:3]), *times))
        header.set_qform(self.affine, code=_TEMPLATE_SPACE)
        header.set_sform(self.affine, code=_TEMPLATE_SPACE)
        header.set_xyzt_units("mm", "sec" if times else None)
        header["descrip"] = description.encode("ascii", "replace")[:79]
        header.set_slope_inter(slope, 0.0)
        header["vox_offset"] = 352
        header["magic"] = b"n+1"
        # Four zero bytes: no extensions follow.
        return bytes(header.binaryblock) + bytes(4)
