"""What a call asks for that reads runs as series of an atlas' parcels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from bids_dtg.bundles.bundle import Bundle
from bids_dtg.cleaning.words import Lacking
from bids_dtg.engine.capacity import divide
from bids_dtg.files.derivatives import DatasetWords, refuse_model_folder
from bids_dtg.files.provenance import package_versions
from bids_dtg.imaging.atlas import MIN_COVERAGE, Atlas
from bids_dtg.imaging.grid import Grid, standard_grid
from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.averages import AveragedRuns
from bids_dtg.participants.dry_run import head_of, plan_runs
from bids_dtg.participants.parcels.atlas import read_atlases
from bids_dtg.participants.parcels.measure import MeasuredSeries, SeriesReader
from bids_dtg.participants.request import Asked, CallRequest
from bids_dtg.participants.run_source import PlannedRun, plan_run
from bids_dtg.report.methods import MethodsFacts, methods_text
from bids_dtg.settings import OPTIONS, Settings
from bids_dtg.version import __version__

# Of a process that only reads series, measured as those of maps: 0.47 GB for runs on the grid of
# 2 mm, 0.72 GB for others; and of one with torch.
_BYTES_READ, _BYTES_MODELLED = 750e6, 1.1e9

Model = TypeVar("Model", bound=Bundle[Any])


class RegionModel(Protocol):
    """A bundle whose model describes the regions of an atlas."""

    @property
    def path(self) -> Path:
        """Its folder."""

    @property
    def part(self) -> Any:
        """What its card says of such models alone, as the key of the atlas."""

    def require_regions(self, regions: tuple[str, ...], *, atlas: str, atlas_digest: str) -> None:
        """Refuse regions that are not the model's."""


def load_asked(settings: Settings, load: Callable[[str], Model]) -> Model | None:
    """Load the model of a call; None: none was given.

    Parameters
    ----------
    settings
        All options of the call.
    load
        Loads a bundle of the workflow, by name or path.
    """
    wanted = settings.inputs.model
    return None if wanted == OPTIONS["model"].default else load(wanted)


@dataclass(frozen=True, eq=False)
class ParcelRequest(CallRequest, Generic[Model]):
    """What a call asks for. Steps of the work get what they use of it."""

    atlases: tuple[Atlas, ...]  # read at every voxel of the grid; the first has the regions
    bundle: Model | None  # the model; None: the call has none

    second_atlas: ClassVar[str] = ""  # what a second atlas is for; empty: there may be none

    @classmethod
    def shared_fields(cls, asked: Asked, bundle: RegionModel | None) -> dict[str, Any]:
        """Return the fields that such requests of all workflows have.

        Parameters
        ----------
        asked
            What was found of the call.
        bundle
            The model; None: the call has none.

        Raises
        ------
        SettingsError, BundleError
            The atlas cannot be found or is not the model's, or the output is the model's folder.
        """
        settings = asked.settings
        asked.require_space(standard_grid().space)
        if bundle is not None:
            refuse_model_folder(asked.output, bundle.path)
        own = "" if bundle is None else bundle.part.atlas
        atlases = read_atlases(settings, cls.presentation.name, own, second=cls.second_atlas)
        atlas = atlases[0]
        if bundle is not None:
            bundle.require_regions(
                tuple(atlas.parcels.values()), atlas=atlas.key, atlas_digest=atlas.digest
            )
        capacity = divide(
            settings.resources,
            units=len(asked.participants),
            bytes_each=_BYTES_READ if bundle is None else _BYTES_MODELLED,
            on_cpu=True,
        )
        return {**asked.prepared(capacity), "atlases": atlases, "bundle": bundle}

    @abstractmethod
    def require_usable(self, measured: MeasuredSeries) -> None:
        """Refuse a run that the model cannot read.

        Raises
        ------
        RunError
            Saying what it lacks.
        """

    @abstractmethod
    def would_make(self, planned: AveragedRuns) -> tuple[str, list[str]]:
        """Describe the results that an average would get, with further lines about it."""

    @abstractmethod
    def methods_facts(self) -> Any:
        """Return the facts of the workflow's methods text."""

    @property
    def atlas(self) -> Atlas:
        """The atlas whose parcels are the regions."""
        return self.atlases[0]

    @property
    def model_folder(self) -> Path | None:
        """The folder of the model; None: the call has none."""
        return None if self.bundle is None else self.bundle.path

    @property
    def grid(self) -> Grid:
        """The grid that the atlas was read on."""
        return standard_grid()

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the atlas' parcels."""
        return tuple(self.atlas.parcels.values())

    def dataset_words(self) -> DatasetWords:
        """Return the description of the workflow's output."""
        return self.presentation.dataset_words()

    def reader(self) -> SeriesReader:
        """Make what reduces runs to parcels' series."""
        return SeriesReader.of(
            self.atlas,
            self.grid,
            self.settings.cleaning,
            min_coverage=MIN_COVERAGE,
        )

    def shaping_options(self) -> dict[str, Any]:
        """Return all that shapes results beside the inputs."""
        return {**super().shaping_options(), "atlases": {self.atlas.key: self.atlas.identity}}

    def plan_of(self, run: RestRun) -> PlannedRun:
        """Decide how a run is cleaned, by its file's header and its tables alone.

        Parameters
        ----------
        run
            The run, from `find_runs`.

        Raises
        ------
        RunError
            The run cannot be used.
        """
        return plan_run(run, self.grid.space, self.settings.cleaning)

    def plan(self, planned: AveragedRuns, reason: str) -> tuple[bool, list[str]]:
        """Return whether an average would fail, and the lines about it."""
        fails, lines = plan_runs(planned, self.plan_of)
        if fails:
            return True, lines
        what, more = self.would_make(planned)
        return False, [head_of(planned, what, self.output, reason), *lines, *more]

    def methods(self, lacking: Lacking) -> str:
        """Write the methods text of averages whose runs' tables of confounds lack something."""
        settings, bundle = self.settings, self.bundle
        card = None if bundle is None else bundle.card
        assert settings.inputs.input_type != "auto"
        facts = MethodsFacts(
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
        words = self.presentation.methods_words(self.methods_facts(), settings.outputs)
        return methods_text(facts, words)
