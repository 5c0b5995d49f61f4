"""Figures and text of pages on contrast maps.

Each panel of a run has `FILE`, `keep` and `draw`:

- `registration`: the mean BOLD with the outlines of the model's masks
- `coverage`: where the model reads, and whether the run has signal there
- `carpet`: voxels over the frames of the run
- `connectome`: correlations between the ROIs

Other modules:

- `background`: the anatomy drawn behind maps
- `surfaces`: maps at the vertices of surfaces, and the mesh that they are shown on
- `parcels`: maps of parcels of CIFTI, read once and drawn
- `maps`: the maps of an average as cards and for the viewer
- `words`: README, methods text, quality columns, and text on participants and averages
- `run`: the measured run that panels read
- `presentation`: all of it together, found by the report through the workflow's row

A new panel is a module and a row of `PANELS`. The rows decide which files of a run are written,
which are looked for, and what the page shows.
"""

from __future__ import annotations

from bids_dtg.contrasts.panels import carpet, connectome, coverage, registration
from bids_dtg.report.panels import MOTION
from bids_dtg.report.panels.panel import Panel

REGISTRATION = Panel(
    "registration", "Registration", registration.FILE, registration.keep, registration.draw
)
COVERAGE = Panel("coverage", "Coverage", coverage.FILE, coverage.keep, coverage.draw)
CARPET = Panel("carpet", "Carpet", carpet.FILE, carpet.keep, carpet.draw, also=(MOTION.kind,))
CONNECTOME = Panel(
    "connectome", "Connectome", connectome.FILE, connectome.keep, connectome.draw, beside=True
)
# In the order of the page.
PANELS = (REGISTRATION, MOTION, CARPET, COVERAGE, CONNECTOME)
