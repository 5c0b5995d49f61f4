"""People's answers to a task, split into first trials that are known and trials to come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.judging.behaviour import MISS, Answers
from bids_dtg.twin.judging.cohort import answers_of
from bids_dtg.twin.trial_series import Segments

Flags = NDArray[np.bool_]
Own = int | Literal["half"]  # a number of trials of a run, or the first half of the run by time
_NONE = -1  # of `FirstTrials.place`: the person has no such trial


@dataclass(frozen=True, eq=False)
class FirstTrials:
    """People's answers to one task, and which trials are known of each.

    Raises
    ------
    ValueError
        Shapes differ, or a trial is both known and to be predicted.
    """

    answers: Answers
    place: NDArray[np.integer[Any]]  # (people, trials): in the person's run, from 0; -1: no trial
    own: Flags  # (people, trials): known
    later: Flags  # (people, trials): to be predicted
    one_sequence: bool  # a column is the same trial in everybody who has it

    def __post_init__(self) -> None:
        shape = self.answers.condition.shape
        for name in ("place", "own", "later"):
            if (found := np.shape(getattr(self, name))) != shape:
                raise ValueError(f"{name} of answers {shape} is of the shape {found}")
        if (self.own & self.later).any():
            raise ValueError("a trial is both known and to be predicted")

    @property
    def people(self) -> int:
        """Number of people."""
        return len(self.own)

    @property
    def first(self) -> Answers:
        """Answers to the known trials; others are as if nobody had seen them."""
        return _only(self.answers, self.own)

    @property
    def rest(self) -> Answers:
        """Answers to the trials that are to be predicted, likewise."""
        return _only(self.answers, self.later)

    def known(self) -> FirstTrials:
        """Return the same without any answer to a trial that is not known.

        Predictions are made from this, so that no later trial can reach them.
        """
        return replace(self, answers=self.first)

    def of(self, rows: NDArray[Any]) -> FirstTrials:
        """Return some of the people, by a mask or indices."""
        answers = Answers(**{name: values[rows] for name, values in vars(self.answers).items()})
        return FirstTrials(
            answers, self.place[rows], self.own[rows], self.later[rows], self.one_sequence
        )


def _only(answers: Answers, used: Flags) -> Answers:
    """Remove what people did in other trials; what they were shown stays."""
    return replace(
        answers,
        button=np.where(used, answers.button, MISS),
        rt_seconds=np.where(used, answers.rt_seconds, np.nan),
        correct=answers.correct & used,
        scored=answers.scored & used,
    )


def first_trials(segments: Segments, task: int, own: Own) -> FirstTrials:
    """Return people's answers to a task, with their first trials as known.

    Parameters
    ----------
    segments
        Segments with an axis of people.
    task
        Index of the task in the segments' tasks.
    own
        How many trials of a person's first run of the task are known, by onset; "half": those of
        the first half of each run. All other trials of the task are to be predicted.

    Raises
    ------
    ValueError
        No trial would be known, or nobody has a trial left to predict.
    """
    found, rows = answers_of(segments, task), segments.trials
    shape = rows.scored.shape
    everybody = np.arange(shape[0])[:, None]
    run = segments.run[everybody, np.broadcast_to(rows.segment, shape)]
    has = segments.of_task(task)
    place = _places(run, np.broadcast_to(rows.trial, shape), has)[:, found.columns]
    has = has[:, found.columns]
    if own == "half":
        known = has & (np.broadcast_to(rows.half, shape)[:, found.columns] == 1)
    else:
        _require_number(own)
        known = has & (place < own)
    _require_later(has & ~known, known, own, found.task.name)
    return FirstTrials(found.answers, place, known, has & ~known, len(rows.task) == 1)


def later_trials(segments: Segments, task: int, own: Own) -> FirstTrials | None:
    """Return the same as `first_trials`; None where nobody has a trial left to predict.

    Parameters
    ----------
    segments, task, own
        As of `first_trials`.
    """
    try:
        return first_trials(segments, task, own)
    except ValueError:
        return None


def all_known(people: FirstTrials) -> FirstTrials:
    """Return the same people with all trials known, and none to be predicted."""
    there = people.place >= 0
    return replace(people, own=there, later=np.zeros_like(there))


def _places(run: NDArray[Any], trial: NDArray[Any], has: Flags) -> NDArray[np.intp]:
    """Return the number of each trial among the person's, run after run; -1: no trial."""
    key = np.where(has, run * (trial.max(initial=0) + 1) + trial, np.iinfo(np.intp).max)
    place = np.empty(key.shape, np.intp)
    order = np.argsort(key, axis=1, kind="stable")
    np.put_along_axis(place, order, np.arange(key.shape[1])[None], axis=1)
    return np.where(has, place, _NONE)


def _require_number(own: Own) -> None:
    if not isinstance(own, int) or isinstance(own, bool) or own < 0:
        raise ValueError(f"own trials are a number from 0 or 'half', found {own!r}")


def _require_later(later: Flags, known: Flags, own: Own, task: str) -> None:
    if not later.any():
        most = int(known.sum(axis=1).max(initial=0))
        if own == "half":
            raise ValueError(
                f"the first half of each run of {task} leaves none to predict: all trials, up to "
                f"{most}, are in it; ask for a number of trials"
            )
        raise ValueError(
            f"{own} own trials of {task} leave none to predict: people have up to {most}; ask for "
            "fewer"
        )
