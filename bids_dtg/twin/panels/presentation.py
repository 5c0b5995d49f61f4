"""The presentation of twins: the slice's panels, words and sections together."""

from __future__ import annotations

from bids_dtg.report.parcels import CARPET
from bids_dtg.report.parcels.quality import COLUMNS
from bids_dtg.report.presentation import Presentation
from bids_dtg.twin.panels import OF_SETS, PANELS, draw_sets, words

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
