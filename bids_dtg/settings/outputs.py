"""Options on what is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bids_dtg.settings.option import option

Combine = Literal["run", "session", "participant"]


@dataclass(frozen=True)
class OutputOptions:
    """What is written."""

    combine: Combine = option(
        "output",
        "average maps within each run, session or participant",
        default="session",
        shapes_results=True,
    )
    interval_level: int = option(
        "output",
        "level of the intervals around the maps, where the model carries a calibration",
        default=90,
        metavar="PERCENT",
        shapes_results=True,
    )
    half_maps: bool = option(
        "output",
        "also predict maps from the odd and the even pieces of each run, and tell how reliable the "
        "maps are",
        default=False,
        shapes_results=True,
    )
    write_connectome: bool = option(
        "output",
        "also write the connectome, the ROI-by-ROI matrix and the ROI series of each run",
        default=False,
        shapes_results=True,
    )
    atlas: Path | None = option(
        "output",
        "label image in the model's space; the maps' parcel means are written as a table",
        default=None,
        metavar="FILE",
        shapes_results=True,
    )
