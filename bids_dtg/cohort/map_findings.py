"""What is unusual about people's maps, found while they are read: in lines and on the page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.notices import counted, named, say
from bids_dtg.report.flags import Flag
from bids_dtg.stats.map_checks import (
    LEAST_PEOPLE,
    SCALE_FACTOR,
    largest_value,
    own_figures,
    too_large,
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


@dataclass(eq=False)
class MapsOfContrast:
    """Compares the maps of one contrast over people, with a few numbers kept of each."""

    may_be_flat: bool = False  # whether a map of one value alone is right, as a deviation may be
    _sds: dict[str, float] = field(default_factory=dict)
    _same: dict[bytes, list[str]] = field(default_factory=dict)

    def add(self, label: str, row: NDArray[np.floating[Any]]) -> None:
        """Take a person's map (places,).

        Raises
        ------
        RunError
            It cannot be used: it has one value at most places, or values that no map has.
        """
        why = too_large(largest_value(row)) if self.may_be_flat else own_figures(row).unusable
        if why:
            raise RunError(f"the map cannot be used: {why}")
        self._sds[label] = float(np.nanstd(row, dtype=np.float64))
        digest = hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=16).digest()
        if self._sds[label] > 0:
            self._same.setdefault(digest, []).append(label)

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
