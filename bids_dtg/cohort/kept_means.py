"""Means of maps over regions, made once a map and kept; and what is unusual about maps."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import OutputError, RunError
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.provenance import file_fingerprint
from bids_dtg.imaging.atlas import MIN_COVERAGE, Atlas, region_means
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.notices import counted, named, say
from bids_dtg.report.flags import Flag
from bids_dtg.stats.map_checks import LEAST_PEOPLE, SCALE_FACTOR, own_figures

Row = NDArray[np.float32]
Figures = tuple[float, str]  # of a map: standard deviation over places, digest of all values

_MADE = 1  # another number: means that were made before are made anew


def facts_of_files(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return names and fingerprints of files: equal while these are as they were."""
    return [{"name": path.name, **dataclasses.asdict(file_fingerprint(path))} for path in paths]


class KeptMeans:
    """Means over regions of the maps of one contrast; those of many people are one array.

    What was kept is used if it is of the same atlas, places and statistic.
    """

    def __init__(
        self, store: ArrayStore, name: str, atlas: Atlas, places: VoxelPlaces, statistic: str
    ) -> None:
        self._store, self._name, self._atlas = store, name, atlas
        shape, affine = np.array(places.grid.shape, "<i8"), np.asarray(places.grid.affine, "<f8")
        content = shape.tobytes() + affine.tobytes() + places.positions.astype("<i8").tobytes()
        self._facts = {
            "made": _MADE,
            "atlas": atlas.digest,
            "places": hashlib.sha256(content).hexdigest(),
            "coverage": MIN_COVERAGE,
            "statistic": statistic,
        }
        # Means, what they were made of, and figures of the map, by the names of a map's files.
        self._maps: dict[str, tuple[Row, Any, Figures]] = {}
        self._is_new = False
        if store.has(name, self._facts):
            notes = store.notes(name)
            with suppress(OutputError):  # damaged: made anew
                values = np.array(store.read(name))
                # Another call may have replaced both in between.
                if store.notes(name) == notes and len(values) == len(notes["maps"]):
                    for row, (files, made_of, (sd, digest)) in zip(
                        values, notes["maps"], strict=True
                    ):
                        self._maps[files] = row, made_of, (sd, digest)

    def means(self, paths: Sequence[Path], read: Callable[[], Row]) -> tuple[Row, Figures]:
        """Return the means over regions of a map, which is read if they are not kept.

        Parameters
        ----------
        paths
            Files that the map is made of.
        read
            Returns the map, (places,).

        Raises
        ------
        RunError
            The map cannot be read, or cannot be used.
        """
        files, made_of = " ".join(path.name for path in paths), facts_of_files(paths)
        if files not in self._maps or self._maps[files][1] != made_of:
            values = read()
            figures = figures_of_map(values)
            row = region_means(values[None], self._atlas, MIN_COVERAGE)[0].astype(np.float32)
            self._maps[files] = row, made_of, figures
            self._is_new = True
        row, _, figures = self._maps[files]
        return row, figures

    def write(self) -> None:
        """Keep what is new."""
        if self._is_new:
            rows = np.stack([row for row, *_ in self._maps.values()])
            maps = [[files, *others] for files, (_, *others) in self._maps.items()]
            self._store.write(self._name, rows, self._facts, {"maps": maps})


def figures_of_map(row: NDArray[np.floating[Any]]) -> Figures:
    """Return standard deviation and digest of a person's map (places,).

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
    return float(np.nanstd(row, dtype=np.float64)), digest


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

    def compare(self, maps: Mapping[str, Figures], contrast: str) -> None:
        """Find maps of another scale than most, and people with equal maps, by their labels."""
        sds = np.array([sd for sd, _ in maps.values()])
        usual = float(np.median(sds[sds > 0])) if (sds > 0).any() else np.nan
        same: dict[str, list[str]] = {}
        for label, (sd, digest) in maps.items():
            scale = sd / usual
            if sd > 0:
                same.setdefault(digest, []).append(label)
                if len(sds) >= LEAST_PEOPLE and not 1 / SCALE_FACTOR <= scale <= SCALE_FACTOR:
                    words = f"the scale of the map of sub-{label} is {scale:.3g} times the median"
                    self.add(words, contrast)
        for people in same.values():
            who = named([f"sub-{label}" for label in people])
            if len(people) == len(maps):
                who = counted(len(people), "participant")
            if len(people) > 1:
                self.add(f"{who} have one and the same map", contrast)
