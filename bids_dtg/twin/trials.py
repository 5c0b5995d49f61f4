"""Trials: what one person did in one run of a task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.tasks import Task

# The published halves of a run: to fit on and to test on (Takahashi et al., 2026).
HALF_SECONDS = 196.8


@dataclass(frozen=True, eq=False)
class Trials:
    """One run of a task by one person; n trials in order of onset."""

    task: Task
    onset_seconds: NDArray[np.float64]  # (n,)
    display_seconds: NDArray[np.float64]  # (n,): the stimulus is on from onset for so long
    stimulus: NDArray[np.float32]  # (n, channels): value of each channel while it is on
    cues: NDArray[np.float64]  # (k, 3): channel, start and end in seconds: it is 1 meanwhile
    condition: NDArray[np.int8]  # (n,): index into task.conditions; -1: none
    correct_button: NDArray[np.int8]  # (n,): index into task.buttons
    button: NDArray[np.int8]  # (n,): pressed; -1: none, or not known (Stroop errors)
    rt_seconds: NDArray[np.float64]  # (n,): from onset; NaN: no response
    correct: NDArray[np.bool_]  # (n,): misses are False
    cut: NDArray[np.bool_]  # (n,): a segment may begin here, at the trial's cue where it has one
    run_seconds: float
    implausible: tuple[int, ...] = ()  # trials of too early a response: rt is NaN; not scored
    notes: tuple[str, ...] = ()  # lines for people on rows and responses that were left out

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Which trials are scored: (n,)."""
        scored = np.ones(len(self.onset_seconds), bool)
        scored[list(self.implausible)] = False
        return scored

    def half(self, boundary_seconds: float = HALF_SECONDS) -> NDArray[np.int8]:
        """Return the half of each trial by its onset: 1, 2, or 0 after the second; (n,).

        Parameters
        ----------
        boundary_seconds
            End of the first half; the second is as long.
        """
        part = np.floor_divide(self.onset_seconds, boundary_seconds)
        return np.select([part < 1, part < 2], [1, 2], 0).astype(np.int8)
