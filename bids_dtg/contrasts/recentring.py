"""Re-centring: correct a network's error in the mean map, which is the same for all people.

The error is estimated from people with rest and task scans, outside the network's training set.
One gain per contrast then scales the deviations from the mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from bids_dtg.array_types import Float32, Float64, Floats, Mask, Values

_ROUNDING = 1e-12  # a smaller share of a sum of squares is rounding error
MOST_GAIN = 1.5  # upper limit of the gains


@dataclass(frozen=True, eq=False)
class Correction:
    """A gain for each contrast and a map to add, applied to each prediction."""

    gains: Float32  # (contrasts,), 0 to MOST_GAIN
    offset: Float32  # (contrasts, voxels), in the units of the maps

    def __post_init__(self) -> None:
        if self.offset.ndim != 2 or self.gains.shape != self.offset.shape[:1]:
            raise ValueError(
                f"gains are (contrasts,) and the offset (contrasts, voxels), "
                f"found {self.gains.shape} and {self.offset.shape}"
            )

    def apply(self, maps: Values) -> Values:
        """Return gain · map + offset; maps are (contrasts, voxels)."""
        corrected: Values = self.gains[:, None] * maps
        corrected += self.offset
        return corrected

    def scaled(self, factor: float) -> Correction:
        """Return the correction whose maps deviate from the offset by this factor of theirs."""
        return replace(self, gains=(self.gains * factor).astype(np.float32))


def recentre(
    people: Iterable[tuple[Floats, Floats]],
    mean_map: Floats,
) -> tuple[Correction, Mask]:
    """Estimate the correction: mean map + gain · (prediction - mean prediction).

    The gain of a contrast is the slope of measured on predicted deviations, over people and
    measured voxels, clipped to between 0 and `MOST_GAIN`. At each voxel, both deviate from their
    mean over the people measured there. The gain is 0 if nobody has the contrast. The mean
    prediction in the formula is over everybody.

    Parameters
    ----------
    people
        Predicted and measured maps (contrasts, voxels) of each person outside the network's
        training set, one after the other; predictions as made in use, e.g. averaged over
        segments; NaN where nothing was measured.
    mean_map
        Mean measured map of the training people, (contrasts, voxels).

    Returns
    -------
    The correction; and whether predictions differ between people by more than rounding error,
    (contrasts,).
    """
    shape = mean_map.shape
    number = 0
    everybody, everybody_squares = np.zeros(shape), np.zeros(shape[0])
    # The sums below are over measured values only.
    count = np.zeros(shape, np.int32)
    predicted_sum, measured_sum = np.zeros(shape), np.zeros(shape)
    products, squares = np.zeros(shape[0]), np.zeros(shape[0])
    for predicted, measured in people:
        p, m = np.asarray(predicted, np.float64), np.asarray(measured, np.float64)
        number += 1
        everybody += p
        everybody_squares += np.einsum("qv,qv->q", p, p)
        is_measured = np.isfinite(m)
        p, m = np.where(is_measured, p, 0.0), np.where(is_measured, m, 0.0)
        count += is_measured
        predicted_sum += p
        measured_sum += m
        products += np.einsum("qv,qv->q", p, m)
        squares += np.einsum("qv,qv->q", p, p)
    # Deviations from the means of people measured at a voxel: Σ (p - p̄)(m - m̄) = Σ p·m - p̄·Σ m.
    mean = predicted_sum / np.maximum(count, 1)
    covariance = products - np.einsum("qv,qv->q", mean, measured_sum)
    variance = squares - np.einsum("qv,qv->q", mean, predicted_sum)
    varies = _varies(variance, squares)
    slopes = np.where(varies, covariance / np.where(varies, variance, 1.0), 0.0)
    gains = np.clip(slopes, 0.0, MOST_GAIN)
    offset = mean_map - gains[:, None] * (everybody / number)
    mean_squares = np.einsum("qv,qv->q", everybody, everybody) / number
    individual = _varies(everybody_squares - mean_squares, everybody_squares)
    return Correction(gains.astype(np.float32), offset.astype(np.float32)), individual


def _varies(variance: Float64, squares: Float64) -> Mask:
    """Return whether a sum of squared deviations exceeds the rounding error of equal values."""
    return variance > _ROUNDING * squares
