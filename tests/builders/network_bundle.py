"""Small network models of dynamics with random weights, and their bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from linear_core_bundle import TINY_REGIONS

from bids_dtg.bundles.training_hashes import TrainingHashes
from bids_dtg.dynamics.bundle.network import NetworkBundle, write_network_bundle
from bids_dtg.dynamics.fitting import Fitted, Restart
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.networks import Networks, normalised, standardised
from bids_dtg.dynamics.recipe import Recipe

TINY_RECIPE = Recipe(
    states=2,
    region_parameters=2,
    person_parameters=1,
    hidden=5,
    encoder_units=3,
    epochs=2,
)
TINY_FACTS: dict[str, Any] = {
    "name": "tiny",
    "data_set": "Tiny study",
    "session": "REST1",
    "notice": "random weights, for tests",
}


def tiny_fitted(
    recipe: Recipe = TINY_RECIPE, frames: int = 20, seed: int = 0
) -> Fitted:
    """Make what a fit returns, with random weights and without a fit."""
    people = ("ann", "bob", "cy")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = NetworkModel(recipe, len(people), len(TINY_REGIONS), frames).eval()
    history = tuple(
        {"epoch": float(n), "loss": 9.0 - n, "seconds": 1800.0} for n in range(2)
    )
    scores = ((-20.0, -30.5), (-19.0, float("nan")))
    restarts = tuple(
        Restart(seed + n, *score, history, model.state_dict())
        for n, score in enumerate(scores)
    )
    trained = np.random.default_rng(seed).random((len(people), len(TINY_REGIONS))) < 0.8
    return Fitted(
        model, people, TINY_REGIONS, 0.72, frames, trained, restarts, chosen=0
    )


def write_tiny_network(
    folder: Path,
    recipe: Recipe = TINY_RECIPE,
    people: TrainingHashes | None = None,
    **facts: Any,
) -> NetworkBundle:
    """Write the bundle of a small network model; `facts` for its card."""
    return write_network_bundle(
        folder, tiny_fitted(recipe), people, **{**TINY_FACTS, **facts}
    )


def chance_networks(
    people: int = 3, regions: int = 6, frames: int = 300, seed: int = 0
) -> Networks:
    """Return networks whose regions share a course and remember the frame before."""
    rng = np.random.default_rng(seed)
    shape = people, regions, frames
    white = rng.standard_normal(shape) + rng.standard_normal((people, 1, frames))
    weights = rng.uniform(size=(people, regions, regions))
    return Networks(
        people=tuple(f"{number:02}" for number in range(people)),
        regions=tuple(f"{side}_{n}" for side in "LR" for n in range(regions // 2)),
        series=standardised(white + np.roll(white, 1, axis=-1)),
        weights=normalised(weights + weights.transpose(0, 2, 1)),
        tr_seconds=0.72,
    )
