"""Regional features, and how much of their variance the regional parameters explain.

Two smooth maps correlate by chance more often than Pearson's p says. Here p values come from
surrogate maps that are as smooth as the map itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bids_dtg.array_types import Floats, Indices
from bids_dtg.dynamics.measures import connectivity, low_power, zero_crossings
from bids_dtg.dynamics.networks import Networks
from bids_dtg.stats.correlation import correlation

Pairs = Sequence[tuple[int, int]]

_SAME = 1e-6  # share of a map's range below which two values are equal, as files round
_ROUNDING = 1e-12  # relative tolerance, so that a surrogate equal to the map reaches its statistic


def _in_strength(networks: Networks) -> Floats:
    return networks.weights.sum(axis=2)


def _centrality(networks: Networks) -> Floats:
    """Return the non-negative eigenvector of the weights, with length 1."""
    eigenvalues, vectors = np.linalg.eig(networks.weights.astype(np.float64))
    largest = eigenvalues.real.argmax(axis=1)[:, None, None]
    leading = np.take_along_axis(vectors, largest, axis=2)[..., 0]
    return np.abs(leading.real)


def _component(networks: Networks, number: int) -> Floats:
    """Return a principal component's map, whose time course correlates with the mean signal."""
    fc = connectivity(networks.series)
    loadings = np.linalg.eigh(fc)[1][..., -number]
    covariance = np.einsum("pr,prs->p", loadings, fc)  # with the sum of all series
    return loadings * np.where(covariance < 0, -1.0, 1.0)[:, None]


def _with_mean_signal(networks: Networks) -> Floats:
    return correlation(networks.series, networks.series.mean(axis=1, keepdims=True))


def _with_network_input(networks: Networks) -> Floats:
    return correlation(networks.series, networks.network_input)


# By name: words for pages, and a function that returns the feature, (people, regions).
FEATURES: Mapping[str, tuple[str, Callable[[Networks], Floats]]] = {
    "in_strength": ("sum of a region's connections", _in_strength),
    "centrality": ("eigenvector centrality", _centrality),
    "pca_1": ("first principal component", lambda networks: _component(networks, 1)),
    "pca_2": ("second principal component", lambda networks: _component(networks, 2)),
    "mean_signal_r": ("correlation with the mean signal", _with_mean_signal),
    "network_input_r": ("correlation with the network input", _with_network_input),
    "zero_crossings": ("zero-crossings", lambda people: zero_crossings(people.series)),
    "low_power": (
        "power below 0.1 Hz",
        lambda people: low_power(people.series, people.tr_seconds),
    ),
}


def features_of(networks: Networks) -> dict[str, Floats]:
    """Return every feature of `FEATURES` by name, (people, regions).

    Notes
    -----
    These are the features with which Sip et al. 2023 (doi 10.1126/sciadv.abq7547) compare regional
    parameters. The correlation with the network input is NaN for a region without connections.

    Examples
    --------
    >>> from bids_dtg.dynamics.networks import normalised, standardised
    >>> rng = np.random.default_rng(0)
    >>> series = standardised(rng.standard_normal((2, 3, 200)))
    >>> weights = normalised(rng.uniform(size=(2, 3, 3)))
    >>> networks = Networks(("a", "b"), ("x", "y", "z"), series, 0.72, weights=weights)
    >>> features = features_of(networks)
    >>> len(features), features["pca_1"].shape
    (8, (2, 3))
    """
    return {name: compute(networks) for name, (_, compute) in FEATURES.items()}


def regress(feature: Floats, theta: Floats) -> tuple[int, float, Floats, Floats]:
    """Regress a feature on regional parameters, over all pairs of a person and a region.

    The method is ordinary least squares on the z-scored feature, with an intercept.

    Parameters
    ----------
    feature
        (people, regions); or (regions,), a map that is the same for everybody.
    theta
        (people, regions, parameters), posterior means.

    Returns
    -------
    pairs
        Number of pairs, without those that have a value that is not finite.
    adjusted_r2
        Adjusted R² of the regression.
    weights
        (parameters,), in standard deviations of the feature.
    p
        (parameters,), two-sided p of the weights (Student's t).

    Notes
    -----
    This is table 2 of Sip et al. 2023 (doi 10.1126/sciadv.abq7547). Its p is too small, because the
    regions of a person are not independent, nor are the people in a region (see `regress_regions`).

    Examples
    --------
    >>> theta = np.random.default_rng(0).standard_normal((4, 30, 2))
    >>> feature = 2 * theta[..., 0] + 1
    >>> pairs, adjusted_r2, weights, _ = regress(feature, theta)
    >>> pairs, round(adjusted_r2, 3), (weights * feature.std()).round(3)
    (120, 1.0, array([2., 0.]))
    """
    from scipy.stats import t

    y = np.broadcast_to(feature, theta.shape[:2]).ravel()
    x = theta.reshape(-1, theta.shape[-1])
    finite = np.isfinite(x).all(axis=1) & np.isfinite(y)
    x, y = x[finite].astype(np.float64), y[finite].astype(np.float64)
    centred, z = x - x.mean(axis=0), (y - y.mean()) / (y.std() or np.nan)
    spread = np.linalg.pinv(centred.T @ centred)
    weights = spread @ (centred.T @ z)
    dof = len(x) - x.shape[1] - 1
    variance = np.square(z - centred @ weights).sum() / dof
    # A parameter that does not vary has no variance.
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * t.sf(np.abs(weights) / np.sqrt(variance * np.diag(spread)), dof)
    return len(x), float(_explained(x, y[None])[0]), weights, p


def regress_regions(
    feature: Floats, theta: Floats, surrogates: Floats
) -> tuple[int, float, float, Floats, Floats]:
    """Regress a feature on regional parameters over regions, with p from surrogate maps.

    Parameters
    ----------
    feature
        (people, regions), averaged over people; or (regions,). For a map that was mirrored from
        one hemisphere to the other, give the regions of one hemisphere (`unmirrored`).
    theta
        (people, regions, parameters), posterior means; their mean over people is used.
    surrogates
        (surrogates, regions), maps as smooth as the feature's and independent of theta.

    Returns
    -------
    tuple
        Number of regions, without those that have a value that is not finite; adjusted R², as in
        `regress`; its p, (1 + surrogates with at least this R²) / (1 + surrogates); the feature's
        correlation with each parameter alone, (parameters,); two-sided p of this correlation, NaN
        for a parameter that is the same everywhere.

    Notes
    -----
    Smooth maps are correlated by chance (Alexander-Bloch et al. 2018, NeuroImage 178: 540).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.standard_normal((5, 30, 2))
    >>> feature = theta[..., 0] + 0.1 * rng.standard_normal((5, 30))
    >>> maps = rng.standard_normal((99, 30))
    >>> count, adjusted_r2, p, r, p_of_r = regress_regions(feature, theta, maps)
    >>> count, p, float(p_of_r[0])
    (30, 0.01, 0.01)
    """
    y = feature.mean(axis=0) if feature.ndim == 2 else feature
    x = np.asarray(theta.mean(axis=0), np.float64)
    finite = np.isfinite(x).all(axis=1) & np.isfinite(y)
    x = x[finite]
    maps = np.concatenate([y[None], surrogates])[:, finite].astype(np.float64)
    explained = _explained(x, maps)
    r = correlation(x.T, maps[:, None])
    varies = np.isfinite(r[0])
    p_of_r = np.full(len(varies), np.nan)
    p_of_r[varies] = _p(np.abs(r[:, varies]))
    return len(x), float(explained[0]), float(_p(explained)), r[0], p_of_r


def _p(statistics: Floats) -> Floats:
    """Return p from statistics (1 + surrogates, ...); the first one is the map's.

    It is never 0, because the map itself could have been drawn (Phipson & Smyth 2010, Stat. Appl.
    Genet. Mol. Biol. 9: 39).
    """
    reached = statistics >= statistics[0] - _ROUNDING * np.abs(statistics[0])
    return np.asarray(reached.mean(axis=0))


def _explained(x: Floats, maps: Floats) -> Floats:
    """Return the adjusted R² of each of `maps` (maps, items) by x, (items, parameters)."""
    centred = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    means = maps.mean(axis=1, dtype=np.float64, keepdims=True)
    values = maps.astype(np.float64) - means
    spread = values.std(axis=1, keepdims=True)
    z = (values / np.where(spread > 0, spread, np.nan)).T
    coefficients, _, rank, _ = np.linalg.lstsq(centred, z, rcond=None)
    unexplained = np.square(z - centred @ coefficients).mean(axis=0)
    return 1.0 - unexplained * (len(x) - 1) / (len(x) - int(rank) - 1)


def unmirrored(feature: Floats, pairs: Pairs) -> Indices:
    """Return the regions whose values in a map are not copies from the other hemisphere.

    Parameters
    ----------
    feature
        Values of a map, (regions,).
    pairs
        Pairs of homologous regions, from `sides.homotopic_pairs`.

    Returns
    -------
    numpy.ndarray
        Numbers of all regions; if the map is the same in both hemispheres, without the second
        region of each pair.

    Examples
    --------
    >>> unmirrored(np.array([1.0, 2.0, 1.0, 2.0]), [(0, 2), (1, 3)])
    array([0, 1])
    >>> unmirrored(np.array([1.0, 2.0, 1.0, 3.0]), [(0, 2), (1, 3)])
    array([0, 1, 2, 3])
    """
    first, second = np.asarray(pairs, np.intp).reshape(-1, 2).T
    apart = np.abs(feature[first] - feature[second])
    if len(pairs) and (apart <= _SAME * np.ptp(feature)).all():
        return np.setdiff1d(np.arange(len(feature)), second)
    return np.arange(len(feature))


def surrogates_of(
    values: Floats, positions: Floats, pairs: Pairs, number: int, seed: int
) -> Floats:
    """Return random maps with the spatial autocorrelation of a map.

    The map is expanded in eigenvectors of the centred matrix of inverse distances, from patterns
    over the whole brain to differences between neighbours. Each surrogate flips the signs of the
    coefficients at random, which leaves mean, variance and Moran's I exactly the same.

    With pairs, each hemisphere has surrogates of its own values. Homologous regions share their
    distances (the mean of both sides) and the flipped signs, which leaves the correlation between
    the hemispheres the same, too.

    Parameters
    ----------
    values
        (regions,), values of a map in any unit.
    positions
        (regions, 3), mm; no two are the same.
    pairs
        Numbers of homologous regions, left and right. Every region is in one pair; without pairs,
        all regions are in one hemisphere.
    number, seed
        Number of surrogates, and the seed from which they are drawn.

    Returns
    -------
    numpy.ndarray
        (number, regions), float64.

    Notes
    -----
    Moran spectral randomisation, "singleton": Wagner & Dray 2015, Methods Ecol. Evol. 6: 1169.
    Inverse distances as weights follow BrainSpace (Vos de Wael et al. 2020, Commun. Biol. 3: 103).

    Examples
    --------
    >>> places = np.arange(18.0).reshape(6, 3)
    >>> surrogates = surrogates_of(np.arange(6.0) ** 2, places, [], number=3, seed=0)
    >>> surrogates.shape, surrogates.mean(axis=1).round(3)
    ((3, 6), array([9.167, 9.167, 9.167]))
    """
    from scipy.linalg import eigh, helmert

    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    sides = np.asarray(pairs).T if len(pairs) else np.arange(len(values))[None]
    shared = np.mean([distances[np.ix_(side, side)] for side in sides], axis=0)
    identity = np.eye(len(shared))
    # Patterns are computed within a basis of maps with mean 0, so none mixes with the constant map.
    without_mean = helmert(len(shared))
    weights = 1.0 / (shared + identity) - identity
    patterns = eigh(without_mean @ weights @ without_mean.T)[1].T @ without_mean
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (number, len(patterns)))
    surrogates = np.empty((number, len(values)))
    for side in sides:
        side_values = np.asarray(values[side], np.float64)
        flipped = signs * (patterns @ side_values)
        surrogates[:, side] = side_values.mean() + flipped @ patterns
    return surrogates
