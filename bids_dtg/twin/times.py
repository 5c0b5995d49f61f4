"""Mean response times and condition effects: observed, performed or predicted from connectomes.

A twin differs from the group's network only in these few measures. A ridge regression predicts each
of them from the connectome, with a penalty chosen by leave-one-out. If predictions do not agree
with left-out people, nothing is predicted, because twins would then differ by noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bids_dtg.twin.adjustment import slopes_on
from bids_dtg.twin.trial_series import Segments, TaskSet

Array = NDArray[np.float64]

RT, EFFECT = "rt", "effect"  # the mean response time, and the second condition minus the first
LEAST_Z = 2.326  # agreement of predictions with left-out people: p = .01, one-sided
PENALTIES = np.logspace(-2, 4, 37)  # of a ridge, relative to the mean eigenvalue of the kernel
_FOLDS = 5  # of people, to judge predictions
_FEWEST = 3  # people of a regression
_NOTHING = 1e-12  # a smaller variance of connectomes is 0
_ROUNDING = 1e-9  # of the largest value: if the SD is smaller, covariates explain everything


@dataclass(frozen=True)
class Target:
    """A behavioural measure of each person."""

    task: str
    what: str  # `RT` or `EFFECT`

    @property
    def name(self) -> str:
        """Name in columns, for example ``stroop_rt``."""
        return f"{self.task}_{self.what}"


def targets_of(tasks: TaskSet) -> tuple[Target, ...]:
    """Return the measures of tasks: the mean response time, and the condition effect if any.

    Examples
    --------
    >>> from bids_dtg.twin.tasks import find_task
    >>> [target.name for target in targets_of(TaskSet((find_task("stroop"),)))]
    ['stroop_rt', 'stroop_effect']
    """
    return tuple(
        Target(task.name, what)
        for task in tasks.tasks
        for what in (RT, EFFECT)
        if what == RT or len(task.conditions) > 1
    )


def mean_times(
    seconds: Tensor, segments: Segments, used: NDArray[np.bool_] | None = None
) -> Tensor:
    """Return the measures that `targets_of` lists; differentiable.

    Parameters
    ----------
    seconds
        Response times, (1 or people, trials), of people or of networks that performed the segments;
        NaN: no response.
    segments
        What the people saw.
    used
        Trials that count, (people, trials); None: the scored ones.

    Returns
    -------
    torch.Tensor
        (people, targets), seconds; NaN where a person has no such response.
    """
    rows = segments.trials
    counts = torch.from_numpy(rows.scored if used is None else used) & seconds.isfinite()
    known = torch.where(counts, seconds, torch.zeros((), dtype=seconds.dtype))

    def mean(chosen: NDArray[np.bool_]) -> Tensor:
        own = torch.from_numpy(chosen)
        number = (counts & own).sum(-1)
        total = torch.where(own, known, torch.zeros((), dtype=seconds.dtype)).sum(-1)
        return torch.where(number > 0, total / number.clamp(min=1), torch.nan)

    found = []
    for number, task in enumerate(segments.tasks.tasks):
        own = rows.task == number
        found.append(mean(own))
        if len(task.conditions) > 1:
            first, second = (mean(own & (rows.condition == level)) for level in (0, 1))
            found.append(second - first)
    return torch.stack(found, -1)


def observed_times(segments: Segments) -> Array:
    """Return the measures of people's own responses, (people, targets), seconds."""
    return mean_times(torch.from_numpy(segments.trials.rt_seconds), segments).double().numpy()


@dataclass(frozen=True, eq=False)
class Ridges:
    """Ridge regressions of people's measures on connectomes."""

    edge_mean: Array  # (edges,), of the training people
    weights: Array  # (edges, targets): seconds per unit of an edge
    predictable: NDArray[np.bool_]  # (targets,): whether leave-one-out beats the mean

    def predict(self, connectomes: NDArray[np.floating[Any]]) -> Array:
        """Return measures minus the training people's mean, (people, targets), seconds."""
        return np.asarray((connectomes - self.edge_mean) @ self.weights)


def fit_ridges(
    connectomes: NDArray[np.floating[Any]], times: Array, covariates: Array | None = None
) -> Ridges:
    """Fit a ridge regression of each measure on connectomes.

    Linear effects of covariates are removed from connectomes and measures alike (Frisch & Waugh
    1933, doi:10.2307/1907330).

    Parameters
    ----------
    connectomes
        (people, edges), Fisher z or any other features.
    times
        (people, targets); people without a measure (NaN) are left out of its regression.
    covariates
        (people, columns), finite; None: none.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> traits = np.linalg.qr(rng.normal(size=(40, 2)))[0]
    >>> edges = traits @ rng.normal(size=(2, 300))
    >>> found = fit_ridges(edges, traits)
    >>> bool(np.corrcoef(found.predict(edges).T[0], traits.T[0])[0, 1] > 0.99)
    True
    """
    from sklearn.linear_model import RidgeCV

    values = np.asarray(connectomes, np.float64)
    everybody = np.ones(len(values), bool)
    edges = _without(values, covariates, everybody)
    weights = np.zeros((edges.shape[1], times.shape[1]))
    predictable = np.zeros(times.shape[1], bool)
    for known, columns in by_known(np.isfinite(times)):
        own, number = edges[known], int(known.sum())
        scale = float((own**2).sum()) / max(number, 1)
        if number < _FEWEST or not scale > _NOTHING:
            continue
        left = _without(times[:, columns], covariates, known)[known]
        model = RidgeCV(alphas=PENALTIES * scale, alpha_per_target=True).fit(own, left)
        weights[:, columns] = np.atleast_2d(model.coef_).T
        # The mean of the others misses a left-out person by n / (n - 1) times as much.
        worst = left.var(axis=0) * (number / (number - 1)) ** 2
        predictable[columns] = -model.best_score_ < worst
    return Ridges(values.mean(axis=0), weights, predictable)


def left_out_z(
    connectomes: NDArray[np.floating[Any]],
    times: Array,
    covariates: Array | None = None,
    families: NDArray[np.integer] | None = None,
) -> float:
    """Return the z of agreement between predicted and observed measures of left-out people.

    People are left out in folds, families together. Penalties, predictable measures and slopes of
    covariates are chosen in the others. Above `LEAST_Z`, connectomes are considered predictive.

    Parameters
    ----------
    connectomes, times, covariates
        As in `fit_ridges`.
    families
        (people,), number of each person's family; None: nobody has relatives.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> traits = np.linalg.qr(rng.normal(size=(40, 2)))[0]
    >>> left_out_z(traits @ rng.normal(size=(2, 300)), traits) > 4
    True
    >>> left_out_z(rng.normal(size=(40, 300)), traits) > LEAST_Z
    False
    """
    return float(z_of(left_out_agreement(connectomes, times, covariates, families).sum(axis=1)))


def z_of(agreement: Array) -> Array:
    """Return the z of agreement over people, the first axis."""
    size = np.sqrt((agreement**2).sum(axis=0))
    return np.asarray(agreement.sum(axis=0) / np.maximum(size, _NOTHING))


def left_out_agreement(
    connectomes: NDArray[np.floating[Any]],
    times: Array,
    covariates: Array | None = None,
    families: NDArray[np.integer] | None = None,
) -> Array:
    """Return the product of predicted and observed measures of left-out people, in SD.

    The parameters are those of `left_out_z`. The product, (people, targets), is 0 where a measure
    is not predictable.
    """
    people, values = len(times), np.asarray(connectomes, np.float64)
    order = np.random.default_rng(0).permutation(people)
    fold = order % min(_FOLDS, people)
    if families is not None:  # each family is in the fold of its first person
        _, first, of = np.unique(families, return_index=True, return_inverse=True)
        fold = fold[first][of]
    agreement = np.zeros(times.shape)
    scale = np.full(times.shape[1], np.inf)
    for place, time in enumerate(times.T):
        if (known := np.isfinite(time)).any():
            spread = _without(time[:, None], covariates, known)[known].std()
            if spread > _ROUNDING * np.abs(time[known]).max():
                scale[place] = spread
    for number in np.unique(fold) if people >= _FEWEST and np.ptp(fold) else ():
        own, others = fold == number, fold != number
        fit = fit_ridges(
            values[others], times[others], None if covariates is None else covariates[others]
        )
        predicted = _without(values, covariates, others)[own] @ fit.weights
        for known, columns in by_known(np.isfinite(times)):
            if not fit.predictable[columns].any():
                continue
            left = _without(times[:, columns], covariates, others & known)[own]
            found = predicted[:, columns] * left / scale[columns] ** 2
            agreement[np.ix_(own, columns)] = np.nan_to_num(found * fit.predictable[columns])
    return agreement


def by_known(known: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.intp]]]:
    """Yield each set of people and the columns that exactly these people have."""
    patterns, of = np.unique(known, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        yield pattern, np.flatnonzero(of.ravel() == number)


def _without(values: Array, covariates: Array | None, rows: NDArray[np.bool_]) -> Array:
    """Return values minus the mean and the linear effect of covariates, estimated in `rows`."""
    found = values - values[rows].mean(axis=0)
    if covariates is None:
        return np.asarray(found)
    own = covariates[rows]
    return np.asarray(found - (covariates - own.mean(axis=0)) @ slopes_on(own, values[rows]))
