"""How well posteriors recover known parameters, and how often their intervals hold them.

The model's parameters have no scale, sign or order of their own. A known parameter is therefore
regressed on the posterior means, and posteriors are projected by that regression (Sip et al.,
2023, doi 10.1126/sciadv.abq7547).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata

from bids_dtg.stats.correlation import correlation

Array = NDArray[np.float64]

LEVEL = 0.9  # of the intervals
DRAWS = 100  # samples of the posteriors, as published


@dataclass(frozen=True)
class Recovery:
    """How well a parameter is recovered, over regions of all people or over people."""

    number: int  # of points
    rho: float  # Spearman's, truth against projected posterior samples; mean over samples
    rho_sd: float  # over samples
    rho_left_out: float  # as rho, each person projected by the slopes of the others' regression
    # Share of true values in the 90 % interval of the projected posterior alone, mean ± 1.645 sd.
    # What the regression leaves unexplained is not in it: it holds 90 % only where posterior means
    # explain the truth fully, up to the posteriors' own width.
    coverage: float
    # As coverage, each person projected by the regression of the others, and the variance enlarged
    # by what their squared residuals exceed the variance of their projected posteriors by.
    coverage_with_residual: float


@dataclass(frozen=True, eq=False)
class _Projection:
    """A linear regression of the truth on posterior means."""

    intercept: float
    slopes: Array  # (parameters,)

    @staticmethod
    def of(true: Array, mean: Array) -> _Projection:
        design = np.column_stack([np.ones(len(mean)), mean])
        intercept, *slopes = np.linalg.lstsq(design, true, rcond=None)[0]
        return _Projection(float(intercept), np.array(slopes))

    def value(self, means: Array) -> Array:
        """Project points, (..., parameters) to (...)."""
        return self.intercept + means @ self.slopes

    def variance(self, sd: Array) -> Array:
        """Project the variances of Gaussians without covariances."""
        variance: Array = sd**2 @ self.slopes**2
        return variance


def recover(
    true: ArrayLike,
    mean: ArrayLike,
    sd: ArrayLike,
    *,
    rng: np.random.Generator,
    people: Sequence[Any] | NDArray[Any] | None = None,
) -> Recovery:
    """Compare known values of one parameter with posteriors of the model's parameters.

    Parameters
    ----------
    true
        The known values, (points,): of regions of all people, of some of them, or of people.
    mean, sd
        Of the posteriors, Gaussians without covariances, (points, parameters).
    rng
        For samples of the posteriors.
    people
        Whose each point is, (points,): the regression is left out by person. None: each point is
        of another person.

    Raises
    ------
    ValueError
        Shapes do not belong together, values are not finite, or all points are of one person.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> mean, sd = rng.standard_normal((400, 2)), np.full((400, 2), 0.1)
    >>> true = 5 - 3 * (mean + sd * rng.standard_normal((400, 2)))[:, 1]
    >>> found = recover(true, mean, sd, rng=rng, people=np.repeat(range(8), 50))
    >>> round(found.rho, 2), round(found.coverage, 1), round(found.coverage_with_residual, 1)
    (0.99, 0.9, 0.9)
    """
    values, means, sds, whose = _checked(true, mean, sd, people)
    samples = means + sds * rng.standard_normal((DRAWS, *means.shape))
    projection = _Projection.of(values, means)
    rhos = _rhos(values, projection.value(samples))
    residual = np.abs(values - projection.value(means))
    left = left_out(values, means, sds, people=whose)
    return Recovery(
        number=len(values),
        rho=float(rhos.mean()),
        rho_sd=float(rhos.std()),
        # Without the intercept: it falls where the person left out has large values.
        rho_left_out=float(_rhos(values, np.einsum("spk,pk->sp", samples, left.slopes)).mean()),
        coverage=_share_within(residual, projection.variance(sds)),
        coverage_with_residual=_share_within(np.abs(values - left.value), left.wide_sd**2),
    )


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Points of a parameter, each projected by the regression of all people but its own."""

    value: Array  # (points,)
    sd: Array  # (points,), of the projected posterior alone
    wide_sd: Array  # (points,), enlarged by what the regression leaves unexplained
    slopes: Array  # (points, parameters), that each point was projected by


def left_out(
    true: ArrayLike,
    mean: ArrayLike,
    sd: ArrayLike,
    *,
    people: Sequence[Any] | NDArray[Any] | None = None,
) -> LeftOut:
    """Recover each person's values of a parameter by a regression of the others' alone.

    Parameters
    ----------
    true, mean, sd, people
        As `recover` takes them.

    Raises
    ------
    ValueError
        As `recover` raises it.

    Examples
    --------
    >>> mean = np.random.default_rng(0).standard_normal((40, 2))
    >>> found = left_out(5 - 3 * mean[:, 1], mean, np.full((40, 2), 0.1), people=[0, 1] * 20)
    >>> np.allclose(found.value, 5 - 3 * mean[:, 1]), found.sd[:2].round(2)
    (True, array([0.3, 0.3]))
    """
    values, means, sds, whose = _checked(true, mean, sd, people)
    value, own, wide = np.empty((3, len(values)))
    found = LeftOut(value, own, wide, np.empty(means.shape))
    for mine, others in _each_left_out(whose):
        projection = _Projection.of(values[others], means[others])
        residual = values[others] - projection.value(means[others])
        # Residuals of a regression are smaller than those of points that it was not fitted to.
        freedom = max(len(residual) - means.shape[1] - 1, 1)
        unexplained = (residual**2).sum() / freedom - projection.variance(sds[others]).mean()
        variance = projection.variance(sds[mine])
        found.value[mine] = projection.value(means[mine])
        found.sd[mine] = np.sqrt(variance)
        found.wide_sd[mine] = np.sqrt(variance + max(float(unexplained), 0.0))
        found.slopes[mine] = projection.slopes
    return found


def _each_left_out(whose: NDArray[Any]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    for person in np.unique(whose):
        mine = whose == person
        yield mine, ~mine


def _rhos(true: Array, samples: Array) -> Array:
    """Correlate the truth's ranks with each sample's, (samples, points); constant ones have 0."""
    rhos = correlation(rankdata(true), rankdata(samples, axis=1))
    return np.nan_to_num(np.asarray(rhos, np.float64))


def _share_within(residual: Array, variance: Array) -> float:
    half_width = norm.ppf((1 + LEVEL) / 2) * np.sqrt(variance)
    return float((residual <= half_width).mean())


def _checked(
    true: ArrayLike, mean: ArrayLike, sd: ArrayLike, people: Sequence[Any] | NDArray[Any] | None
) -> tuple[Array, Array, Array, NDArray[Any]]:
    values, means, sds = (np.asarray(each, np.float64) for each in (true, mean, sd))
    whose = np.arange(len(values)) if people is None else np.asarray(people)
    if values.ndim != 1 or means.shape != sds.shape or means.shape[:-1] != values.shape:
        raise ValueError(
            "true is (points,), mean and sd are (points, parameters), "
            f"found {values.shape}, {means.shape} and {sds.shape}"
        )
    if whose.shape != values.shape:
        raise ValueError(f"people is {values.shape}, found {whose.shape}")
    if not all(np.isfinite(each).all() for each in (values, means, sds)):
        raise ValueError("true, mean and sd must be finite: leave out points that are not")
    if len(np.unique(whose)) < 2:
        raise ValueError("the points are of one person: none can be left out")
    return values, means, sds, whose
