"""The checked request for connectomes and twins."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bids_dtg.cohort.group_participants import table_path
from bids_dtg.errors import RunError
from bids_dtg.extras import require
from bids_dtg.files.names import plain_label
from bids_dtg.inputs.events import events_of
from bids_dtg.inputs.rest_sketch import sketch_edges
from bids_dtg.inputs.runs import list_series
from bids_dtg.inputs.selection import Selection
from bids_dtg.notices import counted, named
from bids_dtg.participants.parcels import MeasuredSeries, ParcelRequest
from bids_dtg.participants.request import AveragedRuns
from bids_dtg.report.presentation import Presentation
from bids_dtg.settings import Settings
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.options import TwinOptions
from bids_dtg.twin.panels.averages import PRESENTATION
from bids_dtg.twin.panels.words import TwinMethods
from bids_dtg.twin.participant.connectomes import OF_PARCELS, Edges
from bids_dtg.twin.participant.covariates import read_covariates
from bids_dtg.twin.participant.events import TaskEvents, find_task_files
from bids_dtg.twin.participant.task_bold import TaskRun, each_alone, with_event_files
from bids_dtg.twin.tasks import SHIPPED, Task, find_task


@dataclass(frozen=True, eq=False)
class TwinRequest(ParcelRequest[TwinBundle]):
    """The checked request; steps of the work get the parts that they use."""

    presentation: ClassVar[Presentation] = PRESENTATION
    second_atlas: ClassVar[str] = "task BOLD"
    without_model: ClassVar[str] = "connectomes alone"

    # Event files of the model's tasks; None: there is no model.
    events: TaskEvents | None
    tasks: tuple[Task, ...]  # whose runs are read as series of regions as well
    reads_task_runs: bool = False  # whether it is the request for these runs alone

    def as_the_model_takes(self, participant: str, edges: Edges) -> Edges:
        """Return a connectome (edges,), adjusted for the model's covariates, such as age.

        Raises
        ------
        SettingsError
            There is no table of participants with the columns, or no value of the participant.
        """
        adjustment = None if self.bundle is None else self.bundle.adjustment
        if adjustment is None:
            return edges
        covariates = read_covariates(self.settings, (participant,), adjustment)
        (adjusted,) = adjustment.apply(edges[None], covariates)
        return np.asarray(adjusted, np.float32)

    @classmethod
    def prepare(cls, settings: Settings) -> TwinRequest:
        """Check everything that can be checked before anything is written.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Wrong options, dataset or model.
        """
        fields = cls.shared_fields(settings, _load)
        settings, bundle = fields["settings"], fields["bundle"]
        events = None if bundle is None else TaskEvents.find(settings, bundle)
        return cls(**fields, events=events, tasks=_tasks(settings, bundle))

    @cached_property
    def for_task_runs(self) -> TwinRequest:
        """The request for task runs: series of the last atlas, cleaned for a GLM."""
        settings = self.settings.replace(low_pass=None, gsr=False, min_minutes=0.0)
        return replace(
            self,
            settings=settings,
            atlases=self.atlases[-1:],
            bundle=None,
            events=None,
            reads_task_runs=True,
        )

    def averages(self, participant: str) -> tuple[AveragedRuns, ...]:
        """Find a participant's runs of rest and group them; task runs follow, each alone.

        Raises
        ------
        RunError
            There is no run of rest that can be used.
        """
        return (*super().averages(participant), *self._task_runs(participant))

    def _task_runs(self, participant: str) -> tuple[AveragedRuns, ...]:
        """Find a participant's task runs with an event file; warn about the others."""
        session_labels = self.settings.inputs.session_label
        sessions = [plain_label(label, "ses") for label in session_labels]
        measured = {
            file.task
            for file in list_series(self.dataset, participant)
            if not sessions or file.session in sessions
        }
        names = [name for task in self.tasks for name in task.bids_tasks]
        tasks = [name for name in names if name in measured]
        if not tasks:
            return ()
        bids_filter = {**self.bids_filter}
        bids_filter.pop("task", None)
        try:
            if self.dataset.input_type == "xcpd":
                raise RunError("XCP-D has filtered them, and may have left frames out")
            selection = Selection(session_labels, tasks, bids_filter)
            runs = self.for_task_runs.runs(participant, selection)
            folder = self.dataset.bids_dir / f"sub-{participant}"
            return each_alone([*with_event_files(runs, events_of(folder, participant))])
        except RunError as err:
            warnings.warn(
                f"sub-{participant}: task runs are not read: {err}", stacklevel=2
            )
            return ()

    def for_average(self, planned: AveragedRuns) -> TwinRequest:
        """Return the request for the runs of an average."""
        return self.for_task_runs if is_of_task(planned) else self

    def methods(self, planned: AveragedRuns | None = None) -> str:
        """Write the methods text of averages."""
        text = super().methods(planned)
        # The paragraphs on sources and cleaning are shared with all workflows, which read rest.
        return text.replace("resting-state", "task") if self.reads_task_runs else text

    def notes(self) -> Iterator[str]:
        """Yield lines on the atlas, the model and the event files."""
        yield f"connectomes between the {counted(self.regions, 'parcel')} of {self.atlas.key}"
        if len(self.atlases) > 1:
            bold = self.for_task_runs
            yield f"task BOLD in the {counted(bold.regions, 'parcel')} of {bold.atlas.key}"
        yield from super().notes()
        if self.connectome_note:
            yield self.connectome_note
        if self.events is not None:
            yield from self.events.notes

    @property
    def connectome_note(self) -> str:
        """A sentence where the model was fitted to connectomes of another kind; else empty."""
        if self.bundle is None or self.bundle.part.connectome == OF_PARCELS:
            return ""
        name, kind = self.bundle.name, self.bundle.part.connectome
        return f"connectomes here are {OF_PARCELS}; {name} was fitted to {kind}"

    def notes_on_model(self, participant: str, edges: Edges) -> Iterator[str]:
        """Yield a sentence if the participant, with these edges, is in the model's training set."""
        if self.bundle is None:
            return
        if note := self.note_on_training(participant, sketch_edges(edges)):
            yield note

    def input_files(self, planned: AveragedRuns) -> Iterable[Path]:
        """Yield the files that an average depends on."""
        yield from super().input_files(planned)
        if self.events is not None:
            yield from self.events.paths(planned)
        if self.bundle is not None and self.bundle.adjustment is not None:
            yield from filter(None, [table_path(self.settings)])

    def shaping_options(self) -> dict[str, Any]:
        """Return the options that results depend on, in addition to the inputs."""
        options = super().shaping_options()
        # By content, so that a task file may move.
        options["tasks"] = None if self.events is None else self.events.identity
        return options

    def require_usable(self, measured: MeasuredSeries) -> None:
        """Refuse a run of rest that lacks the series of a parcel, if a model needs all edges."""
        if not isinstance(measured.run, TaskRun):
            super().require_usable(measured)

    def would_make(self, planned: AveragedRuns) -> tuple[str, list[str]]:
        """Describe the results that an average would give, with lines on its event files."""
        parcels = counted(self.regions, "parcel")
        for run in planned.runs:
            if isinstance(run, TaskRun):
                return f"series of {parcels}", [f"    on the clock of {run.events}"]
        what = f"a connectome of {parcels}"
        if self.bundle is None or self.events is None:
            return what, []
        what += f" and behaviour in {named(self.events.names)} by {self.bundle.name}"
        return what, [*self.events.plan(planned)]

    def methods_facts(self) -> TwinMethods:
        """Return the facts for the methods text."""
        return TwinMethods(
            self.series_words,
            self.combine,
            tasks=() if self.events is None else self.events.names,
            model=None if self.bundle is None else self.bundle.part,
            reads_task_runs=self.reads_task_runs,
        )


def is_of_task(planned: AveragedRuns) -> bool:
    """Return whether an average is a task run, which is in no connectome."""
    return any(isinstance(run, TaskRun) for run in planned.runs)


def _tasks(settings: Settings, bundle: TwinBundle | None) -> tuple[Task, ...]:
    """Return the tasks: the model's, those of ``--task-file``, or those that ship.

    Raises
    ------
    SettingsError, DatasetError
        A task that was asked for does not exist, or there are no event files of it.
    """
    if bundle is not None:
        return bundle.part.tasks
    if settings.part(TwinOptions).task_file or len(settings.outputs.atlases) > 1:
        return find_task_files(settings, None)[0]
    return tuple(map(find_task, SHIPPED))


def _load(name_or_path: str) -> TwinBundle:
    """Load a model.

    Raises
    ------
    SettingsError
        PyTorch is not installed.
    BundleError
        No model has this name, or it is damaged.
    """
    require(
        "--workflow twin with --model",
        "torch",
        extra="train",
        otherwise="leave --model out",
    )
    return TwinBundle.load(name_or_path)
