"""The connectome of an average: Fisher z edges averaged over its runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.edges import fisher_z, mean_edges, upper_edges
from bids_dtg.connectome.effective_dof import segment_weight
from bids_dtg.participants.parcels.measure import MeasuredSeries


@dataclass(frozen=True, eq=False)
class AverageConnectome:
    """The weighted mean edges of an average's runs, with the weights of maps."""

    runs: tuple[MeasuredSeries, ...]
    by_dof: bool  # weighted by residual degrees of freedom; False: by the time that is left

    @property
    def weights(self) -> tuple[float, ...]:
        """Weight of each run: residual degrees of freedom, or minutes."""
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
        """Residual degrees of freedom of all runs; NaN where those of a run are not known."""
        return float(sum(run.series.residual_dof for run in self.runs))

    @property
    def frames_kept(self) -> int:
        """Number of frames kept in all runs."""
        return sum(run.design.frames_kept for run in self.runs)

    @property
    def minutes(self) -> float:
        """Minutes kept in all runs."""
        return sum(run.design.seconds_kept for run in self.runs) / 60
