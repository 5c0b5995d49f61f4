"""The averages of a participant on the page: connectome and predicted behaviour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.connectome.parcels import upper_edges
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.regions import RELMAT
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.notices import counted
from bids_dtg.report.colours import SIGNED
from bids_dtg.report.contents import ParticipantFiles, RunFiles
from bids_dtg.report.numbers import figure
from bids_dtg.report.panels import MOTION, Canvas, Figure, Panel, Ramp, Section
from bids_dtg.report.parcel_words import COLUMNS
from bids_dtg.report.parcels import (
    CARPET,
    COVERAGE,
    arrange,
    draw_between,
    in_order,
    matrix_of,
    no_file,
)
from bids_dtg.report.presentation import Presentation
from bids_dtg.stats.verdict import NO_EVIDENCE
from bids_dtg.twin.panels import behaviour, words


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
        links=((averages[0]["anchor"], averages[0]["heading"]),)
        if len(averages) == 1
        else tuple((shown["anchor"], shown["title"]) for shown in averages),
        facts={"averages": averages, "warning": NO_EVIDENCE},
        files=tuple(path for _, pictures in drawn for path in pictures),
    )


def _draw_average(
    made: RunFiles, canvas: Canvas, number: int
) -> tuple[dict[str, Any], tuple[Path, ...]]:
    panels = tuple(
        (panel, figure) for panel in _PANELS if (figure := panel.draw(made, canvas)) is not None
    )
    predicted = words.is_predicted(made)
    shown = {
        "title": made.title,
        "anchor": f"set-{number}",
        "heading": "Twin" if predicted else "Connectome",
        "predicted": "What a network made from this connectome does" if predicted else "",
        "panels": panels,
        "lacks": _lacks(made, panels),
    }
    return shown, tuple(canvas.files)


def _lacks(made: RunFiles, panels: tuple[tuple[Panel, Figure], ...]) -> str:
    """Explain which panels of an average are missing, and why."""
    there = {panel.name for panel, _ in panels}
    lacking = []
    if CONNECTOME.name not in there:
        lacking.append("The connectome cannot be read: its file was removed or is damaged.")
    if behaviour.FILE in made.files and BEHAVIOUR.name not in there:
        lacking.append("No behaviour: its file is damaged.")
    elif not words.is_predicted(made):
        lacking.append("No predicted behaviour: no model was given (--model).")
    elif TIMES.name not in there:
        lacking.append("No time series of trials: their file was removed or is damaged.")
    return " ".join(lacking)


_END = 1.0  # Fisher's z of the brightest colours
_RAMP = Ramp(f"\N{MINUS SIGN}{_END:g} or less", f"+{_END:g} or more", "signed")


def draw(made: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the edges; the diagonal and unknown edges are blank."""
    table = matrix_of(made, RELMAT)
    if table is None:
        return None
    arranged, pairs = arrange(table.names), upper_edges(table.values)
    known = pairs[np.isfinite(pairs)]
    words = "connectome", "Connectome"
    lanes = draw_between(table.values, arranged, canvas, words, (SIGNED, -_END, _END))
    caption = (
        f"Fisher\N{RIGHT SINGLE QUOTATION MARK}s z of the correlation between the cleaned series "
        f"of {len(table.names)} parcels{in_order(arranged)}"
    )
    if known.size:
        caption += f"; mean {figure(known.mean(), 2)}, standard deviation {figure(known.std(), 2)}"
    if lost := pairs.size - known.size:
        caption += f"; {counted(lost, 'edge')} without a value, blank"
    runs = made.facts.get("Runs")
    if isinstance(runs, list) and len(runs) > 1:
        caption += f". Mean of {counted(len(runs), 'run')}, weighted{_by(made)}"
    return Figure((lanes,), f"{caption}.", ramp=_RAMP)


def _by(made: RunFiles) -> str:
    by = made.facts.get("RunsWeightedBy")
    return {
        RESIDUAL_DOF: " by residual degrees of freedom",
        "MinutesKept": " by the minutes kept",
    }.get(str(by), "")


CONNECTOME = Panel("connectome", "Edges between parcels", RELMAT, no_file, draw)
BEHAVIOUR = Panel("behaviour", "Behaviour", behaviour.FILE, no_file, behaviour.draw)
TIMES = Panel("times", "Response times", behaviour.SERIES, no_file, behaviour.draw_times)
TRIAL_SERIES = Panel(
    "trial-series",
    "Time series of the mean trial",
    behaviour.SERIES,
    no_file,
    behaviour.draw_trial_series,
)
# In the order of the page.
_PANELS = (BEHAVIOUR, TIMES, TRIAL_SERIES, CONNECTOME)
OF_SETS = (RELMAT, behaviour.FILE, behaviour.SERIES)
# Of a run, in the order of the page.
PANELS = (MOTION, CARPET, COVERAGE)
PRESENTATION = Presentation(
    name="twin",
    dataset_name="Digital twins that perform people's tasks (bids_dtg)",
    title="Digital twins that perform people's tasks",
    about="Fitted to connectomes and responses; twins' answers are predictions.",
    citation=words.CITATION,
    readme=words.README,
    methods=words.methods_of,
    subtitle=words.subtitle,
    columns=COLUMNS,
    panels=PANELS,
    sections=(draw_sets,),
    model=words.model_line,
    run_notes=words.notes_on_run,
    missing=words.missing,
    results=(CARPET.kind,),
    of_averages=OF_SETS,
    combined_notes=words.notes_on_average,
    made="results",
    analysis_page="twin_report.html",
)
