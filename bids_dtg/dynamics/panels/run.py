"""The measured and modelled run that panels of the network model read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.report.panels.panel import RunFrames


@dataclass(frozen=True, eq=False)
class NetworkRun(RunFrames):
    """A run whose parcel series were measured, and modelled."""

    sources: tuple[str, ...] = ()  # BIDS URIs of the input files
    # (parcels, frames), input of the model: gaps filled, NaN only for parcels without a series;
    # None if the run was not modelled.
    series: NDArray[np.floating[Any]] | None = None
    simulated: NDArray[np.floating[Any]] | None = None  # (simulations, parcels, frames); likewise
