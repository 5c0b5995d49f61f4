"""Sources of digital twins' connectomes: one form for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.output_tables import UNKNOWN_CLEANING
from bids_dtg.errors import DatasetError
from bids_dtg.inputs.rest_sketch import sketch_edges
from bids_dtg.inputs.splits_file import Families
from bids_dtg.notices import counted, named

Edges = NDArray[np.float32]

CONNECTOME = "the connectome"  # in the names of sketches
FISHER_Z = "fisherz"  # value of stat- of the connectomes that the participant level writes
# Keys of their sidecars: the list of runs, a run's title, and its minutes.
RUNS, RUN, MINUTES = "Runs", "Run", "MinutesKept"
LARGEST_Z = 3.0  # of an edge, in Fisher z: r is 0.995 there
# Description of how they are made; a warning is given where a model's were made in another way.
OF_PARCELS = "Pearson correlations of parcel series, as Fisher z"


@dataclass(frozen=True, eq=False, kw_only=True)
class ConnectomeSource(ABC):
    """Connectomes of people, all with the same edges; values are read on request."""

    paths: tuple[Path, ...]  # files, or the folder that they are in
    labels: tuple[str, ...]  # of everybody with a connectome, without sub-, in order
    regions: tuple[str, ...]  # names; () where edges have no names
    places_named: bool  # whether the source has the names; False: they are made up
    edges: int  # number of edges of a connectome
    words: str  # how connectomes were made
    expected: str  # for errors: files from which people have both a connectome and events
    families: Families  # related people
    notes: tuple[str, ...] = ()  # sentences on assumptions, and on what was left out
    atlas: str = ""  # key of the atlas of the regions; empty: not known
    atlas_digest: str = ""  # SHA-256 of it, as `Atlas.digest`; empty: not known
    cleaning: str = UNKNOWN_CLEANING  # of the runs, in words
    files: tuple[Path, ...] = ()  # that were read, but for arrays

    @abstractmethod
    def connectomes(self, labels: Sequence[str]) -> Edges:
        """Read people's connectomes.

        Parameters
        ----------
        labels
            Labels of the people, in this order; all of them are in the source's `labels`.

        Returns
        -------
        numpy.ndarray
            (people, edges), Fisher z: the upper triangle row by row, averaged over a person's
            runs.

        Raises
        ------
        DatasetError
            Values cannot be used; the message names people and regions.
        """

    def sketches(self, labels: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return sketches of people's connectomes by what they are, by which they are known again.

        Whoever has values that cannot be used has none.
        """
        try:
            rows = dict(zip(labels, self.connectomes(labels), strict=True))
        except DatasetError:  # a later step names the person
            rows = {}
            for label in labels:
                with suppress(DatasetError):
                    rows[label] = self.connectomes([label])[0]
        return {
            label: {CONNECTOME: sketch_edges(rows[label])} if label in rows else {}
            for label in labels
        }


def connectome_notes(
    connectomes: NDArray[np.floating], labels: Sequence[str], families: Families
) -> tuple[str, ...]:
    """Return sentences on connectomes that are hardly those of a person.

    Parameters
    ----------
    connectomes
        (people, edges), Fisher z.
    labels
        Labels of the people.
    families
        Their families, with copies.

    Raises
    ------
    DatasetError
        All connectomes are the same.
    """
    if len(labels) > 1 and any({*labels} <= {*own} for own in families.copies):
        raise DatasetError(
            f"{counted(len(labels), 'participant')} have the same connectome ({named(labels)})",
            expected="a connectome of each participant's own",
        )
    strongest = np.take_along_axis(connectomes, np.abs(connectomes).argmax(1)[:, None], 1)[:, 0]
    if (beyond := np.flatnonzero(np.abs(strongest) > LARGEST_Z)).size:
        found = [f"sub-{labels[row]}: {strongest[row]:.3g}" for row in beyond.tolist()]
        return (
            f"{counted(len(found), 'participant')} with edges beyond {LARGEST_Z:g} in Fisher z "
            f"({named(found)}): correlations above {np.tanh(LARGEST_Z):.3f}, as of one series "
            "under two names",
        )
    return ()
