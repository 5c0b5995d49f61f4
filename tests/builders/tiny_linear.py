"""A builder of small linear cores, and of their bundles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.bundles.people import ModelPeople
from bids_dtg.dynamics.bundle.linear import (
    CoreFacts,
    FittedLinear,
    LinearBundle,
    write_linear_bundle,
)
from bids_dtg.dynamics.components import Components, edges_of
from bids_dtg.dynamics.linear import TrainingPerson, fit_core

TINY_REGIONS = ("L insula", "R insula", "L café", "R café")
TINY_FACTS = CoreFacts(
    name="tiny",
    data_set="Tiny study",
    session="REST1",
    for_science=False,
    notice="series made by chance, for tests",
)


def tiny_fitted(people: int = 6, frames: int = 90, seed: int = 0) -> FittedLinear:
    """Fit a linear core to series by chance."""
    series = np.random.default_rng(seed).standard_normal((people, len(TINY_REGIONS), frames))
    fitted_to = [TrainingPerson.of(own) for own in series]
    model = fit_core(fitted_to, 0.72)
    components = Components.of(np.stack([edges_of(own.session) for own in fitted_to]))
    labels = tuple(f"p{number}" for number in range(people))
    return FittedLinear(model, labels, TINY_REGIONS, frames, 0.72, components=components)


def write_tiny_linear(
    folder: Path, people: ModelPeople | None = None, **facts: Any
) -> LinearBundle:
    """Write the bundle of a small linear core; `facts` as in CoreFacts."""
    return write_linear_bundle(folder, tiny_fitted(), replace(TINY_FACTS, **facts), people)
