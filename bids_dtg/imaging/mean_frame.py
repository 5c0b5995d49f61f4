"""The mean of a run's first frames over its whole file, summed up as they pass by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.bold import Stored
from bids_dtg.imaging.header import NiftiHeader
from bids_dtg.imaging.sampling import Sampling


class MeanFrame:
    """The mean of the first frames that are kept of a run, to look at.

    Parameters
    ----------
    header
        Header of the run's BOLD file.
    keep
        (frames,), which frames are kept.
    most
        Frames to average; fewer where fewer are kept.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> import nibabel as nib
    >>> from bids_dtg.imaging.bold import read_bold_header, stream_blocks
    >>> path = Path(mkdtemp()) / "bold.nii.gz"
    >>> bold = np.arange(8, dtype=np.int16).reshape(2, 1, 1, 4)  # voxels: 0 1 2 3, and 4 5 6 7
    >>> nib.save(nib.Nifti1Image(bold, np.eye(4)), path)
    >>> header = read_bold_header(path)
    >>> mean = MeanFrame(header, np.array([False, True, True, True]), most=2)
    >>> for stored in stream_blocks(header):
    ...     mean.add(0, stored)
    >>> mean.stored
    array([1.5, 5.5], dtype=float32)
    """

    def __init__(
        self,
        header: NiftiHeader,
        keep: NDArray[np.bool_],
        most: int,
    ) -> None:
        self.header = header
        self._missing = [int(frame) for frame in np.flatnonzero(keep)[:most]]
        self._wanted = len(self._missing)
        self._sum = np.zeros(header.file_voxels, np.float32)
        # Voxels that are a number in some frame; None: all, as the type has nothing else.
        self._known: NDArray[np.bool_] | None = None
        if header.dtype.kind == "f":
            self._known = np.zeros(header.file_voxels, dtype=bool)

    def add(self, first: int, stored: Stored) -> None:
        """Take what is wanted of (frames, file voxels), `first` being the first one's index.

        A file that is read a second time adds nothing.
        """
        while self._missing and self._missing[0] < first + len(stored):
            number = self._missing.pop(0)
            frame = stored[number - first]
            finite = True if self._known is None else np.isfinite(frame)
            with np.errstate(over="ignore"):  # of float64, and not a number in the end
                np.add(self._sum, frame, out=self._sum, where=finite, casting="same_kind")
            if self._known is not None:
                self._known |= finite

    @property
    def reach(self) -> int:
        """How many of the file's first frames hold all that are still wanted."""
        return self._missing[-1] + 1 if self._missing else 0

    @property
    def frames(self) -> int:
        """How many have been averaged."""
        return self._wanted - len(self._missing)

    @property
    def stored(self) -> NDArray[np.float32]:
        """(file voxels,), before scaling; NaN where no frame has a number."""
        mean = self._sum / np.float32(max(1, self.frames))
        if self._known is not None:
            mean[~self._known] = np.nan
        return mean

    def at(self, sampling: Sampling) -> NDArray[np.float32]:
        """Take voxels out of the mean, scaled: (voxels,); 0 where there is no number."""
        header = self.header
        taken = sampling.apply(self.stored[None], header.slope, header.inter)[0]
        mean: NDArray[np.float32] = np.nan_to_num(taken, copy=False, posinf=0.0, neginf=0.0)
        return mean
