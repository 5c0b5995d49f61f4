"""A published run of a network of reduced Wong-Wang models, which the package repeats."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.test_models import WongWang, WongWangRecipe

SHORT = WongWangRecipe(seconds=30.0, dropped_seconds=6.0)
Arrays = Mapping[str, NDArray]


def published(values: Arrays, recipe: WongWangRecipe = SHORT) -> tuple[WongWang, NDArray, NDArray]:
    """Return the network, its initial state and its noise, of the fixture `replayed`."""
    network = WongWang(
        values["pmfm_w"][None],
        values["pmfm_G"][None, None],
        values["pmfm_sigma"][None],
        recipe,
    )
    noise = values["pmfm_eta"].T.astype(np.float64)[:, None, None]
    return network, values["pmfm_init"][None, None], noise
