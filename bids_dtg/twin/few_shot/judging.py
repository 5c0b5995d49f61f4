"""How well unseen people's later trials are predicted from their first ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.paired import Interval, bootstrap_interval
from bids_dtg.stats.verdict import Verdict, judge_differences
from bids_dtg.twin.distribution import Distribution
from bids_dtg.twin.few_shot.prior import FewShot, codes_of, nothing_known
from bids_dtg.twin.fitting import Fitted
from bids_dtg.twin.judging.behaviour import Answers, means
from bids_dtg.twin.judging.cohort import Cohort
from bids_dtg.twin.judging.scores import log_score, outcome_brier, response_crps, rt_crps
from bids_dtg.twin.own_trials.first_trials import FirstTrials, Own, first_trials
from bids_dtg.twin.own_trials.rows import predictions

Values = NDArray[np.float64]

CONNECTOME, TRIALS, BOTH = "twin_connectome", "twin_trials", "twin_both"
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
        Training people, for the fits of rivals; None: no rivals.
    own
        How many trials of a task are known of each person, or "half".
    """
    segments, found = unseen.segments, []
    rivals = {} if training is None else predictions(training, unseen, own)
    codes = _codes(fitted, unseen)
    for prior in few_shot.tasks:
        number = segments.tasks.number(prior.task)
        if not (segments.trials.task == number).any():
            continue
        people = first_trials(segments, number, own)
        rows: dict[str, Distribution] = {}
        if codes is not None and prior.connectome is not None:
            nothing = nothing_known(people)
            rows[CONNECTOME] = prior.predict(fitted, nothing, segments, codes).distribution
        rows[TRIALS] = prior.predict(fitted, people, segments, None).distribution
        if CONNECTOME in rows:
            rows[BOTH] = prior.predict(fitted, people, segments, codes).distribution
        rows |= {name: row[number] for name, row in rivals.items()}
        found += _judged(prior.task.name, rows, people)
    return tuple(found)


def _codes(fitted: Fitted, people: Cohort) -> Values | None:
    return None if people.connectomes is None else codes_of(fitted, people.connectomes)


def _judged(
    task: str, rows: Mapping[str, Distribution], people: FirstTrials
) -> list[OwnTrialsScore]:
    of_people = {name: _person_scores(row, people.rest) for name, row in rows.items()}
    twin, found = BOTH if BOTH in rows else TRIALS, []
    for score, more in SCORES.items():
        best = of_people[twin][score]
        for name, scores in of_people.items():
            difference = (best - scores[score]) * (1 if more else -1)
            found.append(
                OwnTrialsScore(
                    task,
                    name,
                    score,
                    bootstrap_interval(scores[score]),
                    int(np.isfinite(scores[score]).sum()),
                    None if name == twin else judge_differences(difference),
                )
            )
    return found


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
