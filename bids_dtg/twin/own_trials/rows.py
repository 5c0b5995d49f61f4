"""The predictions of a person's later trials from the first ones, one row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.distribution import Distribution
from bids_dtg.twin.judging.cohort import Cohort
from bids_dtg.twin.own_trials.curves import grid
from bids_dtg.twin.own_trials.diffusion import Diffusion
from bids_dtg.twin.own_trials.first_trials import FirstTrials, Own, later_trials
from bids_dtg.twin.own_trials.lognormal import LogNormal
from bids_dtg.twin.own_trials.person_effects import PersonEffects
from bids_dtg.twin.own_trials.rates import Outcomes
from bids_dtg.twin.own_trials.shares import GroupTimes
from bids_dtg.twin.own_trials.shifted import Shifted
from bids_dtg.twin.own_trials.shifted_scale import ShiftedScale
from bids_dtg.twin.tasks import Task

Values = NDArray[np.float64]


class Times(Protocol):
    """Distributions of response times, learnt from training people."""

    def times(self, people: FirstTrials) -> Values:
        """Return how likely a response is by each time if there is one.

        Parameters
        ----------
        people
            The people, without answers to trials that are not known.
        """


@dataclass(frozen=True)
class Row:
    """A prediction of people's later trials from their first ones."""

    name: str  # in tables
    words: str  # on pages
    learn: Callable[[FirstTrials, Task], Times]

    def fit(self, training: FirstTrials, task: Task) -> Fitted:
        """Fit the row to training people.

        Parameters
        ----------
        training
            Training people, with as many known trials as those to predict will have.
        task
            The task that they performed.

        Raises
        ------
        ValueError
            Training people have no response.
        """
        if not _respond(training):
            raise ValueError(
                f"no training participant has a response in {task.name}; own trials need some"
            )
        scored = _scored(training)
        return Fitted(task, self.learn(scored, task), Outcomes.learn(scored, len(task.conditions)))


@dataclass(frozen=True, eq=False)
class Fitted:
    """A row fitted to training people."""

    task: Task
    times: Times
    outcomes: Outcomes  # the same in all rows

    def predict(self, people: FirstTrials) -> Distribution:
        """Return predictions of the trials that are to be predicted; NaN in all others.

        Parameters
        ----------
        people
            The people. Answers to trials that are not known are removed before anything else.
        """
        known = _scored(people.known())
        wanted = people.later & (people.answers.condition >= 0)
        shares = np.where(wanted[..., None], self.outcomes.shares(known), np.nan)
        given = self.times.times(known)
        answered = given * (shares[..., 0] + shares[..., 1])[..., None]
        return Distribution(grid(self.task.window_seconds), answered, shares)


def _respond(people: FirstTrials) -> bool:
    used = people.answers.scored & (people.answers.condition >= 0)
    return bool((used & np.isfinite(people.answers.rt_seconds)).any())


def _scored(people: FirstTrials) -> FirstTrials:
    """Remove response times of trials that are not scored or of no condition."""
    answers = people.answers
    used = answers.scored & (answers.condition >= 0)
    return replace(
        people,
        answers=replace(
            answers, rt_seconds=np.where(used, answers.rt_seconds, np.nan), scored=used
        ),
    )


ROWS: tuple[Row, ...] = (
    Row("condition_shares", "group, by condition", GroupTimes.by_condition),
    Row("group_trials", "group, by trial", GroupTimes.by_trials),
    Row("shifted", "group's distribution, stretched by the own mean", Shifted.learn),
    Row("shifted_scale", "one level and one spread a person", ShiftedScale.learn),
    Row("person_effects", "level, condition, practice and spread a person", PersonEffects.learn),
    Row("shifted_lognormal", "hierarchical shifted log-normal", LogNormal.learn),
    Row("ez_diffusion", "EZ drift diffusion, shrunk", Diffusion.learn),
)
# The rival of networks that know own trials, and the best of these predictions.
RIVAL, BEST = "shifted_scale", "person_effects"


def predictions(
    training: Cohort, unseen: Cohort, own: Own
) -> Mapping[str, Mapping[int, Distribution]]:
    """Predict the later trials of unseen people, whose first trials are known, by each row.

    Parameters
    ----------
    training
        The people that rows learn from, outside the unseen people.
    unseen
        The people to predict.
    own
        How many trials of a run are known of each person, or "half".

    Returns
    -------
    Mapping
        Name of the row to a distribution by number of the task; NaN for own trials. Tasks that
        unseen or training people have no trials of after the own ones are left out, and those in
        which no training person has a response.

    Raises
    ------
    ValueError
        Tasks differ.
    """
    tasks = unseen.segments.tasks
    if training.segments.tasks.names != tasks.names:
        raise ValueError(
            f"training participants performed {', '.join(training.segments.tasks.names)}, those to "
            f"predict {', '.join(tasks.names)}"
        )
    found: dict[str, dict[int, Distribution]] = {row.name: {} for row in ROWS}
    for number, task in enumerate(tasks.tasks):
        known, people = (later_trials(who.segments, number, own) for who in (training, unseen))
        if known is None or people is None or not _respond(known):
            continue
        known, people = alike(known, people)
        for row in ROWS:
            found[row.name][number] = row.fit(known, task).predict(people)
    return found


def alike(training: FirstTrials, people: FirstTrials) -> tuple[FirstTrials, FirstTrials]:
    """Return both, of one sequence only where a trial of one is the same trial of the other."""
    shown = ("condition", "correct_button")
    same = (
        training.one_sequence
        and people.one_sequence
        and training.own.shape[1] == (people.own.shape[1])
    )
    same = same and all(
        np.array_equal(getattr(training.answers, name)[:1], getattr(people.answers, name)[:1])
        for name in shown
    )
    return replace(training, one_sequence=same), replace(people, one_sequence=same)
