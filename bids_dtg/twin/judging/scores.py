"""Scores of predicted responses: times, choices and distributions, for each trial.

Curves are (people, trials, steps): the probability that a button has been pressed by each step
after a trial's onset, as `decoding` takes it from a network's outputs. Curves are linear between
steps and start at 0 at the onset. A falling curve is replaced by its running maximum, because a
press cannot be undone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bids_dtg.array_types import Floats, Integers, Mask, Values
from bids_dtg.connectome.parcels import finite_mean
from bids_dtg.twin.trial_series import STEP_SECONDS, Segments

# A curve that ends lower predicts too few responses for a distribution.
_LEAST_ANSWERED = 1e-3


def scored_trials(segments: Segments) -> Iterator[tuple[str, str, Mask]]:
    """Yield each task and condition with its scored trials, (people, trials)."""
    rows = segments.trials
    for number, task in enumerate(segments.tasks.tasks):
        for condition, name in enumerate(task.conditions):
            in_condition = (rows.task == number) & (rows.condition == condition)
            yield task.name, name, rows.scored & in_condition


def means(values: Values, used: Mask) -> Values:
    """Return the mean over the last axis of the values that are used; NaN where none is.

    Examples
    --------
    >>> means(np.array([1.0, 2.0, 9.0]), np.array([True, True, False]))
    array(1.5)
    """
    return finite_mean(np.where(used, values, np.nan))


def choice_agreement(button: Integers, segments: Segments) -> Values:
    """Return the probability that a model presses the person's button, (people, trials).

    A trial that a person misses counts against every model. Where a person's wrong button is
    unknown, a wrong button of the model counts 1 / (buttons - 1), its expected agreement.

    Parameters
    ----------
    button
        (people, trials), or 1 for people: button of the model; -1: it presses none.
    segments
        What the people saw and did.
    """
    rows = segments.trials
    buttons = segments.tasks.own_buttons.sum(axis=1)[rows.task]
    same = (button == rows.button) & (rows.button >= 0)
    unknown = np.isfinite(rows.rt_seconds) & (rows.button < 0)
    wrong = (button != rows.correct_button) & (button >= 0)
    return np.asarray(np.where(unknown, wrong / np.maximum(buttons - 1, 1), same))


def rt_crps(curves: Floats, seconds: Floats, rt_seconds: Values) -> Values:
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
    rising = np.maximum.accumulate(np.asarray(curves, np.float64), axis=-1)
    rising = np.maximum(rising, 0.0)
    last = rising[..., -1:]
    if_answered = rising / np.where(last >= _LEAST_ANSWERED, last, np.nan)
    # From the onset on, where F is 0.
    knots, heights = (
        np.concatenate([np.zeros((*values.shape[:-1], 1)), values], axis=-1)
        for values in (np.asarray(seconds, np.float64), if_answered)
    )
    rt = np.asarray(rt_seconds, np.float64)
    low, high = knots[..., :-1], knots[..., 1:]
    start, end = heights[..., :-1], heights[..., 1:]
    width = high - low
    # Each stretch is cut at the response: F² before it, (F - 1)² after it.
    with np.errstate(invalid="ignore", divide="ignore"):
        position = np.where(width > 0, (rt[..., None] - low) / width, 0.0)
    share = np.clip(position, 0.0, 1.0)
    cut = start + share * (end - start)
    before = share * width * _square(start, cut)
    after = (1 - share) * width * _square(cut - 1, end - 1)
    # Before the onset F is 0, and after the last step 1.
    outside = np.maximum(-rt, 0.0) + np.maximum(rt - knots[..., -1], 0.0)
    return np.asarray((before + after).sum(axis=-1) + outside)


def _square(start: Values, end: Values) -> Values:
    """Return the mean square of a linear function from start to end."""
    return (start * start + start * end + end * end) / 3


def outcome_shares(ends: Floats, correct_button: Integers) -> Values:
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


def outcome_brier(shares: Values, segments: Segments) -> Values:
    """Return the Brier score of the predicted outcome of each trial, (people, trials), 0 to 2.

    Parameters
    ----------
    shares
        (people, trials, 3), as `outcome_shares` returns them.
    segments
        What the people saw and did.

    Notes
    -----
    Brier 1950, Mon. Weather Rev. 78: 1: the sum over outcomes of squared differences.
    """
    rows = segments.trials
    missed = ~rows.correct & ~np.isfinite(rows.rt_seconds)
    happened = np.stack([rows.correct, ~rows.correct & ~missed, missed], axis=-1)
    return ((shares - happened) ** 2).sum(axis=-1)


def _summed(curves: Values, seconds: Values, grid: Values) -> Values:
    """Return the sum of curves (trials, steps) at the times of a grid."""
    total = np.zeros(len(grid))
    # Trials that begin at the same place within a step share their knots, as most do.
    knots, which = np.unique(seconds, axis=0, return_inverse=True)
    for number, times in enumerate(knots):
        height = curves[which.ravel() == number].sum(axis=0)
        total += np.interp(grid, np.append(0.0, times), np.append(0.0, height))
    return total


def mean_curve(
    curves: Values, seconds: Values, used: Mask, window_seconds: float
) -> Values:
    """Return the mean over people of their mean curve over trials, (2, steps): times, shares.

    Parameters
    ----------
    curves, seconds
        (people, trials, steps).
    used
        (people, trials); people without such a trial do not count.
    window_seconds
        Length of the task's response window.
    """
    grid = np.append(np.arange(0.0, window_seconds, STEP_SECONDS), window_seconds)
    curves_of_people = []
    for curve, times, trials in zip(curves, seconds, used, strict=True):
        if trials.any():
            total = _summed(curve[trials], times[trials], grid)
            curves_of_people.append(total / trials.sum())
    mean = (
        np.mean(curves_of_people, axis=0)
        if curves_of_people
        else np.full(len(grid), np.nan)
    )
    return np.stack([grid, mean])


def observed_curves(segments: Segments) -> tuple[Values, Values, Values]:
    """Return people's own responses as curves of 0 or 1, to be averaged, (people, trials, steps).

    They say whether any button, and whether the correct one has been pressed by each step; the
    times of the steps follow.
    """
    rows = segments.trials
    grid = STEP_SECONDS * np.arange(1, segments.tasks.window_steps + 1)
    seconds = np.broadcast_to(grid, (*rows.scored.shape, len(grid)))
    pressed = seconds >= np.nan_to_num(rows.rt_seconds, nan=np.inf)[..., None]
    correct = pressed & rows.correct[..., None]
    return pressed.astype(np.float64), correct.astype(np.float64), seconds


def per_second(seconds: Values, answered: Values) -> tuple[Values, Values]:
    """Return the density of response times, in bins of two steps: centres, and shares per second.

    Examples
    --------
    >>> centres, shares = per_second(np.arange(5) * 0.1, np.array([0.0, 0.0, 0.2, 0.4, 0.5]))
    >>> centres.round(2), shares.round(2)
    (array([0.1, 0.3]), array([1. , 1.5]))
    """
    edges, heights = seconds[::2], answered[::2]
    widths = np.diff(edges)
    shares = np.full(len(widths), np.nan)
    np.divide(np.diff(heights), widths, out=shares, where=widths > 0)
    return (edges[1:] + edges[:-1]) / 2, shares
