"""Limits beyond which a figure of a run is unusual or too bad: one table.

They are rules of thumb: docs/tried.md says how often those of this check fire on simulated
runs, docs/reference/reports.md lists those that the reports flag. None of them leaves a
run out: `--min-minutes` and `--min-dof` do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Limit:
    """Where the usual values of a figure end."""

    unusual: float  # from here on a value is unusual
    outside: float  # and from here on too bad
    low_is_bad: bool = False  # whether smaller values are worse

    def steps(self, value: float, *, included: bool = False) -> int:
        """Return how many of the two limits a value is beyond: 0, 1 or 2; NaN is beyond none.

        Parameters
        ----------
        value
            Value of the figure, in its own unit.
        included
            Whether a value that equals a limit is beyond it.

        Examples
        --------
        >>> [LIMITS["coverage"].steps(share) for share in (0.99, 0.9, 0.5)]
        [0, 1, 2]
        """
        sign = -1.0 if self.low_is_bad else 1.0
        return sum(
            sign * value > sign * limit or (included and value == limit)
            for limit in (self.unusual, self.outside)
        )


# By figure: columns of the quality table, and what `judge` computes for its verdict alone.
LIMITS: Mapping[str, Limit] = MappingProxyType(
    {
        "minutes_kept": Limit(6.0, 4.0, low_is_bad=True),
        "residual_dof": Limit(50.0, 20.0, low_is_bad=True),
        "dof_beyond_rois": Limit(20.0, 0.0, low_is_bad=True),  # of a segment
        "kept_share": Limit(0.75, 0.5, low_is_bad=True),  # of the frames
        "fd_mean": Limit(0.25, 0.55),  # mm
        "coverage": Limit(0.95, 0.85, low_is_bad=True),
        "roi_coverage_min": Limit(0.8, 0.5, low_is_bad=True),
        "tsnr_median": Limit(30.0, 15.0, low_is_bad=True),
        "connectome_reliability": Limit(0.3, 0.15, low_is_bad=True),
        "mask_overlap": Limit(0.9, 0.8, low_is_bad=True),
        "roi_map_identity": Limit(0.6, 0.3, low_is_bad=True),
        "mirrored_gain": Limit(0.03, 0.06),  # where it is more than chance
        "hemispheric_similarity": Limit(0.1, 0.02, low_is_bad=True),
        "roi_sd_ratio": Limit(30.0, 100.0),
    }
)
