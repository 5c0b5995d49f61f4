"""A BOLD run as the bytes of a compressed NIfTI-1 file, a block of frames at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import nibabel as nib
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

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
    """Make a complete .nii.gz file: int16 with a scale factor, in FSL's 2 mm field of view.

    Parameters
    ----------
    blocks
        Intensities, (frames, brain voxels), in order.
    anatomy
        Of 2 mm voxels.
    frames, repetition_time_s
        For the header.
    description
        Text of `descrip`, at most 79 ASCII characters.

    Raises
    ------
    ValueError
        If the voxels are not those of the model grid, or the blocks hold another number
        of frames.
    """
    if anatomy.grid.shape != MODEL_SHAPE:
        raise ValueError(f"runs are written at 2 mm, {MODEL_SHAPE}, not {anatomy.grid.shape}")
    compressor = isal_zlib.compressobj(_LEVEL, wbits=_GZIP_CONTAINER)
    header = _header((*FIELD_OF_VIEW, frames), "<i2", repetition_time_s, _SLOPE, description)
    encoded = bytearray(compressor.compress(header))
    positions = _file_positions(anatomy.brain)
    stored = np.zeros(int(np.prod(FIELD_OF_VIEW)), "<i2")
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


def encode_mask(mask: NDArray[np.bool_], description: str) -> bytes:
    """Make a complete .nii.gz file of a mask on the model grid, in FSL's field of view."""
    stored = np.zeros(int(np.prod(FIELD_OF_VIEW)), np.uint8)
    stored[_file_positions(mask)] = 1
    compressor = isal_zlib.compressobj(_LEVEL, wbits=_GZIP_CONTAINER)
    header = _header(FIELD_OF_VIEW, "|u1", None, 1.0, description)
    encoded: bytes = compressor.compress(header + stored.tobytes()) + compressor.flush()
    return encoded


def _file_positions(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return where the mask's voxels, C order of (i, j, k), lie in a frame, i fastest."""
    i, j, k = (index + offset for index, offset in zip(np.nonzero(mask), _OFFSET, strict=True))
    ni, nj, _ = FIELD_OF_VIEW
    return i + ni * (j + nj * k)


def _header(
    shape: tuple[int, ...],
    dtype: str,
    repetition_time_s: float | None,
    slope: float,
    description: str,
) -> bytes:
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = _ORIGIN_MM
    header = _Nifti1Header(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    times = () if repetition_time_s is None else (repetition_time_s,)
    header.set_zooms((2.0, 2.0, 2.0, *times))
    header.set_qform(affine, code=_TEMPLATE_SPACE)
    header.set_sform(affine, code=_TEMPLATE_SPACE)
    header.set_xyzt_units("mm", "sec" if times else None)
    header["descrip"] = description.encode("ascii", "replace")[:79]
    header.set_slope_inter(slope, 0.0)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    # Four zero bytes: no extensions follow.
    return bytes(header.binaryblock) + bytes(4)
