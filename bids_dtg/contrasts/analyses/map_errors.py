"""Errors of people's predicted maps, on disk, from which half-widths are calibrated.

The people were not in the fit that predicts them: they are new to the model, or each was left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from bids_dtg.contrasts.analyses.fit import mean_segments
from bids_dtg.contrasts.people import Array, Person
from bids_dtg.errors import DatasetError
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.imaging.places import Places
from bids_dtg.notices import counted
from bids_dtg.stats.conformal import Calibration, block_edge
from bids_dtg.stats.deviation import Deviation, share_far
from bids_dtg.stats.width_factors import Bins, SegmentSums, deviation_bins


class MapErrors:
    """Measured less predicted maps of people, and what else their predictions say.

    Parameters
    ----------
    store
        Where the arrays are kept, in its folder ``work``.
    people
        All people, in the order of their numbers.
    contrasts
        How many maps the model predicts.
    places
        Where these are.
    """

    def __init__(
        self, store: ArrayStore, people: Sequence[Person], contrasts: int, places: Places
    ) -> None:
        self._people, self._places = people, places
        self.segments = mean_segments(people)
        shape = len(people), contrasts, places.number
        # Both (people, contrasts, places); NaN: not measured. `second`: None: nobody has a retest.
        self.first: Array = store.create("work/errors", shape, np.float32)
        self.second: Array | None = None
        if self.retest:
            self.second = store.create("work/second", shape, np.float32)
        self.bins: Bins = store.create("work/bins", shape, np.int8)
        self.bins[:] = 0
        self._shorter = SegmentSums(self.segments, contrasts)

    @property
    def retest(self) -> int:
        """How many people had a second session of the task."""
        return sum(len(person.sessions) > 1 for person in self._people)

    def add(self, number: int, chosen: Sequence[int], maps: Iterable[Array]) -> Array:
        """Add a person's errors; return the last of the maps.

        Parameters
        ----------
        number
            Of the person.
        chosen
            Rows of the model's maps that the person's measured maps are of.
        maps
            Predicted from the first segment of rest, the first two, and so on, to all.
        """
        person = self._people[number]
        measured = np.full((2, *self.first.shape[1:]), np.nan, np.float32)
        for own, session in zip(measured, person.sessions, strict=False):
            own[chosen] = session
        for count, predicted in enumerate(maps, 1):
            errors = measured - predicted
            if count <= self.segments <= len(person.connectomes):
                self._shorter.add(count, errors[0], errors[1])
        self.first[number] = errors[0]
        if self.second is not None:
            self.second[number] = errors[1]
        return predicted

    def compare(self, number: int, others: Deviation, predicted: Array) -> float:
        """Note how far a person's maps are from others'; return the share that is far."""
        away = others.deviations(predicted)
        self.bins[number] = deviation_bins(away)
        return share_far(away)

    def calibration(self, cleaning: str, *, in_turn: bool = False) -> Calibration:
        """Calibrate half-widths; `cleaning` and `in_turn` as of the calibration.

        Raises
        ------
        DatasetError
            A contrast was predicted without error.
        """
        try:
            found = Calibration.fit(
                self.first,
                self._places.lattice(block_edge(self._places.spacing_mm)),
                self.segments,
                retest=self.second,
                bins=self.bins,
                by_segments=self._shorter.factors(),
            )
        except ValueError as err:
            raise DatasetError(
                "a contrast was predicted without error in "
                f"{counted(len(self._people), 'participant')}",
                expected="measured maps that differ between people",
            ) from err
        return replace(
            found,
            cleaning=cleaning,
            minutes=float(np.mean([person.minutes for person in self._people])),
            residual_dof=float(np.mean([person.residual_dof for person in self._people])),
            left_out_in_turn=in_turn,
        )
