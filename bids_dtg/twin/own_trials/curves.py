"""Distributions of response times by location, scale and shape, on a grid of seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
NON_DECISION_SECONDS = 0.2  # subtracted from response times before the logarithm
GRID_SECONDS = 0.02  # between steps of predicted curves
_LEAST_SECONDS = 0.01  # of a response time less what is subtracted
_KNOTS = 257  # of a shape
_LEAST_SHARE = 1e-6  # of a distribution within the window


def grid(window_seconds: float) -> Values:
    """Return the times of curves: equal steps to the window's end.

    Examples
    --------
    >>> grid(2.0)[[0, -1]].tolist(), len(grid(2.0))
    ([0.02, 2.0], 100)
    """
    return np.linspace(0.0, window_seconds, max(round(window_seconds / GRID_SECONDS), 1) + 1)[1:]


def log_seconds(seconds: Values, less: float = NON_DECISION_SECONDS) -> Values:
    """Return the log of times less what no decision takes; NaN stays.

    Parameters
    ----------
    seconds
        Response times. What is left of a time is 0.01 s at least.
    less
        Seconds to subtract.

    Examples
    --------
    >>> log_seconds(np.array([1.2, 0.0, np.nan])).round(2)
    array([ 0.  , -4.61,   nan])
    """
    found: Values = np.log(np.maximum(seconds - less, _LEAST_SECONDS))
    return found


@dataclass(frozen=True, eq=False)
class Shape:
    """A distribution function, linear between knots."""

    knots: Values  # (knots,), rising
    heights: Values  # (knots,), from 0 to 1

    @classmethod
    def smooth(cls, values: Values) -> Shape:
        """Return the distribution of values, smoothed by a normal kernel (Silverman's rule).

        Parameters
        ----------
        values
            (n,): what was observed.
        """
        from scipy.special import ndtr

        spread = max(float(values.std()), 1e-3) if len(values) else 1.0
        values = values if len(values) else np.zeros(1)
        width = 0.9 * spread * len(values) ** -0.2
        knots = np.linspace(values.min() - 4 * width, values.max() + 4 * width, _KNOTS)
        heights = ndtr((knots[:, None] - values) / width).mean(axis=1)
        return cls(knots, heights / heights[-1])

    def at(self, values: Values) -> Values:
        """Return the share up to values, of any shape."""
        return np.interp(values, self.knots, self.heights, left=0.0)


def curves(
    log_grid: Values,
    location: Values,
    scale: Values,
    group: NDArray[np.integer],
    shapes: Sequence[Shape],
) -> Values:
    """Return how likely a response is by each time if there is one, (people, trials, steps).

    Parameters
    ----------
    log_grid
        (steps,): log times of the steps.
    location, scale
        (people, trials): of the log response time; NaN: no prediction.
    group
        (people, trials): number of each trial's shape; -1: no prediction.
    shapes
        Distributions of (log time - location) / scale. They are cut at the last step.
    """
    found = np.full((*group.shape, len(log_grid)), np.nan)
    for number, shape in enumerate(shapes):
        here = (group == number) & np.isfinite(location)
        share = shape.at((log_grid - location[here][:, None]) / scale[here][:, None])
        found[here] = in_window(share)
    return found


def in_window(share: Values) -> Values:
    """Return distribution functions (..., steps) cut at the last step: they end at 1.

    What lies beyond the window but for less than a millionth is as if it came at its end.

    Examples
    --------
    >>> in_window(np.array([[0.0, 0.4, 0.8], [0.0, 0.0, 0.0]]))
    array([[0. , 0.5, 1. ],
           [0. , 0. , 1. ]])
    """
    last = share[..., -1:]
    found = np.where(last >= _LEAST_SHARE, share / np.maximum(last, _LEAST_SHARE), 0.0)
    found[..., -1] = 1.0
    return found
