"""BOLD of task runs, and the haemodynamic response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from bids_dtg.array_types import Float32, Float64, Mask
from bids_dtg.twin.trial_series import STEP_SECONDS

_FINE = 8  # points of the haemodynamic response in a step


@dataclass(frozen=True, eq=False)
class BoldRun:
    """BOLD of a person's run of a task, by region."""

    # (volumes, regions); NaN: censored, or the region has no signal
    values: Float32
    tr_seconds: float
    start_seconds: float = 0.0  # of the first volume, on the event file's clock

    @property
    def seconds(self) -> Float64:
        """When each volume was taken, (volumes,)."""
        return np.asarray(
            self.start_seconds + self.tr_seconds * np.arange(len(self.values))
        )

    @property
    def kept(self) -> Mask:
        """Which volumes are not censored, (volumes,)."""
        return np.asarray(np.isfinite(self.values).any(axis=1))

    def half(self, number: int, run_seconds: float) -> BoldRun | None:
        """Return the volumes in the first (0) or second (1) half of a run."""
        in_half = (self.seconds >= run_seconds / 2) == bool(number)
        if not in_half.any():
            return None
        start = float(self.seconds[in_half][0])
        return replace(self, values=self.values[in_half], start_seconds=start)


# Runs of each person, in the order of `Segments.run`.
People = Sequence[Sequence[BoldRun | None]]


def convolved(volume_seconds: Float64, on: Float64, off: Float64) -> Float64:
    """Return the haemodynamic response of each volume to each stimulus, (volumes, stimuli).

    It is Glover's difference of two gammas; the response to a stimulus that stays on tends to 1.

    Parameters
    ----------
    volume_seconds, on, off
        When volumes are taken, (volumes,), and stimuli begin and end, (stimuli,).

    Examples
    --------
    >>> convolved(np.array([0.0, 5.0, 60.0]), np.zeros(2), np.array([1.0, 100.0])).round(2)
    array([[0.  , 0.  ],
           [0.33, 0.71],
           [0.  , 1.  ]])
    """
    begun, ended = (
        np.interp(np.subtract.outer(volume_seconds, at), *_risen()) for at in (on, off)
    )
    return np.asarray(begun - ended)


@lru_cache(maxsize=1)
def _risen() -> tuple[Float64, Float64]:
    """Return times in seconds, and the integral of the haemodynamic response up to each."""
    from nilearn.glm.first_level.hemodynamic_models import glover_hrf

    integral = np.cumsum(glover_hrf(STEP_SECONDS, oversampling=_FINE))
    return np.arange(len(integral)) * STEP_SECONDS / _FINE, integral
