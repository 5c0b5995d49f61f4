"""Predict a phenotype by cross-validated ridge, with all permutations in one solve per fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bids_dtg.notices import counted
from bids_dtg.stats.correlation import correlation, weighted_correlation
from bids_dtg.stats.verdict import Verdict, Weighted, judge_scores

Array = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]
Ridge = Literal["nested", "published"]

_COLUMNS = 20_000  # read at once
_GRID = np.logspace(-3, 3, 13)  # penalties, in units of the mean variance of a person
_INNER = 5  # inner folds of training people, by which a penalty is chosen
_ROUNDING = (
    1e-12  # a component below this share of the largest variance is rounding error
)
_TIE = 1e-9


@dataclass(frozen=True, eq=False)
class Target:
    """A phenotype, and the families and covariates of its people."""

    tested: Array  # (people,); 0 and 1 for two levels
    families: Integers  # (people,); a family is held out as a whole
    covariates: (
        Array  # (people, columns), regressed out with coefficients of training people
    )
    orders: Integers  # (permutations, people), see `bids_dtg.stats.permutation`

    @property
    def second(self) -> NDArray[np.bool_] | None:
        """Whether each person has the second of two levels; None: the phenotype is a number."""
        levels = np.unique(self.tested)
        return self.tested == levels[1] if len(levels) == 2 else None


@dataclass(frozen=True, eq=False)
class Prediction:
    """Cross-validated predictions of people, as deviations from the covariates' prediction."""

    predicted: Array  # (people,)
    measured: Array  # (people,)
    null: Array  # (permutations,), r of each permutation

    @property
    def r(self) -> float:
        """Pearson r over people; NaN for a constant prediction."""
        return float(correlation(self.predicted, self.measured))

    @property
    def r2(self) -> float:
        """Cross-validated R²; below 0: worse than predicting from the mean and covariates."""
        error = np.square(self.measured - self.predicted).sum()
        return float(1 - error / np.square(self.measured).sum())

    @property
    def p(self) -> float:
        """Permutation p: share of permutations with an r at least as large; NaN without any."""
        return chance(self.r, self.null)

    def balanced_accuracy(self, second: NDArray[np.bool_]) -> float:
        """Return the share of people classified correctly, averaged over the two levels."""
        right = (self.predicted > 0) == second
        return float((right[second].mean() + right[~second].mean()) / 2)

    def score(self, second: NDArray[np.bool_] | None) -> Weighted:
        """Return r, or the AUC for two levels, as a function of how often each person counts."""
        if second is None:
            return lambda counts: weighted_correlation(
                self.predicted, self.measured, counts
            )
        pairs = (
            np.sign(self.predicted[second][:, None] - self.predicted[~second]) / 2 + 0.5
        )

        def area(counts: Array) -> Array:
            ours, theirs = counts[:, second], counts[:, ~second]
            number = ours.sum(axis=1) * theirs.sum(axis=1)
            total = np.einsum("sf,sf->s", ours @ pairs, theirs)
            shares = np.full(len(total), np.nan)
            np.divide(total, number, out=shares, where=number > 0)
            return shares

        return area


def chance(r: float, null: Array) -> float:
    """Return the permutation p of an r; NaN without permutations."""
    if not len(null) or not np.isfinite(r):
        return float("nan")
    return float((1 + (null >= r - _TIE).sum()) / (1 + len(null)))


def rotated(values: NDArray[Any]) -> Array:
    """Return people in fewer columns that keep the inner products between people.

    Parameters
    ----------
    values
        (people, columns), finite; may be mapped from a file.
    """
    if values.shape[1] <= len(values):
        own = np.asarray(values, np.float64)
        centred: Array = own - own.mean(axis=0)
        return centred
    return of_products(products(values))


def products(values: NDArray[Any]) -> Array:
    """Return inner products of people's deviations from the mean, (people, people)."""
    found = np.zeros((len(values),) * 2)
    for start in range(0, values.shape[1], _COLUMNS):
        block = np.asarray(values[:, start : start + _COLUMNS], np.float64)
        block = block - block.mean(axis=0)
        found += block @ block.T
    return found


def common_products(
    summed: tuple[Sequence[str], Array], more: tuple[Sequence[str], Array]
) -> tuple[tuple[str, ...], Array]:
    """Add inner products of people, such as those of another contrast, of those who are in both.

    Parameters
    ----------
    summed, more
        Labels of people, and their `products`.

    Returns
    -------
    Labels and inner products of deviations from the mean of the people who are in both.

    Examples
    --------
    >>> everybody = products(np.array([[1.0], [2.0], [6.0]]))
    >>> some = products(np.array([[1.0], [6.0]]))
    >>> labels, found = common_products((("a", "b", "c"), everybody), (("a", "c"), some))
    >>> labels, bool(np.allclose(found, 2 * some))
    (('a', 'c'), True)
    """
    labels = tuple(label for label in summed[0] if label in set(more[0]))
    total = np.zeros((len(labels), len(labels)))
    for whose, found in (summed, more):
        part = found
        if tuple(whose) != labels:
            rows = [whose.index(label) for label in labels]
            part = found[np.ix_(rows, rows)]
            part = part - part.mean(axis=0)
            part = part - part.mean(axis=1, keepdims=True)
        total += part
    return labels, total


def of_products(found: Array) -> Array:
    """Return principal component scores with these inner products between people."""
    sizes, vectors = np.linalg.eigh(found)
    kept = sizes > _ROUNDING * max(float(sizes[-1]), 0.0)
    scores: Array = vectors[:, kept] * np.sqrt(sizes[kept])
    return scores


def family_folds(families: Integers, folds: int, seed: int) -> Integers:
    """Return the fold of each person, (people,); families are not divided.

    Raises
    ------
    ValueError
        There are fewer families than folds.
    """
    from sklearn.model_selection import GroupKFold

    if len(np.unique(families)) < folds:
        number = counted(len(np.unique(families)), "family", "families")
        raise ValueError(f"{number} cannot be divided into {folds} folds")
    found = np.empty(len(families), np.intp)
    divided = GroupKFold(folds, shuffle=True, random_state=seed).split(
        found, groups=families
    )
    for fold, (_, test) in enumerate(divided):
        found[test] = fold
    return found


def site_folds(families: Integers, sites: Integers) -> Integers:
    """Return one fold per site; a family at several sites goes where most of its people are.

    Examples
    --------
    >>> site_folds(np.array([0, 0, 0, 1, 2]), np.array([7, 7, 9, 9, 9])).tolist()
    [0, 0, 0, 1, 1]
    """
    family = np.unique(families, return_inverse=True)[1]
    site = np.unique(sites, return_inverse=True)[1]
    count = np.zeros((family.max() + 1, site.max() + 1), np.intp)
    np.add.at(count, (family, site), 1)
    found: Integers = np.unique(count.argmax(axis=1)[family], return_inverse=True)[1]
    return found


def predict(
    features: Array,
    target: Target,
    folds: Integers,
    *,
    ridge: Ridge = "nested",
    within: bool = False,
) -> Prediction:
    """Predict a phenotype from features, with a model fitted on the people of the other folds.

    Parameters
    ----------
    features
        (people, columns), see `rotated`.
    target
        The phenotype.
    folds
        (people,), see `family_folds`.
    ridge
        nested: the penalty is chosen for each fold and permutation by inner folds of the training
        people; published: mean variance of a column times columns / training people.
    within
        Whether to compare people within folds only, by subtracting each fold's mean.

    Raises
    ------
    ValueError
        The training people of a fold all have the same phenotype or features.
    """
    tested, covariates = target.tested, target.covariates
    everybody = _basis(covariates)
    left = tested - everybody @ np.linalg.lstsq(everybody, tested)[0]
    targets = np.column_stack([left, left[target.orders].T])
    predicted, measured = np.empty_like(targets), np.empty_like(targets)
    for fold in np.unique(folds):
        test = folds == fold
        columns = _basis(covariates, ~test)
        (x, x_test), (y, y_test) = (
            _without(own, columns, test) for own in (features, targets)
        )
        if np.ptp(y[:, 0]) < _TIE * max(np.ptp(tested), 1e-300):
            raise ValueError("all training people of a fold have the same value of it")
        size = float(np.square(x - x.mean(axis=0)).sum())
        if not x.shape[1] or size <= 0:
            raise ValueError("the features of a fold's training people do not differ")
        alphas = np.full(y.shape[1], size / len(x) ** 2)
        if ridge == "nested":
            alphas = _chosen(x, y, _GRID * size / len(x), target.families[~test])
        predicted[test] = _fitted(x, y, x_test)(alphas)
        measured[test] = y_test
        if within:
            predicted[test] -= predicted[test].mean(axis=0)
            measured[test] -= measured[test].mean(axis=0)
    # A prediction that is constant up to rounding has no r.
    predicted[:, np.ptp(predicted, axis=0) < _TIE * np.ptp(measured, axis=0)] = 0
    null = np.nan_to_num(correlation(predicted[:, 1:].T, measured[:, 1:].T))
    return Prediction(predicted[:, 0], measured[:, 0], null.astype(np.float64))


def _fitted(x: Array, y: Array, x_test: Array) -> Callable[[Array], Array]:
    """Return a function from each target's penalty to the ridge predictions for test people."""
    mean, mean_y = x.mean(axis=0), y.mean(axis=0)
    left, sizes, right = np.linalg.svd(x - mean, full_matrices=False)
    targets, test = left.T @ (y - mean_y), (x_test - mean) @ right.T
    return lambda alphas: (
        mean_y
        + test @ (sizes[:, None] / (np.square(sizes)[:, None] + alphas) * targets)
    )


def _chosen(x: Array, y: Array, grid: Array, families: Integers) -> Array:
    """Return each target's penalty with the smallest squared error over inner folds."""
    from sklearn.model_selection import GroupKFold

    errors = np.zeros((len(grid), y.shape[1]))
    count = min(_INNER, len(np.unique(families)))
    for train, test in GroupKFold(count).split(x, groups=families):
        predict_by = _fitted(x[train], y[train], x[test])
        for place, alpha in enumerate(grid):
            errors[place] += np.square(y[test] - predict_by(alpha)).sum(axis=0)
    best: Array = grid[errors.argmin(axis=0)]
    return best


def _basis(covariates: Array, training: NDArray[np.bool_] | None = None) -> Array:
    """Return a constant and the covariates, scaled by training people; 0 where these are alike."""
    own = covariates if training is None else covariates[training]
    span = np.ptp(own, axis=0)
    scaled = np.where(
        span > 0, (covariates - own.mean(axis=0)) / np.where(span > 0, span, 1), 0
    )
    return np.column_stack([np.ones(len(covariates)), scaled])


def _without(
    values: Array, columns: Array, test: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Regress columns out of training and test people, with coefficients of training people."""
    coefficients = np.linalg.lstsq(columns[~test], values[~test])[0]
    left = values - columns @ coefficients
    return left[~test], left[test]


def judge(
    one: Prediction, other: Prediction | None, target: Target, seed: int = 0
) -> Verdict:
    """Judge the r of a prediction (two levels: the AUC), or its difference from another's.

    Parameters
    ----------
    one, other
        Predictions in the same folds.
    target
        What was predicted; families are resampled and flipped as a whole.
    seed
        Seed of the bootstrap samples of people.
    """
    second, people = target.second, len(target.tested)
    score = one.score(second)
    rarer = None if second is None else int(min(second.sum(), (~second).sum()))
    beside = None if other is None else other.score(second)

    def difference(counts: Array) -> Array:
        return score(counts) if beside is None else score(counts) - beside(counts)

    found = judge_scores(
        difference,
        people,
        rarer=rarer,
        families=target.families,
        cross_validated=beside is not None,
        seed=seed,
    )
    if found is None:
        return Verdict.unknown(people, rarer)
    # Widened for few people, an interval may leave the range of an r or an AUC.
    least, most = (0.0, 1.0) if second is not None else (-1.0, 1.0)
    if beside is not None:
        least, most = least - most, most - least
    return replace(found, difference=found.difference.within(least, most))
