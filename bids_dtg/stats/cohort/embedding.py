"""Maps laid out in few dimensions, and what of their differences such a picture shows.

Principal components come from the inner products of points (the dual form: the components of a
table with more columns than rows, exactly). UMAP (McInnes et al. 2018, J. Open Source Softw. 3:
861) begins at the first two components, so that what is far apart on the whole stays so (Kobak &
Linderman 2021, Nat. Biotechnol. 39: 156), and bends neighbourhoods to fit a plane: its distances
have no unit. Silhouettes say what the eye should not decide alone.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.cohort.point_cloud import PointCloud

Values = NDArray[np.float64]
Labels = NDArray[Any]

FEWEST_POINTS = 4  # fewer have no layout that says more than a list
FEWEST_FOR_UMAP = 8
SHARE = 0.9  # of the variance: how many components carry it
_UMAP_NEIGHBOURS, _UMAP_SPREAD, _UMAP_COMPONENTS = 15, 10.0, 50
_ROUNDING = 1e-7  # of the variance: a smaller component is rounding


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of a cloud, the largest first."""

    scores: Values  # (points, components), in units of the maps: root mean square over places
    shares: Values  # (all components,), of the variance

    def needed(self, share: float = SHARE) -> int:
        """Return the number of components that carry a share of the variance; 0 without any.

        Examples
        --------
        >>> Components(np.zeros((4, 1)), np.array([0.8, 0.15, 0.05])).needed()
        2
        """
        if not len(self.shares):
            return 0
        return int(np.searchsorted(np.cumsum(self.shares), share - 1e-12) + 1)


def principal_components(cloud: PointCloud, most: int = _UMAP_COMPONENTS) -> Components:
    """Return the principal components of a cloud.

    Parameters
    ----------
    cloud
        Points and their inner products, as `cloud_of` makes them.
    most
        How many components have scores; shares are of all.

    Returns
    -------
    Components
        Signs are chosen so that the score that is furthest from 0 is positive: they do not
        depend on the order of points. A cloud of identical points has no components.

    Examples
    --------
    >>> from bids_dtg.stats.cohort.point_cloud import cloud_of
    >>> found = principal_components(cloud_of([np.array([[0.0, 1.0], [1.0, 1.0], [5.0, 1.0]])]))
    >>> found.shares, (np.sqrt(2) * found.scores[:, 0]).round(6)
    (array([1.]), array([-2., -1.,  3.]))
    """
    from scipy.linalg import eigh, eigvalsh

    values = eigvalsh(cloud.products)[::-1]
    total = float(np.maximum(values, 0.0).sum())
    rank = min(cloud.points - 1, cloud.columns)
    number = int((values[:rank] > _ROUNDING * total).sum()) if total > 0 else 0
    kept = min(number, most)
    if not kept:
        return Components(np.zeros((cloud.points, 0)), np.zeros(0))
    own, vectors = eigh(cloud.products, subset_by_index=[cloud.points - kept, cloud.points - 1])
    scores = (vectors * np.sqrt(np.maximum(own, 0.0) / cloud.columns))[:, ::-1]
    furthest = scores[np.abs(scores).argmax(axis=0), np.arange(kept)]
    return Components(scores * np.sign(furthest), values[:number] / total)


def umap_is_missing() -> bool:
    """Return whether umap-learn is not installed."""
    return importlib.util.find_spec("umap") is None


def umap_layout(scores: Values, seed: int) -> Values:
    """Lay points out in two dimensions by UMAP.

    Parameters
    ----------
    scores
        (points, components), of the principal components; the first 50 are used.
    seed
        Of its draws: the same seed gives the same layout, on one thread.

    Returns
    -------
    numpy.ndarray
        (points, 2), without a unit; 15 neighbours (fewer of few points), smallest distance 0.1.

    Raises
    ------
    ImportError
        If umap-learn is not installed.
    ValueError
        If there are fewer than eight points, or fewer than two components.
    """
    if len(scores) < FEWEST_FOR_UMAP or scores.shape[1] < 2:
        raise ValueError(f"UMAP needs {FEWEST_FOR_UMAP} points and 2 components: {scores.shape}")
    from umap import UMAP

    used = np.ascontiguousarray(scores[:, :_UMAP_COMPONENTS], np.float32)
    start = (used[:, :2] * (_UMAP_SPREAD / np.abs(used[:, :2]).max())).astype(np.float32)
    layout = UMAP(
        n_neighbors=min(_UMAP_NEIGHBOURS, len(used) - 1),
        min_dist=0.1,
        init=start,
        random_state=seed,
        n_jobs=1,
    ).fit_transform(used)
    found: Values = np.asarray(layout, np.float64)
    return found


def silhouette(distances: Values, labels: Sequence[str]) -> float:
    """Return how far the points of each label lie together and apart from those of others.

    Parameters
    ----------
    distances
        (points, points) distances, symmetric, 0 on the diagonal.
    labels
        (points,), whose clusters are asked for.

    Returns
    -------
    float
        Mean over points, -1 to 1 (Rousseeuw 1987, J. Comput. Appl. Math. 20: 53); NaN where there
        is one label, or one for each point.

    Examples
    --------
    >>> places = np.array([0.0, 0.1, 5.0, 5.1])
    >>> round(silhouette(np.abs(places[:, None] - places), ["a", "a", "b", "b"]), 2)
    0.98
    """
    from sklearn.metrics import silhouette_score

    if not 1 < len(set(labels)) < len(labels):
        return float("nan")
    return float(silhouette_score(distances, labels, metric="precomputed"))


def variance_shares(
    cloud: PointCloud, contrasts: Labels, people: Labels
) -> tuple[float, float, float]:
    """Return the shares of variance between contrasts, between people, and in neither.

    Parameters
    ----------
    cloud
        Of every person's map of every contrast.
    contrasts, people
        (points,), the contrast and the person of each point.

    Raises
    ------
    ValueError
        If some person's map of some contrast is missing, or is there twice.

    Notes
    -----
    Sums of squares of a two-way layout with one map a cell. A mean over maps has a part of their
    rest, too: of pure noise, the shares are near (contrasts - 1) and (people - 1) over
    (points - 1), and not 0.

    Examples
    --------
    >>> from bids_dtg.stats.cohort.point_cloud import cloud_of
    >>> cloud = cloud_of([np.array([[0.0], [2.0]]), np.array([[4.0], [6.0]])])
    >>> found = variance_shares(cloud, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    >>> [round(share, 6) for share in found]
    [0.8, 0.2, 0.0]
    """
    cells = {(contrast, person) for contrast, person in zip(contrasts, people, strict=True)}
    if len(cells) != cloud.points or cloud.points != len(set(contrasts)) * len(set(people)):
        raise ValueError("variance is shared out where each person has one map of each contrast")
    if cloud.total <= 0:
        return float("nan"), float("nan"), float("nan")
    by_contrast, by_person = (
        1 - cloud.within(labels).total / cloud.total for labels in (contrasts, people)
    )
    return by_contrast, by_person, 1 - by_contrast - by_person
