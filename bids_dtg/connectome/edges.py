"""Edges of a connectome: Fisher z of correlations between parcels, averaged over runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def fisher_z(correlation: NDArray[np.floating[Any]]) -> Float:
    """Return Fisher z of correlations (regions, regions), NaN on the diagonal.

    NaN also where there is no correlation, and where it is 1 or -1, whose z is not finite
    (Fisher 1915, doi:10.2307/2331838).

    Examples
    --------
    >>> fisher_z(np.array([[1, 0.5], [0.5, 1]])).round(4)
    array([[   nan, 0.5493],
           [0.5493,    nan]])
    """
    r = np.asarray(correlation, np.float64)
    inside = (np.abs(r) < 1) & ~np.eye(len(r), dtype=bool)
    z: Float = np.arctanh(np.where(inside, r, np.nan))
    return z


def mean_edges(edges: Sequence[Float], weights: Sequence[float]) -> Float:
    """Average edges over runs, weighted; what a run has not is the mean of the others.

    Parameters
    ----------
    edges
        (regions, regions) of each run, NaN where it has no value.
    weights
        Of the runs, above 0.

    Returns
    -------
    numpy.ndarray
        (regions, regions), NaN where no run has a value.

    Raises
    ------
    ValueError
        There is no run, or weights are of another number of runs or not above 0.

    Examples
    --------
    >>> first, second = np.array([[np.nan, 0.2], [0.2, np.nan]]), np.full((2, 2), np.nan)
    >>> mean_edges([first, first + 0.4], [3.0, 1.0]).round(2)[0, 1]
    np.float64(0.3)
    >>> mean_edges([first, second], [3.0, 1.0]).round(2)[0, 1]
    np.float64(0.2)
    """
    of = np.asarray(weights, np.float64)
    if not len(edges) or of.shape != (len(edges),) or not (of > 0).all():
        raise ValueError(f"{len(edges)} runs have the weights {list(weights)}")
    values = np.stack(edges)
    share = np.where(np.isfinite(values), of[:, None, None], 0.0)
    total = share.sum(axis=0)
    summed = (share * np.nan_to_num(values)).sum(axis=0)
    mean: Float = np.divide(summed, total, out=np.full_like(summed, np.nan), where=total > 0)
    return mean


def upper_edges(matrix: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the edges of a matrix (regions, regions): the upper triangle row by row, (edges,).

    Examples
    --------
    >>> upper_edges(np.arange(9).reshape(3, 3)).tolist()
    [1.0, 2.0, 5.0]
    """
    return np.asarray(matrix[np.triu_indices(len(matrix), 1)], np.float32)
