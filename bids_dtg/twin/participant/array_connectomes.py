"""Connectomes of digital twins from files of arrays (``--input-arrays``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.array_people import read_rows
from bids_dtg.connectome.edges import fisher_z, upper_edges
from bids_dtg.errors import DatasetError
from bids_dtg.inputs.arrays import PEOPLE_BY, ArrayPeople, PeopleArray, read_arrays
from bids_dtg.notices import counted
from bids_dtg.twin.participant.source import LARGEST_Z, ConnectomeSource, Edges

Array = NDArray[np.float64]

_MOST_EDGES = 4_000_000  # about 2,800 regions: everybody's edges are held in memory
_MOST_BEYOND = 0.01  # share of edges that are too large for Fisher z
_SAME = 1e-4  # largest asymmetry of correlations: files may have been rounded
_EXPECTED = "the same labels in the arrays, under the key people, as in BIDS_DIR"


@dataclass(frozen=True, eq=False, kw_only=True)
class ArrayConnectomes(ConnectomeSource):
    """Connectomes from edges, correlations or series of rest in files of arrays."""

    arrays: ArrayPeople  # content of the files

    def connectomes(self, labels: Sequence[str]) -> Edges:
        """Read people's connectomes; sessions of rest are averaged, weighted by their frames."""
        if self.arrays.edges is not None:
            rows = read_rows(self.arrays.edges, labels, edge_faults, "finite values that differ")
            return np.stack(rows).astype(np.float32)
        if self.arrays.connectomes is not None:
            expected = "symmetric correlations between -1 and 1"
            rows = read_rows(
                self.arrays.connectomes, labels, partial(_faults, self.regions), expected
            )
            return np.stack([_edges(values) for values in rows])
        return self._of_rest(labels)

    def sketches(self, labels: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return sketches of people's connectomes, and of the rest that these are made of."""
        of_edges = super().sketches(labels)
        if not self.arrays.rest:
            return of_edges
        return {
            label: own | {f"session {name}": it for name, it in self.arrays.sketches(label).items()}
            for label, own in of_edges.items()
        }

    def _of_rest(self, labels: Sequence[str]) -> Edges:
        total = np.zeros((len(labels), self.edges))
        frames = np.zeros(len(labels))
        for array in self.arrays.rest:
            there = [row for row, label in enumerate(labels) if label in array.rows]
            some = [labels[row] for row in there]
            series = read_rows(
                array, some, partial(_series_faults, self.regions), "series that vary and differ"
            )
            for row, values in zip(there, series, strict=True):
                total[row] += values.shape[1] * _edges(np.asarray(np.corrcoef(values)))
                frames[row] += values.shape[1]
        return (total / frames[:, None]).astype(np.float32)


def find_array_connectomes(paths: Sequence[str], keys: Sequence[str]) -> ArrayConnectomes:
    """Find connectomes in the files of ``--input-arrays`` without reading their values.

    Raises
    ------
    DatasetError
        A file cannot be used, or has no connectomes.
    SettingsError
        `keys` are wrong.
    """
    arrays = read_arrays(paths, keys, of=PEOPLE_BY, tasks=True)
    edges = _count_edges(arrays)
    given = [name for name in PEOPLE_BY if _of(arrays, name)]
    labels = {label for name in given for of in _of(arrays, name) for label in of.rows}
    return ArrayConnectomes(
        paths=arrays.files,
        labels=tuple(sorted(labels)),
        regions=arrays.places,
        places_named=arrays.places_named,
        edges=edges,
        words=next(words for name, words in _SOURCE_WORDS if name in given),
        expected=_EXPECTED,
        families=arrays.families,
        notes=(*arrays.notes, *_unused(arrays)),
        arrays=arrays,
    )


def _edges(correlation: Array) -> Edges:
    return upper_edges(fisher_z(correlation)).astype(np.float32)


_SOURCE_WORDS = (
    ("edges", "edges from arrays, Fisher z"),
    ("connectomes", "correlations from arrays, as Fisher z"),
    ("rest", "Pearson correlations of series from arrays, as Fisher z"),
)


def _of(arrays: ArrayPeople, name: str) -> tuple[PeopleArray, ...]:
    """Return the arrays under a name of `PEOPLE_BY`; none where there are none."""
    found: PeopleArray | tuple[PeopleArray, ...] | None = getattr(arrays, name)
    if found is None:
        return ()
    return found if isinstance(found, tuple) else (found,)


def _count_edges(arrays: ArrayPeople) -> int:
    """Return the number of edges of a connectome; refuse arrays of another shape."""
    places = len(arrays.places)
    edges = places * (places - 1) // 2
    if arrays.edges is not None:
        count, title = int(arrays.edges.stored.shape[1]), arrays.edges.stored.title
        if arrays.places and count != edges:
            # Places without names are those of other arrays, as of BOLD of tasks.
            raise DatasetError(
                f"{title} has {count} edges, and there are {counted(places, 'place')}",
                expected=f"{edges} edges: a pair of places each",
            )
        edges = count
    if not 1 <= edges <= _MOST_EDGES:
        raise DatasetError(
            f"connectomes have {counted(edges, 'edge')}",
            expected=f"1 to {_MOST_EDGES}: correlations between regions, not voxels",
        )
    return edges


def _unused(arrays: ArrayPeople) -> tuple[str, ...]:
    return () if arrays.structural is None else ("not used by digital twins: structural",)


def edge_faults(values: Array) -> list[str]:
    """List faults of a person's edges (edges,)."""
    if unknown := int((~np.isfinite(values)).sum()):
        return [f"{unknown} of {values.size} edges are NaN or infinite"]
    if values.size > 1 and (values == values[0]).all():
        return ["all edges are the same"]
    beyond = int((np.abs(values) > LARGEST_Z).sum())
    if beyond > _MOST_BEYOND * values.size:
        return [
            f"{beyond} of {values.size} edges are beyond {LARGEST_Z:g} (the largest "
            f"{np.abs(values).max():.3g}): no Fisher z of correlations"
        ]
    return []


def _faults(regions: Sequence[str], values: Array) -> list[str]:
    """List faults of a person's correlations (regions, regions); the diagonal is ignored."""
    off = values[~np.eye(len(values), dtype=bool)]
    if not np.isfinite(off).all():
        return [f"NaN or infinite values at {_pair(regions, ~np.isfinite(values))}"]
    if (off == off[0]).all() and len(off) > 2:
        return ["all correlations are the same"]
    beyond = (np.abs(values) >= 1) & ~np.eye(len(values), dtype=bool)
    if beyond.any():
        return [
            f"{values[beyond][0]:.3g} at {_pair(regions, beyond)}: Fisher z is not finite there "
            "(Fisher z itself belongs under the key edges)"
        ]
    uneven = np.abs(values - values.T) > _SAME
    return [f"not symmetric at {_pair(regions, uneven)}"] if uneven.any() else []


def _series_faults(regions: tuple[str, ...], values: Array) -> list[str]:
    """List faults of a person's series (regions, frames)."""
    finite = np.isfinite(values).all(axis=1)
    constant = finite & (values == values[:, :1]).all(axis=1)
    if wrong := [
        *(f"{regions[n]} has NaN or infinite values" for n in np.flatnonzero(~finite)),
        *(f"{regions[n]} is constant" for n in np.flatnonzero(constant)),
    ]:
        return wrong
    alike = np.triu(np.abs(np.corrcoef(values)) >= 1 - 1e-12, 1)
    return [f"the same series at {_pair(regions, alike)}"] if alike.any() else []


def _pair(regions: Sequence[str], where: NDArray[np.bool_]) -> str:
    off = where & ~np.eye(len(where), dtype=bool)
    row, column = (int(number) for number in np.argwhere(off)[0])
    return f"{regions[row]} and {regions[column]}"
