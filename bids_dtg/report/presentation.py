"""How a workflow presents its results: README, citation, methods text, and content of pages.

A workflow's row names its presentation (`bids_dtg.workflows.Workflow.presentation`). The process
that makes reports knows only the files of an output, and finds the presentation by the name of the
workflow in the output's description.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bids_dtg.connectome.quality import QualityMetric
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.columns import data_dictionary
from bids_dtg.files.derivatives import DatasetWords, DerivativeDataset
from bids_dtg.files.names import FileKind
from bids_dtg.files.text import encoded, tsv_text
from bids_dtg.report.contents import ParticipantFiles, RunFiles
from bids_dtg.report.figures import Figure
from bids_dtg.report.flags import Flag
from bids_dtg.report.methods import MethodsWords
from bids_dtg.report.page import Section
from bids_dtg.report.quality import FILE, FIRST, LAST
from bids_dtg.settings import OutputOptions
from bids_dtg.workflows import DEFAULT, find_workflow

# Writes a picture of a run under a name; returns its address from the page.
Canvas = Callable[[str, bytes], str]
# Makes sections of a participant's page; pictures go to the folder.
MakeSections = Callable[[DerivativeDataset, ParticipantFiles, Path], Sequence[Section]]


@dataclass(frozen=True, eq=False)
class PanelFile:
    """A small file of a run from which a panel is drawn, ready to be written."""

    kind: FileKind  # which file it is
    content: bytes
    sidecar: Mapping[str, Any]  # content of its JSON file
    entities: Mapping[str, str | None] | None = None  # in its name, besides the run's


@dataclass(frozen=True)
class Panel:
    """A figure of a run, and the small file in the output from which it is drawn."""

    title: str  # its heading
    kind: FileKind  # the file that it is drawn from
    # Draws it; returns None where files are missing.
    draw: Callable[[RunFiles, Canvas], Figure | None]
    # Makes the file from the workflow's results of a run; returns None where the panel shows a
    # result that is in the output anyway.
    make_file: Callable[[Any], PanelFile | None] = lambda data: None
    beside: bool = False  # whether it may share a row with neighbouring panels
    folded: bool = False  # whether it is closed until its title is clicked
    # Further files that it is drawn from, if they exist.
    also: tuple[FileKind, ...] = ()


def write_panel_files(
    files: Iterable[PanelFile],
    entities: Mapping[str, str | None],
    output: DerivativeDataset,
) -> Iterator[PurePosixPath]:
    """Write the small files of a run, and their sidecars; yield the paths.

    Parameters
    ----------
    files
        Its quality table, or what `Panel.make_file` returned, without None.
    entities
        Entities of the run in names of files.
    output
        Output dataset for the files.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    for file in files:
        named = {**entities, **(file.entities or {})}
        yield file.kind.path(named)
        output.write(file.kind.path(named), file.content)
        path = file.kind.path(named, ".json")
        output.write(path, file.sidecar)
        yield path


@dataclass(frozen=True)
class Presentation:
    """What a workflow writes about itself, and what pages show of its results."""

    dataset: DatasetWords  # of an output without a model
    title: str  # of the output's first page
    about: str  # what the results are, in a sentence
    # Its part of the methods text, from the model or from facts of the run.
    methods: Callable[[Any, OutputOptions], MethodsWords]
    # Of a participant's page.
    subtitle: Callable[[ParticipantFiles], str] = lambda files: ""
    columns: tuple[QualityMetric, ...] = ()  # its own columns of the quality table
    panels: tuple[Panel, ...] = ()  # on a run, in the order of the page
    # Sections of a participant's page after the runs, with their pictures in a folder.
    sections: MakeSections = lambda dataset, files, folder: ()
    group_columns: tuple[QualityMetric, ...] = ()  # columns that the group level adds
    # Its own flags of runs and averages.
    notes: Callable[[ParticipantFiles], Iterable[Flag]] = lambda files: ()
    model: Callable[[ParticipantFiles], str] = lambda files: ""  # a line on the model
    # A line on what is not shown of a run, and why; None: the usual line if files are missing.
    missing: Callable[[RunFiles], str | None] = lambda run: None
    # Run files whose sidecars say how results were made; empty where averages of maps do.
    results: tuple[FileKind, ...] = ()
    # Files of averages whose results are not maps.
    average_kinds: tuple[FileKind, ...] = ()
    noun: str = "maps"  # the results of a participant, in a word

    @property
    def quality_columns(self) -> tuple[QualityMetric, ...]:
        """All columns of a run's quality table, in their order."""
        columns = (*FIRST, *self.columns, *LAST)
        return tuple(column for column in columns if column.tabled)

    @property
    def columns_of_runs(self) -> tuple[QualityMetric, ...]:
        """All columns of the group's table of runs, in their order."""
        return (*self.quality_columns, *self.group_columns)

    def quality_file(self, metrics: Mapping[str, object]) -> PanelFile:
        """Make the quality table of a run from its metrics, by column."""
        columns = self.quality_columns
        row = [metrics[column.name] for column in columns]
        text = tsv_text([column.name for column in columns], [row])
        return PanelFile(FILE, encoded(text), data_dictionary(columns))

    @property
    def run_files(self) -> tuple[FileKind, ...]:
        """The files of a run that pages are drawn from."""
        kinds: list[FileKind] = []
        for panel in self.panels:
            kinds += [panel.kind, *panel.also]
        return tuple(dict.fromkeys([*kinds, *self.results]))

    def panel_files(self, data: Any) -> tuple[PanelFile, ...]:
        """Make the files from which panels are drawn, from the workflow's results of a run."""
        files = (panel.make_file(data) for panel in self.panels)
        return tuple(file for file in files if file is not None)


def presentation_of(dataset: DerivativeDataset) -> Presentation:
    """Return the presentation of the workflow that made an output, the default if it names none.

    Raises
    ------
    DatasetError
        This version of the program has no such workflow.
    """
    try:
        workflow = find_workflow(dataset.workflow or DEFAULT)
    except SettingsError as err:
        raise DatasetError(
            f"{dataset.root} was made by the workflow '{dataset.workflow}'",
            expected=err.expected,
            remedy="use the version of bids_dtg that made it, or a later one",
        ) from err
    return workflow.presentation()
