"""What outputs of the workflow `twin` say and show.

- `words`: README, methods text, quality columns, and what pages say of participants and sets
- `traces`: the table of a set's curves, written and read
- `fit`: how well a person's responses are predicted, as sidecars have it
- `sets`: the sets of a participant on the page, in the order of their panels
- `presentation`: all of it together, as the report finds it by the slice's row

Panels of a set of runs:

- `behaviour`: what the twin does in each task and condition, beside the person and the group
- `fitted`: how well the twin says what the person did
- `curves`: response times, and traces of the mean trial
- `connectome`: Fisher's z between all parcels

Panels of a run are motion and those of `report.parcels`.
"""

from __future__ import annotations

from bids_dtg.report.panels import MOTION
from bids_dtg.report.parcels import CARPET, COVERAGE
from bids_dtg.twin.panels.sets import OF_SETS, draw_sets

__all__ = ["OF_SETS", "PANELS", "draw_sets"]

# Of a run, in the order of the page.
PANELS = (MOTION, CARPET, COVERAGE)
