"""How often people miss trials or err: the condition's rate, and the person's own share of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.own_trials.first_trials import FirstTrials

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
_LIMITS = (1e-4, 1 - 1e-4)  # of any probability: nobody misses never or always
_MOST_ALIKE = 1e4  # people's rates are then the same: a and b of the beta distribution together


@dataclass(frozen=True, eq=False)
class PersonRate:
    """Rate of an event in people's trials: a beta-binomial over people, times the condition's."""

    a: float  # of the beta distribution of people's rates
    b: float
    of_condition: Values  # (conditions,): rate in later trials over the mean rate of all

    @classmethod
    def learn(
        cls,
        happened: Flags,
        possible: Flags,
        condition: NDArray[np.integer],
        later: Flags,
        conditions: int,
    ) -> PersonRate:
        """Learn the rate from training people.

        Parameters
        ----------
        happened, possible
            (people, trials): whether the event took place, and where it could have.
        condition
            (people, trials): number of each trial's condition.
        later
            (people, trials): the trials that are predicted. Rates drift in a run, so conditions'
            rates are those of these trials.
        conditions
            How many conditions there are.
        """
        happened = happened & possible
        # Half an event more keeps rates off 0 and 1 where few trials are known.
        rate = (happened.sum() + 0.5) / (possible.sum() + 1.0)
        each = [
            ((happened & later & (condition == number)).sum() + rate)
            / ((possible & later & (condition == number)).sum() + 1.0)
            for number in range(conditions)
        ]
        a, b = _beta(happened.sum(axis=1), possible.sum(axis=1), float(rate))
        return cls(a, b, np.array(each) / rate)

    def predict(self, happened: Flags, possible: Flags, condition: NDArray[np.integer]) -> Values:
        """Return each person's probability in each trial, (people, trials), inside 0 and 1.

        Parameters
        ----------
        happened, possible
            (people, trials): what is known of the people, none or some of the trials.
        condition
            (people, trials): number of each trial's condition.
        """
        count = (happened & possible).sum(axis=1, keepdims=True)
        total = possible.sum(axis=1, keepdims=True)
        own = (self.a + count) / (self.a + self.b + total)
        place = np.clip(condition, 0, len(self.of_condition) - 1)
        found: Values = np.clip(own * self.of_condition[place], *_LIMITS)
        return found


def _beta(
    count: NDArray[np.integer], total: NDArray[np.integer], rate: float
) -> tuple[float, float]:
    """Return a and b of the beta distribution of people's rates, by maximum likelihood."""
    from scipy.optimize import minimize_scalar
    from scipy.special import betaln

    def loss(log_size: float, mean: float) -> float:
        a, b = mean * np.exp(log_size), (1 - mean) * np.exp(log_size)
        return -float((betaln(count + a, total - count + b) - betaln(a, b)).sum())

    def best(mean: float) -> tuple[float, float]:
        found = minimize_scalar(
            lambda size: loss(size, mean), bounds=(0.0, np.log(_MOST_ALIKE)), method="bounded"
        )
        return float(found.fun), float(found.x)

    low, high = np.log(rate / 4), np.log(min(4 * rate, 0.999))
    found = minimize_scalar(
        lambda mean: best(np.exp(mean))[0], bounds=(low, high), method="bounded"
    )
    mean = float(np.exp(found.x))
    size = float(np.exp(best(mean)[1]))
    return mean * size, (1 - mean) * size


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Misses and errors of people, as all rows predict them."""

    missed: PersonRate
    wrong: PersonRate  # of the trials that are answered

    @classmethod
    def learn(cls, training: FirstTrials, conditions: int) -> Outcomes:
        """Learn misses and errors from all trials of training people."""
        missed, answered, wrong = _events(training)
        condition, later = training.answers.condition, training.later
        return cls(
            PersonRate.learn(missed, missed | answered, condition, later, conditions),
            PersonRate.learn(wrong, answered, condition, later, conditions),
        )

    def shares(self, people: FirstTrials) -> Values:
        """Return probabilities of correct, wrong and miss, (people, trials, 3), from own trials."""
        missed, answered, wrong = _events(people.known())
        condition = people.answers.condition
        miss = self.missed.predict(missed, missed | answered, condition)
        error = self.wrong.predict(wrong, answered, condition)
        return np.stack([(1 - miss) * (1 - error), (1 - miss) * error, miss], axis=-1)


def _events(people: FirstTrials) -> tuple[Flags, Flags, Flags]:
    answers = people.answers
    used = answers.scored & (answers.condition >= 0)
    answered = used & np.isfinite(answers.rt_seconds)
    missed = used & ~answered & ~answers.correct
    return missed, answered, answered & ~answers.correct
