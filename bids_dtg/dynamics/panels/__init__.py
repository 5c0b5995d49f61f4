"""Texts and figures of the workflow's outputs and report pages.

- `words`: README, methods text, and text on participants and runs
- `figures`: panels of a run, besides those of `report.panels`: functional connectivity, the
  structural connectome and, by a linear core, effective connectivity and component scores
"""

from __future__ import annotations

from bids_dtg.dynamics.panels import figures, words
from bids_dtg.files.regions import RELMAT
from bids_dtg.report.panels import CARPET, COVERAGE, MOTION
from bids_dtg.report.presentation import Panel, Presentation
from bids_dtg.report.quality import PARCELS

FUNCTIONAL = Panel(
    "Functional connectivity", RELMAT, figures.draw_functional, beside=True
)
STRUCTURAL = Panel(
    "Structural connectome",
    figures.STRUCTURAL,
    figures.draw_structural,
    beside=True,
)
EFFECTIVE = Panel(
    "Effective connectivity",
    figures.EFFECTIVE,
    figures.draw_effective,
    also=(figures.lag(2),),
)
FEATURES = Panel("Features for statistics", figures.COMPONENTS, figures.list_components)
# In the order of the page.
PANELS = (MOTION, CARPET, FUNCTIONAL, STRUCTURAL, COVERAGE, EFFECTIVE, FEATURES)
PRESENTATION = Presentation(
    dataset=words.dataset_words(),
    title=words.TITLE,
    about="Regional time series and models of them; a model's results are estimates.",
    methods=words.methods_of,
    subtitle=words.subtitle,
    columns=PARCELS,
    panels=PANELS,
    model=words.model_line,
    notes=words.notes_on_runs,
    missing=words.missing,
    results=(CARPET.kind, EFFECTIVE.kind),
    noun="results",
)
