"""What pages show of contrast maps, and what they say of them.

Each panel of a run has `FILE`, `keep` and `draw`:

- `registration`: the mean BOLD with the outlines of the model's masks
- `coverage`: where the model reads, and whether the run has signal there
- `connectome`: correlations between the ROIs
- `reliability`: agreement of the run's two halves

Beside them:

- `background`: the anatomy behind maps
- `predictability`: whether a contrast can be predicted, by the model's evaluation
- `individuality`: how far maps lie from other people's, and how much of it is the person's
- `map_reliability`: how well maps of the two halves of rest agree
- `surfaces`: maps at the vertices of surfaces, and the mesh that they are shown on
- `maps`: the maps of a set as cards and for the viewer; they belong to no single run
- `words`: README, methods text, quality columns, and what pages say of participants and sets
- `run`: what panels keep something of
- `presentation`: all of it together, as the report finds it by the slice's row

A new panel is a module and a row of `PANELS`. What is kept of a run, which files of a run are
looked for, and what the page shows follow from the rows.
"""

from __future__ import annotations

from bids_dtg.contrasts.panels import connectome, coverage, registration, reliability
from bids_dtg.report.panels import MOTION
from bids_dtg.report.panels.panel import Panel

REGISTRATION = Panel(
    "registration", "Registration", registration.FILE, registration.keep, registration.draw
)
COVERAGE = Panel("coverage", "Coverage", coverage.FILE, coverage.keep, coverage.draw)
CONNECTOME = Panel(
    "connectome", "Connectome", connectome.FILE, connectome.keep, connectome.draw, beside=True
)
RELIABILITY = Panel(
    "reliability", "Reliability", reliability.FILE, reliability.keep, reliability.draw, beside=True
)
# In the order of the page.
PANELS = (REGISTRATION, MOTION, COVERAGE, CONNECTOME, RELIABILITY)
