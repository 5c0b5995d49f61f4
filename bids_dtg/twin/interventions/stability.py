"""Whether attributions are stable over people, training participants and seeds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.fitting import Fitted, Twin
from bids_dtg.twin.interventions.attribution import ONE_COPY, FittedPeople, with_factor_map
from bids_dtg.twin.interventions.gradients import Gradients, smooth_gradients
from bids_dtg.twin.trial_series import Segments

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
FEWEST_FITTED = 4  # two in each half: one person has no differences to map


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


def refitted_twins(
    fitted: Fitted, people: FittedPeople, *, splits: int, seed: int = 0
) -> Iterator[tuple[Twin, Twin]]:
    """Yield twins that are refitted to two halves of people, for each split, not judged.

    Parameters
    ----------
    fitted
        A twin with a group network and latent factors; its network is kept.
    people
        Its training participants, with their factors.
    splits
        Number of random splits of the people into halves.
    seed
        Seed of the splits' random numbers.

    Raises
    ------
    ValueError
        There are fewer than four people.
    """
    number = len(people.connectomes)
    if number < FEWEST_FITTED:
        raise ValueError(f"{number} people are too few for two halves to fit twins to")
    rng = np.random.default_rng(seed)
    for _ in range(splits):
        order = rng.permutation(number)
        first, second = (
            with_factor_map(fitted.twin, people.of_rows(rows), judged=False)
            for rows in (order[: number // 2], order[number // 2 :])
        )
        yield first, second


def plain_gradients(twin: Twin, connectomes: Floats, segments: Segments) -> Gradients:
    """Return a twin's attribution without noise.

    Parameters
    ----------
    twin
        The twin.
    connectomes, segments
        Of the people to average attributions over, as for `smooth_gradients`.
    """
    return smooth_gradients(twin.weights, connectomes, segments, copies=ONE_COPY, noise=0.0)
