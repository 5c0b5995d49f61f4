"""How a workflow presents its results: README, citation, methods, and what pages show.

A presentation, and no workflow: what is to be run stands in the workflow's row, which is found
without these words, and names them (`bids_dtg.workflows.Workflow.presentation`). The report is a
process of its own and knows an output by its files alone; it finds the presentation by the name
that the output's description has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_dtg.bundles.card import ModelCard
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.derivatives import DatasetWords, DerivativeDataset
from bids_dtg.files.names import FileKind
from bids_dtg.report import quality
from bids_dtg.report.contents import AverageFiles, ParticipantFiles, RunFiles
from bids_dtg.report.flags import Flag
from bids_dtg.report.methods import MethodsWords
from bids_dtg.report.panels import Panel, Section
from bids_dtg.report.quality import QualityColumn
from bids_dtg.settings import OutputOptions
from bids_dtg.version import __version__
from bids_dtg.workflows import DEFAULT, find_workflow

DrawSection = Callable[[DerivativeDataset, ParticipantFiles, Path], Section | None]


@dataclass(frozen=True)
class Presentation:
    """What a workflow writes about itself, and what pages show of its results."""

    name: str  # of the workflow
    dataset_name: str  # in dataset_description.json
    title: str  # of the output's first page
    about: str  # what the results are, in a sentence
    citation: str  # as of `DatasetWords`; {version} stands for the program's
    readme: Callable[[Any], str] | str  # the dataset's README, or how it is written of a model
    # Its part of the methods text, from what is the workflow's own: a model, or facts of a call.
    methods: Callable[[Any, OutputOptions], MethodsWords]
    subtitle: Callable[[ParticipantFiles], str] = lambda files: ""  # of a participant's page
    columns: tuple[QualityColumn, ...] = ()  # of the quality table, beside those of every workflow
    panels: tuple[Panel, ...] = ()  # about a run, in the order of the page
    sections: tuple[DrawSection, ...] = ()  # of a participant's page, after the runs
    group_columns: tuple[QualityColumn, ...] = ()  # that the group level adds
    notes: Callable[[AverageFiles], Iterable[Flag]] = lambda made: ()  # flags of an average
    model: Callable[[ParticipantFiles], str] = lambda files: ""  # a line on it, below the subtitle
    run_notes: Callable[[RunFiles], Iterable[Flag]] = lambda run: ()  # flags of a run
    # A line on what is not shown of a run, and why; None: that files of panels are not there.
    missing: Callable[[RunFiles], str | None] | None = None
    # Results of single runs whose sidecars say how each was made; none where averages of maps do.
    results: tuple[FileKind, ...] = ()
    # Files of averages of runs whose results are no maps, and flags of such an average.
    of_averages: tuple[FileKind, ...] = ()
    combined_notes: Callable[[RunFiles], Iterable[Flag]] = lambda made: ()
    made: str = "maps"  # what is made of a participant, in a word
    analysis_page: str = ""  # file name of the page of an analysis; empty: none of its own

    @property
    def quality_columns(self) -> tuple[QualityColumn, ...]:
        """All columns of a run's quality table, in their order."""
        return (*quality.FIRST, *self.columns, *quality.LAST)

    @property
    def run_files(self) -> tuple[FileKind, ...]:
        """The files of a run that pages are drawn from."""
        own = (kind for panel in self.panels for kind in (panel.kind, *panel.also))
        return tuple(dict.fromkeys((*own, *self.results)))

    def dataset_words(self, card: ModelCard[Any] | None = None) -> DatasetWords:
        """Return the description of an output; `card` is its model's, which a README is about."""
        return DatasetWords(
            name=self.dataset_name,
            citation=self.citation.format(version=__version__),
            readme=self.readme if isinstance(self.readme, str) else self.readme(card),
            # An output that names none is of the default.
            workflow=None if self.name == DEFAULT else self.name,
        )


def presentation_of(dataset: DerivativeDataset) -> Presentation:
    """Return the presentation of the workflow that made an output, the default if it names none.

    Raises
    ------
    DatasetError
        This version of the program has no such workflow.
    """
    name = dataset.workflow or DEFAULT
    try:
        workflow = find_workflow(name)
    except SettingsError as err:
        raise DatasetError(
            f"{dataset.root} is of the workflow '{name}'",
            expected=err.expected,
            remedy="use the version of bids_dtg that made it, or a later one",
        ) from err
    found: Presentation = workflow.presentation()
    return found
