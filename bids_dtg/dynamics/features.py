"""Regional features of people, and how much of them the regional parameters explain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.measures import (
    connectivity,
    low_power,
    zero_crossings,
)
from bids_dtg.dynamics.networks import Networks
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.spatial_nulls import is_mirrored, null_p

Values = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Feature:
    """A measure of each region of each person."""

    name: str  # of a column
    words: str  # description for pages
    of: Callable[[Networks], Values]  # (people, regions)


def _in_strength(networks: Networks) -> Values:
    strength: Values = networks.weights.sum(axis=2)
    return strength


def _centrality(networks: Networks) -> Values:
    """Return the eigenvector of the weights that has no negative entry, of length 1."""
    eigenvalues, vectors = np.linalg.eig(networks.weights.astype(np.float64))
    largest = eigenvalues.real.argmax(axis=1)
    centrality: Values = np.abs(np.take_along_axis(vectors, largest[:, None, None], axis=2).real)
    return centrality[..., 0]


def _component(networks: Networks, number: int) -> Values:
    """Return a principal component's map; its time course follows the mean signal."""
    fc = connectivity(networks.series)
    loadings = np.linalg.eigh(fc)[1][..., -number]
    covariance = np.einsum("pr,prs->p", loadings, fc)  # with the sum over regions
    return loadings * np.where(covariance < 0, -1.0, 1.0)[:, None]


def _with_mean_signal(networks: Networks) -> Values:
    return correlation(networks.series, networks.series.mean(axis=1, keepdims=True))


def _with_network_input(networks: Networks) -> Values:
    return correlation(networks.series, networks.network_input)


FEATURES = (
    Feature("in_strength", "sum of a region's connections", _in_strength),
    Feature("centrality", "eigenvector centrality", _centrality),
    Feature("pca_1", "first principal component", lambda networks: _component(networks, 1)),
    Feature("pca_2", "second principal component", lambda networks: _component(networks, 2)),
    Feature("mean_signal_r", "correlation with the mean signal", _with_mean_signal),
    Feature("network_input_r", "correlation with the network input", _with_network_input),
    Feature("zero_crossings", "zero-crossings", lambda people: zero_crossings(people.series)),
    Feature(
        "low_power",
        "power below 0.1 Hz",
        lambda people: low_power(people.series, people.tr_seconds),
    ),
)


def features_of(networks: Networks) -> dict[str, Values]:
    """Return every feature of `FEATURES` by name, (people, regions).

    Notes
    -----
    The features with which Sip et al. 2023 (doi 10.1126/sciadv.abq7547) compare regional
    parameters. A region without connections has no correlation with its network input: NaN.

    Examples
    --------
    >>> from bids_dtg.dynamics.networks import normalised, standardised
    >>> rng = np.random.default_rng(0)
    >>> series = standardised(rng.standard_normal((2, 3, 200)))
    >>> weights = normalised(rng.uniform(size=(2, 3, 3)))
    >>> found = features_of(Networks(("a", "b"), ("x", "y", "z"), series, 0.72, weights=weights))
    >>> len(found), found["pca_1"].shape
    (8, (2, 3))
    """
    return {feature.name: feature.of(networks) for feature in FEATURES}


@dataclass(frozen=True, eq=False)
class Regression:
    """A feature explained by the regional parameters over all people and regions, as published.

    A person's regions and a region's people are not independent, and a map that is the same for
    everybody has one value for each region: the p values are too small (see `RegionalFit`).
    """

    over: ClassVar[str] = "people and regions, as if independent (as published)"  # for pages

    count: int  # of pairs of a person and a region
    adjusted_r2: float
    coefficients: Values  # (parameters,), standard deviations of the feature a unit of theta
    p: Values  # (parameters,), two-sided, of each coefficient


def regress(features: Mapping[str, Values], theta: Values) -> dict[str, Regression]:
    """Explain features by regional parameters over all pairs of a person and a region.

    Parameters
    ----------
    features
        By name, (people, regions); or (regions,), a map that is the same for everybody.
    theta
        (people, regions, parameters), posterior means.

    Returns
    -------
    dict
        By name: ordinary least squares with an intercept, of the feature z-scored over all
        pairs. Pairs of which a value is not finite are left out.

    Raises
    ------
    ValueError
        If a feature has another shape, or fewer pairs than parameters and two more are left.

    Notes
    -----
    Sip et al. 2023 (doi 10.1126/sciadv.abq7547), table 2; p as if pairs were independent.

    Examples
    --------
    >>> theta = np.random.default_rng(0).standard_normal((4, 30, 2))
    >>> found = regress({"feature": 2 * theta[..., 0] + 1}, theta)["feature"]
    >>> found.count, round(found.adjusted_r2, 3), found.coefficients.round(1)
    (120, 1.0, array([1., 0.]))
    """
    return {name: _regress(name, values, theta) for name, values in features.items()}


def _regress(name: str, feature: Values, theta: Values) -> Regression:
    from scipy.special import stdtr

    if feature.shape not in (theta.shape[:2], theta.shape[1:2]):
        raise ValueError(
            f"feature {name!r} is (people, regions) or (regions,) of {theta.shape[:2]}, found "
            f"{feature.shape}"
        )
    parameters = theta.shape[-1]
    y = np.broadcast_to(feature, theta.shape[:2]).ravel()
    fit = _Fit.of(name, theta.reshape(-1, parameters), y)
    # Of a fit without error, or a parameter that never varies, an error of 0 is no fault.
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = fit.count * (1 - fit.r2) / fit.free  # of residuals, z-scored units
        error = np.sqrt(variance * fit.inverse.diagonal())
        p = 2 * stdtr(fit.free, -np.abs(fit.coefficients) / error)
    return Regression(fit.count, fit.adjusted_r2, fit.coefficients, p)


@dataclass(frozen=True, eq=False)
class RegionalFit:
    """A feature explained by the regional parameters over regions: p from spatial nulls."""

    over: ClassVar[str] = "regions (means over people), p from spatial nulls"  # for a page

    count: int  # of regions
    adjusted_r2: float
    p: float  # of R², (1 + at least as large) / (1 + surrogates)
    coefficients: Values  # (parameters,), standard deviations of the feature a unit of theta
    r: Values  # (parameters,), the feature's correlation with each parameter alone
    p_r: Values  # (parameters,), of its absolute value, as above


def regress_regions(feature: Values, theta: Values, surrogates: Values) -> RegionalFit:
    """Explain a feature by regional parameters over regions.

    Parameters
    ----------
    feature
        (people, regions), averaged over people; or (regions,). For a map that was made by
        mirroring, give only one hemisphere's regions (`unmirrored`).
    theta
        (people, regions, parameters), posterior means; their mean over people is taken.
    surrogates
        (surrogates, regions), maps as smooth as the feature's and independent of theta.

    Returns
    -------
    RegionalFit
        Regions of which a value is not finite are left out.

    Raises
    ------
    ValueError
        If shapes do not match, or fewer regions than parameters and two more are left.

    Notes
    -----
    p over people × regions is not used: smooth maps are correlated by chance (Alexander-Bloch et
    al. 2018, NeuroImage 178: 540), and neighbours or people are not independent.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.standard_normal((5, 30, 2))
    >>> feature = theta[..., 0] + 0.1 * rng.standard_normal((5, 30))
    >>> found = regress_regions(feature, theta, rng.standard_normal((99, 30)))
    >>> found.count, found.p, float(found.p_r[0])
    (30, 0.01, 0.01)
    """
    regions = theta.shape[1]
    if feature.shape not in (theta.shape[:2], (regions,)) or surrogates.shape[1:] != (regions,):
        raise ValueError(
            f"a feature and its surrogates are of the {regions} regions of theta, found "
            f"{feature.shape} and {surrogates.shape}"
        )
    group = feature.mean(axis=0) if feature.ndim == 2 else feature
    x = np.asarray(theta.mean(axis=0), np.float64)
    fit = _Fit.of("of regions", x, group)
    nulls = surrogates[:, fit.known].astype(np.float64)
    own = correlation(x[fit.known].T, group[fit.known].astype(np.float64))
    chance = correlation(x[fit.known].T, nulls[:, None])
    return RegionalFit(
        count=fit.count,
        adjusted_r2=fit.adjusted_r2,
        p=float(null_p(fit.r2, fit.explained(nulls), "greater")),
        coefficients=fit.coefficients,
        r=own,
        p_r=_p_of_known(own, chance),
    )


def _p_of_known(own: Values, chance: Values) -> Values:
    """Return p of correlations, (parameters,); NaN of a parameter that is the same everywhere."""
    known = np.isfinite(own)
    p = np.full(own.shape, np.nan)
    p[known] = null_p(own[known], chance[:, known])
    return p


def unmirrored(feature: Values, pairs: Sequence[tuple[int, int]]) -> NDArray[np.intp]:
    """Return the regions with independent values of a map.

    Parameters
    ----------
    feature
        Values of a map, (regions,).
    pairs
        Pairs of homologous regions, from `sides.homotopic_pairs`.

    Returns
    -------
    numpy.ndarray
        All regions; or, of a map that `is_mirrored`, all but the second of each pair.

    Examples
    --------
    >>> unmirrored(np.array([1.0, 2.0, 1.0, 2.0]), [(0, 2), (1, 3)])
    array([0, 1])
    >>> unmirrored(np.array([1.0, 2.0, 1.0, 3.0]), [(0, 2), (1, 3)])
    array([0, 1, 2, 3])
    """
    every = np.arange(len(feature))
    if not is_mirrored(feature, pairs):
        return every
    return np.setdiff1d(every, [second for _, second in pairs])


@dataclass(frozen=True, eq=False)
class _Fit:
    """Least squares of a z-scored feature by parameters and an intercept."""

    known: NDArray[np.bool_]  # (items,), whether all values are finite
    coefficients: Values  # (parameters,)
    r2: float
    inverse: Values  # (parameters, parameters), inverse of the parameters' sums of products
    basis: Values  # (known items, rank), orthonormal, of the centred parameters

    @classmethod
    def of(cls, name: str, x: Values, y: Values) -> _Fit:
        known = np.isfinite(x).all(axis=1) & np.isfinite(y)
        parameters = x.shape[1]
        if known.sum() < parameters + 2:
            raise ValueError(
                f"feature {name!r} has {known.sum()} values, and {parameters} parameters need "
                f"{parameters + 2}"
            )
        centred = x[known].astype(np.float64)
        centred -= centred.mean(axis=0)
        vectors, lengths, _ = np.linalg.svd(centred, full_matrices=False)
        basis = vectors[:, lengths > len(centred) * np.finfo(np.float64).eps * lengths[0]]
        inverse = np.linalg.pinv(centred.T @ centred)
        z = _z_scored(y[known].astype(np.float64))
        r2 = float(((basis.T @ z) ** 2).sum() / len(z))
        return cls(known, inverse @ (centred.T @ z), min(r2, 1.0), inverse, basis)

    @property
    def count(self) -> int:
        return len(self.basis)

    @property
    def free(self) -> int:
        """Residual degrees of freedom."""
        return int(self.count - self.basis.shape[1] - 1)

    @property
    def adjusted_r2(self) -> float:
        return 1.0 - (1.0 - self.r2) * (self.count - 1) / self.free

    def explained(self, maps: Values) -> Values:
        """Return R² of maps (maps, known items)."""
        explained: Values = ((_z_scored(maps) @ self.basis) ** 2).sum(axis=1) / self.count
        return explained


def _z_scored(values: Values) -> Values:
    centred = values - values.mean(axis=-1, keepdims=True)
    spread = centred.std(axis=-1, keepdims=True)
    z: Values = centred / np.where(spread > 0, spread, np.nan)
    return z
