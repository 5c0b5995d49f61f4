"""What a call asks for that reads runs as series of an atlas' parcels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bids_dtg.bundles.bundle import Bundle
from bids_dtg.cleaning.words import Lacking
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.files.derivatives import DatasetWords
from bids_dtg.files.provenance import package_versions
from bids_dtg.imaging.atlas import Atlas
from bids_dtg.imaging.grid import Grid, standard_grid
from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.parcels.measure import SeriesReader
from bids_dtg.participants.request import CallRequest
from bids_dtg.participants.run_source import plan_run
from bids_dtg.report.methods import MethodsFacts
from bids_dtg.version import __version__

# Of a process that only reads series.
BYTES_READ = 400e6


@dataclass(frozen=True, eq=False)
class ParcelRequest(CallRequest):
    """What a call asks for. Steps of the work get what they use of it."""

    atlas: Atlas  # whose parcels are the regions, read at every voxel of the grid

    @property
    def grid(self) -> Grid:
        """The grid that the atlas was read on."""
        return standard_grid()

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the atlas' parcels."""
        return tuple(self.atlas.parcels.values())

    def dataset_words(self) -> DatasetWords:
        """Return how an output of the workflow describes itself."""
        return self.workflow.dataset_words()

    def keep_shared(self) -> None:
        """Keep nothing: parcels have no picture of everybody behind them."""
        return

    def reader(self) -> SeriesReader:
        """Make what reduces runs to parcels' series."""
        return SeriesReader.of(
            self.atlas,
            self.grid,
            self.settings.cleaning,
            min_coverage=self.settings.outputs.min_coverage,
        )

    def shaping_options(self) -> dict[str, Any]:
        """Return all that shapes results beside the inputs."""
        return {**super().shaping_options(), "atlases": {self.atlas.key: self.atlas.identity}}

    def design_of(self, run: RestRun) -> TemporalDesign:
        """Decide how a run is cleaned, by its file's header and its tables alone.

        Parameters
        ----------
        run
            Its files.

        Raises
        ------
        RunError
            The run cannot be used.
        """
        return plan_run(run, self.grid.space, self.settings.cleaning).design

    def methods_facts(self, lacking: Lacking, bundle: Bundle[Any] | None) -> MethodsFacts:
        """Return what the methods text says of the program, the model and the cleaning.

        Parameters
        ----------
        lacking
            What the runs' tables of confounds lack.
        bundle
            The model; None: the call has none.
        """
        settings, card = self.settings, None if bundle is None else bundle.card
        assert settings.inputs.input_type != "auto"
        return MethodsFacts(
            version=__version__,
            model_name="" if card is None else f"{card.name} {card.version}",
            model_sha256="" if bundle is None else bundle.identity,
            model_notice="" if card is None else card.notice,
            space=self.grid.space,
            input_type=settings.inputs.input_type,
            cleaning=settings.cleaning,
            lacking=lacking,
            packages=package_versions(),
            grid="a grid of 2 mm",
        )
