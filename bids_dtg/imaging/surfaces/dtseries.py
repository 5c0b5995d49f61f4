"""A run's series at grayordinates (CIFTI, .dtseries.nii), read in blocks of frames.

Such a file has the frames of one place beside each other, so that a block of frames is spread over
all of it. Frames are therefore taken many at a time: a run of usual length is read once, a longer
one as often as its frames need, and memory is bounded whatever the length.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError, RunError
from bids_dtg.files.foreign import open_foreign
from bids_dtg.imaging.header import READ_ERRORS, HeaderTime
from bids_dtg.imaging.places import Indices
from bids_dtg.imaging.surfaces.grayordinates import CiftiHeader, read_cifti_header

_cifti: Any = nib.cifti2  # nibabel has no types
_MOST_BYTES, _READ_BYTES = 2**28, 2**24  # of frames held, as float32, and read at a time
_EXPECTED = "a CIFTI file of a run at grayordinates or of parcels (.dtseries.nii, .ptseries.nii)"


@dataclass(frozen=True, eq=False)
class SeriesHeader(CiftiHeader):
    """The header of a run's series at grayordinates."""

    @property
    def frames(self) -> int:
        """Number of frames in time."""
        return len(self.first)

    @property
    def time(self) -> HeaderTime:
        """Time between frames."""
        return HeaderTime(float(self.first.step), "s" if self.first.unit == "SECOND" else "Hz")

    @property
    def voxel_mm(self) -> float:
        """Distance between neighbouring places."""
        return self.places.spacing_mm


def read_series_header(path: Path) -> SeriesHeader:
    """Read the header of a .dtseries.nii file, and check that it describes a run.

    Raises
    ------
    RunError
        As `read_cifti_header`; also no series, or fewer than two frames.
    """
    header = SeriesHeader(**vars(read_cifti_header(path, _EXPECTED)))
    if not isinstance(header.first, _cifti.SeriesAxis) or header.frames < 2:
        raise RunError(
            f"{path} has a {type(header.first).__name__} of {header.frames}",
            expected="a run of at least two frames (.dtseries.nii)",
        )
    return header


def stream_series(
    header: SeriesHeader,
    rows: Indices,
    frames_per_block: int = 64,
    *,
    most_bytes: int = _MOST_BYTES,
) -> Generator[tuple[int, NDArray[np.float32]], None, None]:
    """Read a run's frames at the wanted places, scaled, in order.

    Parameters
    ----------
    header
        Header of the file.
    rows
        (places,), position of each wanted place in the file.
    frames_per_block
        At most.
    most_bytes
        Of the frames that are taken from the file at a time; at least one is.

    Yields
    ------
    first
        Index of the block's first frame in the run.
    block
        (frames, places) float32, which the consumer may change.

    Raises
    ------
    RunError
        The file ends early, or cannot be read.
    """
    parts = min(header.frames, math.ceil(4 * len(rows) * header.frames / most_bytes))
    held = math.ceil(header.frames / parts)
    for start in range(0, header.frames, held):
        frames = _read_frames(header, rows, start, min(start + held, header.frames))
        for first in range(0, len(frames), frames_per_block):
            yield start + first, frames[first : first + frames_per_block]


def _read_frames(header: SeriesHeader, rows: Indices, start: int, stop: int) -> NDArray[np.float32]:
    """Read frames (stop - start, places), from one end of the file to the other."""
    frames = np.empty((stop - start, len(rows)), np.float32)
    order = np.argsort(rows, kind="stable")
    in_order = rows[order]
    row_bytes = header.frames * header.dtype.itemsize
    at_once = max(1, _READ_BYTES // row_bytes)
    try:
        with open_foreign(header.path) as file:
            file.seek(header.offset)
            for low in range(0, header.places.number, at_once):
                count = min(at_once, header.places.number - low)
                stored = np.frombuffer(file.read(count * row_bytes), header.dtype)
                if stored.size < count * header.frames:
                    raise RunError(f"{header.path} ends early", expected="the whole run")
                wanted = slice(*np.searchsorted(in_order, (low, low + count)))
                part = stored.reshape(count, header.frames)[in_order[wanted] - low, start:stop]
                with np.errstate(over="ignore"):
                    frames[:, order[wanted]] = part.T * header.slope + header.inter
    except ForeignFileError as err:
        raise err.as_kind(RunError) from err
    except READ_ERRORS as err:
        raise RunError(f"{header.path} cannot be read: {err}") from err
    return frames
