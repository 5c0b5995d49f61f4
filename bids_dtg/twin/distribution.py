"""Predicted distributions of people's responses to the trials of a task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Distribution:
    """Predicted distributions of responses to the trials of a task, (people, trials, ...)."""

    seconds: Values  # (steps,), since the onset
    answered: Values  # (people, trials, steps): how likely a response by then
    shares: Values  # (people, trials, 3): correct, wrong, miss
