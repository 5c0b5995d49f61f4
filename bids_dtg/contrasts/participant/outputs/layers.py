"""Kinds of values in an average of maps, from which every form of output is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.imaging.nifti import Intent
from bids_dtg.report.contents import HALF_WIDTH, NOT_MEASURED, SYNTHETIC
from bids_dtg.stats.half_width import LEVEL

# What an interval holds.
_COVERS = (
    f"{LEVEL} % of the voxels of a newly measured map (one session of the task) of a person like "
    "those whose errors it comes from, on average over people; the noise of the measurement is "
    "included"
)


@dataclass(frozen=True, eq=False)
class Layer:
    """One kind of value: a row a contrast of the model, a column a place of it."""

    desc: str  # value of desc- of its files
    contrasts: tuple[Contrast, ...]  # those that are written; an index is a row of the values
    values: NDArray[np.float32]  # (contrasts, places); NaN: no value
    words: str  # beginning of its descriptions, followed by that of the contrast
    intent: Intent = "none"  # of images
    everybody: bool = False  # whether it is the same for all participants
    covers: str = ""  # what the intervals of half-widths hold; empty: it has other values

    def __post_init__(self) -> None:
        if self.values.ndim != 2:
            raise ValueError(f"a layer is (contrasts, places), not {self.values.shape}")


def maps_layer(estimate: Estimate, bundle: ModelBundle, contrasts: tuple[Contrast, ...]) -> Layer:
    """Return the predicted maps; `contrasts` are those that are written."""
    intent: Intent = "z score" if bundle.card.part.statistic == "z" else "none"
    return Layer(SYNTHETIC, contrasts, estimate.values, NOT_MEASURED, intent)


def half_width_layer(bundle: ModelBundle, contrasts: tuple[Contrast, ...]) -> Layer | None:
    """Return the half-widths of a model's intervals, the same for all; None: it has none."""
    if bundle.half_widths is None:
        return None
    words = (
        f"Half-width of the {LEVEL} % interval around the predicted map, for a new measurement: "
    )
    values = bundle.half_widths.at_places
    return Layer(HALF_WIDTH, contrasts, values, words, everybody=True, covers=_COVERS)
