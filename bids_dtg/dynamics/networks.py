"""People's networks: the series of the regions, and the structural connectome between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float32, Floats, Indices, Mask
from bids_dtg.connectome.parcels import upper_edges
from bids_dtg.inputs.structural import weight_faults
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.splits import family_numbers

Some = TypeVar("Some", bound="PeopleSeries")

LEAST_FRAMES = 60  # shortest series that a model reads
MOST_CENSORED = 0.3  # largest share of censored frames
# No structural connectome correlates so highly with functional connectivity: r is 0.2 to 0.5.
_LIKE_FUNCTIONAL, _FEWEST_PAIRS = 0.9, 3


@dataclass(frozen=True, eq=False)
class PeopleSeries:
    """Series of the same regions in several people.

    Raises
    ------
    ValueError
        Shapes do not belong together.
    """

    people: tuple[str, ...]  # labels
    regions: tuple[str, ...]  # names
    series: Float32  # (people, regions, frames), each series with mean 0 and standard deviation 1
    tr_seconds: float  # between frames
    # (people, frames), which frames to use; None: all. The other frames hold filled values.
    keep: Mask | None = None
    # (people,), degrees of freedom left after cleaning; NaN: not known; None: not known for anyone.
    dof: Float32 | None = None
    # Label -> family; a person without an entry is the only member of a family.
    families: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count, regions = len(self.people), len(self.regions)
        if self.series.ndim != 3 or self.series.shape[:2] != (count, regions):
            raise ValueError(
                f"series is ({count}, {regions}, frames), found {self.series.shape}"
            )
        if self.keep is not None and self.keep.shape != (count, self.frames):
            raise ValueError(
                f"keep is ({count}, {self.frames}), found {self.keep.shape}"
            )

    @property
    def frames(self) -> int:
        """Number of frames of each series."""
        return int(self.series.shape[2])

    @property
    def kin(self) -> Indices:
        """(people,), number of each person's family."""
        return family_numbers(self.people, self.families)

    @property
    def apart(self) -> Mask:
        """(people, people), whether two people are of different families."""
        return np.asarray(self.kin[:, None] != self.kin)

    def dof_of(self, row: int) -> float:
        """Return a person's degrees of freedom; NaN: not known."""
        return np.nan if self.dof is None else float(self.dof[row])

    def of(self: Some, people: Sequence[str]) -> Some:
        """Return some people, in the given order."""
        row_of = {label: row for row, label in enumerate(self.people)}
        rows = [row_of[label] for label in people]
        values = {stored.name: getattr(self, stored.name) for stored in fields(self)}
        arrays: dict[str, Any] = {
            name: array[rows]
            for name, array in values.items()
            if isinstance(array, np.ndarray)
        }
        return replace(self, people=tuple(people), **arrays)


@dataclass(frozen=True, eq=False)
class Networks(PeopleSeries):
    """Series and structural connectomes of the same regions in several people.

    Raises
    ------
    ValueError
        Shapes do not belong together.
    """

    # (people, regions, regions), as `normalised` returns them
    weights: Float32 = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        shape = (len(self.people), len(self.regions), len(self.regions))
        if self.weights.shape != shape:
            raise ValueError(f"weights is {shape}, found {self.weights.shape}")

    @cached_property
    def network_input(self) -> Float32:
        """(people, regions, frames): sum of all regions' series, weighted by the connections."""
        return np.asarray(np.matmul(self.weights, self.series), np.float32)


def make_networks(
    series: Floats,
    weights: NDArray[np.number],
    tr_seconds: float,
    *,
    people: Sequence[str] = (),
    regions: Sequence[str] = (),
) -> Networks:
    """Return people's networks from measured arrays.

    Parameters
    ----------
    series
        (people, regions, frames), cleaned resting-state series, in any unit.
    weights
        (people, regions, regions), structural connectomes, such as streamline counts.
    tr_seconds
        Time between frames in seconds.
    people, regions
        Labels and names; by default p01 and so on, r01 and so on.

    Raises
    ------
    ValueError
        Shapes do not belong together, a series is constant or not finite, or a structural
        connectome is negative, asymmetric, not finite or without connections.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> counts = rng.random((2, 3, 3))
    >>> weights = counts + counts.swapaxes(1, 2)
    >>> networks = make_networks(rng.normal(size=(2, 3, 90)), weights, 0.72)
    >>> networks.people, networks.regions, float(networks.weights.max())
    (('p01', 'p02'), ('r01', 'r02', 'r03'), 1.0)
    """
    if series.ndim != 3 or weights.shape != (*series.shape[:2], series.shape[1]):
        raise ValueError(
            "series is (people, regions, frames) and weights (people, regions, regions), found "
            f"{series.shape} and {weights.shape}"
        )
    if not (np.isfinite(series).all() and np.ptp(series, axis=-1).all()):
        raise ValueError("a series is constant or has values that are not finite")
    labels = tuple(people) or tuple(f"p{n:02d}" for n in range(1, len(series) + 1))
    names = tuple(regions) or tuple(f"r{n:02d}" for n in range(1, series.shape[1] + 1))
    for label, matrix in zip(labels, weights, strict=False):
        if faults := weight_faults(matrix.astype(np.float64), names):
            raise ValueError(
                f"the structural connectome of {label} has {faults[0]}. Expected: a symmetric "
                "matrix of weights of 0 or more, at least one above 0"
            )
    return Networks(
        people=labels,
        regions=names,
        series=standardised(series),
        weights=normalised(weights),
        tr_seconds=tr_seconds,
    )


def notes_beside_series(weights: Floats, connectivity: Floats) -> list[str]:
    """Return a note if a structural connectome looks like functional connectivity.

    Parameters
    ----------
    weights
        Structural connectome, (regions, regions).
    connectivity
        The person's functional connectivity, (regions, regions); NaN where it is not known.

    Examples
    --------
    >>> functional = np.corrcoef(np.random.default_rng(0).normal(size=(5, 90)))
    >>> notes_beside_series(functional**2, functional)
    []
    >>> notes_beside_series(1 + functional, functional)
    ['weights follow functional connectivity (r of 0.9 or more): is it a structural connectome?']
    """
    edges = upper_edges(connectivity)
    finite = np.isfinite(edges)
    if finite.sum() < _FEWEST_PAIRS:
        return []
    structural = np.asarray(upper_edges(weights)[finite], np.float64)
    functional = np.asarray(edges[finite], np.float64)
    if not correlation(structural, functional) >= _LIKE_FUNCTIONAL:  # also NaN
        return []
    return [
        "weights follow functional connectivity (r of 0.9 or more): is it a structural "
        "connectome?"
    ]


def standardised(series: Floats) -> Float32:
    """Return series with mean 0 and standard deviation 1 over the last axis, frames.

    Examples
    --------
    >>> standardised(np.array([[1.0, 2.0, 3.0]])).round(3)
    array([[-1.225,  0.   ,  1.225]], dtype=float32)
    """
    values = np.asarray(series, np.float64)
    values = values - values.mean(axis=-1, keepdims=True)
    return np.asarray(values / values.std(axis=-1, keepdims=True), np.float32)


def normalised(weights: NDArray[np.number]) -> Float32:
    """Divide structural connectomes (people, regions, regions) by each person's largest weight.

    The diagonal becomes 0: no region is connected with itself.

    Examples
    --------
    >>> normalised(np.array([[[9, 2], [4, 0]]]))[0]
    array([[0. , 0.5],
           [1. , 0. ]], dtype=float32)
    """
    values = np.array(weights, np.float64)
    regions = np.arange(values.shape[-1])
    values[:, regions, regions] = 0.0
    return np.asarray(values / values.max(axis=(1, 2), keepdims=True), np.float32)
