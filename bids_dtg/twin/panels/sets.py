"""The sets of a participant on the page: connectome, predicted behaviour, and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.report.contents import ParticipantFiles, RunFiles
from bids_dtg.report.panels.panel import Canvas, Figure, Panel, Section
from bids_dtg.report.parcels.files import no_file
from bids_dtg.twin.panels import behaviour, connectome, curves, fitted, traces
from bids_dtg.twin.panels.words import NO_EVIDENCE, is_predicted

CONNECTOME = Panel("connectome", "Edges between parcels", connectome.FILE, no_file, connectome.draw)
BEHAVIOUR = Panel("behaviour", "Behaviour", behaviour.FILE, no_file, behaviour.draw)
FITTED = Panel(
    "fit",
    "Fit to the person\N{RIGHT SINGLE QUOTATION MARK}s responses",
    behaviour.FILE,
    no_file,
    fitted.draw,
)
TIMES = Panel("times", "Response times", traces.FILE, no_file, curves.draw_times)
TRACES = Panel("traces", "Traces of the mean trial", traces.FILE, no_file, curves.draw_traces)
# In the order of the page.
_PANELS = (BEHAVIOUR, FITTED, TIMES, TRACES, CONNECTOME)
OF_SETS = (connectome.FILE, behaviour.FILE, behaviour.OBSERVED_FILE, traces.FILE)


@dataclass(frozen=True)
class PanelOfSet:
    """A panel with what it shows of a set."""

    name: str  # of its anchor
    title: str
    figure: Figure


@dataclass(frozen=True)
class SetOnPage:
    """A set of runs on a participant's page."""

    title: str
    anchor: str
    heading: str
    predicted: bool  # whether a model has predicted anything
    panels: tuple[PanelOfSet, ...]
    lacks: str  # sentence on what is not shown; empty: nothing


def draw_sets(dataset: DerivativeDataset, files: ParticipantFiles, folder: Path) -> Section | None:
    """Draw a participant's connectomes and predicted behaviour; None where there are none.

    Parameters
    ----------
    dataset
        The output folder.
    files
        What it holds of the participant.
    folder
        Where pictures go.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    if not files.combined:
        return None
    drawn = [
        _draw_set(made, Canvas(dataset, folder, made.title), number)
        for number, made in enumerate(files.combined, 1)
    ]
    sets = tuple(shown for shown, _ in drawn)
    return Section(
        template="twin.html",
        links=((sets[0].anchor, sets[0].heading),)
        if len(sets) == 1
        else tuple((shown.anchor, shown.title) for shown in sets),
        facts={"sets": sets, "warning": NO_EVIDENCE},
        files=tuple(path for _, pictures in drawn for path in pictures),
    )


def _draw_set(made: RunFiles, canvas: Canvas, number: int) -> tuple[SetOnPage, tuple[Path, ...]]:
    panels = tuple(
        PanelOfSet(panel.name, panel.title, figure)
        for panel in _PANELS
        if (figure := panel.draw(made, canvas)) is not None
    )
    predicted = is_predicted(made)
    shown = SetOnPage(
        title=made.title,
        anchor=f"set-{number}",
        heading="Twin" if predicted else "Connectome and behaviour" if panels[1:] else "Connectome",
        predicted=predicted,
        panels=panels,
        lacks=_lacks(made, panels),
    )
    return shown, tuple(canvas.files)


def _lacks(made: RunFiles, panels: tuple[PanelOfSet, ...]) -> str:
    """Say what is not shown of a set, and why."""
    there = {panel.name for panel in panels}
    lacking = []
    if CONNECTOME.name not in there:
        lacking.append("The connectome cannot be read: its file was removed or is damaged.")
    tables = {behaviour.FILE, behaviour.OBSERVED_FILE}
    if tables & {*made.files} and BEHAVIOUR.name not in there:
        lacking.append("No behaviour: its file is damaged.")
    elif not is_predicted(made):
        lacking.append("No predicted behaviour: no model was given (--model).")
    elif TIMES.name not in there:
        lacking.append("No traces: their file was removed or is damaged.")
    return " ".join(lacking)
