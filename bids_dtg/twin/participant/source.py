"""What connectomes of digital twins are read from: one form for every source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.output_tables import UNKNOWN_CLEANING
from bids_dtg.inputs.splits_file import Families

Edges = NDArray[np.float32]

FISHER_Z = "fisherz"  # value of stat- of the connectomes that the participant level writes
# Keys of their sidecars: runs, a run's title among them, and what it counts by.
RUNS, RUN, MINUTES = "Runs", "Run", "MinutesKept"
# How it makes them: a line warns of those that were made in another way than a model's.
OF_PARCELS = "Pearson correlations of parcel series, as Fisher z"


@dataclass(frozen=True, eq=False, kw_only=True)
class ConnectomeSource(ABC):
    """Who has a connectome, all over the same edges; values are read when asked for."""

    paths: tuple[Path, ...]  # files, or the folder that they are in
    labels: tuple[str, ...]  # of everybody with a connectome, without sub-, in order
    regions: tuple[str, ...]  # names; () where there are edges without names
    places_named: bool  # whether the names are of the source, and not made up
    edges: int  # of a connectome
    words: str  # how connectomes were made
    expected: str  # in an error: what gives somebody both a connectome and events
    families: Families  # who is related
    notes: tuple[str, ...] = ()  # sentences on what was assumed, and what was left out
    atlas: str = ""  # key of the atlas whose parcels the regions are; empty: not known
    atlas_digest: str = ""  # SHA-256 of it, as `Atlas.digest`; empty: not known
    cleaning: str = UNKNOWN_CLEANING  # of the runs, in words

    @abstractmethod
    def connectomes(self, labels: Sequence[str]) -> Edges:
        """Read people's connectomes.

        Parameters
        ----------
        labels
            Whose, in this order; all of them among `labels` of the source.

        Returns
        -------
        numpy.ndarray
            (people, edges), Fisher z: the upper triangle row by row, averaged over a person's
            runs.

        Raises
        ------
        DatasetError
            Somebody's values cannot be used: naming people and regions.
        """
