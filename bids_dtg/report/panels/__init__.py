"""What panels of pages are made of, and the panel that the pages of every workflow show.

- `panel`: what a panel is, and how its file is written
- `motion`: framewise displacement and DVARS, with the frames that are dropped
"""

from __future__ import annotations

from bids_dtg.report.panels import motion
from bids_dtg.report.panels.panel import Panel

MOTION = Panel("motion", "Motion and censoring", motion.FILE, motion.keep, motion.draw)
