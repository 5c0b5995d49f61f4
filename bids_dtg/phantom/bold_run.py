"""A BOLD run as a scanner and fMRIPrep would leave it, streamed some frames at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.phantom.anatomy import Anatomy
from bids_dtg.phantom.fields import SmoothField
from bids_dtg.phantom.motion import Motion

Array = NDArray[np.float32]

_BLOCK = 32  # frames in memory at once
_SIGNAL = 10.0  # intensity of one unit of a series, about 1 % of the mean


@dataclass(frozen=True, eq=False)
class BoldRun:
    """A run, ready to be streamed; nothing of size frames × voxels is held."""

    repetition_time_s: float  # seconds a frame
    motion: Motion
    non_steady: int  # frames at the start before the steady state
    anatomy: Anatomy
    field: SmoothField  # smoothness of the voxels' noise
    network_maps: Array  # (networks, grey voxels)
    series: Array  # (frames, networks)
    shared: Array  # (frames,), of all voxels
    noise: Array  # (frames, *lattice)
    # (signals, brain voxels), in intensity: the mean image, what is not neural, responses to trials
    nuisance_maps: Array
    nuisance: Array  # (frames, signals)

    @property
    def frames(self) -> int:
        """Number of volumes in time."""
        return len(self.series)

    def blocks(self) -> Iterator[Array]:
        """Yield intensities, (frames, brain voxels), some frames at a time, in order."""
        done = 0
        for block in brain_frames(
            self.network_maps, self.series, self.shared, self.noise, self.anatomy, self.field
        ):
            block *= np.float32(_SIGNAL)
            block += self.nuisance[done : done + len(block)] @ self.nuisance_maps
            done += len(block)
            yield block


def brain_frames(
    maps: Array, series: Array, shared: Array, noise: Array, anatomy: Anatomy, field: SmoothField
) -> Iterator[Array]:
    """Yield the voxels' signals, some frames at a time.

    Parameters
    ----------
    maps
        The person's network maps, (networks, grey voxels).
    series, shared
        (frames, networks) series of networks, and (frames,) signal shared by the brain.
    noise
        White noise with its amplitude, (frames, *lattice).
    anatomy, field
        Voxels; smoothness of their noise.

    Yields
    ------
    (frames, brain voxels), float32
    """
    inside, grey = anatomy.brain, anatomy.grey_in_brain
    for start in range(0, len(series), _BLOCK):
        part = slice(start, start + _BLOCK)
        frames = field.spread(noise[part])[:, inside]
        frames += shared[part, None]
        frames[:, grey] += series[part] @ maps
        yield frames
