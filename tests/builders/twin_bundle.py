"""Small digital twins with random weights, and their bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from linear_core_bundle import TINY_REGIONS

from bids_dtg.bundles.training_hashes import TrainingHashes
from bids_dtg.twin.bold import BoldRidges
from bids_dtg.twin.bundle.bundle import TwinBundle, write_twin_bundle
from bids_dtg.twin.fitting import Fitted, empty_twin
from bids_dtg.twin.recipe import Recipe
from bids_dtg.twin.tasks import find_task
from bids_dtg.twin.trial_series import TaskSet

TINY_TWIN_RECIPE = Recipe(units=5, rank=3, hyper_units=6)
TINY_TWIN_FACTS: dict[str, Any] = {
    "name": "tiny",
    "connectome": "Pearson's r, Fisher z",
    "regions": TINY_REGIONS,
    "data_set": "Tiny study",
    "notice": "random weights, for tests",
}


def tiny_fitted_twin(
    architecture: str = "lowrank",
    recipe: Recipe = TINY_TWIN_RECIPE,
    *,
    edges: int = 6,
    tasks: tuple[str, ...] = ("faces", "stroop"),
    seed: int = 0,
    bold: bool = False,
) -> Fitted:
    """Make what a fit returns, with random weights; BOLD is `tiny_bold_ridges`."""
    performed = TaskSet(tuple(map(find_task, tasks)))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        twin = empty_twin(architecture, recipe, edges, performed, 3 if bold else 0)
        for tensor in twin.buffers():
            tensor.uniform_(0.1, 0.9)
    return Fitted(
        twin=twin.eval(),
        architecture=architecture,
        recipe=recipe,
        tasks=performed,
        people=("cy", "ann", "bob"),
        seed=seed,
        history={
            "group": (
                {"epoch": 1.0, "validation_loss": 0.5},
                {"epoch": 2.0, "x": np.nan},
            )
        },
        bold=tiny_bold_ridges(edges, performed) if bold else None,
    )


def tiny_bold_ridges(edges: int, tasks: TaskSet) -> BoldRidges:
    """Return ridges of three regions: the second has no signal, connectomes predict the first."""
    rng, number = np.random.default_rng(0), len(tasks.tasks)
    conditions = sum(len(task.conditions) for task in tasks.tasks)
    shapes: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("mean", "sd"), (3,)),
        **dict.fromkeys(("offsets", "contrasts", "contrast_sds"), (3, number)),
        **dict.fromkeys(("responses",), (3, conditions)),
    }
    arrays = {name: rng.uniform(0.5, 1.0, shape) for name, shape in shapes.items()}
    for values in arrays.values():
        values[1] = np.nan
    per_edge = {
        "edge_mean": rng.normal(size=edges),
        "edge_weights": rng.normal(size=(edges, 1, conditions)),
    }
    gates = {"z": np.array([9.0, 0.0, 1.0]), "least_z": np.array([3.0])}
    return BoldRidges(("a", "b", "c"), 0.8, **arrays, **per_edge, **gates)


def write_tiny_twin(
    folder: Path,
    fitted: Fitted | None = None,
    people: TrainingHashes | None = None,
    **facts: Any,
) -> TwinBundle:
    """Write the bundle of a small digital twin; `facts` for its card."""
    fitted = fitted or tiny_fitted_twin()
    return write_twin_bundle(folder, fitted, people, **{**TINY_TWIN_FACTS, **facts})
