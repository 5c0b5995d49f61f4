"""The averages of a participant on the page: connectome and predicted behaviour."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from bids_dtg.connectome.parcels import upper_edges
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.regions import RELMAT, read_relmat
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.notices import counted
from bids_dtg.report.contents import ParticipantFiles, RunFiles
from bids_dtg.report.figures import Figure
from bids_dtg.report.page import Section
from bids_dtg.report.panels import (
    CARPET,
    COVERAGE,
    MOTION,
    arrange,
    draw_parcel_matrix,
    read_run_file,
)
from bids_dtg.report.pictures import SIGNED
from bids_dtg.report.presentation import Canvas, Panel, Presentation
from bids_dtg.report.quality import PARCELS
from bids_dtg.report.tables import MINUS, number_text
from bids_dtg.report.viewer import write_picture
from bids_dtg.stats.verdict import NO_EVIDENCE
from bids_dtg.twin.panels import behaviour, words


def draw_averages(
    dataset: DerivativeDataset, files: ParticipantFiles, folder: Path
) -> list[Section]:
    """Draw a participant's connectomes and predicted behaviour, a section each.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    sections = []
    several = len(files.combined) > 1
    for position, average in enumerate(files.combined, 1):
        canvas = partial(write_picture, dataset, folder, average.title)
        figures = {panel: panel.draw(average, canvas) for panel in _PANELS}
        drawn = {panel: chart for panel, chart in figures.items() if chart}
        predicted = words.is_predicted(average)
        title = "Twin" if predicted else "Connectome"
        anchor = f"set-{position}"
        section = Section(
            title=title,
            subtitle=average.title if several else "",
            text=[_PREDICTED] * predicted + _lacks(average, drawn),
            figures=[replace(chart, title=row.title) for row, chart in drawn.items()],
            anchor=anchor,
            links=[(anchor, average.title if several else title)],
        )
        sections.append(section)
    return sections


_PREDICTED = (
    "The behaviour of the network made from this connectome is a prediction, not a measurement. "
    f"{NO_EVIDENCE}"
)


def _lacks(average: RunFiles, drawn: Collection[Panel]) -> list[str]:
    """Explain which panels of an average are missing, and why."""
    lacking = []
    if CONNECTOME not in drawn:
        lacking.append(
            "The connectome cannot be read: its file was removed or is damaged."
        )
    if behaviour.FILE in average.files and BEHAVIOUR not in drawn:
        lacking.append("No behaviour: its file is damaged.")
    elif not words.is_predicted(average):
        lacking.append("No predicted behaviour: no model was given (--model).")
    elif TIMES not in drawn:
        lacking.append(
            "No time series of trials: their file was removed or is damaged."
        )
    return lacking


_END = 1.0  # Fisher's z of the brightest colours
_SCALE = (f"{MINUS}{_END:g} or less", f"+{_END:g} or more", SIGNED.css)


def draw(average: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the edges; the diagonal and unknown edges are blank."""
    table = read_run_file(average, RELMAT, read_relmat)
    if table is None:
        return None
    edges = upper_edges(table.values)
    finite = edges[np.isfinite(edges)]
    words, scale = ("connectome", "Connectome"), (SIGNED, -_END, _END)
    lanes = draw_parcel_matrix(table.values, table.names, canvas, words, scale)
    caption = (
        f"Fisher\N{RIGHT SINGLE QUOTATION MARK}s z of the correlation between the cleaned series "
        f"of {len(table.names)} parcels{arrange(table.names)[2]}"
    )
    if finite.size:
        mean, sd = number_text(finite.mean(), 2), number_text(finite.std(), 2)
        caption += f"; mean {mean}, standard deviation {sd}"
    lost = edges.size - finite.size
    if lost:
        caption += f"; {counted(lost, 'edge')} without a value, blank"
    runs = average.facts.get("Runs")
    if isinstance(runs, list) and len(runs) > 1:
        weights = _WEIGHTS.get(str(average.facts.get("RunsWeightedBy")), "")
        caption += f". Mean of {counted(runs, 'run')}, weighted{weights}"
    return Figure(caption=f"{caption}.", parts=[lanes], scale=_SCALE)


_WEIGHTS = {
    RESIDUAL_DOF: " by residual degrees of freedom",
    "MinutesKept": " by the minutes kept",
}


CONNECTOME = Panel("Edges between parcels", RELMAT, draw)
BEHAVIOUR = Panel("Behaviour", behaviour.FILE, behaviour.draw)
TIMES = Panel("Response times", behaviour.SERIES, behaviour.draw_times)
TRIAL_SERIES = Panel(
    "Time series of the mean trial",
    behaviour.SERIES,
    behaviour.draw_trial_series,
)
# In the order of the page.
_PANELS = (BEHAVIOUR, TIMES, TRIAL_SERIES, CONNECTOME)
OF_SETS = (RELMAT, behaviour.FILE, behaviour.SERIES)
# Of a run, in the order of the page.
PANELS = (MOTION, CARPET, COVERAGE)
PRESENTATION = Presentation(
    dataset=words.DATASET,
    title=words.TITLE,
    about="Fitted to connectomes and responses; twins' answers are predictions.",
    methods=words.methods_of,
    subtitle=words.subtitle,
    columns=PARCELS,
    panels=PANELS,
    sections=draw_averages,
    model=words.model_line,
    notes=words.notes,
    missing=lambda run: "",  # what a run lacks stands in its notes
    results=(CARPET.kind,),
    average_kinds=OF_SETS,
    noun="results",
)
