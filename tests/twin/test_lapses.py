"""Lapses of twins: weights by the likelihood of training people's trials, and what they change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from twin_runs import ONSET, a_run, answered_by, slow_and_quick

from bids_dtg.twin.decoding import decode
from bids_dtg.twin.fitting import fit
from bids_dtg.twin.judging.behaviour import Answers
from bids_dtg.twin.judging.cohort import Cohort, answers_of
from bids_dtg.twin.judging.evaluation import evaluate
from bids_dtg.twin.judging.scores import by_condition, outcome_brier, outcome_shares
from bids_dtg.twin.lapses import LEAST_WEIGHT, Lapses
from bids_dtg.twin.recipe import Recipe, find_architecture
from bids_dtg.twin.trial_series import stack_people


def people_who(number=20, trials=24, seed=0, wrong=0.1, missed=0.05):
    """Return segments of people who err and miss by chance in a run that all saw."""
    rng = np.random.default_rng(seed)
    run = a_run(2.0 + 3.0 * np.arange(trials))
    everybody = []
    for person in range(number):
        own = answered_by(run, person)
        drawn = rng.random((2, trials))
        miss, err = drawn[0] < missed, drawn[1] < wrong
        button = np.where(err, (own.correct_button + 1) % len(own.task.buttons), own.correct_button)
        rt = np.where(miss, np.nan, rng.uniform(0.4, 1.0, trials))
        everybody.append(
            [
                replace(
                    own,
                    button=np.where(miss, -1, button).astype(np.int8),
                    rt_seconds=rt,
                    correct=~err & ~miss,
                    unscored=(),
                )
            ]
        )
    return stack_people(everybody)


def sure_outputs(segments, *, sureness=0.999):
    """Return outputs of a network that presses the correct button of each trial and holds it."""
    rows, outputs = segments.trials, np.zeros((1, *segments.action.shape[1:]), np.float32)
    for segment, first, last, button in zip(
        rows.segment[0], rows.first_step[0], rows.last_step[0], rows.correct_button[0], strict=True
    ):
        outputs[0, segment, first + 5 : last + 1, button] = sureness
    return outputs


def outcomes_of(outputs, segments):
    task = answers_of(segments, 0)
    ends = task.part(decode(outputs, segments).ends)
    return outcome_shares(ends, task.answers.correct_button), task.answers


def happened(answers: Answers):
    missed = ~answers.correct & ~np.isfinite(answers.rt_seconds)
    return np.stack([answers.correct, ~answers.correct & ~missed, missed], axis=-1)


@settings(deadline=None, max_examples=15)
@given(
    wrong=st.floats(0.0, 0.5), missed=st.floats(0.0, 0.4), sureness=st.floats(0.3, 1.0),
    seed=st.integers(0, 5),
)  # fmt: skip
def test_the_weight_has_the_largest_likelihood_and_nothing_is_certain(
    wrong, missed, sureness, seed
):
    segments = people_who(8, 12, seed, wrong, missed)
    outputs = sure_outputs(segments, sureness=sureness)
    lapses = Lapses.of(outputs, segments)
    shares, answers = outcomes_of(outputs, segments)
    mixed = lapses.mixed(shares, 0, answers.condition)
    assert ((mixed > 0) & (mixed < 1)).all()
    np.testing.assert_allclose(mixed.sum(axis=-1), 1.0)
    did = happened(answers)
    for condition in np.unique(answers.condition):
        own = answers.scored & (answers.condition == condition)
        counts = did[own].sum(axis=0) + 0.5
        lapse = counts / counts.sum()
        np.testing.assert_allclose(lapses.shares[0, condition], lapse)

        def loss(weight, own=own, lapse=lapse):
            return -np.log(((1 - weight) * shares[own] + weight * lapse)[did[own]]).sum()

        best = minimize_scalar(loss, bounds=(LEAST_WEIGHT, 1.0), method="bounded")
        assert loss(lapses.weight[0, condition]) <= best.fun + 1e-6


def test_a_network_that_is_sure_and_wrong_is_worse_than_shares_and_no_longer_with_lapses():
    training, unseen = people_who(seed=1), people_who(seed=2)
    outputs = sure_outputs(training, sureness=1.0)
    lapses = Lapses.of(outputs, training)
    shares, answers = outcomes_of(sure_outputs(unseen, sureness=1.0), unseen)
    mixed = lapses.mixed(shares, 0, answers.condition)
    alone, with_lapses, group = (
        by_condition(outcome_brier(of, answers), answers, 1).mean()
        for of in (shares, mixed, np.broadcast_to(lapses.shares[0, 0], shares.shape))
    )
    assert with_lapses < alone
    assert with_lapses <= group + 1e-4


def test_a_network_that_knows_all_keeps_the_least_weight():
    segments = people_who(wrong=0.0, missed=0.0)
    lapses = Lapses.of(sure_outputs(segments, sureness=1.0), segments)
    np.testing.assert_allclose(lapses.weight, LEAST_WEIGHT, atol=1e-9)


def test_a_condition_without_trials_and_trials_without_condition_lapse_as_the_task():
    segments = people_who()
    rows = segments.trials
    easy = np.where(rows.condition == 0, rows.condition, -1)
    segments = replace(segments, trials=replace(rows, condition=easy))
    lapses = Lapses.of(sure_outputs(segments), segments)
    np.testing.assert_array_equal(lapses.shares[0, 1], lapses.shares[0, -1])
    assert lapses.weight[0, 1] == lapses.weight[0, -1]
    counts = happened(answers_of(segments, 0).answers).sum(axis=(0, 1)) + 0.5
    np.testing.assert_allclose(lapses.shares[0, -1], counts / counts.sum())
    none = lapses.mixed(np.array([[1.0, 0.0, 0.0]]), 0, np.array([-1]))
    weight = lapses.weight[0, -1]
    np.testing.assert_allclose(
        none[0], (1 - weight) * np.array([1.0, 0, 0]) + weight * lapses.shares[0, -1]
    )


def test_people_of_two_fits_lapse_each_as_their_own():
    rng = np.random.default_rng(0)
    one, other = (
        Lapses(rng.random((2, 3)), rng.dirichlet(np.ones(3), size=(2, 3))) for _ in range(2)
    )
    rows = [np.array([2, 0]), np.array([1])]
    both = Lapses.joined(rows, [one, other])
    outcomes = rng.dirichlet(np.ones(3), size=(3, 4))
    condition = rng.integers(-1, 2, (3, 4))
    found = both.mixed(outcomes, 1, condition)
    for people, part in zip(rows, (one, other), strict=True):
        np.testing.assert_allclose(
            found[people], part.mixed(outcomes[people], 1, condition[people])
        )


def test_what_people_did_in_trials_that_do_not_count_changes_nothing():
    segments = people_who()
    rows = segments.trials
    scored = rows.scored.copy()
    scored[:, ::3] = False
    some = replace(segments, trials=replace(rows, scored=scored))
    other = replace(
        some, trials=replace(some.trials, correct=np.where(scored, rows.correct, ~rows.correct))
    )
    outputs = sure_outputs(segments)
    one, same = Lapses.of(outputs, some), Lapses.of(outputs, other)
    np.testing.assert_array_equal(one.weight, same.weight)
    np.testing.assert_array_equal(one.shares, same.shares)


@pytest.mark.slow
def test_a_fit_learns_lapses_and_an_evaluation_uses_them_whatever_unseen_people_did():
    segments, _ = slow_and_quick()
    edges = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)
    recipe = Recipe(units=6, codes=2, group_epochs=2, group_updates=2, batch_segments=2)
    fitted = fit(edges, segments, architecture=find_architecture("lowrank", recipe))
    expected = Lapses.of(fitted.perform_group(segments).buttons, segments)
    np.testing.assert_array_equal(fitted.lapses.weight, expected.weight)
    np.testing.assert_array_equal(fitted.lapses.shares, expected.shares)
    unseen = people_who(12, len(ONSET), wrong=0.2, missed=0.2)
    performed = fitted.perform(edges[:12], unseen)
    shares, answers = outcomes_of(performed.buttons, unseen)
    mixed = fitted.lapses.mixed(shares, 0, answers.condition)
    found = evaluate(fitted, Cohort(tuple(f"u{n}" for n in range(12)), unseen, edges[:12]))
    for place, condition in enumerate(("easy", "hard")):
        own = by_condition(outcome_brier(mixed, answers), answers, 2)[:, place]
        score = found.score("brier", "stroop", condition=condition)
        assert score.value.mean == pytest.approx(own.mean())
    silent = replace(unseen, trials=replace(unseen.trials, correct=~unseen.trials.correct))
    again = fitted.perform(edges[:12], silent)
    np.testing.assert_array_equal(again.buttons, performed.buttons)
    assert again.lapses is performed.lapses is fitted.lapses
