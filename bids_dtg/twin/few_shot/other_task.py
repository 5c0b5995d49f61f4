"""Predictions of people's trials of a task from their trials of another task.

Effects of both tasks vary together over training people: trials of one task say something of the
effects of the other. Forms differ in which effects a person has. Each of them gets the same trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.distribution import Distribution
from bids_dtg.twin.few_shot.code_times import Place, effect_trials
from bids_dtg.twin.few_shot.times import PersonTimes, Trials
from bids_dtg.twin.own_trials.curves import grid, log_seconds
from bids_dtg.twin.own_trials.first_trials import FirstTrials
from bids_dtg.twin.own_trials.group import TrialMeans
from bids_dtg.twin.own_trials.rates import Outcomes
from bids_dtg.twin.own_trials.rows import BEST, RIVAL
from bids_dtg.twin.tasks import Task

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
TWIN = "twin"
NOTHING, OTHER, OWN, BOTH = "nothing", "other_task", "own_trials", "both"
# Forms and what they are on pages; those without a network are named as rows of own trials.
FORMS: Mapping[str, str] = MappingProxyType(
    {
        TWIN: "twin: level, practice, condition and codes",
        BEST: "closed form: level, practice and condition",
        RIVAL: "closed form: level alone",
    }
)


@dataclass(frozen=True, eq=False)
class Side:
    """One of two tasks of the same people, and which of their trials are known.

    Raises
    ------
    ValueError
        Nobody of the training people has a response.
    """

    task: Task
    training: FirstTrials  # with as many known trials as those to predict have
    unseen: FirstTrials
    codes: tuple[Values, Values]  # what codes change, of training and unseen people's trials

    def __post_init__(self) -> None:
        if not np.isfinite(_seconds(self.training)).any():
            raise ValueError(f"no training participant has a response in {self.task.name}")


def predict_by_other(form: str, judged: Side, other: Side, known: str) -> Distribution:
    """Predict the later trials of unseen people in a task.

    Parameters
    ----------
    form
        A row of `FORMS`.
    judged
        The task whose later trials are predicted; its own trials are known.
    other
        The other task of the same people, whose own trials are known.
    known
        What is used: `OTHER`, `OWN` or `BOTH`.
    """
    mine, others = (
        _Part.of(form, judged, used=known != OTHER),
        _Part.of(form, other, used=known != OWN),
    )
    count = len(judged.task.conditions)
    groups = count + len(other.task.conditions)
    own = np.concatenate([mine.known, others.known], axis=1)
    later = [_beside(side.later, others.known) for side in (judged.training, judged.unseen)]
    trials = mine.training.beside(others.training, groups=count)
    number = int(np.median(own.sum(axis=1)))
    effects = PersonTimes.learn(trials, {number: (own, later[0])}, groups)
    means = np.concatenate([mine.means, others.means], axis=1)
    trials = mine.unseen.beside(others.unseen, groups=count)
    seconds = grid(judged.task.window_seconds)
    curves = effects.curves(log_seconds(seconds), means, trials, later[1])
    curves = curves[:, : judged.unseen.later.shape[1]]
    shares = shares_of(judged)
    return Distribution(seconds, curves * (1 - shares[..., 2:]), shares)


def shares_of(judged: Side) -> Values:
    """Return how likely later trials are correct, wrong and missed, by own trials of the task."""
    outcomes = Outcomes.learn(judged.training, len(judged.task.conditions))
    people = judged.unseen
    wanted = people.later & (people.answers.condition >= 0)
    return np.where(wanted[..., None], outcomes.shares(people.known()), np.nan)


def _beside(later: Flags, others: Flags) -> Flags:
    """Return which trials are to be predicted: none of the other task."""
    return np.concatenate([later, np.zeros((len(later), others.shape[1]), bool)], axis=1)


@dataclass(frozen=True, eq=False)
class _Part:
    """One task's part of the joint effects."""

    training: Trials  # all of them
    known: Flags  # those of training people that count as known
    unseen: Trials  # known ones alone
    means: Values  # of unseen people's trials

    @classmethod
    def of(cls, form: str, side: Side, *, used: bool) -> _Part:
        training, unseen, task = side.training, side.unseen, side.task
        values = log_seconds(_seconds(training))
        means = TrialMeans.learn(training, values, (len(task.conditions), len(task.buttons)))
        first, second = means.of(training), means.of(unseen)
        known = log_seconds(_seconds(unseen.known())) - second
        residuals = (values - first, known if used else np.full_like(known, np.nan))
        codes = side.codes if form == TWIN else [each[..., :0] for each in side.codes]
        conditions = len(task.conditions) - 1
        trials = [
            effect_trials(people, residual, Place.of(training), conditions, own)
            for people, residual, own in zip((training, unseen), residuals, codes, strict=True)
        ]
        if form == RIVAL:
            trials = [replace(each, basis=each.basis[..., :1]) for each in trials]
        return cls(trials[0], training.own & used, trials[1], second)


def _seconds(people: FirstTrials) -> Values:
    answers = people.answers
    return np.where(answers.scored & (answers.condition >= 0), answers.rt_seconds, np.nan)
