"""What is unusual about people's maps, found while they are read: in lines and on the page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.notices import counted, named, say
from bids_dtg.report.flags import Flag
from bids_dtg.stats.map_checks import (
    LEAST_PEOPLE,
    SCALE_FACTOR,
    own_figures,
)


@dataclass(eq=False)
class MapFindings:
    """What was found of maps in a call; each sentence is printed once, for its first contrast."""

    _contrasts: dict[str, list[str]] = field(default_factory=dict)  # of each sentence

    def add(self, words: str, contrast: str) -> None:
        """Take a sentence on maps of a contrast."""
        if words not in self._contrasts:
            say(f"{contrast}: {words}")
        own = self._contrasts.setdefault(words, [])
        if contrast not in own:
            own.append(contrast)

    def flags(self) -> Iterator[Flag]:
        """Yield the sentences for a page."""
        for words, contrasts in self._contrasts.items():
            yield Flag("warning", f"{words[:1].upper()}{words[1:]}: {named(contrasts)}")


class MapFigures(NamedTuple):
    """What is kept of a map, to compare it with others."""

    sd: float  # over places
    digest: str  # of all values


def figures_of_map(row: NDArray[np.floating[Any]]) -> MapFigures:
    """Return figures of a person's map (places,).

    Raises
    ------
    RunError
        It cannot be used: it has one value at most places, or values that no map has.
    """
    if not np.isfinite(row).any():
        raise RunError("the map has no value")
    if why := own_figures(row).unusable:
        raise RunError(f"the map cannot be used: {why}")
    digest = hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=16).hexdigest()
    return MapFigures(float(np.nanstd(row, dtype=np.float64)), digest)


@dataclass(eq=False)
class MapsOfContrast:
    """Compares the maps of one contrast over people, with a few numbers kept of each."""

    _sds: dict[str, float] = field(default_factory=dict)
    _same: dict[str, list[str]] = field(default_factory=dict)

    def add(self, label: str, figures: MapFigures) -> None:
        """Take a person's map."""
        self._sds[label] = figures.sd
        if figures.sd > 0:
            self._same.setdefault(figures.digest, []).append(label)

    def report(self, contrast: str, findings: MapFindings) -> None:
        """Report maps of another scale than most, and people with equal maps."""
        sds = np.array(list(self._sds.values()))
        usual = float(np.median(sds[sds > 0])) if (sds > 0).any() else np.nan
        for label, sd in self._sds.items() if len(sds) >= LEAST_PEOPLE else ():
            scale = sd / usual
            if sd > 0 and not 1 / SCALE_FACTOR <= scale <= SCALE_FACTOR:
                findings.add(
                    f"the scale of the map of sub-{label} is {scale:.3g} times the median", contrast
                )
        for people in self._same.values():
            if len(people) == len(self._sds) > 1:
                findings.add(
                    f"{counted(len(people), 'participant')} have one and the same map", contrast
                )
            elif len(people) > 1:
                who = named([f"sub-{label}" for label in people])
                findings.add(f"{who} have one and the same map", contrast)
