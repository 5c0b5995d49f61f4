"""Contrast maps from the connectomes of one or more segments of rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ContrastMaps:
    """Predicted maps of one person, averaged over segments."""

    mean: NDArray[np.float32]  # (contrasts, voxels), in the units of the model's targets
    spread: NDArray[np.float32] | None  # (contrasts, voxels), sd over segments; None with one
    n_segments: int  # segments of rest that were averaged
    seconds: float  # rest behind the maps, after censoring
    # (contrasts, voxels) each, of the odd and of the even pieces of the runs; None if not asked for
    halves: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def __post_init__(self) -> None:
        if self.mean.ndim != 2:
            raise ValueError(f"maps are (contrasts, voxels), not {self.mean.shape}")
        if self.spread is not None and self.spread.shape != self.mean.shape:
            raise ValueError(f"spread {self.spread.shape} does not fit maps {self.mean.shape}")
        if self.halves and any(half.shape != self.mean.shape for half in self.halves):
            raise ValueError(f"the maps of the halves are {self.mean.shape}, as the maps")


class MapAverage:
    """Running mean and spread of maps over segments, weighted by their duration.

    Memory does not depend on the number of segments. The spread is the
    standard deviation with reliability weights, which with equal weights is
    the usual one with n - 1 (West 1979, Comm. ACM 22: 532, for the update).

    Examples
    --------
    >>> import numpy as np
    >>> average = MapAverage()
    >>> average.add(np.ones((1, 3), np.float32), seconds=432.0)
    >>> average.add(np.zeros((1, 3), np.float32), seconds=432.0)
    >>> average.result().mean
    array([[0.5, 0.5, 0.5]], dtype=float32)
    """

    def __init__(self) -> None:
        self._mean: NDArray[np.float32] | None = None
        self._squares: NDArray[np.float32] | None = None
        self._weight = 0.0
        self._squared_weight = 0.0
        self._count = 0

    def add(self, maps: NDArray[np.float32], seconds: float) -> None:
        """Add the maps (contrasts, voxels) of one segment of ``seconds`` of rest."""
        if not seconds > 0:
            raise ValueError(f"a segment lasts longer than {seconds} s")
        self._count += 1
        self._weight += seconds
        self._squared_weight += seconds**2
        if self._mean is None:
            self._mean = maps.astype(np.float32, copy=True)
            return
        deviation = maps - self._mean
        self._mean += deviation * np.float32(seconds / self._weight)
        if self._squares is None:
            self._squares = np.zeros_like(self._mean)
        deviation *= maps - self._mean
        deviation *= np.float32(seconds)
        self._squares += deviation

    def result(self) -> ContrastMaps:
        """Return the average of what was added."""
        if self._mean is None:
            raise ValueError("no segment was added")
        spread = None
        if self._squares is not None:
            freedom = self._weight - self._squared_weight / self._weight
            spread = np.sqrt(np.maximum(self._squares / np.float32(freedom), 0))
        return ContrastMaps(self._mean, spread, self._count, self._weight)
