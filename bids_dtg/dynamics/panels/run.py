"""What panels of the network model keep something of: a run that was measured, and modelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.report.panels.panel import RunFrames


@dataclass(frozen=True, eq=False)
class NetworkRun(RunFrames):
    """What panels keep something of: one run whose parcel series were measured, and modelled."""

    sources: tuple[str, ...] = ()  # BIDS URIs of what was read
    # (parcels, frames) of the model: gaps filled, no NaN but of parcels without a series; None
    # where the run was not modelled.
    series: NDArray[np.floating[Any]] | None = None
    simulated: NDArray[np.floating[Any]] | None = None  # (simulations, parcels, frames); likewise
