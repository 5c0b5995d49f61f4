"""The checked request of a call for later trials by a model without a network: no rest is read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from bids_dtg.cleaning.strategies import resolve
from bids_dtg.cleaning.words import Lacking
from bids_dtg.cohort.result_folder import data_set_name
from bids_dtg.cohort.seen_people import labels_alone
from bids_dtg.engine.capacity import divide
from bids_dtg.errors import DatasetError, RunError, SettingsError
from bids_dtg.files.derivatives import (
    DatasetWords,
    DerivativeDataset,
    check_output_location,
    participants_in,
    refuse_model_folder,
)
from bids_dtg.files.names import plain_label
from bids_dtg.files.provenance import package_versions
from bids_dtg.imaging.grid import Grid, standard_grid
from bids_dtg.inputs.dataset import InputDataset, name_folder
from bids_dtg.notices import counted, named
from bids_dtg.participants.averages import AveragedRuns
from bids_dtg.participants.dry_run import head_of
from bids_dtg.participants.request import CallRequest
from bids_dtg.report.methods import laid_out
from bids_dtg.report.presentation import Presentation
from bids_dtg.settings import Combine, Settings
from bids_dtg.twin.bundle.mixed_effects import MixedEffectsBundle, load_mixed_effects_bundle
from bids_dtg.twin.own_trials.first_trials import Own
from bids_dtg.twin.panels.presentation import PRESENTATION
from bids_dtg.twin.panels.words import ModelOfTwins, methods_without_network
from bids_dtg.twin.participant.event_trials import sketch_run
from bids_dtg.twin.participant.events import AverageEvents, PerformedRun, TaskEvents
from bids_dtg.twin.participant.infer import SeenTrials
from bids_dtg.twin.participant.own_trials import (
    NOT_PREDICTED,
    known_tasks,
    own_of,
    own_words,
    require_some,
)
from bids_dtg.twin.participant.without_network import refuse_network_options
from bids_dtg.version import __version__

_BYTES = 300e6  # of a process


class EventsDataset(InputDataset):
    """A dataset of which event files alone are read."""

    @property
    def title(self) -> str:
        """What it is, for messages."""
        return "dataset of event files"


@dataclass(frozen=True, eq=False)
class TrialsRequest(CallRequest):
    """What a call asks for. Steps of the work get what they use of it."""

    presentation: ClassVar[Presentation] = PRESENTATION

    bundle: MixedEffectsBundle
    events: TaskEvents  # event files of the model's tasks
    own: Own  # trials of each task that are known of a person

    @classmethod
    def prepare(cls, settings: Settings) -> TrialsRequest:
        """Check everything that can be checked before anything is written.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Wrong options, dataset or model.
        """
        refuse_network_options(settings)
        bundle, own = load_mixed_effects_bundle(settings.inputs.model), own_of(settings)
        if own is None:
            raise SettingsError(
                f"--model {bundle.card.name} was given without --own-trials",
                expected="--own-trials N, or half: the model has no network, and predicts from a "
                "person's first trials",
            )
        source = name_folder(settings.inputs.bids_dir)
        dataset = EventsDataset(source.root, source.name, source.description, source.bids_dir)
        output = check_output_location(settings.inputs.output_dir, dataset)
        refuse_model_folder(output, bundle.path)
        events = TaskEvents.of_tasks(settings, bundle.part.tasks)
        participants = _asked(settings, events)
        strategy = resolve(settings.cleaning, dataset.input_type).denoise_strategy
        return cls(
            settings=settings.replace(denoise_strategy=strategy),
            dataset=dataset,
            participants=participants,
            bids_filter={},
            output=DerivativeDataset(output),
            capacity=divide(
                settings.resources, units=len(participants), bytes_each=_BYTES, on_cpu=True
            ),
            bundle=bundle,
            events=events,
            own=own,
        )

    @property
    def grid(self) -> Grid:
        """A grid, on which nothing is read."""
        return standard_grid()

    @property
    def combine(self) -> Combine:
        """All runs of a person are read together."""
        return "participant"

    @property
    def model_folder(self) -> Path:
        """The folder of the model."""
        return self.bundle.path

    @property
    def _lacking(self) -> str:
        """Who has a folder and no event file; empty: nobody, or labels were given."""
        if self.settings.inputs.participant_label:
            return ""
        there = {file.participant for file in self.events.files}
        without = [label for label in participants_in(self.dataset.root) if label not in there]
        people = counted(len(without), "participant")
        return f"left out: {people} without an event file ({named(without)})" if without else ""

    @property
    def in_words(self) -> str:
        """What is read, for the plan of a call."""
        lacking = f"; {self._lacking}" if self._lacking else ""
        return f"{self.dataset.root}: event files of {named(self.events.names)} are read{lacking}"

    def notes(self) -> Iterable[str]:
        """Yield lines on the model and the event files."""
        card = self.bundle.card
        yield f"{card.name} has no network: no rest is read, and no connectome is made"
        if card.notice:
            yield f"{card.name}: {card.notice}"
        if not self.bundle.by_content:
            yield labels_alone(card.name)
        yield from self.events.notes
        if self._lacking:
            yield self._lacking
        yield f"{own_words(self.own)} of a person are known, and those after them are predicted"

    def dataset_words(self) -> DatasetWords:
        """Return the description of the workflow's output."""
        return self.presentation.dataset_words()

    def keep_shared(self) -> None:
        """Keep nothing."""
        return

    def averages(self, participant: str) -> tuple[AveragedRuns, ...]:
        """Return the participant, without runs of rest."""
        return (AveragedRuns((), (("sub", participant),)),)

    def input_files(self, planned: AveragedRuns) -> Iterable[Path]:
        """Yield the event files of a participant."""
        return self.events.paths(planned)

    def shaping_options(self) -> dict[str, Any]:
        """Return the options that results depend on, in addition to the inputs."""
        own = {"tasks": self.events.identity, "model": self.bundle.identity, "own_trials": self.own}
        return {**super().shaping_options(), **own}

    def plan(self, planned: AveragedRuns, reason: str) -> tuple[bool, list[str]]:
        """Return whether a participant would fail, and the lines about it."""
        found = self.events.of(planned)
        try:
            seen = self.see(found)
            known = [task.name for task in self.bundle.part.tasks]
            tasks, notes = known_tasks(known, seen, self.own, NOT_PREDICTED)
            require_some(tasks, notes)
        except RunError as err:
            return True, [f"{planned.title}: would fail: {err}"]
        names = named([each.task for each in tasks])
        head = head_of(
            planned, f"behaviour in {names} by {self.bundle.card.name}", self.output, reason
        )
        of_files = [f"    {note}" for note in (*found.notes, *notes)]
        return False, [head, *self.events.plan(planned), *of_files]

    def see(self, found: AverageEvents) -> SeenTrials:
        """Return a participant's own trials.

        Raises
        ------
        RunError
            No event file can be used.
        """
        if not found.runs:
            raise RunError(f"no event file can be used: {'; '.join(found.troubles)}")
        return SeenTrials.of(found.runs, self.events.tasks)

    def note_on(self, participant: str, runs: Iterable[PerformedRun]) -> str:
        """Return a sentence if the participant, of these runs, is in the model's training set."""
        name = data_set_name(self.settings, self.dataset)
        return self.bundle.note_on(participant, name, [sketch_run(run.trials) for run in runs])

    def methods(self, lacking: Lacking) -> str:
        """Write the methods text."""
        card, part = self.bundle.card, self.bundle.part
        packages = ", ".join(f"{name} {number}" for name, number in package_versions().items())
        paragraphs = methods_without_network(
            f"{card.name} {card.version} (SHA-256 {self.bundle.identity})",
            ModelOfTwins(part.people, tuple(task.name for task in part.tasks), part.data_set),
            own_words(self.own),
            __version__,
        )
        return laid_out((*paragraphs, card.notice, f"Software: {packages}."), "")


def _asked(settings: Settings, events: TaskEvents) -> tuple[str, ...]:
    """Return the labels of those who are asked for.

    Raises
    ------
    DatasetError
        Somebody has no event file of the model's tasks.
    """
    there = tuple(dict.fromkeys(file.participant for file in events.files))
    asked = [plain_label(label, "sub") for label in settings.inputs.participant_label]
    if absent := [label for label in asked if label not in there]:
        raise DatasetError(
            f"{named([f'sub-{label}' for label in absent])}: no event file of "
            f"{named(events.names)}",
            expected=f"labels such as {named(there)}",
        )
    return tuple(label for label in there if not asked or label in asked)
