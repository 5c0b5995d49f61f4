"""What needs no network: ridge regression and covariance of edges with people's own figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.adjustment import slopes_on
from bids_dtg.twin.interventions.perturbations import Direction
from bids_dtg.twin.judging.baselines import BASELINES, Known, Training, predict

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
_FEWEST = 3  # people with a figure


@dataclass(frozen=True, eq=False)
class LinearMap:
    """Maps of edges for one figure, of people whose figure was observed."""

    ridge: Array  # (edges,): weights, seconds a unit of Fisher z
    covariance: Array  # (edges,): of edges with the figure, of length 1

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
        >>> int(np.argmax(found.ridge)), int(np.argmax(found.covariance))
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
        fitted = predict(row, Training(people, own[:, None]), people)[:, 0]
        centred = values - values.mean(axis=0)
        # The weights are a mixture of people's connectomes; these give the mixture.
        mixture = np.linalg.lstsq(centred @ centred.T, fitted - fitted.mean(), rcond=1e-10)[0]
        return cls(mixture @ centred, Direction.between(values, own).unit)

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
