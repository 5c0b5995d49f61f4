"""Spatial maps of a group's networks by group ICA, as in MELODIC (Beckmann & Smith 2004).

Each person's rest is reduced once, to its first principal components over time. People's
components are concatenated and reduced again (MIGP, Smith et al. 2014, NeuroImage 101: 738), and
the group's first components are rotated by spatial ICA (FastICA). Both steps use a regular subset
of voxels (or parcels), because neighbours are alike; least squares then extend the group's
components to all of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import DatasetError

Float = NDArray[np.float64]

FIRST = 100  # components kept per person
_MOST = (
    500  # components kept for the group; nothing is lost with at most this many voxels
)
_PLACES = (
    20_000  # smallest number of voxels used to find and rotate the group's components
)
_ITERATIONS, _TOLERANCE = 300, 1e-3


def reduce_rest(
    rest: NDArray[np.floating], earlier: NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """Reduce a person's rest to its first principal components over time.

    Parameters
    ----------
    rest
        (voxels, frames) of a run; constant voxels count as 0.
    earlier
        (voxels, components) of earlier runs, to which this one is added.

    Returns
    -------
    (voxels, components), scaled by their variances.
    """
    # Each voxel with mean 0 and sd 1 over time; 0 if it is constant.
    centred = rest.astype(np.float32)
    centred -= centred.mean(axis=1, keepdims=True)
    sd = np.sqrt(np.einsum("vt,vt->v", centred, centred) / rest.shape[1])
    centred /= np.where(sd > 0, sd, 1.0)[:, None].astype(np.float32)
    centred /= np.float32(np.sqrt(rest.shape[1]))
    found = _reduced(centred, FIRST)
    if earlier is not None:
        found = _reduced(np.hstack([earlier, found]), FIRST)
    return found.astype(np.float32)


def group_maps(
    people: Sequence[NDArray[np.floating]],
    sets: Sequence[int],
    seed: int,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """Make sets of ROI maps from people's reduced rest.

    Parameters
    ----------
    people
        (voxels, components) of each person, by `reduce_rest`.
    sets
        Number of maps in each set.
    seed
        Seed of ICA's starting point.
    report
        Receives one line per set.

    Returns
    -------
    maps
        (maps of all sets, voxels), each of variance 1 and positive skewness.
    records
        How each set was made, for the model card.

    Raises
    ------
    DatasetError
        Rest has fewer components than the number of maps asked for.

    Examples
    --------
    Two networks of correlated voxels:

    >>> rng = np.random.default_rng(0)
    >>> rest = [
    ...     rng.standard_normal((2, 300)).repeat(30, axis=0) + 0.3 * rng.standard_normal((60, 300))
    ...     for _ in range(3)
    ... ]
    >>> maps, (record,) = group_maps([reduce_rest(own) for own in rest], (2,), seed=0)
    >>> maps.shape, record["people"]
    ((2, 60), 3)
    """
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    some = slice(None, None, max(1, len(people[0]) // _PLACES))
    group = _joined([np.asarray(own[some], np.float64) for own in people], max(sets))
    if group.shape[1] < max(sets):
        raise DatasetError(
            f"rest of {len(people)} people has {group.shape[1]} components, too few for "
            f"{max(sets)} ROI maps",
            expected="longer runs, or more people",
        )
    # Least squares: people's components, weighted by their projection on the group's.
    everywhere = np.zeros((len(people[0]), group.shape[1]), np.float32)
    for own in people:
        weights = np.asarray(own[some], np.float64).T @ group / (group**2).sum(axis=0)
        everywhere += own @ weights.astype(np.float32)
    made, records = [], []
    for number in sets:
        ica = FastICA(
            number,
            whiten="unit-variance",
            random_state=seed % 2**32,
            max_iter=_ITERATIONS,
            tol=_TOLERANCE,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            ica.fit(group[:, :number])
        maps = ica.transform(everywhere[:, :number].astype(np.float64)).T
        maps /= maps.std(axis=1, keepdims=True)
        maps *= np.where((maps * maps * maps).sum(axis=1) < 0, -1.0, 1.0)[:, None]
        converged = bool(ica.n_iter_ < _ITERATIONS)
        records.append(
            {
                "method": "group ICA of the training people's rest",
                "people": len(people),
                "rois": number,
                "components_each": FIRST,
                "seed": seed,
                "converged": converged,
            }
        )
        made.append(maps.astype(np.float32))
        left = "" if converged else ", not converged: another --seed may help"
        report(f"group ICA: {number} ROI maps in {ica.n_iter_} iterations{left}")
    return np.concatenate(made), records


def _joined(people: Sequence[Float], most: int) -> Float:
    """Return the first principal components (voxels, components) of all people together."""
    kept = np.zeros((len(people[0]), 0))
    for own in people:
        kept = np.hstack([kept, own])
        if kept.shape[1] > 2 * _MOST:
            kept = _reduced(kept, _MOST)
    return _reduced(kept, most)


def _reduced(values: NDArray[np.floating], most: int) -> Float:
    """Return the first principal components (voxels, components), scaled by their variances."""
    columns = values.shape[1]
    if columns <= len(values):
        products = (values.T @ values).astype(np.float64)
        variances, vectors = np.linalg.eigh(products)
        kept = _largest(variances, most)
        reduced = values @ vectors[:, kept].astype(values.dtype)
    else:
        variances, vectors = np.linalg.eigh((values @ values.T).astype(np.float64))
        kept = _largest(variances, most)
        reduced = vectors[:, kept] * np.sqrt(variances[kept])
    # Fix the signs, which otherwise depend on the linear algebra library.
    largest = np.abs(reduced).argmax(axis=0)
    signs = np.where(reduced[largest, np.arange(reduced.shape[1])] < 0, -1.0, 1.0)
    return np.asarray(reduced * signs, np.float64)


def _largest(variances: Float, most: int) -> NDArray[np.intp]:
    """Return the indices of the largest variances in descending order, without rounding errors."""
    order: NDArray[np.intp] = np.argsort(variances)[::-1][:most]
    kept: NDArray[np.intp] = order[variances[order] > variances[order[0]] * 1e-9]
    return kept
