"""What fMRIPrep measures in a BOLD run for its table of confounds, in one pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.phantom.anatomy import Anatomy

Array = NDArray[np.float32]
_COMPONENT_VOXELS = 1500  # voxels of white matter and fluid that the components are taken from


class SignalRecorder:
    """Adds up means, changes and a sample of voxels from blocks of frames."""

    def __init__(self, anatomy: Anatomy) -> None:
        brain = anatomy.brain
        tissues = [anatomy.fluid[brain], anatomy.white[brain], np.ones(brain.sum(), bool)]
        self._means = np.stack([t / t.sum() for t in tissues], axis=1).astype(np.float32)
        inner = np.flatnonzero(tissues[0] | tissues[1])
        self._sample = inner[:: -(-len(inner) // _COMPONENT_VOXELS)]
        self._tissue: list[Array] = []
        self._changes: list[Array] = []
        self._voxels: list[Array] = []
        self._last: Array | None = None

    def add(self, frames: Array) -> None:
        """Add the next frames, (frames, brain voxels)."""
        self._tissue.append(frames @ self._means)
        self._voxels.append(frames[:, self._sample])
        before = frames[:1] if self._last is None else self._last
        change = np.diff(frames, axis=0, prepend=before)
        self._changes.append(np.einsum("tv,tv->t", change, change) / np.float32(change.shape[1]))
        self._last = frames[-1:].copy()

    @property
    def tissue_means(self) -> NDArray[np.float64]:
        """Means over fluid, white matter and the brain, (frames, 3)."""
        return np.concatenate(self._tissue).astype(np.float64)

    @property
    def dvars(self) -> NDArray[np.float64]:
        """Root mean square change over the brain, (frames,); the first NaN."""
        dvars = np.sqrt(np.concatenate(self._changes).astype(np.float64))
        dvars[0] = np.nan
        return dvars

    @property
    def sample(self) -> NDArray[np.float64]:
        """Voxels of white matter and fluid, (frames, voxels)."""
        return np.concatenate(self._voxels).astype(np.float64)
