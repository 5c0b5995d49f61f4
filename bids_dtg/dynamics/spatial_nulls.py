"""Tests of maps over regions that know of spatial autocorrelation: neighbours are alike.

Two smooth maps correlate by chance more often than Pearson's p says. Here the chance is that of
surrogates, which are as smooth as the map itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.floating[Any]]
Pairs = Sequence[tuple[int, int]]
Sides = Literal["two", "greater", "less"]

_FEWEST_REGIONS = 4
_SAME = 1e-6  # of a map's range: what files round away
_ROUNDING = 1e-12  # of a statistic's size: a surrogate that is the map itself counts as one


def moran_surrogates(values: Values, distances: Values, number: int, seed: int) -> Values:
    """Return maps with the spatial autocorrelation of a map, and otherwise random.

    The map is written in eigenvectors of the centred matrix of inverse distances, from patterns
    over the whole brain to differences between neighbours. Each surrogate flips the signs of
    their coefficients at random. So mean, variance and Moran's I remain, exactly.

    Parameters
    ----------
    values
        (regions,), values of a map in any unit.
    distances
        (regions, regions), mm or any unit: only their ratios matter.
    number
        Number of surrogate maps to draw.
    seed
        The same seed gives the same surrogates.

    Returns
    -------
    numpy.ndarray
        (number, regions), float64.

    Raises
    ------
    ValueError
        Shapes do not belong together, a value is not finite, all values are the same, or two
        regions lie at one place.

    Notes
    -----
    Moran spectral randomisation, "singleton": Wagner & Dray 2015, Methods Ecol. Evol. 6: 1169.
    Inverse distances as weights are BrainSpace's (Vos de Wael et al. 2020, Commun. Biol. 3: 103).

    Examples
    --------
    >>> import numpy as np
    >>> place = np.arange(6.0)
    >>> distances = np.abs(place[:, None] - place)
    >>> surrogates = moran_surrogates(place**2, distances, number=3, seed=0)
    >>> surrogates.shape, surrogates.mean(axis=1).round(3)
    ((3, 6), array([9.167, 9.167, 9.167]))
    """
    values, distances = _checked(values, distances)
    patterns = _patterns(distances)
    return _flipped(values, patterns, _signs(len(patterns), number, seed))


def within_hemispheres(
    values: Values, distances: Values, pairs: Pairs, number: int, seed: int
) -> Values:
    """Return surrogates of a map of two hemispheres that stay as alike as the map has them.

    Each hemisphere has surrogates of its own values, by `moran_surrogates`. A region and its like
    on the other side share their distances (the mean of both sides) and the signs that are
    flipped. So the correlation between the hemispheres remains too. Distances from one side to
    the other are not used.

    Parameters
    ----------
    values, distances, number, seed
        Map, distances in mm, number of surrogates and seed, as of `moran_surrogates`.
    pairs
        The numbers of regions that are each other's like: left, right. Every region is in one.

    Returns
    -------
    numpy.ndarray
        (number, regions), float64.

    Raises
    ------
    ValueError
        As `moran_surrogates`, or a region is in no pair or in two.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = np.array([-40.0, -30, -50, -35, 40, 30, 50, 35]), np.tile([0.0, 20, 50, 90], 2)
    >>> distances = np.hypot(x[:, None] - x, y[:, None] - y)
    >>> pairs = [(0, 4), (1, 5), (2, 6), (3, 7)]
    >>> values = np.array([1.0, 2, 4, 3, 1, 2, 4, 3])
    >>> surrogates = within_hemispheres(values, distances, pairs, number=5, seed=0)
    >>> bool(np.allclose(surrogates[:, :4], surrogates[:, 4:]))
    True
    """
    values, distances = _checked(values, distances)
    left, right = _hemispheres(pairs, len(values))
    shared = (distances[np.ix_(left, left)] + distances[np.ix_(right, right)]) / 2
    patterns = _patterns(shared)
    signs = _signs(len(patterns), number, seed)
    surrogates = np.empty((number, len(values)))
    for side in (left, right):
        surrogates[:, side] = _flipped(values[side], patterns, signs)
    return surrogates


def null_p(observed: ArrayLike, null: ArrayLike, sides: Sides = "two") -> NDArray[np.float64]:
    """Return p of a statistic: (1 + surrogates that reach it) / (1 + all surrogates).

    Parameters
    ----------
    observed
        (...), one or several statistics.
    null
        (number, ...), the same of surrogates.
    sides
        ``two`` compares absolute values; ``greater`` and ``less`` look one way.

    Returns
    -------
    numpy.ndarray
        (...), 1 / (1 + number) to 1. It is never 0: the map itself is one that could have been
        drawn (Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9: 39).

    Raises
    ------
    ValueError
        Shapes do not belong together, there are no surrogates, or a statistic is not finite.

    Examples
    --------
    >>> float(null_p(0.5, [0.1, -0.6, 0.4])), float(null_p(0.5, [0.1, -0.6, 0.4], "greater"))
    (0.5, 0.25)
    """
    real, drawn = np.asarray(observed, np.float64), np.asarray(null, np.float64)
    if drawn.shape[1:] != real.shape or not len(drawn.reshape(-1)):
        raise ValueError(f"null is (number, *{real.shape}), number > 0; found {drawn.shape}")
    if not (np.isfinite(real).all() and np.isfinite(drawn).all()):
        raise ValueError("a statistic is not finite: the p of it is not known")
    turn = {"two": np.abs, "greater": np.positive, "less": np.negative}[sides]
    reached = turn(drawn) >= turn(real) - _ROUNDING * np.abs(real)
    return np.asarray((1 + reached.sum(axis=0)) / (1 + len(drawn)))


def is_mirrored(values: Values, pairs: Pairs) -> bool:
    """Return whether a map has the same values in both hemispheres: half of them say nothing new.

    Parameters
    ----------
    values
        (regions,), values of a map in any unit.
    pairs
        The numbers of regions that are each other's like. Without one, no map is mirrored.

    Examples
    --------
    >>> import numpy as np
    >>> is_mirrored(np.array([1.0, 2.0, 1.0, 2.0]), [(0, 2), (1, 3)])
    True
    """
    if not len(pairs):
        return False
    sides = np.asarray(values, np.float64)[np.asarray(pairs)]
    return bool(np.allclose(sides[:, 0], sides[:, 1], rtol=0, atol=_SAME * np.ptp(sides)))


def _checked(values: Values, distances: Values) -> tuple[Values, Values]:
    """Return a map and distances as float64, or say why no surrogates can be made of them."""
    values, distances = np.asarray(values, np.float64), np.asarray(distances, np.float64)
    regions = len(values)
    if values.ndim != 1 or distances.shape != (regions, regions):
        raise ValueError(
            "values is (regions,) and distances (regions, regions); "
            f"found {values.shape} and {distances.shape}"
        )
    if regions < _FEWEST_REGIONS:
        raise ValueError(f"{regions} regions: surrogates need {_FEWEST_REGIONS} or more")
    if not np.isfinite(values).all():
        unknown = np.flatnonzero(~np.isfinite(values)).tolist()
        raise ValueError(f"regions {unknown} have no value: leave them out, of distances too")
    if np.ptp(values) <= _ROUNDING * np.abs(values).max():
        raise ValueError("all regions have the same value")
    _check_distances(distances)
    return values, distances


def _check_distances(distances: Values) -> None:
    if not (np.isfinite(distances).all() and np.allclose(distances, distances.T)):
        raise ValueError("distances are finite, and the same from a region to another and back")
    between = ~np.eye(len(distances), dtype=bool)
    if np.diag(distances).any() or (distances[between] <= 0).any():
        raise ValueError("a distance is 0 from a region to itself, and above 0 to all others")


def _hemispheres(pairs: Pairs, regions: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the numbers of the left regions, and of the right ones in the same order."""
    numbers = np.asarray(pairs, np.intp).reshape(-1, 2)
    if sorted(numbers.ravel().tolist()) != list(range(regions)):
        missing = sorted(set(range(regions)) - set(numbers.ravel().tolist()))
        raise ValueError(
            f"every one of {regions} regions is in one pair; without one: {missing}"
            if missing
            else f"every one of {regions} regions is in one pair; found {len(numbers)} pairs"
        )
    return numbers[:, 0], numbers[:, 1]


def _patterns(distances: Values) -> Values:
    """Return (regions - 1, regions) orthonormal patterns, none of which has a mean."""
    from scipy.linalg import eigh, helmert

    weights = 1.0 / (distances + np.eye(len(distances))) - np.eye(len(distances))
    # Centring by a basis of what has no mean: so no pattern mixes with the constant one.
    without_mean: Values = helmert(len(distances))
    vectors: Values = eigh(without_mean @ weights @ without_mean.T)[1]
    return vectors.T @ without_mean


def _signs(patterns: int, number: int, seed: int) -> Values:
    """Return (number, patterns) of -1 and 1."""
    return np.random.default_rng(seed).choice([-1.0, 1.0], (number, patterns))


def _flipped(values: Values, patterns: Values, signs: Values) -> Values:
    """Return (number, regions): a map whose coefficients have other signs."""
    return np.asarray(values.mean() + (signs * (patterns @ values)) @ patterns)
