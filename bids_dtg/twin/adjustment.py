"""Connectomes at the same covariates: what age, motion or site explain of edges is taken out.

A covariate that changes both edges and responses lets edges predict responses that they do not
cause. The linear part of each edge on the covariates is estimated in training people, kept with
the model and taken out of everybody's connectomes (Frisch & Waugh 1933, doi:10.2307/1907330): the
regression of responses on what is left is that at fixed covariates. That regression needs the
covariates as well, to take them out of responses. Causes that nobody measured stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Of a column's largest value: what varies by less is the same for all. Of the largest singular
# value: smaller ones are of columns that depend on others.
_ROUNDING = 1e-9
_LEVEL = "="  # between the name of a column of words and one of its levels


@dataclass(frozen=True, eq=False)
class Covariates:
    """Columns of a table of participants by name, (people,) each, of the same people.

    Numbers, as age, are NaN where they are not known; words, as site, are empty there.
    """

    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def of(self, rows: NDArray[np.integer]) -> Covariates:
        """Return those of some people, by row."""
        return Covariates({name: column[rows] for name, column in self.values.items()})

    def columns(self, names: Sequence[str]) -> Array:
        """Return columns of numbers by name, (people, names); NaN: not known.

        A level of a column of words is 1 or 0: ``site=north``. A level that none of `names` lists
        is not known.
        """
        found = []
        for name in names:
            column, _, level = name.partition(_LEVEL)
            own = self.values[column]
            if level:
                of = [each.partition(_LEVEL)[2] for each in names if each.startswith(f"{column}=")]
                own = np.where(np.isin(own, of), (own == level).astype(float), np.nan)
            found.append(own)
        return np.stack(found, axis=1)

    @property
    def number_names(self) -> tuple[str, ...]:
        """Names of columns with numbers."""
        return tuple(name for name, column in self.values.items() if column.dtype.kind != "U")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of columns of numbers: those of numbers, and a level of each column of words."""
        levels = (
            f"{name}{_LEVEL}{level}"
            for name, column in self.values.items()
            if name not in self.number_names
            for level in sorted({*column.tolist()} - {""})
        )
        return (*self.number_names, *levels)


def standardised(columns: Array) -> Array:
    """Return columns of people minus their mean, in standard deviations; of a constant 0.

    Parameters
    ----------
    columns
        (people, columns), finite.

    Examples
    --------
    >>> standardised(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    return np.asarray((columns - columns.mean(axis=0)) / _spread(columns))


def slopes_on(columns: Array, values: Array) -> Array:
    """Return what a unit of each column adds to values: least squares, with an intercept.

    Parameters
    ----------
    columns, values
        (people, columns), finite, and (people,) or (people, n). Where columns depend on each other,
        slopes of standardised columns have the least length.

    Returns
    -------
    numpy.ndarray
        (columns,) or (columns, n).

    Examples
    --------
    >>> slopes_on(np.array([[20.0], [40.0], [60.0]]), np.array([0.1, 0.2, 0.3])).round(6).tolist()
    [0.005]
    """
    slopes = np.linalg.pinv(standardised(columns), rcond=_ROUNDING) @ (values - values.mean(axis=0))
    return np.asarray((slopes.T / _spread(columns)).T)


def _spread(columns: Array) -> Array:
    spread = columns.std(axis=0)
    size = np.abs(columns).max(axis=0, initial=0.0)
    return np.where(spread > _ROUNDING * size, spread, np.inf)


@dataclass(frozen=True, eq=False)
class Adjustment:
    """The linear part of edges on covariates."""

    names: tuple[str, ...]  # of columns, as `Covariates.names` has them
    mean: Array  # (columns,): of training people
    slopes: Array  # (columns, edges): change of an edge per unit of a column

    @property
    def asked(self) -> tuple[str, ...]:
        """Names of columns of a table of participants, each once."""
        return tuple(dict.fromkeys(name.partition(_LEVEL)[0] for name in self.names))

    @classmethod
    def fit(cls, connectomes: NDArray[np.floating[Any]], covariates: Covariates) -> Adjustment:
        """Estimate the part by least squares, of the least length where columns depend.

        Parameters
        ----------
        connectomes
            (people, edges) of training people.
        covariates
            Of the same people; what is not known becomes the mean of the others.

        Examples
        --------
        >>> age = Covariates({"age": np.array([20.0, 40.0, 60.0])})
        >>> edges = np.array([[0.1], [0.2], [0.3]])
        >>> Adjustment.fit(edges, age).apply(edges, age).round(6).tolist()
        [[0.2], [0.2], [0.2]]
        """
        names = covariates.names
        columns = covariates.columns(names)
        known = np.isfinite(columns)
        mean = np.where(known, columns, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        filled = np.where(known, columns, mean)
        return cls(names, mean, slopes_on(filled, np.asarray(connectomes, np.float64)))

    def columns(self, covariates: Covariates) -> Array:
        """Return people's covariates (people, columns) minus the mean; not known: 0."""
        columns = covariates.columns(self.names)
        return np.where(np.isfinite(columns), columns - self.mean, 0.0)

    def apply(
        self, connectomes: NDArray[np.floating[Any]], covariates: Covariates
    ) -> NDArray[np.floating[Any]]:
        """Return connectomes (people, edges) as they are at the training people's mean covariates.

        People whose covariates are not known have the mean.
        """
        found = np.asarray(connectomes, np.float64) - self.columns(covariates) @ self.slopes
        return found.astype(np.asarray(connectomes).dtype)
