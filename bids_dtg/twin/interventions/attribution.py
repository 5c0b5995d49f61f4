"""Which edges and regions a twin's figures depend on, with a null of permuted behaviour.

Under the null, people's behaviour is unrelated to their connectome: latent factors are permuted
over people, and the connectome-to-factor regression is refitted. Twins whose weights are all
generated have no factors: their null would need one training for each permutation, and is not
computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from bids_dtg.twin.factors import PersonFactors, find_factors, map_factors, timed_factors
from bids_dtg.twin.fitting import Fitted, Twin
from bids_dtg.twin.network.modulated import ModulatedNetwork
from bids_dtg.twin.trial_series import Segments

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
PERMUTATIONS = 200


@dataclass(frozen=True, eq=False)
class FittedPeople:
    """The training set of a connectome-to-factor regression: connectomes and factors of people."""

    connectomes: Floats  # (people, edges), Fisher z
    factors: PersonFactors  # fitted to their own responses

    @classmethod
    def of(
        cls,
        fitted: Fitted,
        connectomes: Floats,
        segments: Segments,
        report: Callable[[str], None] = lambda line: None,
        *,
        covariates: Array | None = None,
    ) -> FittedPeople:
        """Return the training participants with their factors, refitted where the twin kept none.

        Parameters
        ----------
        fitted
            The twin; one loaded from a bundle has kept no factors.
        connectomes
            (people, edges), of the twin's training participants.
        segments
            What the same people saw and did.
        report
            Gets lines on the progress of a refit.
        covariates
            As of `bids_dtg.twin.fitting.fit`.

        Raises
        ------
        ValueError
            The architecture has no latent factors.
        """
        network = fitted.twin.network
        if not isinstance(network, ModulatedNetwork):
            raise ValueError(f"{fitted.architecture} has no latent factors of people's own")
        if fitted.own_factors is not None and len(fitted.own_factors) == len(connectomes):
            kept = fitted.twin.directions.double().numpy()
            found = timed_factors(network, segments, fitted.own_factors, kept)
        else:
            recipe = fitted.recipe
            found = find_factors(
                network,
                segments,
                number=recipe.codes,
                prior=recipe.prior,
                report=report,
            )
        return cls(connectomes, replace(found, covariates=covariates))

    def permuted(self, order: NDArray[np.integer]) -> FittedPeople:
        """Return the same connectomes with permuted factors.

        Parameters
        ----------
        order
            (people,): row of the factors that each connectome gets.
        """
        return replace(self, factors=self.factors.of_rows(order))

    def of_rows(self, rows: NDArray[np.integer]) -> FittedPeople:
        """Return some of the people, by row."""
        return FittedPeople(self.connectomes[rows], self.factors.of_rows(rows))


def permuted_twins(
    fitted: Fitted, people: FittedPeople, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> Iterator[Twin]:
    """Yield twins that are refitted to latent factors permuted over people.

    Parameters
    ----------
    fitted
        A twin with a group network and latent factors.
    people
        Its training participants, with their factors.
    permutations
        Number of permutations of factors over people.
    seed
        Seed of the permutations' random numbers.

    Raises
    ------
    ValueError
        The architecture has no latent factors.
    """
    if not isinstance(fitted.twin.network, ModulatedNetwork):
        raise ValueError(
            f"{fitted.architecture} has no latent factors: each permutation would be a training"
        )
    rng = np.random.default_rng(seed)
    for _ in range(permutations):
        shuffled = people.permuted(rng.permutation(len(people.connectomes)))
        yield with_factor_map(fitted.twin, shuffled)


def with_factor_map(twin: Twin, people: FittedPeople, *, judged: bool = True) -> Twin:
    """Copy the twin with its connectome-to-factor regression refitted.

    Parameters
    ----------
    twin
        A twin with a group network and latent factors; it is not changed.
    people
        Training set of the regression: connectomes and factors.
    judged
        Whether twins are the group's network if left-out people are not predicted, as in a fit.
        Half of the people of a fit are too few for this judgement.
    """
    edges = np.asarray(people.connectomes, np.float32)
    mapped = map_factors(edges, people.factors)
    other = deepcopy(twin)
    other.directions.copy_(torch.from_numpy(people.factors.directions))
    other.edge_mean.copy_(torch.from_numpy(mapped.edge_mean))
    other.edge_weights.copy_(torch.from_numpy(mapped.weights if judged else mapped.ridge))
    return other


def region_means(edges: Array, regions: int) -> Array:
    """Return the mean of an attribution over the edges of each region, (regions,).

    Parameters
    ----------
    edges
        (edges,): the upper triangle row by row.
    regions
        Number of regions; the edges are their pairs.

    Returns
    -------
    numpy.ndarray
        Signed means: edges of opposite sign cancel in a region.

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


def map_correlations(first: Floats, second: Floats) -> Array:
    """Return the correlations of two attributions, (targets,).

    Parameters
    ----------
    first, second
        Attributions of the same targets, (targets, edges).

    Returns
    -------
    numpy.ndarray
        Pearson r over edges; NaN where either is the same everywhere.

    Examples
    --------
    >>> map_correlations(np.array([[0.0, 1.0], [2.0, 2.0]]), np.array([[1.0, 3.0], [0.0, 1.0]]))
    array([ 1., nan])
    """
    centred = [
        np.asarray(edges, np.float64) - np.mean(edges, axis=1, keepdims=True)
        for edges in (first, second)
    ]
    lengths = np.prod([np.linalg.norm(edges, axis=1) for edges in centred], axis=0)
    shared = (centred[0] * centred[1]).sum(axis=1)
    found: Array = np.divide(shared, lengths, out=np.full(len(shared), np.nan), where=lengths > 0)
    return found


def p_of(observed: float, null: NDArray[np.floating]) -> float:
    """Return the share of a null that is at least as large; the observed value is included.

    Parameters
    ----------
    observed
        The observed value; p is NaN where it is NaN.
    null
        (permutations,): the value with behaviour permuted; NaN counts as large.

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
