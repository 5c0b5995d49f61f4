"""Comparisons of places in one hemisphere with their mirror places in the other."""

from __future__ import annotations

import numpy as np

from bids_dtg.array_types import Floats, Indices, Mask, Values

# Pairs of places; fewer give a share that varies too much by chance.
_LEAST_HOMOTOPIC = 30


def pairs_of_sides(mirror: Indices, covered: Mask) -> Indices:
    """Return places and their mirror places, (2, pairs), both with signal."""
    places = np.flatnonzero(covered & (mirror >= 0))
    places = places[covered[mirror[places]]]
    return np.stack([places, mirror[places]])


def standardised(rows: Values) -> Floats:
    """Return rows with mean 0 and norm 1; NaN for constant rows.

    Examples
    --------
    >>> standardised(np.array([[1.0, 3, 1, 3]]))
    array([[-0.5,  0.5, -0.5,  0.5]])
    """
    rows = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, np.nan))


def symmetry(r: Floats, pairs: Indices) -> float:
    """Return the mean over ROIs of the correlation of a row with its mirror image.

    Parameters
    ----------
    r
        (rois, places) Pearson correlations.
    pairs
        Places in one hemisphere and the other, from `pairs_of_sides`.

    Returns
    -------
    The mean; NaN if no row varies.
    """
    if len(pairs[0]) < 2:
        return np.nan
    correlations = []
    for row in r:
        first, second = standardised(row[pairs])
        correlations.append((first * second).sum())
    finite = np.array(correlations)[np.isfinite(correlations)]
    return float(finite.mean()) if len(finite) else np.nan


def homotopic_rank(series: Floats, pairs: Indices) -> float:
    """Return the share of pairs across hemispheres that correlate less than homotopic pairs.

    The same region of both hemispheres correlates most (Salvador et al. 2005, Cerebral Cortex 15,
    1332-1342). Series that are noise, or belong to other regions than their names say, have a share
    of 0.5, although their connectomes resemble the ROI maps, from which the ROI series come.

    Parameters
    ----------
    series
        (frames, places), cleaned.
    pairs
        (2, pairs), positions of the same place in the left and the right hemisphere.

    Returns
    -------
    The share; NaN if fewer than 30 homotopic pairs have signal.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> left = rng.standard_normal((200, 40))
    >>> series = np.hstack([left, left + rng.standard_normal((200, 40))])
    >>> homotopic_rank(series, np.arange(80).reshape(2, 40))
    1.0
    """
    left_series, right_series = (standardised(series[:, side].T) for side in pairs)
    with_signal = np.isfinite(left_series).all(axis=1)
    with_signal &= np.isfinite(right_series).all(axis=1)
    number = np.count_nonzero(with_signal)
    if number < _LEAST_HOMOTOPIC:
        return np.nan
    r = left_series[with_signal] @ right_series[with_signal].T
    homotopic = np.diagonal(r)
    less_than_of_right = np.count_nonzero(r < homotopic)
    less_than_of_left = np.count_nonzero(r < homotopic[:, None])
    comparisons = 2 * number * (number - 1)
    return float((less_than_of_right + less_than_of_left) / comparisons)
