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

from bids_dtg.array_types import Float32, Float64, Floats, Indices
from bids_dtg.errors import DatasetError

FIRST = 100  # components kept per person
# Components kept for the group; nothing is lost with at most this many voxels.
_MOST = 500
# Smallest number of voxels used to find and rotate the group's components.
_PLACES = 20_000
_ITERATIONS, _TOLERANCE = 300, 1e-3


def reduce_rest(rest: Floats, earlier: Floats | None = None) -> Float32:
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
    components = _reduced(centred, FIRST)
    if earlier is not None:
        components = _reduced(np.hstack([earlier, components]), FIRST)
    return components.astype(np.float32)


def group_maps(
    people: Sequence[Floats],
    sets: Sequence[int],
    seed: int,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[Float32, list[dict[str, Any]]]:
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
    >>> people = [reduce_rest(series) for series in rest]
    >>> maps, (record,) = group_maps(people, (2,), seed=0)
    >>> maps.shape, record["people"]
    ((2, 60), 3)
    """
    subset = slice(None, None, max(1, len(people[0]) // _PLACES))
    subsets = [np.asarray(components[subset], np.float64) for components in people]
    group = _joined(subsets, max(sets))
    if group.shape[1] < max(sets):
        raise DatasetError(
            f"rest of {len(people)} people has {group.shape[1]} components, too few for "
            f"{max(sets)} ROI maps",
            expected="longer runs, or more people",
        )
    # Least squares: people's components, weighted by their projection on the group's.
    everywhere = np.zeros((len(people[0]), group.shape[1]), np.float32)
    for components, in_subset in zip(people, subsets, strict=True):
        weights = in_subset.T @ group / (group**2).sum(axis=0)
        everywhere += components @ weights.astype(np.float32)
    set_maps, records = [], []
    for number in sets:
        maps, iterations = _rotated(group[:, :number], everywhere[:, :number], seed)
        converged = bool(iterations < _ITERATIONS)
        record = {
            "method": "group ICA of the training people's rest",
            "people": len(people),
            "rois": number,
            "components_each": FIRST,
            "seed": seed,
            "converged": converged,
        }
        set_maps.append(maps)
        records.append(record)
        hint = "" if converged else ", not converged: another --seed may help"
        report(f"group ICA: {number} ROI maps in {iterations} iterations{hint}")
    return np.concatenate(set_maps), records


def _rotated(group: Float64, everywhere: Float32, seed: int) -> tuple[Float32, int]:
    """Rotate components by ICA; return the maps (components, voxels) and how many iterations.

    ICA is fitted to components (voxels, components) at a subset of voxels, and applied everywhere.
    """
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    ica = FastICA(
        group.shape[1],
        whiten="unit-variance",
        random_state=seed % 2**32,
        max_iter=_ITERATIONS,
        tol=_TOLERANCE,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ica.fit(group)
    maps = ica.transform(everywhere.astype(np.float64)).T
    maps /= maps.std(axis=1, keepdims=True)
    maps *= np.where((maps * maps * maps).sum(axis=1) < 0, -1.0, 1.0)[:, None]
    return maps.astype(np.float32), ica.n_iter_


def _joined(people: Sequence[Float64], most: int) -> Float64:
    """Return the first principal components (voxels, components) of all people together."""
    group = np.zeros((len(people[0]), 0))
    for components in people:
        group = np.hstack([group, components])
        if group.shape[1] > 2 * _MOST:
            group = _reduced(group, _MOST)
    return _reduced(group, most)


def _reduced(values: Floats, most: int) -> Float64:
    """Return the first principal components (voxels, components), scaled by their variances."""
    is_tall = values.shape[1] <= len(values)
    products = values.T @ values if is_tall else values @ values.T
    variances, vectors = np.linalg.eigh(products.astype(np.float64))
    first = _largest(variances, most)
    if is_tall:
        reduced = values @ vectors[:, first].astype(values.dtype)
    else:
        reduced = vectors[:, first] * np.sqrt(variances[first])
    # Fix the signs, which otherwise depend on the linear algebra library.
    largest = np.abs(reduced).argmax(axis=0)
    signs = np.where(reduced[largest, np.arange(reduced.shape[1])] < 0, -1.0, 1.0)
    return np.asarray(reduced * signs, np.float64)


def _largest(variances: Float64, most: int) -> Indices:
    """Return the indices of the largest variances in descending order, without rounding errors."""
    order: Indices = np.argsort(variances)[::-1][:most]
    is_variance = variances[order] > variances[order[0]] * 1e-9
    return np.asarray(order[is_variance])
