"""Small linear cores of dynamics, of six people, and their bundles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.training_hashes import TrainingHashes
from bids_dtg.dynamics.bundle.linear import LinearBundle, write_linear_bundle
from bids_dtg.dynamics.components import Components, find_components
from bids_dtg.dynamics.linear import LinearModel, TrainingPerson, fit_core

TINY_REGIONS = ("L insula", "R insula", "L café", "R café")
CHANCE = np.random.default_rng(0).standard_normal((6, len(TINY_REGIONS), 90))


def tiny_fitted(
    series: Sequence[NDArray] = CHANCE, tr: float = 0.72
) -> tuple[LinearModel, Components | None]:
    """Fit a linear core, and components, to people's series."""
    people = [TrainingPerson.of(of_person) for of_person in series]
    return fit_core(people, tr), find_components(people)


def write_tiny_linear(
    folder: Path,
    people: TrainingHashes | None = None,
    series: Sequence[NDArray] = CHANCE,
    **facts: Any,
) -> LinearBundle:
    """Write the bundle of a small linear core; `facts` for its card."""
    all_facts: dict[str, Any] = {
        "labels": tuple(f"p{number}" for number in range(len(series))),
        "regions": TINY_REGIONS,
        "frames": 90,
        "tr_seconds": 0.72,
        "name": "tiny",
        "data_set": "Tiny study",
        "session": "REST1",
        "notice": "series made by chance, for tests",
        **facts,
    }
    model, components = tiny_fitted(series, all_facts["tr_seconds"])
    return write_linear_bundle(folder, model, components, people, **all_facts)
