"""The connectome of a set: Fisher z edges averaged over its runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.edges import fisher_z, mean_edges, upper_edges
from bids_dtg.connectome.freedom import segment_weight
from bids_dtg.participants.parcels.measure import MeasuredSeries


@dataclass(frozen=True, eq=False)
class SetConnectome:
    """What the runs of a set say together: their edges, weighted as maps are."""

    runs: tuple[MeasuredSeries, ...]
    by_dof: bool  # weighted by residual degrees of freedom; False: by the time that is left

    @property
    def weights(self) -> tuple[float, ...]:
        """What each run counts: residual degrees of freedom, or minutes."""
        return tuple(
            segment_weight(
                run.design.seconds_kept / 60, run.series.residual_dof, by_dof=self.by_dof
            )
            for run in self.runs
        )

    @cached_property
    def edges(self) -> NDArray[np.float64]:
        """Fisher z (regions, regions), NaN on the diagonal and where no run has a value."""
        return mean_edges([fisher_z(run.fc) for run in self.runs], self.weights)

    @property
    def upper(self) -> NDArray[np.float32]:
        """The edges (edges,) as twins read them: the upper triangle row by row."""
        return upper_edges(self.edges).astype(np.float32)

    @property
    def residual_dof(self) -> float:
        """Of all runs together; NaN where they are not known of all."""
        return float(sum(run.series.residual_dof for run in self.runs))

    @property
    def frames_kept(self) -> int:
        """Of all runs together."""
        return sum(run.design.frames_kept for run in self.runs)

    @property
    def minutes(self) -> float:
        """That are left of all runs together."""
        return sum(run.design.seconds_kept for run in self.runs) / 60
