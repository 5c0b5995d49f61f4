"""A carpet: the values of some voxels over a run, kept small as its blocks pass by."""

from __future__ import annotations

from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.passes import Blocks, Reading

MOST_COLUMNS = 600  # of a carpet: a page shows no more


class Carpet:
    """Values of voxels over the frames of a run; neighbouring frames of a long run are averaged.

    Its size does not grow with the length of the run, nor with the number of voxels read.

    Parameters
    ----------
    voxels
        (rows,), positions of the voxels in the blocks.
    frames
        Number of frames of the run.

    Examples
    --------
    >>> carpet = Carpet(np.array([0, 2]), frames=4)
    >>> block = np.array([[1.0, 5, 9], [2, 5, 9], [1, 5, 9], [2, 5, 9]])
    >>> len(list(carpet.watching((0, block) for _ in range(1))))
    1
    >>> np.allclose(carpet.standardised(np.ones(4, bool))[0], [-0.4, 1.3, -1.3, 0.4], atol=0.1)
    True
    """

    def __init__(self, voxels: NDArray[np.intp], frames: int) -> None:
        self.each = max(1, -(-frames // MOST_COLUMNS))  # frames of a column
        self._voxels, self._frames = voxels, frames
        self._sums = np.zeros((-(-frames // self.each), len(voxels)), np.float32)

    def watching(self, blocks: Blocks) -> Blocks:
        """Yield blocks as they are, and take what is wanted of each; a second pass begins anew."""
        self._sums[:] = 0
        with closing(blocks):
            reading = Reading(blocks)
            for first, block in reading:
                columns = np.arange(first, first + len(block)) // self.each
                with np.errstate(over="ignore", invalid="ignore"):
                    np.add.at(self._sums, columns, block[:, self._voxels].astype(np.float32))
                yield first, block
        return reading.value

    def standardised(self, keep: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return values less their linear trend, in standard deviations; both of kept frames.

        Parameters
        ----------
        keep
            (frames,), which frames are kept.

        Returns
        -------
        (rows, columns); NaN in rows without signal.
        """
        columns = np.arange(self._frames) // self.each
        counts = np.bincount(columns).astype(np.float32)
        kept = np.bincount(columns, weights=keep) > 0.5 * counts  # more of its frames than not
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            values = self._sums / counts[:, None]
            values[:, ~np.isfinite(values).all(axis=0)] = np.nan
            time = np.linspace(-1, 1, len(values))
            design = np.stack([np.ones_like(time), time], axis=1)
            if kept.sum() <= design.shape[1]:
                kept = np.ones_like(kept)
            scale = np.abs(values).max(axis=0)
            values = values - design @ (np.linalg.pinv(design[kept]) @ values[kept])
            spread = values[kept].std(axis=0)
            found = values / np.where(spread > 1e-6 * scale, spread, np.nan)
        return found.T.astype(np.float32)
