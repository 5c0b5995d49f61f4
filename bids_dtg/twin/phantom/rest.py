"""Series of regions whose correlations are exactly those of a connectome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.phantom.nuisance import correlated

Array = NDArray[np.float64]

_LEAST_EIGENVALUE = 0.05  # smallest one of the series' correlation matrix


def possible_edges(edges: NDArray[np.floating], regions: int) -> NDArray[np.float32]:
    """Return approximately the nearest connectomes that series can have.

    Eigenvalues of the correlations below 0.05 become 0.05, and the diagonal is 1 again.

    Parameters
    ----------
    edges
        (..., edges): upper triangle row by row, Fisher z.
    regions
        Number of regions, whose pairs are the edges.

    Returns
    -------
    numpy.ndarray
        (..., edges); unchanged where all eigenvalues are larger.

    Raises
    ------
    ValueError
        There are not as many edges as pairs of regions.

    Examples
    --------
    >>> possible_edges(np.arctanh([0.9, 0.9, -0.9]), 3).round(1)
    array([ 0.5,  0.5, -0.5], dtype=float32)
    >>> possible_edges(np.array([0.3, 0.2, 0.1]), 3)
    array([0.3, 0.2, 0.1], dtype=float32)
    """
    found = correlations(edges, regions)
    values, vectors = np.linalg.eigh(found)
    floored = np.maximum(values, _LEAST_EIGENVALUE)
    nearest = (vectors * floored[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    sd = np.sqrt(np.diagonal(nearest, axis1=-2, axis2=-1))
    nearest /= sd[..., :, None] * sd[..., None, :]
    rows, columns = np.triu_indices(regions, 1)
    same = (values >= _LEAST_EIGENVALUE).all(axis=-1, keepdims=True)
    return np.where(same, edges, np.arctanh(nearest[..., rows, columns])).astype(np.float32)


def correlations(edges: NDArray[np.floating], regions: int) -> Array:
    """Return correlations (..., regions, regions) of edges (..., edges) in Fisher z.

    Raises
    ------
    ValueError
        There are not as many edges as pairs of regions.

    Examples
    --------
    >>> correlations(np.arctanh([0.5]), 2)
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    pairs = regions * (regions - 1) // 2
    if edges.shape[-1] != pairs:
        raise ValueError(f"{regions} regions have {pairs} edges, not {edges.shape[-1]}")
    rows, columns = np.triu_indices(regions, 1)
    matrix = np.empty((*edges.shape[:-1], regions, regions))
    matrix[..., range(regions), range(regions)] = 1.0
    matrix[..., rows, columns] = matrix[..., columns, rows] = np.tanh(edges)
    return matrix


def draw_rest(
    edges: NDArray[np.floating],
    regions: int,
    rng: np.random.Generator,
    *,
    frames: int,
    persistence: float,
) -> NDArray[np.float32]:
    """Draw series of rest whose sample correlations are exactly those of a connectome.

    Parameters
    ----------
    edges
        (edges,): upper triangle row by row, Fisher z, as `possible_edges` returns them.
    regions
        Number of regions, whose pairs are the edges.
    rng
        Random generator of the series.
    frames
        Number of frames, more than regions.
    persistence
        Correlation from one frame to the next, as `nuisance.persistence_of` returns it.

    Returns
    -------
    numpy.ndarray
        (frames, regions), mean 0 and variance 1.

    Raises
    ------
    ValueError
        There are too few frames, or the edges are not the pairs of so many regions.

    Examples
    --------
    >>> edges = np.array([0.5, -0.2, 0.1])
    >>> rng = np.random.default_rng(0)
    >>> series = draw_rest(edges, 3, rng, frames=50, persistence=0.5)
    >>> np.arctanh(np.corrcoef(series.T)[np.triu_indices(3, 1)]).round(4)
    array([ 0.5, -0.2,  0.1])
    """
    if frames <= regions:
        raise ValueError(f"{regions} regions need more frames than {frames}")
    own = correlated(rng.standard_normal((frames, regions)), persistence)
    # An orthonormal basis of the same series: exactly uncorrelated in this run.
    basis = np.linalg.qr(own - own.mean(axis=0))[0]
    root = np.linalg.cholesky(correlations(edges, regions))
    return np.asarray(np.sqrt(frames) * basis @ root.T, np.float32)
