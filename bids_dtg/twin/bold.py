"""BOLD of regions during tasks, from the states of a network that performs them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class BoldRun:
    """BOLD of a person's run of a task, by region."""

    values: NDArray[np.float32]  # (volumes, regions); NaN: censored, or the region has no signal
    tr_seconds: float
    start_seconds: float = 0.0  # of the first volume, on the event file's clock
