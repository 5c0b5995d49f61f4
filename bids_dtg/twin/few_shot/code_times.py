"""Response times of people's networks, whose codes the first trials inform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.few_shot.posterior import Posterior
from bids_dtg.twin.few_shot.times import PersonTimes, Trials
from bids_dtg.twin.own_trials.curves import grid, log_seconds
from bids_dtg.twin.own_trials.first_trials import FirstTrials
from bids_dtg.twin.own_trials.group import TrialMeans
from bids_dtg.twin.tasks import Task

Values = NDArray[np.float64]


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
    """Times by the group's trial means, and by people's pace, practice and codes.

    Effects of a person are a level and a linear trend of log times, which a network has no code
    for, and the distance along each direction of codes.
    """

    log_grid: Values
    means: TrialMeans
    place: Place
    effects: PersonTimes
    codes: Values  # (1 or people, trials, directions): what codes of those to predict change
    start: Values | None = None  # (people, trials): what their connectomes predict; None: nothing

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
        values = values if start is None else values - start
        means = TrialMeans.learn(training, values, (len(task.conditions), len(task.buttons)))
        place = Place.of(training)
        trials = effect_trials(training, values - means.of(training), place, codes)
        there, first = training.place >= 0, np.median(training.own.sum(axis=1))
        known = {n: (there & (training.place < n), training.place >= n) for n in numbers}
        known = known or {int(first): (training.own, training.later)}
        effects = PersonTimes.learn(trials, known, len(task.conditions))
        return cls(log_seconds(grid(task.window_seconds)), means, place, effects, codes)

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
        means = self.means.of(people) + (0.0 if self.start is None else self.start)
        known = log_seconds(people.known().answers.rt_seconds)
        return means, effect_trials(people, known - means, self.place, self.codes)


def effect_trials(people: FirstTrials, residual: Values, place: Place, codes: Values) -> Trials:
    """Return trials with the basis of level, practice and codes.

    Parameters
    ----------
    people
        The people.
    residual
        (people, trials): log times less what else is predicted of them; NaN: not known.
    place
        How practice is scaled.
    codes
        (1 or people, trials, directions): what codes change.
    """
    shown = people.place[:1] if people.one_sequence and len(codes) == 1 else people.place
    practice = (np.maximum(shown, 0) - place.mean) / place.sd
    every = np.broadcast_to(codes, (len(practice), *codes.shape[1:]))
    basis = np.concatenate([np.ones((*practice.shape, 1)), practice[..., None], every], axis=-1)
    groups = np.where(people.place >= 0, people.answers.condition, -1).astype(np.intp)
    return Trials(residual, np.nan_to_num(basis), groups)
