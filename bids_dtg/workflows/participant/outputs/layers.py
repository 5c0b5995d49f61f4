"""The kinds of values that a set of maps consists of: what every form of output is made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.imaging.nifti import Intent
from bids_dtg.report.contents import NOT_MEASURED, SPREAD, SYNTHETIC
from bids_dtg.report.map_reliability import HALVES

_HALF_WORDS = "Predicted from the {pieces} pieces of the runs, for the maps' reliability: "


@dataclass(frozen=True, eq=False)
class Layer:
    """One kind of value: a row a contrast of the model, a column a place of it."""

    desc: str  # value of desc- of its files
    values: NDArray[np.float32]  # (contrasts, places); NaN: no value
    words: str  # how its descriptions begin; that of the contrast follows
    intent: Intent = "none"  # of images
    units: str | None = None  # of the values; None: the maps'
    everybody: bool = False  # whether it is the same for all participants

    def __post_init__(self) -> None:
        if self.values.ndim != 2:
            raise ValueError(f"a layer is (contrasts, places), not {self.values.shape}")


def set_layers(estimate: Estimate, bundle: ModelBundle) -> tuple[Layer, ...]:
    """Return the kinds of values that are a participant's own.

    Parameters
    ----------
    estimate
        The maps, and their spread and halves where there are some.
    bundle
        The model that predicted them.
    """
    intent: Intent = "z score" if bundle.card.part.statistic == "z" else "none"
    layers = [Layer(SYNTHETIC, estimate.values, NOT_MEASURED, intent)]
    if estimate.spread is not None:
        words = "Standard deviation over segments of rest of the predicted map: "
        layers.append(Layer(SPREAD, estimate.spread, words))
    if estimate.halves is not None:
        for desc, pieces, values in zip(HALVES, ("odd", "even"), estimate.halves, strict=True):
            layers.append(Layer(desc, values, _HALF_WORDS.format(pieces=pieces), intent))
    return tuple(layers)
