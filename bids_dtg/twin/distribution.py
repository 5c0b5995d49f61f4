"""Predicted distributions of people's responses to the trials of a task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Distribution:
    """Predicted distributions of responses to the trials of a task, (people, trials, ...)."""

    seconds: Values  # (steps,), since the onset
    answered: Values  # (people, trials, steps): how likely a response by then
    shares: Values  # (people, trials, 3): correct, wrong, miss

    @property
    def mean_seconds(self) -> Values:
        """Mean time of responses, (people, trials); NaN where nothing is predicted."""
        rising = np.concatenate([np.zeros_like(self.answered[..., :1]), self.answered], axis=-1)
        times = np.concatenate([[0.0], self.seconds])
        middle = (times[1:] + times[:-1]) / 2
        total = np.maximum(rising[..., -1], 1e-9)
        return np.asarray((np.diff(rising, axis=-1) * middle).sum(axis=-1) / total)

    def quantile(self, share: float) -> Values:
        """Return the time by which a share of the responses is given, (people, trials).

        Parameters
        ----------
        share
            Share of the responses within the window, above 0 and at most 1.

        Examples
        --------
        >>> rising = np.array([[[0.0, 0.4, 0.8]]])
        >>> found = Distribution(np.array([0.5, 1.0, 1.5]), rising, np.ones((1, 1, 3)) / 3)
        >>> found.quantile(0.5), found.quantile(0.75)
        (array([[1.]]), array([[1.25]]))
        """
        rising = np.concatenate([np.zeros_like(self.answered[..., :1]), self.answered], axis=-1)
        times = np.concatenate([[0.0], self.seconds])
        flat = rising.reshape(-1, rising.shape[-1])
        found = [np.interp(share * row[-1], row, times) if row[-1] > 0 else np.nan for row in flat]
        return np.asarray(found, np.float64).reshape(rising.shape[:-1])
