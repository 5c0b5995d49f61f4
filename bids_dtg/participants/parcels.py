"""Resting runs as series of an atlas's parcels, for all workflows that use them.

`SeriesReader` reduces a run to series, `ParcelRequest` holds what the user asks for, `ParcelWork`
reads the runs, and `ParcelWriter` writes series, matrices and quality metrics.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from bids_dtg.array_types import Float64
from bids_dtg.bundles.fitted import FittedBundle
from bids_dtg.bundles.training_hashes import labels_alone
from bids_dtg.connectome.parcels import ParcelSeries, parcel_series
from bids_dtg.engine.machine import divide
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.files.derivatives import DatasetWords
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions import (
    SERIES,
    NodeFile,
    RegionTable,
    encode_relmat,
    encode_series,
    segment_label,
    series_sidecar,
)
from bids_dtg.files.sidecars import RESIDUAL_DOF, sidecar_of
from bids_dtg.files.text import encoded, tsv_text
from bids_dtg.imaging.atlas import MIN_COVERAGE, Atlas, choose_atlases
from bids_dtg.imaging.grid import Grid, standard_grid
from bids_dtg.imaging.places import Places, VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.inputs.atlases import (
    DEFAULT,
    KNOWN,
    LABELS,
    NONE,
    atlas_datasets,
    atlas_key,
)
from bids_dtg.inputs.dataset import name_folder
from bids_dtg.inputs.run import PARCELS, SURFACE, RestRun
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.notices import named
from bids_dtg.participants.origin import (
    atlas_facts,
    camel_case,
    cleaning_note,
    model_facts,
    run_sources,
)
from bids_dtg.participants.quality import common_metrics, parcel_metrics, rounded
from bids_dtg.participants.request import (
    CallRequest,
    find_dataset_request,
    run_entities,
)
from bids_dtg.participants.run_source import (
    CleanedRun,
    RunSource,
    as_run_error,
    notes_on_parcels,
    require_coverage,
)
from bids_dtg.participants.worker import LevelWork
from bids_dtg.report.methods import MethodsWords, averaged_within
from bids_dtg.report.presentation import write_panel_files
from bids_dtg.settings import CleaningOptions, Settings

COVERAGE = FileKind("bold", None, ".tsv")
# Memory of a process that only reads series (measured: 0.47 GB for runs on the 2 mm grid, 0.72 GB
# for others), and of a process with PyTorch.
_BYTES_READ, _BYTES_MODELLED = 750e6, 1.1e9

Model = TypeVar("Model", bound=FittedBundle[Any])


@dataclass(frozen=True, eq=False, kw_only=True)
class MeasuredSeries(CleanedRun):
    """The parcels' series of one run, and how they were made."""

    series: ParcelSeries  # of the atlas's parcels, in its order

    @property
    def fc(self) -> Float64:
        """Functional connectivity (parcels, parcels): `ParcelSeries.correlation`."""
        return self.series.correlation()


class SeriesReader:
    """Reduces resting-state runs to the series of an atlas's parcels, in one pass over each file.

    All labelled voxels of the atlas are read, on a grid that is the same for all runs. A run on
    that lattice is indexed; any other is interpolated at the grid's points. An atlas of a surface
    is read as by models of parcels: at a surface's vertices, or in series of parcels.

    Parameters
    ----------
    atlas
        Read at every voxel of the grid, in C order, or at a surface's vertices.
    grid
        The grid that runs are read on.
    cleaning
        What is removed from runs and which frames are kept.
    """

    def __init__(self, atlas: Atlas, grid: Grid, cleaning: CleaningOptions) -> None:
        self.atlas = atlas
        self.grid = grid
        self.cleaning = cleaning
        self.places: Places
        if atlas.surface is not None:
            self.space, self.places = atlas.surface.space, atlas.surface
            self.parcel = np.arange(self.places.number)
            self.sizes = np.ones(self.places.number, np.int64)
            return
        self.space, self.sizes = grid.space, atlas.voxels
        order = np.argsort(atlas.columns, kind="stable")
        order = order[: np.count_nonzero(atlas.columns < len(atlas.parcels))]
        self.places = VoxelPlaces(grid, order)  # sorted by parcel
        self.parcel = atlas.columns[order]  # (places,), number of the parcel of each

    def measure(
        self,
        run: RestRun,
        *,
        progress: Callable[[float], None] = lambda share: None,
    ) -> MeasuredSeries:
        """Clean a run and reduce it to the parcels' series, in one pass over its file.

        Parameters
        ----------
        run
            Files of the run to read.
        progress
            Called with the share of the frames that have been read.

        Raises
        ------
        TooShortError
            Less than ``min_minutes``, or too few degrees of freedom, are left after censoring.
        RunError
            The run's files cannot be used.
        """
        source = RunSource.of(run, self.space, self.places, self.cleaning)
        with as_run_error(run):
            series = parcel_series(
                lambda: source.blocks(progress),
                source.planned.design,
                self.parcel,
                self.sizes,
                source.valid,
                smoothing=source.smoothing,
                outside=source.outside,
            )
        if source.share is not None:
            series = replace(series, coverage=source.share())
        coverage = float(series.coverage @ self.sizes) / len(self.parcel)
        require_coverage(run.bold, coverage, f"the parcels of {self.atlas.key}")
        names = tuple(self.atlas.parcels.values())
        notes = *source.notes, *notes_on_parcels(names, series.present)
        fields = source.cleaned(run, self.cleaning) | {"notes": notes}
        return MeasuredSeries(**fields, series=series)


@dataclass(frozen=True, eq=False)
class ParcelRequest(CallRequest, Generic[Model]):
    """What the user asks for; the parcels of the first atlas are the regions."""

    bundle: Model | None

    sampled_on: ClassVar[str] = "a grid of 2 mm"
    second_atlas: ClassVar[str] = ""  # use of a second atlas; empty: none is allowed
    without_model: ClassVar[str]  # what is made where no model was given

    @classmethod
    def shared_fields(
        cls, settings: Settings, load: Callable[[str], Model]
    ) -> dict[str, Any]:
        """Check what all workflows with parcels share, and return their fields.

        Parameters
        ----------
        settings
            The options.
        load
            Loads a model of the workflow, by name or path.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Options, dataset or model cannot be used, or the atlas is not the model's.
        """
        dataset_request = find_dataset_request(settings)
        settings = dataset_request.settings
        model = settings.inputs.model
        bundle, model_atlas = None, ""
        if model is not None:
            bundle = load(model)
            bundle.check_weights()
            model_atlas = bundle.part.atlas
        atlases = read_atlases(settings, model_atlas, second=cls.second_atlas)
        atlas = atlases[0]
        _require_options_of(atlases, settings)
        space = PARCELS if atlas.surface else standard_grid().space
        dataset_request.require_space(space)
        if bundle is not None:
            bundle.require_regions(
                tuple(atlas.parcels.values()),
                atlas=atlas.key,
                atlas_digest=atlas.digest,
            )
        processes, threads = divide(
            settings.resources,
            units=len(dataset_request.participants),
            bytes_each=_BYTES_READ if bundle is None else _BYTES_MODELLED,
            on_cpu=True,
        )
        return {
            **vars(dataset_request),
            "processes": processes,
            "threads": threads,
            "atlases": atlases,
            "bundle": bundle,
        }

    def notes(self) -> Iterator[str]:
        """Yield lines on the model."""
        yield from super().notes()
        if self.bundle is None:
            yield f"{self.without_model}, as no --model was given"
        elif not self.bundle.by_content:
            yield labels_alone(self.bundle.name)

    def require_usable(self, measured: MeasuredSeries) -> None:
        """Refuse a run that the model cannot read, as it needs the series of all parcels.

        Raises
        ------
        RunError
            The run cannot be used; the message says what it lacks.
        """
        present = measured.series.present
        if self.bundle is None or present.all():
            return
        lost = [self.regions[parcel] for parcel in np.flatnonzero(~present)]
        raise RunError(
            f"{measured.run.title} has too little signal in {len(lost)} of {len(self.regions)} "
            f"parcels ({named(lost)})",
            expected=f"series of all parcels, which {self.bundle.name} needs",
            remedy=f"leave out --model, for {self.without_model}",
        )

    def note_on_training(self, participant: str, sketch: str) -> str:
        """Return a sentence if a participant, with such data, is in the model's training set."""
        assert self.bundle is not None
        data_set = name_folder(self.settings.inputs.bids_dir).described_name
        return self.bundle.note_on(participant, data_set, [sketch])

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
    def parcels(self) -> ParcelPlaces | None:
        """The atlas's parcels of vertices; None: it has voxels."""
        return self.atlas.surface

    @property
    def space_label(self) -> str:
        """Value of the entity space- in names of files."""
        return self.grid.space if self.parcels is None else SURFACE

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the atlas's parcels."""
        return tuple(self.atlas.parcels.values())

    @property
    def series_words(self) -> str:
        """Sentences on the series of parcels, for the methods text."""
        at_vertices = self.parcels is not None
        return averaged_within(
            self.atlas.key, len(self.regions), at_vertices=at_vertices
        )

    def dataset_words(self) -> DatasetWords:
        """Return the description of the workflow's output."""
        return self.presentation.dataset

    def methods_words(self) -> MethodsWords:
        """Return what the workflow says in the methods text."""
        return self.presentation.methods(self.methods_facts(), self.settings.outputs)

    def reader(self) -> SeriesReader:
        """Return a reader that reduces runs to the parcels' series."""
        return SeriesReader(self.atlas, self.grid, self.settings.cleaning)

    def shaping_options(self) -> dict[str, Any]:
        """Return everything but the inputs that affects results."""
        return {
            **super().shaping_options(),
            "atlases": {self.atlas.key: self.atlas.identity},
        }


def _require_options_of(atlases: Sequence[Atlas], settings: Settings) -> None:
    """Refuse options that atlases of voxels, or of a surface, cannot follow.

    Raises
    ------
    SettingsError
        A surface was asked for with atlases of voxels, or smoothing with one of a surface.
    """
    surface_atlases = [atlas.key for atlas in atlases if atlas.surface is not None]
    if settings.inputs.sample_on and not surface_atlases:
        raise SettingsError(
            f"--sample-on was given for {atlases[0].key}, an atlas of voxels",
            expected=f"an atlas of the cortex's surface, such as Glasser or a {LABELS} file",
        )
    if surface_atlases and settings.cleaning.smoothing_fwhm is not None:
        raise SettingsError(
            f"--smoothing-fwhm was given for {surface_atlases[0]}, whose parcels are averaged over "
            "vertices",
            expected="no smoothing",
        )


def read_atlases(
    settings: Settings, model_atlas: str = "", *, second: str = ""
) -> tuple[Atlas, ...]:
    """Read the atlases of ``--atlases``, the model's atlas, or the default one.

    Parameters
    ----------
    settings
        All options of the run.
    model_atlas
        Key of the model's atlas; empty: it has none, or there is no model.
    second
        Use of a second atlas, in words; empty: none is allowed.

    Returns
    -------
    tuple of Atlas
        One or two, read at every voxel of `standard_grid`.

    Raises
    ------
    SettingsError
        An atlas does not exist or is named twice, or there are too many.
    """
    options = settings.outputs.atlases
    if len(options) > 1 + bool(second) or NONE in options:
        workflow = settings.inputs.workflow
        expected = (
            f"one atlas with --workflow {workflow}, whose parcels are the regions"
        )
        if second:
            expected += f", or a second one for {second}"
        raise SettingsError(f"--atlases is {' '.join(options)}", expected=expected)
    grid = standard_grid()
    datasets = atlas_datasets(settings.inputs.derivatives)
    # The model's atlas by the name that --atlases takes.
    names = {atlas_key(atlas.entities): name for name, atlas in KNOWN.items()}
    option = names.get(model_atlas, model_atlas)
    try:
        return choose_atlases(
            options or (option or DEFAULT,),
            VoxelPlaces.within(grid, np.ones(grid.shape, bool)),
            templateflow=TemplateFlow.here(
                download=True, plans=settings.behaviour.dry_run
            ),
            datasets=datasets,
        )
    except SettingsError as err:
        if options or not model_atlas:
            raise
        raise SettingsError(
            f"the model's atlas {model_atlas} cannot be found by its name",
            expected="its label image",
            remedy="give the image with --atlases FILE, or a dataset that has it with "
            "--derivatives atlas=PATH",
        ) from err


Request = TypeVar("Request", bound=ParcelRequest[Any])


class ParcelWork(LevelWork):
    """Reads runs as series; a workflow adds what it computes from them.

    Parameters
    ----------
    request
        What the user asks for.
    """

    request: ParcelRequest[Any]

    def __init__(self, request: ParcelRequest[Any]) -> None:
        super().__init__(request)
        self.reader = request.reader()

    def reader_of(self, run: RestRun) -> SeriesReader:
        """Return the reader that reduces a run to series."""
        return self.reader

    def read_run(
        self, run: RestRun, progress: Callable[[float], None]
    ) -> Iterator[tuple[MeasuredSeries, float]]:
        """Yield a run's series and the seconds that they took; refuse a run that cannot be used."""
        start = time.perf_counter()
        measured = self.reader_of(run).measure(run, progress=progress)
        self.request.require_usable(measured)
        yield measured, time.perf_counter() - start


class ParcelWriter(Generic[Request]):
    """Writes the results of runs and their sidecars.

    Parameters
    ----------
    request
        What the user asks for.

    Raises
    ------
    OutputError
        A file cannot be written; raised by each method that writes.
    """

    def __init__(self, request: Request) -> None:
        self._request = request

    def entities(
        self, entities: Mapping[str, str], **further: str
    ) -> dict[str, str | None]:
        """Return the entities of a file, from the entities of its run or average.

        Examples
        --------
        For `sub-01_task-rest`, `stat="mean"` gives the entities of
        `sub-01_task-rest_space-MNI152NLin6Asym_seg-7n_scale-400_stat-mean`.
        """
        request = self._request
        return {
            **entities,
            "space": request.space_label,
            **request.atlas.entities,
            **further,
        }

    def entities_of_run(
        self, measured: MeasuredSeries, **further: str
    ) -> dict[str, str | None]:
        """Return the entities of a file of a run."""
        return self.entities(run_entities(measured.run), **further)

    def write_with(
        self, path: PurePosixPath, data: bytes, facts: Mapping[str, Any]
    ) -> Iterator[PurePosixPath]:
        """Write a file and its sidecar; yield their paths."""
        self._request.output.write(path, data)
        yield path
        beside = sidecar_of(path)
        self._request.output.write(beside, facts)
        yield beside

    def write_series(
        self,
        measured: MeasuredSeries,
        facts: Mapping[str, Any],
        notes: Sequence[str] = (),
    ) -> Iterator[PurePosixPath]:
        """Write the series of a run, with a sidecar that says how they were made.

        Parameters
        ----------
        measured
            Series and metrics of the run.
        facts
            Further fields of the sidecar.
        notes
            Sentences to add to the run's notes.
        """
        names = self._request.regions
        series = measured.series
        all_facts = self.series_facts(measured, facts, notes)
        yield from self.write_with(
            SERIES.path(self.entities_of_run(measured, stat="mean")),
            encode_series(RegionTable(names, series.values)),
            series_sidecar(names, series.tr_seconds, **all_facts),
        )

    def write_matrix(
        self,
        path: PurePosixPath,
        values: Float64,
        facts: Mapping[str, Any],
    ) -> Iterator[PurePosixPath]:
        """Write a matrix between the parcels, and the table that names its rows.

        Parameters
        ----------
        path
            Path of the matrix, in the dataset.
        values
            (parcels, parcels).
        facts
            Further fields of its sidecar, with `relationship_facts` on what a value means.
        """
        request, atlas = self._request, self._request.atlas
        segments = segment_label(*atlas.entities.values())
        words = f"Parcels of the atlas {atlas.key}"
        nodes = NodeFile(request.space_label, segments, atlas.parcels, words)
        nodes.write(request.output)
        matrix = encode_relmat(RegionTable(request.regions, values))
        yield from self.write_with(path, matrix, {**facts, **nodes.facts})

    def write_coverage(self, measured: MeasuredSeries) -> Iterator[PurePosixPath]:
        """Write the share of each parcel that has signal."""
        shares = [[f"{share:.4f}" for share in measured.series.coverage]]
        yield from self.write_with(
            COVERAGE.path(self.entities_of_run(measured, stat="coverage")),
            encoded(tsv_text(list(self._request.regions), shares)),
            {
                "Description": "Share of each parcel that has signal, 0 to 1",
                **self.origin(measured),
            },
        )

    def origin(self, *measured: MeasuredSeries) -> dict[str, Any]:
        """Return sources, space and atlas of runs' results for sidecars."""
        request = self._request
        return {
            "Sources": [
                uri
                for run in measured
                for uri in run_sources(run.run, request.dataset.name)
            ],
            "SpatialReference": request.space_label,
            "Atlas": {
                **atlas_facts(request.atlas)["Atlas"],
                "SHA256": request.atlas.digest,
            },
        }

    @property
    def cleaning_facts(self) -> dict[str, Any]:
        """The facts for sidecars on how all runs are cleaned."""
        settings = self._request.settings
        return {
            "MinCoverage": MIN_COVERAGE,
            "InputType": settings.inputs.input_type,
            "DenoiseStrategy": settings.cleaning.denoise_strategy,
        }

    def cleaning_note(self, measured: MeasuredSeries) -> str | None:
        """Return a sentence where the model's training runs were cleaned differently, else None."""
        settings, bundle = self._request.settings, self._request.bundle
        if bundle is None:
            return None
        return cleaning_note(
            bundle.card.training,
            settings.inputs.input_type,
            settings.cleaning.denoise_strategy,
            measured.run.cleaned_as,
        )

    def run_notes(
        self, measured: MeasuredSeries, notes: Sequence[str] = ()
    ) -> Iterator[str]:
        """Yield the sentences on a run, with further ones, after its title."""
        note = self.cleaning_note(measured)
        for sentence in (*measured.notes, *notes, *([note] if note else [])):
            yield f"{measured.run.title}: {sentence}"

    def model_facts(self) -> dict[str, Any]:
        """Return the facts of the model for sidecars; there must be a model."""
        bundle = self._request.bundle
        assert bundle is not None
        part = bundle.part
        training = {"Participants": part.people, "Data": part.data_set}
        return {**model_facts(bundle), "ModelTraining": training}

    def write_page_files(
        self, measured: MeasuredSeries, seconds: float
    ) -> Iterator[PurePosixPath]:
        """Write the files from which the panels of a run are drawn, and its quality metrics.

        Parameters
        ----------
        measured
            Series and metrics of the run.
        seconds
            Time spent on the run, in seconds.
        """
        series, bundle = measured.series, self._request.bundle
        training = None if bundle is None else bundle.card.training
        metrics = {
            **common_metrics(
                measured,
                residual_dof=series.residual_dof,
                model_tr_seconds=training and training.repetition_time_s,
            ),
            **parcel_metrics(
                series.coverage, series.correlation(), measured.confounds.std_dvars
            ),
            "seconds_processing": round(seconds, 2),
        }
        presentation = self._request.presentation
        files = [
            *presentation.panel_files(measured),
            presentation.quality_file(metrics),
        ]
        return write_panel_files(
            files, run_entities(measured.run), self._request.output
        )

    def series_facts(
        self, measured: MeasuredSeries, facts: Mapping[str, Any], notes: Sequence[str]
    ) -> dict[str, Any]:
        """Return the facts for sidecars on how series were made, with `facts` and `notes` added."""
        names, note = self._request.path_names, self.cleaning_note(measured)
        return {
            **self.origin(measured),
            "Frames": len(measured.design.keep),
            "FramesKept": measured.design.frames_kept,
            **facts,
            RESIDUAL_DOF: rounded(measured.series.residual_dof),
            **self.cleaning_facts,
            "Interpolation": measured.sampled,
            "Space": measured.run.space,
            "SpaceReason": names.hide(measured.run.space_reason),
            "Confounds": camel_case(measured.confounds.decisions),
            "Cleaning": camel_case(measured.cleaning),
            "Notes": [names.hide(sentence) for sentence in (*measured.notes, *notes)],
            **self.surface_facts(measured),
            **({"CleaningNote": note} if note else {}),
        }

    def surface_facts(self, measured: MeasuredSeries) -> dict[str, Any]:
        """Return on which surface a run's parcels were averaged, and why."""
        surface = measured.surface
        return {} if surface is None else surface.facts(self._request.path_names)
