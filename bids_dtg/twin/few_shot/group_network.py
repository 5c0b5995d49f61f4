"""Response times by the group's network, of which nobody has a code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.decoding import decode
from bids_dtg.twin.judging.cohort import answers_of
from bids_dtg.twin.own_trials.curves import grid
from bids_dtg.twin.own_trials.first_trials import FirstTrials
from bids_dtg.twin.trial_series import Segments

if TYPE_CHECKING:
    from bids_dtg.twin.fitting import Fitted

Values = NDArray[np.float64]
_LEAST = 1e-9  # of responses, so that a network that gives none has a curve of zeros


@dataclass(frozen=True, eq=False)
class GroupNetwork:
    """Times that the group's network gives to everybody, whatever is known of a person."""

    curves: Values  # (1 or people, trials, steps): how likely a response by then, if there is one

    @classmethod
    def of(cls, fitted: Fitted, segments: Segments, number: int) -> GroupNetwork:
        """Run the group's network.

        Parameters
        ----------
        fitted
            A twin with latent factors.
        segments
            What people see.
        number
            Index of the task in the segments.

        Raises
        ------
        ValueError
            The architecture has no group network.
        """
        found = decode(fitted.perform_group(segments).buttons, segments)
        of_task = answers_of(segments, number)
        answered = found.answered[:, of_task.columns]
        seconds = np.broadcast_to(found.seconds, found.answered.shape)[:, of_task.columns]
        given = answered / np.maximum(answered[..., -1:], _LEAST)
        steps, width = grid(of_task.task.window_seconds), given.shape[-1]
        curves = [
            np.interp(steps, np.append(0.0, times), np.append(0.0, rising))
            for times, rising in zip(
                seconds.reshape(-1, width), given.reshape(-1, width), strict=True
            )
        ]
        return cls(np.reshape(curves, (*given.shape[:-1], len(steps))))

    def times(self, people: FirstTrials) -> Values:
        """Return how likely a response is by each time if there is one."""
        return np.broadcast_to(self.curves, (people.people, *self.curves.shape[1:]))
