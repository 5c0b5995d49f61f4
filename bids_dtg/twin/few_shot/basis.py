"""What a network's codes change in the log response time of each trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.decoding import decode
from bids_dtg.twin.own_trials.curves import log_seconds
from bids_dtg.twin.trial_series import Segments

if TYPE_CHECKING:
    from bids_dtg.twin.fitting import Fitted

Values = NDArray[np.float64]

_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of responses: their times stand for the distribution
_STEP = 0.5  # of a direction, for central differences
DIRECTIONS = 4  # of codes of each task
_SAMPLED = 4  # people whose sequences decide the directions, where sequences differ


def log_locations(fitted: Fitted, codes: Values, segments: Segments) -> Values:
    """Return where networks of codes put the log time of each trial: (rows, trials).

    Parameters
    ----------
    fitted
        A twin with latent factors.
    codes
        (rows, factors): one row a person where people saw different things.
    segments
        What they see.
    """
    found = decode(fitted.perform_codes(codes, segments).buttons, segments)
    times = np.stack([found.quantile(share) for share in _SHARES])
    return np.asarray(log_seconds(times.astype(np.float64)).mean(axis=0))


@dataclass(frozen=True, eq=False)
class CodeDirections:
    """The directions of codes that change predicted times most, of length 1 SD of the codes."""

    directions: Values  # (factors, number)

    @classmethod
    def learn(
        cls, fitted: Fitted, segments: Segments, task: int, number: int = DIRECTIONS
    ) -> CodeDirections:
        """Find the directions at the group's network.

        Parameters
        ----------
        fitted
            A twin with fitted factors of its training people.
        segments
            What training people saw, with an axis of people.
        task
            Index of the task in whose trials times change.
        number
            How many directions.
        """
        assert fitted.own_factors is not None
        sd, slopes = fitted.own_factors.std(axis=0), []
        for person in range(min(len(segments.inputs), _SAMPLED)):
            one = segments.people(np.array([person]))
            slopes.append(_slopes(fitted, np.diag(sd), one)[0][one.trials.task[0] == task])
        rows = np.concatenate(slopes)
        _, _, modes = np.linalg.svd(rows[np.isfinite(rows).all(axis=1)], full_matrices=False)
        return cls(sd[:, None] * modes[:number].T)

    def basis(self, fitted: Fitted, segments: Segments) -> Values:
        """Return what a unit of each direction adds to log times, (1 or people, trials, number)."""
        return _slopes(fitted, self.directions, segments)


def _slopes(fitted: Fitted, directions: Values, segments: Segments) -> Values:
    """Return derivatives of log times along directions (factors, number) at the group."""
    rows, found = len(segments.inputs), []
    if rows == 1:
        steps = _STEP * directions.T
        up, down = (log_locations(fitted, sign * steps, segments) for sign in (1, -1))
        return ((up - down) / (2 * _STEP)).T[None]
    for direction in directions.T:
        steps = np.repeat(_STEP * direction[None], rows, axis=0)
        up, down = (log_locations(fitted, sign * steps, segments) for sign in (1, -1))
        found.append((up - down) / (2 * _STEP))
    return np.stack(found, axis=-1)
