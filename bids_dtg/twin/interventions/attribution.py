"""Which edges and regions a twin's figures depend on, with a null of permuted behaviour.

Under the null, people's behaviour has nothing to do with their connectome: codes are permuted over
people, and the connectome-to-code regression is refitted. Twins whose weights are all generated
have no codes: their null would need one training for each permutation, and is not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from bids_dtg.twin.codes import PersonCodes, find_codes, map_code_blocks
from bids_dtg.twin.fitting import Fitted, Twin
from bids_dtg.twin.interventions.gradients import Gradients, smooth_gradients
from bids_dtg.twin.network.modulated import ModulatedNetwork
from bids_dtg.twin.recipe import find_architecture
from bids_dtg.twin.traces import Segments

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
PERMUTATIONS = 200
_ONE_COPY = 1  # of a permutation: noise changes little, and copies cost as much as people


@dataclass(frozen=True, eq=False)
class FittedPeople:
    """People whose connectomes and codes a connectome-to-code regression is fitted to."""

    connectomes: Floats  # (people, edges), Fisher z
    codes: PersonCodes  # of their own responses

    @classmethod
    def of(cls, fitted: Fitted, connectomes: Floats, segments: Segments) -> FittedPeople:
        """Return the training participants with their codes, refitted where the twin kept none.

        Parameters
        ----------
        fitted
            The twin; one loaded from a bundle has kept no codes.
        connectomes
            (people, edges), of the twin's training participants.
        segments
            What the same people saw and did.

        Raises
        ------
        ValueError
            The architecture has no codes.
        """
        if fitted.own_codes is not None and len(fitted.own_codes) == len(connectomes):
            kept = fitted.twin.directions.double().numpy()
            return cls(connectomes, PersonCodes(fitted.own_codes, kept))
        network = fitted.twin.network
        if not isinstance(network, ModulatedNetwork):
            raise ValueError(f"{fitted.architecture} has no codes of people's own")
        recipe = fitted.recipe
        found = find_codes(
            network,
            segments,
            parts=find_architecture(fitted.architecture).modulated,
            number=recipe.codes,
            prior=recipe.prior,
        )
        return cls(connectomes, found)

    def permuted(self, order: NDArray[np.integer]) -> FittedPeople:
        """Return the same connectomes with permuted codes.

        Parameters
        ----------
        order
            (people,): the row whose codes each connectome gets.
        """
        return replace(self, codes=replace(self.codes, codes=self.codes.codes[order]))

    def of_rows(self, rows: NDArray[np.integer]) -> FittedPeople:
        """Return some of the people.

        Parameters
        ----------
        rows
            Of the people.
        """
        codes = replace(self.codes, codes=self.codes.codes[rows])
        return FittedPeople(self.connectomes[rows], codes)


def null_gradients(
    fitted: Fitted,
    people: FittedPeople,
    connectomes: Floats,
    segments: Segments,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    report: Callable[[int], None] = lambda done: None,
) -> Iterator[Gradients]:
    """Yield the gradients of twins refitted to permuted codes.

    Parameters
    ----------
    fitted
        A twin of the group's network and codes.
    people
        Its training participants, with their codes.
    connectomes, segments
        Connectomes and segments of the people to average gradients over, as for
        `smooth_gradients`.
    permutations
        Number of permutations.
    seed
        Seed of the permutations.
    report
        Called after each permutation with the number that are done.

    Raises
    ------
    ValueError
        The architecture has no codes.
    """
    if not isinstance(fitted.twin.network, ModulatedNetwork):
        raise ValueError(f"{fitted.architecture} has no codes: a null would be a training each")
    rng = np.random.default_rng(seed)
    for done in range(permutations):
        shuffled = people.permuted(rng.permutation(len(people.connectomes)))
        twin = with_code_map(fitted.twin, shuffled, fitted.recipe.codes)
        yield smooth_gradients(
            twin.weights, connectomes, segments, copies=_ONE_COPY, noise=0.0, seed=done
        )
        report(done + 1)


def with_code_map(twin: Twin, people: FittedPeople, responses: int) -> Twin:
    """Copy the twin with its connectome-to-code regression refitted.

    Parameters
    ----------
    twin
        A twin of the group's network and codes; it is not changed.
    people
        Training set of the regression: connectomes and codes.
    responses
        How many codes describe responses; the others describe BOLD.
    """
    edges = np.asarray(people.connectomes, np.float32)
    mapped = map_code_blocks(edges, people.codes.codes, responses)
    other = deepcopy(twin)
    other.directions.copy_(torch.from_numpy(people.codes.directions))
    other.edge_mean.copy_(torch.from_numpy(mapped.edge_mean))
    other.edge_weights.copy_(torch.from_numpy(mapped.weights))
    return other


def region_means(edges: Array, regions: int) -> Array:
    """Return the mean of an attribution over the edges of each region, (regions,).

    Parameters
    ----------
    edges
        (edges,): the upper triangle row by row.
    regions
        Whose pairs they are.

    Returns
    -------
    numpy.ndarray
        With its sign, so that a region whose edges pull both ways has little.

    Raises
    ------
    ValueError
        The edges are not the pairs of so many regions.

    Examples
    --------
    >>> region_means(np.array([1.0, 0.0, -1.0]), 3)
    array([ 0.5,  0. , -0.5])
    """
    rows, columns = np.triu_indices(regions, 1)
    if edges.shape != rows.shape:
        raise ValueError(f"{len(edges)} edges are not the pairs of {regions} regions")
    total = np.bincount(rows, edges, regions) + np.bincount(columns, edges, regions)
    return np.asarray(total / max(regions - 1, 1))


def p_of(observed: float, null: NDArray[np.floating]) -> float:
    """Return the share of a null that is as large, the observed value counted with it.

    Parameters
    ----------
    observed
        The value; of one that is not known (NaN) neither is p.
    null
        (permutations,), of the same with behaviour permuted; NaN counts as large.

    Examples
    --------
    >>> p_of(0.5, np.array([0.1, 0.2, 0.7])), p_of(0.5, np.array([0.1, np.nan, 0.7]))
    (0.5, 0.75)
    >>> p_of(np.nan, np.array([0.1, 0.2]))
    nan
    """
    if np.isnan(observed):
        return float("nan")
    return float((1 + (~(np.asarray(null) < observed)).sum()) / (1 + len(null)))
