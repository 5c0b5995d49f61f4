"""Re-centring: correct a network's error in the mean map, which is the same for all people.

The error is estimated from people with both scans, outside the network's training set. One gain for
each contrast then scales the deviations from the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-12  # of a sum of squares
MOST_GAIN = 1.5  # upper limit of the gains


@dataclass(frozen=True, eq=False)
class Correction:
    """A gain for each contrast and a map to add, applied to each prediction."""

    gains: NDArray[np.float32]  # (contrasts,), 0 to MOST_GAIN
    offset: NDArray[np.float32]  # (contrasts, voxels), in the units of the maps

    def __post_init__(self) -> None:
        if self.offset.ndim != 2 or self.gains.shape != self.offset.shape[:1]:
            raise ValueError(
                f"gains are (contrasts,) and the offset (contrasts, voxels), "
                f"found {self.gains.shape} and {self.offset.shape}"
            )

    def apply(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return gain · map + offset; maps are (contrasts, voxels)."""
        if maps.shape != self.offset.shape:
            raise ValueError(f"maps are {self.offset.shape}, found {maps.shape}")
        corrected: NDArray[np.float32] = self.gains[:, None] * maps
        corrected += self.offset
        return corrected


class RecentringSums:
    """Sums over held-out people from which re-centring is computed, added up person by person.

    Values that were not measured (NaN) are not counted: gains come from the other values, at each
    voxel relative to the means of the people who have it.
    """

    def __init__(self, contrasts: int, voxels: int) -> None:
        shape = contrasts, voxels
        self.people = 0
        self._everybody = np.zeros(shape)  # sum of the predictions
        self._everybody_squares = np.zeros(contrasts)
        # The following are over measured values.
        self._count = np.zeros(shape, np.int32)
        self._predicted, self._measured = np.zeros(shape), np.zeros(shape)
        self._products, self._squares = np.zeros(contrasts), np.zeros(contrasts)

    def add(
        self, predicted: NDArray[np.floating[Any]], measured: NDArray[np.floating[Any]]
    ) -> None:
        """Add a person outside the network's training set.

        Parameters
        ----------
        predicted, measured
            (contrasts, voxels); the prediction as made in use, e.g. averaged over segments;
            NaN where nothing was measured.

        Raises
        ------
        ValueError
            If the shapes are others.
        """
        p, m = np.asarray(predicted, np.float64), np.asarray(measured, np.float64)
        if not p.shape == m.shape == self._everybody.shape:
            raise ValueError(
                f"maps are (contrasts, voxels), {self._everybody.shape}; "
                f"found {p.shape} and {m.shape}"
            )
        self.people += 1
        self._everybody += p
        self._everybody_squares += np.einsum("qv,qv->q", p, p)
        known = np.isfinite(m)
        p, m = np.where(known, p, 0.0), np.where(known, m, 0.0)
        self._count += known
        self._predicted += p
        self._measured += m
        self._products += np.einsum("qv,qv->q", p, m)
        self._squares += np.einsum("qv,qv->q", p, p)

    def varying(self) -> NDArray[np.bool_]:
        """Return whether predictions differ between people by more than rounding, (contrasts,).

        Raises
        ------
        ValueError
            If there are fewer than two people.
        """
        if self.people < 2:
            raise ValueError(f"two people or more can differ, found {self.people}")
        of_mean = np.einsum("qv,qv->q", self._everybody, self._everybody) / self.people
        return _varies(self._everybody_squares - of_mean, self._everybody_squares)

    def correction(self, mean_map: NDArray[np.floating[Any]]) -> Correction:
        """Return the correction: mean map + gain · (prediction - mean prediction).

        The gain of a contrast is the slope of measured on predicted deviations, over people and
        the voxels that they have, clipped to 0 to `MOST_GAIN`; 0 where nobody has the contrast.
        The mean prediction is over everybody.

        Parameters
        ----------
        mean_map
            Mean measured map of the training people, (contrasts, voxels).

        Raises
        ------
        ValueError
            If there are fewer than two people, or the mean map has another shape.
        """
        if self.people < 2:
            raise ValueError(f"re-centring needs at least 2 people, found {self.people}")
        if mean_map.shape != self._everybody.shape:
            raise ValueError(f"the mean map is {self._everybody.shape}, found {mean_map.shape}")
        # Deviations from the means of those who have a voxel:
        # Σ (p - p̄)(m - m̄) = Σ p·m - p̄·Σ m.
        mean = self._predicted / np.maximum(self._count, 1)
        covariance = self._products - np.einsum("qv,qv->q", mean, self._measured)
        variance = self._squares - np.einsum("qv,qv->q", mean, self._predicted)
        varies = _varies(variance, self._squares)
        slopes = np.where(varies, covariance / np.where(varies, variance, 1.0), 0.0)
        gains = np.clip(slopes, 0.0, MOST_GAIN)
        offset = mean_map - gains[:, None] * (self._everybody / self.people)
        return Correction(gains.astype(np.float32), offset.astype(np.float32))


def _varies(variance: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether a sum of squared deviations exceeds the rounding error of equal values."""
    return np.asarray(variance > _ROUNDING * squares)
