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
from bids_dtg.twin.judging.cohort import (
    RT,
    Cohort,
    answers_of,
    has_half,
    targets_of,
    targets_of_people,
)

Values = NDArray[np.float64]
GROUP_DISTRIBUTION, OWN_DISTRIBUTION = "group_mean", "own_first_half"  # rows of baselines
# The group's distribution, stretched by the response time that the ridge on connectomes predicts.
RIDGE, STRETCHED = "connectome_ridge", "ridge_distribution"
_FEWEST_PEOPLE = 3


@dataclass(frozen=True, eq=False)
class Simple:
    """Predictions of unseen people by each baseline, by name."""

    targets: Mapping[str, Values]  # (people, targets)
    distributions: Mapping[str, Sequence[Distribution]]  # of each task


def simple_predictions(
    training: Cohort, unseen: Cohort, *, half: int | None, first_half: Cohort | None = None
) -> Simple:
    """Fit baselines to training people and predict unseen people.

    Parameters
    ----------
    training
        The twin's training participants: baselines are fitted to all their trials.
    unseen
        The people to predict, outside the training set.
    half
        Half of the runs that is predicted. None: all trials, and the own first half is not used.
    first_half
        The unseen people with their first halves; None: these are in their own segments, if any.

    Returns
    -------
    Simple
        Predictions of the usable baselines. Targets that fewer than three training people have are
        NaN.
    """
    before = first_half or unseen
    memory = half == 2 and has_half(before.segments, 1)
    known = unseen.known(first_half=targets_of_people(before.segments, 1) if memory else None)
    targets, group = _targets(training.training(), known), _distributions(training, unseen, None)
    stretched = (
        {STRETCHED: _stretched(group, targets[RIDGE], targets[GROUP_DISTRIBUTION], unseen)}
        if RIDGE in targets
        else {}
    )
    return Simple(
        targets=targets,
        distributions={
            GROUP_DISTRIBUTION: group,
            **stretched,
            **({OWN_DISTRIBUTION: _distributions(before, unseen, 1)} if memory else {}),
        },
    )


def _targets(training: Training, known: Known) -> dict[str, Values]:
    """Predict targets that enough training people have, by each baseline."""
    enough = np.isfinite(training.targets).sum(axis=0) >= _FEWEST_PEOPLE
    some = replace(
        training,
        targets=training.targets[:, enough],
        tasks=tuple(np.array(training.tasks)[enough].tolist()),
        known=_some_targets(training.known, enough),
    )
    own, found = _some_targets(known, enough), {}
    needed = {row.name for row in usable(training.known)} | {"own_first_half"}
    for row in usable(known):
        if enough.any() and row.name in needed:
            values = np.full((known.people, len(enough)), np.nan)
            values[:, enough] = predict(row, _with_memory(some), own)
            found[row.name] = values
    return found


def _some_targets(known: Known, some: NDArray[np.bool_]) -> Known:
    def of(values: Values | None) -> Values | None:
        return None if values is None else values[:, some]

    return replace(known, first_half=of(known.first_half), behaviour=of(known.behaviour))


def _with_memory(training: Training) -> Training:
    """Mark training people's own figures as known; no baseline is fitted to them."""
    return replace(training, known=replace(training.known, first_half=training.targets))


def _distributions(before: Cohort, unseen: Cohort, half: int | None) -> list[Distribution]:
    """Return observed distributions as predictions: of all people, or of each person's half."""
    found = []
    for number, task in enumerate(unseen.segments.tasks.tasks):
        own = answers_of(unseen.segments, number).answers
        seen = answers_of(before.segments, number, half).answers
        seconds = np.arange(0.0, task.window_seconds, STEP_SECONDS) + STEP_SECONDS
        answered = np.full((*own.condition.shape, len(seconds)), np.nan)
        shares = np.full((*own.condition.shape, 3), np.nan)
        for condition in range(len(task.conditions)):
            curves, outcomes = _empirical(seen, condition, seconds, together=half is None)
            person, trial = np.nonzero(own.condition == condition)
            row = person % len(curves)
            answered[person, trial], shares[person, trial] = curves[row], outcomes[row]
        found.append(Distribution(seconds, answered, shares))
    return found


def _stretched(
    group: Sequence[Distribution], predicted: Values, means: Values, unseen: Cohort
) -> list[Distribution]:
    """Stretch the group's distributions by predicted response times over the group's means."""
    columns = [target.what == RT for target in targets_of(unseen.segments.tasks)]
    stretch = (predicted / means)[:, columns]
    found = []
    for number, of in enumerate(group):
        known = np.where(stretch[:, number] > 0, stretch[:, number], np.nan)
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


def _empirical(
    seen: Answers, condition: int, seconds: Values, *, together: bool
) -> tuple[Values, Values]:
    """Return shares of responses by each time, and of outcomes, (people or 1, ...)."""
    used = seen.scored & (seen.condition == condition)
    rt = np.where(used, seen.rt_seconds, np.nan)
    by = np.stack([(rt <= time).sum(axis=1) for time in seconds], axis=1)
    missed = used & ~seen.correct & ~np.isfinite(seen.rt_seconds)
    correct = (used & seen.correct).sum(axis=1)
    misses, count = missed.sum(axis=1), used.sum(axis=1)
    outcomes = np.stack([correct, count - correct - misses, misses], axis=1)
    if together:
        by, outcomes, count = (
            values.sum(axis=0, keepdims=True) for values in (by, outcomes, count)
        )
    total = np.where(count > 0, count, np.nan)[:, None]
    return by / total, outcomes / total
