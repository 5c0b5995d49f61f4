"""Baselines: simple predictions of unseen people's behaviour, with which twins are compared.

Each is fitted to training people and predicts the targets of people outside the training set, such
as the mean response time and the condition effect of each task. `BASELINES` has a row for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.adjustment import standardised

Values = NDArray[np.float64]
Features = NDArray[np.floating[Any]]

_KINDS = ("connectome", "taken_out", "numbers", "categories")  # of what is known
_PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # to choose from
# For few covariates: with a large penalty predictions would follow the folds' means, and the
# baseline would be weaker than the covariates allow.
_LIGHT_PENALTIES = (0.01, 0.1, 1.0)
_FEWEST_PEOPLE = 3  # to fit a target on
_UNPENALISED = 1e3  # times their SD, columns are not shrunk: features have a mean square of 1


@dataclass(frozen=True, eq=False)
class Known:
    """Features of people other than their targets; None: not known."""

    people: int  # number of people
    connectome: NDArray[np.floating[Any]] | None = None  # (people, edges), Fisher z
    taken_out: Values | None = None  # (people, columns): covariates that connectomes are less
    numbers: Values | None = None  # (people, covariates), as age; NaN: not known
    categories: NDArray[np.str_] | None = None  # (people, covariates), as site; "": not known

    def __post_init__(self) -> None:
        for name in _KINDS:
            values = getattr(self, name)
            if values is not None and (values.ndim != 2 or len(values) != self.people):
                raise ValueError(
                    f"{name} of {self.people} people is (people, ...), found {values.shape}"
                )

    def of(self, people: NDArray[Any]) -> Known:
        """Return the features of some people, by a mask or indices."""
        own = {name: getattr(self, name) for name in _KINDS}
        some = {name: values[people] for name, values in own.items() if values is not None}
        return Known(len(np.arange(self.people)[people]), **some)


@dataclass(frozen=True, eq=False)
class Training:
    """The training set of baselines."""

    known: Known
    targets: Values  # (people, targets); NaN: not measured


Predict = Callable[[Training, Known], Values]


@dataclass(frozen=True)
class Baseline:
    """A simple prediction of unseen people's targets."""

    name: str  # in tables
    words: str  # on pages
    predict: Predict  # training people and features of others, to (others, targets)
    needs: tuple[str, ...] = ()  # fields of `Known`, one of which is enough


def predict(baseline: Baseline, training: Training, unseen: Known) -> Values:
    """Fit a baseline to training people and predict the targets of others.

    Parameters
    ----------
    baseline
        Row of `BASELINES`: how it is fitted and which features it needs.
    training
        Features and targets of the people to fit to.
    unseen
        Features of the people to predict.

    Returns
    -------
    numpy.ndarray
        (others, targets); NaN where a person lacks the needed features.

    Raises
    ------
    ValueError
        If the features that the baseline needs are not known, or a target has fewer than three
        people.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> connectomes = rng.standard_normal((60, 40))
    >>> targets = connectomes[:, :3].sum(axis=1, keepdims=True)
    >>> people = Known(60, connectome=connectomes)
    >>> training = Training(people.of(np.arange(50)), targets[:50])
    >>> ridge = next(b for b in BASELINES if b.name == "connectome_ridge")
    >>> predicted = predict(ridge, training, people.of(np.arange(50, 60)))
    >>> bool(np.corrcoef(predicted[:, 0], targets[50:, 0])[0, 1] > 0.9)
    True
    """
    for group, known in (("training", training.known), ("unseen", unseen)):
        if baseline.needs and all(getattr(known, name) is None for name in baseline.needs):
            raise ValueError(
                f"the baseline {baseline.name!r} needs {' or '.join(baseline.needs)} of the "
                f"{group} people"
            )
    count = np.isfinite(training.targets).sum(axis=0)
    if count.min() < _FEWEST_PEOPLE:
        raise ValueError(
            f"baselines need {_FEWEST_PEOPLE} training people with each target, found "
            f"{count.tolist()}"
        )
    return baseline.predict(training, unseen)


def usable(known: Known) -> tuple[Baseline, ...]:
    """Return the baselines whose needs are met, in the order of the table.

    Examples
    --------
    >>> [baseline.name for baseline in usable(Known(5, numbers=np.zeros((5, 1))))]
    ['group_mean', 'covariates']
    """
    return tuple(
        row
        for row in BASELINES
        if not row.needs or any(getattr(known, name) is not None for name in row.needs)
    )


def _ridge(
    training: Training,
    own: Features,
    others: Features,
    penalties: Sequence[float] = _PENALTIES,
    taken_out: Values | None = None,
) -> Values:
    """Predict targets from features (people, features); leave-one-out chooses the penalty.

    Covariates that were taken out of features are taken out of targets by the same fit, without a
    penalty; predictions are at the mean of the people of the fit.
    """
    from sklearn.linear_model import RidgeCV

    own, others = _rotated(own, others)
    fixed = np.zeros((len(own), 0)) if taken_out is None else taken_out
    at_mean = np.zeros((len(others), fixed.shape[1]))
    complete, whole = np.isfinite(own).all(axis=1), np.isfinite(others).all(axis=1)
    found = np.full((len(others), training.targets.shape[1]), np.nan)
    for column, targets in enumerate(training.targets.T):
        used = complete & np.isfinite(targets)
        if used.sum() < _FEWEST_PEOPLE or not whole.any():
            continue
        features = np.asarray(own[used], np.float64)
        # Penalties are shares of the mean square of a person's features.
        scale = float((features - features.mean(axis=0)).std() * np.sqrt(features.shape[1])) or 1.0
        both = np.hstack([features / scale, _UNPENALISED * standardised(fixed[used])])
        fit = RidgeCV(alphas=list(penalties)).fit(both, targets[used])
        shown = np.asarray(others[whole], np.float64) / scale
        found[whole, column] = fit.predict(np.hstack([shown, at_mean[whole]]))
    return found


def _rotated(own: Features, others: Features) -> tuple[Features, Features]:
    """Rotate both to as many features as people, which keeps the inner products of people.

    Ridge regression depends on these alone, and a connectome has far more edges than there are
    people.
    """
    both = np.concatenate([own, others])
    if both.shape[1] <= len(both) or not np.isfinite(both).all():
        return own, others
    both = np.asarray(both - own.mean(axis=0), np.float64)
    size, vectors = np.linalg.eigh(both @ both.T)
    fewer = vectors * np.sqrt(np.maximum(size, 0.0))
    return fewer[: len(own)], fewer[len(own) :]


def _group_mean(training: Training, unseen: Known) -> Values:
    return np.tile(np.nanmean(training.targets, axis=0), (unseen.people, 1))


def _covariates(training: Training, unseen: Known) -> Values:
    return _ridge(training, *_encoded(training.known, unseen), _LIGHT_PENALTIES)


def _encoded(training: Known, unseen: Known) -> tuple[Values, Values]:
    """Encode numbers, their squares and categories as features, scaled by training people alone.

    Unknown values, and categories that no training person has, become the training mean.
    """
    columns: list[tuple[Values, Values]] = []
    if training.numbers is not None and unseen.numbers is not None:
        for own, other in zip(training.numbers.T, unseen.numbers.T, strict=True):
            z = _standardised(own, other)
            columns += [z, _standardised(z[0] ** 2, z[1] ** 2)]
    if training.categories is not None and unseen.categories is not None:
        for labels, others in zip(training.categories.T, unseen.categories.T, strict=True):
            known = sorted(set(labels.tolist()) - {""})
            for label in known:
                columns.append(
                    _standardised(
                        np.where(labels == "", np.nan, labels == label),
                        np.where(np.isin(others, known), others == label, np.nan),
                    )
                )
    own_columns, other_columns = zip(*columns, strict=True)
    return np.stack(own_columns, axis=1), np.stack(other_columns, axis=1)


def _standardised(own: Values, others: Values) -> tuple[Values, Values]:
    """Standardise both by the mean and SD of the first; unknown and constant values become 0."""
    known = own[np.isfinite(own)]
    mean, sd = (known.mean(), known.std()) if len(known) else (0.0, 0.0)
    own, others = ((values - mean) / (sd or np.inf) for values in (own, others))
    return np.nan_to_num(own), np.nan_to_num(others)


def _connectome_ridge(training: Training, unseen: Known) -> Values:
    own, others = training.known.connectome, unseen.connectome
    assert own is not None
    assert others is not None
    return _ridge(training, own, others, taken_out=training.known.taken_out)


BASELINES = (
    Baseline("group_mean", "the mean of the training people", _group_mean),
    Baseline(
        "covariates",
        "ridge from numbers, as age, and their squares, and categories, as sex, site and group",
        _covariates,
        ("numbers", "categories"),
    ),
    Baseline("connectome_ridge", "ridge from the connectome", _connectome_ridge, ("connectome",)),
)
