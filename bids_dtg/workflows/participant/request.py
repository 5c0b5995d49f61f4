"""What a call asks for: dataset, participants, model and options, found and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.cleaning.confounds import confound_files
from bids_dtg.cleaning.custom import check_custom_place
from bids_dtg.cleaning.strategies import resolve
from bids_dtg.cleaning.words import Lacking
from bids_dtg.connectome.form import Form
from bids_dtg.engine.capacity import Capacity, divide
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.files.derivatives import (
    DerivativeDataset,
    check_output_location,
    refuse_model_folder,
)
from bids_dtg.files.path_names import PathNames, machine_folders
from bids_dtg.files.provenance import (
    Fingerprint,
    input_fingerprints,
    package_versions,
    why_incomplete,
)
from bids_dtg.imaging.atlas import Atlas, choose_atlases
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.header import read_header
from bids_dtg.imaging.sampling import LatticeSampling
from bids_dtg.inputs.anatomy.surfaces import SurfaceFiles, find_surfaces
from bids_dtg.inputs.asked import refuse_absent
from bids_dtg.inputs.dataset import InputDataset, find_dataset, select_participants
from bids_dtg.inputs.find import find_anatomy, find_input_runs
from bids_dtg.inputs.index import forget_database, read_filter_file
from bids_dtg.inputs.regions.atlases import atlas_datasets
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.selection import Selection
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.report.methods import MethodsFacts, methods_text
from bids_dtg.report.workflows import CONTRASTS, Workflow
from bids_dtg.settings import Settings
from bids_dtg.version import __version__
from bids_dtg.workflows.participant.measure import Reader
from bids_dtg.workflows.participant.model import Model, bytes_needed, obtain_bundle, resolve_device
from bids_dtg.workflows.participant.outputs.half_widths import check_level
from bids_dtg.workflows.participant.outputs.map_files import Origin
from bids_dtg.workflows.participant.outputs.region_files import RegionTables
from bids_dtg.workflows.participant.outputs.spaces import (
    Needs,
    Target,
    choose_spaces,
)
from bids_dtg.workflows.participant.outputs.surface_files import SurfaceMaps, check_surfaces
from bids_dtg.workflows.participant.outputs.write import Writer
from bids_dtg.workflows.participant.sets import MapSet, plan_map_sets


@dataclass(frozen=True, eq=False)
class Request:
    """What a call asks for. Steps of the work are made from it, and get what they use of it."""

    settings: Settings  # options of the call, with the input type that was found
    dataset: InputDataset  # where the runs come from
    participants: tuple[str, ...]  # labels to process
    bids_filter: Mapping[str, Any]  # of the filter file
    database_dir: Path | None  # where pybids keeps its database
    output: DerivativeDataset  # where results go
    bundle: ModelBundle  # the model
    device: str  # that computes
    capacity: Capacity  # processes side by side, and threads of each
    atlases: tuple[Atlas, ...]  # for the tables of means over parcels
    workflow: Workflow = CONTRASTS  # whose words, quality columns and panels are written

    @classmethod
    def prepare(cls, settings: Settings) -> Request:
        """Check everything that can be checked before anything is written.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Wrong options, dataset or model.
        """
        dataset = find_dataset(
            settings.inputs.bids_dir, settings.inputs.derivatives, settings.inputs.input_type
        )
        settings = settings.replace(
            input_type=dataset.input_type,
            denoise_strategy=resolve(settings.cleaning, dataset.input_type).denoise_strategy,
        )
        output = check_output_location(settings.inputs.output_dir, dataset)
        participants = select_participants(dataset, settings.inputs.participant_label)
        refuse_absent(dataset, participants, _selection(settings), settings.inputs.space)
        if settings.cleaning.custom_confounds is not None:
            check_custom_place(settings.cleaning.custom_confounds)
        filters = settings.inputs.bids_filter_file
        bids_filter = read_filter_file(filters) if filters else {}
        device = resolve_device(settings.resources.device)
        bundle = obtain_bundle(settings.inputs.model, may_fetch=not settings.behaviour.dry_run)
        bundle.grid  # noqa: B018 (what has no grid reads no images)
        refuse_model_folder(output, bundle.path)
        bundle.require_finite()  # else each participant would fail for it
        check_level(bundle, settings.outputs.interval_level)
        _check_spaces(settings, dataset, bundle.grid)
        check_surfaces(settings.outputs.surfaces, bundle.grid.space)
        capacity = divide(
            settings.resources,
            units=len(participants),
            bytes_each=bytes_needed(bundle.places.number),
            on_cpu=device == "cpu",
        )
        return cls(
            settings=settings,
            dataset=dataset,
            participants=participants,
            bids_filter=bids_filter,
            database_dir=_database_dir(settings, dataset, output),
            output=DerivativeDataset(output),
            bundle=bundle,
            device=device,
            capacity=capacity,
            atlases=choose_atlases(
                settings.outputs.atlases,
                bundle.voxels,
                templateflow=_templateflow(settings),
                datasets=atlas_datasets(settings.inputs.derivatives),
            ),
        )

    def with_segments(self, seconds: float) -> Request:
        """Return the same request whose runs of rest are cut to another length, in seconds."""
        card = self.bundle.card
        part = dataclasses.replace(card.part, segment_seconds=seconds)
        bundle = dataclasses.replace(self.bundle, card=dataclasses.replace(card, part=part))
        return dataclasses.replace(self, bundle=bundle)

    def runs(self, participant: str) -> tuple[RestRun, ...]:
        """Find a participant's runs, each in the version that suits the model best.

        Raises
        ------
        RunError
            There is no run that can be used.
        """
        inputs = self.settings.inputs
        return find_input_runs(
            self.dataset,
            participant,
            _selection(self.settings),
            rule=SpaceRule(
                model=self.bundle.grid.space,
                asked=inputs.space,
                on_lattice=partial(_lies_on_lattice, grid=self.bundle.grid),
                templateflow=_templateflow(self.settings),
            ),
            bids_filter=self.bids_filter,
            database_dir=self.database_dir,
        )

    def surfaces(self, planned: MapSet) -> SurfaceFiles:
        """Find the midthickness surfaces of the participant of a set."""
        return find_surfaces(
            self.dataset,
            planned.participant,
            dict(planned.entities).get("ses"),
            model=self.bundle.grid.space,
            templateflow=_templateflow(self.settings),
        )

    @cached_property
    def surface_maps(self) -> SurfaceMaps:
        """What writes maps on the surfaces that are asked for."""
        outputs = self.settings.outputs
        return SurfaceMaps(
            bundle=self.bundle,
            meshes=check_surfaces(outputs.surfaces, self.bundle.grid.space),
            find=self.surfaces,
            source=self.dataset.name,
            names=self.path_names,
            interval_level=outputs.interval_level,
        )

    def map_sets(self, participant: str) -> tuple[MapSet, ...]:
        """Find a participant's runs and group them.

        Raises
        ------
        RunError
            There is no run that can be used.
        """
        return plan_map_sets(self.runs(participant), self.settings.outputs.combine)

    def targets(self, planned: MapSet) -> tuple[Target, ...]:
        """Find the other spaces that a set is also written in, and the ways there.

        Raises
        ------
        RunError
            The participant's transforms or T1w image are not there.
        """
        templateflow, session = _templateflow(self.settings), dict(planned.entities).get("ses")
        anatomy = partial(
            find_anatomy, self.dataset, planned.participant, session, templateflow=templateflow
        )
        needs = Needs(self.bundle.grid, templateflow, anatomy)
        asked = self.settings.outputs.output_spaces
        return tuple(space.find(needs) for space in choose_spaces(asked, self.bundle.grid.space))

    def reader(
        self,
        *,
        threads: int | None = None,
        every_part: bool | None = None,
        other_lengths: bool = False,
        form: Form | None = None,
    ) -> Reader:
        """Make what reduces runs to connectomes.

        Parameters
        ----------
        threads
            To compute with; None: as the capacity has it.
        every_part, other_lengths
            As for `Reader`; None: where something is written of the parts.
        form
            Of the connectomes; None: that which the model reads.
        """
        outputs = self.settings.outputs
        return Reader.of(
            self.bundle,
            self.settings.cleaning,
            device=self.device,
            threads=threads or self.capacity.threads,
            every_part=outputs.write_connectome or outputs.half_maps
            if every_part is None
            else every_part,
            other_lengths=other_lengths,
            form=form,
        )

    def model(self) -> Model:
        """Make what predicts maps; it is prepared when it is first needed."""
        return Model(self.bundle, self.device, self.capacity.threads)

    def writer(self) -> Writer:
        """Make what writes sets of maps."""
        settings = self.settings
        return Writer(
            output=self.output,
            bundle=self.bundle,
            origin=Origin(
                source=self.dataset.name,
                input_type=settings.inputs.input_type,
                strategy=settings.cleaning.denoise_strategy,
                options_sha256=settings.result_hash,
                names=self.path_names,
            ),
            options=self.recorded_options,
            interval_level=settings.outputs.interval_level,
            surfaces=self.surface_maps,
            regions=RegionTables(
                self.atlases,
                self.bundle,
                settings.outputs.interval_level,
                settings.outputs.min_coverage,
            ),
            threads=self.capacity.threads,
            workflow=self.workflow,
            methods=self.methods,
            targets=self.targets,
        )

    def methods(self, lacking: Lacking) -> str:
        """Write the methods text of sets whose runs' tables of confounds lack something."""
        settings, card = self.settings, self.bundle.card
        assert settings.inputs.input_type != "auto"
        facts = MethodsFacts(
            version=__version__,
            model_name=f"{card.name} {card.version}",
            model_sha256=self.bundle.identity,
            model_notice=card.notice,
            space=self.bundle.grid.space,
            input_type=settings.inputs.input_type,
            cleaning=settings.cleaning,
            lacking=lacking,
            packages=package_versions(),
        )
        outputs = dataclasses.replace(
            settings.outputs, atlases=tuple(atlas.key for atlas in self.atlases)
        )
        return methods_text(facts, self.workflow.methods_words(self.bundle, outputs))

    @cached_property
    def recorded_options(self) -> dict[str, Any]:
        """Return all that shapes results beside the inputs; a change makes sets be redone."""
        options = {
            **self.settings.result_options,
            "model": self.bundle.identity,
            "version": __version__,
        }
        # By content: a file that lies elsewhere now is the same. Confounds are among the inputs.
        options["atlases"] = {atlas.key: atlas.identity for atlas in self.atlases}
        if self.settings.cleaning.custom_confounds is not None:
            options["custom_confounds"] = "given"
        return options

    @cached_property
    def path_names(self) -> PathNames:
        """Names that stand for the call's folders in what it writes for others."""
        folders = {
            "input": self.dataset.root,
            "output": self.output.root,
            "bids": self.dataset.bids_dir,
            "model": self.bundle.path,
        }
        options = {
            # Of a file its folder is named, so that its own name is kept.
            name.replace("_", "-"): value.parent if value.is_file() else value
            for name, value in self.settings.options.items()
            if isinstance(value, Path)
        }
        return PathNames.of(folders).plus(options).plus(machine_folders())

    def fingerprints(self, planned: MapSet) -> dict[str, Fingerprint]:
        """Take the fingerprints of a set's inputs."""
        paths = [
            path
            for run in planned.runs
            for path in (*run.inputs, *confound_files(run, self.settings.cleaning))
        ]
        paths += [path for target in self.targets(planned) for path in target.inputs]
        surfaces = self.surface_maps.files_of(planned)
        paths += () if surfaces is None else surfaces.inputs
        return input_fingerprints(paths, self.dataset.root, self.path_names)

    def why_incomplete(self, planned: MapSet, inputs: Mapping[str, Fingerprint]) -> str | None:
        """Say why a set must be made (again); None where it is complete."""
        return why_incomplete(
            self.output, planned.title, options=self.recorded_options, inputs=inputs
        )


def find_runs(settings: Settings) -> list[RestRun]:
    """Find the resting-state runs that a call with these options would read.

    Parameters
    ----------
    settings
        As of ``bids_dtg IN OUT participant``: dataset, participants, selection, and the model,
        whose space decides which version of each run is taken. Nothing is written.

    Returns
    -------
    list of RestRun
        By participant, in the order of their names.

    Raises
    ------
    DtgError
        Wrong options, dataset or model, or a participant without a run that can be used.

    Examples
    --------
    A simulated participant, and the model that ships with the program:

    >>> from tempfile import mkdtemp
    >>> from bids_dtg.phantom.contrasts.dataset import RunPlan, describe_datasets, write_run
    >>> from bids_dtg.phantom.contrasts.model import Phantom
    >>> folder, plan = Path(mkdtemp()), RunPlan(frames=50, repetition_time_s=5.0)
    >>> phantom = Phantom()
    >>> person = phantom.person(cohort=0, index=0)
    >>> describe_datasets(folder, phantom, [person], plan=plan, generator={"Name": "example"})
    >>> write_run(folder / "fmriprep", person, plan)
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
    return [run for participant in request.participants for run in request.runs(participant)]


def _selection(settings: Settings) -> Selection:
    inputs = settings.inputs
    return Selection(inputs.session_label, inputs.task_id, inputs.run)


def _templateflow(settings: Settings) -> TemplateFlow:
    """Return TemplateFlow's folder; a plan downloads nothing."""
    download = settings.inputs.templateflow_download and not settings.behaviour.dry_run
    return TemplateFlow.here(download=download)


def _check_spaces(settings: Settings, dataset: InputDataset, model: Grid) -> None:
    """Refuse output spaces that no participant's maps could be written in.

    Raises
    ------
    SettingsError
        There is no such space, no way to a template, or the input has no T1w space.
    """
    templateflow = _templateflow(settings)
    anatomy = partial(find_anatomy, dataset, "*", None, templateflow=templateflow)
    for space in choose_spaces(settings.outputs.output_spaces, model.space):
        try:
            if space.personal:
                anatomy()
            elif not settings.behaviour.dry_run:  # a plan names it with the participants
                space.find(Needs(model, templateflow, anatomy))
        except RunError as err:
            raise err.as_kind(SettingsError, f"--output-spaces {space.name}: ") from err


def _lies_on_lattice(path: Path, *, grid: Grid) -> bool:
    """Return whether a file's voxels are the grid's, by its header; a damaged one's are not."""
    try:
        header = read_header(path)
        LatticeSampling.between(header.shape, header.affine, grid, np.empty(0, np.intp))
    except RunError:
        return False
    return True


def _database_dir(settings: Settings, dataset: InputDataset, output: Path) -> Path | None:
    """Return the folder of pybids' database, emptied if that was asked for.

    Raises
    ------
    SettingsError
        It would lie in the input, or the output in it.
    """
    work, database = settings.resources.work_dir, settings.inputs.bids_database_dir
    own = work / "bids_dtg_database" if work else None
    for option, folder in (("--work-dir", own), ("--bids-database-dir", database)):
        if folder is None:
            continue
        place = folder.resolve()
        inputs = {dataset.root.resolve(), dataset.bids_dir.resolve()}
        if inputs & set(place.parents) and output not in place.parents:
            raise SettingsError(
                f"{option} {folder} is inside the input dataset",
                expected="a folder elsewhere, as nothing is written there but OUTPUT_DIR",
            )
        if place in (output, *output.parents):
            raise SettingsError(
                f"OUTPUT_DIR {output} is where {option} keeps its database ({place})",
                remedy="choose another folder for one of them",
            )
    if own and settings.resources.clean_workdir and not settings.behaviour.dry_run:
        forget_database(own)
    return database or own
