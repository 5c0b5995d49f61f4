"""What is kept of training people to predict a new person's later trials without a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.distribution import Distribution
from bids_dtg.twin.own_trials.first_trials import FirstTrials, first_trials
from bids_dtg.twin.own_trials.person_effects import PersonEffects
from bids_dtg.twin.own_trials.rates import Outcomes
from bids_dtg.twin.own_trials.rows import Fitted
from bids_dtg.twin.tasks import Task
from bids_dtg.twin.trial_series import Segments

NUMBERS = (0, 5, 10, 20, 40, 80)  # of own trials, after which spreads are learned
_LEAST_LATER = 5  # trials that follow own ones, in the mean over training people


@dataclass(frozen=True, eq=False)
class ClosedForm:
    """The closed form of one task: people's effects, and their misses and errors."""

    task: Task
    effects: Mapping[int, PersonEffects]  # by the number of own trials
    outcomes: Outcomes
    condition: NDArray[np.integer[Any]]  # (trials,): of the sequence that all saw; (): many
    correct_button: NDArray[np.integer[Any]]  # (trials,), likewise

    @classmethod
    def learn(cls, training: FirstTrials, task: Task) -> ClosedForm:
        """Learn from all trials of training people.

        Parameters
        ----------
        training
            The people, of `training_trials`.
        task
            The task that they performed.
        """
        shown = slice(None) if training.one_sequence else slice(0)
        trials = (training.place >= 0).sum(axis=1)
        longest = float(trials[trials > 0].mean()) - _LEAST_LATER
        numbers = [number for number in NUMBERS if number <= max(longest, 0)]
        return cls(
            task,
            {number: PersonEffects.learn(after(training, number), task) for number in numbers},
            Outcomes.learn(training, len(task.conditions)),
            training.answers.condition[0, shown],
            training.answers.correct_button[0, shown],
        )

    def predict(self, people: FirstTrials) -> Distribution:
        """Predict later trials of people.

        Parameters
        ----------
        people
            Their known trials; answers to others are removed.
        """
        people = self.compared(people)
        known = float(np.median(people.own.sum(axis=1)))
        nearest = min(self.effects, key=lambda n: abs(np.log1p(n) - np.log1p(known)))
        return Fitted(self.task, self.effects[nearest], self.outcomes).predict(people)

    def compared(self, people: FirstTrials) -> FirstTrials:
        """Return people who are of one sequence only where it is that of training people."""
        same = people.one_sequence and all(
            np.array_equal(one[0], other)
            for one, other in (
                (people.answers.condition, self.condition),
                (people.answers.correct_button, self.correct_button),
            )
        )
        return replace(people, one_sequence=same)


def learn_closed_forms(segments: Segments) -> tuple[ClosedForm, ...]:
    """Learn the closed form of each task in which anybody has a response.

    Parameters
    ----------
    segments
        What training people saw and did.
    """
    tasks = segments.tasks.tasks
    people = [(task, training_trials(segments, number)) for number, task in enumerate(tasks)]
    return tuple(ClosedForm.learn(known, task) for task, known in people if known is not None)


def training_trials(segments: Segments, number: int) -> FirstTrials | None:
    """Return training people's answers to a task, none of them known.

    Times of trials that are not scored, or of no condition, are removed. None where nobody has a
    response in the task.
    """
    answered = np.isfinite(segments.trials.rt_seconds)
    if not ((segments.trials.task == number) & answered).any():
        return None
    training = first_trials(segments, number, 0)
    answers = training.answers
    rt = np.where(answers.scored & (answers.condition >= 0), answers.rt_seconds, np.nan)
    return replace(training, answers=replace(answers, rt_seconds=rt))


def after(people: FirstTrials, number: int) -> FirstTrials:
    """Return the same people, so many trials of each known."""
    there = people.place >= 0
    first = there & (people.place < number)
    return replace(people, own=first, later=there & ~first)
