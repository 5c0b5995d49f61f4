"""Predict a phenotype by cross-validated ridge, with all permutations in one solve per fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bids_dtg.array_types import Float64, Integers, Mask, Values
from bids_dtg.notices import counted
from bids_dtg.stats.coding import scaled
from bids_dtg.stats.correlation import correlation, weighted_correlation
from bids_dtg.stats.paired import Interval
from bids_dtg.stats.verdict import FEWEST, Verdict, Weighted, judge_scores

Ridge = Literal["nested", "published"]
PeopleProducts = tuple[tuple[str, ...], Float64]  # labels, and their inner products

_COLUMNS = 20_000  # read at once
_GRID = np.logspace(-3, 3, 13)  # penalties, in units of the mean variance of a person
_INNER = 5  # inner folds of training people, by which a penalty is chosen
# A component below this share of the largest variance is rounding error.
_ROUNDING = 1e-12
_TIE = 1e-9
_NORMAL = 1.959964  # 97.5 % quantile of the normal distribution
# Standard error of a cross-validated r, relative to that of a fixed prediction: see `interval`.
_LEAST_WIDER = 1.35
_MOST_WIDER = 1.55
_WIDER_WITH_R = 0.5


@dataclass(frozen=True, eq=False)
class Target:
    """A phenotype, and the families and covariates of its people."""

    tested: Float64  # (people,); 0 and 1 for two levels
    families: Integers  # (people,); a family is held out as a whole
    # (people, columns), regressed out with coefficients of training people
    covariates: Float64
    orders: Integers  # (permutations, people), see `bids_dtg.stats.permutation`

    @property
    def second(self) -> Mask | None:
        """Whether each person has the second of two levels; None: the phenotype is a number."""
        levels = np.unique(self.tested)
        return self.tested == levels[1] if len(levels) == 2 else None


@dataclass(frozen=True, eq=False)
class Prediction:
    """Cross-validated predictions of people, as deviations from the covariates' prediction."""

    predicted: Float64  # (people,)
    measured: Float64  # (people,)
    null: Float64  # (permutations,), r of each permutation

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

    def balanced_accuracy(self, second: Mask) -> float:
        """Return the share of people classified correctly, averaged over the two levels."""
        correct = (self.predicted > 0) == second
        return float((correct[second].mean() + correct[~second].mean()) / 2)

    def score(self, second: Mask | None) -> Weighted:
        """Return r, or the AUC for two levels, as a function of how often each person counts."""
        if second is None:
            return lambda counts: weighted_correlation(
                self.predicted, self.measured, counts
            )
        # (second level, first level), 1 where the order is right, 0.5 for a tie
        difference = self.predicted[second][:, None] - self.predicted[~second]
        pairs = np.sign(difference) / 2 + 0.5

        def area(counts: Float64) -> Float64:
            second_counts = counts[:, second]
            first_counts = counts[:, ~second]
            number = second_counts.sum(axis=1) * first_counts.sum(axis=1)
            right = np.einsum("sf,sf->s", second_counts @ pairs, first_counts)
            shares = np.full(len(right), np.nan)
            np.divide(right, number, out=shares, where=number > 0)
            return shares

        return area


def chance(r: float, null: Float64) -> float:
    """Return the permutation p of an r; NaN without permutations."""
    if not len(null) or not np.isfinite(r):
        return np.nan
    as_large = (null >= r - _TIE).sum()
    return float((1 + as_large) / (1 + len(null)))


def rotated(values: Values) -> Float64:
    """Return people in fewer columns that keep the inner products between people.

    Parameters
    ----------
    values
        (people, columns), finite; may be mapped from a file.
    """
    if values.shape[1] <= len(values):
        columns = np.asarray(values, np.float64)
        return columns - columns.mean(axis=0)
    return scores_from_products(products(values))


def products(values: Values) -> Float64:
    """Return inner products of people's deviations from the mean, (people, people)."""
    people = len(values)
    sums = np.zeros((people, people))
    for start in range(0, values.shape[1], _COLUMNS):
        block = np.asarray(values[:, start : start + _COLUMNS], np.float64)
        block = block - block.mean(axis=0)
        sums += block @ block.T
    return sums


def common_products(
    first: PeopleProducts | None, second: PeopleProducts
) -> PeopleProducts:
    """Add the inner products of two sets of people, such as of two contrasts, for those in both.

    Parameters
    ----------
    first, second
        Labels of people, and their `products`; None: there are no others yet.

    Returns
    -------
    Labels and inner products of deviations from the mean of the people who are in both.

    Examples
    --------
    >>> everybody = products(np.array([[1.0], [2.0], [6.0]]))
    >>> some = products(np.array([[1.0], [6.0]]))
    >>> labels, total = common_products((("a", "b", "c"), everybody), (("a", "c"), some))
    >>> labels, bool(np.allclose(total, 2 * some))
    (('a', 'c'), True)
    """
    if first is None:
        return second
    in_second = {*second[0]}
    labels = tuple(label for label in first[0] if label in in_second)
    total = np.zeros((len(labels), len(labels)))
    for people, inner_products in (first, second):
        centred = inner_products
        if people != labels:
            row_of = {label: row for row, label in enumerate(people)}
            rows = [row_of[label] for label in labels]
            centred = inner_products[np.ix_(rows, rows)]
            centred = centred - centred.mean(axis=0)
            centred = centred - centred.mean(axis=1, keepdims=True)
        total += centred
    return labels, total


def scores_from_products(inner_products: Float64) -> Float64:
    """Return principal component scores with these inner products between people."""
    variances, vectors = np.linalg.eigh(inner_products)
    present = variances > _ROUNDING * max(float(variances[-1]), 0.0)
    return vectors[:, present] * np.sqrt(variances[present])


def family_folds(families: Integers, folds: int, seed: int) -> Integers:
    """Return the fold of each person, (people,); families are not divided.

    Raises
    ------
    ValueError
        There are fewer families than folds.
    """
    from sklearn.model_selection import GroupKFold

    number = len(np.unique(families))
    if number < folds:
        words = counted(number, "family", "families")
        raise ValueError(f"{words} cannot be divided into {folds} folds")
    fold_of_person = np.empty(len(families), np.intp)
    splitter = GroupKFold(folds, shuffle=True, random_state=seed)
    splits = splitter.split(fold_of_person, groups=families)
    for fold, (_, test) in enumerate(splits):
        fold_of_person[test] = fold
    return fold_of_person


def site_folds(families: Integers, sites: Integers) -> Integers:
    """Return one fold per site; a family at several sites goes where most of its people are.

    Examples
    --------
    >>> site_folds(np.array([0, 0, 0, 1, 2]), np.array([7, 7, 9, 9, 9])).tolist()
    [0, 0, 0, 1, 1]
    """
    family_names, family = np.unique(families, return_inverse=True)
    site_names, site = np.unique(sites, return_inverse=True)
    count = np.zeros((len(family_names), len(site_names)), np.intp)
    np.add.at(count, (family, site), 1)
    site_of_family = count.argmax(axis=1)
    _, folds = np.unique(site_of_family[family], return_inverse=True)
    return folds


def predict(
    features: Float64,
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
    columns = _basis(target.covariates)
    residual = target.tested - columns @ np.linalg.lstsq(columns, target.tested)[0]
    # The phenotype, then its permutations.
    targets = np.column_stack([residual, residual[target.orders].T])
    predicted, measured = cross_validated(
        features, targets, target, folds, ridge=ridge, within=within
    )
    null_r = correlation(predicted[:, 1:].T, measured[:, 1:].T)
    null = np.nan_to_num(null_r).astype(np.float64)
    return Prediction(predicted[:, 0], measured[:, 0], null)


def cross_validated(
    features: Float64,
    targets: Float64,
    target: Target,
    folds: Integers,
    *,
    ridge: Ridge = "nested",
    within: bool = False,
) -> tuple[Float64, Float64]:
    """Return predictions of several targets and what they predict, each (people, targets).

    Parameters
    ----------
    features, folds, ridge, within
        As for `predict`.
    targets
        (people, targets), such as permutations of a phenotype, minus what covariates explain.
    target
        The phenotype, whose families and covariates are used.
    """
    range_of_tested = max(np.ptp(target.tested), 1e-300)
    predicted = np.empty_like(targets)
    measured = np.empty_like(targets)
    for fold in np.unique(folds):
        test = folds == fold
        columns = _basis(target.covariates, ~test)
        x, x_test = _without(features, columns, test)
        y, y_test = _without(targets, columns, test)
        if np.ptp(y[:, 0]) < _TIE * range_of_tested:
            raise ValueError("all training people of a fold have the same value of it")
        sum_of_squares = float(np.square(x - x.mean(axis=0)).sum())
        if not x.shape[1] or sum_of_squares <= 0:
            raise ValueError("the features of a fold's training people do not differ")
        alphas = np.full(y.shape[1], sum_of_squares / len(x) ** 2)
        if ridge == "nested":
            grid = _GRID * sum_of_squares / len(x)
            alphas = _chosen(x, y, grid, target.families[~test])
        predict_test = _fitted(x, y, x_test)
        predicted[test] = predict_test(alphas)
        measured[test] = y_test
        if within:
            predicted[test] -= predicted[test].mean(axis=0)
            measured[test] -= measured[test].mean(axis=0)
    # A prediction that is constant up to rounding has no r.
    is_constant = np.ptp(predicted, axis=0) < _TIE * np.ptp(measured, axis=0)
    predicted[:, is_constant] = 0
    return predicted, measured


def _fitted(x: Float64, y: Float64, x_test: Float64) -> Callable[[Float64], Float64]:
    """Return a function from each target's penalty to the ridge predictions for test people."""
    mean_x = x.mean(axis=0)
    mean_y = y.mean(axis=0)
    u, singular, vt = np.linalg.svd(x - mean_x, full_matrices=False)
    singular = singular[:, None]
    # In the space of the components.
    targets = u.T @ (y - mean_y)
    test = (x_test - mean_x) @ vt.T

    def predict_test(alphas: Float64) -> Float64:
        shrinkage = singular / (np.square(singular) + alphas)
        return np.asarray(mean_y + test @ (shrinkage * targets))

    return predict_test


def _chosen(x: Float64, y: Float64, grid: Float64, families: Integers) -> Float64:
    """Return each target's penalty with the smallest squared error over inner folds."""
    from sklearn.model_selection import GroupKFold

    errors = np.zeros((len(grid), y.shape[1]))
    count = min(_INNER, len(np.unique(families)))
    for train, test in GroupKFold(count).split(x, groups=families):
        predict_test = _fitted(x[train], y[train], x[test])
        for row, alpha in enumerate(grid):
            errors[row] += np.square(y[test] - predict_test(alpha)).sum(axis=0)
    return grid[errors.argmin(axis=0)]


def _basis(covariates: Float64, training: Mask | None = None) -> Float64:
    """Return a constant and the covariates, scaled by training people; 0 where these are alike."""
    people = slice(None) if training is None else training
    return np.column_stack([np.ones(len(covariates)), scaled(covariates, people)])


def _without(values: Float64, columns: Float64, test: Mask) -> tuple[Float64, Float64]:
    """Regress columns out of training and test people, with coefficients of training people."""
    coefficients = np.linalg.lstsq(columns[~test], values[~test])[0]
    residuals = values - columns @ coefficients
    return residuals[~test], residuals[test]


def interval(prediction: Prediction, target: Target) -> Interval:
    """Return r of a prediction (two levels: the AUC) with its 95 % interval.

    Its ends are NaN with fewer families than a verdict needs.

    Notes
    -----
    Fisher's z, with families as the people; of two levels, that of 2 AUC - 1, whose variance is
    (n + 1) / (3 n1 n2), where three people fewer count, too. Predictions of different folds are
    learnt from the same people, which makes the standard error larger than that of fixed
    predictions: by 1.35 where nothing is learnt (1.41 by the reasoning of `judge_scores`), by up to
    1.55 where something is, as what is learnt differs between cohorts. Both were measured in
    simulated cohorts (docs/evidence.md).

    Examples
    --------
    >>> x, noise = np.random.default_rng(0).standard_normal((2, 100))
    >>> nothing = np.empty((100, 0)), np.empty((0, 100), int)
    >>> r = interval(Prediction(x, x + noise, np.empty(0)), Target(x, np.arange(100), *nothing))
    >>> round(r.low, 2), round(r.mean, 2), round(r.high, 2)
    (0.55, 0.73, 0.84)
    """
    families, second = len(np.unique(target.families)), target.second
    r = prediction.r
    if second is not None:
        everybody = np.ones((1, len(second)))
        r = 2 * float(prediction.score(second)(everybody)[0]) - 1
    ends = np.full(2, np.nan)
    if families >= FEWEST:
        error = (families - 3) ** -0.5
        if second is not None:
            product = (families - 3) ** 2 * second.mean() * (~second).mean()
            error = np.sqrt((families + 1) / (3 * product))
        wider = np.clip(_LEAST_WIDER + _WIDER_WITH_R * r, _LEAST_WIDER, _MOST_WIDER)
        reach = _NORMAL * wider * error
        inside = np.clip(r, -1 + _TIE, 1 - _TIE)
        ends = np.tanh(np.arctanh(inside) + np.array([-reach, reach]))
    low, high = ends.tolist()
    if second is None:
        return Interval(r, low, high)
    return Interval((1 + r) / 2, (1 + low) / 2, (1 + high) / 2)


def judge(
    prediction: Prediction, reference: Prediction, target: Target, seed: int = 0
) -> Verdict:
    """Judge the difference of a prediction's r (two levels: the AUC) from another's.

    With fewer families than a verdict needs, it has no interval.

    Parameters
    ----------
    prediction, reference
        Predictions in the same folds.
    target
        What was predicted; families are resampled and flipped as a whole.
    seed
        Seed of the bootstrap samples of people.
    """
    second = target.second
    people = len(target.tested)
    rarer = None
    if second is not None:
        rarer = int(min(second.sum(), (~second).sum()))
    score, reference_score = prediction.score(second), reference.score(second)
    verdict = judge_scores(
        lambda counts: score(counts) - reference_score(counts),
        people,
        rarer=rarer,
        families=target.families,
        cross_validated=True,
        seed=seed,
    )
    if verdict is None:
        return Verdict.unknown(people, rarer)
    # Widened for few people, an interval may leave the range of a difference of two scores.
    most = 2.0 if second is None else 1.0
    difference = verdict.difference.within(-most, most)
    if verdict.people < FEWEST:
        difference = Interval(difference.mean)
    return replace(verdict, difference=difference)
