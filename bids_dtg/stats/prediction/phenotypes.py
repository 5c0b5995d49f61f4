"""Phenotypes predicted by cross-validated ridge regression: penalties, scores, permutations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.prediction.folds import Folds, FoldSplit, repeated_folds
from bids_dtg.stats.prediction.ridge import Features, Nuisance, RidgeFit, fit_ridge

Values = NDArray[np.floating[Any]]
Array = NDArray[np.float64]
Index = NDArray[np.integer[Any]]
Penalty = Literal["published", "nested", "equal"]

PENALTIES: tuple[Penalty, ...] = ("published", "nested")
# Candidates for alpha, in units of the mean eigenvalue of the training people's kernel.
NESTED_GRID = tuple(float(10**exponent) for exponent in np.arange(-3.0, 3.01, 0.5))
# Candidates for equal degrees of freedom, as shares of those that every set can have.
EQUAL_GRID = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
INNER_FOLDS = 5
_FEWEST_IN_FOLD = 3  # people, for a correlation
_LARGEST = 1e100  # of a phenotype: squares of larger values are not finite
_TIE = 1e-9  # scores that are nearer to each other than this are equal


@dataclass(frozen=True)
class ScoreKind:
    """What a score means."""

    words: str
    larger_is_better: bool
    chance: float | None  # what knowing nothing gets; None: see the baseline


SCORES: Mapping[str, ScoreKind] = MappingProxyType(
    {
        "r": ScoreKind(
            "Pearson correlation over test people of predicted and measured deviations from what "
            "means and confounds of the training people say",
            True,
            0.0,
        ),
        "r2": ScoreKind(
            "1 - squared error / squared deviation from what means and confounds of the training "
            "people say; below 0: worse than these",
            True,
            0.0,
        ),
        "mae": ScoreKind("Mean absolute error, in units of the phenotype", False, None),
        "balanced_accuracy": ScoreKind(
            "Mean over the two levels of the share of their people who are recognised", True, 0.5
        ),
        "auc": ScoreKind(
            "Probability that the decision value of a person of the second level is above that of "
            "a person of the first",
            True,
            0.5,
        ),
    }
)


@dataclass(frozen=True)
class Target:
    """What is predicted: a number, or which of two levels."""

    values: Array  # (people,); of levels -1 for the first and +1 for the second
    levels: tuple[str, ...] = ()  # two, or none of a number

    @classmethod
    def numbers(cls, values: Values) -> Target:
        """Take a number for each person.

        Raises
        ------
        ValueError
            If one is not finite or all are equal, or they are too large or too near to each other
            for their squares.

        Examples
        --------
        >>> import numpy as np
        >>> Target.numbers(np.array([90.0, 110.0])).score_names
        ('r', 'r2', 'mae')
        """
        own = np.asarray(values, np.float64)
        if not np.isfinite(own).all():
            raise ValueError("a phenotype has a value that is not finite: leave such people out")
        if np.ptp(own) == 0:
            raise ValueError("all people have one value of the phenotype")
        if np.abs(own).max() > _LARGEST or own.std() < 1 / _LARGEST:
            raise ValueError(f"its values are above {_LARGEST:g}, or differ by less than one over")
        return cls(own)

    @classmethod
    def two_levels(cls, texts: Sequence[str]) -> Target:
        """Take a level for each person.

        Raises
        ------
        ValueError
            If there are not two levels.

        Examples
        --------
        >>> target = Target.two_levels(["M", "F", "F"])
        >>> target.levels, target.values.tolist(), target.score_names
        (('F', 'M'), [1.0, -1.0, -1.0], ('balanced_accuracy', 'auc'))
        """
        levels = tuple(sorted(set(texts)))
        if len(levels) != 2:
            raise ValueError(f"a phenotype of levels has two, found {len(levels)}: {levels}")
        return cls(np.where(np.asarray(texts) == levels[1], 1.0, -1.0), levels)

    @property
    def score_names(self) -> tuple[str, ...]:
        """Which of `SCORES` judge it; the first is the headline of a number, AUC of levels."""
        return ("balanced_accuracy", "auc") if self.levels else ("r", "r2", "mae")

    @property
    def headline(self) -> str:
        """The score by which sets of features are compared."""
        return "auc" if self.levels else "r"

    @property
    def rarer(self) -> int | None:
        """How many people are of the rarer level; None: it is a number."""
        if not self.levels:
            return None
        second = int((self.values > 0).sum())
        return min(second, len(self.values) - second)

    @property
    def effective_people(self) -> float:
        """How many people in two equal levels would say as much; of a number all of them.

        Examples
        --------
        >>> Target.two_levels(["patient"] * 10 + ["control"] * 90).effective_people
        36.0
        """
        people, rarer = len(self.values), self.rarer
        return float(people) if rarer is None else 4 * rarer * (people - rarer) / people

    def of_people(self, people: Index) -> Target:
        """Return the target of some people, by their places."""
        return Target(self.values[people], self.levels)


@dataclass(frozen=True)
class Outcome:
    """What cross-validation found with one penalty.

    Predictions are deviations from a baseline: what the mean and the confounds of the fold's
    training people say. `baseline` + `predicted` is in units of the phenotype.
    """

    penalty: Penalty
    predicted: Array  # (repeats, people); of two levels the decision value
    measured: Array  # (repeats, people), deviations from the same baseline
    baseline: Array  # (repeats, people)
    by_repeat: Mapping[str, Array]  # score -> (repeats,), each over everybody
    by_fold: Mapping[str, Array]  # score -> (repeats, folds); NaN where a fold is too small
    null: Mapping[str, Array]  # score -> (permutations,), means over repeats
    alphas: Array  # (repeats, folds), in squared units of the features
    effective_dof: Array  # (repeats, folds), without intercept and confounds

    def mean(self, score: str) -> float:
        """Return a score: over everybody in each repeat, then the mean over repeats."""
        return float(self.by_repeat[score].mean())

    def p(self, score: str) -> float:
        """Return the share of permutations that score as well, (b + 1) / (m + 1), or NaN."""
        null = self.null[score]
        if not len(null):
            return float("nan")
        sign = 1 if SCORES[score].larger_is_better else -1
        as_good = int((sign * (null - self.mean(score)) >= -_TIE).sum())
        return (as_good + 1) / (len(null) + 1)


def predict_phenotype(
    features: Features,
    target: Target,
    folds: Folds,
    *,
    confounds: Values | None = None,
    permutations: Index | None = None,
    penalties: Sequence[Penalty] = PENALTIES,
    seed: int = 0,
) -> Mapping[Penalty, Outcome]:
    """Predict a phenotype from features by cross-validated ridge regression.

    Parameters
    ----------
    features, target, folds
        Features (people, features), phenotype and folds of the same people.
    confounds
        (people, confounds), regressed out of features and target in each fold by coefficients of
        its training people.
    permutations
        (permutations, people): places of people; the person at i gets what the person at
        `permutations[n, i]` has. They carry what families and sites allow.
    penalties
        "published": alpha = features / training people, as in the DeepTaskGen paper. That
        presumes features of unit variance; here a set is divided by one number, so that the
        mean variance of its columns in the training people is 1, else alpha would mean
        something else for a connectome than for maps. "nested": of `NESTED_GRID`, the one with
        the least squared error for people left out of the training people in 5 inner folds of
        whole families, in closed form; of equal ones the largest.
    seed
        Seed of the draws of inner folds.

    Returns
    -------
    Mapping
        An outcome for each penalty.

    Raises
    ------
    ValueError
        If shapes differ, or training people of a fold are all alike.

    Notes
    -----
    Scores are taken over all test people of a repeat, then averaged over repeats. Two levels
    are coded -1 and +1 (as scikit-learn's `RidgeClassifier`), without class weights; the
    decision value is the deviation from the baseline and its threshold 0, so that the more
    frequent level is not favoured.

    With confounds, what the confounds leave of the target over everybody is permuted (Freedman &
    Lane 1983, doi:10.2307/1391660; what they explain need not be added back, for each fold takes
    it away again). A person's level goes with what is left of it. The penalty of each permutation
    is chosen anew. What confounds leave shrinks when it is permuted, so that absolute errors of a
    permutation are multiplied by the ratio of the baseline's.

    Where features say nothing, r is 0 on average with the published penalty; with the nested
    penalty it is a little below (-0.05 to -0.1 with 60 to 120 people), for the same people choose
    the penalty and shift what is left for the test: judge by `null`, not by 0.

    Memory: 32 x people x permutations bytes for each penalty, and in a fold 24 x people².

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((60, 100))
    >>> y = x @ np.ones(100)
    >>> folds = repeated_folds(np.arange(60), repeats=2)
    >>> orders = np.stack([rng.permutation(60) for _ in range(99)])
    >>> found = predict_phenotype(
    ...     Features.of(x), Target.numbers(y), folds, permutations=orders
    ... )["nested"]
    >>> found.p("r") < 0.05, found.predicted.shape
    (True, (2, 60))
    """
    people = len(target.values)
    _check_people(features, folds, people)
    data = _Permuted.of(target, confounds, permutations)
    tallies = {penalty: _Tally(target, folds, data) for penalty in penalties}
    for repeat in range(folds.repeats):
        for split in folds.splits(repeat):
            fit = fit_ridge(features, split.train, split.test, confounds)
            own = data.of_fold(fit.nuisance, split)
            inner = _inner_folds(folds, split, seed)
            for penalty, tally in tallies.items():
                tally.add(split, fit, own, _CHOICES[penalty](fit, own.train, inner))
        for tally in tallies.values():
            tally.close_repeat(repeat)
    return {penalty: tally.outcome(penalty) for penalty, tally in tallies.items()}


def predict_equally(
    sets: Mapping[str, Features],
    target: Target,
    folds: Folds,
    *,
    confounds: Values | None = None,
    seed: int = 0,
) -> Mapping[str, Outcome]:
    """Predict with several sets of features at equal regularisation.

    Parameters
    ----------
    sets
        By name, of the same people.
    target, folds, confounds, seed
        Phenotype, folds, confounds and seed, as of `predict_phenotype`.

    Returns
    -------
    Mapping
        An outcome for each set, without permutations. In each fold all sets have the same
        effective degrees of freedom (the trace of the smoother): of `EQUAL_GRID`, as shares of
        the smallest rank, those with which the sets' squared errors in the inner folds have the
        smallest sum.

    Raises
    ------
    ValueError
        As `predict_phenotype`; or if confounds leave nothing of a set.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((40, 60))
    >>> sets = {"all": Features.of(x), "few": Features.of(x[:, :5])}
    >>> folds = repeated_folds(np.arange(40), repeats=1)
    >>> found = predict_equally(sets, Target.numbers(x[:, 0]), folds)
    >>> bool(np.allclose(found["all"].effective_dof, found["few"].effective_dof))
    True
    """
    for features in sets.values():
        _check_people(features, folds, len(target.values))
    data = _Permuted.of(target, confounds, None)
    tallies = {name: _Tally(target, folds, data) for name in sets}
    for repeat in range(folds.repeats):
        for split in folds.splits(repeat):
            fits = [fit_ridge(own, split.train, split.test, confounds) for own in sets.values()]
            of_fold = data.of_fold(fits[0].nuisance, split)
            alphas = _equal_alphas(fits, of_fold.train, _inner_folds(folds, split, seed))
            for tally, fit, alpha in zip(tallies.values(), fits, alphas, strict=True):
                tally.add(split, fit, of_fold, np.array([alpha]))
        for tally in tallies.values():
            tally.close_repeat(repeat)
    return {name: tally.outcome("equal") for name, tally in tallies.items()}


def score_baseline(
    target: Target, folds: Folds, confounds: Values | None = None
) -> Mapping[str, float]:
    """Score what confounds alone predict: the figure beside that of features.

    Parameters
    ----------
    target, folds, confounds
        Phenotype, folds and confounds, as of `predict_phenotype`.

    Returns
    -------
    Mapping
        Of `SCORES`, over test people of a repeat and averaged over repeats; without confounds
        those of the training people's mean, or chance. Here r, R², balanced accuracy and AUC
        are of deviations from the training people's mean.

    Examples
    --------
    >>> import numpy as np
    >>> folds = repeated_folds(np.arange(10), repeats=1)
    >>> age = np.arange(10.0)
    >>> score_baseline(Target.numbers(2 * age), folds, age[:, None])["r2"]
    1.0
    """
    y, found = target.values[:, None], []
    for repeat in range(folds.repeats):
        measured, predicted = np.empty_like(y), np.empty_like(y)
        for split in folds.splits(repeat):
            mean = y[split.train].mean()
            own = Nuisance.of(confounds, split.train, split.test).expect(y[split.train])
            measured[split.test], predicted[split.test] = y[split.test] - mean, own - mean
        # Without confounds, rounding is all that differs from the mean.
        predicted[np.abs(predicted) < _TIE * np.abs(y).max()] = 0.0
        found.append(_score(target, measured, predicted, y > 0))
    return {
        name: float(np.mean([scores[name][0] for scores in found]).round(9))
        for name in target.score_names
    }


def _check_people(features: Features, folds: Folds, people: int) -> None:
    if not features.people == folds.fold.shape[1] == people:
        raise ValueError(
            f"features are of {features.people} people, folds of {folds.fold.shape[1]}, "
            f"the phenotype of {people}"
        )


def _inner_folds(folds: Folds, split: FoldSplit, seed: int) -> Index:
    """Draw inner folds of the training people, whole families each, (train,)."""
    families = folds.families[split.train]
    count = min(INNER_FOLDS, len(np.unique(families)))
    if count < 2:
        raise ValueError(f"fold {split.fold} has one family to train on: no penalty can be chosen")
    own_seed = int(np.random.SeedSequence([seed, split.repeat, split.fold]).generate_state(1)[0])
    drawn: NDArray[np.intp] = repeated_folds(families, folds=count, repeats=1, seed=own_seed).fold[
        0
    ]
    return drawn


def _published(fit: RidgeFit, targets: Array, inner: Index) -> Array:
    return np.array([fit.published_alpha])


def _nested(fit: RidgeFit, targets: Array, inner: Index) -> Array:
    """Return the best alpha of the grid for each target."""
    # The largest first: it is taken where several are as good.
    alphas = fit.mean_strength * np.array(NESTED_GRID[::-1])
    errors = fit.left_out_errors(targets, alphas, inner)
    best: Array = alphas[(errors <= errors.min(axis=0) * (1 + _TIE)).argmax(axis=0)]
    return best


_CHOICES: Mapping[Penalty, Callable[[RidgeFit, Array, Index], Array]] = MappingProxyType(
    {"published": _published, "nested": _nested}
)


def _equal_alphas(fits: Sequence[RidgeFit], targets: Array, inner: Index) -> list[float]:
    """Return an alpha for each fit, all with the same degrees of freedom."""
    rank = min(len(fit.strengths) for fit in fits)
    candidates = [
        np.array([fit.alpha_of(share * rank) for share in EQUAL_GRID] if rank else [1.0])
        for fit in fits
    ]
    errors = sum(
        fit.left_out_errors(targets, alphas, inner)[:, 0]
        for fit, alphas in zip(fits, candidates, strict=True)
    )
    best = int(np.argmin(errors))
    return [float(alphas[best]) for alphas in candidates]


def choose_alpha(
    fit: RidgeFit, targets: Values, families: Index, penalty: Penalty = "nested", seed: int = 0
) -> Array:
    """Choose the penalty for targets of training people.

    Parameters
    ----------
    fit
        Ridge fit to the training people.
    targets, families
        (train, targets) values and (train,) families of the training people.
    penalty, seed
        Penalty and seed, as of `predict_phenotype`.

    Returns
    -------
    (targets,) or, where the penalty does not depend on them, (1,)

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((50, 3))
    >>> everybody = np.arange(50)
    >>> fit = fit_ridge(Features.of(x), everybody, everybody)
    >>> alpha = choose_alpha(fit, x[:, :1], everybody)
    >>> bool(np.isclose(alpha[0], 1e-3 * fit.mean_strength))
    True
    """
    count = min(INNER_FOLDS, len(np.unique(families)))
    inner = repeated_folds(families, folds=count, repeats=1, seed=seed).fold[0]
    return _CHOICES[penalty](fit, np.asarray(targets, np.float64), inner)


@dataclass(frozen=True)
class _OfFold:
    """Targets of one fold: the observed, then each permutation."""

    train: Array  # (train, targets)
    measured: Array  # (test, targets), deviations from what training people say
    baseline: Array  # (test,), of the observed


@dataclass(frozen=True)
class _Permuted:
    """The observed target and what is left of it, permuted."""

    observed: Array  # (people,)
    targets: Array  # (people, 1 + permutations)
    is_second: NDArray[np.bool_]  # (people, 1 + permutations), of two levels

    @classmethod
    def of(cls, target: Target, confounds: Values | None, permutations: Index | None) -> _Permuted:
        people = len(target.values)
        if confounds is not None and len(confounds) != people:
            raise ValueError(f"confounds are of {len(confounds)} people, not of {people}")
        everybody = np.arange(people)
        orders = everybody[:, None]
        if permutations is not None:
            if permutations.shape[1:] != (people,):
                raise ValueError(f"permutations are (n, {people}), found {permutations.shape}")
            orders = np.hstack([orders, permutations.T])
        left = Nuisance.of(confounds, everybody, everybody).remove(target.values)
        return cls(target.values, left[orders], target.values[orders] > 0)

    def of_fold(self, nuisance: Nuisance, split: FoldSplit) -> _OfFold:
        train = self.targets[split.train]
        if not np.ptp(self.observed[split.train]) > 0:
            raise ValueError(
                f"all training people of fold {split.fold} have one value of the phenotype"
            )
        measured = self.targets[split.test] - nuisance.expect(train)
        baseline = nuisance.expect(self.observed[split.train])
        return _OfFold(train, measured, baseline)


class _Tally:
    """Predictions of a penalty, gathered fold by fold and scored repeat by repeat."""

    def __init__(self, target: Target, folds: Folds, data: _Permuted) -> None:
        self._target, self._data = target, data
        people, targets = data.targets.shape
        by_fold = (folds.repeats, folds.count)
        self._measured, self._deviations = np.empty((people, targets)), np.empty((people, targets))
        self._predicted = np.full((folds.repeats, people), np.nan)
        self._baseline, self._measured_by_repeat = self._predicted.copy(), self._predicted.copy()
        self._alphas, self._effective_dof = np.full(by_fold, np.nan), np.full(by_fold, np.nan)
        names = target.score_names
        self._by_fold = {name: np.full(by_fold, np.nan) for name in names}
        self._by_repeat = {name: np.full((folds.repeats, targets), np.nan) for name in names}

    def add(self, split: FoldSplit, fit: RidgeFit, own: _OfFold, alphas: Array) -> None:
        test, here = split.test, (split.repeat, split.fold)
        self._measured[test] = own.measured
        self._deviations[test] = fit.deviations(own.train, alphas)
        self._predicted[split.repeat, test] = self._deviations[test, 0]
        self._measured_by_repeat[split.repeat, test] = own.measured[:, 0]
        self._baseline[split.repeat, test] = own.baseline
        self._alphas[here] = alphas[0]
        self._effective_dof[here] = fit.effective_dof(float(alphas[0]))
        is_second = self._data.is_second[test, :1]
        if len(test) < _FEWEST_IN_FOLD or (
            self._target.levels and is_second.all() == is_second.any()
        ):
            return
        scores = _score(self._target, own.measured[:, :1], self._deviations[test, :1], is_second)
        for name, value in scores.items():
            self._by_fold[name][here] = value[0]

    def close_repeat(self, repeat: int) -> None:
        scores = _score(self._target, self._measured, self._deviations, self._data.is_second)
        for name, values in scores.items():
            self._by_repeat[name][repeat] = values
        if "mae" in scores:
            # Permuting what confounds leave makes less of it: errors shrink, and so does this.
            size = np.abs(self._measured).mean(axis=0)
            self._by_repeat["mae"][repeat] *= size[0] / size

    def outcome(self, penalty: Penalty) -> Outcome:
        return Outcome(
            penalty,
            self._predicted,
            self._measured_by_repeat,
            self._baseline,
            {name: values[:, 0] for name, values in self._by_repeat.items()},
            self._by_fold,
            {name: values[:, 1:].mean(axis=0) for name, values in self._by_repeat.items()},
            self._alphas,
            self._effective_dof,
        )


def _score(
    target: Target, measured: Array, predicted: Array, is_second: NDArray[np.bool_]
) -> dict[str, Array]:
    """Score predictions (people, targets) by each score of the target, (targets,)."""
    if target.levels:
        return {
            "balanced_accuracy": _balanced_accuracy(predicted, is_second),
            "auc": _auc(predicted, is_second),
        }
    error = measured - predicted
    # Where all have one value there is no share of their variance.
    variance = np.maximum(np.square(measured).sum(axis=0), np.finfo(float).tiny)
    return {
        "r": _correlation(measured, predicted),
        "r2": 1 - np.square(error).sum(axis=0) / variance,
        "mae": np.abs(error).mean(axis=0),
    }


def _correlation(measured: Array, predicted: Array) -> Array:
    """Return r over people; 0 where one is constant: it says nothing of the other."""
    x, y = measured - measured.mean(axis=0), predicted - predicted.mean(axis=0)
    product = np.einsum("pt,pt->t", x, y)
    length = np.sqrt(np.einsum("pt,pt->t", x, x) * np.einsum("pt,pt->t", y, y))
    r: Array = np.divide(product, length, out=np.zeros_like(product), where=length > 0)
    return r


def _balanced_accuracy(predicted: Array, is_second: NDArray[np.bool_]) -> Array:
    said = predicted > 0
    second = (said & is_second).sum(axis=0) / is_second.sum(axis=0)
    first = (~said & ~is_second).sum(axis=0) / (~is_second).sum(axis=0)
    found: Array = (first + second) / 2
    return found


def _auc(predicted: Array, is_second: NDArray[np.bool_]) -> Array:
    """Return the area under the ROC curve; ties count half (Mann & Whitney 1947)."""
    from scipy.stats import rankdata

    ranks = np.where(is_second, rankdata(predicted, axis=0), 0.0).sum(axis=0)
    second = is_second.sum(axis=0)
    first = len(is_second) - second
    area: Array = (ranks - second * (second + 1) / 2) / (first * second)
    return area
