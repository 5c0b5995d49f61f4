"""The panels of a page about a run, each with the writer and the reader of its small file.

Each panel of a run has `FILE`, `keep` and `draw`:

- `registration`: the mean BOLD with the outlines of the model's masks
- `motion`: framewise displacement and DVARS, with the frames that are dropped
- `coverage`: where the model reads, and whether the run has signal there
- `connectome`: correlations between the ROIs
- `reliability`: agreement of the run's two halves

Beside them:

- `panel`: what a panel is, and how its file is written
- `background`: the anatomy behind maps
- `predictability`: whether a contrast can be predicted, by the model's evaluation
- `individuality`: how far maps lie from other people's, and how much of it is the person's
- `surfaces`: maps at the vertices of surfaces, and the mesh that they are shown on
- `maps`: the maps of a set as cards and for the viewer; they belong to no single run

A new panel is a module and a row of the workflow that shows it: of `PANELS` for contrasts. What is
kept of a run, which files of a run are looked for, and what the page shows follow from the rows.
"""

from __future__ import annotations

from bids_dtg.report.panels import connectome, coverage, motion, registration, reliability
from bids_dtg.report.panels.panel import Panel

REGISTRATION = Panel(
    "registration", "Registration", registration.FILE, registration.keep, registration.draw
)
MOTION = Panel("motion", "Motion and censoring", motion.FILE, motion.keep, motion.draw)
COVERAGE = Panel("coverage", "Coverage", coverage.FILE, coverage.keep, coverage.draw)
CONNECTOME = Panel(
    "connectome", "Connectome", connectome.FILE, connectome.keep, connectome.draw, beside=True
)
RELIABILITY = Panel(
    "reliability", "Reliability", reliability.FILE, reliability.keep, reliability.draw, beside=True
)
# Of contrasts, in the order of the page.
PANELS = (REGISTRATION, MOTION, COVERAGE, CONNECTOME, RELIABILITY)
