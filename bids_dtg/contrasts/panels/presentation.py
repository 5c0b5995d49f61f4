"""The presentation of contrast maps: the workflow's panels, texts and sections."""

from __future__ import annotations

from bids_dtg.contrasts.panels import words
from bids_dtg.contrasts.panels.maps import draw_sets
from bids_dtg.contrasts.panels.run import PANELS
from bids_dtg.report.presentation import Presentation

PRESENTATION = Presentation(
    name="contrasts",
    dataset_name="Synthetic task-activation maps from resting-state fMRI (bids_dtg)",
    title="Synthetic task-activation maps",
    about="Predicted from resting-state fMRI, not measured.",
    citation=words.CITATION,
    readme=words.readme_text,
    methods=words.methods_of,
    subtitle=words.subtitle,
    columns=words.COLUMNS,
    panels=PANELS,
    sections=(draw_sets,),
    group_columns=words.GROUP_COLUMNS,
    notes=words.notes_on_average,
    model=words.model_line,
    missing=words.missing,
)
