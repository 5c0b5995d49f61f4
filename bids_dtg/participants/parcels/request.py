"""What a call asks for that reads runs as series of an atlas' parcels, and the work on a person."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from bids_dtg.bundles.fitted import FittedBundle
from bids_dtg.engine.machine import divide
from bids_dtg.errors import SettingsError
from bids_dtg.files.derivatives import DatasetWords, refuse_model_folder
from bids_dtg.imaging.atlas import Atlas, choose_atlases, find_atlas
from bids_dtg.imaging.grid import Grid, standard_grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.regions.atlases import NONE, atlas_datasets
from bids_dtg.inputs.regions.known_atlases import DEFAULT, KNOWN, atlas_key
from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.parcels.measure import MeasuredSeries, SeriesReader
from bids_dtg.participants.request import Asked, CallRequest, templateflow_of
from bids_dtg.participants.worker import LevelWork, RunPart, RunProgress, Send
from bids_dtg.progress import Clock
from bids_dtg.report.methods import MethodsWords
from bids_dtg.settings import OPTIONS, Settings

# Of a process that only reads series, measured as those of maps: 0.47 GB for runs on the grid of
# 2 mm, 0.72 GB for others; and of one with torch.
_BYTES_READ, _BYTES_MODELLED = 750e6, 1.1e9

Model = TypeVar("Model", bound=FittedBundle[Any])


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
    """What a call asks for; the parcels of the first of its atlases are the regions."""

    bundle: Model | None

    sampled_on: ClassVar[str] = "a grid of 2 mm"
    second_atlas: ClassVar[str] = ""  # what a second atlas is for; empty: there may be none

    @classmethod
    def shared_fields(cls, asked: Asked, bundle: Model | None) -> dict[str, Any]:
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
            refuse_model_folder(asked.output.root, bundle.path)
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
        return {**vars(asked), "capacity": capacity, "atlases": atlases, "bundle": bundle}

    @abstractmethod
    def require_usable(self, measured: MeasuredSeries) -> None:
        """Refuse a run that the model cannot read.

        Raises
        ------
        RunError
            Saying what it lacks.
        """

    @abstractmethod
    def methods_facts(self) -> Any:
        """Return the facts of the workflow's methods text."""

    @property
    def atlas(self) -> Atlas:
        """The atlas whose parcels are the regions."""
        return self.atlases[0]

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

    def methods_words(self) -> MethodsWords:
        """Return what the workflow says in the methods text."""
        return self.presentation.methods(self.methods_facts(), self.settings.outputs)

    def reader(self) -> SeriesReader:
        """Make what reduces runs to parcels' series."""
        return SeriesReader(self.atlas, self.grid, self.settings.cleaning)

    def shaping_options(self) -> dict[str, Any]:
        """Return all that shapes results beside the inputs."""
        return {**super().shaping_options(), "atlases": {self.atlas.key: self.atlas.identity}}


def read_atlases(
    settings: Settings, workflow: str, own: str = "", *, second: str = ""
) -> tuple[Atlas, ...]:
    """Read the atlases of a call: those asked for, the model's, or the default.

    Parameters
    ----------
    settings
        All options of the call.
    workflow
        Name of the workflow, for the message.
    own
        Key of the model's atlas; empty: it has none, or there is no model.
    second
        What the parcels of a second atlas are for; empty: there may be none.

    Returns
    -------
    tuple of Atlas
        One or two, read at every voxel of `standard_grid`.

    Raises
    ------
    SettingsError
        There is none, too many were asked for, or one of them twice.
    """
    asked: Sequence[str] = settings.outputs.atlases
    if len(asked) > 1 + bool(second) or NONE in asked:
        raise SettingsError(
            f"--atlases is {' '.join(asked)}",
            expected=f"one atlas with --workflow {workflow}, whose parcels are the regions"
            + (f", or a second one for {second}" if second else ""),
        )
    grid = standard_grid()
    places = VoxelPlaces.within(grid, np.ones(grid.shape, bool))
    datasets = atlas_datasets(settings.inputs.derivatives)
    templateflow = templateflow_of(settings)
    if asked or not own:
        wanted = asked or (DEFAULT,)
        return choose_atlases(wanted, places, templateflow=templateflow, datasets=datasets)
    try:
        return (find_atlas(_as_option(own), places, templateflow=templateflow, datasets=datasets),)
    except SettingsError as err:
        raise SettingsError(
            f"the model's atlas {own} cannot be found by its name",
            expected="its label image",
            remedy="give the image with --atlases FILE, or the data set that has it with "
            "--derivatives atlas=PATH",
        ) from err


def _as_option(key: str) -> str:
    """Return a model's atlas as --atlases takes it."""
    return next((row.name for row in KNOWN.values() if atlas_key(row.entities) == key), key)


@dataclass(frozen=True, eq=False)
class SeriesRead(RunPart):
    """A run has been reduced to series."""

    stage: ClassVar[str] = "modelling"

    measured: MeasuredSeries
    seconds: float  # time it took


class ParcelWork(LevelWork):
    """Reads runs as series; a workflow adds what makes averages of these.

    Parameters
    ----------
    request
        What the call asks for.
    """

    def __init__(self, request: ParcelRequest[Any]) -> None:
        super().__init__(request)
        self._require_usable = request.require_usable
        self.reader = request.reader()

    def reader_of(self, run: RestRun) -> SeriesReader:
        """Return what reduces a run to series."""
        return self.reader

    def read_run(self, run: RestRun, clock: Clock, send: Send) -> None:
        """Reduce a run to series, refuse those that cannot be used, and send the others."""
        start = time.perf_counter()
        measured = self.reader_of(run).measure(
            run, clock=clock, progress=lambda share: send(RunProgress(share))
        )
        self._require_usable(measured)
        send(SeriesRead(measured, time.perf_counter() - start))
