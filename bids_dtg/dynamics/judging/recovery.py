"""Known parameters, recovered from the model's posteriors by a regression over other people.

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

Array = NDArray[np.float64]


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


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Points of a parameter, each projected by a regression over all other people."""

    value: Array  # (points,)
    sd: Array  # (points,), of the projected posterior alone
    wide_sd: Array  # (points,), including the regression's residual variance
    slopes: Array  # (points, parameters), used for each point


def left_out(
    true: ArrayLike,
    mean: ArrayLike,
    sd: ArrayLike,
    *,
    people: Sequence[Any] | NDArray[Any] | None = None,
) -> LeftOut:
    """Recover each person's values of a parameter by a regression over the others.

    Parameters
    ----------
    true
        The known values, (points,): of regions of all people, of some of them, or of people.
    mean, sd
        Means and sds of the posteriors, Gaussians without covariances, (points, parameters).
    people
        Person of each point, (points,). None: each point is of another person.

    Raises
    ------
    ValueError
        Shapes do not belong together, values are not finite, or all points are of one person.

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
        # Residuals of a regression are smaller than those of points outside its fit.
        dof = max(len(residual) - means.shape[1] - 1, 1)
        unexplained = (residual**2).sum() / dof - projection.variance(sds[others]).mean()
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
