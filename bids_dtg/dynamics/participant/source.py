"""What network models are fitted to, or judged by, is read from: one form for every source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.output_tables import UNKNOWN_CLEANING
from bids_dtg.inputs.splits_file import Families

Array = NDArray[np.float64]
Faults = Callable[[Array], list[str]]  # says what is wrong with a person's values


class SessionRest(ABC):
    """Who has rest of a session; values are read when asked for.

    Parameters
    ----------
    session
        Its name; empty where there is none.
    title
        What errors call it.
    tr_seconds
        Between frames.
    frames
        Of each series.
    labels
        Who has it, without sub-.
    """

    def __init__(
        self, session: str, title: str, tr_seconds: float, frames: int, labels: Collection[str]
    ) -> None:
        self.session, self.title = session, title
        self.tr_seconds, self.frames = tr_seconds, frames
        self.labels = frozenset(labels)

    @abstractmethod
    def series(self, labels: Sequence[str], faults: Faults) -> list[Array]:
        """Read people's series (regions, frames).

        Raises
        ------
        DatasetError
            `faults` finds something: with people and what it is.
        """

    @abstractmethod
    def weights(self, labels: Sequence[str], faults: Faults) -> list[Array]:
        """Read people's structural connectomes (regions, regions), as counted; as `series`."""


@dataclass(frozen=True, eq=False)
class NetworkSource:
    """People's series and structural connectomes, all over the same regions."""

    paths: tuple[Path, ...]  # files, or the folder that they are in
    labels: tuple[str, ...]  # of everybody, without sub-
    regions: tuple[str, ...]  # names
    sessions: tuple[SessionRest, ...]
    connected: frozenset[str]  # who has a structural connectome
    families: Families
    notes: tuple[str, ...]  # sentences on what was assumed, and what was left out
    atlas: str = ""  # key of the atlas whose parcels the regions are; empty: not known
    atlas_digest: str = ""  # SHA-256 of it, as `Atlas.digest`
    cleaning: str = field(default=UNKNOWN_CLEANING)  # of the series, in words
