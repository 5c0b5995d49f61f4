"""Panels and sentences of the workflow `twin` in outputs and on pages.

- `words`: README, methods text, quality columns, and sentences on participants and averages
- `trial_series`: the table of an average's trial time series: writer and reader
- `averages`: the averages of a participant on the page, in the order of their panels
- `presentation`: all of it together, which the report finds by the slice's row

Panels of an average of runs:

- `behaviour`: behaviour of the twin, the person and the group in each task and condition
- `curves`: response times, and time series of the mean trial
- `connectome`: Fisher's z between all parcels

Panels of a run are motion and the panels of `report.parcels`.
"""

from __future__ import annotations

from bids_dtg.report.panels import MOTION
from bids_dtg.report.parcels import CARPET, COVERAGE
from bids_dtg.twin.panels.averages import OF_SETS, draw_sets

__all__ = ["OF_SETS", "PANELS", "draw_sets"]

# Of a run, in the order of the page.
PANELS = (MOTION, CARPET, COVERAGE)
