"""Errors of predicted maps in the blocks of a lattice, from which half-widths are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.lattice import Lattice

# Standard deviations after which the Gaussian that smooths mean squares is 0, to the next block.
REACH = 6.0
# Of what is smoothed into a block, less than this share of the most is no ground for a value.
LEAST_GROUND = 1e-6


@dataclass(frozen=True, eq=False)
class BlockErrors:
    """Root mean square errors of predicted maps, in the blocks of a lattice."""

    WORDS: ClassVar[str] = "errors"  # what they are called where one is wrong

    values: NDArray[np.float32]  # (contrasts, *lattice), in the units of the maps, above 0
    lattice: Lattice  # over the model's places

    def __post_init__(self) -> None:
        if self.values.shape[1:] != self.lattice.shape:
            raise ValueError(f"the lattice is {self.lattice.shape}, found {self.values.shape[1:]}")
        if not (np.isfinite(self.values).all() and (self.values > 0).all()):
            raise ValueError(f"{self.WORDS} are above 0")

    def at_places(self) -> NDArray[np.float32]:
        """Interpolate linearly between the blocks' centres: (contrasts, places)."""
        return self.lattice.interpolate(self.values)
