"""Contrast maps from the connectomes of one or more segments of rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bids_dtg.array_types import Float32, Mask
from bids_dtg.connectome.design import segment_weight
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.errors import RunError, SettingsError, did_you_mean
from bids_dtg.inputs.statmaps import plain_contrast


@dataclass(frozen=True, eq=False)
class Estimate:
    """Predicted maps of one person, averaged over segments of rest.

    Examples
    --------
    >>> contrast = Contrast(0, "languageMath", "LANGUAGE", "MATH", "Arithmetic against rest")
    >>> estimate = Estimate((contrast,), np.zeros((1, 5), np.float32), 1, 432.0)
    >>> estimate.values.shape
    (1, 5)
    >>> estimate.map_of("languageMath").shape
    (5,)
    """

    contrasts: tuple[Contrast, ...]  # rows of all arrays
    # (contrasts, voxels), in the units of the model's targets
    values: Float32
    n_segments: int  # segments of rest that were averaged
    seconds: float  # rest used, after censoring
    # Residual degrees of freedom, by which segments are weighted; NaN: weighted by seconds
    residual_dof: float = np.nan
    # (contrasts, voxels), half-widths of the 90 % prediction intervals; None: the model has none
    half_widths: Float32 | None = None

    def map_of(self, label: str) -> Float32:
        """Return the map of a contrast, (voxels,), by its label (ignoring case).

        Raises
        ------
        SettingsError
            There is no such contrast; the message names the nearest label.
        """
        labels = [contrast.label for contrast in self.contrasts]
        rows = {plain_contrast(row_label): row for row, row_label in enumerate(labels)}
        row = rows.get(plain_contrast(label))
        if row is None:
            raise SettingsError(
                f"there is no contrast {label!r}",
                expected=f"one of the {len(labels)} labels in contrasts",
                remedy=did_you_mean(label, labels),
            )
        return np.asarray(self.values[row])


def require_finite(maps: Float32, contrasts: Sequence[Contrast]) -> None:
    """Refuse maps with values that are not finite, before they are averaged or written.

    Parameters
    ----------
    maps
        Maps to check, (contrasts, voxels).
    contrasts
        Contrasts of the rows of `maps`.

    Raises
    ------
    RunError
        A value is not finite; the message names the first such contrast.

    Examples
    --------
    >>> contrast = Contrast(0, "languageMath", "LANGUAGE", "MATH", "Arithmetic against rest")
    >>> require_finite(np.zeros((1, 5), np.float32), [contrast])
    """
    finite = np.isfinite(maps)
    if finite.all():
        return
    wrong = np.flatnonzero(~finite.all(axis=1))
    number = int(np.count_nonzero(~finite[wrong[0]]))
    raise RunError(
        f"the predicted map of {contrasts[wrong[0]].label} has {number} values that are not "
        f"finite, and so have {len(wrong) - 1} more of {len(maps)} contrasts",
        expected="finite values everywhere in the model's mask",
        remedy="look at the run's images, and check the model with dtg-models verify",
    )


class MapAverage:
    """Running weighted mean of maps over segments.

    A segment is weighted by its residual degrees of freedom, because these determine the variance
    of a correlation; the more confound columns are removed, the fewer remain. If they are not
    known for all segments, segments are weighted by duration.

    At a voxel where a segment has no data, the others are averaged; where none has, the mean is
    NaN. Memory does not depend on the number of segments.

    Examples
    --------
    >>> import numpy as np
    >>> average = MapAverage(by_dof=True)
    >>> average.add(np.ones((1, 3), np.float32), seconds=432.0, residual_dof=75.0)
    >>> average.add(np.zeros((1, 3), np.float32), seconds=432.0, residual_dof=25.0)
    >>> average.mean
    array([[0.75, 0.75, 0.75]], dtype=float32)
    """

    def __init__(self, *, by_dof: bool = False) -> None:
        self._by_dof = by_dof
        self._seconds = 0.0
        self._dof = 0.0
        self._mean: Float32 | None = None
        self._weight: Any = 0.0  # total weight, for all voxels or for each (voxels,)
        self._count = 0

    def add(
        self,
        maps: Float32,
        *,
        seconds: float,
        residual_dof: float = np.nan,
        data: Mask | None = None,
    ) -> None:
        """Add the maps (contrasts, voxels) of one segment of rest.

        `data` (voxels,) says where the segment has data; None: everywhere.
        """
        weight: Any = segment_weight(seconds, residual_dof, by_dof=self._by_dof)
        if data is not None:
            weight = np.where(data, weight, 0.0)
        self._count += 1
        self._seconds += seconds
        self._dof += residual_dof
        self._weight = self._weight + weight
        if self._mean is None:
            self._mean = np.where(weight > 0, maps, np.float32(0)).astype(np.float32)
            return
        deviation = maps - self._mean
        with np.errstate(invalid="ignore"):  # no segment has data yet: the mean stays 0
            share = np.nan_to_num(np.asarray(weight / self._weight, np.float32))
        self._mean += deviation * share

    @property
    def data(self) -> Mask:
        """Whether any segment has data, (voxels,) or one value for all."""
        return np.asarray(self._weight > 0)

    @property
    def mean(self) -> Float32:
        """(contrasts, voxels), the mean of the segments added so far; NaN where none has data."""
        assert self._mean is not None  # a segment was added
        if self.data.all():
            return self._mean
        return np.where(self.data, self._mean, np.float32("nan"))

    def result(self, contrasts: Sequence[Contrast]) -> Estimate:
        """Return the average of the segments added so far.

        Parameters
        ----------
        contrasts
            Contrasts of the rows of the maps.

        Raises
        ------
        ValueError
            Shapes do not fit.
        """
        return Estimate(
            contrasts=tuple(contrasts),
            values=self.mean,
            n_segments=self._count,
            seconds=self._seconds,
            residual_dof=self._dof if self._by_dof else np.nan,
        )
