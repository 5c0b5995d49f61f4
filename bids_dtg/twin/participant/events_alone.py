"""People without connectomes: all who have events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bids_dtg.inputs.splits_file import read_families
from bids_dtg.twin.participant.event_trials import Behaviour
from bids_dtg.twin.participant.source import ConnectomeSource, Edges


@dataclass(frozen=True, eq=False, kw_only=True)
class EventsAlone(ConnectomeSource):
    """No connectomes: each has no edges."""

    behaviour: Mapping[str, Behaviour]  # by label

    @classmethod
    def of(cls, root: Path, behaviour: Mapping[str, Behaviour]) -> EventsAlone:
        """Return the source of people with events below a folder."""
        return cls(
            behaviour=behaviour,
            paths=(root,),
            labels=tuple(sorted(behaviour)),
            regions=(),
            places_named=False,
            edges=0,
            words="none is read",
            expected="sub-*/func/sub-*_task-*_events.tsv, as the tasks describe them",
            families=read_families([root], labels=behaviour),
            needed="events that can be read",
        )

    def connectomes(self, labels: Sequence[str]) -> Edges:
        """Return connectomes without edges."""
        return np.empty((len(labels), 0), np.float32)

    def sketches(self, labels: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return sketches of people's response times by run, by which they are known again."""
        return {
            label: {f"run {n}": own for n, own in enumerate(self.behaviour[label].sketches, 1)}
            for label in labels
        }
