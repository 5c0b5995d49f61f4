"""What a model keeps of its training people to learn of a new person from a few trials."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.distribution import Distribution
from bids_dtg.twin.few_shot.basis import CodeDirections, log_locations
from bids_dtg.twin.few_shot.code_times import CodeTimes
from bids_dtg.twin.few_shot.posterior import Posterior
from bids_dtg.twin.own_trials.closed_form import ClosedForm, training_trials
from bids_dtg.twin.own_trials.curves import NON_DECISION_SECONDS
from bids_dtg.twin.own_trials.first_trials import FirstTrials, Own, first_trials
from bids_dtg.twin.own_trials.rates import Outcomes
from bids_dtg.twin.own_trials.rows import Fitted as FittedRow
from bids_dtg.twin.tasks import Task
from bids_dtg.twin.trial_series import Segments

if TYPE_CHECKING:
    from bids_dtg.twin.fitting import Fitted

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted later trials of people, and how far off their mean times may be."""

    people: FirstTrials
    distribution: Distribution
    mean_seconds: Values  # (people, trials): mean response time, if there is one
    slopes: Values  # (people, trials, effects): seconds by which a unit of an effect changes it
    posterior: Posterior

    def mean(self, trials: NDArray[np.bool_]) -> tuple[Values, Values]:
        """Return the mean time of some trials of each person, and its SD by the posterior.

        Parameters
        ----------
        trials
            (people, trials): those that count.
        """
        return self._weighed(trials / np.maximum(trials.sum(axis=1, keepdims=True), 1))

    def difference(
        self, trials: NDArray[np.bool_], less: NDArray[np.bool_]
    ) -> tuple[Values, Values]:
        """Return the mean time of some trials less that of others, and its SD.

        Parameters
        ----------
        trials, less
            (people, trials).
        """
        one, other = (
            each / np.maximum(each.sum(axis=1, keepdims=True), 1) for each in (trials, less)
        )
        return self._weighed(one - other)

    def _weighed(self, weights: Values) -> tuple[Values, Values]:
        slopes = (weights[..., None] * self.slopes).sum(axis=1)
        variance = np.einsum("pj,pjk,pk->p", slopes, self.posterior.covariance, slopes)
        used = np.where(weights != 0, self.mean_seconds, 0.0)
        return (weights * used).sum(axis=1), np.sqrt(variance)


@dataclass(frozen=True, eq=False)
class TaskPrior:
    """The prior of one task."""

    task: Task
    directions: CodeDirections
    group: CodeTimes  # about the group's network
    connectome: CodeTimes | None  # about what connectomes predict; None: they predict nothing
    closed_form: ClosedForm  # needs no network

    @property
    def outcomes(self) -> Outcomes:
        """Misses and errors, the same in all predictions."""
        return self.closed_form.outcomes

    @classmethod
    def learn(
        cls, fitted: Fitted, segments: Segments, number: int, left_out: Values | None
    ) -> TaskPrior | None:
        """Learn the prior of a task; None where nobody has a response in it."""
        task, training = segments.tasks.tasks[number], training_trials(segments, number)
        if training is None:
            return None
        closed_form = ClosedForm.learn(training, task)
        numbers = list(closed_form.effects)
        directions = CodeDirections.learn(fitted, segments, number)
        codes = _of_task(directions.basis(fitted, segments), segments, number)
        with_connectomes = None
        if left_out is not None:
            start = _start(fitted, left_out, segments, number)
            with_connectomes = CodeTimes.learn(training, task, codes, start, numbers=numbers)
        group = CodeTimes.learn(training, task, codes, numbers=numbers)
        return cls(task, directions, group, with_connectomes, closed_form)

    def predict(
        self, fitted: Fitted, people: FirstTrials, segments: Segments, codes: Values | None
    ) -> Prediction:
        """Predict later trials of people.

        Parameters
        ----------
        fitted
            The model.
        people
            Their known trials; answers to others are removed.
        segments
            What they see.
        codes
            (people, factors): by their connectomes; None: of the group.
        """
        people = self.closed_form.compared(people)
        times = self.times(fitted, segments, codes)
        found = FittedRow(self.task, times, self.outcomes).predict(people)
        known = _scored(people.known())
        mean = found.mean_seconds
        slopes = (mean - NON_DECISION_SECONDS)[..., None] * times.basis(known)
        return Prediction(people, found, mean, np.nan_to_num(slopes), times.posterior(known))

    def times(self, fitted: Fitted, segments: Segments, codes: Values | None) -> CodeTimes:
        """Return what predicts the times of people, once some of their trials are known.

        Parameters
        ----------
        fitted, segments, codes
            As in `predict`.
        """
        number, basis = segments.tasks.number(self.task), self.basis(fitted, segments)
        if codes is None or self.connectome is None:
            return self.group.for_people(basis)
        return self.connectome.for_people(basis, _start(fitted, codes, segments, number))

    def basis(self, fitted: Fitted, segments: Segments) -> Values:
        """Return what codes change in the log times of trials, (1 or people, trials, codes)."""
        number = segments.tasks.number(self.task)
        return _of_task(self.directions.basis(fitted, segments), segments, number)

    def predict_without_network(self, people: FirstTrials) -> Distribution:
        """Predict later trials of people by the closed form.

        Parameters
        ----------
        people
            Their known trials; answers to others are removed.
        """
        return self.closed_form.predict(people)


@dataclass(frozen=True, eq=False)
class FewShot:
    """The priors of a model's tasks."""

    tasks: tuple[TaskPrior, ...]

    @classmethod
    def learn(cls, fitted: Fitted, segments: Segments) -> FewShot:
        """Learn from the training people of a fit.

        Parameters
        ----------
        fitted
            The model, with its training people's own factors.
        segments
            What they saw and did.
        """
        predicts = bool(fitted.twin.edge_weights.any())
        left_out = fitted.left_out_factors if predicts else None
        found = [
            TaskPrior.learn(fitted, segments, number, left_out)
            for number in range(len(segments.tasks.tasks))
        ]
        return cls(tuple(prior for prior in found if prior is not None))

    def predict(
        self, fitted: Fitted, segments: Segments, own: Own, codes: Values | None
    ) -> dict[str, Prediction]:
        """Predict the later trials of people in each task that they have.

        Parameters
        ----------
        fitted
            The model.
        segments
            What they see, with answers.
        own
            How many trials of each task are known, or "half".
        codes
            (people, factors): by their connectomes; None: of the group.
        """
        found = {}
        for prior in self.tasks:
            number = segments.tasks.number(prior.task)
            if segments.of_task(number).any():
                people = first_trials(segments, number, own)
                found[prior.task.name] = prior.predict(fitted, people, segments, codes)
        return found


def codes_of(fitted: Fitted, connectomes: NDArray[np.floating[Any]]) -> Values | None:
    """Return what connectomes (people, edges) say of codes; None: the model's say nothing."""
    import torch

    if not fitted.twin.edge_weights.any():
        return None
    edges = torch.as_tensor(np.asarray(connectomes), dtype=torch.float32)
    return np.asarray(fitted.twin.factors(edges).double().numpy(), np.float64)


def nothing_known(people: FirstTrials) -> FirstTrials:
    """Return the same people and trials to predict, without known trials."""
    return replace(people, own=np.zeros_like(people.own))


def _scored(people: FirstTrials) -> FirstTrials:
    answers = people.answers
    rt = np.where(answers.scored & (answers.condition >= 0), answers.rt_seconds, np.nan)
    return replace(people, answers=replace(answers, rt_seconds=rt))


def _start(fitted: Fitted, codes: Values, segments: Segments, number: int) -> Values:
    """Return what codes of people add to log times of the group, (people, trials)."""
    group = log_locations(fitted, np.zeros((len(segments.inputs), codes.shape[1])), segments)
    added = np.nan_to_num(log_locations(fitted, codes, segments) - group)
    return _of_task(added, segments, number)


def _of_task(values: Values, segments: Segments, number: int) -> Values:
    """Return the columns of a task, as `judging.cohort.answers_of` does."""
    task = segments.trials.task
    return values[:, task[0] == number] if len(task) == 1 else values
