"""How large an r over people can be: figures of single people are measured with noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.cohort.group_maps import stepped_up
from bids_dtg.stats.correlation import correlation_interval
from bids_dtg.stats.paired import Interval
from bids_dtg.twin.judging.behaviour import Answers
from bids_dtg.twin.judging.cohort import figures_of
from bids_dtg.twin.tasks import Task

Values = NDArray[np.float64]
LOW = 0.7  # of a ceiling: half of the variance of people's figures is noise


@dataclass(frozen=True)
class Ceiling:
    """The noise ceiling of a figure."""

    reliability: Interval  # of the figure from all trials, by halves of them
    r: Interval  # the largest r over people to be expected of a prediction, its square root
    people: int  # with the figure in both halves

    @property
    def is_low(self) -> bool:
        """Whether half of the differences between people, or more, are noise."""
        return not self.r.mean >= LOW


def ceilings_of(answers: Answers, task: Task, *, seed: int = 0, draws: int = 2000) -> list[Ceiling]:
    """Return the ceiling of each figure of a task, in the order of `targets_of`.

    Parameters
    ----------
    answers
        People's observed answers to the trials that they are judged by.
    task
        The task.
    seed, draws
        Of samples of people.

    Notes
    -----
    Figures of each person's odd and even answered trials of a condition are correlated over people,
    and brought to all trials (Spearman 1910, Br. J. Psychol. 3: 271; Brown 1910, ibid.: 296). An r
    with figures of such reliability is at most its square root.

    Examples
    --------
    >>> from bids_dtg.twin.tasks import find_task
    >>> rng = np.random.default_rng(0)
    >>> condition = np.tile([0, 1], (90, 20))
    >>> rt = rng.normal(0.8, 0.1, (90, 1)) + rng.normal(0.0, 0.05, (90, 40))
    >>> own = Answers(condition, condition, condition, rt, rt > 0, rt > 0)
    >>> level, effect = ceilings_of(own, find_task("stroop"))
    >>> bool(level.r.mean > 0.98), level.is_low, effect.is_low
    (True, False, True)
    """
    even = _even(answers)
    halves = [
        figures_of(replace(answers, scored=chosen), task)
        for chosen in (answers.scored & even, answers.scored & ~even)
    ]
    return [
        _ceiling(
            correlation_interval(one, other, seed=seed, draws=draws),
            int((np.isfinite(one) & np.isfinite(other)).sum()),
        )
        for one, other in zip(*halves, strict=True)
    ]


def _even(answers: Answers) -> NDArray[np.bool_]:
    """Return every other answered trial of each person and condition."""
    even = np.zeros(answers.condition.shape, np.bool_)
    answered = answers.scored & np.isfinite(answers.rt_seconds)
    for condition in np.unique(answers.condition):
        of = answered & (answers.condition == condition)
        even |= of & (np.cumsum(of, axis=1) % 2 == 0)
    return even


def _ceiling(halves: Interval, people: int) -> Ceiling:
    reliability = Interval(*(_of_all(r) for r in (halves.mean, halves.low, halves.high)))
    ends = (reliability.mean, reliability.low, reliability.high)
    return Ceiling(reliability, Interval(*(float(np.sqrt(end)) for end in ends)), people)


def _of_all(r: float) -> float:
    """Return the reliability of all trials by r of their halves; 0 where halves do not agree."""
    return 0.0 if r <= 0 else stepped_up(r)
