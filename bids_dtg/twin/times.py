"""Measures of behaviour: observed, performed, or predicted from connectomes.

They are mean response times, condition effects, accuracies and standard deviations of times. A
ridge regression predicts each of them from the connectome, with a penalty chosen by leave-one-out.
If predictions do not agree with left-out people better than those from permuted connectomes do,
nothing is predicted, because twins would then differ by noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bids_dtg.array_types import Float64, Floats, Indices, Integers, Mask
from bids_dtg.stats.permutation import permuted_orders
from bids_dtg.twin.adjustment import slopes_on
from bids_dtg.twin.trial_series import Segments, TaskSet

# The mean response time, and the second condition minus the first.
RT, EFFECT = "rt", "effect"
# Share of correct trials, and the SD of response times.
ACCURACY, SPREAD = "accuracy", "rt_sd"
PERMUTATIONS = 99  # of connectomes: a gate opens by chance in 1 of 100
# Of a ridge, relative to the mean eigenvalue of the kernel.
PENALTIES = np.logspace(-2, 4, 37)
_FOLDS = 5  # of people, to judge predictions
_FEWEST = 3  # people of a regression
_NOTHING = 1e-12  # a smaller variance of connectomes is 0
_SMALLEST = 1e-8  # variance of times in square seconds; one response has none
# Of the largest value: if the SD is smaller, covariates explain everything.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Target:
    """A behavioural measure of each person."""

    task: str
    what: str  # `RT`, `EFFECT`, `ACCURACY` or `SPREAD`

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


def measures_of(tasks: TaskSet) -> tuple[Target, ...]:
    """Return the measures in which twins differ: those of `targets_of`, accuracies, SDs of times.

    Examples
    --------
    >>> from bids_dtg.twin.tasks import find_task
    >>> [measure.name for measure in measures_of(TaskSet((find_task("stroop"),)))]
    ['stroop_rt', 'stroop_effect', 'stroop_accuracy', 'stroop_rt_sd']
    """
    accuracies = [Target(task.name, ACCURACY) for task in tasks.tasks]
    spreads = [Target(task.name, SPREAD) for task in tasks.tasks]
    return (*targets_of(tasks), *accuracies, *spreads)


def mean_times(seconds: Tensor, segments: Segments, used: Mask | None = None) -> Tensor:
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
    rows, scored = segments.trials, segments.trials.scored if used is None else used
    means = []
    for number, task in enumerate(segments.tasks.tasks):
        in_task = rows.task == number
        means.append(_mean(seconds, scored & in_task))
        if len(task.conditions) > 1:
            first, second = (
                _mean(seconds, scored & in_task & (rows.condition == level))
                for level in (0, 1)
            )
            means.append(second - first)
    return torch.stack(means, -1)


def all_measures(
    seconds: Tensor,
    squares: Tensor,
    correct: Tensor,
    segments: Segments,
    used: Mask | None = None,
) -> Tensor:
    """Return the measures that `measures_of` lists, (people, measures); differentiable.

    Parameters
    ----------
    seconds, segments, used
        As in `mean_times`.
    squares
        Squared response times, or their means, (1 or people, trials); NaN: no response.
    correct
        Whether the response was correct, or how likely it is, (1 or people, trials).
    """
    rows, scored = segments.trials, segments.trials.scored if used is None else used
    trials_of_tasks = [
        scored & (rows.task == number) for number in range(len(segments.tasks.tasks))
    ]
    accuracies = [_mean(correct, trials) for trials in trials_of_tasks]
    variances = [
        _mean(squares, trials) - _mean(seconds, trials).square()
        for trials in trials_of_tasks
    ]
    spreads = [
        torch.where(
            variance > _SMALLEST, variance.clamp(min=_SMALLEST).sqrt(), torch.nan
        )
        for variance in variances
    ]
    further = torch.stack([*accuracies, *spreads], -1)
    return torch.cat([mean_times(seconds, segments, used), further], -1)


def _mean(values: Tensor, used: Mask) -> Tensor:
    """Return the mean of each person's known values in the trials that are used, (people,)."""
    counts = torch.from_numpy(used) & values.isfinite()
    number = counts.sum(-1)
    total = torch.where(counts, values, torch.zeros((), dtype=values.dtype)).sum(-1)
    return torch.where(number > 0, total / number.clamp(min=1), torch.nan)


def observed_times(segments: Segments) -> Float64:
    """Return the measures of people's own responses, (people, targets), seconds."""
    return observed_measures(segments)[:, : len(targets_of(segments.tasks))]


def observed_measures(segments: Segments) -> Float64:
    """Return the measures of people's own responses, (people, measures)."""
    rows = segments.trials
    seconds = torch.from_numpy(rows.rt_seconds)
    correct = torch.from_numpy(rows.correct.astype(rows.rt_seconds.dtype))
    return all_measures(seconds, seconds.square(), correct, segments).double().numpy()


@dataclass(frozen=True, eq=False)
class Ridges:
    """Ridge regressions of people's measures on connectomes."""

    edge_mean: Float64  # (edges,), of the training people
    weights: Float64  # (edges, targets): seconds per unit of an edge
    predictable: Mask  # (targets,): whether leave-one-out beats the mean

    def predict(self, connectomes: Floats) -> Float64:
        """Return measures minus the training people's mean, (people, targets), seconds."""
        return np.asarray((connectomes - self.edge_mean) @ self.weights)


def fit_ridges(
    connectomes: Floats,
    times: Float64,
    covariates: Float64 | None = None,
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
    >>> ridges = fit_ridges(edges, traits)
    >>> bool(np.corrcoef(ridges.predict(edges).T[0], traits.T[0])[0, 1] > 0.99)
    True
    """
    from sklearn.linear_model import RidgeCV

    values = np.asarray(connectomes, np.float64)
    everybody = np.ones(len(values), bool)
    edges = _without(values, covariates, everybody)
    weights = np.zeros((edges.shape[1], times.shape[1]))
    predictable = np.zeros(times.shape[1], bool)
    for rows, columns in by_known(np.isfinite(times)):
        features, number = edges[rows], int(rows.sum())
        scale = float((features**2).sum()) / max(number, 1)
        if number < _FEWEST or not scale > _NOTHING:
            continue
        rest = _without(times[:, columns], covariates, rows)[rows]
        model = RidgeCV(alphas=PENALTIES * scale, alpha_per_target=True)
        model.fit(features, rest)
        weights[:, columns] = np.atleast_2d(model.coef_).T
        # The mean of the others misses a left-out person by n / (n - 1) times as much.
        worst = rest.var(axis=0) * (number / (number - 1)) ** 2
        predictable[columns] = -model.best_score_ < worst
    return Ridges(values.mean(axis=0), weights, predictable)


@dataclass(frozen=True, eq=False)
class Gate:
    """Whether connectomes predict left-out people better than all permutations of them do."""

    z: Float64  # (groups,): agreement of predictions with left-out people
    least_z: float  # largest z of the permutations, over all groups

    @property
    def open(self) -> Mask:
        """Groups of measures that connectomes predict, (groups,)."""
        return np.asarray(self.z > self.least_z)


def find_gate(
    connectomes: Floats,
    measures: Float64,
    covariates: Float64 | None = None,
    families: Integers | None = None,
    *,
    groups: int = 1,
    seed: int = 0,
) -> Gate:
    """Predict the measures of left-out people, and those of permuted people.

    People are left out in folds, families together. Penalties and predictable measures are chosen
    in the others. Without information each group's z exceeds all of `PERMUTATIONS` permutations in
    1 % of cases, and any group's does.

    Parameters
    ----------
    connectomes, covariates
        As in `fit_ridges`.
    measures
        (people, columns); the columns of each group follow one another.
    families
        (people,), number of each person's family, which is permuted as a whole; None: nobody has
        relatives.
    groups
        Number of groups of columns, each with a gate of its own.
    seed
        Of the permutations.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> traits = np.linalg.qr(rng.normal(size=(40, 2)))[0]
    >>> bool(find_gate(traits @ rng.normal(size=(2, 300)), traits).open)
    True
    >>> bool(find_gate(rng.normal(size=(40, 300)), traits).open)
    False
    """
    people, measured = len(measures), np.isfinite(measures)
    edges = _without(
        np.asarray(connectomes, np.float64), covariates, np.ones(people, bool)
    )
    # Ridges on principal-component scores equal ridges on edges, with far fewer columns.
    people_vectors, sizes, _ = np.linalg.svd(edges, full_matrices=False)
    values = np.full(measures.shape, np.nan)
    for rows, columns in by_known(measured):
        if rows.any():
            rest = _without(measures[:, columns], covariates, rows)
            size = _ROUNDING * np.abs(measures[np.ix_(rows, columns)]).max(axis=0)
            values[:, columns] = rest * (rest[rows].std(axis=0) > size)
    # People change places with those who have the same measures.
    pattern = np.unique(measured, axis=0, return_inverse=True)[1].ravel()
    kin = np.arange(people) if families is None else families
    orders = permuted_orders(kin, PERMUTATIONS, sites=pattern, seed=seed)
    orders = np.vstack([np.arange(people), orders])
    permuted = values[orders].swapaxes(0, 1).reshape(people, -1)
    scores = people_vectors * sizes
    agreement = left_out_agreement(scores, permuted, kin)
    z = z_of(agreement.reshape(people, len(orders), groups, -1).sum(axis=-1))
    return Gate(z[0], float(z[1:].max()))


def z_of(agreement: Float64) -> Float64:
    """Return the z of agreement over people, the first axis."""
    size = np.sqrt((agreement**2).sum(axis=0))
    return np.asarray(agreement.sum(axis=0) / np.maximum(size, _NOTHING))


def left_out_agreement(
    connectomes: Floats,
    measures: Float64,
    families: Integers,
) -> Float64:
    """Return the product of predicted and observed measures of left-out people, in SD.

    The product, (people, measures), is 0 where a measure is unknown or not predictable.

    Parameters
    ----------
    connectomes, measures, families
        As in `find_gate`.
    """
    people, values = len(measures), np.asarray(connectomes, np.float64)
    order = np.random.default_rng(0).permutation(people)
    fold = order % min(_FOLDS, people)
    # Each family is in the fold of its first person.
    _, first, of = np.unique(families, return_index=True, return_inverse=True)
    fold = fold[first][of]
    agreement = np.zeros(measures.shape)
    counts = np.isfinite(measures).sum(axis=0)
    centred = measures - np.nansum(measures, axis=0) / np.maximum(counts, 1)
    variance = np.nansum(centred**2, axis=0) / np.maximum(counts, 1)
    scale = np.where(variance > 0, np.sqrt(variance), np.inf)
    for number in np.unique(fold) if people >= _FEWEST and np.ptp(fold) else ():
        left_out, training = fold == number, fold != number
        ridges = fit_ridges(values[training], measures[training])
        centre = values[training].mean(axis=0)
        predicted = (values[left_out] - centre) @ ridges.weights
        for rows, columns in by_known(np.isfinite(measures)):
            if not ridges.predictable[columns].any():
                continue
            mean = measures[np.ix_(training & rows, columns)].mean(axis=0)
            observed = (measures[np.ix_(left_out, columns)] - mean) / scale[columns]
            product = predicted[:, columns] / scale[columns] * observed
            product *= ridges.predictable[columns]
            agreement[np.ix_(left_out, columns)] = np.nan_to_num(product)
    return agreement


def by_known(is_known: Mask) -> Iterator[tuple[Mask, Indices]]:
    """Yield each set of people and the columns that exactly these people have."""
    patterns, pattern_of = np.unique(is_known, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        yield pattern, np.flatnonzero(pattern_of.ravel() == number)


def _without(values: Float64, covariates: Float64 | None, rows: Mask) -> Float64:
    """Return values minus the mean and the linear effect of covariates, estimated in `rows`."""
    rest = values - values[rows].mean(axis=0)
    if covariates is None:
        return np.asarray(rest)
    columns = covariates[rows]
    slopes = slopes_on(columns, values[rows])
    return np.asarray(rest - (covariates - columns.mean(axis=0)) @ slopes)
