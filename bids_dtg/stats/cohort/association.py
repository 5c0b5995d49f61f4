"""Columns of a table of people, as regions or voxels, against a phenotype, given covariates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.cohort.exchangeability import Permutations, permutation_p
from bids_dtg.stats.paired import false_discovery_rate

Values = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]
# What is left of a column, as a share of its sum of squares, that counts as nothing: rounding of
# float32 leaves 4e-15.
_NOTHING = 1e-12
_SLAB_BYTES = 1 << 24  # larger ones are slower: they leave the processor's cache


@dataclass(frozen=True, eq=False)
class ColumnTests:
    """What was found of each column; NaN where it has gaps or nothing that covariates leave."""

    r: Floats  # (columns,) partial correlation with the phenotype
    t: Floats  # (columns,) Student's t of the phenotype in the linear model of the column
    p: Floats  # (columns,) two-sided, of t: as if people were independent
    p_permuted: Floats  # (columns,) two-sided, counted; NaN without permutations
    # (columns,) of the distribution fitted to the permuted r, which has no floor; without
    # permutations as p.
    p_fitted: Floats
    largest: Floats  # (permutations,) the largest |r| of any column
    dof: int  # of t


@dataclass(frozen=True, eq=False)
class CorrectedTests:
    """What is left when all columns of all tables count as tests."""

    q: Floats  # (columns,) false discovery rate, over `p_fitted`
    p_fwe: Floats  # (columns,) family-wise, by the largest |r|; NaN without permutations


@dataclass(frozen=True, eq=False)
class Association:
    """A phenotype that columns are tested against: one column at a time, all in the same way.

    Each column is the outcome of a linear model with the phenotype and the covariates. Its
    permutations are those of Freedman & Lane: what covariates leave of the column is permuted, and
    the whole model is fitted again. All columns share each permutation.
    """

    dof: int  # of t: people less the rank of the model
    _phenotype: Floats  # (people,) what covariates leave of it, of length 1
    _covariates: Floats  # (people, rank) an orthonormal basis, without the constant
    _permutations: Permutations | None

    @classmethod
    def of(
        cls, phenotype: Values, covariates: Values, permutations: Permutations | None
    ) -> Association:
        """Prepare the model.

        Parameters
        ----------
        phenotype
            (people,) without NaN: numbers, or 0 and 1 of two levels.
        covariates
            (people, covariates) without NaN, of any rank; a constant is added.
        permutations
            Of the same people in the same order; None: people are taken for independent, and only
            t is looked at.

        Raises
        ------
        ValueError
            Shapes do not agree, a value is not known, people are too few for the model, or
            covariates leave nothing of the phenotype.

        Notes
        -----
        Freedman & Lane 1983, J. Bus. Econ. Stat. 1: 292; Winkler et al. 2014, NeuroImage 92: 381,
        doi:10.1016/j.neuroimage.2014.01.060.

        Examples
        --------
        >>> from bids_dtg.stats.cohort.exchangeability import permutations
        >>> rng = np.random.default_rng(0)
        >>> age, noise = rng.normal(size=(2, 40))
        >>> orders = permutations(999, np.arange(40), seed=1)
        >>> association = Association.of(age, noise[:, None], orders)
        >>> columns = np.stack([age + noise + rng.normal(size=40), rng.normal(size=40)], axis=1)
        >>> found = association.test(columns)
        >>> association.dof, found.r.round(2), found.p_permuted.round(3)
        (37, array([ 0.71, -0.18]), array([0.001, 0.296]))
        """
        y, given = np.asarray(phenotype, np.float64), np.asarray(covariates, np.float64)
        people = len(y) if permutations is None else permutations.orders.shape[1]
        if y.shape != (people,) or given.ndim != 2 or len(given) != people:
            raise ValueError(
                f"a phenotype {y.shape} and covariates {given.shape}, expected ({people},) and "
                f"({people}, covariates) as permuted"
            )
        if not (np.isfinite(y).all() and np.isfinite(given).all()):
            raise ValueError("the phenotype or a covariate of a person is not known")
        basis = _basis(given)
        dof = people - basis.shape[1] - 2
        if dof < 1:
            raise ValueError(
                f"{people} people are too few for a model of {basis.shape[1] + 2} columns"
            )
        if not np.ptp(y):
            raise ValueError("it is the same for all")
        # Of any size, and far from 0 beside how they differ: large dates, very small doses.
        scaled = y / np.abs(y).max()
        left, length = _left((scaled - scaled.mean())[:, None] / np.ptp(scaled), basis)
        if np.isnan(length[0]):
            raise ValueError("covariates leave nothing of the phenotype")
        return cls(dof, left[:, 0], basis, permutations)

    def test(
        self,
        values: Values,
        *,
        rows: NDArray[np.integer[Any]] | None = None,
        slab_bytes: int = _SLAB_BYTES,
    ) -> ColumnTests:
        """Test columns, a block of them at a time.

        Parameters
        ----------
        values
            (people, columns); memory-mapped, if large. A column of which someone's value is NaN is
            not tested.
        rows
            Positions of the phenotype's people in `values`, where these are of more people.
        slab_bytes
            Memory for a block, of which there are about four.

        Raises
        ------
        ValueError
            Values are of other people than the phenotype.

        Notes
        -----
        `p_fitted`: the permuted r² of a column is taken for a Beta variable (1/2, f/2), as it is
        of independent people with f the degrees of freedom, and f follows from its mean. Where
        relatives are alike, their blocks make r² vary more, and f is smaller; it is never
        larger than that of t, which few permutations might say. It replaces the tail
        of the count as gamma variables do in Winkler et al. 2016, NeuroImage 141: 502,
        doi:10.1016/j.neuroimage.2016.05.068; it is never below one over the possible permutations.
        """
        people = len(self._phenotype)
        number = len(values) if rows is None else len(rows)
        if values.ndim != 2 or number != people:
            raise ValueError(f"values {values.shape}, expected ({people}, columns)")
        columns = values.shape[1]
        r, as_large, squares = (np.full(columns, np.nan) for _ in range(3))
        largest = np.zeros(0 if self._permutations is None else len(self._permutations.orders))
        step = max(1, slab_bytes // (8 * people))
        for start in range(0, columns, step):
            block = slice(start, start + step)
            own = values[:, block] if rows is None else values[rows, block]
            left, _ = _left(np.asarray(own, np.float64), self._covariates)
            r[block] = self._phenotype @ left
            if self._permutations is not None:
                found = self._permuted(left, r[block], self._permutations, largest, slab_bytes)
                as_large[block], squares[block] = found
        return self._results(r, as_large, squares, largest)

    def _permuted(
        self, left: Floats, r: Floats, drawn: Permutations, largest: Floats, slab_bytes: int
    ) -> tuple[Floats, Floats]:
        """Count permuted |r| as large as the found, and average their squares; note the largest."""
        columns, known = left.astype(np.float32), np.isfinite(r)
        columns[:, ~known] = 0.0
        # A difference by rounding is none.
        least = np.square(np.maximum(np.abs(r) * (1 - 1e-6) - 1e-6, 0)).astype(np.float32)
        as_large, squares = np.zeros(len(r)), np.zeros(len(r))
        for draws, model in self._models(drawn.orders, columns.shape[1], slab_bytes):
            sums = (model.reshape(-1, len(columns)) @ columns).reshape(*model.shape[:2], -1)
            # Of a column's length 1, what covariates explain when it is permuted is taken away.
            explained = np.einsum("kpc,kpc->pc", sums[1:], sums[1:])
            permuted = np.square(sums[0]) / np.maximum(1 - explained, np.float32(1e-6))
            as_large += (permuted >= least).sum(axis=0)
            squares += permuted.sum(axis=0, dtype=np.float64)
            largest[draws] = np.maximum(largest[draws], np.sqrt(permuted.max(axis=1, initial=0.0)))
        return as_large, squares / len(largest)

    def _models(
        self, orders: NDArray[np.int32], columns: int, slab_bytes: int
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield some permutations at a time, (1 + rank, permutations, people) of the model.

        The model is put in the permuted order in place of the columns, which are many more.
        """
        model = np.column_stack([self._phenotype, self._covariates]).T.astype(np.float32)
        step = max(1, slab_bytes // (4 * len(model) * max(columns, model.shape[1])))
        for start in range(0, len(orders), step):
            draws = slice(start, start + step)
            yield draws, model[:, orders[draws]]

    def _results(
        self, r: Floats, as_large: Floats, squares: Floats, largest: Floats
    ) -> ColumnTests:
        p = p_fitted = _two_sided(r, self.dof)
        if self._permutations is not None:
            # Few permutations estimate it badly: it is capped at that of independent people.
            matched = np.minimum(1 / np.clip(squares, 1e-12, 1 - 1e-6) - 1, self.dof)
            floor = 1 / self._permutations.possible
            p_fitted = np.maximum(_two_sided(r, matched), floor)  # NaN stays
        return ColumnTests(
            r=r,
            t=_t(r, self.dof),
            p=p,
            p_permuted=np.where(np.isfinite(r), (as_large + 1) / (len(largest) + 1), np.nan),
            p_fitted=p_fitted,
            largest=largest,
            dof=self.dof,
        )


def corrected(tests: Sequence[ColumnTests]) -> tuple[CorrectedTests, ...]:
    """Correct tests of several tables of the same people, all columns of all tables together.

    Parameters
    ----------
    tests
        Of one phenotype and one number of permutations, best of the same people.

    Returns
    -------
    One for each table, in its order.

    Raises
    ------
    ValueError
        The tables were tested with different numbers of permutations.

    Notes
    -----
    Benjamini & Hochberg 1995, J. R. Stat. Soc. B 57: 289; the largest statistic: Westfall & Young
    1993, Resampling-Based Multiple Testing.

    Examples
    --------
    >>> from bids_dtg.stats.cohort.exchangeability import permutations
    >>> rng = np.random.default_rng(0)
    >>> age = rng.normal(size=50)
    >>> association = Association.of(age, np.ones((50, 0)), permutations(99, np.arange(50)))
    >>> tables = [age[:, None] + rng.normal(size=(50, 1)), rng.normal(size=(50, 30))]
    >>> found = corrected([association.test(table) for table in tables])
    >>> bool(found[0].q[0] < 0.001), found[0].p_fwe, int((found[1].q < 0.05).sum())
    (True, array([0.01]), 0)
    """
    if len({len(found.largest) for found in tests}) > 1:
        raise ValueError("tables were tested with different numbers of permutations")
    ends = np.cumsum([len(found.r) for found in tests])[:-1]
    q = false_discovery_rate(np.concatenate([found.p_fitted for found in tests]))
    largest = np.max([found.largest for found in tests], axis=0)
    sizes = np.concatenate([np.abs(found.r) for found in tests])
    p_fwe = permutation_p(sizes, largest) if len(largest) else np.full(len(sizes), np.nan)
    parts = zip(np.split(q, ends), np.split(p_fwe, ends), strict=True)
    return tuple(CorrectedTests(*part) for part in parts)


def _basis(covariates: Floats) -> Floats:
    """Return an orthonormal basis of the covariates beyond a constant."""
    largest = np.abs(covariates).max(axis=0)
    scaled = covariates / np.where(largest > 0, largest, 1)  # squares of any size are finite
    left, lengths = _left(scaled, np.zeros((len(covariates), 0)))
    vectors, values, _ = np.linalg.svd(left[:, np.isfinite(lengths)], full_matrices=False)
    basis: Floats = vectors[:, values > 1e-6]
    return basis


def _left(columns: Floats, basis: Floats) -> tuple[Floats, Floats]:
    """Return residuals of columns on a constant and a basis, of length 1, and their lengths.

    Both are NaN where nothing is left, or a value is not known.
    """
    centred = columns - columns.mean(axis=0)
    left = centred - basis @ (basis.T @ centred)
    squares = np.square(left).sum(axis=0)
    with np.errstate(invalid="ignore"):
        nothing = ~(squares > _NOTHING * np.square(columns).sum(axis=0))
    lengths = np.sqrt(np.where(nothing, np.nan, squares))
    return left / lengths, lengths


def _t(r: Floats, dof: float | Floats) -> Floats:
    t: Floats = r * np.sqrt(dof / np.maximum(1 - np.square(r), 1e-300))
    return t


def _two_sided(r: Floats, dof: float | Floats) -> Floats:
    from scipy.special import stdtr

    p: Floats = 2 * stdtr(dof, -np.abs(_t(r, dof)))
    return np.maximum(p, np.finfo(np.float64).tiny)  # never 0
