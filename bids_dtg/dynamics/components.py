"""Each person's features for statistics: scores of principal components of covariances.

The covariances are not shrunk, because shrinkage depends on the minutes of rest that were kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from bids_dtg.array_types import Float64, Floats
from bids_dtg.connectome.parcels import upper_edges
from bids_dtg.dynamics.linear import FEWEST_CHOSEN, LagCovariances, TrainingPerson
from bids_dtg.stats.agreement import agreement

COMPONENTS = 5  # further ones have an intraclass correlation below .7 between sessions
MOST_PEOPLE = 500  # from which components are computed


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of covariances within a frame, computed from training people."""

    mean: Float64  # (edges,), of the training people's covariances
    loadings: Float64  # (components, edges), of length 1, by decreasing variance
    sd: Float64  # (components,), of the training people's scores
    shares: tuple[float, ...] = ()  # of the variance over people
    # ICC(A,1) of scores between sessions; empty: not known.
    reliability: tuple[float, ...] = ()

    @classmethod
    def of(cls, edges: Floats) -> Components:
        """Compute the components from training people.

        Parameters
        ----------
        edges
            (people, edges), see `edges_of`; 3 people or more.

        Returns
        -------
        Components
            The first five, or fewer if people vary in fewer dimensions. Each has a mean loading
            above 0, so a higher score means stronger connectivity on the whole.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> edges = 0.1 * rng.standard_normal((20, 1)) + 0.01 * rng.random((20, 6))
        >>> components = Components.of(edges)
        >>> components.loadings.shape, bool((components.loadings.mean(axis=1) >= 0).all())
        ((5, 6), True)
        """
        values = np.asarray(edges, np.float64)
        mean = values.mean(axis=0)
        centred = values - mean
        # With thousands of edges, the matrix (people, people) is the smaller one.
        variances, vectors = np.linalg.eigh(centred @ centred.T)
        rounding = len(values) * np.finfo(float).eps * variances.max()
        order = np.argsort(variances)[::-1][:COMPONENTS]
        order = order[variances[order] > rounding]
        loadings = (centred.T @ vectors[:, order] / np.sqrt(variances[order])).T
        loadings *= np.where(loadings.mean(axis=1) < 0, -1.0, 1.0)[:, None]
        sd = np.sqrt(variances[order] / (len(values) - 1))
        total = float(variances.clip(0).sum())
        return cls(mean, loadings, sd, tuple((variances[order] / total).tolist()))

    def scores(self, edges: Floats) -> Float64:
        """Return scores (..., components), in standard deviations of the training people.

        Parameters
        ----------
        edges
            (..., edges), see `edges_of`.
        """
        centred = np.asarray(edges, np.float64) - self.mean
        return centred @ self.loadings.T / self.sd

    def retest(self, first: Floats, again: Floats) -> tuple[float, ...]:
        """Return the ICC(A,1) of each score between two sessions of the same people.

        It is empty if one of them is not defined.

        Parameters
        ----------
        first, again
            (people, edges).
        """
        ratings = np.stack([self.scores(first), self.scores(again)], axis=-1)
        iccs = agreement(ratings.swapaxes(0, 1))
        return tuple(iccs.tolist()) if np.isfinite(iccs).all() else ()


def edges_of(person: LagCovariances) -> Float64:
    """Return a person's unshrunken covariances within a frame, (edges,)."""
    return np.asarray(upper_edges(person.values[0]), np.float64)


def find_components(people: Iterable[TrainingPerson]) -> Components | None:
    """Return the components of training people, with their reliability if it is known.

    Parameters
    ----------
    people
        Some or all training people, each with another session where there is one; iterated over
        once.

    Returns
    -------
    Components
        None if there are fewer than two edges, or all people are equal.
    """
    sessions: list[Floats] = []
    twice: dict[int, Floats] = {}  # another session, by the person's row
    for row, person in enumerate(people):
        sessions.append(edges_of(person.session))
        if person.again is not None:
            twice[row] = edges_of(person.again)
    edges = np.stack(sessions)
    if edges.shape[1] < 2 or not np.ptp(edges, axis=0).any():
        return None
    components = Components.of(edges)
    if len(twice) < FEWEST_CHOSEN:
        return components
    again = np.stack(list(twice.values()))
    reliability = components.retest(edges[list(twice)], again)
    return replace(components, reliability=reliability)
