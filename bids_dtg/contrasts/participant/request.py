"""What the user asks for: dataset, participants, model and options, found and checked."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from bids_dtg.bundles.store import find_bundle, read_card
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.half_width import remove_unused
from bids_dtg.contrasts.panels.presentation import (
    PRESENTATION,
    dataset_words,
    instead_of_default,
)
from bids_dtg.contrasts.participant.model import (
    DEFAULT,
    bytes_needed,
    default_model,
    note_on_default,
    obtain_bundle,
    refuse_other_model,
)
from bids_dtg.contrasts.participant.outputs import REGIONS, USUAL, WRITES, in_words
from bids_dtg.contrasts.participant.outputs.spaces import (
    T1W,
    Sampling,
    Target,
    choose_spaces,
    find_target,
)
from bids_dtg.contrasts.participant.outputs.surfaces import check_surfaces
from bids_dtg.engine.machine import divide, map_device
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.files.derivatives import DatasetWords
from bids_dtg.files.paths import expand_home
from bids_dtg.imaging.atlas import Atlas, choose_atlases
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import lies_on_lattice
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.meshes import TEMPLATE_SPACE, MeshName
from bids_dtg.imaging.surfaces.painting import OWN_MM, TEMPLATE_MM, painted
from bids_dtg.imaging.surfaces.parcel_series import read_series_header
from bids_dtg.imaging.surfaces.vertices import placed_surfaces
from bids_dtg.inputs.anatomy import Anatomy, find_anatomy, find_surfaces
from bids_dtg.inputs.atlases import LABELS, atlas_datasets
from bids_dtg.inputs.dataset import PREPROCESSED, only_folder
from bids_dtg.inputs.run import (
    IMAGES,
    OF_PARCELS,
    PARCELS,
    RestRun,
    SurfaceFiles,
    TransformFile,
    is_series,
)
from bids_dtg.inputs.statmaps import chosen_contrasts
from bids_dtg.inputs.vertex_choice import no_own_surfaces
from bids_dtg.option import find_row
from bids_dtg.participants.request import (
    AveragedRuns,
    CallRequest,
    DatasetRequest,
    find_dataset_request,
    plan_averages,
)
from bids_dtg.report.methods import MethodsWords
from bids_dtg.report.presentation import Presentation
from bids_dtg.settings import Settings

# A further space of maps, its voxels, and the sampling from the model's voxels or parcels.
SpaceSampling: TypeAlias = tuple[Target, VoxelPlaces, Sampling]


@dataclass(frozen=True, eq=False)
class Request(CallRequest):
    """A request for maps; each step of the work gets only the parts that it uses."""

    presentation: ClassVar[Presentation] = PRESENTATION

    bundle: ModelBundle
    device: str  # device that computes

    @classmethod
    def prepare(
        cls,
        settings: Settings,
        template: Callable[[DatasetRequest], ModelBundle] | None = None,
    ) -> Request:
        """Check options, dataset and model before anything is written.

        Parameters
        ----------
        settings
            The options.
        template
            Makes the template of a model to be trained, instead of ``--model``.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Options, dataset or model cannot be used.
        """
        dataset_request = find_dataset_request(settings)
        named = dataset_request.settings.inputs.model
        if template is not None:
            return cls._with_model(dataset_request, template(dataset_request))
        name = named or default_model()
        bundle = obtain_bundle(name, may_fetch=not settings.behaviour.dry_run)
        if named:
            return cls._with_model(dataset_request, bundle)
        why = "" if name == DEFAULT else f" (used because {DEFAULT} is not installed)"
        if settings.inputs.analysis_level == "participant":
            refuse_other_model(dataset_request, bundle, why)
        try:
            request = cls._with_model(dataset_request, bundle)
        except SettingsError as err:
            # The user did not name the model that cannot follow an option.
            sentence = err.found.replace(name, f"{name}{why}", 1)
            raise type(err)(sentence, expected=err.expected, remedy=err.remedy) from err
        if note := note_on_default(name):
            warnings.warn(note, stacklevel=2)
        words = instead_of_default(name, DEFAULT) if why else ""
        return dataclasses.replace(request, why_model=words)

    @classmethod
    def _with_model(
        cls, dataset_request: DatasetRequest, bundle: ModelBundle
    ) -> Request:
        """Check whether the model can follow the options.

        Raises
        ------
        SettingsError
            It cannot.
        """
        settings, space = dataset_request.settings, bundle.space
        device = map_device(settings.resources.device)
        dataset_request.require_space(space)
        if settings.outputs.combine == "run" and bundle.part.joins_runs:
            raise SettingsError(
                f"--combine run was given for {bundle.name}, which joins all runs of a "
                "session",
                expected="--combine session or participant",
            )
        if bundle.part.parcels:
            _refuse_for_parcels(settings, bundle)
            bundle = _on_atlas(bundle, settings.outputs.atlases)
        on_cpu = device == "cpu"
        processes, threads = divide(
            settings.resources,
            units=len(dataset_request.participants),
            bytes_each=bytes_needed(bundle.places.number, bundle.rois, on_cpu=on_cpu),
            on_cpu=on_cpu,
        )
        request = cls(
            **vars(dataset_request),
            processes=processes,
            threads=threads,
            bundle=bundle,
            atlases=_atlases_of(dataset_request, bundle),
            device=device,
        )
        # Unknown names are refused before anything is written.
        check_surfaces(settings.outputs.surfaces, space)
        request._check_cortex()
        request._check_spaces()
        # Training chooses among measured maps.
        if settings.inputs.analysis_level == "participant":
            request._require_contrasts()
        return request

    @property
    def grid(self) -> Grid:
        """The model's grid."""
        return self.bundle.grid

    @property
    def parcels(self) -> ParcelPlaces | None:
        """The model's parcels; None: it has voxels."""
        places = self.bundle.places
        return places if isinstance(places, ParcelPlaces) else None

    def as_in(self, run: RestRun) -> Request:
        """Return a copy for writing a run's results, with the parcels' vertices from its file."""
        places = self.parcels
        if places is None or not is_series(run.bold):
            return self
        in_file = read_series_header(run.bold).places
        if in_file is None or in_file.axis is None:  # grayordinates, or a table
            return self
        bundle = dataclasses.replace(self.bundle, places=places.as_in(in_file))
        return dataclasses.replace(self, bundle=bundle)

    @cached_property
    def contrasts(self) -> tuple[Contrast, ...]:
        """Contrasts that are written: those of ``--contrast``, or all."""
        contrasts = self.bundle.contrasts
        labels = self._require_contrasts()
        if not labels:
            return contrasts
        return tuple(contrast for contrast in contrasts if contrast.label in labels)

    def _require_contrasts(self) -> tuple[str, ...]:
        """Return the labels of ``--contrast``; SettingsError if the model does not predict one."""
        tasks = {contrast.label: contrast.task for contrast in self.bundle.contrasts}
        names = self.settings.modelling.contrast
        return chosen_contrasts(names, tasks, lack="the model does not predict")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of results that are written."""
        return self.settings.outputs.write or USUAL

    def dataset_words(self) -> DatasetWords:
        """Return the description of an output of maps by this model."""
        return dataset_words(self.bundle.card)

    def trained(self, form: Form, seconds: float) -> Request:
        """Return a copy with another form of connectome and another length of segments."""
        card = self.bundle.card
        part = dataclasses.replace(card.part, connectome=form, segment_seconds=seconds)
        card = dataclasses.replace(card, part=part)
        bundle = dataclasses.replace(self.bundle, card=card)
        return dataclasses.replace(self, bundle=bundle)

    @cached_property
    def meshes(self) -> tuple[MeshName, ...]:
        """The meshes that maps are also written on."""
        return check_surfaces(self.settings.outputs.surfaces, self.bundle.space)

    @property
    def samples_cortex(self) -> bool:
        """Whether maps of voxels are sampled on fsLR's mesh, for files of maps or regions."""
        # Other meshes use a template's surfaces.
        atlas_on_mesh = any(atlas.surface is not None for atlas in self.atlases)
        return self.parcels is None and ("fsLR" in self.meshes or atlas_on_mesh)

    def _check_cortex(self) -> None:
        """Refuse an atlas of a surface, or a choice of surface, that the model's maps cannot use.

        Raises
        ------
        SettingsError
            The model has voxels of another template, or its maps are sampled on no surface.
        """
        if self.parcels is not None:
            return
        if self.settings.inputs.sample_on and not self.samples_cortex:
            raise SettingsError(
                f"--sample-on was given for {self.bundle.name}, a model of voxels",
                expected=f"a model of parcels, such as {OF_PARCELS}, an atlas of the cortex's "
                "surface, such as Glasser, or --surfaces fsLR",
            )
        if self.samples_cortex and self.space != TEMPLATE_SPACE:
            raise SettingsError(
                f"--atlases names parcels of a surface for a model in {self.space}",
                expected=f"a model in {TEMPLATE_SPACE}",
            )

    def surfaces(self, planned: AveragedRuns) -> SurfaceFiles | None:
        """Find the midthickness surfaces of the average's participant, if maps can use them.

        Raises
        ------
        RunError
            There are none, with ``--sample-on own``, or they cannot be used.
        """
        if not self.samples_cortex:
            return None
        chosen = self.settings.inputs.sample_on
        if chosen == "template":
            return SurfaceFiles("requested with --sample-on")
        anatomy = Anatomy(
            self.dataset.root,
            planned.participant,
            planned.entities.get("ses"),
            self.templateflow,
            planned.sidecars,
        )
        preprocessed = only_folder(self.settings.inputs.derivatives, PREPROCESSED)
        space = self.bundle.grid.space
        files = find_surfaces(self.dataset, anatomy, space, preprocessed)
        files = placed_surfaces(files)
        if chosen == "own" and not files.sides:
            raise no_own_surfaces(files.reason)
        return files

    def targets(
        self, planned: AveragedRuns
    ) -> tuple[dict[str, Target], dict[str, RunError]]:
        """Find further spaces of an average, by name, and why others cannot be reached."""
        return self._targets(planned, self.own_surfaces(planned))

    def _targets(
        self, planned: AveragedRuns, surfaces: SurfaceFiles | None
    ) -> tuple[dict[str, Target], dict[str, RunError]]:
        """Find further spaces, given the own surfaces near which parcels are painted."""
        targets, errors = dict[str, Target](), dict[str, RunError]()
        grid = self.grid if self.parcels is None else None
        for name in self.spaces_of(planned, surfaces):
            anatomy = self._anatomy(
                planned.participant, planned.entities.get("ses"), planned.sidecars
            )
            try:
                target = find_target(name, grid, self.templateflow, anatomy, surfaces)
            except RunError as err:
                errors[name] = err
            else:
                targets[name] = target
        return targets, errors

    def unreached(self, planned: AveragedRuns) -> tuple[str, ...]:
        """Say which of the requested spaces an average cannot be written in."""
        _, errors = self.targets(planned)
        return tuple(_unwritten(name, err) for name, err in errors.items())

    def reached(
        self, planned: AveragedRuns, surfaces: SurfaceFiles | None
    ) -> tuple[Request, list[SpaceSampling], str]:
        """Find how the maps of an average come to further spaces.

        Parameters
        ----------
        planned
            The average.
        surfaces
            The person's own surfaces in T1w space at which runs were read, if any.

        Returns
        -------
        The request for just the spaces that can be reached, the sampling of each, and why others
        cannot be reached; empty: all can.
        """
        targets, errors = self._targets(planned, surfaces)
        samplings = dict[str, SpaceSampling]()
        places = self.parcels or self.bundle.voxels
        for name, target in targets.items():
            try:
                samplings[name] = target, *target.sampling(places)
            except RunError as err:
                errors[name] = err
        request = self
        if errors:
            settings = self.settings.replace(output_spaces=tuple(samplings))
            request = dataclasses.replace(self, settings=settings)
        lines = [_unwritten(name, err) for name, err in errors.items()]
        return request, list(samplings.values()), " ".join(lines)

    @cached_property
    def spaces(self) -> tuple[str, ...]:
        """Further spaces of maps that the user asks for."""
        names = self.settings.outputs.output_spaces
        model = "" if self.parcels is not None else self.grid.space
        return choose_spaces(names, model)

    def spaces_of(
        self, planned: AveragedRuns, surfaces: SurfaceFiles | None
    ) -> tuple[str, ...]:
        """Return further spaces of an average's maps.

        Parcels that were read from volumes are also painted in the template, and in T1w only near
        the person's own surfaces.
        """
        if self.parcels is None:
            return self.spaces
        reads_volumes = not all(is_series(run.bold) for run in planned.runs)
        names = dict.fromkeys((TEMPLATE_SPACE,) * reads_volumes + self.spaces)
        if surfaces is None:
            names.pop(T1W, None)
        return tuple(names)

    def own_surfaces(self, planned: AveragedRuns) -> SurfaceFiles | None:
        """Return a person's own surfaces in T1w space at which runs are to be read, if any."""
        if self.dataset.input_type == "xcpd":  # perhaps moved to the template
            return None
        files = (run.surfaces for run in planned.runs)
        return next(
            (surfaces for surfaces in files if surfaces is not None and surfaces.sides),
            None,
        )

    def without_t1w(
        self, planned: AveragedRuns, surfaces: SurfaceFiles | None, reason: str = ""
    ) -> str | None:
        """Say why parcels are not painted in T1w; None if they are, or were not asked for."""
        if self.parcels is None or surfaces is not None or T1W not in self.spaces:
            return None
        files = next(filter(None, (run.surfaces for run in planned.runs)), None)
        if self.dataset.input_type == "xcpd":
            reason = f"XCP-D may have moved the surfaces to {TEMPLATE_SPACE}"
        reason = reason or (files.reason if files else "no volumes are read")
        return f"no maps in T1w, which are painted near the person's own surfaces: {reason}"

    def _anatomy(
        self, participant: str, session: str | None, sidecars: Sequence[Path]
    ) -> Callable[[], Anatomy]:
        return partial(
            find_anatomy,
            self.dataset,
            participant,
            session,
            templateflow=self.templateflow,
            sidecars=sidecars,
        )

    def _check_spaces(self) -> None:
        """Refuse spaces in which maps can be written for no participant.

        Raises
        ------
        SettingsError
            The space is unknown, there is no transform to it, or the input has no T1w space.
        """
        for name in self.spaces:
            anatomy = self._anatomy("*", None, ())
            try:
                if name == T1W:
                    anatomy()
                elif self.parcels is not None:
                    painted(self.parcels, name)
                else:
                    plans = dataclasses.replace(self, plans=True)
                    find_target(name, self.grid, plans.templateflow, anatomy)
            except RunError as err:
                raise err.as_kind(SettingsError, f"--output-spaces {name}: ") from err

    def methods_words(self) -> MethodsWords:
        """Return what the workflow says in the methods text."""
        keys = tuple(atlas.key for atlas in self.atlases)
        outputs = dataclasses.replace(self.settings.outputs, atlases=keys)
        words = self.presentation.methods(self.bundle, outputs)
        return dataclasses.replace(words, model=f"{words.model} {self.why_model}")

    def shaping_options(self) -> dict[str, Any]:
        """Return all options that change maps."""
        # Atlases are identified by content, so a moved file is the same.
        atlases = {atlas.key: atlas.identity for atlas in self.atlases}
        if self.parcels is not None and _label_files(self.settings.outputs.atlases):
            atlases["parcels"] = self.bundle.parcels_sha256
        options: dict[str, Any] = {**super().shaping_options(), "atlases": atlases}
        if self.parcels is not None:  # in T1w and in templates
            options["painted_within_mm"] = [OWN_MM, TEMPLATE_MM]
        if self.settings.inputs.analysis_level == "participant":
            labels = [contrast.label for contrast in self.contrasts]
            is_all = len(labels) == len(self.bundle.contrasts)
            options["contrast"] = ["all"] if is_all else labels
            options["write"] = sorted(self.kinds)
        return options

    def input_files(self, planned: AveragedRuns) -> Iterable[Path]:
        """Yield the input files of an average."""
        yield from super().input_files(planned)
        for source in self._further_sources(planned):
            yield from source.inputs

    def steps(self, planned: AveragedRuns) -> Iterable[TransformFile]:
        """Yield the transforms that an average needs, those to further spaces after the runs'."""
        yield from super().steps(planned)
        for source in self._further_sources(planned):
            yield from source.transforms

    def _further_sources(
        self, planned: AveragedRuns
    ) -> Iterable[Target | SurfaceFiles]:
        """Yield what the maps of an average are sampled with: its further spaces and surfaces."""
        yield from self.targets(planned)[0].values()
        if surfaces := self.surfaces(planned):
            yield surfaces

    def remove_unused(self) -> None:
        """Remove half-widths and names of regions of a model of which no map is left."""
        remove_unused(self.output, self.bundle.identity)

    def would_make(self, planned: AveragedRuns) -> tuple[str, list[str]]:
        """Describe what would be written of an average, and in which further spaces."""
        lines = []
        for target in self.targets(planned)[0].values():
            lines.append(f"    also written in {target.grid.space}, {target.way}")
        if lack := self.without_t1w(planned, self.own_surfaces(planned)):
            lines.append(f"    {lack}")
        surfaces = self.surfaces(planned)
        if surfaces:
            lines.append(f"    on surfaces: {surfaces.reason}")
        return in_words(len(self.contrasts), self.kinds), lines


def _unwritten(space: str, err: RunError) -> str:
    return f"maps in {space} were not written: {err}"


def _atlases_of(
    dataset_request: DatasetRequest, bundle: ModelBundle
) -> tuple[Atlas, ...]:
    """Find the atlases of tables of regions, and check what is written.

    Raises
    ------
    SettingsError
        There is no such atlas or kind of result, or regions are written without an atlas.
    """
    outputs = dataset_request.settings.outputs
    atlases: tuple[Atlas, ...] = ()
    # Refuses a path that does not exist.
    datasets = atlas_datasets(dataset_request.settings.inputs.derivatives)
    names, places = outputs.atlases, bundle.places
    if isinstance(places, ParcelPlaces):
        names = tuple(name for name in names if not _names_parcels(name, bundle))
    if names:
        # Parcels are averaged where they are painted.
        if isinstance(places, ParcelPlaces):
            places, _ = painted(places, TEMPLATE_SPACE)
        assert isinstance(places, VoxelPlaces)  # as images are read
        atlases = choose_atlases(
            names,
            places,
            templateflow=dataset_request.templateflow,
            datasets=datasets,
        )
    for kind in outputs.write:
        find_row(WRITES, "--write", kind)
    if REGIONS in outputs.write and not atlases:
        raise SettingsError(
            f"--write {REGIONS} was given without an atlas",
            expected="--atlases, e.g. Schaefer400",
        )
    return atlases


def first_file(settings: Settings) -> Path | None:
    """Return the image that is read first, if it is read frame by frame; None: not known.

    For a model of voxels its voxels are on the model's grid; for one of parcels it is any volume.

    It is found before the model is loaded; nothing is fetched or indexed for it.
    """
    inputs, resources = settings.inputs, settings.resources
    elsewhere = resources.scheduler or resources.device not in ("auto", "cpu")
    if settings.behaviour.dry_run or elsewhere or inputs.bids_filter_file:
        return None
    # `Request.prepare` repeats errors and warnings.
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset_request = find_dataset_request(settings.replace(dry_run=True))
        label = dataset_request.participants[0]
        card, _ = read_card(find_bundle(inputs.model or default_model()))
        grid = card.part.grid
        results = dataset_request.output.root / f"sub-{label}"
        if results.exists():  # perhaps nothing is read
            return None

        # Without the model it is not known whether series of parcels fit: none is read early then.
        def on_lattice(bold: Path) -> bool:
            return grid is None or lies_on_lattice(bold, grid)

        space = PARCELS if grid is None else grid.space
        rule = dataset_request.space_rule(space, on_lattice)
        runs = dataset_request.runs_by(rule, label)
        first = plan_averages(runs, settings.outputs.averaging)[0].runs[0]
        starts_early = first.bold.name.endswith(IMAGES) and on_lattice(first.bold)
        return first.bold if starts_early else None
    return None


def find_runs(settings: Settings) -> list[RestRun]:
    """Find the resting-state runs that the program would read with these options.

    Parameters
    ----------
    settings
        Options of ``bids_dtg IN OUT participant``: dataset, participants, selection, and the model,
        whose space decides which version of each run is read. Nothing is written.

    Returns
    -------
    list of RestRun
        By participant, in the order of their names.

    Raises
    ------
    DtgError
        Options, dataset or model cannot be used, or a participant has no usable run.

    Examples
    --------
    A simulated participant, and the model that ships with the program:

    >>> from tempfile import mkdtemp
    >>> from bids_dtg.contrasts.phantom.dataset import describe_datasets, write_run
    >>> from bids_dtg.contrasts.phantom.model import Phantom
    >>> folder, run = Path(mkdtemp()), {"frames": 50, "repetition_time_s": 5.0}
    >>> phantom = Phantom()
    >>> person = phantom.person(cohort=0, index=0)
    >>> describe_datasets(folder, phantom, [person], **run, program="example")
    >>> write_run(folder / "fmriprep", person, **run)
    >>> settings = Settings.of(
    ...     bids_dir=folder / "fmriprep",
    ...     output_dir=folder / "maps",
    ...     analysis_level="participant",
    ...     model="demo",
    ... )
    >>> [run.title for run in find_runs(settings)]
    ['sub-sim001_task-rest']
    """
    request = Request.prepare(settings)
    runs = list[RestRun]()
    for participant in request.participants:
        runs += request.runs(participant)
    return runs


def _names_parcels(atlas: str, bundle: ModelBundle) -> bool:
    """Return whether an atlas of `--atlases` is the model's own, or a file of its parcels."""
    label = bundle.part.atlas or ""
    return atlas.lower() == label.lower() or bool(_label_files([atlas]))


def _label_files(atlases: Sequence[str]) -> list[str]:
    """Return the label files of grayordinates among the values of `--atlases`."""
    return [name for name in atlases if name.endswith(LABELS)]


def _on_atlas(bundle: ModelBundle, atlases: Sequence[str]) -> ModelBundle:
    """Give a model the parcels of its atlas in the version that `--atlases` names."""
    files = _label_files(atlases)
    if not files:
        return bundle
    assert isinstance(bundle.places, ParcelPlaces)  # of a model of parcels
    try:
        places = bundle.places.on_atlas(expand_home(files[0], "--atlases").absolute())
    except RunError as err:
        raise err.as_kind(SettingsError, "--atlases ") from err
    return dataclasses.replace(bundle, places=places)


def _refuse_for_parcels(settings: Settings, bundle: ModelBundle) -> None:
    """Refuse smoothing with a model of parcels, which are not smoothed.

    Raises
    ------
    SettingsError
        It was asked for.
    """
    if settings.cleaning.smoothing_fwhm is not None:
        raise SettingsError(
            f"--smoothing-fwhm was given with {bundle.name}, a model of parcels, whose runs "
            "are read as means over parcels",
            expected="no --smoothing-fwhm",
        )
