"""What pages show of the parcels of an atlas, in every workflow that reads their series.

- `files`: tables and matrices of parcels as pages read them
- `regions`: in what order parcels are drawn, and the words beside them
- `series`: the series of all parcels, as a carpet
- `coverage`: how much of each parcel has signal
- `matrix`: a matrix between parcels, as a picture
- `quality`: figures of a run's parcels for the quality table
- `words`: how series were made, and which parcels have none
"""

from __future__ import annotations

from bids_dtg.files.regions.series import SERIES
from bids_dtg.report.panels.panel import Panel
from bids_dtg.report.parcels import coverage, series
from bids_dtg.report.parcels.files import no_file

CARPET = Panel("series", "Series of the parcels", SERIES, no_file, series.draw)
COVERAGE = Panel("coverage", "Coverage of the parcels", coverage.FILE, no_file, coverage.draw)
