"""Connectomes at the same covariates: what age, motion or site explain of edges is taken out.

A covariate that changes both edges and responses lets edges predict responses that they do not
cause. The linear part of each edge on the covariates is estimated in training people, kept with
the model and taken out of everybody's connectomes (Frisch & Waugh 1933, doi:10.2307/1907330): the
regression of responses on what is left is that at fixed covariates. That regression needs the
covariates as well, to take them out of responses. Causes that nobody measured stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_ROUNDING = 1e-9  # of the largest singular value: smaller ones are of columns that depend
_LEVEL = "="  # between the name of a column of words and one of its levels


@dataclass(frozen=True, eq=False)
class Covariates:
    """Columns of a table of participants, of the same people in the same order."""

    number_names: tuple[str, ...] = ()  # of columns with numbers, as age
    numbers: Array | None = None  # (people, columns); NaN: not known
    category_names: tuple[str, ...] = ()  # of columns with words, as site
    categories: NDArray[np.str_] | None = None  # (people, columns); "": not known

    def columns(self, names: Sequence[str]) -> Array:
        """Return columns of numbers by name, (people, names); NaN: not known.

        A level of a column of words is 1 or 0: ``site=north``. A level that none of `names` lists
        is not known.
        """
        found = []
        for name in names:
            column, _, level = name.partition(_LEVEL)
            if not level:
                assert self.numbers is not None
                found.append(self.numbers[:, self.number_names.index(column)])
                continue
            assert self.categories is not None
            own = self.categories[:, self.category_names.index(column)]
            levels = [each.partition(_LEVEL)[2] for each in names if each.startswith(f"{column}=")]
            found.append(np.where(np.isin(own, levels), (own == level).astype(float), np.nan))
        return np.stack(found, axis=1)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of columns of numbers: those of numbers, and a level of each column of words."""
        return (*self.number_names, *self._levels())

    def _levels(self) -> Iterator[str]:
        if self.categories is not None:
            for column, labels in zip(self.category_names, self.categories.T, strict=True):
                for level in sorted({*labels.tolist()} - {""}):
                    yield f"{column}{_LEVEL}{level}"


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
        >>> age = Covariates(("age",), np.array([[20.0], [40.0], [60.0]]))
        >>> edges = np.array([[0.1], [0.2], [0.3]])
        >>> Adjustment.fit(edges, age).apply(edges, age).round(6).tolist()
        [[0.2], [0.2], [0.2]]
        """
        names = covariates.names
        columns = covariates.columns(names)
        known = np.isfinite(columns)
        mean = np.where(known, columns, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        centred = np.where(known, columns - mean, 0.0)
        sd = centred.std(axis=0)
        scaled = centred / np.where(sd > 0, sd, np.inf)  # columns of any unit weigh alike
        edges = np.asarray(connectomes, np.float64)
        slopes = np.linalg.pinv(scaled, rcond=_ROUNDING) @ (edges - edges.mean(axis=0))
        return cls(names, mean, slopes / np.where(sd > 0, sd, np.inf)[:, None])

    def columns(self, covariates: Covariates) -> Array:
        """Return people's covariates (people, columns) less the mean; not known: 0."""
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
