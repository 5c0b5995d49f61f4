"""Texts and figures of outputs of the workflow `dynamics`.

- `words`: README, methods text, quality columns, and text on participants and runs
- `presentation`: all of it together, found by the report through the workflow's row

Panels of a run (with motion, which every workflow has, and those of `report.parcels`):

- `connectivity`: functional connectivity, and the structural connectome
- `effective`: effective connectivity, by a linear core
- `features`: scores of components of covariances, by a linear core
"""

from __future__ import annotations

from bids_dtg.dynamics.panels import connectivity, effective, features
from bids_dtg.files.regions.relmat import RELMAT
from bids_dtg.report.panels import MOTION
from bids_dtg.report.panels.panel import Panel
from bids_dtg.report.parcels import CARPET, COVERAGE
from bids_dtg.report.parcels.files import no_file

FUNCTIONAL = Panel(
    *("connectivity", "Functional connectivity", RELMAT, no_file),
    connectivity.draw_functional,
    beside=True,
)
STRUCTURAL = Panel(
    *("structure", "Structural connectome", connectivity.STRUCTURAL, no_file),
    connectivity.draw_structural,
    beside=True,
)
EFFECTIVE = Panel(
    *("effective", "Effective connectivity", effective.FILE, no_file, effective.draw),
    also=(effective.lag(2),),
)
FEATURES = Panel("features", "Features for statistics", features.COMPONENTS, no_file, features.draw)
# In the order of the page.
PANELS = (MOTION, CARPET, FUNCTIONAL, STRUCTURAL, COVERAGE, EFFECTIVE, FEATURES)
