"""Recovery of known parameters from the model's posteriors, by a regression over other people.

The scale, sign and order of the model's parameters are arbitrary. A known parameter is therefore
regressed on the posterior means of other people, and the regression projects a person's posteriors
(Sip et al., 2023, doi 10.1126/sciadv.abq7547).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bids_dtg.array_types import Float64, Values
from bids_dtg.stats.correlation import correlation

_Z_90 = 1.6449  # half-width of the middle 90 % of a Gaussian, in standard deviations


@dataclass(frozen=True, eq=False)
class Recovered:
    """Values of a parameter, each recovered by a regression over all other people."""

    truth: Float64  # (points,)
    value: Float64  # (points,)
    sd: Float64  # (points,), of the projected posterior

    @property
    def rho(self) -> float:
        """Spearman's rho between truth and value; 0 where one is constant."""
        return spearman(self.truth, self.value)

    @property
    def coverage(self) -> float:
        """Share of the true values within their 90 % intervals."""
        return float((np.abs(self.truth - self.value) <= _Z_90 * self.sd).mean())

    @property
    def interval(self) -> Float64:
        """(2, points), the ends of the 90 % intervals, from `sd`."""
        return self.value + _Z_90 * np.array([[-1.0], [1.0]]) * self.sd


def recover(
    truth: ArrayLike,
    mean: ArrayLike,
    sd: ArrayLike,
    people: Sequence[Any] | Values,
) -> Recovered:
    """Recover each person's values of a parameter by a regression over the others.

    Parameters
    ----------
    truth
        The known values, (points,), where a point is a region of a person, or a person.
    mean, sd
        Means and sds of the posteriors, independent Gaussians, (points, parameters).
    people
        Person of each point, (points,); 2 people or more.

    Examples
    --------
    >>> mean = np.random.default_rng(0).standard_normal((40, 2))
    >>> recovered = recover(5 - 3 * mean[:, 1], mean, np.full((40, 2), 0.1), people=[0, 1] * 20)
    >>> np.allclose(recovered.value, 5 - 3 * mean[:, 1]), recovered.sd[:2].round(2)
    (True, array([0.3, 0.3]))
    """
    values = np.asarray(truth, np.float64)
    means = np.asarray(mean, np.float64)
    sds = np.asarray(sd, np.float64)
    person_of = np.asarray(people)  # (points,)
    design = np.column_stack([np.ones(len(means)), means])
    value = np.empty_like(values)
    projected = np.empty_like(values)
    for person in np.unique(person_of):
        is_person = person_of == person
        training = ~is_person
        line = np.linalg.lstsq(design[training], values[training], rcond=None)[0]
        value[is_person] = design[is_person] @ line
        variances = np.square(sds[is_person]) @ np.square(line[1:])
        projected[is_person] = np.sqrt(variances)
    return Recovered(values, value, projected)


def spearman(first: Float64, second: Float64) -> float:
    """Return Spearman's rho of two arrays, (points,); 0 where one is constant."""
    from scipy.stats import rankdata

    return float(np.nan_to_num(correlation(rankdata(first), rankdata(second))))
