"""Texts and figures of outputs of the workflow `dynamics`.

- `words`: README, methods text, quality columns, and text on participants and runs
- `presentation`: all of it together, found by the report through the workflow's row

Panels of a run (with motion, which every workflow has, and those of `report.parcels`):

- `figures`: functional connectivity, the structural connectome; by a linear core, effective
  connectivity, and scores of components of covariances
"""

from __future__ import annotations

from bids_dtg.dynamics.panels import figures
from bids_dtg.files.regions.relmat import RELMAT
from bids_dtg.report.panels import MOTION
from bids_dtg.report.panels.panel import Panel
from bids_dtg.report.parcels import CARPET, COVERAGE
from bids_dtg.report.parcels.files import no_file

FUNCTIONAL = Panel(
    *("connectivity", "Functional connectivity", RELMAT, no_file),
    figures.draw_functional,
    beside=True,
)
STRUCTURAL = Panel(
    *("structure", "Structural connectome", figures.STRUCTURAL, no_file),
    figures.draw_structural,
    beside=True,
)
EFFECTIVE = Panel(
    *("effective", "Effective connectivity", figures.EFFECTIVE, no_file, figures.draw_effective),
    also=(figures.lag(2),),
)
FEATURES = Panel(
    *("features", "Features for statistics", figures.COMPONENTS, no_file), figures.list_components
)
# In the order of the page.
PANELS = (MOTION, CARPET, FUNCTIONAL, STRUCTURAL, COVERAGE, EFFECTIVE, FEATURES)
