"""A builder of small linear cores, and of their bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.bundles.people import ModelPeople
from bids_dtg.dynamics.bundle.linear import LinearBundle, write_linear_bundle
from bids_dtg.dynamics.components import Components, find_components
from bids_dtg.dynamics.linear import LinearModel, TrainingPerson, fit_core

TINY_REGIONS = ("L insula", "R insula", "L café", "R café")
TINY_PEOPLE, TINY_FRAMES = tuple(f"p{number}" for number in range(6)), 90
TINY_FACTS = {
    "name": "tiny",
    "data_set": "Tiny study",
    "session": "REST1",
    "for_science": False,
    "notice": "series made by chance, for tests",
}


def tiny_fitted() -> tuple[LinearModel, Components | None]:
    """Fit a linear core, and components, to series by chance."""
    shape = len(TINY_PEOPLE), len(TINY_REGIONS), TINY_FRAMES
    people = [TrainingPerson.of(own) for own in np.random.default_rng(0).standard_normal(shape)]
    return fit_core(people, 0.72), find_components(people)


def write_tiny_linear(
    folder: Path, people: ModelPeople | None = None, **facts: Any
) -> LinearBundle:
    """Write the bundle of a small linear core; `facts` for its card."""
    given: dict[str, Any] = {"labels": TINY_PEOPLE, "regions": TINY_REGIONS}
    given |= {"frames": TINY_FRAMES, "tr_seconds": 0.72, **TINY_FACTS, **facts}
    return write_linear_bundle(folder, *tiny_fitted(), people, **given)
