"""Adjustment of connectomes for covariates such as age, motion or site.

A covariate that affects both edges and responses is a confounder: edges then predict responses that
they do not cause. The linear effect of covariates on each edge is estimated in the training people,
stored with the model, and removed from everybody's connectomes. Regressing responses on the
residuals holds covariates fixed, provided that they are removed from the responses as well (Frisch
& Waugh 1933, doi:10.2307/1907330). Confounders that were not measured remain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bids_dtg.array_types import Float64, Floats, Integers, Values

# A column with an SD below this share of its largest value is constant; a singular value below this
# share of the largest one belongs to collinear columns.
_ROUNDING = 1e-9
_LEVEL = "="  # between the name of a categorical column and one of its levels


@dataclass(frozen=True, eq=False)
class Covariates:
    """Columns of the participants table by name, each (people,), for the same people.

    Unknown values are NaN in numerical columns (age) and empty in categorical ones (site).
    """

    values: Mapping[str, Values] = field(default_factory=dict)

    def of(self, rows: Integers) -> Covariates:
        """Return the covariates of some people, by row."""
        return Covariates({name: column[rows] for name, column in self.values.items()})

    def columns(self, names: Sequence[str]) -> Float64:
        """Return numerical columns by name, (people, names); NaN where unknown.

        A level of a categorical column, as ``site=north``, is coded 1 or 0. People with a level
        that `names` does not list are unknown.
        """
        levels: dict[str, list[str]] = {}
        for name in names:
            column, sign, level = name.partition(_LEVEL)
            if sign:
                levels.setdefault(column, []).append(level)
        columns = []
        for name in names:
            column, _, level = name.partition(_LEVEL)
            values = self.values[column]
            if level:
                is_listed = np.isin(values, levels[column])
                is_level = (values == level).astype(float)
                values = np.where(is_listed, is_level, np.nan)
            columns.append(values)
        return np.stack(columns, axis=1)

    @property
    def number_names(self) -> tuple[str, ...]:
        """Names of the numerical columns."""
        return tuple(
            name for name, column in self.values.items() if column.dtype.kind != "U"
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, categorical ones with a column for each level."""
        levels = (
            f"{name}{_LEVEL}{level}"
            for name, column in self.values.items()
            if name not in self.number_names
            for level in sorted({*column.tolist()} - {""})
        )
        return (*self.number_names, *levels)


def mean_of_known(columns: Float64) -> Float64:
    """Return the mean of the known values of each column; 0 where there are none."""
    is_known = np.isfinite(columns)
    total = np.where(is_known, columns, 0.0).sum(axis=0)
    return np.asarray(total / np.maximum(is_known.sum(axis=0), 1))


def slopes_on(columns: Float64, values: Float64) -> Float64:
    """Return the least-squares slopes of values on columns, with an intercept.

    Parameters
    ----------
    columns, values
        (people, columns), finite, and (people,) or (people, n). Collinear columns get the
        minimum-norm slopes of standardised columns.

    Returns
    -------
    numpy.ndarray
        (columns,) or (columns, n).

    Examples
    --------
    >>> slopes_on(np.array([[20.0], [40.0], [60.0]]), np.array([0.1, 0.2, 0.3])).round(6).tolist()
    [0.005]
    """
    spread, size = columns.std(axis=0), np.abs(columns).max(axis=0, initial=0.0)
    spread = np.where(spread > _ROUNDING * size, spread, np.inf)  # inf: constant
    standardised = (columns - columns.mean(axis=0)) / spread
    inverse = np.linalg.pinv(standardised, rcond=_ROUNDING)
    slopes = inverse @ (values - values.mean(axis=0))
    return np.asarray((slopes.T / spread).T)


@dataclass(frozen=True, eq=False)
class Adjustment:
    """The linear effect of covariates on edges."""

    names: tuple[str, ...]  # of columns, as `Covariates.names` has them
    mean: Float64  # (columns,): of training people
    slopes: Float64  # (columns, edges): change of an edge per unit of a column

    @property
    def asked(self) -> tuple[str, ...]:
        """Names of the columns of the participants table, each once."""
        return tuple(dict.fromkeys(name.partition(_LEVEL)[0] for name in self.names))

    @property
    def categories(self) -> frozenset[str]:
        """Names of the categorical columns of the participants table."""
        return frozenset(
            column
            for column, sign, _ in (name.partition(_LEVEL) for name in self.names)
            if sign
        )

    @classmethod
    def fit(cls, connectomes: Floats, covariates: Covariates) -> Adjustment:
        """Estimate the effect by least squares, with minimum norm where columns are collinear.

        Parameters
        ----------
        connectomes
            (people, edges) of training people.
        covariates
            Of the same people; unknown values are replaced by the mean of the others.

        Examples
        --------
        >>> age = Covariates({"age": np.array([20.0, 40.0, 60.0])})
        >>> edges = np.array([[0.1], [0.2], [0.3]])
        >>> Adjustment.fit(edges, age).apply(edges, age).round(6).tolist()
        [[0.2], [0.2], [0.2]]
        """
        names = covariates.names
        columns = covariates.columns(names)
        mean = mean_of_known(columns)
        filled = np.where(np.isfinite(columns), columns, mean)
        return cls(names, mean, slopes_on(filled, np.asarray(connectomes, np.float64)))

    def columns(self, covariates: Covariates) -> Float64:
        """Return covariates (people, columns) minus the training mean; 0 where unknown."""
        columns = covariates.columns(self.names)
        return np.where(np.isfinite(columns), columns - self.mean, 0.0)

    def apply(self, connectomes: Floats, covariates: Covariates) -> Floats:
        """Return connectomes (people, edges) adjusted to the training people's mean covariates.

        Unknown covariates are taken to equal the mean.
        """
        connectomes = np.asarray(connectomes)
        effect = self.columns(covariates) @ self.slopes
        return (connectomes.astype(np.float64) - effect).astype(connectomes.dtype)
