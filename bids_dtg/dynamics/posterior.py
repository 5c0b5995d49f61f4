"""Posteriors of few parameters from simulations: approximate Bayesian computation.

Statistics are first reduced to one number a parameter, its regression on them (Fearnhead and
Prangle, 2012, J. R. Stat. Soc. B 74: 419). The simulations that are closest in these numbers are
kept, and corrected by a local linear regression (Beaumont et al., 2002, Genetics 162: 2025), on
normal scores of the prior's range. Spreads are then scaled so that intervals hold as many of the
simulations' own parameters as they say (Rodrigues et al., 2018, Comput. Stat. Data Anal. 126: 53).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]

DRAWS = 400  # of a posterior
LEVEL = 0.9  # of intervals
_CLOSEST = 0.2  # share of simulations that are kept
_FEWEST = 60  # of these
_RIDGE = 1e-3  # of the variance of statistics
_EDGE = 1e-4  # of the prior's range: normal scores are finite
_USUAL = (0.5, 99.5)  # percentiles of simulations between which a statistic is usual
_BEYOND = 99.0  # percentile of simulations' distances to the next one: further is beyond them
_NEAR = 5  # simulations that stand for a session beyond them


@dataclass(frozen=True, eq=False)
class Posterior:
    """What is believed of a person's parameters."""

    unit: Array  # (draws, parameters), shares of the prior's ranges, 0 to 1
    unusual: NDArray[np.bool_]  # (statistics,), beyond those of nearly all simulations
    # Whether the session is unlike all simulated ones: the parameters are then those of the closest
    # simulations, and nothing holds of their intervals.
    beyond: bool


@dataclass(frozen=True, eq=False)
class SimulatedStatistics:
    """Statistics of simulations by parameters that were drawn from the prior.

    Raises
    ------
    ValueError
        Shapes do not belong together, or there are fewer than 60 simulations.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> unit = rng.random((400, 1))
    >>> seen = unit + 0.05 * rng.standard_normal((400, 1))
    >>> found = SimulatedStatistics(unit, seen).posterior(np.array([0.3]), rng)
    >>> found.unit.mean().round(1), found.unit.std().round(2)
    (np.float64(0.3), np.float64(0.05))
    """

    unit: Array  # (simulations, parameters), shares of the prior's ranges
    statistics: Array  # (simulations, statistics)

    def __post_init__(self) -> None:
        if len(self.unit) != len(self.statistics) or len(self.unit) <= _FEWEST:
            raise ValueError(
                f"parameters and statistics are of the same {_FEWEST} or more simulations, found "
                f"{self.unit.shape} and {self.statistics.shape}"
            )

    @cached_property
    def _sorted(self) -> Array:
        return np.sort(self.statistics, axis=0)

    @cached_property
    def _scores(self) -> Array:
        """(simulations, parameters), normal scores of parameters."""
        found: Array = ndtri(np.clip(self.unit, _EDGE, 1.0 - _EDGE))
        return found

    def _normal(self, statistics: Array) -> Array:
        """Return normal scores of statistics (sessions, statistics) among the simulations'."""
        shares = (np.arange(len(self._sorted)) + 0.5) / len(self._sorted)
        columns = [
            ndtri(np.interp(own, known, shares))
            for own, known in zip(statistics.T, self._sorted.T, strict=True)
        ]
        return np.stack(columns, axis=1)

    def _design(self, statistics: Array) -> Array:
        """Return what parameters are regressed on: 1, normal scores, their products and squares."""
        z = self._normal(statistics)
        rows, columns = np.triu_indices(z.shape[1])
        return np.concatenate([np.ones((len(z), 1)), z, z[:, rows] * z[:, columns]], axis=1)

    @cached_property
    def _ridge(self) -> tuple[Array, Array]:
        """Return coefficients, and (simulations, parameters) of regressions without each one.

        What a simulation's own noise adds to its prediction would make posteriors too narrow.
        """
        design = self._design(self.statistics)
        penalty = _RIDGE * len(design) * np.eye(design.shape[1])
        penalty[0, 0] = 0.0
        inverse = np.linalg.inv(design.T @ design + penalty)
        coefficients = inverse @ (design.T @ self._scores)
        own = np.einsum("ij,jk,ik->i", design, inverse, design)[:, None]
        return coefficients, (design @ coefficients - own * self._scores) / (1.0 - own)

    @cached_property
    def _sd(self) -> Array:
        sd = self.statistics.std(axis=0)
        return np.where(sd > 0, sd, 1.0)

    def _distances(self, statistics: Array) -> Array:
        """(simulations,), from one session's statistics, in standard deviations."""
        found: Array = np.linalg.norm((self.statistics - statistics) / self._sd, axis=1)
        return found

    @cached_property
    def _reach(self) -> float:
        """Distance to the next simulation that nearly all simulations are within."""
        nearest = [np.partition(self._distances(row), 1)[1] for row in self.statistics]
        return float(np.percentile(nearest, _BEYOND))

    def posterior(self, observed: Array, rng: np.random.Generator, draws: int = DRAWS) -> Posterior:
        """Return the posterior of a session's parameters.

        Parameters
        ----------
        observed
            (statistics,), of the session.
        rng
            Draws of the posterior.
        draws
            How many.
        """
        least, most = np.percentile(self.statistics, _USUAL, axis=0)
        distances = self._distances(observed)
        beyond = bool(distances.min() > self._reach)
        seen = observed
        if beyond:
            seen = self.statistics[np.argsort(distances, kind="stable")[:_NEAR]].mean(axis=0)
        reduced = (self._design(seen[None]) @ self._ridge[0])[0]
        scores, weights = self._corrected(reduced)
        mean = weights @ scores
        drawn = scores[rng.choice(len(scores), draws, p=weights)]
        unit = ndtr(mean + self._spread * (drawn - mean))
        return Posterior(unit, (observed < least) | (observed > most), beyond)

    def _corrected(self, reduced: Array, without: int | None = None) -> tuple[Array, Array]:
        """Return scores of the closest simulations, corrected, and their weights.

        Parameters
        ----------
        reduced
            (parameters,), the regression's predictions of a session.
        without
            Number of a simulation that is left out.
        """
        away = self._ridge[1] - reduced
        distance = np.linalg.norm(away / self._ridge[1].std(axis=0), axis=1)
        if without is not None:
            distance[without] = np.inf
        number = max(_FEWEST, round(_CLOSEST * len(distance)))
        chosen = np.argsort(distance, kind="stable")[:number]
        weights = 1.0 - np.square(distance[chosen] / distance[chosen[-1]])
        design = np.column_stack([np.ones(number), away[chosen]])
        weighted = design * weights[:, None]
        slopes = np.linalg.lstsq(weighted.T @ design, weighted.T @ self._scores[chosen], rcond=None)
        corrected = self._scores[chosen] - away[chosen] @ slopes[0][1:]
        return corrected, weights / weights.sum()

    @cached_property
    def _spread(self) -> Array:
        """(parameters,), by which spreads are scaled so that intervals hold what they say."""
        ratios = np.empty_like(self.unit)
        tail = (1.0 - LEVEL) / 2
        for row, reduced in enumerate(self._ridge[1]):
            scores, weights = self._corrected(reduced, row)
            mean, away = weights @ scores, self._scores[row] - weights @ scores
            low, high = (
                np.array([_quantile(own, weights, level) for own in scores.T])
                for level in (tail, 1.0 - tail)
            )
            ratios[row] = away / np.where(away > 0, high - mean, low - mean)
        found: Array = np.quantile(ratios, LEVEL, axis=0)
        return found


def _quantile(values: Array, weights: Array, level: float) -> float:
    order = np.argsort(values)
    return float(np.interp(level, np.cumsum(weights[order]) - weights[order] / 2, values[order]))
