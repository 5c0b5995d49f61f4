"""A builder of small digital twins with random weights, and of their bundles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bids_dtg.bundles.people import ModelPeople
from bids_dtg.twin.bundle.bundle import TwinBundle, TwinFacts, write_twin_bundle
from bids_dtg.twin.fitting import Fitted, empty_twin
from bids_dtg.twin.recipe import Recipe
from bids_dtg.twin.tasks import find_task
from bids_dtg.twin.trial_series import TaskSet

TINY_TWIN_RECIPE = Recipe(units=5, rank=3, hyper_units=6)
TINY_TWIN_REGIONS = ("L insula", "R insula", "L café", "R café")
TINY_TWIN_FACTS = TwinFacts(
    name="tiny",
    connectome="Pearson's r, Fisher z",
    regions=TINY_TWIN_REGIONS,
    data_set="Tiny study",
    for_science=False,
    notice="random weights, for tests",
)


def tiny_fitted_twin(
    architecture: str = "lowrank",
    recipe: Recipe = TINY_TWIN_RECIPE,
    *,
    edges: int = 6,
    tasks: tuple[str, ...] = ("faces", "stroop"),
    seed: int = 0,
) -> Fitted:
    """Make what a fit returns, with random weights and without a fit."""
    performed = TaskSet(tuple(map(find_task, tasks)))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        twin = empty_twin(architecture, recipe, edges, performed)
        for tensor in twin.buffers():
            tensor.uniform_(0.1, 0.9)
    return Fitted(
        twin=twin.eval(),
        architecture=architecture,
        recipe=recipe,
        tasks=performed,
        people=("cy", "ann", "bob"),
        seed=seed,
        history={"group": ({"epoch": 1.0, "validation_loss": 0.5}, {"epoch": 2.0, "x": np.nan})},
    )


def write_tiny_twin(
    folder: Path,
    fitted: Fitted | None = None,
    people: ModelPeople | None = None,
    **facts: Any,
) -> TwinBundle:
    """Write the bundle of a small digital twin; `facts` as in TwinFacts."""
    fitted = fitted or tiny_fitted_twin()
    return write_twin_bundle(folder, fitted, replace(TINY_TWIN_FACTS, **facts), people)
