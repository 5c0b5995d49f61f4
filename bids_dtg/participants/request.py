"""What the user asks for at the participant level, found and checked, for all workflows.

It holds dataset, participants and output, and decides which runs are averaged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Self

from bids_dtg.bundles.bundle import Bundle
from bids_dtg.cleaning.confounds import check_custom_folder, confound_files
from bids_dtg.cleaning.design import TooShortError
from bids_dtg.cleaning.strategies import resolve
from bids_dtg.errors import DatasetError, OutputError, RunError, together
from bids_dtg.extras import require
from bids_dtg.files.derivatives import (
    DatasetWords,
    DerivativeDataset,
    check_output_location,
)
from bids_dtg.files.names import build_path
from bids_dtg.files.paths import PathNames, machine_folders
from bids_dtg.files.provenance import (
    Fingerprint,
    completion_record,
    input_fingerprints,
    package_versions,
    why_incomplete,
)
from bids_dtg.imaging.atlas import Atlas
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import lies_on_lattice
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.parcel_series import (
    SeriesHeader,
    read_series_header,
)
from bids_dtg.inputs.dataset import (
    FREESURFER,
    PREPROCESSED,
    InputDataset,
    find_dataset,
    find_participants,
    only_folder,
)
from bids_dtg.inputs.run import STORAGE, RestRun, TransformFile, without_joins
from bids_dtg.inputs.runs import (
    find_runs,
    refuse_absent,
    refuse_absent_space,
    refuse_echoes,
)
from bids_dtg.inputs.selection import Selection, read_filter_file
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.participants.run_source import (
    PlannedRun,
    find_parcels,
    notes_on_parcels,
    parcels_in,
    plan_run,
    read_run_header,
    require_parcels,
)
from bids_dtg.report.contents import combination, find_titles
from bids_dtg.report.methods import MethodsWords, methods_text
from bids_dtg.report.presentation import Presentation
from bids_dtg.settings import Combine, Settings
from bids_dtg.version import __version__

# A run that joins others has this share of their frames or more; some may have been cut off.
_SHARE_OF_JOIN = 0.9
# Entities that the names of an average lack, by ``--combine``.
_COMBINED: Mapping[Combine, frozenset[str]] = {
    "run": frozenset(),
    "session": frozenset({"run"}),
    "participant": frozenset({"run", "ses"}),
}


@dataclass(frozen=True)
class AveragedRuns:
    """The runs behind one average of results."""

    # In the order of their names; empty where no rest is read.
    runs: tuple[RestRun, ...]
    entities: Mapping[str, str]  # shared by the names of its files; no space, stat, …

    @property
    def participant(self) -> str:
        """Label of the participant, without sub-."""
        return self.entities["sub"]

    @property
    def title(self) -> str:
        """Name in messages and in the completion record, e.g. ``sub-01_ses-1_task-rest``."""
        return "_".join(f"{key}-{value}" for key, value in self.entities.items())

    @property
    def sidecars(self) -> tuple[Path, ...]:
        """Sidecars of its runs and of their transforms, which may not exist."""
        beside = (
            step.path.with_suffix(".json")
            for run in self.runs
            for step in run.transforms
        )
        return (*(path for run in self.runs for path in run.sidecars), *beside)

    @property
    def by_dof(self) -> bool:
        """Whether runs are weighted by residual degrees of freedom, i.e. all of them are known."""
        return all(run.dof_known for run in self.runs)


def plan_averages(
    runs: Sequence[RestRun], combine: Combine
) -> tuple[AveragedRuns, ...]:
    """Group the runs of one participant into averages.

    Different tasks are never averaged. The names of an average keep the entities that
    its runs share, except ``run`` (and ``ses`` with ``combine="participant"``), so that
    adding a second run does not change the names.

    Parameters
    ----------
    runs
        All runs of one participant.
    combine
        Runs to average: within each ``"run"``, ``"session"`` or ``"participant"``.

    Raises
    ------
    RunError
        A run's name is that of another participant, or no output can be named after it.
    """
    faults = [fault for run in runs if (fault := _name_fault(run))]
    if faults:
        raise together(faults)

    def key(run: RestRun) -> tuple[str, ...]:
        # Some studies give files of all sessions the same name.
        if combine == "run":
            return (str(run.bold),)
        if combine == "session":
            return (run.session or "", run.task)
        return (run.task,)

    dropped = STORAGE | _COMBINED[combine]
    ordered = sorted(runs, key=lambda run: (key(run), str(run.bold)))
    return tuple(
        AveragedRuns(members, _shared_entities(members, dropped))
        for _, group in groupby(ordered, key=key)
        for members in [tuple(group)]
    )


def require_one_usable(
    runs: Iterable[RestRun], plan: Callable[[RestRun], object]
) -> None:
    """Refuse runs of which one cannot be used, or which are all too short, by headers and tables.

    Raises
    ------
    RunError
        From `plan`, for the first run that cannot be used.
    """
    short, usable = list[TooShortError](), False
    for run in runs:
        try:
            plan(run)
            usable = True
        except TooShortError as err:  # other runs go on without it
            short.append(err)
    if short and not usable:
        raise short[0]


def run_entities(run: RestRun) -> dict[str, str]:
    """Return the entities in the names of a run's output files."""
    return _shared_entities((run,), STORAGE)


def _name_fault(run: RestRun) -> RunError | None:
    """Return the error of a run after which no output can be named."""
    try:
        # A copy in `sub-01 old` or in another's folder would replace the maps of sub-01.
        if dict(run.entities).get("sub") != run.participant:
            raise ValueError(f"its folder is that of sub-{run.participant}")
        folders = run.bold.parts[len(run.root.parts) : -1]
        session_folder = next((name for name in folders if name.startswith("ses-")), "")
        if session_folder and run.session not in (
            None,
            session_folder.removeprefix("ses-"),
        ):
            raise ValueError(f"its folder is that of {session_folder}")
        build_path(run_entities(run), "qc", ".tsv")
    except (ValueError, OutputError) as err:
        fault = f"{run.bold} has a name that is not BIDS: {err}"
        return RunError(fault, remedy="rename or remove it")
    return None


def _shared_entities(
    runs: tuple[RestRun, ...], dropped: frozenset[str]
) -> dict[str, str]:
    first, *further = (dict(run.entities).items() for run in runs)
    shared = set(first).intersection(*further)
    return {
        name: value
        for name, value in first
        if name not in dropped and (name, value) in shared
    }


def _has_frames_of(run: RestRun, parts: Sequence[RestRun]) -> bool:
    """Return whether a run has the frames of several others together, by their headers."""
    if len(parts) < 2:
        return False
    try:
        frames = read_run_header(run.bold).frames
        part_frames = [read_run_header(part.bold).frames for part in parts]
    except RunError:
        return False  # reported when the run is read
    return _SHARE_OF_JOIN * sum(part_frames) <= frames <= sum(part_frames)


@dataclass(frozen=True, eq=False)
class DatasetRequest:
    """The dataset, the participants and the output that the options name, found and checked."""

    settings: Settings  # options of the run, with the input type that was found
    dataset: InputDataset  # where the runs come from
    participants: tuple[str, ...]  # labels to process
    bids_filter: Mapping[str, Any]  # content of --bids-filter-file
    output: DerivativeDataset  # where results go
    # Whether files that would be fetched are named instead, as in a dry run.
    plans: bool = field(default=False, kw_only=True)
    # What to say of requested participants that the dataset lacks, if others are there.
    absent: DatasetError | None = field(default=None, kw_only=True)

    @property
    def selection(self) -> Selection:
        """Sessions and tasks asked for, and filters."""
        inputs = self.settings.inputs
        return Selection(inputs.session_label, inputs.task_id, self.bids_filter)

    @property
    def templateflow(self) -> TemplateFlow:
        """TemplateFlow's folder; plans and ``--dry-run`` download nothing."""
        return TemplateFlow.here(
            download=True, plans=self.plans or self.settings.behaviour.dry_run
        )

    def space_rule(self, model: str, on_lattice: Callable[[Path], bool]) -> SpaceRule:
        """Return how a version of each run is chosen for a model's space and lattice."""
        inputs = self.settings.inputs
        return SpaceRule(
            model=model,
            requested=inputs.space,
            on_lattice=on_lattice,
            templateflow=self.templateflow,
            sample_on=inputs.sample_on,
            freesurfer=only_folder(inputs.derivatives, FREESURFER),
            preprocessed=only_folder(inputs.derivatives, PREPROCESSED),
        )

    def runs_by(
        self, rule: SpaceRule, participant: str, selection: Selection | None = None
    ) -> tuple[RestRun, ...]:
        """Find a participant's runs, each in the version that a rule chooses, as `runs` does."""
        runs = find_runs(
            self.dataset.root,
            participant,
            selection or self.selection,
            rule=rule,
            input_type=self.dataset.input_type,
        )
        if self.dataset.study is not None:
            return runs
        refuse_echoes(runs, self.dataset.raw_root)
        # XCP-D's joined runs were left out by name. fMRIPrep writes none, so their frames decide.
        return tuple(without_joins(runs, lambda run: run.named, joins=_has_frames_of))

    def require_space(self, model: str) -> None:
        """Refuse a value of ``--space`` in which no run can be read.

        Parameters
        ----------
        model
            Template space of the voxels or parcels that runs are read at.

        Raises
        ------
        SettingsError
            No run is in this space; the message says which spaces there are.
        """
        refuse_absent_space(
            self.dataset,
            self.participants,
            self.selection,
            SpaceRule(model=model, requested=self.settings.inputs.space),
        )


def find_dataset_request(settings: Settings) -> DatasetRequest:
    """Find the dataset and the participants, without writing anything.

    Raises
    ------
    SettingsError, DatasetError
        Options or dataset are wrong.
    """
    inputs = settings.inputs
    bids_filter: Mapping[str, Any] = {}
    dataset = find_dataset(inputs.bids_dir, inputs.derivatives, inputs.input_type)
    for name in (FREESURFER, PREPROCESSED):
        only_folder(inputs.derivatives, name)  # refused now, not for each participant
    if inputs.bids_filter_file is not None:
        require("--bids-filter-file", "bids", extra="bids")
        bids_filter = read_filter_file(inputs.bids_filter_file)
    cleaning = resolve(settings.cleaning, dataset.input_type)
    settings = settings.replace(
        input_type=dataset.input_type,
        denoise_strategy=cleaning.denoise_strategy,
        combine=settings.outputs.averaging,
    )
    output = DerivativeDataset(check_output_location(inputs.output_dir, dataset))
    participants, absent = find_participants(dataset, inputs.participant_label)
    request = DatasetRequest(
        settings, dataset, participants, bids_filter, output, absent=absent
    )
    refuse_absent(dataset, participants, request.selection)
    if settings.cleaning.custom_confounds is not None:
        check_custom_folder(settings.cleaning.custom_confounds)
    return request


@dataclass(frozen=True, eq=False)
class CallRequest(DatasetRequest, ABC):
    """What the user asks for at the participant level; each workflow adds its own part."""

    processes: int  # number of parallel processes
    threads: int  # threads of each process
    bundle: Bundle[Any] | None  # the model; None where none is used
    # Why it is used, where it is not the usual one and ``--model`` was not given.
    why_model: str = field(default="", kw_only=True)
    atlases: tuple[Atlas, ...]  # atlases whose parcels have results

    # The workflow's words, quality columns and panels.
    presentation: ClassVar[Presentation]
    # Where runs are read, in the methods text.
    sampled_on: ClassVar[str] = "the model's grid"

    @property
    @abstractmethod
    def grid(self) -> Grid:
        """The grid that runs are read on."""

    def notes(self) -> Iterable[str]:
        """Yield lines to print before the start: the model's notice, if it has one."""
        if self.bundle is not None and self.bundle.card.notice:
            yield f"{self.bundle.name}: {self.bundle.card.notice}"

    @abstractmethod
    def dataset_words(self) -> DatasetWords:
        """Return the description of the output dataset."""

    @abstractmethod
    def methods_words(self) -> MethodsWords:
        """Return what the workflow says in the methods text."""

    @abstractmethod
    def would_make(self, planned: AveragedRuns) -> tuple[str, list[str]]:
        """Describe the results that would be made for an average, with further lines on them."""

    def unreached(self, planned: AveragedRuns) -> tuple[str, ...]:
        """Say which of the requested results cannot be made of an average, while others can."""
        return ()

    def remove_unused(self) -> None:
        """Remove files that all participants shared, of a model of which no result is left."""
        return

    @property
    def combine(self) -> Combine:
        """Which runs are averaged."""
        return self.settings.outputs.averaging

    @property
    def parcels(self) -> ParcelPlaces | None:
        """Parcels of a surface that runs are read at; None: runs are read at voxels."""
        return None

    @property
    def space(self) -> str:
        """Template space that runs are read in, or that of parcels."""
        return self.grid.space if self.parcels is None else self.parcels.space

    def methods(self, planned: AveragedRuns | None = None) -> str:
        """Write the methods text of averages, or of one of them."""
        runs = planned.runs if planned else ()
        return methods_text(
            self.methods_words(),
            self.settings,
            bundle=self.bundle,
            space=self.space,
            grid=self.sampled_on,
            runs=runs,
            packages=package_versions(),
        )

    def plan_of(self, run: RestRun) -> PlannedRun:
        """Decide how a run is cleaned, from its header and tables only.

        Raises
        ------
        RunError
            The run cannot be used, or its file lacks too many of the parcels.
        """
        planned = plan_run(run, self.space, self.settings.cleaning)
        if self.parcels is None or not isinstance(planned.header, SeriesHeader):
            return planned
        parcels = self.parcels
        present, notes = parcels_in(planned.header, parcels, planned.design.keep)
        require_parcels(run.bold, parcels, present)
        lost = notes_on_parcels(parcels.names, present)
        return replace(planned, notes=(*planned.notes, *notes, *lost))

    def has_places(self, path: Path) -> bool:
        """Return whether a file has the grid's voxels or all parcels; False if it is damaged."""
        if self.parcels is None:
            return lies_on_lattice(path, self.grid)
        try:
            find_parcels(read_series_header(path), self.parcels)
        except RunError:
            return False
        return True

    def runs(
        self, participant: str, selection: Selection | None = None
    ) -> tuple[RestRun, ...]:
        """Find a participant's runs, each in the version that suits the grid best.

        Parameters
        ----------
        participant
            Label, without ``sub-``.
        selection
            Which runs; None: those that the user asks for.

        Raises
        ------
        RunError
            No run can be used.
        NotFetchedError
            A transform must be fetched and cannot be.
        """
        rule = self.space_rule(self.space, self.has_places)
        plan = replace(rule, templateflow=replace(rule.templateflow, plans=True))
        runs = self.runs_by(plan, participant, selection)
        missing = any(step.missing for run in runs for step in run.transforms)
        if rule.templateflow.plans or not missing:
            return runs
        if selection is None:  # before the download
            require_one_usable(runs, self.plan_of)
        return self.runs_by(rule, participant, selection)

    def averages(self, participant: str) -> tuple[AveragedRuns, ...]:
        """Find a participant's runs and group them.

        Raises
        ------
        RunError
            No run can be used.
        """
        return plan_averages(self.runs(participant), self.combine)

    def titles_of_other_combine(self, participant: str) -> tuple[str, ...]:
        """Return the titles of a participant's averages of another ``--combine`` in OUTPUT_DIR."""
        combine = self.settings.outputs.averaging
        return tuple(
            title
            for title in find_titles(self.output, participant)
            if combination(completion_record(self.output, title)) not in (None, combine)
        )

    def for_average(self, planned: AveragedRuns) -> Self:
        """Return the request for the runs of an average, which in most workflows is this one."""
        return self

    def steps(self, planned: AveragedRuns) -> Iterable[TransformFile]:
        """Yield the transforms that an average needs."""
        for run in planned.runs:
            yield from run.transforms

    def shaping_options(self) -> dict[str, Any]:
        """Return everything but the inputs that affects results; it enters completion records."""
        options = {**self.settings.result_options, "version": __version__}
        if self.bundle is not None:
            options["model"] = self.bundle.identity
        # The tables themselves are among the fingerprinted inputs.
        if self.settings.cleaning.custom_confounds is not None:
            options["custom_confounds"] = "given"
        return options

    @cached_property
    def path_names(self) -> PathNames:
        """Names that replace the paths of folders in files that others may read."""
        folders = {
            "input": self.dataset.root,
            "output": self.output.root,
            "bids": self.dataset.bids_dir,
            "model": self.bundle.path if self.bundle else None,
        }
        options = {
            # For a file, its folder is replaced and its own name kept.
            name.replace("_", "-"): value.parent if value.is_file() else value
            for name, value in self.settings.options.items()
            if isinstance(value, Path)
        }
        return PathNames().plus(folders).plus(options).plus(machine_folders())

    def input_files(self, planned: AveragedRuns) -> Iterable[Path]:
        """Yield the files that an average depends on."""
        for run in planned.runs:
            yield from run.inputs
            yield from confound_files(run, self.settings.cleaning)

    def fingerprints(self, planned: AveragedRuns) -> dict[str, Fingerprint]:
        """Take the fingerprints of an average's inputs."""
        return input_fingerprints(
            self.input_files(planned), self.dataset.root, self.path_names
        )

    def why_incomplete(
        self, planned: AveragedRuns, inputs: Mapping[str, Fingerprint]
    ) -> str | None:
        """Return why an average must be made (again); None where it is complete."""
        return why_incomplete(
            self.output, planned.title, options=self.shaping_options(), inputs=inputs
        )
