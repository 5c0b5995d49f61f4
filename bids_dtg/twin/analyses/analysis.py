"""What the analyses of digital twins share: people, the model, the folder of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_dtg.cohort.output_tables import UNKNOWN_CLEANING
from bids_dtg.cohort.result_folder import ResultFolder, data_set_name
from bids_dtg.errors import DatasetError
from bids_dtg.files.derivatives import (
    SourceDataset,
    check_output_location,
    refuse_model_folder,
)
from bids_dtg.files.path_names import PathNames, machine_folders
from bids_dtg.inputs.dataset import name_folder
from bids_dtg.notices import counted, named, say, show
from bids_dtg.settings import Settings
from bids_dtg.twin.analyses.columns import meanings
from bids_dtg.twin.bundle.bundle import TwinBundle, load_twin_bundle
from bids_dtg.twin.panels.presentation import PRESENTATION
from bids_dtg.twin.participant.people import TwinPeople


@dataclass(frozen=True, eq=False)
class TwinAnalysis:
    """One call of an analysis of digital twins."""

    settings: Settings  # its options
    people: TwinPeople  # who has a connectome and events
    dataset: SourceDataset  # the raw dataset
    results: ResultFolder
    bundle: TwinBundle | None  # the model; None: one is made

    @classmethod
    def prepare(cls, settings: Settings, makes: str) -> TwinAnalysis:
        """Check everything that can be checked before anything is written.

        Parameters
        ----------
        settings
            Options of the call.
        makes
            What comes of it: a model, or an evaluation of one.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Wrong options, files or model, or connectomes that are not those of the model.
        """
        dataset = name_folder(settings.inputs.bids_dir)
        output = check_output_location(settings.inputs.output_dir, dataset)
        bundle = None if makes == "model" else load_twin_bundle(settings.inputs.model)
        if bundle is not None:
            refuse_model_folder(output, bundle.path)
        people = TwinPeople.prepare(
            settings, bundle.part.tasks if bundle else None, bundle.part.atlas if bundle else ""
        )
        if bundle is not None:
            _require_same_connectomes(people, bundle)
        results = ResultFolder.of_call(settings, output, makes, bundle)
        results.refuse_other_results()
        for line in people.notes:
            say(line)
        return cls(settings, people, dataset, results, bundle)

    @property
    def data_set(self) -> str:
        """The name in the folder's description, or the folder's; ``--data-set`` is before both."""
        return data_set_name(self.settings, self.dataset)

    def write_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a table, and what its columns mean."""
        self.results.write_table(name, rows, meanings)

    def describe(self) -> None:
        """Write what describes the output, and the options of the call."""
        self.results.describe(self.dataset, PRESENTATION.dataset_words(), self._path_names.hide)

    @property
    def _path_names(self) -> PathNames:
        modelling, source = self.settings.modelling, self.people.source
        files = {
            "split-file": [modelling.split_file] if modelling.split_file else [],
            "arrays": list(source.paths) if modelling.input_arrays else [],
            "task-file": [Path(name) for name in self.settings.twin.task_file],
        }
        folders: dict[str, Path | None] = {
            "bids": self.dataset.root,
            "output": self.results.output.root,
            "model": None if self.bundle is None else self.bundle.path,
        }
        for name, paths in files.items():
            folders |= {f"{name}{n}": path.absolute().parent for n, path in enumerate(paths, 1)}
        return PathNames.of(folders).plus(machine_folders())

    def print_plan(self, what: str, labels: Sequence[str]) -> int:
        """Print what the call would do, once all is checked that can be; return 0, as no failure.

        Parameters
        ----------
        what
            The call would write, in words.
        labels
            Whom it would work on.
        """
        people = self.people
        files = ", ".join(str(path) for path in people.source.paths)
        show(f"{files}: {counted(people.edges, 'edge')} a connectome ({people.source.words})")
        for task in people.tasks.tasks:
            runs = [run for label in labels for run in people.behaviour[label].of(task)]
            scored = sum(int(run.scored.sum()) for run in runs)
            show(f"{task.name}: {counted(len(runs), 'run')}, {counted(scored, 'scored trial')}")
        show(f"to work on: {counted(len(labels), 'participant')} ({named(labels)})")
        show(f"would write {what} to {self.results.path}")
        unread = "no connectome was read, and " if self.settings.modelling.input_arrays else ""
        show(f"{unread}no output was written")
        return 0


def _require_same_connectomes(people: TwinPeople, bundle: TwinBundle) -> None:
    """Refuse connectomes of other edges than the model's; warn of those made in another way."""
    source, name = people.source, bundle.card.name
    if source.atlas:
        bundle.require_regions(source.regions, atlas=source.atlas, atlas_digest=source.atlas_digest)
    if source.edges != bundle.part.edges:
        raise DatasetError(
            f"the files have connectomes of {counted(source.edges, 'edge')}, and the model {name} "
            f"was fitted to connectomes of {bundle.part.edges}",
            expected="the same regions in the same order",
        )
    if source.places_named and bundle.regions and source.regions != bundle.regions:
        raise DatasetError(
            f"the files have the regions {named(source.regions)}, and the model {name} has "
            f"{named(bundle.regions)}",
            expected="the same regions in the same order",
        )
    if source.words != bundle.part.connectome:
        say(
            f"bids_dtg: warning: connectomes here are {source.words}; the model {name} was fitted "
            f"to {bundle.part.connectome}"
        )
    own = bundle.card.training.cleaning
    if UNKNOWN_CLEANING not in (own, source.cleaning) and own != source.cleaning:
        say(
            f"bids_dtg: warning: runs here were cleaned by {source.cleaning}; those that the model "
            f"{name} was fitted to, by {own}"
        )
