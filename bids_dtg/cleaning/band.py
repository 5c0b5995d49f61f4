"""Frequencies to remove from a run, as columns that a regression takes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class StopBand:
    """The discrete cosines of a run whose frequencies are not wanted.

    A run of N frames is a sum of N cosines (DCT-II), the k-th of frequency k / (2 N TR). To
    regress out some of them is a filter with the sharpest edges that the run allows. It is a
    projection like that of confounds, so that both are one regression and neither brings back
    what the other took (Lindquist et al. 2019); AFNI's 3dTproject does so with sines and cosines.
    """

    columns: NDArray[np.float64]  # (frames, slow + fast), orthonormal, none constant
    slow: int  # number of columns below the band
    fast: int  # number of columns above the band

    @classmethod
    def outside(
        cls,
        frames: int,
        tr_seconds: float,
        *,
        high_pass_hz: float | None = None,
        low_pass_hz: float | None = None,
    ) -> StopBand:
        """Choose the cosines of frequencies up to `high_pass_hz` and above `low_pass_hz`.

        Parameters
        ----------
        frames
            Frames of the run, those that are censored included.
        tr_seconds
            Time between frames.
        high_pass_hz
            What is as slow or slower is removed: the cosines of nilearn's filter "cosine" and of
            SPM. None: nothing.
        low_pass_hz
            What is faster is removed. None: nothing.
        """
        orders = np.arange(1, frames)
        frequencies = orders / (2 * frames * tr_seconds)
        slowest = 0
        if high_pass_hz is not None:
            slowest = min(frames - 1, int(np.floor(2 * frames * high_pass_hz * tr_seconds)))
        fast = np.zeros(len(orders), bool)
        if low_pass_hz is not None:
            fast = frequencies > low_pass_hz
        wanted = orders[(orders <= slowest) | fast]
        middles = (np.arange(frames) + 0.5) * np.pi / frames
        columns = np.sqrt(2 / frames) * np.cos(middles[:, None] * wanted)
        return cls(columns, slowest, int(fast.sum()))
