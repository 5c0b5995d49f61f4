"""Layouts of points in a few dimensions, and how much of their differences they show."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from bids_dtg.array_types import Float64, Integers, Values

FEWEST_FOR_UMAP = 8  # points
_NEIGHBOURS = 15
_SPREAD = 10.0
_COMPONENTS = 50
_ROUNDING = 1e-7  # a component below this share of the variance is rounding error


def principal_components(products: Float64, columns: int) -> tuple[Float64, Float64]:
    """Return scores (points, components) and shares of the variance, (components,).

    Parameters
    ----------
    products
        Inner products of the points' deviations from their mean, (points, points).
    columns
        Number of columns that the products are summed over; dividing by it gives scores in the
        maps' units, as root mean squares.

    Examples
    --------
    >>> deviations = np.array([-2.0, -1.0, 3.0])
    >>> scores, shares = principal_components(np.outer(deviations, deviations), 1)
    >>> scores[:, 0].round(6), shares.round(6)
    (array([-2., -1.,  3.]), array([1.]))
    """
    variances, vectors = np.linalg.eigh(products)
    variances = variances[::-1]
    vectors = vectors[:, ::-1]
    total = max(np.maximum(variances, 0).sum(), np.finfo(float).tiny)
    present = variances > _ROUNDING * total
    scores = vectors[:, present] * np.sqrt(variances[present] / columns)
    # Fix the sign, independent of the order of points: the score furthest from 0 is positive.
    furthest_point = np.abs(scores).argmax(axis=0)
    furthest = scores[furthest_point, np.arange(scores.shape[1])]
    return scores * np.sign(furthest), variances[present] / total


def distances(products: Float64, columns: int) -> Float64:
    """Return root mean square distances between points, (points, points)."""
    squares = np.diag(products)
    squared_distances = np.maximum(squares[:, None] + squares - 2 * products, 0.0)
    np.fill_diagonal(squared_distances, 0.0)
    return np.sqrt(squared_distances / columns)


def umap_is_missing() -> bool:
    """Return whether umap-learn is not installed."""
    return importlib.util.find_spec("umap") is None


def umap_layout(scores: Float64, seed: int) -> Float64:
    """Lay points out in two dimensions by UMAP, initialised with the first two components.

    Parameters
    ----------
    scores
        (points, components), principal component scores of `FEWEST_FOR_UMAP` points or more, in
        two components or more; the first 50 are used.
    seed
        The same seed gives the same layout, on one thread.

    Returns
    -------
    (points, 2), without a unit; with 15 neighbours (fewer for few points) and min_dist 0.1.
    """
    from umap import UMAP

    components = np.ascontiguousarray(scores[:, :_COMPONENTS], np.float32)
    first_two = components[:, :2]
    start = first_two * (_SPREAD / np.abs(first_two).max())
    umap = UMAP(
        n_neighbors=min(_NEIGHBOURS, len(components) - 1),
        min_dist=0.1,
        init=start.astype(np.float32),
        random_state=seed,
        n_jobs=1,
    )
    return np.asarray(umap.fit_transform(components), np.float64)


def silhouettes(apart: Float64, labels: Sequence[Any], orders: Integers) -> Float64:
    """Return the mean silhouette of labelled points, observed and for permuted labels.

    Parameters
    ----------
    apart
        (points, points), see `distances`.
    labels
        (points,), the cluster of each point.
    orders
        (permutations, points), permutations of the labels.

    Returns
    -------
    (1 + permutations,): mean over points, -1 to 1 (Rousseeuw 1987), for the labels and for each
    permutation; NaN if all labels are the same or all are different.

    Examples
    --------
    >>> points = np.array([0.0, 0.1, 5.0, 5.1])
    >>> apart = np.abs(points[:, None] - points)
    >>> silhouettes(apart, ["a", "a", "b", "b"], np.empty((0, 4), int)).round(2)
    array([0.98])
    """
    names, cluster_of_point = np.unique(np.asarray(labels), return_inverse=True)
    points = len(cluster_of_point)
    if not 1 < len(names) < points:
        return np.full(1 + len(orders), np.nan)
    sizes = np.bincount(cluster_of_point)
    means = []
    point = np.arange(points)
    for order in [point, *orders]:
        cluster = cluster_of_point[order]
        member = (cluster[:, None] == np.arange(len(names))).astype(float)
        total_distance = apart @ member  # (points, clusters)
        same_cluster = total_distance[point, cluster]
        within = same_cluster / np.maximum(sizes[cluster] - 1, 1)
        mean_distance = total_distance / sizes
        mean_distance[point, cluster] = np.inf
        nearest = mean_distance.min(axis=1)  # of the neighbouring clusters
        larger = np.maximum(np.maximum(within, nearest), np.finfo(float).tiny)
        is_alone = sizes[cluster] == 1
        silhouette = np.where(is_alone, 0, (nearest - within) / larger)
        means.append(silhouette.mean())
    return np.array(means)


def variance_shares(values: Values) -> tuple[float, float, float]:
    """Return the shares of variance between contrasts, between people, and residual.

    Parameters
    ----------
    values
        (contrasts, people, columns), one map per contrast and person.

    Notes
    -----
    Sums of squares of a two-way layout. Residual variance also enters the means: for pure noise,
    the first two shares are near (contrasts - 1) and (people - 1) over (points - 1), not 0.

    Examples
    --------
    >>> shares = variance_shares(np.array([[[0.0], [2.0]], [[4.0], [6.0]]]))
    >>> [round(share, 6) for share in shares]
    [0.8, 0.2, 0.0]
    >>> variance_shares(np.ones((1, 4, 3)))  # maps that are the same for everybody
    (nan, nan, nan)
    """
    contrasts, people, _ = values.shape
    grand_mean = values.mean(axis=(0, 1), dtype=np.float64)
    total = float(np.square(values - grand_mean).sum())
    if total <= 0:
        return np.nan, np.nan, np.nan
    between_contrasts = float(np.square(values.mean(axis=1) - grand_mean).sum())
    between_people = float(np.square(values.mean(axis=0) - grand_mean).sum())
    contrast_share = people * between_contrasts / total
    people_share = contrasts * between_people / total
    return contrast_share, people_share, max(0.0, 1 - contrast_share - people_share)
