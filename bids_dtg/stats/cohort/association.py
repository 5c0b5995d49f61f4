"""Columns of a table of people, as regions or voxels, against a phenotype, given covariates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.cohort.exchangeability import Permutations, permutation_p
from bids_dtg.stats.cohort.pooled_fdr import PooledCounts, bins_of_squared_r

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
    largest: Floats  # (permutations,) the largest |r| of any column
    dof: int  # of t
    counts: PooledCounts  # of these columns, and of others if they were given


@dataclass(frozen=True, eq=False)
class CorrectedTests:
    """What is left when all columns of all tables count as tests."""

    q: Floats  # (columns,) false discovery rate; NaN without permutations
    p_fwe: Floats  # (columns,) family-wise, by the largest |r|; NaN without permutations
    # Of there being anything at all: the share of permutations whose smallest q is as small.
    p_anything: float

    def without_q(self) -> CorrectedTests:
        """Return them where no false discovery rate should be shown."""
        return CorrectedTests(np.full(len(self.q), np.nan), self.p_fwe, float("nan"))

    def uncorrected(self) -> CorrectedTests:
        """Return them where no permutation is fair."""
        none = np.full(len(self.q), np.nan)
        return CorrectedTests(none, none, float("nan"))


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
        counts: PooledCounts | None = None,
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
        counts
            Where to count how many columns reach a squared r, in the data and each permutation:
            one for all tables that are `corrected` together needs the memory of one.
        slab_bytes
            Memory for a block, of which there are about four.

        Raises
        ------
        ValueError
            Values are of other people than the phenotype.
        """
        people = len(self._phenotype)
        number = len(values) if rows is None else len(rows)
        if values.ndim != 2 or number != people:
            raise ValueError(f"values {values.shape}, expected ({people}, columns)")
        columns = values.shape[1]
        r, as_large = (np.full(columns, np.nan) for _ in range(2))
        largest = np.zeros(0 if self._permutations is None else len(self._permutations.orders))
        counts = counts or PooledCounts(len(largest))
        step = max(1, slab_bytes // (8 * people))
        for start in range(0, columns, step):
            block = slice(start, start + step)
            own = values[:, block] if rows is None else values[rows, block]
            left, _ = _left(np.asarray(own, np.float64), self._covariates)
            r[block] = self._phenotype @ left
            if self._permutations is not None:
                as_large[block] = self._permuted(
                    left, r[block], self._permutations, largest, counts, slab_bytes
                )
        return ColumnTests(
            r=r,
            t=_t(r, self.dof),
            p=_two_sided(r, self.dof),
            p_permuted=np.where(np.isfinite(r), (as_large + 1) / (len(largest) + 1), np.nan),
            largest=largest,
            dof=self.dof,
            counts=counts,
        )

    def _permuted(
        self,
        left: Floats,
        r: Floats,
        drawn: Permutations,
        largest: Floats,
        counts: PooledCounts,
        slab_bytes: int,
    ) -> Floats:
        """Count permuted |r| as large as the found; note the largest, and what reaches each bin."""
        columns, known = left.astype(np.float32), np.isfinite(r)
        columns[:, ~known] = 0.0
        # A difference by rounding is none.
        least = np.square(np.maximum(np.abs(r) * (1 - 1e-6) - 1e-6, 0)).astype(np.float32)
        as_large, edges = np.zeros(len(r)), bins_of_squared_r(self.dof)
        counts.add(_squared(r)[None], edges)
        for draws, model in self._models(drawn.orders, columns.shape[1], slab_bytes):
            sums = (model.reshape(-1, len(columns)) @ columns).reshape(*model.shape[:2], -1)
            # Of a column's length 1, what covariates explain when it is permuted is taken away.
            explained = np.einsum("kpc,kpc->pc", sums[1:], sums[1:])
            permuted = np.square(sums[0]) / np.maximum(1 - explained, np.float32(1e-6))
            as_large += (permuted >= least).sum(axis=0)
            counts.add(permuted, edges, first=1 + draws.start)
            largest[draws] = np.maximum(largest[draws], np.sqrt(permuted.max(axis=1, initial=0.0)))
        return as_large

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
    q: `bids_dtg.stats.cohort.pooled_fdr`; the largest statistic: Westfall & Young 1993,
    Resampling-Based Multiple Testing.

    Examples
    --------
    >>> from bids_dtg.stats.cohort.exchangeability import permutations
    >>> rng = np.random.default_rng(0)
    >>> age = rng.normal(size=50)
    >>> association = Association.of(age, np.ones((50, 0)), permutations(199, np.arange(50)))
    >>> tables = [age[:, None] + rng.normal(size=(50, 1)), rng.normal(size=(50, 30))]
    >>> found = corrected([association.test(table) for table in tables])
    >>> found[0].q.round(3), found[0].p_fwe, round(found[0].p_anything, 3)
    (array([0.005]), array([0.005]), 0.005)
    """
    if len({len(found.largest) for found in tests}) > 1:
        raise ValueError("tables were tested with different numbers of permutations")
    pooled = PooledCounts(len(tests[0].largest))
    for counts in {id(found.counts): found.counts for found in tests}.values():
        pooled.add_all(counts)
    if not pooled.draws:
        unknown = [np.full(len(found.r), np.nan) for found in tests]
        return tuple(CorrectedTests(none, none, float("nan")) for none in unknown)
    largest, rates = np.max([found.largest for found in tests], axis=0), pooled.rates()
    return tuple(
        CorrectedTests(
            q=rates.q(_squared(found.r), bins_of_squared_r(found.dof)),
            p_fwe=permutation_p(np.abs(found.r), largest),
            p_anything=rates.p_anything,
        )
        for found in tests
    )


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


def _squared(r: Floats) -> NDArray[np.float32]:
    """Return r² with the precision of the permuted ones, so that equal ones share a bin."""
    return np.square(r).astype(np.float32)


def _t(r: Floats, dof: float) -> Floats:
    t: Floats = r * np.sqrt(dof / np.maximum(1 - np.square(r), 1e-300))
    return t


def _two_sided(r: Floats, dof: float) -> Floats:
    from scipy.special import stdtr

    p: Floats = 2 * stdtr(dof, -np.abs(_t(r, dof)))
    return np.maximum(p, np.finfo(np.float64).tiny)  # never 0
