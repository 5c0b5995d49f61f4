"""The common form of data of network models, for every source."""

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
Faults = Callable[[Array], list[str]]  # returns the faults of a person's values


class SessionRest(ABC):
    """People with rest of a session; values are read when needed.

    Parameters
    ----------
    session
        Name of the session; empty if there is none.
    title
        Name of the series in errors.
    tr_seconds
        Time between frames in seconds.
    frames
        Number of frames of each series.
    labels
        Labels of the people, without sub-.
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
            `faults` finds any; the message names people and faults.
        """

    @abstractmethod
    def sketches(self, labels: Sequence[str]) -> dict[str, str]:
        """Return a sketch of each person's whole series, by which it is known again.

        Whoever has no rest of the session, or none that can be read, is not in it.
        """

    def kept(self, labels: Sequence[str]) -> list[NDArray[np.bool_]] | None:
        """Return which frames of people's series were kept, (frames,) each; None: all."""
        return None

    def dof(self, labels: Sequence[str]) -> list[float] | None:
        """Return what cleaning left of people's kept frames; NaN: not known; None: nobody's is."""
        return None

    @abstractmethod
    def weights(self, labels: Sequence[str], faults: Faults) -> list[Array]:
        """Read people's structural connectomes (regions, regions), as streamline counts."""


@dataclass(frozen=True, eq=False)
class NetworkSource:
    """People's series and structural connectomes, all over the same regions."""

    paths: tuple[Path, ...]  # files, or their folder
    labels: tuple[str, ...]  # of everybody, without sub-
    regions: tuple[str, ...]  # names
    sessions: tuple[SessionRest, ...]
    connected: frozenset[str]  # labels of people with a structural connectome
    families: Families
    notes: tuple[str, ...]  # sentences on assumptions, and on people left out
    atlas: str = ""  # key of the atlas of the regions; empty: not known
    atlas_digest: str = ""  # SHA-256 of it, as `Atlas.digest`
    cleaning: str = field(default=UNKNOWN_CLEANING)  # of the series, in words
    files: tuple[Path, ...] = ()  # that were read, but for arrays
