"""Permutation tests of many columns: exchangeability, t, and p corrected over all columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, factorial, prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_dtg.array_types import Float64, Integers, Values
from bids_dtg.stats.coding import scaled
from bids_dtg.stats.paired import false_discovery_rate

FEWEST_ORDERS = 100  # with fewer distinct orders, a p value means little
_COLUMNS = 2048  # most columns tested at once
_VALUES_TESTED = 2**24  # most values in these columns
_VALUES_AT_ONCE = 2**19  # permuted statistics held at once
# With more values than this, inner products use a subset of columns.
_VALUES_OF_PRODUCTS = 2**25
# With more people than this, inner products are sketched, as they would fill memory.
_MOST_PEOPLE = 4096
_SKETCHED = 256  # columns of a sketch
_VALUES_OF_DRAWS = 2**23  # of permuted designs held at once
_STEPS = 1024  # bins of the histogram of |t| per unit
_MOST_T = 64  # its upper end
_NOTHING = 1e-7  # a residual below this share of the column is rounding error
_TIE = 1e-9  # t with a smaller relative difference count as equal
_TINY = np.finfo(float).tiny
_LARGEST_P = 0.05  # of sizes of maps that depend on the tested column
# A larger ratio of the maps' variance makes too many findings false (docs/evidence.md).
_LARGEST_RATIO = 1.06


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
    >>> orders = permuted_orders([0, 0, 1, 1, 2], 999)  # two pairs, and one person alone
    >>> np.unique(orders, axis=0)
    array([[0, 1, 2, 3, 4],
           [2, 3, 0, 1, 4]], dtype=int32)
    """
    groups = _exchangeable(families, sites)
    rng = np.random.default_rng(seed)
    people = sum(rows.size for rows in groups)
    orders = np.tile(np.arange(people, dtype=np.int32), (draws, 1))
    for rows in groups:
        family = np.tile(np.arange(len(rows), dtype=np.int32), (draws, 1))
        rng.permuted(family, axis=1, out=family)
        permuted_rows = rows[family]  # (draws, families, members)
        orders[:, rows.ravel()] = permuted_rows.reshape(draws, rows.size)
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
    orders: int = 1
    for rows in _exchangeable(families, sites):
        repeats = Counter(tuple(family) for family in column[rows].tolist())
        equal_orders = prod(factorial(count) for count in repeats.values())
        orders *= factorial(len(rows)) // equal_orders
    return orders


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
    names, family_of_person = np.unique(np.asarray(families), return_inverse=True)
    rng = np.random.default_rng(seed)
    either = np.array([-1, 1], np.int8)
    signs = rng.choice(either, size=(draws, len(names)))
    return signs[:, family_of_person]


def _exchangeable(families: ArrayLike, sites: ArrayLike | None) -> list[Integers]:
    """Return groups of exchangeable families, each (families, members) of row numbers."""
    family = np.asarray(families)
    site = np.zeros(len(family), np.intp) if sites is None else np.asarray(sites)
    groups: dict[tuple[object, ...], list[Integers]] = {}
    order = np.argsort(family, kind="stable")
    ends = np.flatnonzero(np.diff(family[order])) + 1
    for members in np.split(order, ends):
        by_site = members[np.argsort(site[members], kind="stable")]
        sites_of_family = tuple(site[by_site].tolist())
        groups.setdefault(sites_of_family, []).append(by_site)
    return [np.stack(rows).astype(np.int32) for rows in groups.values()]


@dataclass(frozen=True, eq=False)
class Design:
    """The test made of each column, and its permutations (Freedman and Lane 1983)."""

    tested: Float64  # (people,), minus what covariates explain
    # (people, columns), orthonormal, the constant first; none: a mean is tested
    covariates: Float64
    # (draws, people), orders or signs of people; empty: no p is computed
    draws: Integers
    # From one SD below the mean of the tested column to one above, or from level to level.
    span: float = 0.0

    @classmethod
    def of(cls, tested: Float64, covariates: Float64, orders: Integers) -> Design:
        """Return the test of an association with `tested`, given covariates.

        Raises
        ------
        ValueError
            The covariates explain all of it, or leave no degree of freedom.
        """
        people = len(tested)
        vectors, sizes, _ = np.linalg.svd(scaled(covariates), full_matrices=False)
        independent = sizes > 1e-8 * max(sizes.max(initial=0.0), 1.0)
        constant = np.full((people, 1), people**-0.5)
        basis = np.hstack([constant, vectors[:, independent]])
        residual = tested - basis @ (basis.T @ tested)
        # As many covariates as people explain anything, so that this comes first.
        columns = basis.shape[1] - 1
        if people - columns < 3:
            raise ValueError(
                f"{people} participants are too few: with {columns} columns of covariates, "
                f"{columns + 3} are needed"
            )
        size = np.linalg.norm(tested - tested.mean())
        is_constant = not scaled(tested[:, None]).any()
        if is_constant or np.linalg.norm(residual) <= _NOTHING * size:
            raise ValueError(
                "the covariates explain all of it, or it is the same for everybody"
            )
        return cls(residual, basis, orders, _span(tested))

    @classmethod
    def of_mean(cls, signs: Integers) -> Design:
        """Return the test of whether the mean over people is 0, by sign flips."""
        people = signs.shape[1]
        return cls(np.ones(people), np.empty((people, 0)), signs)

    @property
    def dof(self) -> int:
        """Degrees of freedom of t."""
        return int(len(self.tested) - self.covariates.shape[1] - 1)

    def unit(self, values: Values) -> tuple[Float64, Float64]:
        """Return the residuals of columns scaled to length 1, and their lengths; NaN where 0."""
        columns = np.asarray(values, np.float64)
        residuals = columns - self.covariates @ (self.covariates.T @ columns)
        length = np.linalg.norm(residuals, axis=0)
        defined = length > _NOTHING * np.linalg.norm(columns, axis=0)
        length[~defined] = np.nan
        return residuals / length, length

    def by_chance(self, unit: Float64) -> Iterator[tuple[slice, Float64]]:
        """Yield a range of draws, and |t| of each column in them, (draws, columns)."""
        tested = self.tested / np.linalg.norm(self.tested)
        # (covariates, people); the constant is left out, because no order changes it
        covariates = self.covariates[:, 1:].T
        values_of_draw = max(unit.shape[1], 64) * (1 + len(covariates))
        most = min(
            _VALUES_AT_ONCE // values_of_draw,
            _VALUES_OF_DRAWS // (len(tested) * (1 + len(covariates))),
        )
        step = max(1, most)
        for start in range(0, len(self.draws), step):
            draws = self.draws[start : start + step]
            if not self.covariates.size:  # draws are signs
                share = np.square((tested * draws) @ unit)
            else:
                share = np.square(tested[draws] @ unit)
            if len(covariates):
                # Shares of variance that the permuted covariates explain.
                permuted = covariates[:, draws].reshape(-1, len(tested)) @ unit
                shares = np.square(permuted).reshape(len(covariates), *share.shape)
                unexplained = 1 - shares.sum(axis=0)
                share /= np.maximum(unexplained, _TIE)
            yield slice(start, start + len(draws)), self._t(share)

    def _t(self, share: Float64) -> Float64:
        """Return |t| from shares of explained variance."""
        return np.sqrt(self.dof * share / np.maximum(1 - share, 1e-12))


@dataclass(frozen=True, eq=False)
class ColumnTests:
    """Tests of columns; NaN where a column is constant or a person has no value."""

    design: Design
    effect: Float64  # (columns,), slope or mean, in units of the column
    r: Float64  # (columns,), partial correlation; for a mean, mean over root mean square
    t: Float64  # (columns,)
    # (people, people), inner products of residuals, each column scaled to length 1; of more than
    # 4,096 people a sketch S with the products S S' in expectation, (people, 256)
    products: Float64
    largest: Float64  # (draws,), largest |t| over columns in each draw
    counts: NDArray[np.int64]  # histogram of |t| over all columns and draws


def fit_columns(values: Values, design: Design, seed: int = 0) -> ColumnTests:
    """Test each column, and collect the |t| of its permutations.

    Parameters
    ----------
    values
        (people, columns), may be mapped from a file.
    design
        The test.
    seed
        Random seed of the sketch of many people's products; sketches of different seeds add up.
    """
    people, columns = values.shape
    effect = np.full(columns, np.nan)
    r = np.full(columns, np.nan)
    is_sketched = people > _MOST_PEOPLE
    rng = np.random.default_rng(seed)
    products = np.zeros((people, _SKETCHED if is_sketched else people))
    product_step = max(1, ceil(people * columns / _VALUES_OF_PRODUCTS))  # of columns
    largest = np.zeros(len(design.draws))
    counts = np.zeros(_STEPS * _MOST_T + 1, np.int64)
    norm = float(np.linalg.norm(design.tested))
    step = max(1, min(_COLUMNS, _VALUES_TESTED // people))
    for start in range(0, columns, step):
        unit, length = design.unit(values[:, start : start + step])
        defined = np.flatnonzero(np.isfinite(length))
        if not len(defined):
            continue
        unit = unit[:, defined]
        partial_r = design.tested @ unit / norm
        r[start + defined] = partial_r
        effect[start + defined] = partial_r * length[defined] / norm
        if is_sketched:
            signs = rng.choice([-1.0, 1.0], size=(len(defined), _SKETCHED))
            products += unit @ (signs / _SKETCHED**0.5)
        else:
            sampled = unit[:, ::product_step]
            products += sampled @ sampled.T
        for draws, t in design.by_chance(unit):
            largest[draws] = np.maximum(largest[draws], t.max(axis=1))
            steps = np.minimum(t * _STEPS, _STEPS * _MOST_T).astype(np.int32)
            counts += np.bincount(steps.ravel(), minlength=len(counts))
    t = np.sign(r) * design._t(np.square(r))
    return ColumnTests(design, effect, r, t, products, largest, counts)


@dataclass(frozen=True, eq=False)
class Corrected:
    """p of columns by permutation; NaN where a column was not tested."""

    p: Float64  # (columns,), corrected over all columns of all tests
    p_contrast: Float64  # (columns,), corrected over the columns of the same test
    q: Float64  # (columns,), false discovery rate over all columns of all tests


def correct(tests: Sequence[ColumnTests]) -> list[Corrected]:
    """Correct tests, such as those of several contrasts, for all of their columns.

    Notes
    -----
    p from the largest |t| of each draw (Westfall and Young 1993). q from uncorrected p
    (Benjamini and Hochberg), which are taken from the |t| of all columns and draws pooled,
    because the draws of a single column are too few.
    """
    largest_of_all = np.max([test.largest for test in tests], axis=0)
    counts = np.sum([test.counts for test in tests], axis=0)
    at_least = np.cumsum(counts[::-1])[::-1]  # number of |t| in this bin or above
    uncorrected = []
    for test in tests:
        t = np.abs(test.t) * (1 - _TIE)
        defined = np.isfinite(t)
        step = np.where(defined, np.minimum(t * _STEPS, _STEPS * _MOST_T), 0)
        p = (1 + at_least[step.astype(np.intp)]) / (1 + at_least[0])
        uncorrected.append(np.where(defined, p, np.nan))
    ends = np.cumsum([len(p) for p in uncorrected])[:-1]
    q = np.split(false_discovery_rate(np.concatenate(uncorrected)), ends)
    return [
        Corrected(
            p=_p_of_largest(test.t, largest_of_all),
            p_contrast=_p_of_largest(test.t, test.largest),
            q=rate,
        )
        for test, rate in zip(tests, q, strict=True)
    ]


def _p_of_largest(t: Float64, largest: Float64) -> Float64:
    """Return p of columns from the largest |t| of each draw, (draws,); NaN where t is."""
    draws = len(largest)
    below = np.searchsorted(np.sort(largest), np.abs(t) * (1 - _TIE))
    p = (1 + draws - below) / (1 + draws)
    return np.where(np.isfinite(t), p, np.nan)


def misleading_sizes(
    products: Mapping[Design, Float64],
) -> tuple[float, float] | None:
    """Return p and ratio of a dependence of maps' sizes on the tested column that misleads tests.

    None if no design has one that is both significant (`sizes_p`, times the number of designs) and
    large enough to make findings false (`sizes_ratio`).

    Parameters
    ----------
    products
        Inner products of each design, as for `sizes_p`.
    """
    ratios = {design: sizes_ratio(total, design) for design, total in products.items()}
    large = [
        (sizes_p(products[design], design) * len(products), ratio)
        for design, ratio in ratios.items()
        if ratio > _LARGEST_RATIO
    ]
    smallest = min(large, default=(1.0, 1.0))
    return smallest if smallest[0] <= _LARGEST_P else None


def sizes_p(products: Float64, design: Design) -> float:
    """Return the permutation p that the variance of people's maps depends on the tested column.

    If it does, for example because patients' maps vary more, people are not exchangeable, and the
    permutation test of the means is not valid.

    Parameters
    ----------
    products
        Inner products or their sketch, as in `ColumnTests`, summed over tests.
    design
        The test of a column of people, with orders.

    Notes
    -----
    The size of a person's residual map, given covariates and the tested column, is corrected for
    that person's leverage. The residuals are computed anew for each order, so that an effect of
    the tested column is not taken for a difference in variance.
    """
    model = _model(design)
    predictors = [predictor for predictor, _ in _predictors(design)]
    largest_r = []  # of each order, the observed one first
    for order in [np.arange(len(model)), *design.draws]:
        logs = _log_sizes(products, model[order])
        covariates = design.covariates[order]
        logs = logs - covariates @ (covariates.T @ logs)
        length = max(float(np.linalg.norm(logs)), _TINY)
        r = [abs(float(logs @ column[order])) / length for column in predictors]
        largest_r.append(max(r))
    observed_r = largest_r[0]
    return float(np.mean(np.array(largest_r) >= observed_r * (1 - _TIE)))


def sizes_ratio(products: Float64, design: Design) -> float:
    """Return the ratio of the maps' variance between people with large and small values.

    The larger of two ratios, 1 or more: between people one SD above and one below the mean of the
    tested column (of two levels: between these), and the same of the distance from the mean.

    Parameters
    ----------
    products, design
        As for `sizes_p`, which says whether the ratio differs from 1 beyond chance.
    """
    logs = _log_sizes(products, _model(design))
    changes = [
        abs(float(logs @ predictor)) * span for predictor, span in _predictors(design)
    ]
    return float(np.exp(max(changes)))


def _model(design: Design) -> Float64:
    """Return the columns that are regressed out of the maps, orthonormal, (people, columns)."""
    tested = design.tested / np.linalg.norm(design.tested)
    return np.column_stack([design.covariates, tested])


def _predictors(design: Design) -> list[tuple[Float64, float]]:
    """Return what sizes may depend on, with the span over which sizes are compared.

    These are the tested column and the distance from its mean, minus what covariates explain,
    scaled to length 1. Spans are in the same unit.
    """
    length_of_tested = float(np.linalg.norm(design.tested))
    tested = design.tested / length_of_tested
    distance = np.abs(tested)
    columns = (tested, design.span / length_of_tested), (distance, _span(distance))
    predictors = []
    for column, span in columns:
        residual = column - design.covariates @ (design.covariates.T @ column)
        length = float(np.linalg.norm(residual))
        # In two groups of equal size, everybody is equally far from the mean: no column is left.
        if length > _NOTHING:
            predictors.append((residual / length, span / length))
    return predictors


def _log_sizes(products: Float64, model: Float64) -> Float64:
    """Return the logarithm of each person's squared residual over its expected share, (people,).

    People whose residual is always 0 get the mean of the others.

    Parameters
    ----------
    products
        Inner products P of people's maps, or their sketch, as in `ColumnTests`.
    model
        (people, columns), orthonormal columns M that are regressed out of the maps.
    """
    if products.shape[1] < len(model):  # a sketch
        diagonal = np.square(products).sum(axis=1)
        with_model = products @ (products.T @ model)
    else:
        diagonal, with_model = np.diag(products), products @ model
    # The diagonal of (I - M M') P (I - M M').
    squares = diagonal - 2 * (model * with_model).sum(axis=1)
    explained = model @ (model.T @ with_model)
    squares += (explained * model).sum(axis=1)
    expected = 1 - np.square(model).sum(axis=1)  # 1 minus a person's leverage
    has_residual = expected > _NOTHING
    sizes = squares[has_residual] / expected[has_residual]
    logs = np.zeros(len(model))
    logs[has_residual] = np.log(np.maximum(sizes, _TINY))
    logs[~has_residual] = logs[has_residual].mean()
    return logs


def _span(column: Float64) -> float:
    """Return two SDs of a column; of two levels, their difference."""
    middle = (column.min() + column.max()) / 2
    half = column.max() - middle
    two_levels = np.allclose(np.abs(column - middle), half, atol=0)
    return float(2 * half if two_levels else 2 * column.std())
