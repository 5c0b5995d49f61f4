"""A fitted model of any kind: what predicts, and what a bundle keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from bids_dtg.contrasts.people import Array, MapModel, Person, predicted_maps
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.stats.half_width import HalfWidths


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A fitted model, and what its bundle needs."""

    kind: str  # its row of `bids_dtg.contrasts.bundle.kinds`
    model: MapModel  # before the correction
    tensors: Mapping[str, NDArray[Any]]  # of the bundle's weights
    record: Mapping[str, Any]  # how it was fitted, for the card
    correction: Correction | None = None  # of its maps; None: none
    # Whether correction and half-widths were found with each training person left out in turn;
    # else on the validation people.
    left_out_in_turn: bool = False
    # Labels of the contrasts whose corrected map is the same for everybody.
    same_for_all: tuple[str, ...] = ()
    half_widths: HalfWidths | None = None  # of intervals around its maps; None: none
    words: str = ""  # what the page says of the fit, in a sentence; empty: nothing

    def predict(self, person: Person) -> Array:
        """Predict a person's maps: the mean over segments, corrected."""
        maps = predicted_maps(self.model, person)
        return maps if self.correction is None else self.correction.apply(maps)
