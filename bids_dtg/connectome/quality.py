"""Metrics of a run: what each means, how pages show it, and the limits of its usual values.

The limits are rules of thumb: docs/tried.md says how often simulated runs exceed them, and
docs/reference/reports.md lists those that the reports flag. None of them excludes a run;
`--min-minutes` does.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Literal

from bids_dtg.files.text import read_packaged


@dataclass(frozen=True)
class QualityMetric:
    """A metric of a run, and the column of the quality table that holds it."""

    name: str  # of the column
    meaning: str  # for the data dictionary
    # On the group page and in a participant's summary; empty: not shown.
    title: str = ""
    unit: str = ""
    decimals: int = 2  # on the group page
    # Which values are marked where they are far from those of other runs, and the least standard
    # deviation of runs, in the metric's unit, by which that is judged.
    bad: Literal["low", "high", "both"] = "both"
    least_spread: float = 0.0
    # Format of the worst run's value in the summary; empty: not shown.
    summary: str = ""
    # A value that reaches `unusual` is unusual, and one that reaches `outside` is too bad; low
    # values are bad if `outside` is the lower one. None: the metric has no limits.
    unusual: float | None = None
    outside: float | None = None
    # Text on pages for a {value} beyond its limits, {unusual} and {outside}; empty: no flag.
    flag: str = ""
    # The same in the verdict on the run; empty: no part of the verdict.
    reason: str = ""
    tabled: bool = True  # whether the quality table has the column

    @property
    def low_is_bad(self) -> bool:
        """Whether smaller values are worse."""
        if self.unusual is None or self.outside is None:
            return False
        return self.outside < self.unusual

    def flagged(self, value: float) -> str:
        """Return what pages say of a value beyond the limits.

        Examples
        --------
        >>> METRICS["minutes_kept"].flagged(2.1)
        '2.1 minutes of rest are left (4 are needed, 6 are usual)'
        """
        return self.flag.format(value=value, unusual=self.unusual, outside=self.outside)

    def steps(self, value: float) -> int:
        """Return how many of the two limits a value has reached: 0, 1 or 2; 0 for NaN.

        Parameters
        ----------
        value
            Value of the metric, in its own unit.

        Examples
        --------
        >>> [METRICS["coverage"].steps(share) for share in (0.99, 0.9, 0.5)]
        [0, 1, 2]
        """
        if self.unusual is None or self.outside is None:
            return 0
        limits = (self.unusual, self.outside)
        if self.low_is_bad:
            return sum(value <= limit for limit in limits)
        return sum(value >= limit for limit in limits)


_TOML = tomllib.loads(read_packaged(__package__, "quality.toml"))
_TABLES = {
    table: tuple(QualityMetric(**metric) for metric in metrics)
    for table, metrics in _TOML.items()
}
# By name. Metrics of the same name in two tables have the same limits.
METRICS = {metric.name: metric for metrics in _TABLES.values() for metric in metrics}
# Text of the verdict's reasons.
REASONS = {metric.name: metric.reason for metric in METRICS.values() if metric.reason}


def _columns(table: str) -> tuple[QualityMetric, ...]:
    return tuple(metric for metric in _TABLES[table] if metric.tabled)


# The columns of every workflow, before and after those of one; those of workflows on parcels;
# those of maps, and what the group level adds to them.
FIRST = _columns("first")
LAST = _columns("last")
PARCELS = _columns("parcels")
MAPS = _columns("maps")
MAPS_OF_GROUP = _columns("maps_of_group")
