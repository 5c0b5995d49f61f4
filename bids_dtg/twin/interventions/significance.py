"""Significance of attributions under the null that behaviour is unrelated to the connectome."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.interventions.attribution import p_of, region_means
from bids_dtg.twin.interventions.gradients import Gradients

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Chance:
    """Values with their two-sided p values under permuted behaviour."""

    observed: Array  # (targets, values), seconds a unit of Fisher z
    p: Array  # (targets, values): of each value by itself
    p_fwe: Array  # (targets, values): of the largest of all values of the target


@dataclass(frozen=True, eq=False)
class NullComparison:
    """An attribution compared with those of permuted behaviour."""

    targets: tuple[str, ...]
    permutations: int
    length: Array  # (targets,): of the gradient, seconds a unit of Fisher z
    null_length: Array  # (permutations, targets)
    length_p: Array  # (targets,): p of a gradient at least as long
    spread: Array  # (targets,): SD over people of the figure along the gradient, seconds
    null_spread: Array  # (permutations, targets)
    spread_p: Array  # (targets,): p of a spread at least as large
    edges: Chance
    regions: Chance | None  # means over each region's edges; None: edges are no pairs of regions


def compare_with_null(
    observed: Gradients,
    null: Iterable[Gradients],
    connectomes: NDArray[np.floating],
    *,
    regions: int = 0,
) -> NullComparison:
    """Compare an attribution with its null, in which behaviour is permuted.

    A gradient fitted to noise is no shorter than one fitted to an effect. The spread is therefore
    compared, too: the standard deviation over people of the figure that the gradient predicts from
    their edges. In people outside the training set, noise of the fit has a small spread.

    Each value is compared with the same value under the null (p), and with the largest value of its
    target under the null (family-wise; Nichols & Holmes, 2002, doi:10.1002/hbm.1058).

    Parameters
    ----------
    observed
        The attribution, computed with the settings of the null.
    null
        An attribution for each permutation of behaviour.
    connectomes
        (people, edges), to compute spreads over; best of people outside the training set.
    regions
        Number of regions whose pairs are the edges; 0: edges are not pairs of regions.

    Raises
    ------
    ValueError
        There is no permutation, or edges are not the pairs of so many regions.

    Examples
    --------
    >>> def of(*edges: float) -> Gradients:
    ...     return Gradients(("rt",), np.array([edges]), np.array([[edges]] * 2))
    >>> people = np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]])
    >>> found = compare_with_null(of(3.0, 0.1, 0.0), [of(0.0, 1.0, 2.0)] * 3, people, regions=3)
    >>> found.edges.p_fwe.tolist(), found.length_p.tolist(), found.spread_p.tolist()
    ([[0.25, 1.0, 1.0]], [0.25], [0.25])
    """
    people = np.asarray(connectomes, np.float64)
    lengths, spreads, of_edges = [], [], _Counts(observed.edges)
    of_regions = _Counts(_of_regions(observed, regions)) if regions else None
    for gradients in null:
        lengths.append(np.linalg.norm(gradients.edges, axis=1))
        spreads.append(_spread(gradients, people))
        of_edges.add(gradients.edges)
        if of_regions is not None:
            of_regions.add(_of_regions(gradients, regions))
    if not lengths:
        raise ValueError("a null needs one permutation or more")
    length, spread = np.linalg.norm(observed.edges, axis=1), _spread(observed, people)
    return NullComparison(
        targets=observed.targets,
        permutations=len(lengths),
        length=length,
        null_length=np.array(lengths),
        length_p=_p(length, lengths),
        spread=spread,
        null_spread=np.array(spreads),
        spread_p=_p(spread, spreads),
        edges=of_edges.chance(),
        regions=None if of_regions is None else of_regions.chance(),
    )


def _spread(gradients: Gradients, people: Array) -> Array:
    return np.asarray((people @ gradients.edges.T).std(axis=0, ddof=1))


def _p(observed: Array, null: list[Array]) -> Array:
    return np.array([p_of(own, of) for own, of in zip(observed, np.transpose(null), strict=True)])


def _of_regions(gradients: Gradients, regions: int) -> Array:
    return np.stack([region_means(edges, regions) for edges in gradients.edges])


class _Counts:
    """Counts how often a null is as large as values (targets, values), without storing the null."""

    def __init__(self, observed: Array) -> None:
        self._observed, self._size = observed, np.abs(observed)
        self._own, self._largest = np.ones(observed.shape), np.ones(observed.shape)
        self._permutations = 0

    def add(self, null: Array) -> None:
        size = np.abs(null)
        self._own += size >= self._size
        self._largest += size.max(axis=1, keepdims=True) >= self._size
        self._permutations += 1

    def chance(self) -> Chance:
        every = 1 + self._permutations
        return Chance(self._observed, self._own / every, self._largest / every)
