"""People's mean response times: of each task, and what conditions add to them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.trial_series import Segments

Array = NDArray[np.float64]


def observed_times(segments: Segments) -> Array:
    """Return the mean times of people's own responses, as `mean_times`."""
    return mean_times(segments.trials.rt_seconds, segments)


def mean_times(seconds: NDArray[np.floating], segments: Segments) -> Array:
    """Return the mean response time of each task, and the differences of its conditions.

    Parameters
    ----------
    seconds
        Response times, (people, trials), of people or of networks that performed the segments; NaN:
        no response.
    segments
        What the people saw; trials that are not scored do not count.

    Returns
    -------
    numpy.ndarray
        (people, times): for each task the mean over its trials, then each later condition less the
        first one. NaN where a person has no such response.
    """
    rows = segments.trials
    timed = rows.scored & np.isfinite(seconds)

    def mean(chosen: NDArray[np.bool_]) -> Array:
        used = timed & chosen
        count = used.sum(axis=1)
        total = np.where(used, seconds, 0.0).sum(axis=1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    found = []
    for number, task in enumerate(segments.tasks.tasks):
        own = rows.task == number
        found.append(mean(own))
        levels = [mean(own & (rows.condition == level)) for level in range(len(task.conditions))]
        found += [level - levels[0] for level in levels[1:]]
    return np.stack(found, axis=1)
