"""One call of an analysis of a model of regions: people, model and folder of results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from bids_dtg.bundles.bundle import Bundle
from bids_dtg.cohort.region_people import model_given
from bids_dtg.cohort.result_folder import DEFAULT_NAME, MODEL, ResultFolder, data_set_name
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import SettingsError
from bids_dtg.files.derivatives import (
    DatasetWords,
    DerivativeDataset,
    SourceDataset,
    check_output_location,
    refuse_model_folder,
)
from bids_dtg.files.paths import PathNames
from bids_dtg.inputs.dataset import name_folder
from bids_dtg.notices import counted, named, say, show
from bids_dtg.report.page import Page
from bids_dtg.settings import Settings

People = TypeVar("People", bound=Any)  # has the files, the source and notes of its workflow
Model = TypeVar("Model", bound=Bundle[Any])


@dataclass(frozen=True, eq=False)
class ModelAnalysis(ABC, Generic[People, Model]):
    """One call of an analysis; the workflows define how models and people are read."""

    page_name: ClassVar[str]  # file name of its page

    settings: Settings  # its options
    people: People  # the participants
    dataset: SourceDataset  # the folder that names the data set
    results: ResultFolder
    bundle: Model | None  # the model; None: the call makes one, or one for each fold

    @classmethod
    @abstractmethod
    def load(cls, name: str) -> Model:
        """Return the model that ``--model`` names."""

    @classmethod
    @abstractmethod
    def gather(cls, settings: Settings, bundle: Model | None) -> People:
        """Find people to train or evaluate a model on, and refuse people with other regions."""

    @abstractmethod
    def words(self) -> DatasetWords:
        """Return the description of the output."""

    @classmethod
    @abstractmethod
    def folders(cls, settings: Settings) -> Mapping[str, Path | None]:
        """Return names that replace folders of this machine."""

    @abstractmethod
    def plan(self, labels: Sequence[str]) -> Iterator[str]:
        """Yield lines on the content of the files, for the given people."""

    @classmethod
    def prepare(cls, settings: Settings, makes: str, *can_write: str) -> Self:
        """Check options, files and model before anything is written.

        Parameters
        ----------
        settings
            Options of the call, composed and checked.
        makes
            What the call makes: a model, or an evaluation, a simulation … of one.
        can_write
            Names of files that the call can write, as for `ResultFolder`.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Wrong options, files or model, or people with other regions than the model's.
        """
        dataset = name_folder(settings.inputs.bids_dir)
        output = check_output_location(settings.inputs.output_dir, dataset)
        bundle, by_folds = None, settings.statistics.folds is not None
        if by_folds and model_given(settings):
            raise SettingsError(
                "--folds and --model were given",
                expected="one of them: with --folds, a model is trained on the others of each fold",
            )
        if makes != MODEL and not by_folds:
            bundle = cls.load(settings.inputs.model)
            refuse_model_folder(output, bundle.path)
        people = cls.gather(settings, bundle)
        folders = {
            "bids": dataset.root,
            "output": output,
            "model": None if bundle is None else bundle.path,
            **cls.folders(settings),
        }
        for number, path in enumerate(settings.modelling.input_arrays, 1):
            folders[f"arrays{number}"] = Path(path).expanduser().absolute().parent
        results = ResultFolder.of_model(
            settings, DerivativeDataset(output), makes, bundle, can_write, PathNames.of(folders)
        )
        if bundle is None:
            results = results.of_data(people.files, dataset.root)
        for line in people.notes:
            say(line)
        return cls(settings, people, dataset, results, bundle)

    @property
    def name(self) -> str:
        """Name of the model that is made."""
        return self.settings.modelling.model_name or DEFAULT_NAME

    @property
    def data_set(self) -> str:
        """The name in the folder's description, else the folder's name."""
        return data_set_name(self.dataset)

    def describe(self) -> None:
        """Write the description of the output dataset."""
        self.results.output.describe(self.dataset, self.words())

    def write(self, tables: Mapping[str, ResultTable], page: Page) -> None:
        """Write tables, by the names of their files, and the page."""
        for name, table in tables.items():
            self.results.table(name, table)
        self.results.page(page, self.page_name)

    def print_plan(self, what: str, labels: Sequence[str]) -> int:
        """Print what the call would do for participants; return 0, the number of failures.

        `what` names what it would write.
        """
        for line in self.plan(labels):
            show(line)
        show(f"to work on: {counted(len(labels), 'participant')} ({named(labels)})")
        show(f"would write {what} to {self.results.path}")
        show("no output was written")
        return 0
