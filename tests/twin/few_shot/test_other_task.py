"""Predictions of one task from trials of another."""

from dataclasses import replace

import numpy as np
import pytest
from twin_runs import a_run

from bids_dtg.twin.few_shot.judging import known_by_predictions
from bids_dtg.twin.few_shot.other_task import BOTH, FORMS, OTHER, OWN, Side, predict_by_other
from bids_dtg.twin.own_trials.first_trials import all_known, first_trials
from bids_dtg.twin.tasks import find_task
from bids_dtg.twin.trial_series import TaskSet, stack_people

TRIALS, TRAINING, UNSEEN, FIRST = 40, 60, 40, 10
ONSETS = 2.0 + 5.0 * np.arange(TRIALS)
TASKS = TaskSet((find_task("faces"), find_task("stroop")))


def cohort(people, seed):
    """Return levels, and trials of both tasks of people who are slow in both or in neither."""
    rng = np.random.default_rng(seed)
    level = 0.3 * rng.normal(size=people)
    runs = []
    for own in level:
        logs = -0.6 + own + 0.2 * rng.normal(size=(2, TRIALS))
        rt = 0.2 + np.exp(np.minimum(logs, 0.5))
        runs.append(
            [a_run(ONSETS, task=task, rt=r) for task, r in zip(TASKS.tasks, rt, strict=True)]
        )
    return level, stack_people(runs, tasks=TASKS)


def sides(own, seed=1, change=None):
    """Return Stroop, which is judged, and faces, all of which is known; and unseen levels."""
    (_, training), (level, unseen) = cohort(TRAINING, 0), cohort(UNSEEN, seed)
    found = []
    for number, count in ((1, own), (0, None)):
        people = [first_trials(each, number, count or 0) for each in (training, unseen)]
        if count is None:
            people = [all_known(each) for each in people]
        elif change is not None:
            people[1] = change(people[1])
        codes = np.linspace(-1, 1, TRIALS)[None, :, None]
        found.append(Side(TASKS.tasks[number], *people, (codes, codes)))
    return level, *found


def mean_times(predicted):
    later = np.isfinite(predicted.shares[..., 0])
    given = predicted.answered / predicted.answered[..., -1:]
    mean = 2.0 - np.nansum(given, axis=-1) * np.diff(predicted.seconds)[0]
    return np.nanmean(np.where(later, mean, np.nan), axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_another_task_separates_slow_people_from_quick_ones(form):
    level, judged, other = sides(FIRST)
    r = {
        known: np.corrcoef(mean_times(predict_by_other(form, judged, other, known)), level)[0, 1]
        for known in (OTHER, OWN, BOTH)
    }
    assert min(r.values()) > 0.8
    assert r[BOTH] > max(r[OWN], r[OTHER]) - 0.02


@pytest.mark.slow
@pytest.mark.parametrize("own", [0, FIRST])
def test_no_judged_trial_reaches_a_prediction(own):
    def permuted(people):
        rng, answers = np.random.default_rng(0), people.answers
        order = np.argsort(np.where(people.later, rng.random(people.later.shape), -1.0), axis=1)
        order[:, :own] = np.arange(own)
        names = ("rt_seconds", "button", "correct", "scored")
        moved = {n: np.take_along_axis(getattr(answers, n), order, axis=1) for n in names}
        assert not np.array_equal(moved["rt_seconds"], answers.rt_seconds)
        return replace(people, answers=replace(answers, **moved))

    before, after = (
        known_by_predictions(*sides(own, change=change)[1:], own=own > 0)
        for change in (None, permuted)
    )
    assert len(before) == (10 if own else 4)
    for key, one in before.items():
        assert np.array_equal(one.answered, after[key].answered, equal_nan=True), key
        assert np.array_equal(one.shares, after[key].shares, equal_nan=True), key


def test_known_trials_reach_it():
    _, judged, other = sides(FIRST)
    answers = other.unseen.answers
    slower = replace(answers, rt_seconds=answers.rt_seconds * 1.3)
    changed = replace(other, unseen=replace(other.unseen, answers=slower))
    one, two = (predict_by_other("twin", judged, each, OTHER) for each in (other, changed))
    assert (mean_times(two) > mean_times(one)).all()


def test_training_people_without_a_response_are_refused():
    _, judged, _ = sides(FIRST)
    answers = judged.training.answers
    silent = replace(answers, rt_seconds=np.full_like(answers.rt_seconds, np.nan))
    with pytest.raises(ValueError, match="no training participant has a response in stroop"):
        replace(judged, training=replace(judged.training, answers=silent))
