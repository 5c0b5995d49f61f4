"""The quality figures of all runs: one table, and which of them are unusual."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.report.flags import number

# A figure this far from the median is marked.
OUTLIER_Z = 3.5
# With fewer runs a spread is guesswork.
LEAST_RUNS = 5
# The median absolute deviation of a normal distribution is this share of its standard deviation;
# the mean absolute deviation that of the second.
_MAD_TO_SD, _MEAN_AD_TO_SD = 1.4826, 1.2533


@dataclass(frozen=True)
class Measure:
    """A quality figure that the group page looks at."""

    column: str  # of the table
    title: str  # for people
    unit: str = ""
    decimals: int = 2
    most: float = math.inf  # the largest value that can be


MEASURES = (
    Measure("minutes_kept", "Rest that was used", "min", 1),
    Measure("fd_mean", "Mean framewise displacement", "mm"),
    Measure("coverage", "Grey matter with signal", "", 3, 1.0),
    Measure("roi_coverage_min", "Lowest coverage of an ROI", "", 3, 1.0),
    Measure("tsnr_median", "Temporal signal-to-noise", "", 0),
    Measure("connectome_reliability", "Agreement of halves", "r"),
    Measure("similarity", "Similarity to the group", "r"),
)


@dataclass(frozen=True, eq=False)
class Column:
    """One figure of all runs."""

    measure: Measure
    values: NDArray[np.float64]  # (runs,), NaN where n/a
    z: NDArray[np.float64]  # (runs,), robust; NaN where it cannot be told

    @property
    def out(self) -> NDArray[np.bool_]:
        """(runs,), whether the figure is unusual."""
        marked: NDArray[np.bool_] = np.abs(np.nan_to_num(self.z)) > OUTLIER_Z
        return marked


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tell how far values are from their median, in robust standard deviations.

    (x - median) / (1.4826 MAD); where more than half of the values are equal the mean
    absolute deviation stands in for the median one (Iglewicz & Hoaglin 1993). NaN with
    fewer than `LEAST_RUNS` values, or where all are equal.
    """
    known = values[np.isfinite(values)]
    if len(known) < LEAST_RUNS:
        return np.full(len(values), np.nan)
    middle = np.median(known)
    apart = np.abs(known - middle)
    spread = _MAD_TO_SD * np.median(apart) or _MEAN_AD_TO_SD * apart.mean()
    if spread <= 1e-12 * max(abs(middle), 1.0):
        return np.full(len(values), np.nan)
    z: NDArray[np.float64] = (values - middle) / spread
    return z


def columns_of(rows: Sequence[Mapping[str, str]]) -> tuple[Column, ...]:
    """Return the figures that any run has."""
    found = []
    for measure in MEASURES:
        cells = [number(row.get(measure.column)) for row in rows]
        values = np.array([np.nan if cell is None else cell for cell in cells], np.float64)
        if np.isfinite(values).any():
            found.append(Column(measure, values, robust_z(values)))
    return tuple(found)
