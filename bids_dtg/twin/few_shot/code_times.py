"""Response times of people's networks, whose codes the first trials inform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.few_shot.posterior import Posterior
from bids_dtg.twin.few_shot.times import PersonTimes, Trials, mean_of
from bids_dtg.twin.own_trials.curves import grid, log_seconds
from bids_dtg.twin.own_trials.first_trials import FirstTrials
from bids_dtg.twin.own_trials.group import TrialMeans
from bids_dtg.twin.tasks import Task

Values = NDArray[np.float64]
_AS_IT_IS = (1.0, 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Place:
    """Mean and SD of trials' places in a run, by which practice is scaled."""

    mean: float
    sd: float

    @classmethod
    def of(cls, training: FirstTrials) -> Place:
        """Return those of training people's trials."""
        places = training.place[training.place >= 0].astype(np.float64)
        return cls(float(places.mean()), max(float(places.std()), 1.0))


@dataclass(frozen=True, eq=False)
class CodeTimes:
    """Times by the group's trial means, and by people's pace, practice, conditions and codes.

    Effects of a person are a level and a linear trend of log times, which a network has no code
    for, what each later condition adds, and the distance along each direction of codes: the few
    directions that change times most need not hold what conditions add.
    """

    log_grid: Values
    means: TrialMeans
    place: Place
    effects: PersonTimes
    codes: Values  # (1 or people, trials, directions): what codes of those to predict change
    conditions: int  # that have an effect, the later ones; 0: as in models of earlier versions
    start: Values | None = None  # (people, trials): what their connectomes predict; None: nothing
    # Of the mean of `start` over trials, of what conditions add to it, and of the rest.
    weights: tuple[float, float, float] = _AS_IT_IS

    @classmethod
    def learn(
        cls,
        training: FirstTrials,
        task: Task,
        codes: Values,
        start: Values | None = None,
        *,
        numbers: Sequence[int] = (),
    ) -> CodeTimes:
        """Learn from training people.

        Parameters
        ----------
        training
            The people, with as many known trials as those to predict will have.
        task
            The task.
        codes
            (1 or people, trials, directions): what a unit of each direction of codes adds to their
            log times (`basis.CodeDirections.basis`).
        start
            (people, trials): what connectomes add to their log times, by regressions that have not
            seen them; None: nothing.
        numbers
            Numbers of own trials that spreads are learned after; none: as are known in `training`.
        """
        values = log_seconds(training.answers.rt_seconds)
        sizes, weights = (len(task.conditions), len(task.buttons)), _AS_IT_IS
        if start is not None:
            weights = _start_weights(training, values, start, sizes)
            start = _weighed(start, weights, training)
            values = values - start
        means = TrialMeans.learn(training, values, sizes)
        place = Place.of(training)
        residual = values - means.of(training)
        conditions = len(task.conditions) - 1
        trials = effect_trials(training, residual, place, conditions, codes, start)
        there, first = training.place >= 0, np.median(training.own.sum(axis=1))
        known = {n: (there & (training.place < n), training.place >= n) for n in numbers}
        known = known or {int(first): (training.own, training.later)}
        effects = PersonTimes.learn(trials, known, len(task.conditions))
        times = log_seconds(grid(task.window_seconds))
        return cls(times, means, place, effects, codes, conditions, weights=weights)

    def for_people(self, codes: Values, start: Values | None = None) -> CodeTimes:
        """Return the same for people of other sequences or with connectomes.

        Parameters
        ----------
        codes, start
            As in `learn`, of the people to predict.
        """
        return replace(self, codes=codes, start=start)

    def times(self, people: FirstTrials) -> Values:
        """Return how likely a response is by each time if there is one."""
        means, trials = self._known(people)
        return self.effects.curves(self.log_grid, means, trials, people.later)

    def basis(self, people: FirstTrials) -> Values:
        """Return what a unit of each effect adds to log times, (1 or people, trials, effects)."""
        return self._known(people)[1].basis

    def posterior(self, people: FirstTrials) -> Posterior:
        """Return what the known trials say of people's effects."""
        return self.effects.posterior(self._known(people)[1])

    def _known(self, people: FirstTrials) -> tuple[Values, Trials]:
        means, start = self.means.of(people), None
        if self.start is not None:
            start = _weighed(self.start, self.weights, people)
            means = means + start
        known = log_seconds(people.known().answers.rt_seconds)
        residual = known - means
        return means, effect_trials(
            people, residual, self.place, self.conditions, self.codes, start
        )


def _parts(start: Values, people: FirstTrials) -> tuple[Values, Values, Values]:
    """Return a person's mean of what connectomes add, what conditions add to it, and the rest."""
    there = people.place >= 0
    level = np.broadcast_to(mean_of(start, there)[:, None], start.shape)
    conditions = np.zeros(start.shape)
    for condition in np.unique(people.answers.condition[people.answers.condition >= 0]):
        own = there & (people.answers.condition == condition)
        conditions += np.where(own, mean_of(start - level, own)[:, None], 0.0)
    return level, conditions, start - level - conditions


def _weighed(start: Values, weights: tuple[float, float, float], people: FirstTrials) -> Values:
    parts = zip(weights, _parts(start, people), strict=True)
    return np.asarray(sum(weight * part for weight, part in parts))


def _start_weights(
    training: FirstTrials, values: Values, start: Values, sizes: tuple[int, int]
) -> tuple[float, float, float]:
    """Return the weights of connectomes' predictions under which training people's are best.

    Networks differ less than people do, and more in some trials than people. Conditions have a
    weight of their own: what networks add to single trials is mostly noise.
    """
    known = np.isfinite(values)
    away = []
    for each in (values, *_parts(start, training)):
        each = np.where(known, each, np.nan)
        away.append((each - TrialMeans.learn(training, each, sizes).of(training))[known])
    target, *parts = away
    found = np.linalg.lstsq(np.stack(parts, axis=1), target, rcond=1e-8)[0]
    level, conditions, rest = np.maximum(found, 0.0).tolist()
    return level, conditions, rest


def effect_trials(
    people: FirstTrials,
    residual: Values,
    place: Place,
    conditions: int,
    codes: Values,
    start: Values | None = None,
) -> Trials:
    """Return trials with the basis of level, practice, conditions and codes.

    Parameters
    ----------
    people
        The people.
    residual
        (people, trials): log times less what else is predicted of them; NaN: not known.
    place
        How practice is scaled.
    conditions
        How many later conditions have an effect of their own.
    codes
        (1 or people, trials, directions): what codes change.
    start
        (people, trials): what connectomes add to log times; None: nothing.
    """
    rows = slice(1) if people.one_sequence and len(codes) == 1 else slice(None)
    practice = (np.maximum(people.place[rows], 0) - place.mean) / place.sd
    level, later = np.ones(practice.shape), np.arange(1, conditions + 1)
    added = (people.answers.condition[rows, :, None] == later) - 1 / (conditions + 1)
    every = np.broadcast_to(codes, (*practice.shape, codes.shape[-1]))
    basis = np.concatenate([np.stack([level, practice], axis=-1), added, every], axis=-1)
    groups = np.where(people.place >= 0, people.answers.condition, -1).astype(np.intp)
    return Trials(residual, np.nan_to_num(basis), groups, start)
