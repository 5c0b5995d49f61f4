"""What needs no network: ridge regression and covariance of edges with people's own figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.adjustment import slopes_on
from bids_dtg.twin.interventions.perturbations import Direction
from bids_dtg.twin.interventions.stability import FEWEST_FITTED, map_correlations
from bids_dtg.twin.judging.baselines import BASELINES, Known, Training, predict

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
_FEWEST = 3  # people with a figure


@dataclass(frozen=True, eq=False)
class LinearMap:
    """Maps of edges for one figure, of people whose figure was observed."""

    ridge: Array  # (edges,): weights, seconds a unit of Fisher z
    difference: (
        Direction  # by the covariance of edges with the figure; step size 1 raises it by 1 SD
    )

    @classmethod
    def of(
        cls, connectomes: Floats, figure: Array, covariates: Array | None = None
    ) -> LinearMap | None:
        """Fit both to people; None where too few have the figure, or it does not vary.

        Parameters
        ----------
        connectomes
            (people, edges), Fisher z: best the training participants of a twin.
        figure
            (people,), observed, seconds; a person with NaN is left out.
        covariates
            (people, columns), finite: what is linear in them is taken out of both. None: nothing.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> edges = rng.standard_normal((60, 5))
        >>> found = LinearMap.of(edges, edges[:, 0] + 1.0)
        >>> int(np.argmax(found.ridge)), int(np.argmax(found.difference.unit))
        (0, 0)
        """
        known = np.isfinite(figure)
        values, own = np.asarray(connectomes, np.float64)[known], np.asarray(figure)[known]
        if len(own) < _FEWEST or not np.ptp(own) > 0 or not np.ptp(values, axis=0).any():
            return None
        fixed = None if covariates is None else np.asarray(covariates)[known]
        values, own = _less(values, fixed), _less(own, fixed)
        people = Known(len(own), connectome=values, taken_out=fixed)
        row = next(row for row in BASELINES if row.name == "connectome_ridge")
        fitted = predict(row, Training(people, own[:, None], ("",)), people)[:, 0]
        centred = values - values.mean(axis=0)
        # The weights are a mixture of people's connectomes; these give the mixture.
        mixture = np.linalg.lstsq(centred @ centred.T, fitted - fitted.mean(), rcond=1e-10)[0]
        return cls(mixture @ centred, Direction.between(values, own))

    def predict(self, connectomes: Floats) -> Array:
        """Predict the figure from connectomes (people, edges), up to a constant."""
        return np.asarray(np.asarray(connectomes, np.float64) @ self.ridge)

    def ridge_direction(self, connectomes: Floats) -> Direction | None:
        """Return the direction that lowers what the ridge predicts; None where it does not vary.

        Parameters
        ----------
        connectomes
            (people, edges): the direction is a difference between these, as of `Direction.between`.
        """
        predicted = self.predict(connectomes)
        if not np.ptp(predicted) > 0:
            return None
        return Direction.between(connectomes, predicted).reversed


def _less(values: Array, fixed: Array | None) -> Array:
    """Return values of people less what is linear in columns (people, n)."""
    if fixed is None:
        return values
    centred = fixed - fixed.mean(axis=0)
    return np.asarray(values - centred @ slopes_on(fixed, values))


def halves_r(
    connectomes: Floats,
    figures: Array,
    *,
    covariates: Array | None = None,
    splits: int,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Correlate maps of two halves of people over edges, as those of twins are.

    Parameters
    ----------
    connectomes, figures, covariates
        Of people, (people, edges), (people, figures) and (people, columns), as of `LinearMap.of`.
    splits
        Number of random splits of the people into halves.
    seed
        Seed of the splits: the halves are those that twins are refitted to
        (`bids_dtg.twin.interventions.stability.refitted_twins`).

    Returns
    -------
    tuple of numpy.ndarray
        Of ridge weights and of covariance, (splits, figures) each; NaN where a half has no map.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> edges = rng.standard_normal((200, 5))
    >>> ridge, covariance = halves_r(edges, edges[:, :1], splits=3)
    >>> bool(ridge.min() > 0.9), covariance.shape
    (True, (3, 1))
    """
    people, number = figures.shape
    found = np.full((2, splits, number), np.nan)
    if people < FEWEST_FITTED:
        return found[0], found[1]
    rng = np.random.default_rng(seed)
    for split in range(splits):
        order = rng.permutation(people)
        halves = order[: people // 2], order[people // 2 :]
        for column in range(number):
            maps = [
                LinearMap.of(
                    connectomes[rows],
                    figures[rows, column],
                    None if covariates is None else covariates[rows],
                )
                for rows in halves
            ]
            pairs = [np.stack([own.ridge, own.difference.unit]) for own in maps if own is not None]
            if len(pairs) == len(halves):
                found[:, split, column] = map_correlations(*pairs)
    return found[0], found[1]
