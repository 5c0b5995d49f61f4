"""One resting-state run: from its files to the series of an atlas' parcels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.design import frequency_facts
from bids_dtg.connectome.parcels import ParcelSeries, parcel_sums
from bids_dtg.errors import RunError
from bids_dtg.imaging.atlas import MIN_COVERAGE, Atlas
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.placement import Method
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.run_source import (
    RunSource,
    notes_on_parcels,
    plan_run,
    require_coverage,
    smoothing_among,
)
from bids_dtg.progress import Clock
from bids_dtg.report.panels import RunFrames
from bids_dtg.settings import CleaningOptions


@dataclass(frozen=True, eq=False, kw_only=True)
class MeasuredSeries(RunFrames):
    """What one run gives: the parcels' series, and how they came about."""

    run: RestRun  # its files
    series: ParcelSeries  # of the atlas' parcels, in its order
    cleaning: Mapping[str, object]  # what was decided about it, for the sidecar
    interpolation: Method  # how the atlas' voxels were taken out of the file
    voxel_mm: float  # edge of a cube of the volume of the file's voxels
    notes: tuple[str, ...]  # sentences on what was unusual

    @property
    def fc(self) -> NDArray[np.float64]:
        """Functional connectivity (parcels, parcels): `ParcelSeries.correlation`."""
        return self.series.correlation()


class SeriesReader:
    """Reduces resting-state runs to the series of an atlas' parcels, in one pass over each file.

    All voxels of the atlas are read, where it has labels on a grid that is the same for all
    runs: a run on that lattice is looked up, any other is interpolated at its points.

    Parameters
    ----------
    atlas
        Read at every voxel of the grid, in C order.
    grid
        Grid of the run's voxels.
    cleaning
        What is removed from runs and which frames are kept.
    min_coverage
        Least share of a parcel's voxels with signal.

    Raises
    ------
    ValueError
        The atlas was read at other voxels.
    """

    def __init__(
        self,
        atlas: Atlas,
        grid: Grid,
        cleaning: CleaningOptions,
        min_coverage: float = MIN_COVERAGE,
    ) -> None:
        if atlas.labels.shape != (np.prod(grid.shape),):
            raise ValueError(f"{atlas.labels.shape} labels do not fit a grid of {grid.shape}")
        self.atlas, self.grid, self.cleaning = atlas, grid, cleaning
        self.min_coverage = min_coverage
        order = np.argsort(atlas.columns, kind="stable")
        order = order[: np.count_nonzero(atlas.columns < len(atlas.parcels))]
        self.places = VoxelPlaces(grid, order)  # those of one parcel together
        self.parcel = atlas.columns[order]  # (voxels,), number of the parcel of each

    def measure(
        self,
        run: RestRun,
        *,
        clock: Clock | None = None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> MeasuredSeries:
        """Clean a run and reduce it to parcels' series, in one pass over its file.

        Parameters
        ----------
        run
            Files of the run to read.
        clock
            Adds up the time of the stages.
        progress
            Called with the share of the frames that have been read.

        Raises
        ------
        TooShortError
            Less than ``min_minutes``, or too few degrees of freedom, are left after censoring.
        RunError
            The run's files cannot be used.
        """
        clock = Clock() if clock is None else clock
        with clock.time("confounds"):
            planned = plan_run(run, self.grid.space, self.cleaning)
        with clock.time("sampling"):
            source = RunSource.of(run, planned, self.places, self.cleaning.interpolation)
        try:
            sums = parcel_sums(
                lambda: source.blocks(clock, progress),
                planned.design,
                *(self.parcel, self.atlas.voxels, source.valid),
                smoothing=smoothing_among(self.places, self.cleaning),
                leave=not source.between,
            )
        except ValueError as err:
            raise RunError(f"{source.header.path} cannot be used: {err}") from err
        coverage, design = float(sums.with_data.mean()), planned.design
        require_coverage(run.bold, coverage, f"the parcels of {self.atlas.key}")
        with clock.time("algebra"):
            series = sums.series(self.min_coverage)
        return MeasuredSeries(
            run=run,
            series=series,
            design=design,
            cleaning={**design.decisions, **frequency_facts(self.cleaning)},
            confounds=planned.confounds,
            interpolation=source.interpolation,
            voxel_mm=planned.header.voxel_mm,
            notes=(
                *planned.notes,
                *source.notes,
                *notes_on_parcels(tuple(self.atlas.parcels.values()), series.present),
            ),
        )
