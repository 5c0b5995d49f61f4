"""A builder of small named models, and of their bundles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tiny_linear import TINY_REGIONS

from bids_dtg.bundles.people import ModelPeople
from bids_dtg.dynamics.bank import Bank, make_bank
from bids_dtg.dynamics.bundle.core import CoreFacts
from bids_dtg.dynamics.bundle.named import (
    FittedNamed,
    NamedBundle,
    write_named_bundle,
)
from bids_dtg.dynamics.calibration import Calibration
from bids_dtg.dynamics.linear import TrainingPerson, fit_linear
from bids_dtg.dynamics.named import Substrate

TINY_FACTS = CoreFacts(
    name="tiny",
    recipe_name="hopf",
    data_set="Tiny study",
    session="REST1",
    for_science=False,
    notice="series made by chance, for tests",
)
GOOD = Calibration(200, 0.95, 0.93, 0.96, 0.9, 0.5)
LOST = Calibration(200, 0.2, 0.06, 0.33, 0.9, 0.5)  # true values are not recovered


def tiny_bank(regions: int = len(TINY_REGIONS), tr: float = 2.0, frames: int = 100) -> Bank:
    """Simulate few sessions of oscillators; what judges them is given, not found."""
    weights = np.random.default_rng(0).random((regions, regions))
    weights = weights + weights.T
    np.fill_diagonal(weights, 0)
    substrate = Substrate(weights / weights.max(), np.full(regions, 0.05), tr)
    bank = make_bank("hopf", substrate, frames, 0, simulations=80, checks=0)
    return replace(bank, calibrations=(GOOD, GOOD, LOST))


def write_tiny_named(
    folder: Path,
    people: ModelPeople | None = None,
    *,
    regions: Sequence[str] = TINY_REGIONS,
    tr: float = 2.0,
    frames: int = 100,
    **facts: Any,
) -> NamedBundle:
    """Write the bundle of a small named model; `facts` as in CoreFacts."""
    series = np.random.default_rng(0).standard_normal((6, len(regions), frames))
    core, _ = fit_linear([TrainingPerson.of(own) for own in series], tr)
    labels = tuple(f"p{number}" for number in range(len(series)))
    fitted = FittedNamed(tiny_bank(len(regions), tr, frames), core, labels, regions)
    return write_named_bundle(folder, fitted, replace(TINY_FACTS, **facts), people)
