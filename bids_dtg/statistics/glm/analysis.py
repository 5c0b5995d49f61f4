"""First-level maps of fMRIPrep's task runs, for people who have no maps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.strategies import find_strategy
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.errors import DatasetError, RunError, SettingsError
from bids_dtg.files.derivatives import (
    DatasetWords,
    DerivativeDataset,
    check_output_location,
)
from bids_dtg.files.path_names import PathNames, machine_folders
from bids_dtg.files.provenance import running_container
from bids_dtg.files.text import read_json
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.dataset import InputDataset, find_dataset, select_participants
from bids_dtg.inputs.selection import Selection
from bids_dtg.inputs.statmaps import statmaps_place
from bids_dtg.inputs.task.model_file import GlmModel, read_glm_model, require_conditions
from bids_dtg.inputs.task.runs import TaskRun, find_task_runs
from bids_dtg.inputs.task.trials import read_trials
from bids_dtg.notices import counted, named, say, show
from bids_dtg.report.presentation import Presentation
from bids_dtg.settings import Settings
from bids_dtg.statistics.glm.estimate import RunFit, fit_run
from bids_dtg.statistics.glm.files import (
    CAN_WRITE,
    LEVELS,
    FittedRun,
    write_combined_maps,
    write_run_maps,
)
from bids_dtg.statistics.glm.page import GlmPageFacts, write_glm_page
from bids_dtg.statistics.glm.tables import (
    condition_rows,
    contrast_rows,
    run_row,
    write_tables,
)
from bids_dtg.statistics.glm.task_run import (
    PlannedTaskRun,
    plan_task_run,
    read_series,
    strategy_options,
)
from bids_dtg.version import __version__
from bids_dtg.workflows import find_workflow

_OUTPUT_NAME = "Maps of task activity (bids_dtg)"

# Contrasts whose mean over people is drawn; each takes 7 MB of memory at 2 mm.
MOST_DRAWN = 12


def run_glm(settings: Settings) -> int:
    """Estimate the maps; return how many participants lack a requested run or map.

    Raises
    ------
    SettingsError
        There is no file of `--glm-model`, or it does not fit the events.
    DatasetError
        There is no dataset of fMRIPrep, or no run of the task that can be used.
    """
    call = GlmCall.prepare(settings)
    if settings.behaviour.dry_run:
        return call.print_plan()
    with call.results.begun():
        _describe(call)
        for number, (label, runs) in enumerate(call.runs.items()):
            call.do_participant(label, runs, number / len(call.runs))
        if not call.run_rows:
            raise DatasetError(
                f"no run of the task {call.model.task} could be analysed: the lines above have the "
                "reasons"
            )
        call.write_summary()
    return len(call.incomplete)


@dataclass(frozen=True, eq=False)
class GlmCall:
    """One call: runs of the participants, and results so far."""

    settings: Settings  # of the call
    model: GlmModel
    dataset: InputDataset  # of fMRIPrep
    results: ResultFolder
    runs: dict[str, tuple[TaskRun, ...]]  # by label of the participant
    left_out: list[tuple[str, str]] = field(default_factory=list)  # title, and why
    incomplete: set[str] = field(default_factory=set)  # participants who lack a run or map
    run_rows: list[dict[str, object]] = field(default_factory=list)
    condition_rows: list[dict[str, object]] = field(default_factory=list)
    contrast_rows: list[dict[str, object]] = field(default_factory=list)
    shown: list[PlannedTaskRun] = field(default_factory=list)  # the first run, for the page
    means: dict[str, MeanMap] = field(default_factory=dict)

    @classmethod
    def prepare(cls, settings: Settings) -> GlmCall:
        """Find runs and read all event files, before anything is written.

        Raises
        ------
        SettingsError, DatasetError
            As `run_glm`.
        """
        path = settings.statistics.glm_model
        if path is None:
            raise SettingsError(
                "--analysis glm needs --glm-model", expected="a TOML file with task and contrasts"
            )
        model = read_glm_model(path)
        if isinstance(model.confounds, str):
            find_strategy(model.confounds)
            strategy_options(model, settings.cleaning)
        inputs = settings.inputs
        dataset = find_dataset(inputs.bids_dir, statmaps_place(inputs.derivatives)[1], "fmriprep")
        output = DerivativeDataset(check_output_location(inputs.output_dir, dataset))
        call = cls(settings, model, dataset, ResultFolder.of(settings, output, *CAN_WRITE), {})
        for label in select_participants(dataset, inputs.participant_label):
            call._find(label)
        call._require_conditions(str(path))
        return call

    def do_participant(self, label: str, runs: Sequence[TaskRun], share: float) -> None:
        """Estimate a participant's runs in turn, and put those of each session together.

        Runs that cannot be used are reported, and the others are still estimated.
        """
        done: list[FittedRun] = []
        for number, task in enumerate(runs):
            say(f"{share + number / len(runs) / len(self.runs):4.0%} {task.run.title}")
            try:
                done.append(self._do_run(task))
            except RunError as err:
                self._leave_out(label, task.run.title, str(err))
        for _, members in _by_session(done):
            try:
                made = write_combined_maps(self.results, members, self.model)
            except RunError as err:
                self._leave_out(label, f"sub-{label}", str(err))
                continue
            for contrast, (places, z) in made.items():
                self._add_to_mean(contrast, places, z)

    def write_summary(self) -> None:
        """Write the tables, the page, and the description of the dataset."""
        name = f"First-level maps of the task {self.model.task} (bids_dtg)"
        self.results.dataset(name)
        # Each level has folders of participants: to BIDS it is a dataset.
        for level in LEVELS:
            if (self.results.path / level).is_dir():
                self.results.dataset(f"{name}, {level}", f"{level}/")
        write_tables(self.results, self.run_rows, self.condition_rows, self.contrast_rows)
        design = self.shown[0]
        write_glm_page(
            self.results,
            GlmPageFacts(
                model=self.model,
                source=str(self.dataset.description.get("Name") or self.dataset.root.name),
                simulated=bool(self.dataset.description.get("Simulated")),
                run_rows=self.run_rows,
                contrast_rows=self.contrast_rows,
                left_out=[(title, self._path_names.hide(why)) for title, why in self.left_out],
                design=design.design,
                design_title=design.run.title,
                means={
                    label: (mean.values, mean.places, mean.people)
                    for label, mean in self.means.items()
                },
            ),
        )
        people = len({row["participant_id"] for row in self.run_rows})
        say(
            f"{counted(len(self.run_rows), 'run')} of {counted(people, 'participant')}: maps for "
            f"--derivatives statmaps={self.results.path}"
        )

    def print_plan(self) -> int:
        """Print what would be done; return 0, as no failure."""
        number = sum(len(runs) for runs in self.runs.values())
        model = self.model
        show(
            f"task {model.task}: {counted(len(model.contrasts), 'contrast')} of "
            f"{counted(len(model.conditions), 'condition')}, {model.hrf}, {model.noise_model}"
        )
        show(
            f"{counted(number, 'run')} of {counted(len(self.runs), 'participant')} "
            f"({named([f'sub-{label}' for label in self.runs])})"
        )
        for title, why in self.left_out:
            show(f"left out: {title}: {why}")
        show(f"would write maps of z, effect and variance to {self.results.path}")
        show("no image was read, and no output was written")
        return 0

    @property
    def _path_names(self) -> PathNames:
        """Names that replace folders of this machine: a page may be published."""
        folders = {
            "output": self.results.output.root,
            "fmriprep": self.dataset.root,
            "bids": self.dataset.bids_dir,
        }
        return PathNames.of(folders).plus(machine_folders())

    def _find(self, label: str) -> None:
        inputs = self.settings.inputs
        selection = Selection(
            sessions=inputs.session_label, tasks=(self.model.task,), runs=inputs.run
        )
        try:
            self.runs[label] = find_task_runs(self.dataset, label, selection, self.model.space)
        except RunError as err:
            self._leave_out(label, f"sub-{label}", str(err))

    def _require_conditions(self, source: str) -> None:
        """Refuse contrasts of conditions that nobody has, before any image is read."""
        present: Counter[str] = Counter()
        for task in (task for runs in self.runs.values() for task in runs):
            if task.events is None:
                continue
            try:
                present.update(set(read_trials(task.events, self.model.trial_type).condition))
            except RunError:
                continue  # reported when the run is estimated
        if present:
            require_conditions(self.model, present, source)
        if not self.runs:
            raise DatasetError(
                f"{self.dataset.root} has no run of the task {self.model.task} that can be read",
                expected=f"*_task-{self.model.task}_*_space-{self.model.space.partition(':')[0]}_*"
                "_desc-preproc_bold.nii.gz",
                remedy="see the lines above",
            )

    def _do_run(self, task: TaskRun) -> FittedRun:
        plan = plan_task_run(task, self.model, self.settings.cleaning)
        for note in plan.notes:
            say(f"{task.run.title}: {note}")
        for contrast, why in plan.missing.items():
            self._leave_out(task.run.participant, f"{task.run.title}, {contrast}", why)
        places, series = read_series(plan, self.model.smoothing_fwhm)
        fit = fit_run(series, plan.design, plan.contrasts, self.model.noise_model)
        del series  # the largest array, before maps are written
        self._note(plan, fit)
        return write_run_maps(self.results, plan, places, fit, self.model)

    def _note(self, plan: PlannedTaskRun, fit: RunFit) -> None:
        if not self.shown:
            self.shown.append(plan)
        self.run_rows.append(run_row(plan, fit))
        self.condition_rows.extend(condition_rows(plan))
        self.contrast_rows.extend(contrast_rows(plan, fit, self.model))

    def _leave_out(self, label: str, title: str, why: str) -> None:
        self.incomplete.add(label)
        self.left_out.append((title, why))
        say(f"left out: {why}" if title in why else f"left out: {title}: {why}")

    def _add_to_mean(self, contrast: str, places: VoxelPlaces, z: NDArray[np.float32]) -> None:
        mean = self.means.get(contrast)
        if mean is None:
            if len(self.means) >= MOST_DRAWN:
                return
            mean = self.means.setdefault(contrast, MeanMap(places.grid))
        mean.add(places, z)


@dataclass(eq=False)
class MeanMap:
    """The mean of people's maps of one contrast, on the grid of the first."""

    grid: Grid
    people: int = 0  # number of maps added

    def __post_init__(self) -> None:
        size = int(np.prod(self.grid.shape))
        self._sum, self._count = np.zeros(size, np.float32), np.zeros(size, np.uint16)

    def add(self, places: VoxelPlaces, z: NDArray[np.float32]) -> None:
        """Add a map (voxels,); one on another grid is left out."""
        other = places.grid
        if other.shape != self.grid.shape or not np.allclose(other.affine, self.grid.affine):
            return
        known = np.isfinite(z)
        self._sum[places.positions[known]] += z[known]
        self._count[places.positions[known]] += 1
        self.people += 1

    @property
    def places(self) -> VoxelPlaces:
        """Voxels that all the maps have."""
        return VoxelPlaces(self.grid, np.flatnonzero(self._count == self.people))

    @property
    def values(self) -> NDArray[np.float32]:
        """(voxels,), the mean."""
        mean: NDArray[np.float32] = self._sum[self.places.positions] / np.float32(self.people)
        return mean


def _by_session(runs: Sequence[FittedRun]) -> Iterator[tuple[str, list[FittedRun]]]:
    sessions: dict[str, list[FittedRun]] = {}
    for run in runs:
        sessions.setdefault(run.run.session or "", []).append(run)
    yield from sessions.items()


def _describe(call: GlmCall) -> None:
    """Write the description of the output folder, if there is none of other results."""
    output = call.results.output
    presentation: Presentation = find_workflow(call.settings.inputs.workflow).presentation()
    words = DatasetWords(
        name=_OUTPUT_NAME,
        citation=presentation.citation.format(version=__version__),
        readme="First-level maps of task runs, measured: the folders of group/ hold z, effect "
        "and variance of each contrast, of single runs and of runs put together, with tables and "
        "a page on how they were made.\n",
    )
    # Its own may be what a call left that was killed before the files beside it.
    described = read_json(output.root / "dataset_description.json")
    if described and described.get("Name") != words.name:
        return
    output.describe(call.dataset, words, version=__version__, container=running_container())
