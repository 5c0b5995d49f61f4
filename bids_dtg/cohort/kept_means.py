"""Means of maps over regions, made once a map and kept beside the results."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.map_findings import MapFigures, figures_of_map
from bids_dtg.errors import OutputError
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.provenance import file_fingerprint
from bids_dtg.imaging.atlas import Atlas, region_means
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

Row = NDArray[np.float32]

_MADE = 1  # another number: means that were made before are made anew


def store_of(output: DerivativeDataset) -> ArrayStore:
    """Return where means, and the places of maps, are kept."""
    return ArrayStore(output.path("group") / "cache" / "regions")


def facts_of_files(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return names and fingerprints of files: equal while these are as they were."""
    return [{"name": path.name, **dataclasses.asdict(file_fingerprint(path))} for path in paths]


def read_places(store: ArrayStore, name: str, paths: Sequence[Path]) -> VoxelPlaces | None:
    """Return the places that were kept of maps; None where there are none of these files."""
    if not store.has(name, {"files": facts_of_files(paths)}):
        return None
    grid = dict(store.notes(name))
    with suppress(OutputError):  # damaged: found anew
        positions = np.array(store.read(name))
        i, j, k = grid.pop("shape")
        return VoxelPlaces(Grid((i, j, k), np.array(grid.pop("affine")), **grid), positions)
    return None


def keep_places(store: ArrayStore, name: str, paths: Sequence[Path], places: VoxelPlaces) -> None:
    """Keep the places of maps."""
    facts, grid = {"files": facts_of_files(paths)}, places.grid
    if not store.has(name, facts):
        notes = {"shape": list(grid.shape), "affine": np.asarray(grid.affine).tolist()}
        named = {"space": grid.space, "resolution": grid.resolution, "form_code": grid.form_code}
        store.write(name, places.positions, facts, {**notes, **named})


@dataclass(eq=False)
class KeptMeans:
    """Means over regions of the maps of one contrast; those of many people are one array."""

    store: ArrayStore
    name: str  # of the array
    atlas: Atlas
    fewest: float  # share of a region that must have values
    facts: Mapping[str, Any]
    # Means, what they were made of, and figures of the map, by the names of a map's files.
    _maps: dict[str, tuple[Row, Any, MapFigures]]
    _is_new: bool = False

    @classmethod
    def of(
        cls,
        store: ArrayStore,
        name: str,
        atlas: Atlas,
        places: VoxelPlaces,
        fewest: float,
        statistic: str,
    ) -> KeptMeans:
        """Return what is kept, if it is of this atlas, these places and this statistic."""
        shape, affine = np.array(places.grid.shape, "<i8"), np.asarray(places.grid.affine, "<f8")
        content = shape.tobytes() + affine.tobytes() + places.positions.astype("<i8").tobytes()
        facts = {
            "made": _MADE,
            "atlas": atlas.digest,
            "places": hashlib.sha256(content).hexdigest(),
            "coverage": fewest,
            "statistic": statistic,
        }
        maps: dict[str, tuple[Row, Any, MapFigures]] = {}
        if store.has(name, facts):
            notes = store.notes(name)
            with suppress(OutputError):  # damaged: made anew
                values = np.array(store.read(name))
                # Another call may have replaced both in between.
                if store.notes(name) == notes and len(values) == len(notes["maps"]):
                    for row, (files, made_of, own) in zip(values, notes["maps"], strict=True):
                        maps[files] = row, made_of, MapFigures(*own)
        return cls(store, name, atlas, fewest, facts, maps)

    def means(self, paths: Sequence[Path], read: Callable[[], Row]) -> tuple[Row, MapFigures]:
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
        if files in self._maps and self._maps[files][1] == made_of:
            row, _, figures = self._maps[files]
            return row, figures
        values = read()
        figures = figures_of_map(values)
        row = region_means(values[None], self.atlas, self.fewest)[0].astype(np.float32)
        self._maps[files] = row, made_of, figures
        self._is_new = True
        return row, figures

    def write(self) -> None:
        """Keep what is new."""
        if self._is_new:
            rows = np.stack([row for row, *_ in self._maps.values()])
            maps = [
                [files, made_of, list(figures)]
                for files, (_, made_of, figures) in self._maps.items()
            ]
            self.store.write(self.name, rows, self.facts, {"maps": maps})
            self._is_new = False
