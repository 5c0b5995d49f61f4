"""The part that analyses of digital twins share: models, people with connectomes and events."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bids_dtg.cohort.model_analysis import ModelAnalysis
from bids_dtg.cohort.recognised_participants import TRAINED, say_left_out
from bids_dtg.cohort.region_tables import UNKNOWN_CLEANING
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.columns import Column
from bids_dtg.files.derivatives import DatasetWords
from bids_dtg.inputs.participants import plain_column
from bids_dtg.notices import counted, named, say
from bids_dtg.report.tables import Table
from bids_dtg.settings import Settings
from bids_dtg.twin.bold_runs import People
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.judging.predictions import Cohort
from bids_dtg.twin.options import TwinOptions
from bids_dtg.twin.panels.words import DATASET
from bids_dtg.twin.participant.connectomes import connectome_notes
from bids_dtg.twin.participant.covariates import read_covariates
from bids_dtg.twin.participant.events import Behaviour
from bids_dtg.twin.participant.twin_participants import TwinParticipants

_OF_TRAINING = ("architecture", "recipe", "epochs", "batch_size", "learning_rate")


class TwinAnalysis(ModelAnalysis[TwinParticipants, TwinBundle]):
    """One run of an analysis of digital twins."""

    page_name: ClassVar[str] = "twin_report.html"

    @classmethod
    def load(cls, name: str) -> TwinBundle:
        """Return the twin that ``--model`` names."""
        return TwinBundle.load(name)

    @classmethod
    def gather(cls, settings: Settings, bundle: TwinBundle | None) -> TwinParticipants:
        """Find people with a connectome and events, and the model's edges and covariates."""
        if bundle is None:
            return TwinParticipants.prepare(settings)
        _require_same_covariates(settings.statistics.covariates, bundle)
        part = bundle.part
        people = TwinParticipants.prepare(
            settings, part.tasks, part.atlas, bool(bundle.bold_regions)
        )
        _require_same_connectomes(people, bundle)
        return people

    def words(self) -> DatasetWords:
        """Return the words of the output's dataset description."""
        return DATASET

    @classmethod
    def folders(cls, settings: Settings) -> Mapping[str, Path | None]:
        """Return local folders that options name, by the placeholders that replace them."""
        split = settings.modelling.split_file
        files = {} if split is None else {"split-file1": split}
        for number, name in enumerate(settings.part(TwinOptions).task_file, 1):
            files[f"task-file{number}"] = Path(name)
        return {name: path.absolute().parent for name, path in files.items()}

    def plan(self, labels: Sequence[str]) -> Iterator[str]:
        """Yield lines that describe the files of the people who would be analysed."""
        people, source = self.people, self.people.source
        files = ", ".join(str(path) for path in source.paths)
        yield f"{files}: {counted(source.edges, 'edge')} a connectome ({source.words})"
        for task in people.tasks.tasks:
            performers = [people.behaviour[label] for label in labels]
            runs = sum(len(person.of(task)) for person in performers)
            scored = sum(person.scored(task) for person in performers)
            yield f"{task.name}: {counted(runs, 'run')}, {counted(scored, 'scored trial')}"

    def require_unseen(
        self, fewest_training: int, fitted: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the participants outside the model's training set, and those in it; report these.

        Relatives of training people are in neither.

        Parameters
        ----------
        fewest_training
            Number of training participants that baselines need.
        fitted
            What is fitted to them if there are as many, as "baselines".

        Raises
        ------
        DatasetError
            Nobody is outside the training set.
        """
        labels = self.people.labels
        self.say_if_by_label()
        seen = tuple(label for label in labels if self.seen.get(label) == TRAINED)
        unseen = tuple(label for label in labels if label not in self.seen)
        if not unseen:
            raise DatasetError(
                f"the model {self.model.name} was fitted to everybody here "
                f"({counted(seen, 'participant')})",
                expected="people outside its training set",
                remedy="give files of other people, or train with --split-file, which keeps some "
                "apart",
            )
        remark = (
            f"; {fitted} are fitted to them" if len(seen) >= fewest_training else ""
        )
        say_left_out(self.seen, remark)
        return unseen, seen

    def cohort(self, labels: Sequence[str]) -> Cohort:
        """Read people's connectomes, trials, and the covariates of the model or of the options.

        Raises
        ------
        DtgError
            Values cannot be used, or the table of participants has no column that is needed.
        """
        adjustment = None if self.bundle is None else self.bundle.adjustment
        return Cohort(
            tuple(labels),
            self.people.stacked(self.people.runs(labels)),
            self.people.source.connectomes(labels),
            read_covariates(self.settings, labels, adjustment),
            self.people.families.by_label,
            self._bold(labels),
        )

    def training_cohort(self, labels: Sequence[str]) -> tuple[Cohort, tuple[str, ...]]:
        """Read the people of a fit, as `cohort` does, and the warnings of implausible connectomes.

        Raises
        ------
        DtgError
            As for `cohort`, or all connectomes are the same.
        """
        people = self.cohort(labels)
        odd = connectome_notes(people.connectomes, labels, self.people.families)
        say(*(f"warning: {line}" for line in odd))
        return people, odd

    def _bold(self, labels: Sequence[str]) -> People | None:
        """Read BOLD of people's runs of tasks; None where nobody has any.

        Raises
        ------
        DatasetError
            Its regions are not those of the model.
        """
        task_bold, bundle = self.people.task_bold, self.bundle
        if task_bold is None:
            return None
        if bundle is not None and task_bold.regions != bundle.bold_regions:
            raise DatasetError(
                f"task BOLD has {counted(task_bold.regions, 'region')} "
                f"({named(task_bold.regions)}), and the model {bundle.name} has "
                f"{named(bundle.bold_regions)}",
                expected="the same regions in the same order",
            )
        return self.people.bold(labels)


def refuse_training_options(settings: Settings, instead: str = "") -> None:
    """Refuse options of training together with ``--model``.

    Parameters
    ----------
    settings
        Options of the run.
    instead
        What may be given with them instead of a model, as ``--folds N``; empty: nothing.

    Raises
    ------
    SettingsError
        Naming them.
    """
    settings.refuse(_OF_TRAINING, "--model, whose training is done", instead)


def _require_same_covariates(names: Sequence[str], bundle: TwinBundle) -> None:
    """Refuse ``--covariates`` other than the model's; if none are given, the model's are read."""
    model_names = () if bundle.adjustment is None else bundle.adjustment.asked
    if names and {*map(plain_column, names)} != {*map(plain_column, model_names)}:
        raise SettingsError(
            f"--covariates names {named(names)}, and the model {bundle.name} adjusts for "
            f"{named(model_names) or 'none'}",
            expected="those of the model, or no --covariates; others need train or --folds",
        )


def _require_same_connectomes(people: TwinParticipants, bundle: TwinBundle) -> None:
    """Refuse connectomes with other edges than the model's; warn of another kind or cleaning."""
    source, name = people.source, bundle.name
    if source.places_named:
        bundle.require_regions(
            source.regions, atlas=source.atlas, atlas_digest=source.atlas_digest
        )
    elif source.edges != bundle.part.edges:
        raise DatasetError(
            f"the files have connectomes of {counted(source.edges, 'edge')}, and the model {name} "
            f"was fitted to connectomes of {bundle.part.edges}",
            expected="the same regions in the same order",
        )
    if bundle.regions and not source.places_named:
        say(
            f"warning: edges here have no names of regions (places), so it cannot be checked "
            f"that they are those of the model {name}, in its order"
        )
    if source.words != bundle.part.connectome:
        say(
            f"warning: connectomes here are {source.words}; the model {name} was fitted "
            f"to {bundle.part.connectome}"
        )
    model_cleaning = bundle.card.training.cleaning
    if (
        UNKNOWN_CLEANING not in (model_cleaning, source.cleaning)
        and model_cleaning != source.cleaning
    ):
        say(
            f"warning: runs here were cleaned by {source.cleaning}; the training set of "
            f"the model {name}, by {model_cleaning}"
        )


PARTICIPANTS = "desc-participants_trials"
Row = dict[str, Any]
_PARTICIPANTS = (
    Column("participant_id", "Participant"),
    Column("used", "Whether the model was fitted to the participant"),
    Column(
        "set",
        "Set of --split-file: training, validation, calibration or test; without it, training",
    ),
    Column("reason", "Why the participant was not used"),
)
_OF_TASK = (
    Column("trials_{}", "Scored trials of the task {}, in all runs"),
    Column(
        "unscored_{}",
        "Trials of the task {} that are not scored: responses that are implausibly fast or lack a "
        "time or a button, and trials that were never seen",
    ),
    Column(
        "share_correct_{}",
        "Share of the scored trials of the task {} with the correct button; misses count as errors",
    ),
    Column(
        "below_chance_{}",
        "Whether that share is below chance, 1 / number of buttons of the task {}",
    ),
)
_UNREADABLE = Column("unreadable_runs", "Event files that could not be read")


def participants_table(people: TwinParticipants) -> ResultTable:
    """Return the table of requested participants: trials, whether used, and why not."""
    rows: list[Row] = []
    set_of = {
        label: name
        for name, labels in dataclasses.asdict(people.split).items()
        for label in labels
    }
    for label in (*people.labels, *people.left_out):
        behaviour = people.behaviour.get(label, Behaviour((), ()))
        row = {
            "participant_id": f"sub-{label}",
            "used": set_of.get(label) == "training",
            "set": set_of.get(label),
            "reason": people.left_out.get(label)
            or (None if label in set_of else "not in --split-file"),
            "unreadable_runs": len(behaviour.troubles),
        }
        for task in people.tasks.tasks:
            performed = bool(behaviour.of(task))
            row |= {
                f"trials_{task.name}": behaviour.scored(task),
                f"unscored_{task.name}": behaviour.left_out(task),
                f"share_correct_{task.name}": behaviour.share_correct(task)
                if performed
                else None,
                f"below_chance_{task.name}": behaviour.below_chance(task)
                if performed
                else None,
            }
        rows.append(row)
    trials = (column.of(name) for name in people.tasks.names for column in _OF_TASK)
    return ResultTable(
        (*_PARTICIPANTS, *trials, _UNREADABLE),
        rows,
        "Requested participants: one row each",
    )


def trials_on_page(people: TwinParticipants, labels: Sequence[str]) -> Table:
    """Return the page's table of the trials that a model was fitted to."""
    rows = []
    for task in people.tasks.tasks:
        performers = [
            people.behaviour[label]
            for label in labels
            if people.behaviour[label].of(task)
        ]
        row = (
            task.name,
            len(performers),
            sum(person.scored(task) for person in performers),
            sum(person.left_out(task) for person in performers),
            float(np.nanmean([person.share_correct(task) for person in performers]))
            if performers
            else np.nan,
        )
        rows.append(row)
    columns = (
        "task",
        "participants",
        "scored trials",
        "trials not scored",
        "share correct",
    )
    return Table("Trials that the model was fitted to", columns, rows)
