"""A metric of a run: what it means, how pages show it, and the limits of its usual values.

The limits are rules of thumb: docs/tried.md says how often simulated runs exceed them, and
docs/reference/reports.md lists those that the reports flag. None of them excludes a run;
`--min-minutes` does.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Literal

from bids_dtg.files.columns import Column
from bids_dtg.files.text import read_packaged


@dataclass(frozen=True)
class QualityMetric(Column):
    """A metric of a run, and the column of the quality table that holds it.

    One without a heading is not shown on the group page, nor in a participant's summary.

    Examples
    --------
    >>> minutes = QualityMetric("minutes", "Rest", unusual=6, outside=4, flag="{value:g} min left")
    >>> minutes.flagged(2.1), minutes.low_is_bad
    ('2.1 min left', True)
    >>> [minutes.steps(value) for value in (9.0, 6.0, 2.1)]
    [0, 1, 2]
    """

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

    def dictionary(self) -> dict[str, dict[str, str]]:
        """Return its meaning, which holds its unit; headings are those of pages."""
        return {self.name: {"Description": self.meaning}}

    def text(self, value: float) -> str:
        """Return a value as the group page shows it."""
        return f"{value:.{self.decimals}f}"

    def flagged(self, value: float) -> str:
        """Return what pages say of a value beyond the limits."""
        return self.flag.format(value=value, unusual=self.unusual, outside=self.outside)

    def steps(self, value: float) -> int:
        """Return how many of the two limits a value has reached: 0, 1 or 2; 0 for NaN."""
        if self.unusual is None or self.outside is None:
            return 0
        limits = (self.unusual, self.outside)
        if self.low_is_bad:
            return sum(value <= limit for limit in limits)
        return sum(value >= limit for limit in limits)


def read_metrics(package: str) -> dict[str, tuple[QualityMetric, ...]]:
    """Read the tables of metrics in ``quality.toml`` of a package, by name."""
    tables = tomllib.loads(read_packaged(package, "quality.toml"))
    return {
        table: tuple(QualityMetric(**metric) for metric in metrics)
        for table, metrics in tables.items()
    }
