"""Permutation tests of many columns: exchangeability, t, and p corrected over all columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import factorial, prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_dtg.stats.paired import false_discovery_rate

Array = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]

FEWEST_ORDERS = 100  # with fewer distinct orders, a p value means little
_COLUMNS = 2048  # tested at once
_VALUES_AT_ONCE = 2**19  # permuted statistics held at once
_VALUES_OF_PRODUCTS = (
    2**25
)  # with more values than this, inner products use a subset of columns
_STEPS, _MOST_T = 1024, 64  # histogram of |t|: bins per unit, and its upper end
_NOTHING = 1e-7  # a residual below this share of the column is rounding error
_TIE = 1e-9  # t with a smaller relative difference count as equal


def permuted_orders(
    families: ArrayLike, draws: int, *, sites: ArrayLike | None = None, seed: int = 0
) -> NDArray[np.int32]:
    """Draw permutations of people: families move as whole blocks, and people stay in their site.

    A family is swapped only with families that have the same number of people at each site. The
    first person of one then takes the place of the first person of the other at that site.

    Parameters
    ----------
    families, sites
        (people,) numbers; an unrelated person has a number of their own. No sites: one for all.
    draws, seed
        Number of orders, and the random seed.

    Returns
    -------
    (draws, people): person i gets the value of person order[i].

    Notes
    -----
    Whole-block exchangeability of Winkler et al. 2015, doi:10.1016/j.neuroimage.2015.05.092.

    Examples
    --------
    >>> found = permuted_orders([0, 0, 1, 1, 2], 999)  # two pairs, and one person alone
    >>> np.unique(found, axis=0)
    array([[0, 1, 2, 3, 4],
           [2, 3, 0, 1, 4]], dtype=int32)
    """
    groups = _alike(families, sites)
    rng = np.random.default_rng(seed)
    orders = np.tile(
        np.arange(sum(rows.size for rows in groups), dtype=np.int32), (draws, 1)
    )
    for rows in groups:
        number = np.tile(np.arange(len(rows)), (draws, 1))
        orders[:, rows.ravel()] = rows[rng.permuted(number, axis=1)].reshape(
            draws, rows.size
        )
    return orders


def different_orders(
    values: ArrayLike, families: ArrayLike, sites: ArrayLike | None = None
) -> int:
    """Return how many distinct columns `permuted_orders` can produce from one.

    Examples
    --------
    >>> different_orders([0, 0, 0, 0, 1, 1, 1, 1], families=range(8))
    70
    """
    column = np.asarray(values)
    found: int = 1
    for rows in _alike(families, sites):
        times = Counter(tuple(own) for own in column[rows].tolist())
        found *= factorial(len(rows)) // prod(factorial(own) for own in times.values())
    return found


def flipped_signs(
    families: ArrayLike, draws: int, *, seed: int = 0
) -> NDArray[np.int8]:
    """Draw random signs of people, (draws, people); a family shares one sign.

    Examples
    --------
    >>> np.unique(flipped_signs([0, 0, 1], 99), axis=0)
    array([[-1, -1, -1],
           [-1, -1,  1],
           [ 1,  1, -1],
           [ 1,  1,  1]], dtype=int8)
    """
    names, number = np.unique(np.asarray(families), return_inverse=True)
    rng = np.random.default_rng(seed)
    return rng.choice(np.array([-1, 1], np.int8), size=(draws, len(names)))[:, number]


def _alike(families: ArrayLike, sites: ArrayLike | None) -> list[Integers]:
    """Return groups of exchangeable families, each (families, members) of row numbers."""
    family = np.asarray(families)
    site = np.zeros(len(family), np.intp) if sites is None else np.asarray(sites)
    groups: dict[tuple[object, ...], list[Integers]] = {}
    order = np.argsort(family, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(family[order])) + 1):
        own = members[np.argsort(site[members], kind="stable")]
        groups.setdefault(tuple(site[own].tolist()), []).append(own)
    return [np.stack(rows) for rows in groups.values()]


@dataclass(frozen=True, eq=False)
class Design:
    """The test made of each column, and its permutations (Freedman and Lane 1983)."""

    tested: Array  # (people,), minus what covariates explain
    covariates: Array  # (people, columns), orthonormal, the constant first; none: a mean is tested
    draws: (
        Integers  # (draws, people), orders or signs of people; empty: no p is computed
    )

    @classmethod
    def of(cls, tested: Array, covariates: Array, orders: Integers) -> Design:
        """Return the test of an association with `tested`, given covariates.

        Raises
        ------
        ValueError
            The covariates explain all of it, or leave no degree of freedom.
        """
        centred = covariates - covariates.mean(axis=0)
        vectors, sizes, _ = np.linalg.svd(
            centred / np.where((span := np.ptp(centred, axis=0)) > 0, span, 1),
            full_matrices=False,
        )
        one = np.full((len(tested), 1), len(tested) ** -0.5)
        basis = np.hstack(
            [one, vectors[:, sizes > 1e-8 * max(sizes.max(initial=0.0), 1.0)]]
        )
        left = tested - basis @ (basis.T @ tested)
        # As many covariates as people explain anything, so that this comes first.
        if len(tested) - (columns := basis.shape[1] - 1) < 3:
            raise ValueError(
                f"{len(tested)} participants are too few: with {columns} columns of covariates, "
                f"{columns + 3} are needed"
            )
        if np.linalg.norm(left) <= _NOTHING * np.linalg.norm(tested - tested.mean()):
            raise ValueError(
                "the covariates explain all of it, or it is the same for everybody"
            )
        return cls(left, basis, orders)

    @classmethod
    def of_mean(cls, signs: Integers) -> Design:
        """Return the test of whether the mean over people is 0, by sign flips."""
        people = signs.shape[1]
        return cls(np.ones(people), np.empty((people, 0)), signs)

    @property
    def dof(self) -> int:
        """Degrees of freedom of t."""
        return int(len(self.tested) - self.covariates.shape[1] - 1)

    def unit(self, values: NDArray[Any]) -> tuple[Array, Array]:
        """Return the residuals of columns scaled to length 1, and their lengths; NaN where 0."""
        own = np.asarray(values, np.float64)
        left = own - self.covariates @ (self.covariates.T @ own)
        length = np.linalg.norm(left, axis=0)
        length[~(length > _NOTHING * np.linalg.norm(own, axis=0))] = np.nan
        return left / length, length

    def by_chance(self, unit: Array) -> Iterator[tuple[slice, Array]]:
        """Yield a range of draws, and |t| of each column in them, (draws, columns)."""
        tested, other = (
            self.tested / np.linalg.norm(self.tested),
            self.covariates[:, 1:].T,
        )
        step = max(1, _VALUES_AT_ONCE // (max(unit.shape[1], 64) * (1 + len(other))))
        for start in range(0, len(self.draws), step):
            some = self.draws[start : start + step]
            if not self.covariates.size:
                share = np.square((tested * some) @ unit)
            else:
                share = np.square(tested[some] @ unit)
                if len(other):  # the constant is left out, because no order changes it
                    moved = other[:, some].reshape(-1, len(tested)) @ unit
                    taken = (
                        np.square(moved).reshape(len(other), *share.shape).sum(axis=0)
                    )
                    share /= np.maximum(1 - taken, _TIE)
            yield slice(start, start + len(some)), self._t(share)

    def _t(self, share: Array) -> Array:
        """Return |t| from shares of explained variance."""
        return np.sqrt(self.dof * share / np.maximum(1 - share, 1e-12))


@dataclass(frozen=True, eq=False)
class ColumnTests:
    """Tests of columns; NaN where a column is constant or a person has no value."""

    design: Design
    effect: Array  # (columns,), slope or mean, in units of the column
    r: Array  # (columns,), partial correlation; for a mean, mean over root mean square
    t: Array  # (columns,)
    products: Array  # (people, people), inner products of residuals, each column scaled to length 1
    largest: Array  # (draws,), largest |t| over columns in each draw
    counts: NDArray[np.int64]  # histogram of |t| over all columns and draws


def fit_columns(values: NDArray[Any], design: Design) -> ColumnTests:
    """Test each column, and collect the |t| of its permutations.

    Parameters
    ----------
    values
        (people, columns), may be mapped from a file.
    design
        The test.
    """
    people, columns = values.shape
    effect, r = np.full(columns, np.nan), np.full(columns, np.nan)
    products = np.zeros((people, people))
    some_columns = (
        -(-people * columns // _VALUES_OF_PRODUCTS) or 1
    )  # every column, every second, …
    largest = np.zeros(len(design.draws))
    counts = np.zeros(_STEPS * _MOST_T + 1, np.int64)
    norm = float(np.linalg.norm(design.tested))
    for start in range(0, columns, _COLUMNS):
        unit, length = design.unit(values[:, start : start + _COLUMNS])
        known = np.flatnonzero(np.isfinite(length))
        unit, length = unit[:, known], length[known]
        own = design.tested @ unit / norm
        r[start + known], effect[start + known] = own, own * length / norm
        few = unit[:, ::some_columns]
        products += few @ few.T
        for some, t in design.by_chance(unit) if len(known) else ():
            largest[some] = np.maximum(largest[some], t.max(axis=1))
            steps = np.minimum(t * _STEPS, _STEPS * _MOST_T).astype(np.int32)
            counts += np.bincount(steps.ravel(), minlength=len(counts))
    t = np.sign(r) * design._t(np.square(r))
    return ColumnTests(design, effect, r, t, products, largest, counts)


@dataclass(frozen=True, eq=False)
class Corrected:
    """p of columns by permutation; NaN where a column was not tested."""

    p: Array  # (columns,), corrected over all columns of all tests
    p_contrast: Array  # (columns,), corrected over the columns of the same test
    q: Array  # (columns,), false discovery rate over all columns of all tests


def correct(tests: Sequence[ColumnTests]) -> list[Corrected]:
    """Correct tests, such as those of several contrasts, for all of their columns.

    Notes
    -----
    p from the largest |t| of each draw (Westfall and Young 1993). q from uncorrected p
    (Benjamini and Hochberg), which are taken from the |t| of all columns and draws pooled,
    because the draws of a single column are too few.
    """
    together = np.sort(np.max([one.largest for one in tests], axis=0))
    above = np.cumsum(np.sum([one.counts for one in tests], axis=0)[::-1])[::-1]
    raw, found = [], []
    for one in tests:
        least = np.abs(one.t) * (1 - _TIE)
        known = np.isfinite(least)
        own = np.sort(one.largest)
        p = [
            np.where(
                known, (1 + len(a) - np.searchsorted(a, least)) / (1 + len(a)), np.nan
            )
            for a in (together, own)
        ]
        step = np.where(known, np.minimum(least * _STEPS, _STEPS * _MOST_T), 0).astype(
            np.intp
        )
        raw.append(np.where(known, (1 + above[step]) / (1 + above[0]), np.nan))
        found.append(p)
    q = np.split(
        false_discovery_rate(np.concatenate(raw)), np.cumsum([len(p) for p in raw])[:-1]
    )
    return [Corrected(p, own, rate) for (p, own), rate in zip(found, q, strict=True)]


def sizes_p(products: Array, design: Design) -> float:
    """Return the permutation p that the variance of people's maps depends on the tested column.

    If it does, for example because patients' maps vary more, people are not exchangeable, and the
    permutation test of the means is not valid.

    Parameters
    ----------
    products
        (people, people), as in `ColumnTests`, summed over tests.
    design
        The test of a column of people, with orders.

    Notes
    -----
    The size of a person's residual map, given covariates and the tested column, is corrected for
    that person's leverage. The residuals are computed anew for each order, so that an effect of
    the tested column is not taken for a difference in variance.
    """
    people = len(design.tested)
    tested = design.tested / np.linalg.norm(design.tested)
    model = np.column_stack([design.covariates, tested])
    free = 1 - np.square(model).sum(axis=1)
    known = free > _NOTHING
    columns = []
    for own in (tested, np.abs(tested)):
        rest = own - design.covariates @ (design.covariates.T @ own)
        # In two groups of equal size, everybody is equally far from the mean: no column is left.
        if (length := float(np.linalg.norm(rest))) > _NOTHING:
            columns.append(rest / length)
    most = []
    squares = np.diag(products)
    for order in [np.arange(people), *design.draws]:
        moved = model[order]
        beside = products @ moved
        left = squares - 2 * (moved * beside).sum(axis=1)
        left += ((moved @ (moved.T @ beside)) * moved).sum(axis=1)
        logs, rows = np.zeros(people), known[order]
        size = left[rows] / free[order][rows]
        logs[rows] = np.log(np.maximum(size, np.finfo(float).tiny))
        logs[~rows] = logs[rows].mean()
        explained = design.covariates[order]
        logs = logs - explained @ (explained.T @ logs)
        length = max(float(np.linalg.norm(logs)), np.finfo(float).tiny)
        most.append(
            max(abs(float(logs @ column[order])) / length for column in columns)
        )
    return float(np.mean(np.array(most) >= most[0] * (1 - _TIE)))
