"""The presentation of network models: the workflow's panels and texts."""

from __future__ import annotations

from bids_dtg.dynamics.panels import EFFECTIVE, PANELS, words
from bids_dtg.report.parcels import CARPET
from bids_dtg.report.presentation import Presentation

PRESENTATION = Presentation(
    name="dynamics",
    dataset_name="Network models of resting-state activity (bids_dtg)",
    title="Network models of resting-state activity",
    about="Fitted to regions' series; what they simulate was not measured.",
    citation=words.CITATION,
    readme=words.README,
    methods=words.methods_of,
    subtitle=words.subtitle,
    columns=words.COLUMNS,
    panels=PANELS,
    model=words.model_line,
    run_notes=words.notes_on_run,
    missing=words.missing,
    results=(CARPET.kind, EFFECTIVE.kind),
    made="results",
    analysis_page="network_report.html",
)
