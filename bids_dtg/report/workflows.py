"""The workflows' words, quality columns and panels: one table, found by the name in the output.

The report is a process of its own and knows an output by its files alone; what to run for a
workflow is a row of the same name in `bids_dtg.cli.tables`. A new workflow is a row here, and a
module beside `contrasts`, `dynamics` and `twin` that the row takes its words from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_dtg.bundles.card import ModelCard
from bids_dtg.contrasts.panels import PANELS
from bids_dtg.contrasts.panels import words as contrasts
from bids_dtg.contrasts.panels.maps import draw_sets
from bids_dtg.dynamics import panels as dynamics
from bids_dtg.dynamics.panels import words as network_words
from bids_dtg.errors import DatasetError
from bids_dtg.files.derivatives import DatasetWords, DerivativeDataset
from bids_dtg.files.names import FileKind
from bids_dtg.report import quality
from bids_dtg.report.contents import ParticipantFiles, RunFiles, SetFiles
from bids_dtg.report.flags import Flag
from bids_dtg.report.methods import MethodsWords
from bids_dtg.report.panels.panel import Panel, Section
from bids_dtg.report.parcels import CARPET
from bids_dtg.report.parcels import quality as parcel_quality
from bids_dtg.report.quality import QualityColumn
from bids_dtg.settings import OutputOptions
from bids_dtg.twin import panels as twin
from bids_dtg.twin.panels import words as twin_words
from bids_dtg.version import __version__

Readme = Callable[[ModelCard[Any]], str]
DrawSection = Callable[[DerivativeDataset, ParticipantFiles, Path], Section | None]


@dataclass(frozen=True)
class Workflow:
    """A row: what a workflow writes about itself, and what pages show of its results."""

    name: str  # in the table and in the output
    dataset_name: str  # in dataset_description.json
    title: str  # of the output's first page
    about: str  # what the results are, in a sentence
    citation: str  # text of CITATION.cff; {version} stands for the program's
    readme: Readme | str  # the dataset's README, or how it is written of a model
    # Its part of the methods text, and what pages show of a participant: of workflows that work
    # on one participant at a time. What methods are made from is the workflow's own: a model, or
    # the facts of a call that may have none.
    methods: Callable[[Any, OutputOptions], MethodsWords] | None = None
    subtitle: Callable[[ParticipantFiles], str] = lambda files: ""  # of a participant's page
    columns: tuple[QualityColumn, ...] = ()  # of the quality table, beside those of every workflow
    panels: tuple[Panel, ...] = ()  # about a run, in the order of the page
    sections: tuple[DrawSection, ...] = ()  # of a participant's page, before the runs
    group_columns: tuple[QualityColumn, ...] = ()  # that the group level adds
    notes: Callable[[SetFiles], Iterable[Flag]] = lambda made: ()  # flags of a set
    model: Callable[[ParticipantFiles], str] = lambda files: ""  # a line on it, below the subtitle
    run_notes: Callable[[RunFiles], Iterable[Flag]] = lambda run: ()  # flags of a run
    # A line on what is not shown of a run, and why; None: that files of panels are not there.
    missing: Callable[[RunFiles], str] | None = None
    # Results of single runs whose sidecars say how each was made; none where sets of maps do.
    results: tuple[FileKind, ...] = ()
    # Files of sets of runs whose results are no maps, and flags of such a set.
    of_sets: tuple[FileKind, ...] = ()
    combined_notes: Callable[[RunFiles], Iterable[Flag]] = lambda made: ()
    made: str = "maps"  # what is made of a participant, in a word

    @property
    def quality_columns(self) -> tuple[QualityColumn, ...]:
        """All columns of a run's quality table, in their order."""
        return (*quality.FIRST, *self.columns, *quality.LAST)

    @property
    def run_files(self) -> tuple[FileKind, ...]:
        """The files of a run that pages are drawn from."""
        own = (kind for panel in self.panels for kind in (panel.kind, *panel.also))
        return tuple(dict.fromkeys((*own, *self.results)))

    def methods_words(self, source: Any, outputs: OutputOptions) -> MethodsWords:
        """Return its part of the methods text of participants' results.

        Parameters
        ----------
        source
            What the workflow's `methods` takes: a model, or the facts of a call.
        outputs
            What is written.

        Raises
        ------
        ValueError
            It has no results of single participants.
        """
        if self.methods is None:
            raise ValueError(f"the workflow {self.name} has no participant level")
        return self.methods(source, outputs)

    def dataset_words(self, card: ModelCard[Any] | None = None) -> DatasetWords:
        """Return how an output describes itself; `card` is of the model that makes it, if one does.

        Raises
        ------
        ValueError
            The workflow's README is about a model, and none was given.
        """
        readme = self.readme
        if not isinstance(readme, str):
            if card is None:
                raise ValueError(f"the README of the workflow {self.name} is about a model")
            readme = readme(card)
        return DatasetWords(
            name=self.dataset_name,
            citation=self.citation.format(version=__version__),
            readme=readme,
            # An output that names none is of the first workflow, as before there were others.
            workflow=None if self.name == DEFAULT else self.name,
        )


CONTRASTS = Workflow(
    name="contrasts",
    dataset_name="Synthetic task-activation maps from resting-state fMRI (bids_dtg)",
    title="Synthetic task-activation maps",
    about="Predicted from resting-state fMRI, not measured.",
    citation=contrasts.CITATION,
    readme=contrasts.readme_text,
    methods=contrasts.methods_of,
    subtitle=contrasts.subtitle,
    columns=contrasts.COLUMNS,
    panels=PANELS,
    sections=(draw_sets,),
    group_columns=contrasts.GROUP_COLUMNS,
    notes=contrasts.notes_on_set,
    model=contrasts.model_line,
)
DYNAMICS = Workflow(
    name="dynamics",
    dataset_name="Network models of resting-state activity (bids_dtg)",
    title="Network models of resting-state activity",
    about="Fitted to regions' series; what they simulate was not measured.",
    citation=network_words.CITATION,
    readme=network_words.README,
    methods=network_words.methods_of,
    subtitle=network_words.subtitle,
    columns=network_words.COLUMNS,
    panels=dynamics.PANELS,
    model=network_words.model_line,
    run_notes=network_words.notes_on_run,
    missing=network_words.missing,
    results=(CARPET.kind, dynamics.PARAMETERS.kind),
    made="results",
)
TWIN = Workflow(
    name="twin",
    dataset_name="Digital twins that perform people's tasks (bids_dtg)",
    title="Digital twins that perform people's tasks",
    about="Fitted to connectomes and responses; what twins answer was not measured.",
    citation=twin_words.CITATION,
    readme=twin_words.README,
    methods=twin_words.methods_of,
    subtitle=twin_words.subtitle,
    columns=parcel_quality.COLUMNS,
    panels=twin.PANELS,
    sections=(twin.draw_sets,),
    model=twin_words.model_line,
    run_notes=twin_words.notes_on_run,
    missing=twin_words.missing,
    results=(CARPET.kind,),
    of_sets=twin.OF_SETS,
    combined_notes=twin_words.notes_on_set,
    made="results",
)
DEFAULT = CONTRASTS.name
WORKFLOWS = {row.name: row for row in (CONTRASTS, DYNAMICS, TWIN)}


def workflow_of(dataset: DerivativeDataset) -> Workflow:
    """Return the row of the workflow that made an output; contrasts where it names none.

    Raises
    ------
    DatasetError
        This version of the program has no such workflow.
    """
    name = dataset.workflow or DEFAULT
    if name not in WORKFLOWS:
        raise DatasetError(
            f"{dataset.root} is of the workflow '{name}'",
            expected=f"one of {', '.join(WORKFLOWS)}",
            remedy="use the version of bids_dtg that made it, or a later one",
        )
    return WORKFLOWS[name]
