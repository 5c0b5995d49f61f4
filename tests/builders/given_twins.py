"""Twins whose outputs are given, and people whose connectomes say how slow they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from twin_runs import slow_and_quick

from bids_dtg.twin.fitting import Outputs
from bids_dtg.twin.judging.cohort import Cohort
from bids_dtg.twin.trial_series import Segments

PEOPLE = 24


@dataclass
class Given:
    """Twins whose outputs are given."""

    buttons: np.ndarray
    group: np.ndarray

    def perform(self, segments: Segments) -> Outputs:
        return self.buttons

    def perform_group(self, segments: Segments) -> Outputs:
        return self.group


def slow_cohort() -> Cohort:
    """Return people with connectomes."""
    segments, takes = slow_and_quick(people=PEOPLE, seed=0)
    rng = np.random.default_rng(0)
    values = np.outer(takes, rng.normal(size=20)) + rng.normal(0.0, 0.05, (PEOPLE, 20))
    return Cohort(tuple(f"p{number}" for number in range(PEOPLE)), segments, values)
