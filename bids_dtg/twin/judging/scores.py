"""Scores of predicted responses (times, choices, distributions).

Curves are (..., trials, steps): the probability that a button has been pressed by each step after
a trial's onset, as `decoding` takes it from a network's outputs. Curves are linear between steps
and start at 0 at the onset. A falling curve is replaced by its running maximum, because a press
cannot be undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.correlation import correlation_interval
from bids_dtg.stats.paired import DRAWS, Interval, bootstrap_interval
from bids_dtg.twin.judging.behaviour import MISS, Answers, means

Values = NDArray[np.float64]
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
_LEAST_ANSWERED = 1e-3  # a curve that ends lower predicts too few responses for a distribution
_GRID_SECONDS = 0.005  # of mixtures: a sixteenth of a step


@dataclass(frozen=True)
class PeopleFit:
    """How well a figure of each person is predicted, over people."""

    r: Interval  # Pearson r, with an interval over people
    error: Interval  # mean absolute error, in the figure's unit, likewise
    people: int  # people with both values
    without: int  # people with an observed value and no predicted one


def people_fit(
    predicted: Values, wanted: Values, *, seed: int = 0, draws: int = DRAWS
) -> PeopleFit:
    """Compare a predicted figure of people, for example mean rt, with the observed one.

    Parameters
    ----------
    predicted
        (people,): predicted figure of each person, in any unit.
    wanted
        (people,): observed figure, or the true one where people are simulated.
    seed, draws
        Seed and number of the bootstrap samples of people.

    Raises
    ------
    ValueError
        If the figures have different numbers of people.

    Examples
    --------
    >>> wanted = np.linspace(0.6, 1.0, 20)
    >>> fit = people_fit(wanted + 0.1, wanted, draws=100)
    >>> round(fit.r.mean, 3), round(fit.error.mean, 3), fit.people
    (1.0, 0.1, 20)
    """
    r = correlation_interval(predicted, wanted, seed=seed, draws=draws)
    known = np.isfinite(wanted)
    both = known & np.isfinite(predicted)
    error = bootstrap_interval(np.abs(predicted - wanted), seed=seed, draws=draws)
    return PeopleFit(r, error, int(both.sum()), int((known & ~both).sum()))


def choice_agreement(button: NDArray[np.integer[Any]], people: Answers, *, buttons: int) -> Values:
    """Return how often a model presses the person's button, a share of each person's trials.

    Parameters
    ----------
    button
        (people, trials) or (trials,): button of the model; -1: it presses none.
    people
        Observed answers of the people.
    buttons
        How many responses the task offers; answers are numbered from 0.

    Returns
    -------
    numpy.ndarray
        (people,): share of trials. A trial that a person misses counts against every model. Where a
        person's wrong button is not known, a wrong button of the model counts 1 / (buttons - 1),
        its expected agreement. `always_correct` scores the model that never errs.

    Examples
    --------
    >>> correct = np.array([[0, 1, 1]])
    >>> pressed = np.array([[0, 0, -1]])  # the last is a miss
    >>> rt = np.array([[0.8, 0.8, np.nan]])
    >>> own = Answers(correct, correct, pressed, rt, pressed == correct, rt != 0)
    >>> choice_agreement(correct, own, buttons=2).round(3)
    array([0.333])
    """
    same = (button == people.button) & (people.button != MISS)
    answered = np.isfinite(people.rt_seconds)
    unknown = answered & (people.button == MISS)
    wrong = (button != people.correct_button) & (button != MISS)
    worth = np.where(unknown, wrong / (buttons - 1), same)
    return means(worth, people.scored)


def always_correct(people: Answers, *, buttons: int) -> Values:
    """Return the agreement with a model that always presses the correct button, (people,).

    Examples
    --------
    >>> same = np.zeros((1, 4), int)
    >>> own = Answers(same, same, same, same + 0.8, same == 0, same == 0)
    >>> always_correct(own, buttons=2)
    array([1.])
    """
    return choice_agreement(people.correct_button, people, buttons=buttons)


def rt_crps(
    curves: NDArray[np.floating[Any]],
    seconds: NDArray[np.floating[Any]],
    rt_seconds: Values,
) -> Values:
    """Return the continuous ranked probability score of response times, given a response.

    Parameters
    ----------
    curves
        (people, trials, steps), or (trials, steps) of a model that is the same for everybody:
        the probability of any press by each step. They are divided by their last value.
    seconds
        (people, trials, steps), (trials, steps) or (steps,): each step's time since the onset.
    rt_seconds
        (people, trials): observed response times; NaN: no response.

    Returns
    -------
    numpy.ndarray
        (people, trials), seconds: the integral of (F(t) - [t ≥ rt])², exact for curves that are
        linear between steps; NaN without a response, or where a curve stays below 0.001. For a
        prediction of a single time it is the absolute error.

    Notes
    -----
    Matheson & Winkler 1976, Manage. Sci. 22: 1087; Gneiting & Raftery 2007, J. Am. Stat. Assoc.
    102: 359.

    Examples
    --------
    >>> sure = np.array([[[0.0, 1.0, 1.0]]])  # a response between 0.7 and 0.701 s
    >>> rt_crps(sure, np.array([0.7, 0.701, 1.0]), np.array([[0.9]])).round(2)
    array([[0.2]])
    """
    return _crps(*_conditional(curves, seconds), np.asarray(rt_seconds, np.float64))


def _crps(knots: Values, heights: Values, rt: Values) -> Values:
    """Return the integral over the knots, and beyond them to the response."""
    first = rt[..., None]
    low, high = knots[..., :-1], knots[..., 1:]
    start, end = heights[..., :-1], heights[..., 1:]
    width = high - low
    # Each stretch is cut at the response: F² before it, (F - 1)² after it.
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.clip(np.where(width > 0, (first - low) / width, 0.0), 0.0, 1.0)
    cut = start + share * (end - start)
    pieces = share * width * _square(start, cut) + (1 - share) * width * _square(cut - 1, end - 1)
    # Before the onset F is 0, and after the last step 1.
    outside = np.maximum(-rt, 0.0) + np.maximum(rt - knots[..., -1], 0.0)
    score: Values = pieces.sum(axis=-1) + outside
    return score


def _square(start: Values, end: Values) -> Values:
    """Return the mean square of a linear function from start to end."""
    mean: Values = (start * start + start * end + end * end) / 3
    return mean


def _conditional(
    curves: NDArray[np.floating[Any]], seconds: NDArray[np.floating[Any]]
) -> tuple[Values, Values]:
    """Return times from the onset on and F given a response, (..., trials, 1 + steps)."""
    rising = _rising(curves)
    last = rising[..., -1:]
    given = rising / np.where(last >= _LEAST_ANSWERED, last, np.nan)
    return _knots(given, seconds)


def _rising(curves: NDArray[np.floating[Any]]) -> Values:
    return np.maximum(np.maximum.accumulate(np.asarray(curves, np.float64), axis=-1), 0.0)


def _knots(curves: Values, seconds: NDArray[np.floating[Any]]) -> tuple[Values, Values]:
    """Return times and curves from the onset on, (..., 1 + steps)."""
    return _from_onset(np.asarray(seconds, np.float64)), _from_onset(curves)


def _from_onset(values: Values) -> Values:
    """Put a 0 before the values of the last axis."""
    return np.concatenate([np.zeros((*values.shape[:-1], 1)), values], axis=-1)


def outcome_shares(
    ends: NDArray[np.floating[Any]], correct_button: NDArray[np.integer[Any]]
) -> Values:
    """Return the predicted probabilities of correct, wrong and miss, (people, trials, 3).

    Parameters
    ----------
    ends
        (people, trials, buttons), or (trials, buttons): each button's curve at the window's end.
        Where they add up to more than 1, they are divided by their sum.
    correct_button
        (people, trials): index of each trial's correct button; -1: none.

    Examples
    --------
    >>> outcome_shares(np.array([[[0.9, 0.05]]]), np.array([[0]])).round(3)
    array([[[0.9 , 0.05, 0.05]]])
    """
    shares = np.maximum(np.asarray(ends, np.float64), 0.0)
    shares = shares / np.maximum(shares.sum(axis=-1, keepdims=True), 1.0)
    shares = np.broadcast_to(shares, (*correct_button.shape, shares.shape[-1]))
    index = np.maximum(correct_button, 0)[..., None]
    right = np.take_along_axis(shares, index, axis=-1)[..., 0]
    total = shares.sum(axis=-1)
    return np.stack([right, total - right, 1 - total], axis=-1)


def outcome_brier(shares: Values, people: Answers) -> Values:
    """Return the Brier score of the predicted outcome of each trial, (people, trials), 0 to 2.

    Parameters
    ----------
    shares
        (people, trials, 3), as `outcome_shares` returns them.
    people
        Observed answers of the people.

    Notes
    -----
    Brier 1950, Mon. Weather Rev. 78: 1: the sum over outcomes of squared differences.

    Examples
    --------
    >>> same = np.zeros((1, 1), int)
    >>> own = Answers(same, same, same, same + 0.8, same == 0, same == 0)  # correct
    >>> outcome_brier(np.array([[[0.8, 0.1, 0.1]]]), own).round(3)
    array([[0.06]])
    """
    missed = ~people.correct & ~np.isfinite(people.rt_seconds)
    happened = np.stack([people.correct, ~people.correct & ~missed, missed], axis=-1)
    score: Values = ((shares - happened) ** 2).sum(axis=-1)
    return score


def by_condition(values: Values, people: Answers, conditions: int) -> Values:
    """Return the means of a score of trials for each person and condition; NaN is left out.

    Parameters
    ----------
    values
        (people, trials): scores of `rt_crps` or `outcome_brier`.
    people
        Observed answers of the people, with the scored trials and their conditions.
    conditions
        How many conditions the task has; people's are numbered from 0.

    Returns
    -------
    numpy.ndarray
        (people, conditions): mean scores; NaN where no trial counts.

    Examples
    --------
    >>> condition = np.array([[0, 0, 1]])
    >>> own = Answers(condition, condition, condition, condition + 0.8, *[condition >= 0] * 2)
    >>> by_condition(np.array([[0.1, 0.3, 0.5]]), own, 2)
    array([[0.2, 0.5]])
    """
    used = people.scored & np.isfinite(values)
    groups = [used & (people.condition == number) for number in range(conditions)]
    return np.stack([means(values, group) for group in groups], axis=1)


@dataclass(frozen=True, eq=False)
class QuantileTable:
    """Quantiles of all people's response times in each condition, given a response."""

    probabilities: Values  # (quantiles,)
    observed_seconds: Values  # (conditions, quantiles)
    predicted_seconds: Values  # (conditions, quantiles), of the mixture over trials and people


def quantile_table(
    curves: NDArray[np.floating[Any]],
    seconds: NDArray[np.floating[Any]],
    people: Answers,
    conditions: int,
    *,
    probabilities: Sequence[float] = QUANTILES,
) -> QuantileTable:
    """Return observed and predicted quantiles of response times, for a quantile-quantile plot.

    Parameters
    ----------
    curves, seconds
        Curves and times of their steps, as for `rt_crps`. A trial's weight in the predicted mixture
        is the probability of a response.
    people
        Observed answers of the people.
    conditions
        How many conditions the task has; people's are numbered from 0.
    probabilities
        Probabilities of the quantiles, from 0 to 1.

    Examples
    --------
    >>> condition = np.zeros((1, 5), int)
    >>> rt = np.linspace(0.5, 0.9, 5)[None]
    >>> own = Answers(condition, condition, condition, rt, rt > 0, rt > 0)
    >>> curves = np.tile([0.0, 1.0], (5, 1))  # straight from 0.5 to 0.9 s
    >>> table = quantile_table(curves, np.array([0.5, 0.9]), own, 1)
    >>> table.observed_seconds.round(2), table.predicted_seconds.round(2)
    (array([[0.54, 0.62, 0.7 , 0.78, 0.86]]), array([[0.54, 0.62, 0.7 , 0.78, 0.86]]))
    """
    wanted = np.asarray(probabilities, np.float64)
    rising = _rising(curves)
    shape = *people.condition.shape, rising.shape[-1]
    rising, times_of_steps = np.broadcast_to(rising, shape), np.broadcast_to(seconds, shape)
    observed, predicted = [], []
    for number in range(conditions):
        used = people.scored & (people.condition == number)
        times = people.rt_seconds[used]
        times = times[np.isfinite(times)]
        observed.append(np.quantile(times, wanted) if len(times) else np.full(len(wanted), np.nan))
        predicted.append(_mixture_quantiles(rising[used], times_of_steps[used], wanted))
    return QuantileTable(wanted, np.stack(observed), np.stack(predicted))


def _mixture_quantiles(curves: Values, seconds: Values, probabilities: Values) -> Values:
    """Return quantiles of the mean of rising curves (trials, steps)."""
    if not len(curves):
        return np.full(len(probabilities), np.nan)
    grid = np.arange(0.0, float(seconds.max()) + _GRID_SECONDS, _GRID_SECONDS)
    total = np.zeros(len(grid))
    # Trials that begin at the same place within a step share their knots, as most do.
    knots, which = np.unique(seconds, axis=0, return_inverse=True)
    for number, own in enumerate(knots):
        height = curves[which.ravel() == number].sum(axis=0)
        total += np.interp(grid, np.append(0.0, own), np.append(0.0, height))
    if total[-1] < _LEAST_ANSWERED * len(curves):
        return np.full(len(probabilities), np.nan)
    # Where the mixture is constant, the quantile is the time at which it stops rising.
    rises = np.append(True, np.diff(total) > 0)
    quantiles: Values = np.interp(probabilities, total[rises] / total[-1], grid[rises])
    return quantiles
