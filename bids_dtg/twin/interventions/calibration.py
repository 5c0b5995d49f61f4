"""Calibration slope: observed difference between people per predicted difference.

A twin fitted by penalised likelihood predicts smaller differences between people than are observed;
a twin with more degrees of freedom than the data support predicts larger ones. The slope of
observed on predicted figures, over people outside the training set, measures this (Cox, 1958,
doi:10.1093/biomet/45.3-4.562). A change along the direction in which predictions differ between
people (`Direction.between`), times the slope, is the mean difference between people at that
distance. The slope cannot show whether the difference is causal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FEWEST_PEOPLE = 10
_SAMPLES = 2000


@dataclass(frozen=True, eq=False)
class Calibration:
    """The slope of an observed figure on the predicted one."""

    slope: float
    samples: Array  # (samples,): slopes of bootstrap samples of people
    r: float  # Pearson r of both figures, over people
    people: int

    @classmethod
    def of(cls, predicted: Array, observed: Array, *, seed: int = 0) -> Calibration | None:
        """Return the slope over people; None where fewer than 10 have both figures.

        Parameters
        ----------
        predicted, observed
            (people,), seconds; a person with NaN is left out. Use people outside the training
            set: a twin predicts its training participants too well.
        seed
            Seed of the bootstrap samples.

        Examples
        --------
        >>> predicted = np.linspace(0.7, 0.9, 30)
        >>> Calibration.of(predicted, 2 * predicted).slope
        2.0
        """
        known = np.isfinite(predicted) & np.isfinite(observed)
        x, y = np.asarray(predicted)[known], np.asarray(observed)[known]
        if len(x) < FEWEST_PEOPLE or not (x.std() > 0 and y.std() > 0):
            return None
        draws = np.random.default_rng(seed).integers(0, len(x), (_SAMPLES, len(x)))
        slope = round(float(_slopes(x[None], y[None])[0]), 12)
        r = float(np.corrcoef(x, y)[0, 1])
        return cls(slope, _slopes(x[draws], y[draws]), r, len(x))

    def interval(self, change: float) -> tuple[float, float, float]:
        """Scale a predicted change by the slope, and return it with its 95 % interval.

        Parameters
        ----------
        change
            Change of the figure that the twins predict, seconds.

        Returns
        -------
        tuple of float
            The change times the slope, and the ends of the interval, by bootstrap over people.
        """
        low, high = np.nanpercentile(change * self.samples, [2.5, 97.5])
        return change * self.slope, float(low), float(high)


def _slopes(x: Array, y: Array) -> Array:
    """Return the slope of each row of y on that of x; NaN where x does not vary."""
    centred = x - x.mean(axis=1, keepdims=True)
    power = (centred**2).sum(axis=1)
    product = (centred * y).sum(axis=1)
    return np.asarray(np.divide(product, power, out=np.full(len(x), np.nan), where=power > 0))
