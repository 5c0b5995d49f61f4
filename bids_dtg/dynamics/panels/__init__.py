"""Texts and figures of outputs of the workflow `dynamics`.

- `words`: README, methods text, quality columns, and text on participants and runs
- `run`: the measured and modelled run that panels read
- `presentation`: all of it together, found by the report through the workflow's row

Panels of a run (with motion, which every workflow has, and those of `report.parcels`):

- `connectivity`: functional connectivity, and the structural connectome
- `effective`: effective connectivity, by a linear core
- `features`: scores of components of covariances, by a linear core
- `forecasts`: how well frames of a run follow from those before them, by a linear core
- `person`: parameters of the person by a named model, and whether they can be trusted
- `parameters`: regional parameters with their spread, and the first one in the brain
- `predictive`: the measured session compared with simulated ones
"""

from __future__ import annotations

from bids_dtg.dynamics.panels import (
    connectivity,
    effective,
    features,
    forecasts,
    parameters,
    person,
    predictive,
)
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
PARAMETERS = Panel(
    *("parameters", "Regional parameters", parameters.FILE, no_file, parameters.draw),
    also=(parameters.FIRST_MAP,),
)
PERSON = Panel("person", "Parameters of the person", person.FILE, no_file, person.draw)
EFFECTIVE = Panel(
    *("effective", "Effective connectivity", effective.FILE, no_file, effective.draw),
    also=(effective.lag(2),),
)
FEATURES = Panel("features", "Features for statistics", features.COMPONENTS, no_file, features.draw)
FORECASTS = Panel("forecasts", "Forecasts", forecasts.FILE, no_file, forecasts.draw)
PREDICTIVE = Panel(
    "simulations",
    "The measured session compared with simulated ones",
    predictive.FILE,
    predictive.keep,
    predictive.draw,
)
# In the order of the page.
PANELS = (
    *(MOTION, CARPET, FUNCTIONAL, STRUCTURAL, COVERAGE, PERSON, PARAMETERS, EFFECTIVE, FEATURES),
    *(FORECASTS, PREDICTIVE),
)
