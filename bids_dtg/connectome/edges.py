"""Edges of connectomes between parcels: those above the diagonal, their strength, Fisher z."""

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

    Examples
    --------
    >>> first, second = np.array([[np.nan, 0.2], [0.2, np.nan]]), np.full((2, 2), np.nan)
    >>> mean_edges([first, first + 0.4], [3.0, 1.0]).round(2)[0, 1]
    np.float64(0.3)
    >>> mean_edges([first, second], [3.0, 1.0]).round(2)[0, 1]
    np.float64(0.2)
    """
    mean: Any = np.ma.average(np.ma.masked_invalid(np.stack(edges)), axis=0, weights=weights)
    filled: Float = mean.filled(np.nan)
    return filled


def upper_edges(matrices: NDArray[Any]) -> NDArray[Any]:
    """Return the entries above the diagonal, (..., regions, regions) to (..., edges), row by row.

    Examples
    --------
    >>> upper_edges(np.arange(9).reshape(3, 3))
    array([1, 2, 5])
    """
    rows, columns = np.triu_indices(matrices.shape[-1], 1)
    return matrices[..., rows, columns]


def fc_strength(connectivities: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return the mean entry above the diagonal, (..., regions, regions) to (...); NaN is left out.

    Examples
    --------
    >>> float(fc_strength(np.array([[1.0, 0.25], [0.25, 1.0]])))
    0.25
    """
    return finite_mean(upper_edges(connectivities))


def finite_mean(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return the mean over the last axis of what is finite; NaN where nothing is.

    Examples
    --------
    >>> finite_mean(np.array([[1.0, 3.0, np.nan], [np.nan, np.nan, np.nan]]))
    array([ 2., nan])
    """
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=-1)
    count = known.sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
