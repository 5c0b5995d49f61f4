"""A run of an analysis that trains or uses a model of regions: people, model, result folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from bids_dtg.bundles.fitted import FittedBundle
from bids_dtg.bundles.training_hashes import TrainingHashes, labels_alone
from bids_dtg.cohort.participant_sources import ModelParticipants
from bids_dtg.cohort.recognised_participants import RELATED, TRAINED
from bids_dtg.cohort.result_folder import (
    DEFAULT_NAME,
    MODEL,
    ResultFolder,
)
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import SettingsError
from bids_dtg.files.derivatives import (
    DatasetWords,
    DerivativeDataset,
    SourceDataset,
    check_output_location,
)
from bids_dtg.files.paths import PathNames
from bids_dtg.inputs.dataset import name_folder
from bids_dtg.notices import counted, named, say, show
from bids_dtg.report.page import Page
from bids_dtg.settings import Settings

People = TypeVar("People", bound=ModelParticipants[Any])
Model = TypeVar("Model", bound=FittedBundle[Any])


@dataclass(frozen=True, eq=False)
class ModelAnalysis(ABC, Generic[People, Model]):
    """A run of an analysis; the workflows define how models and people are read."""

    page_name: ClassVar[str]  # file name of its page

    settings: Settings  # its options
    people: People  # the participants
    dataset: SourceDataset  # the folder that names the dataset
    results: ResultFolder
    bundle: Model | None  # the model; None where one is trained, or one for each fold

    @classmethod
    @abstractmethod
    def load(cls, name: str) -> Model:
        """Return the model that ``--model`` names."""

    @classmethod
    @abstractmethod
    def gather(cls, settings: Settings, bundle: Model | None) -> People:
        """Find people to train or evaluate a model on; refuse people with other regions."""

    @abstractmethod
    def words(self) -> DatasetWords:
        """Return the description of the output."""

    @classmethod
    @abstractmethod
    def folders(cls, settings: Settings) -> Mapping[str, Path | None]:
        """Return folders of this machine by the names that replace them in files."""

    @abstractmethod
    def plan(self, labels: Sequence[str]) -> Iterator[str]:
        """Yield lines for ``--dry-run`` on the content of the given people's files."""

    @classmethod
    def prepare(cls, settings: Settings, result_kind: str, *can_write: str) -> Self:
        """Check options, files and model before anything is written.

        Parameters
        ----------
        settings
            Options of the run.
        result_kind
            What is made: a model, or an evaluation, a simulation … of one.
        can_write
            Names of files that can be written, as for `ResultFolder`.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Options, files or model are wrong, or people have other regions than the model.
        """
        dataset = name_folder(settings.inputs.bids_dir)
        output = check_output_location(settings.inputs.output_dir, dataset)
        bundle = None
        by_folds = settings.statistics.folds is not None
        if by_folds and settings.inputs.model is not None:
            raise SettingsError(
                "--folds and --model were given",
                expected="one of them; --folds trains a model for each fold",
            )
        if result_kind != MODEL and not by_folds:
            assert settings.inputs.model is not None  # which these analyses need
            bundle = cls.load(settings.inputs.model)
        people = cls.gather(settings, bundle)
        folders = {
            "bids": dataset.root,
            "output": output,
            "model": None if bundle is None else bundle.path,
            **cls.folders(settings),
        }
        for number, path in enumerate(settings.modelling.input_arrays, 1):
            folders[f"arrays{number}"] = Path(path).expanduser().absolute().parent
        results = ResultFolder.for_model(
            settings,
            DerivativeDataset(output),
            result_kind,
            bundle,
            can_write,
            PathNames().plus(folders),
        )
        if bundle is None:
            results = results.with_provenance(people.files, dataset.root)
        say(*people.notes)
        return cls(settings, people, dataset, results, bundle)

    @property
    def name(self) -> str:
        """Name of the model that is made."""
        return self.settings.modelling.model_name or DEFAULT_NAME

    @property
    def model(self) -> Model:
        """The model of ``--model``, in an analysis that reads one."""
        assert self.bundle is not None
        return self.bundle

    @property
    def data_set(self) -> str:
        """The name in the folder's description, else the folder's name."""
        return self.dataset.described_name

    @cached_property
    def sketches(self) -> Mapping[str, tuple[str, ...]]:
        """Sketches of the participants; empty for a model that knows people by label alone."""
        if self.bundle is None or self.bundle.people is None:
            return {}
        return self.people.sketches(self.people.labels)

    def training_hashes(self, labels: Sequence[str]) -> TrainingHashes:
        """Return hashes of people to train a model on, for its bundle."""
        return TrainingHashes.of_training(
            self.data_set,
            self.people.sketches(labels),
            self.people.source.families.by_label,
        )

    @cached_property
    def seen(self) -> Mapping[str, str]:
        """Why the model's training participants and their relatives are left out, by label."""
        bundle, people = self.model, self.people
        table = people.source.families.by_label
        relatives = bundle.relatives(
            people.labels, self.data_set, table, people.families
        )
        trained = bundle.in_training_set(people.labels, self.data_set, self.sketches)
        return dict.fromkeys(relatives, RELATED) | dict.fromkeys(trained, TRAINED)

    def say_if_by_label(self) -> None:
        """Warn of a model that lists its training participants only by label."""
        if self.bundle is not None and not self.bundle.by_content:
            say(f"warning: {labels_alone(self.bundle.name)}")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Start to write results, as `ResultFolder.writing`, and describe the output dataset."""
        with self.results.writing():
            self.results.output.describe(self.dataset, self.words())
            yield

    def write(self, tables: Mapping[str, ResultTable], page: Page) -> None:
        """Write tables, by the names of their files, and the page."""
        for name, table in tables.items():
            self.results.table(name, table)
        self.results.page(page, self.page_name)

    def print_plan(self, results: str, labels: Sequence[str]) -> int:
        """Print what would be done for participants; return 0, the number of failures.

        `results` names what would be written.
        """
        show(*self.plan(labels))
        show(f"would process {counted(labels, 'participant')} ({named(labels)})")
        show(f"would write {results} to {self.results.path}")
        show("no output was written")
        return 0
