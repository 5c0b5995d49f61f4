"""The averages of a participant on the page: connectome and predicted behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.report.contents import ParticipantFiles, RunFiles
from bids_dtg.report.panels.panel import Canvas, Figure, Panel, Section
from bids_dtg.report.parcels.files import no_file
from bids_dtg.stats.verdict import NO_EVIDENCE
from bids_dtg.twin.panels import behaviour, connectome, curves, trial_series
from bids_dtg.twin.panels.words import is_predicted

CONNECTOME = Panel("connectome", "Edges between parcels", connectome.FILE, no_file, connectome.draw)
BEHAVIOUR = Panel("behaviour", "Behaviour", behaviour.FILE, no_file, behaviour.draw)
TIMES = Panel("times", "Response times", trial_series.FILE, no_file, curves.draw_times)
TRIAL_SERIES = Panel(
    "trial-series",
    "Time series of the mean trial",
    trial_series.FILE,
    no_file,
    curves.draw_trial_series,
)
# In the order of the page.
_PANELS = (BEHAVIOUR, TIMES, TRIAL_SERIES, CONNECTOME)
OF_SETS = (connectome.FILE, behaviour.FILE, trial_series.FILE)


@dataclass(frozen=True)
class AverageOnPage:
    """An average of runs on a participant's page."""

    title: str
    anchor: str
    heading: str
    predicted: str  # what was predicted, in words; empty: nothing
    panels: tuple[tuple[Panel, Figure], ...]
    lacks: str  # sentences on missing panels; empty: none is missing


def draw_sets(dataset: DerivativeDataset, files: ParticipantFiles, folder: Path) -> Section | None:
    """Draw a participant's connectomes and predicted behaviour; None where there are none.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    if not files.combined:
        return None
    drawn = [
        _draw_average(made, Canvas(dataset, folder, made.title), number)
        for number, made in enumerate(files.combined, 1)
    ]
    averages = tuple(shown for shown, _ in drawn)
    return Section(
        template="twin.html",
        links=((averages[0].anchor, averages[0].heading),)
        if len(averages) == 1
        else tuple((shown.anchor, shown.title) for shown in averages),
        facts={"averages": averages, "warning": NO_EVIDENCE},
        files=tuple(path for _, pictures in drawn for path in pictures),
    )


def _draw_average(
    made: RunFiles, canvas: Canvas, number: int
) -> tuple[AverageOnPage, tuple[Path, ...]]:
    panels = tuple(
        (panel, figure) for panel in _PANELS if (figure := panel.draw(made, canvas)) is not None
    )
    predicted = is_predicted(made)
    shown = AverageOnPage(
        title=made.title,
        anchor=f"set-{number}",
        heading="Twin" if predicted else "Connectome",
        predicted="What a network made from this connectome does" if predicted else "",
        panels=panels,
        lacks=_lacks(made, panels),
    )
    return shown, tuple(canvas.files)


def _lacks(made: RunFiles, panels: tuple[tuple[Panel, Figure], ...]) -> str:
    """Explain which panels of an average are missing, and why."""
    there = {panel.name for panel, _ in panels}
    lacking = []
    if CONNECTOME.name not in there:
        lacking.append("The connectome cannot be read: its file was removed or is damaged.")
    if behaviour.FILE in made.files and BEHAVIOUR.name not in there:
        lacking.append("No behaviour: its file is damaged.")
    elif not is_predicted(made):
        lacking.append("No predicted behaviour: no model was given (--model).")
    elif TIMES.name not in there:
        lacking.append("No time series of trials: their file was removed or is damaged.")
    return " ".join(lacking)
