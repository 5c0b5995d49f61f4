"""Predictions of unseen people by baselines: figures and distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.cuts import STEP_SECONDS
from bids_dtg.twin.distribution import Distribution
from bids_dtg.twin.judging.baselines import Known, Training, predict, usable
from bids_dtg.twin.judging.behaviour import Answers
from bids_dtg.twin.judging.cohort import RT, Cohort, answers_of, targets_of

Values = NDArray[np.float64]
GROUP_MEAN, RIDGE = "group_mean", "connectome_ridge"  # rows of baselines
# The group's distribution, stretched by the response time that the ridge on connectomes predicts.
STRETCHED = "ridge_distribution"
_FEWEST_PEOPLE = 3


@dataclass(frozen=True, eq=False)
class Simple:
    """Predictions of unseen people by each baseline, by name."""

    targets: Mapping[str, Values]  # (people, targets)
    distributions: Mapping[str, Sequence[Distribution]]  # of each task


def simple_predictions(training: Cohort, unseen: Cohort) -> Simple:
    """Fit baselines to training people and predict unseen people.

    Parameters
    ----------
    training
        The twin's training participants: baselines are fitted to all their trials.
    unseen
        The people to predict, outside the training set.

    Returns
    -------
    Simple
        Predictions of the usable baselines. Targets that fewer than three training people have are
        NaN.
    """
    targets = _targets(training.training(), unseen.known())
    distributions: dict[str, Sequence[Distribution]] = {
        GROUP_MEAN: _distributions(training, unseen)
    }
    if RIDGE in targets:
        stretch = targets[RIDGE] / targets[GROUP_MEAN]
        distributions[STRETCHED] = _stretched(distributions[GROUP_MEAN], stretch, unseen)
    return Simple(targets, distributions)


def _targets(training: Training, known: Known) -> dict[str, Values]:
    """Predict targets that enough training people have, by each baseline."""
    enough = np.isfinite(training.targets).sum(axis=0) >= _FEWEST_PEOPLE
    some, found = replace(training, targets=training.targets[:, enough]), {}
    for row in usable(known):
        if enough.any() and row in usable(training.known):
            values = np.full((known.people, len(enough)), np.nan)
            values[:, enough] = predict(row, some, known)
            found[row.name] = values
    return found


def _distributions(training: Cohort, unseen: Cohort) -> list[Distribution]:
    """Return the distributions observed in the training people as predictions."""
    found = []
    for number, task in enumerate(unseen.segments.tasks.tasks):
        own = answers_of(unseen.segments, number).answers
        seen = answers_of(training.segments, number).answers
        seconds = np.arange(0.0, task.window_seconds, STEP_SECONDS) + STEP_SECONDS
        answered = np.full((*own.condition.shape, len(seconds)), np.nan)
        shares = np.full((*own.condition.shape, 3), np.nan)
        for condition in range(len(task.conditions)):
            trials = own.condition == condition
            answered[trials], shares[trials] = _empirical(seen, condition, seconds)
        found.append(Distribution(seconds, answered, shares))
    return found


def _stretched(
    group: Sequence[Distribution], stretch: Values, unseen: Cohort
) -> list[Distribution]:
    """Stretch the group's distributions by predicted over mean figures, (people, targets)."""
    columns = [target.what == RT for target in targets_of(unseen.segments.tasks)]
    found = []
    for of, by in zip(group, stretch[:, columns].T, strict=True):
        known = np.where(by > 0, by, np.nan)
        answered = np.stack(
            [
                _at(of.answered[person], of.seconds, of.seconds / own)
                for person, own in enumerate(known)
            ]
        )
        found.append(Distribution(of.seconds, answered, of.shares))
    return found


def _at(answered: Values, seconds: Values, wanted: Values) -> Values:
    """Return curves (trials, steps) at other times, linear between steps and from 0 at onset."""
    if not np.isfinite(wanted).all():
        return np.full(answered.shape, np.nan)
    place = np.searchsorted(seconds, wanted).clip(0, len(seconds) - 1)
    before = np.where(place > 0, seconds[place - 1], 0.0)
    low = np.where(place > 0, answered[:, place - 1], 0.0)
    share = ((wanted - before) / (seconds[place] - before)).clip(0.0, 1.0)
    found: Values = low + share * (answered[:, place] - low)
    return found


def _empirical(seen: Answers, condition: int, seconds: Values) -> tuple[Values, Values]:
    """Return shares of responses by each time, and of outcomes, of all people together."""
    used = seen.scored & (seen.condition == condition)
    rt = np.where(used, seen.rt_seconds, np.nan)
    by = np.array([(rt <= time).sum() for time in seconds])
    correct = (used & seen.correct).sum()
    misses = (used & ~seen.correct & ~np.isfinite(seen.rt_seconds)).sum()
    count = used.sum()
    outcomes = np.array([correct, count - correct - misses, misses])
    total = count if count else np.nan
    return by / total, outcomes / total
