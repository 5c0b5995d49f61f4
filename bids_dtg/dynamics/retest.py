"""People's components, and how reliable a second session of training people shows them to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.components import Components, edges_of
from bids_dtg.dynamics.lag_covariances import LagCovariances
from bids_dtg.dynamics.linear import FEWEST_CHOSEN, TrainingPerson
from bids_dtg.dynamics.networks import PeopleSeries

Values = NDArray[np.floating[Any]]


def draw(labels: Sequence[str], most: int, seed: int) -> tuple[str, ...]:
    """Return at most so many people, drawn by the seed, in their order.

    Examples
    --------
    >>> draw(["a", "b", "c"], 5, 0), len(draw("abcdef", 4, 0))
    (('a', 'b', 'c'), 4)
    """
    if len(labels) <= most:
        return tuple(labels)
    chosen = np.random.default_rng(seed).choice(len(labels), most, replace=False)
    return tuple(labels[number] for number in sorted(chosen))


def covariances_of(people: PeopleSeries, row: int) -> LagCovariances:
    """Return the covariances of a person, over the frames kept."""
    kept = None if people.kept is None else people.kept[row]
    return LagCovariances.of(people.series[row], kept, people.dof_of(row))


def find_components(people: Iterable[TrainingPerson]) -> Components | None:
    """Return components of training people, with their reliability where it can be known.

    Parameters
    ----------
    people
        Some or all training people, each with another session where there is one; they are read
        once, one after the other.

    Returns
    -------
    Components
        None where people do not vary in two ways at least.
    """
    sessions, twice = list[Values](), dict[int, Values]()
    for row, person in enumerate(people):
        sessions.append(edges_of(person.session))
        if person.again is not None:
            twice[row] = edges_of(person.again)
    edges = np.stack(sessions)
    if edges.shape[1] < 2 or not np.ptp(edges, axis=0).any():
        return None
    found = Components.of(edges)
    if len(twice) < FEWEST_CHOSEN:
        return found
    reliability = found.retest(edges[list(twice)], np.stack(list(twice.values())))
    return Components(found.mean, found.loadings, found.sd, found.shares, reliability)
