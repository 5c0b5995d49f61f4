"""Spatial maps of a group's networks: group ICA, as MELODIC makes them (Beckmann & Smith 2004).

Each person's rest is reduced to its first principal components over time, once. Those of people
are joined and reduced again (MIGP, Smith et al. 2014, NeuroImage 101: 738), and the first of the
group are turned by spatial ICA (FastICA): both on some of the places, evenly over all, as
neighbours are alike. Least squares bring the group's components to all places.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import DatasetError

Float = NDArray[np.float64]

FIRST = 100  # components kept of each person
_MOST = 500  # components kept of all together: as many places as that lose nothing
_PLACES = 20_000  # places by which the group's components are found and turned, at least
_ITERATIONS, _TOLERANCE = 300, 1e-3


def reduce_rest(
    rest: NDArray[np.floating], earlier: NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """Reduce a person's rest to its first principal components over time, by their variances.

    Parameters
    ----------
    rest
        (places, frames) of a run; places that do not vary count as 0.
    earlier
        (places, components) of earlier runs, which are joined to it.

    Returns
    -------
    (places, components)
    """
    # Each place with mean 0 and sd 1 in time; 0 if it is constant.
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
        (places, components) of each person, by `reduce_rest`.
    sets
        How many maps each set has.
    seed
        Of the first guess of ICA.
    report
        Receives one line per set.

    Returns
    -------
    maps
        (maps of all sets, places), each of variance 1 and with its long tail above 0.
    records
        How each set was made, for a model's card.

    Raises
    ------
    DatasetError
        Rest has fewer components than maps were asked for.

    Examples
    --------
    Two networks of places that go together:

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
            f"rest of {len(people)} people has {group.shape[1]} components, and "
            f"{max(sets)} ROI maps are to be made of it",
            expected="longer runs, or more people",
        )
    # Its components are people's, weighted by how these go together with it.
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
        left = "" if converged else ", which did not settle: another --seed may help"
        report(f"group ICA: {number} ROI maps in {ica.n_iter_} iterations{left}")
    return np.concatenate(made), records


def _joined(people: Sequence[Float], most: int) -> Float:
    """Return the first principal components (places, components) of all people's together."""
    kept = np.zeros((len(people[0]), 0))
    for own in people:
        kept = np.hstack([kept, own])
        if kept.shape[1] > 2 * _MOST:
            kept = _reduced(kept, _MOST)
    return _reduced(kept, most)


def _reduced(values: NDArray[np.floating], most: int) -> Float:
    """Return the first principal components (places, components) of columns, by their variances."""
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
    # One of both signs, whatever the library of linear algebra gives.
    largest = np.abs(reduced).argmax(axis=0)
    signs = np.where(reduced[largest, np.arange(reduced.shape[1])] < 0, -1.0, 1.0)
    return np.asarray(reduced * signs, np.float64)


def _largest(variances: Float, most: int) -> NDArray[np.intp]:
    """Return the numbers of the largest variances, the first one first; none that is rounding."""
    order: NDArray[np.intp] = np.argsort(variances)[::-1][:most]
    kept: NDArray[np.intp] = order[variances[order] > variances[order[0]] * 1e-9]
    return kept
