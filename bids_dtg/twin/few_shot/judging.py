"""How well unseen people's later trials are predicted from their first ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.paired import Interval, bootstrap_interval
from bids_dtg.stats.verdict import Verdict, judge_differences
from bids_dtg.twin.distribution import Distribution
from bids_dtg.twin.few_shot.group_network import GroupNetwork
from bids_dtg.twin.few_shot.prior import FewShot, codes_of, nothing_known
from bids_dtg.twin.judging.behaviour import Answers, means
from bids_dtg.twin.judging.cohort import Cohort
from bids_dtg.twin.judging.scores import log_score, outcome_brier, response_crps, rt_crps
from bids_dtg.twin.own_trials.first_trials import (
    Own,
    later_trials,
)
from bids_dtg.twin.own_trials.rows import BEST, predictions
from bids_dtg.twin.own_trials.rows import Fitted as FittedRow

if TYPE_CHECKING:
    from bids_dtg.twin.fitting import Fitted
    from bids_dtg.twin.own_trials.closed_form import ClosedForm

Values = NDArray[np.float64]

CONNECTOME, TRIALS, BOTH = "twin_connectome", "twin_trials", "twin_both"
CLOSED_FORM = "closed_form"  # of a model without a network
NETWORK = "group_network"  # which knows nothing of the person but own misses and errors
PeopleScores = Mapping[str, Mapping[str, Values]]  # by prediction and score, (people,)
SCORES: Mapping[str, bool] = {"crps": False, "crps_answered": False, "log": True, "brier": False}


@dataclass(frozen=True)
class OwnTrialsScore:
    """One score of one prediction of people's later trials."""

    task: str
    name: str  # of the prediction
    score: str  # a row of `SCORES`, which says whether more is better
    value: Interval
    people: int
    verdict: Verdict | None  # on the twin that knows most; above 0: it is better; None: itself


def own_trials_scores(
    fitted: Fitted, few_shot: FewShot, unseen: Cohort, training: Cohort | None, own: Own
) -> tuple[OwnTrialsScore, ...]:
    """Score predictions of later trials of unseen people, whose first trials are known.

    Parameters
    ----------
    fitted, few_shot
        The model, and what it keeps of its training people.
    unseen
        The people, with connectomes where the model knows these.
    training
        Training people, for the fits of rivals; None: the only one is the closed form that the
        model keeps.
    own
        How many trials of a task are known of each person, or "half".
    """
    found = own_trials_people(fitted, few_shot, unseen, training, own)
    return tuple(score for task, rows in found.items() for score in _judged(task, rows))


def own_trials_people(
    fitted: Fitted, few_shot: FewShot, unseen: Cohort, training: Cohort | None, own: Own
) -> dict[str, PeopleScores]:
    """Return each unseen person's mean scores, by task; the parameters of `own_trials_scores`."""
    segments = unseen.segments
    found: dict[str, PeopleScores] = {}
    rivals = {} if training is None else predictions(training, unseen, own)
    codes = _codes(fitted, unseen)
    for prior in few_shot.tasks:
        number = segments.tasks.number(prior.task)
        people = later_trials(segments, number, own)
        if people is None:
            continue
        rows: dict[str, Distribution] = {}
        if codes is not None and prior.connectome is not None:
            nothing = nothing_known(people)
            rows[CONNECTOME] = prior.predict(fitted, nothing, segments, codes).distribution
        rows[TRIALS] = prior.predict(fitted, people, segments, None).distribution
        if CONNECTOME in rows:
            rows[BOTH] = prior.predict(fitted, people, segments, codes).distribution
        network = GroupNetwork.of(fitted, segments, number)
        rows[NETWORK] = FittedRow(prior.task, network, prior.outcomes).predict(people)
        rows |= {name: row[number] for name, row in rivals.items() if number in row}
        if BEST not in rows:
            rows[BEST] = prior.predict_without_network(people)
        rest = people.rest
        found[prior.task.name] = {name: _person_scores(row, rest) for name, row in rows.items()}
    return found


def own_trials_fold_scores(
    folds: Sequence[tuple[NDArray[np.integer], Mapping[str, PeopleScores]]], people: int
) -> tuple[OwnTrialsScore, ...]:
    """Score predictions of everybody's later trials, each by fits without the person's fold.

    Parameters
    ----------
    folds
        Rows of a fold's people, and their scores (`own_trials_people`). Where connectomes predict
        nobody of a fold, the connectome alone has no scores there, and with own trials it is these.
    people
        Number of people in all folds.
    """
    found: dict[str, dict[str, dict[str, Values]]] = {}
    with_connectomes = {
        task for _, tasks in folds for task, rows in tasks.items() if CONNECTOME in rows
    }
    for own, tasks in folds:
        for task, rows in tasks.items():
            if task in with_connectomes:
                nothing = {score: np.full(len(own), np.nan) for score in SCORES}
                rows = {CONNECTOME: nothing, TRIALS: rows[TRIALS], BOTH: rows[TRIALS], **rows}
            for name, scores in rows.items():
                joined = found.setdefault(task, {}).setdefault(
                    name, {score: np.full(people, np.nan) for score in SCORES}
                )
                for score, values in scores.items():
                    joined[score][own] = values
    return tuple(
        score for task, rows in found.items() for score in _judged(task, rows, cross_validated=True)
    )


def _compared(
    of_people: Mapping[str, Mapping[str, Values]], twin: str, *, cross_validated: bool = False
) -> Iterator[tuple[str, str, Interval, int, Verdict | None]]:
    """Yield each row and score: its mean over people, how many, and the verdict on the twin."""
    for score, more in SCORES.items():
        best = of_people[twin][score]
        for row, scores in of_people.items():
            difference = (best - scores[score]) * (1 if more else -1)
            verdict = (
                None
                if row == twin
                else judge_differences(difference, cross_validated=cross_validated)
            )
            people = int(np.isfinite(scores[score]).sum())
            yield row, score, bootstrap_interval(scores[score]), people, verdict


def _codes(fitted: Fitted, people: Cohort) -> Values | None:
    return None if people.connectomes is None else codes_of(fitted, people.connectomes)


def _judged(
    task: str, of_people: PeopleScores, *, cross_validated: bool = False
) -> list[OwnTrialsScore]:
    twin = BOTH if BOTH in of_people else TRIALS
    rows = _compared(of_people, twin, cross_validated=cross_validated)
    return [OwnTrialsScore(task, *row) for row in rows]


def _person_scores(predicted: Distribution, rest: Answers) -> dict[str, Values]:
    curves, seconds = predicted.answered, predicted.seconds
    of_trials = {
        "crps": response_crps(curves, seconds, rest),
        "crps_answered": rt_crps(curves, seconds, rest.rt_seconds),
        "log": log_score(curves, seconds, rest),
        "brier": outcome_brier(predicted.shares, rest),
    }
    return {
        name: means(values, rest.scored & np.isfinite(values)) for name, values in of_trials.items()
    }


def closed_form_people(
    forms: Sequence[ClosedForm], unseen: Cohort, training: Cohort | None, own: Own
) -> dict[str, dict[str, dict[str, Values]]]:
    """Return each unseen person's mean scores by a model without a network, and by its rivals.

    Parameters
    ----------
    forms
        What the model keeps of its training people.
    unseen
        The people.
    training
        Training people, for the fits of rivals; None: no rivals.
    own
        How many trials of a task are known of each person, or "half".

    Returns
    -------
    dict
        By task, prediction and score: (people,).
    """
    segments, found = unseen.segments, {}
    rivals = {} if training is None else predictions(training, unseen, own)
    for form in forms:
        number = segments.tasks.number(form.task)
        people = later_trials(segments, number, own)
        if people is not None:
            rows = {CLOSED_FORM: form.predict(people)}
            rows |= {name: row[number] for name, row in rivals.items() if number in row}
            found[form.task.name] = {
                name: _person_scores(row, people.rest) for name, row in rows.items()
            }
    return found


def closed_form_scores(
    of_people: Mapping[str, Mapping[str, Mapping[str, Values]]], *, cross_validated: bool = False
) -> tuple[OwnTrialsScore, ...]:
    """Return scores over people, with verdicts on the model without a network.

    Parameters
    ----------
    of_people
        Scores of people, by task, prediction and score.
    cross_validated
        Whether people are predicted by fits to each other.
    """
    return tuple(
        OwnTrialsScore(task, *row)
        for task, rows in of_people.items()
        for row in _compared(rows, CLOSED_FORM, cross_validated=cross_validated)
    )
