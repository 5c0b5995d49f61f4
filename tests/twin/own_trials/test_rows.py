"""Predictions of people's later trials from their first ones."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_trials_people import TASK, simulated, with_times
from twin_runs import a_run, a_task, slow_and_quick

from bids_dtg.twin.judging.cohort import Cohort
from bids_dtg.twin.judging.scores import response_crps
from bids_dtg.twin.own_trials import BEST, RIVAL, ROWS, predictions
from bids_dtg.twin.trial_series import TaskSet, stack_people

NAMES = [row.name for row in ROWS]
# Rows with a prediction of nothing but the person's misses.
OF_NOBODY = ("condition_shares", "group_trials")
rows = pytest.mark.parametrize("row", ROWS, ids=NAMES)


def row_of(name):
    return next(row for row in ROWS if row.name == name)


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
        for name in ("seconds", "answered", "shares")
    )


def require_sound(predicted, people):
    wanted = people.later & (people.answers.condition >= 0)
    shares, answered = predicted.shares[wanted], predicted.answered[wanted]
    assert np.isnan(predicted.shares[~wanted]).all()
    assert np.isnan(predicted.answered[~wanted]).all()
    assert ((shares > 0) & (shares < 1)).all()
    assert np.allclose(shares.sum(axis=-1), 1.0)
    assert np.isfinite(answered).all()
    assert (np.diff(answered, axis=-1) >= -1e-12).all()
    assert (answered >= 0).all()
    assert np.allclose(answered[:, -1], 1 - shares[:, 2])


@pytest.mark.slow
@rows
@settings(max_examples=8, deadline=None)
@given(
    people=st.integers(2, 12),
    trials=st.integers(2, 25),
    own=st.integers(0, 20),
    missed=st.sampled_from([0.0, 0.2, 0.9]),
    one_sequence=st.booleans(),
    seed=st.integers(0, 100),
)
def test_distributions_rise_to_the_probability_of_a_response(
    row, people, trials, own, missed, one_sequence, seed
):
    own = min(own, trials - 1)
    training, unseen = (
        simulated(n, trials, own=own, missed=missed, one_sequence=one_sequence, seed=seed + add)
        for n, add in ((people, 0), (3, 1))
    )
    if not np.isfinite(training.answers.rt_seconds).any():
        return
    require_sound(row.fit(training, TASK).predict(unseen), unseen)


@pytest.mark.slow
@rows
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 100))
def test_later_trials_never_reach_a_prediction(row, seed):
    people, rng = simulated(5, seed=1), np.random.default_rng(seed)
    fitted = row.fit(simulated(), TASK)
    order = np.arange(40)
    order[10:] = rng.permutation(order[10:])
    answers = people.answers
    permuted = {
        name: getattr(answers, name)[:, order] for name in ("button", "rt_seconds", "correct")
    }
    later = replace(people, answers=replace(answers, **permuted))
    other = with_times(people, np.where(people.own, answers.rt_seconds, rng.random((5, 40))))
    other = replace(
        other,
        answers=replace(
            other.answers,
            correct=np.where(people.own, answers.correct, rng.random((5, 40)) < 0.5),
            scored=people.own,
        ),
    )
    for changed in (later, other):
        assert same(fitted.predict(people), fitted.predict(changed))


@rows
def test_own_trials_reach_the_prediction(row):
    people, fitted = simulated(5, seed=1), row.fit(simulated(), TASK)
    slower = with_times(people, np.where(people.own, 1.5, people.answers.rt_seconds))
    before, after = (fitted.predict(which).answered for which in (people, slower))
    given_one = [own / own[..., -1:] for own in (before, after)]
    moved = np.nanmax(np.abs(given_one[1] - given_one[0])) > 0.05
    assert moved == (row.name not in OF_NOBODY)


@rows
def test_people_without_own_trials_are_the_group(row):
    found = row.fit(simulated(own=0), TASK).predict(simulated(4, own=0, seed=1))
    assert np.allclose(found.answered, found.answered[:1])
    assert np.allclose(found.shares, found.shares[:1])


def test_the_shifted_group_is_the_group_without_own_trials():
    training, unseen = simulated(own=0), simulated(2, own=0, seed=1)
    group, shifted = (
        row_of(name).fit(training, TASK).predict(unseen) for name in ("group_trials", "shifted")
    )
    assert np.allclose(group.answered, shifted.answered, atol=2e-3)


@pytest.mark.parametrize("name", ["shifted", "shifted_scale", "person_effects"])
def test_a_person_like_the_group_is_not_moved(name):
    training = simulated()
    fitted = row_of(name).fit(training, TASK)
    less = 0.2 if name == "person_effects" else 0.0
    mean = less + np.exp(fitted.times.means.of(training)[:1])
    like = with_times(training.of([0]), mean)
    nobody = with_times(training.of([0]), np.full(mean.shape, np.nan))
    own, group = (fitted.predict(which) for which in (like, nobody))
    half = [
        (curve / curve[..., -1:] < 0.5).sum(axis=-1)[like.later]
        for curve in (own.answered, group.answered)
    ]
    assert np.abs(half[0] - half[1]).max() <= 1  # a step of 0.02 s


@pytest.mark.parametrize("name", ["group_trials", "condition_shares", "shifted", "shifted_scale"])
def test_times_of_twice_the_length_are_predicted_at_twice_the_length(name):
    def found(factor):
        training, unseen = (
            with_times(people, factor * people.answers.rt_seconds)
            for people in (simulated(), simulated(4, seed=1))
        )
        task = replace(TASK, window_seconds=factor * TASK.window_seconds)
        return row_of(name).fit(training, task).predict(unseen)

    once, twice = found(1.0), found(2.0)
    assert np.allclose(2 * once.seconds, twice.seconds[1::2])
    assert np.allclose(once.answered, twice.answered[..., 1::2], atol=1e-6, equal_nan=True)


@pytest.mark.slow
def test_all_rows_share_misses_and_errors():
    training, unseen = simulated(), simulated(5, seed=1)
    first, *others = (row.fit(training, TASK).predict(unseen).shares for row in ROWS)
    for other in others:
        assert np.array_equal(first, other, equal_nan=True)


@pytest.mark.slow
@pytest.mark.parametrize("one_sequence", [True, False])
def test_what_is_known_of_a_person_predicts_better_than_the_group(one_sequence):
    training = simulated(120, 60, own=20, one_sequence=one_sequence)
    unseen = simulated(60, 60, own=20, one_sequence=one_sequence, seed=1)
    crps = {}
    for row in ROWS:
        found = row.fit(training, TASK).predict(unseen)
        crps[row.name] = np.nanmean(response_crps(found.answered, found.seconds, unseen.rest))
    assert crps[BEST] < crps[RIVAL] < crps["shifted"] < crps["group_trials"]
    assert crps["shifted_lognormal"] < crps["shifted"]
    assert crps["ez_diffusion"] < crps["group_trials"]


@rows
def test_awkward_people_are_predicted(row):
    training, unseen = simulated(), simulated(4, seed=1)
    rt = unseen.answers.rt_seconds.copy()
    rt[0] = np.nan  # misses everything
    rt[1] = 0.8  # always the same
    rt[2] = 0.15  # faster than what no decision takes
    rt[3, 1:] = np.nan  # a single response
    awkward = with_times(unseen, rt)
    found = row.fit(training, TASK).predict(awkward)
    require_sound(found, awkward)
    assert found.shares[0, -1, 2] > found.shares[1, -1, 2]


@rows
def test_one_training_participant_is_enough(row):
    unseen = simulated(3, seed=1)
    require_sound(row.fit(simulated(1), TASK).predict(unseen), unseen)


@rows
def test_training_people_who_are_all_the_same_are_enough(row):
    training, unseen = simulated(), simulated(3, seed=1)
    constant = with_times(training, np.full((30, 40), 0.7))
    require_sound(row.fit(constant, TASK).predict(unseen), unseen)


@rows
def test_trials_of_no_condition_or_of_nobody_are_not_predicted(row):
    unseen = simulated(3, seed=1)
    condition = unseen.answers.condition.copy()
    condition[:, 20] = -1
    lacks = replace(unseen, answers=replace(unseen.answers, condition=condition))
    require_sound(row.fit(simulated(), TASK).predict(lacks), lacks)


def test_training_people_without_a_response_are_refused():
    nobody = with_times(simulated(), np.full((30, 40), np.nan))
    with pytest.raises(ValueError, match=r"no training participant has a response in stroop"):
        row_of("shifted").fit(nobody, TASK)


def cohort(people=20, seed=0, name="p"):
    segments, _ = slow_and_quick(people=people, seed=seed)
    return Cohort(tuple(f"{name}{number}" for number in range(people)), segments)


@pytest.mark.slow
def test_a_cohort_is_predicted_task_by_task():
    training, unseen = cohort(), cohort(6, seed=1, name="q")
    found = predictions(training, unseen, 5)
    assert list(found) == NAMES
    for row in found.values():
        (own,) = row.values()
        known = np.isfinite(own.shares).all(axis=-1)
        assert (known.sum(axis=1) == known.shape[1] - 5).all()


def test_a_cohort_of_other_tasks_is_refused():
    one = cohort(3)
    task = a_task("flanker")
    other = Cohort(("a",), stack_people([[a_run([1.0, 4.0], task=task)]], tasks=TaskSet((task,))))
    with pytest.raises(
        ValueError, match="training participants performed stroop, those to predict"
    ):
        predictions(one, other, 1)


@pytest.mark.slow
def test_people_of_another_sequence_are_predicted_by_regressors():
    training = cohort()
    onset, task = np.arange(20) * 4.0, training.segments.tasks.tasks[0]
    run = a_run(onset, task=task)
    other = replace(run, condition=(1 - run.condition).astype(np.int8))
    unseen = Cohort(("q",), stack_people([[other]], tasks=training.segments.tasks))
    for row in predictions(training, unseen, 5).values():
        (own,) = row.values()
        assert np.isfinite(own.answered[0, 5:]).all()
